// SPDX-License-Identifier: Apache-2.0
//
// Elementwise operations of the prelude. On numbers they are computed here, on tensors they become
// operations of the graph.
#include "compiler/elaborate/Operations.h"

#include <cmath>

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;

template <typename Op, double (*compute)(double)>
static FailureOr<Value> unary(OperationCall &call) {
  if (auto number = call.at("x").asNumber())
    return Value(compute(*number));
  auto x = call.tensor("x");
  if (failed(x))
    return failure();
  GraphBuilder &g = call.graph();
  if (failed(g.requireFloat(*x, ("`" + call.name + "`").str())))
    return failure();
  return Value(g.wrap(g.ops.create<Op>(g.loc, x->value), x->origins));
}

static double rsqrtOf(double x) { return 1 / std::sqrt(x); }
static double sigmoidOf(double x) { return 1 / (1 + std::exp(-x)); }

static FailureOr<Value> absolute(OperationCall &call) {
  if (auto *i = call.at("x").asInt())
    return *i == INT64_MIN ? Value(-static_cast<double>(*i)) : Value(std::abs(*i));
  if (auto number = call.at("x").asNumber())
    return Value(std::fabs(*number));
  auto x = call.tensor("x");
  if (failed(x))
    return failure();
  GraphBuilder &g = call.graph();
  return Value(g.wrap(g.ops.create<tg::AbsOp>(g.loc, x->value), x->origins));
}

/// `floor` of a number is a whole number, so that it can be a size.
static FailureOr<Value> floorOf(OperationCall &call) {
  if (call.at("x").asInt())
    return call.at("x");
  if (auto number = call.at("x").asNumber()) {
    double low = std::floor(*number);
    if (!(std::fabs(low) < 9e18))
      return call.fault(FaultKind::NumberTooLarge,
                        "`floor` of " + call.at("x").print() + " is too large");
    return Value(static_cast<int64_t>(low));
  }
  auto x = call.tensor("x");
  if (failed(x))
    return failure();
  GraphBuilder &g = call.graph();
  if (failed(g.requireFloat(*x, "`floor`")))
    return failure();
  return Value(g.wrap(g.ops.create<tg::FloorOp>(g.loc, x->value), x->origins));
}

/// Both operands as tensors of one element type and shape.
static FailureOr<std::pair<Tensor, Tensor>> operands(OperationCall &call) {
  Value left = call.at("a"), right = call.at("b");
  const Tensor *known = left.asTensor() ? left.asTensor() : right.asTensor();
  mlir::Type element = known ? known->element() : mlir::Type();
  auto a = call.tensor("a", element), b = call.tensor("b", element);
  if (failed(a) || failed(b))
    return failure();
  if (a->element() != b->element())
    return call.fault(FaultKind::TypeMismatch, "`" + call.name.str() + "` of " +
                                                   formatType(a->type()) + " and " +
                                                   formatType(b->type()));
  return call.graph().broadcastTogether(*a, *b);
}

template <typename Op, bool larger>
static FailureOr<Value> extreme(OperationCall &call) {
  Value a = call.at("a"), b = call.at("b");
  if (a.isNumber() && b.isNumber())
    return (*a.asNumber() >= *b.asNumber()) == larger ? a : b;
  auto pair = operands(call);
  if (failed(pair))
    return failure();
  GraphBuilder &g = call.graph();
  return Value(
      g.wrap(g.ops.create<Op>(g.loc, pair->first.value, pair->second.value), pair->first.origins));
}

static FailureOr<Value> power(OperationCall &call) {
  return call.evaluator.binary(vcs::Binary::Pow, call.at("a"), call.at("b"), call.loc);
}

static FailureOr<Value> select(OperationCall &call) {
  if (auto *chosen = call.at("condition").asBool())
    return *chosen ? call.at("a") : call.at("b");
  auto condition = call.tensor("condition");
  if (failed(condition))
    return failure();
  Value left = call.at("a"), right = call.at("b");
  const Tensor *known = left.asTensor() ? left.asTensor() : right.asTensor();
  mlir::Type element = known ? known->element() : mlir::Type();
  auto a = call.tensor("a", element), b = call.tensor("b", element);
  if (failed(a) || failed(b))
    return failure();
  auto result = call.graph().select(*condition, *a, *b);
  if (failed(result))
    return failure();
  return Value(*result);
}

static FailureOr<Value> cast(OperationCall &call) {
  auto *dtype = call.at("dtype").asBuiltin();
  StringRef name = dtype ? dtype->name.getValue() : "";
  // `bool` is an operation of the prelude too, so its name may come as a declaration.
  if (auto *callable = call.at("dtype").asCallable())
    name = callable->declaration->getAttrOfType<mlir::StringAttr>("sym_name").getValue();
  if (name != "f32" && name != "i32" && name != "bool")
    return call.fault(FaultKind::TypeMismatch, "`cast` needs `f32`, `i32` or `bool` but gets " +
                                                   call.at("dtype").describe());
  auto x = call.tensor("x");
  if (failed(x))
    return failure();
  GraphBuilder &g = call.graph();
  mlir::Type element = name == "f32"   ? mlir::Type(g.ops.getF32Type())
                       : name == "i32" ? g.ops.getI32Type()
                                       : g.ops.getI1Type();
  return Value(*g.cast(*x, element));
}

static FailureOr<Value> stopGradient(OperationCall &call) {
  auto x = call.tensor("x");
  if (failed(x))
    return failure();
  GraphBuilder &g = call.graph();
  return Value(g.wrap(g.ops.create<tg::StopGradientOp>(g.loc, x->value), x->origins));
}

ArrayRef<Operation> elementwiseOperations() {
  static const Operation table[] = {
      {"exp", unary<tg::ExpOp, std::exp>},
      {"log", unary<tg::LogOp, std::log>},
      {"sqrt", unary<tg::SqrtOp, std::sqrt>},
      {"rsqrt", unary<tg::RsqrtOp, rsqrtOf>},
      {"tanh", unary<tg::TanhOp, std::tanh>},
      {"erf", unary<tg::ErfOp, std::erf>},
      {"sin", unary<tg::SinOp, std::sin>},
      {"cos", unary<tg::CosOp, std::cos>},
      {"sigmoid", unary<tg::SigmoidOp, sigmoidOf>},
      {"abs", absolute},
      {"floor", floorOf},
      {"maximum", extreme<tg::MaxOp, true>},
      {"minimum", extreme<tg::MinOp, false>},
      {"pow", power},
      {"select", select},
      {"cast", cast},
      {"stop_gradient", stopGradient},
  };
  return table;
}

} // namespace vcc::elaborate
