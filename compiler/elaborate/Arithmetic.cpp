// SPDX-License-Identifier: Apache-2.0
//
// Binary operators: on numbers and lists at compile time, on tensors as operations of the graph. A
// number beside a tensor becomes a constant of the tensor's element type.
#include "compiler/elaborate/Evaluator.h"

#include <cmath>

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;

static bool isComparison(vcs::Binary kind) { return kind >= vcs::Binary::Eq; }
static bool isTensorLike(const Value &v) { return v.asTensor() || v.asWeight(); }

FailureOr<Value> Evaluator::binary(vcs::Binary kind, const Value &a, const Value &b,
                                   mlir::Location loc) {
  bool numbersOrTensors = (isTensorLike(a) || a.isNumber() || a.asBool()) &&
                          (isTensorLike(b) || b.isNumber() || b.asBool());
  if ((kind == vcs::Binary::Eq || kind == vcs::Binary::Ne) &&
      (!numbersOrTensors || (!isTensorLike(a) && !isTensorLike(b))))
    return Value(a.equals(b) == (kind == vcs::Binary::Eq));
  if (a.isNumber() && b.isNumber())
    return numbers(kind, a, b, loc);
  if (isTensorLike(a) || isTensorLike(b))
    return tensors(kind, a, b, loc);
  if (kind == vcs::Binary::Add) {
    if (a.asString() && b.asString())
      return Value(*a.asString() + *b.asString());
    if (a.asSequence() && b.asSequence() && a.isTuple() == b.isTuple()) {
      std::vector<Value> joined = *a.asSequence();
      joined.insert(joined.end(), b.asSequence()->begin(), b.asSequence()->end());
      return a.isTuple() ? Value::tuple(std::move(joined)) : Value::list(std::move(joined));
    }
  }
  if (kind == vcs::Binary::Mul && (a.asSequence() || a.asPart()) && b.asInt())
    return repeat(a, *b.asInt(), loc);
  if (a.asQuantity() && b.isNumber() && (kind == vcs::Binary::Mul || kind == vcs::Binary::Div))
    return Value(Quantity{kind == vcs::Binary::Mul ? a.asQuantity()->amount * *b.asNumber()
                                                   : a.asQuantity()->amount / *b.asNumber(),
                          a.asQuantity()->unit});
  if (a.asString() && b.asString() && isComparison(kind)) {
    int order = a.asString()->compare(*b.asString());
    return Value(kind == vcs::Binary::Lt   ? order < 0
                 : kind == vcs::Binary::Le ? order <= 0
                 : kind == vcs::Binary::Gt ? order > 0
                                           : order >= 0);
  }
  return fault(FaultKind::TypeMismatch, loc,
               "`" + vcs::stringifyBinary(kind).str() + "` of " + a.describe() + " and " +
                   b.describe());
}

static FailureOr<Value> compareNumbers(vcs::Binary kind, double a, double b) {
  switch (kind) {
  case vcs::Binary::Lt:
    return Value(a < b);
  case vcs::Binary::Le:
    return Value(a <= b);
  case vcs::Binary::Gt:
    return Value(a > b);
  case vcs::Binary::Ge:
    return Value(a >= b);
  case vcs::Binary::Eq:
    return Value(a == b);
  default:
    return Value(a != b);
  }
}

static int64_t floorDiv(int64_t a, int64_t b) {
  int64_t q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

/// Whole-number arithmetic; failure where the result does not fit.
static FailureOr<int64_t> whole(vcs::Binary kind, int64_t a, int64_t b) {
  int64_t r = 0;
  switch (kind) {
  case vcs::Binary::Add:
    return __builtin_add_overflow(a, b, &r) ? FailureOr<int64_t>(failure()) : r;
  case vcs::Binary::Sub:
    return __builtin_sub_overflow(a, b, &r) ? FailureOr<int64_t>(failure()) : r;
  case vcs::Binary::Mul:
    return __builtin_mul_overflow(a, b, &r) ? FailureOr<int64_t>(failure()) : r;
  case vcs::Binary::FloorDiv:
    return a == INT64_MIN && b == -1 ? FailureOr<int64_t>(failure()) : floorDiv(a, b);
  case vcs::Binary::Mod:
    return b == -1 ? 0 : a - floorDiv(a, b) * b;
  case vcs::Binary::Pow: {
    r = 1;
    for (int64_t i = 0; i < b; ++i) {
      if (__builtin_mul_overflow(r, a, &r))
        return failure();
      if (r == 0 || (r == 1 && a == 1))
        break;
    }
    return r;
  }
  default:
    return failure();
  }
}

FailureOr<Value> Evaluator::numbers(vcs::Binary kind, const Value &left, const Value &right,
                                    mlir::Location loc) {
  if (isComparison(kind))
    return compareNumbers(kind, *left.asNumber(), *right.asNumber());
  double a = *left.asNumber(), b = *right.asNumber();
  bool divides =
      kind == vcs::Binary::Div || kind == vcs::Binary::FloorDiv || kind == vcs::Binary::Mod;
  if (divides && b == 0)
    return fault(FaultKind::DivisionByZero, loc, "division of " + left.print() + " by zero");
  bool ints = left.asInt() && right.asInt() && kind != vcs::Binary::Div &&
              !(kind == vcs::Binary::Pow && *right.asInt() < 0);
  if (ints) {
    auto result = whole(kind, *left.asInt(), *right.asInt());
    if (failed(result))
      return fault(FaultKind::NumberTooLarge, loc,
                   "`" + vcs::stringifyBinary(kind).str() + "` of " + left.print() + " and " +
                       right.print() + " is too large");
    return Value(*result);
  }
  switch (kind) {
  case vcs::Binary::Add:
    return Value(a + b);
  case vcs::Binary::Sub:
    return Value(a - b);
  case vcs::Binary::Mul:
    return Value(a * b);
  case vcs::Binary::Div:
    return Value(a / b);
  case vcs::Binary::FloorDiv:
    return Value(std::floor(a / b));
  case vcs::Binary::Mod:
    return Value(a - std::floor(a / b) * b);
  default:
    return Value(std::pow(a, b));
  }
}

static tg::Predicate predicate(vcs::Binary kind) {
  switch (kind) {
  case vcs::Binary::Eq:
    return tg::Predicate::Eq;
  case vcs::Binary::Ne:
    return tg::Predicate::Ne;
  case vcs::Binary::Lt:
    return tg::Predicate::Lt;
  case vcs::Binary::Le:
    return tg::Predicate::Le;
  case vcs::Binary::Gt:
    return tg::Predicate::Gt;
  default:
    return tg::Predicate::Ge;
  }
}

/// Floor of a / b: whole numbers divide by truncation in the graph, so a remainder of the other
/// sign takes one off.
static mlir::Value floorQuotient(GraphBuilder &g, const Tensor &a, const Tensor &b) {
  mlir::Value quotient = g.ops.create<tg::DivOp>(g.loc, a.value, b.value);
  if (llvm::isa<mlir::FloatType>(a.element()))
    return g.ops.create<tg::FloorOp>(g.loc, quotient);
  auto shape = a.type().getShape();
  mlir::Value zero = g.splat(0, a.element(), shape).value,
              one = g.splat(1, a.element(), shape).value;
  mlir::Value back = g.ops.create<tg::MulOp>(g.loc, quotient, b.value);
  mlir::Value rest = g.ops.create<tg::SubOp>(g.loc, a.value, back);
  mlir::Value signs = g.ops.create<tg::MulOp>(g.loc, rest, b.value);
  auto negative = g.ops.create<tg::CompareOp>(
      g.loc, mlir::RankedTensorType::get(shape, g.ops.getI1Type()), signs, zero, tg::Predicate::Lt);
  mlir::Value less = g.ops.create<tg::SubOp>(g.loc, quotient, one);
  return g.ops.create<tg::SelectOp>(g.loc, a.type(), negative, less, quotient);
}

FailureOr<Value> Evaluator::tensors(vcs::Binary kind, const Value &left, const Value &right,
                                    mlir::Location loc) {
  const Tensor *known = left.asTensor() ? left.asTensor() : right.asTensor();
  mlir::Type element = known ? known->element() : mlir::Type();
  auto a = toTensor(left, loc, element), b = toTensor(right, loc, element);
  if (failed(a) || failed(b))
    return failure();
  std::string word = "`" + vcs::stringifyBinary(kind).str() + "`";
  if (a->element() != b->element())
    return fault(FaultKind::TypeMismatch, loc,
                 word + " of " + formatType(a->type()) + " and " + formatType(b->type()))
        .help("write `cast(x, " + formatElement(a->element()) + ")`");
  if (a->element().isInteger(1) && !isComparison(kind))
    return fault(FaultKind::TypeMismatch, loc, word + " of bool tensors")
        .help("write `cast(x, f32)`");
  GraphBuilder &g = function->graph;
  auto pair = g.broadcastTogether(*a, *b);
  if (failed(pair))
    return failure();
  auto &[x, y] = *pair;
  auto type = x.type();
  bool isFloat = llvm::isa<mlir::FloatType>(x.element());
  mlir::Value value;
  switch (kind) {
  case vcs::Binary::Add:
    value = g.ops.create<tg::AddOp>(g.loc, x.value, y.value);
    break;
  case vcs::Binary::Sub:
    value = g.ops.create<tg::SubOp>(g.loc, x.value, y.value);
    break;
  case vcs::Binary::Mul:
    value = g.ops.create<tg::MulOp>(g.loc, x.value, y.value);
    break;
  case vcs::Binary::Div:
    if (!isFloat)
      return fault(FaultKind::TypeMismatch, loc,
                   "`/` of " + formatType(type) + " is not a whole number")
          .help("write `//`, or `cast(x, f32)`");
    value = g.ops.create<tg::DivOp>(g.loc, x.value, y.value);
    break;
  case vcs::Binary::FloorDiv:
    value = floorQuotient(g, x, y);
    break;
  case vcs::Binary::Mod: {
    mlir::Value back = g.ops.create<tg::MulOp>(g.loc, floorQuotient(g, x, y), y.value);
    value = g.ops.create<tg::SubOp>(g.loc, x.value, back);
    break;
  }
  case vcs::Binary::Pow:
    if (!isFloat)
      return fault(FaultKind::TypeMismatch, loc,
                   "`**` needs a float tensor but gets " + formatType(type));
    value = g.ops.create<tg::PowOp>(g.loc, x.value, y.value);
    break;
  default:
    value = g.ops.create<tg::CompareOp>(
        g.loc, mlir::RankedTensorType::get(type.getShape(), g.ops.getI1Type()), x.value, y.value,
        predicate(kind));
  }
  return Value(g.wrap(value, x.origins));
}

} // namespace vcc::elaborate
