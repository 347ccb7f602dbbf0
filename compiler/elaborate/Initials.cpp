// SPDX-License-Identifier: Apache-2.0
//
// `@init`: first values of every weight that may start from `init`, and zero moments and counters. A draw
// depends on the seed and the weight's path only.
#include "compiler/elaborate/Stage.h"

#include <cmath>

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

/// What `value` says as an initialiser; a bare name such as `zeros` is called without arguments.
static FailureOr<Initializer> initializerOf(Evaluator &evaluator, const Weight &weight) {
  Value value = weight.init;
  if (value.asCallable() || value.asBuiltin()) {
    auto made = evaluator.call(value, {}, weight.loc);
    if (failed(made))
      return failure();
    value = *made;
  }
  if (auto *initializer = value.asInitializer())
    return *initializer;
  if (auto number = value.asNumber())
    return Initializer{Initializer::Kind::Constant, *number};
  return evaluator.fault(FaultKind::TypeMismatch, weight.loc,
                         "`" + weight.path() + "` needs an initialiser but gets " +
                             value.describe());
}

/// Uniform or normal draws for all elements: one sample whose inner index is the element's place.
template <typename Op>
static mlir::Value draw(FunctionBuilder &f, const Weight &weight) {
  GraphBuilder &g = f.graph;
  auto type = mlir::RankedTensorType::get({1, weight.elements()}, g.ops.getF32Type());
  return g.ops.create<Op>(g.loc, type, f.rng(),
                          tg::SiteAttr::get(g.ops.getContext(), weight.path()));
}

/// draws * scale + shift, in the weight's shape.
static Tensor scaled(FunctionBuilder &f, const Weight &weight, mlir::Value draws, double scale,
                     double shift) {
  GraphBuilder &g = f.graph;
  auto shape = llvm::cast<mlir::RankedTensorType>(draws.getType()).getShape();
  mlir::Type f32 = g.ops.getF32Type();
  if (scale != 1)
    draws = g.ops.create<tg::MulOp>(g.loc, draws, g.splat(scale, f32, shape).value);
  if (shift != 0)
    draws = g.ops.create<tg::AddOp>(g.loc, draws, g.splat(shift, f32, shape).value);
  return g.wrap(
      g.ops.create<tg::ReshapeOp>(g.loc, mlir::RankedTensorType::get(weight.shape, f32), draws));
}

/// The number whose error function is y, |y| < 1, elementwise: two polynomials in -log(1 - y * y),
/// for the middle and for the tails (Giles, 2012, "Approximating the erfinv function", single
/// precision: 3 units in the last place).
static mlir::Value inverseErf(GraphBuilder &g, mlir::Value y) {
  auto shape = llvm::cast<mlir::RankedTensorType>(y.getType()).getShape();
  auto number = [&](double value) { return g.splat(value, g.ops.getF32Type(), shape).value; };
  auto polynomial = [&](mlir::Value w, std::initializer_list<double> coefficients) {
    mlir::Value sum = number(*coefficients.begin());
    for (double coefficient : llvm::drop_begin(coefficients))
      sum = g.ops.create<tg::AddOp>(g.loc, g.ops.create<tg::MulOp>(g.loc, sum, w),
                                    number(coefficient));
    return sum;
  };
  mlir::Value product = g.ops.create<tg::MulOp>(g.loc, g.ops.create<tg::SubOp>(g.loc, number(1), y),
                                                g.ops.create<tg::AddOp>(g.loc, number(1), y));
  mlir::Value w = g.ops.create<tg::NegOp>(g.loc, g.ops.create<tg::LogOp>(g.loc, product));
  mlir::Value middle =
      polynomial(g.ops.create<tg::SubOp>(g.loc, w, number(2.5)),
                 {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                  -0.00125372503, -0.00417768164, 0.246640727, 1.50140941});
  mlir::Value tail =
      polynomial(g.ops.create<tg::SubOp>(g.loc, g.ops.create<tg::SqrtOp>(g.loc, w), number(3)),
                 {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                  -0.0076224613, 0.00943887047, 1.00167406, 2.83297682});
  mlir::Value isTail =
      g.ops.create<tg::CompareOp>(g.loc, mlir::RankedTensorType::get(shape, g.ops.getI1Type()), w,
                                  number(5), tg::Predicate::Ge);
  mlir::Value factor = g.ops.create<tg::SelectOp>(g.loc, isTail, tail, middle);
  return g.ops.create<tg::MulOp>(g.loc, factor, y);
}

/// A normal draw cut at +-bound around its mean. Where the cut lies so far out that f32 hardly
/// tells it from none, a plain normal draw is held within it.
static Tensor truncatedNormal(FunctionBuilder &f, const Weight &weight,
                              const Initializer &initializer) {
  GraphBuilder &g = f.graph;
  double cut = initializer.third / initializer.second;
  mlir::Value draws;
  if (cut < 5) {
    double reach = std::erf(cut / std::sqrt(2.0));
    mlir::Value places = draw<tg::RandomUniformOp>(f, weight);
    auto shape = llvm::cast<mlir::RankedTensorType>(places.getType()).getShape();
    mlir::Type f32 = g.ops.getF32Type();
    places = g.ops.create<tg::MulOp>(g.loc, places, g.splat(2 * reach, f32, shape).value);
    places = g.ops.create<tg::AddOp>(g.loc, places, g.splat(-reach, f32, shape).value);
    draws = g.ops.create<tg::MulOp>(g.loc, inverseErf(g, places),
                                    g.splat(std::sqrt(2.0), f32, shape).value);
  } else {
    draws = draw<tg::RandomNormalOp>(f, weight);
  }
  auto shape = llvm::cast<mlir::RankedTensorType>(draws.getType()).getShape();
  auto limit = [&](double at) { return g.splat(at, g.ops.getF32Type(), shape).value; };
  draws = g.ops.create<tg::MinOp>(g.loc, g.ops.create<tg::MaxOp>(g.loc, draws, limit(-cut)),
                                  limit(cut));
  return scaled(f, weight, draws, initializer.second, initializer.first);
}

FailureOr<Tensor> Stage::initial(FunctionBuilder &f, Weight &weight) {
  auto initializer = initializerOf(evaluator, weight);
  if (failed(initializer))
    return failure();
  GraphBuilder &g = f.graph;
  mlir::Type f32 = g.ops.getF32Type();
  switch (initializer->kind) {
  case Initializer::Kind::Zeros:
    return g.splat(0, f32, weight.shape);
  case Initializer::Kind::Ones:
    return g.splat(1, f32, weight.shape);
  case Initializer::Kind::Constant:
    return g.splat(initializer->first, f32, weight.shape);
  case Initializer::Kind::Normal:
    return scaled(f, weight, draw<tg::RandomNormalOp>(f, weight), initializer->second,
                  initializer->first);
  case Initializer::Kind::TruncatedNormal:
    return truncatedNormal(f, weight, *initializer);
  case Initializer::Kind::Uniform:
    return scaled(f, weight, draw<tg::RandomUniformOp>(f, weight),
                  initializer->second - initializer->first, initializer->first);
  case Initializer::Kind::XavierUniform: {
    if (weight.shape.size() < 2)
      return fault(FaultKind::BadValue, weight.loc,
                   "`xavier_uniform` is for matrices, but `" + weight.path() + "` is " +
                       formatShape(weight.shape));
    double fanIn = static_cast<double>(weight.elements()) / weight.shape[0];
    double bound = std::sqrt(6.0 / (fanIn + weight.shape[0]));
    return scaled(f, weight, draw<tg::RandomUniformOp>(f, weight), 2 * bound, -bound);
  }
  case Initializer::Kind::Table: {
    if (ArrayRef<int64_t>(initializer->tableShape) != ArrayRef<int64_t>(weight.shape))
      return fault(FaultKind::ShapeMismatch, weight.loc,
                   "the table is " + formatShape(initializer->tableShape) + " but `" +
                       weight.path() + "` is " + formatShape(weight.shape));
    auto elements = mlir::DenseElementsAttr::get(mlir::RankedTensorType::get(weight.shape, f32),
                                                 ArrayRef<float>(*initializer->table));
    return g.wrap(g.ops.create<tg::ConstantOp>(g.loc, elements).getResult());
  }
  }
  return failure();
}

LogicalResult Stage::initials() {
  auto function = begin("init", op.getLoc(), true);
  FunctionBuilder &f = *function;
  evaluator.function = &f;
  GraphBuilder &g = f.graph;
  bool good = true;
  auto write = [&](const std::string &path, mlir::Value value) {
    g.ops.create<tg::WriteOp>(g.loc, mlir::FlatSymbolRefAttr::get(g.ops.getContext(), path), value,
                              mlir::UnitAttr());
  };
  for (Weight *weight : used) {
    auto sources = starts.find(weight);
    if (sources == starts.end() || llvm::none_of(sources->second, [](const StartSource &s) {
          return s.kind == StartSource::Kind::Init;
        }))
      continue;
    g.loc =
        mlir::NameLoc::get(mlir::StringAttr::get(evaluator.context(), weight->path()), weight->loc);
    auto value = initial(f, *weight);
    good &= succeeded(value);
    if (succeeded(value))
      write(weight->path(), value->value);
  }
  g.loc = op.getLoc();
  for (auto [i, group] : llvm::enumerate(groups)) {
    mlir::Value zero = g.splat(0, g.ops.getF32Type(), {group.size}).value;
    for (const std::string &moment : moments)
      write(groupState(i, moment), zero);
    if (addsGradients)
      write(groupState(i, "gradient"), zero);
    if (!group.reachedBy.empty())
      for (const char *what : {"reached", "steps"})
        write(groupState(i, what), g.splat(0, g.ops.getF32Type(), {1}).value);
  }
  for (const auto &[path, first] : scaleStates())
    write(path, g.splat(first, g.ops.getF32Type(), {1}).value);
  f.finish();
  evaluator.function = nullptr;
  return llvm::success(good);
}

} // namespace vcc::elaborate
