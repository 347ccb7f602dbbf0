// SPDX-License-Identifier: Apache-2.0
//
// Running regions of the vcs dialect: one step per operation, values kept by SSA value. Expressions
// are flat lists of operations, so that the depth of C++ recursion follows the depth of calls and
// of nested statements only.
#include "compiler/elaborate/Evaluator.h"

#include "llvm/ADT/TypeSwitch.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

/// What a whole program may evaluate before it is taken to be endless.
static constexpr int64_t kFuel = 10'000'000;
/// Elements of all lists, letters of all strings and nesting of values, beyond which memory or
/// stack would run out.
static constexpr int64_t kMostElements = 50'000'000;
static constexpr size_t kLongestString = 1'000'000;
static constexpr unsigned kDeepestValue = 200;
/// Elements of one tensor; sizes in bytes stay far from overflow.
static constexpr int64_t kLargestTensor = int64_t(1) << 40;
static constexpr int64_t kLongestRange = 1'000'000;

std::string symbolName(mlir::Operation *declaration) {
  auto name = declaration->getAttrOfType<mlir::StringAttr>(mlir::SymbolTable::getSymbolAttrName());
  return name ? name.getValue().str() : declaration->getName().getStringRef().str();
}

Evaluator::Evaluator(mlir::ModuleOp recipe, FaultSink &faults)
    : recipe(recipe), sink(faults), fuel(kFuel), elementsLeft(kMostElements) {}

FailureOr<std::vector<Value>> Evaluator::run(mlir::Region &region, Frame &frame,
                                             ArrayRef<Value> arguments) {
  mlir::Block &block = region.front();
  for (auto [slot, value] : llvm::zip(block.getArguments(), arguments))
    frame.values[slot] = value;
  for (mlir::Operation &op : block) {
    if (llvm::isa<vcs::YieldOp, vcs::ReturnOp>(op)) {
      std::vector<Value> results;
      for (mlir::Value operand : op.getOperands())
        results.push_back(frame.values.lookup(operand));
      return results;
    }
    if (failed(step(op, frame)))
      return failure();
  }
  return std::vector<Value>();
}

FailureOr<Value> Evaluator::evaluate(mlir::Region &region) {
  Frame frame;
  auto results = run(region, frame);
  if (failed(results))
    return failure();
  if (results->size() != 1)
    return fault(FaultKind::BadValue, region.getLoc(),
                 "one value is needed here but there are " + std::to_string(results->size()));
  return results->front();
}

LogicalResult Evaluator::step(mlir::Operation &op, Frame &frame) {
  if (--fuel < 0)
    return fault(FaultKind::EvaluationTooLong, op.getLoc(),
                 "the recipe needs more than " + std::to_string(kFuel) + " steps to evaluate");
  if (function)
    function->graph.loc =
        frame.path ? mlir::Location(mlir::NameLoc::get(frame.path, op.getLoc())) : op.getLoc();
  if (auto statement = llvm::dyn_cast<vcs::IfOp>(op))
    return ifOp(statement, frame);
  if (auto statement = llvm::dyn_cast<vcs::ForOp>(op))
    return forOp(statement, frame);
  if (auto term = llvm::dyn_cast<vcs::TermOp>(op)) {
    auto value = frame.values.lookup(term.getValue());
    frame.arguments["term:" + term.getName().str()] = value;
    return success();
  }
  auto value = expression(op, frame);
  if (failed(value) || failed(checkSize(*value, op.getLoc())))
    return failure();
  frame.values[op.getResult(0)] = std::move(*value);
  return success();
}

LogicalResult Evaluator::checkSize(const Value &value, mlir::Location loc) {
  if (auto *items = value.asSequence())
    elementsLeft -= items->size();
  if (elementsLeft < 0)
    return fault(FaultKind::EvaluationTooLong, loc,
                 "the lists of the recipe take more than " + std::to_string(kMostElements) +
                     " elements");
  if (value.nesting() > kDeepestValue)
    return fault(FaultKind::TooDeep, loc,
                 "lists nested more than " + std::to_string(kDeepestValue) + " deep");
  if (auto *text = value.asString(); text && text->size() > kLongestString)
    return fault(FaultKind::EvaluationTooLong, loc,
                 "a string of more than " + std::to_string(kLongestString) + " letters");
  const Tensor *tensor = value.asTensor();
  int64_t elements = 1;
  for (int64_t size : tensor ? tensor->type().getShape() : ArrayRef<int64_t>())
    if (__builtin_mul_overflow(elements, size, &elements) || elements > kLargestTensor)
      return fault(FaultKind::ShapeMismatch, loc,
                   "a tensor " + formatType(tensor->type()) + " is more than any machine holds");
  return success();
}

FailureOr<Value> Evaluator::expression(mlir::Operation &op, Frame &frame) {
  using Result = FailureOr<Value>;
  auto at = [&](mlir::Value operand) -> const Value & { return frame.values[operand]; };
  auto all = [&](mlir::OperandRange operands) {
    std::vector<Value> values;
    for (mlir::Value operand : operands)
      values.push_back(at(operand));
    return values;
  };
  return llvm::TypeSwitch<mlir::Operation *, Result>(&op)
      .Case([&](vcs::LiteralOp o) { return literal(o); })
      .Case([&](vcs::WordOp o) -> Result { return Value(Word{o.getValueAttr()}); })
      .Case([&](vcs::RefOp o) { return declaration(o.getSymbol(), o.getLoc()); })
      .Case([&](vcs::BuiltinOp o) -> Result {
        if (o.getName() == "training")
          return Value(function ? function->training : true);
        return Value(BuiltinName{o.getNameAttr()});
      })
      .Case([&](vcs::ArgumentOp o) { return argument(o, frame); })
      .Case([&](vcs::SelfOp o) -> Result { return Value(frame.self); })
      .Case([&](vcs::PartOp o) -> Result {
        if (!environment)
          return fault(FaultKind::BadValue, o.getLoc(),
                       "`" + o.getName().str() + "` is not known here");
        return environment->part(o.getName(), o.getLoc());
      })
      .Case([&](vcs::InputOp o) -> Result {
        if (!environment)
          return fault(FaultKind::BadValue, o.getLoc(),
                       "`" + o.getName().str() + "` is not known here");
        return environment->input(o.getName(), o.getLoc());
      })
      .Case([&](vcs::GetOp o) { return get(at(o.getObject()), o.getName(), o.getLoc()); })
      .Case([&](vcs::SliceOp o) { return slice(o, frame); })
      .Case([&](vcs::EllipsisOp) -> Result { return Value(EllipsisValue{}); })
      .Case([&](vcs::IndexOp o) { return index(at(o.getObject()), all(o.getItems()), o.getLoc()); })
      .Case([&](vcs::CallOp o) { return callOp(o, frame); })
      .Case([&](vcs::UnaryOp o) { return unary(o, frame); })
      .Case([&](vcs::BinaryOp o) {
        return binary(o.getKind(), at(o.getLhs()), at(o.getRhs()), o.getLoc());
      })
      .Case([&](vcs::LogicalOp o) { return logical(o, frame); })
      .Case([&](vcs::ListOp o) -> Result { return Value::list(all(o.getElements())); })
      .Case([&](vcs::TupleOp o) -> Result { return Value::tuple(all(o.getElements())); })
      .Case([&](vcs::RangeOp o) -> Result {
        auto first = integer(at(o.getFirst()), "the first of a range", o.getLoc());
        auto last = integer(at(o.getLast()), "the end of a range", o.getLoc());
        if (failed(first) || failed(last))
          return failure();
        return Value(RangeValue{*first, *last});
      })
      .Case([&](vcs::ConditionalOp o) -> Result {
        auto chosen = condition(at(o.getCondition()), o.getLoc());
        if (failed(chosen))
          return failure();
        auto results = run(*chosen ? o.getThen() : o.getOtherwise(), frame);
        if (failed(results))
          return failure();
        return results->front();
      })
      .Case([&](vcs::ComprehensionOp o) { return comprehension(o, frame); })
      .Default([&](mlir::Operation *o) -> Result {
        return fault(FaultKind::NotSupported, o->getLoc(),
                     "`" + o->getName().getStringRef().str() + "` is not an expression");
      });
}

FailureOr<Value> Evaluator::literal(vcs::LiteralOp op) {
  mlir::Attribute attr = op.getValue();
  Value value;
  if (auto boolean = llvm::dyn_cast<mlir::BoolAttr>(attr))
    value = Value(boolean.getValue());
  else if (auto number = llvm::dyn_cast<mlir::IntegerAttr>(attr))
    value = Value(number.getValue().getSExtValue());
  else if (auto number = llvm::dyn_cast<mlir::FloatAttr>(attr))
    value = Value(number.getValueAsDouble());
  else if (auto text = llvm::dyn_cast<mlir::StringAttr>(attr))
    value = Value(text.getValue().str());
  if (auto unit = op.getUnit())
    return Value(Quantity{value.asNumber().value_or(0), *unit});
  return value;
}

FailureOr<Value> Evaluator::argument(vcs::ArgumentOp op, Frame &frame) {
  auto found = frame.arguments.find(op.getName());
  if (found != frame.arguments.end())
    return found->second;
  if (frame.self) {
    auto bound = frame.self->arguments.find(op.getNameAttr());
    if (bound != frame.self->arguments.end())
      return bound->second;
  }
  return fault(FaultKind::UnknownField, op.getLoc(),
               "`" + op.getName().str() + "` has no value here");
}

FailureOr<Value> Evaluator::slice(vcs::SliceOp op, Frame &frame) {
  SliceValue slice;
  auto take = [&](mlir::Value operand, std::optional<int64_t> &into) -> LogicalResult {
    if (!operand || frame.values[operand].isNone())
      return success();
    auto value = integer(frame.values[operand], "a bound of a slice", op.getLoc());
    if (failed(value))
      return failure();
    into = *value;
    return success();
  };
  if (failed(take(op.getStart(), slice.start)) || failed(take(op.getStop(), slice.stop)) ||
      failed(take(op.getStep(), slice.step)))
    return failure();
  return Value(slice);
}

FailureOr<Value> Evaluator::unary(vcs::UnaryOp op, Frame &frame) {
  const Value value = frame.values[op.getValue()];
  if (op.getKind() == vcs::Unary::Not) {
    if (auto *b = value.asBool())
      return Value(!*b);
    if (!value.asTensor())
      return fault(FaultKind::TypeMismatch, op.getLoc(),
                   "`not` needs a bool but gets " + value.describe());
    const Tensor &x = *value.asTensor();
    if (!x.element().isInteger(1))
      return fault(FaultKind::TypeMismatch, op.getLoc(),
                   "`not` needs a bool tensor but gets " + formatType(x.type()));
    GraphBuilder &g = function->graph;
    return Value(g.wrap(g.ops.create<tg::NotOp>(g.loc, x.value), x.origins));
  }
  if (auto *i = value.asInt())
    return *i == INT64_MIN ? Value(-static_cast<double>(*i)) : Value(-*i);
  if (auto number = value.asNumber())
    return Value(-*number);
  if (!value.asTensor() && !value.asWeight())
    return fault(FaultKind::TypeMismatch, op.getLoc(),
                 "`-` needs a number or a tensor but gets " + value.describe());
  auto x = toTensor(value, op.getLoc());
  if (failed(x))
    return failure();
  GraphBuilder &g = function->graph;
  return Value(g.wrap(g.ops.create<tg::NegOp>(g.loc, x->value), x->origins));
}

FailureOr<Value> Evaluator::logical(vcs::LogicalOp op, Frame &frame) {
  const Value left = frame.values[op.getLhs()];
  bool isAnd = op.getKind() == vcs::Logical::And;
  const char *word = isAnd ? "`and`" : "`or`";
  if (auto *b = left.asBool()) {
    if (*b != isAnd)
      return left;
    auto right = run(op.getRhs(), frame);
    if (failed(right))
      return failure();
    const Value &value = right->front();
    if (!value.asBool() && !value.asTensor())
      return fault(FaultKind::TypeMismatch, op.getLoc(),
                   std::string(word) + " needs bools but gets " + value.describe());
    return value;
  }
  if (!left.asTensor())
    return fault(FaultKind::TypeMismatch, op.getLoc(),
                 std::string(word) + " needs bools but gets " + left.describe());
  auto right = run(op.getRhs(), frame);
  if (failed(right))
    return failure();
  GraphBuilder &g = function->graph;
  auto b = toTensor(right->front(), op.getLoc(), g.ops.getI1Type());
  if (failed(b))
    return failure();
  if (!left.asTensor()->element().isInteger(1) || !b->element().isInteger(1))
    return fault(FaultKind::TypeMismatch, op.getLoc(),
                 std::string(word) + " needs bool tensors but gets " +
                     formatType(left.asTensor()->type()) + " and " + formatType(b->type()));
  auto pair = g.broadcastTogether(*left.asTensor(), *b);
  if (failed(pair))
    return failure();
  mlir::Value value =
      isAnd ? g.ops.create<tg::AndOp>(g.loc, pair->first.value, pair->second.value).getResult()
            : g.ops.create<tg::OrOp>(g.loc, pair->first.value, pair->second.value).getResult();
  return Value(g.wrap(value, pair->first.origins));
}

FailureOr<std::vector<Value>> Evaluator::targets(const Value &item, unsigned count,
                                                 mlir::Location loc) {
  if (count == 1)
    return std::vector<Value>{item};
  auto *items = item.asSequence();
  if (!items || items->size() != count)
    return fault(FaultKind::BadValue, loc,
                 std::to_string(count) + " names stand before `in` but each element is " +
                     item.describe());
  return *items;
}

FailureOr<Value> Evaluator::comprehension(vcs::ComprehensionOp op, Frame &frame) {
  auto items = elements(frame.values[op.getSequence()], op.getLoc());
  if (failed(items))
    return failure();
  unsigned count = op.getBody().getNumArguments();
  std::vector<Value> results;
  for (const Value &item : *items) {
    auto values = targets(item, count, op.getLoc());
    if (failed(values))
      return failure();
    if (!op.getFilter().empty()) {
      auto kept = run(op.getFilter(), frame, *values);
      if (failed(kept))
        return failure();
      auto chosen = condition(kept->front(), op.getLoc());
      if (failed(chosen))
        return failure();
      if (!*chosen)
        continue;
    }
    auto result = run(op.getBody(), frame, *values);
    if (failed(result))
      return failure();
    results.push_back(result->front());
  }
  return Value::list(std::move(results));
}

LogicalResult Evaluator::ifOp(vcs::IfOp op, Frame &frame) {
  auto chosen = condition(frame.values[op.getCondition()], op.getLoc());
  if (failed(chosen))
    return failure();
  mlir::Region &region = *chosen ? op.getThen() : op.getOtherwise();
  if (region.empty())
    return success();
  auto results = run(region, frame);
  if (failed(results))
    return failure();
  for (auto [slot, value] : llvm::zip(op.getResults(), *results))
    frame.values[slot] = value;
  return success();
}

LogicalResult Evaluator::forOp(vcs::ForOp op, Frame &frame) {
  auto items = elements(frame.values[op.getSequence()], op.getLoc());
  if (failed(items))
    return failure();
  std::vector<Value> carried;
  for (mlir::Value operand : op.getCarried())
    carried.push_back(frame.values[operand]);
  for (const Value &item : *items) {
    auto arguments = targets(item, op.getTargets(), op.getLoc());
    if (failed(arguments))
      return failure();
    arguments->insert(arguments->end(), carried.begin(), carried.end());
    auto results = run(op.getBody(), frame, *arguments);
    if (failed(results))
      return failure();
    carried = std::move(*results);
  }
  for (auto [slot, value] : llvm::zip(op.getResults(), carried))
    frame.values[slot] = value;
  return success();
}

FailureOr<std::vector<Value>> Evaluator::elements(const Value &sequence, mlir::Location loc) {
  if (auto *items = sequence.asSequence())
    return *items;
  if (auto *range = sequence.asRange()) {
    int64_t count = range->end > range->begin ? range->end - range->begin : 0;
    if (count > kLongestRange)
      return fault(FaultKind::EvaluationTooLong, loc,
                   "the range " + sequence.print() + " has more than " +
                       std::to_string(kLongestRange) + " elements");
    std::vector<Value> items;
    for (int64_t i = range->begin; i < range->end; ++i)
      items.push_back(Value(i));
    return items;
  }
  return fault(FaultKind::TypeMismatch, loc,
               "a list, a tuple or a range is needed here but this is " + sequence.describe());
}

FailureOr<bool> Evaluator::condition(const Value &value, mlir::Location loc) {
  if (auto *b = value.asBool())
    return *b;
  if (value.asTensor())
    return fault(FaultKind::NotCompileTime, loc,
                 "a condition must be known at compile time but this is " + value.describe())
        .help("use `select(condition, a, b)` to choose element by element");
  return fault(FaultKind::TypeMismatch, loc,
               "a condition must be a bool but this is " + value.describe());
}

FailureOr<int64_t> Evaluator::integer(const Value &value, StringRef what, mlir::Location loc) {
  if (auto *i = value.asInt())
    return *i;
  return fault(FaultKind::TypeMismatch, loc,
               (what + " must be an int but is " + value.describe()).str());
}

FailureOr<double> Evaluator::number(const Value &value, StringRef what, mlir::Location loc) {
  if (auto v = value.asNumber())
    return *v;
  return fault(FaultKind::TypeMismatch, loc,
               (what + " must be a number but is " + value.describe()).str());
}

FailureOr<std::vector<int64_t>> Evaluator::integers(const Value &value, StringRef what,
                                                    mlir::Location loc) {
  if (auto *i = value.asInt())
    return std::vector<int64_t>{*i};
  auto items = elements(value, loc);
  if (failed(items))
    return failure();
  std::vector<int64_t> result;
  for (const Value &item : *items) {
    auto i = integer(item, what, loc);
    if (failed(i))
      return failure();
    result.push_back(*i);
  }
  return result;
}

FailureOr<Tensor> Evaluator::toTensor(const Value &value, mlir::Location loc, mlir::Type numbers) {
  if (auto *tensor = value.asTensor())
    return *tensor;
  if (!function)
    return fault(FaultKind::BadValue, loc,
                 "a tensor operation has no place here: the model is being put together, not run")
        .help("move it into `forward` or into the stage's `loss`");
  if (Weight *weight = value.asWeight())
    return function->read(*weight);
  mlir::Type element = numbers ? numbers : function->graph.ops.getF32Type();
  if (auto *b = value.asBool(); b && element.isInteger(1))
    return function->graph.splat(*b, element, {});
  if (auto number = value.asNumber()) {
    if (!llvm::isa<mlir::FloatType>(element) &&
        *number != static_cast<double>(static_cast<int64_t>(*number)))
      return fault(FaultKind::TypeMismatch, loc,
                   value.print() + " is not a whole number, but the tensor beside it is " +
                       formatElement(element))
          .help("write `cast(x, f32)`");
    return function->graph.splat(*number, element, {});
  }
  return fault(FaultKind::TypeMismatch, loc,
               "a tensor is needed here but this is " + value.describe());
}

FailureOr<Value> Evaluator::declaration(mlir::SymbolRefAttr symbol, mlir::Location loc) {
  mlir::Operation *found = vcs::findDeclaration(recipe, symbol);
  if (!found)
    return fault(FaultKind::UnknownField, loc,
                 "`" + symbol.getLeafReference().str() + "` is not declared");
  auto constant = llvm::dyn_cast<vcs::ConstOp>(found);
  if (!constant)
    return Value(Callable{found, nullptr});
  auto known = constants.find(found);
  if (known != constants.end())
    return known->second;
  if (!running.insert(found).second)
    return fault(FaultKind::TooDeep, loc,
                 "the constant `" + symbolName(found) + "` is defined by itself");
  // A constant means the same wherever it is used, so it may not see the function being traced.
  FunctionBuilder *outer = std::exchange(function, nullptr);
  auto value = evaluate(constant.getValue());
  function = outer;
  running.erase(found);
  if (failed(value))
    return failure();
  constants[found] = *value;
  return *value;
}

mlir::Operation *Evaluator::lookup(StringRef module, StringRef name) {
  auto *ctx = recipe.getContext();
  return vcs::findDeclaration(
      recipe, mlir::SymbolRefAttr::get(ctx, module, {mlir::FlatSymbolRefAttr::get(ctx, name)}));
}

} // namespace vcc::elaborate
