// SPDX-License-Identifier: Apache-2.0
//
// Instances of layers: fields in order (or earlier, when another field asks for one), weights with
// their shapes, and the place of every part.
#include "compiler/elaborate/Evaluator.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

static constexpr size_t kMostParts = 200'000;

FailureOr<Part *> Evaluator::instantiate(mlir::Operation *declaration,
                                         const CallArguments &arguments, mlir::Location loc) {
  if (stack.size() >= 200 || arena.parts.size() >= kMostParts)
    return fault(FaultKind::TooDeep, loc,
                 "`" + symbolName(declaration) +
                     "` holds itself without end, or the model has more than " +
                     std::to_string(kMostParts) + " parts");
  Frame frame;
  std::string name = symbolName(declaration);
  mlir::Block &body = declaration->getRegion(0).front();
  stack.push_back({loc, name});
  auto leave = [&](FailureOr<Part *> result) {
    stack.pop_back();
    return result;
  };
  frame.keepsOrigins = true;
  if (failed(bind(body, arguments, frame, name, loc, declaration)))
    return leave(failure());
  Part &part = arena.parts.emplace_back(declaration, loc);
  for (auto param : body.getOps<vcs::ParamOp>()) {
    part.arguments[param.getNameAttr()] = frame.arguments.lookup(param.getName());
    part.origins.push_back(frame.origins.find(param.getName())->second);
  }
  Frame fields;
  fields.self = &part;
  if (failed(declareFields(part, body, fields)))
    return leave(failure());
  bool good = true;
  // By name: an element of the map may move while another field is evaluated.
  llvm::SmallVector<mlir::StringAttr> names;
  for (auto &entry : part.fields)
    names.push_back(entry.first);
  for (mlir::StringAttr field : names)
    good &= succeeded(this->field(part, part.fields[field]));
  if (!good)
    return leave(failure());
  return leave(&part);
}

LogicalResult Evaluator::declareFields(Part &part, mlir::Block &block, Frame &frame) {
  for (mlir::Operation &op : block) {
    if (auto choice = llvm::dyn_cast<vcs::StaticIfOp>(op)) {
      auto value = run(choice.getCondition(), frame);
      if (failed(value))
        return failure();
      auto chosen = condition(value->front(), choice.getLoc());
      if (failed(chosen))
        return failure();
      mlir::Region &region = *chosen ? choice.getThen() : choice.getOtherwise();
      if (!region.empty() && failed(declareFields(part, region.front(), frame)))
        return failure();
      continue;
    }
    mlir::StringAttr name;
    if (auto weight = llvm::dyn_cast<vcs::WeightOp>(op))
      name = weight.getNameAttr();
    else if (auto field = llvm::dyn_cast<vcs::FieldOp>(op))
      name = field.getNameAttr();
    else
      continue;
    Field &field = part.fields[name];
    if (field.op)
      return fault(FaultKind::BadValue, op.getLoc(), "`" + name.str() + "` is declared twice")
          .note(field.op->getLoc(), "first here");
    field.op = &op;
  }
  return success();
}

FailureOr<Value> Evaluator::field(Part &part, Field &field) {
  if (field.state == Field::State::Done)
    return field.value;
  if (field.state == Field::State::Failed)
    return failure();
  if (field.state == Field::State::Running)
    return fault(FaultKind::TooDeep, field.op->getLoc(),
                 "this field of `" + part.layerName() + "` is defined by itself");
  field.state = Field::State::Running;
  Frame frame;
  frame.self = &part;
  // Fields belong to the model, not to the function that happens to ask for them first.
  FunctionBuilder *outer = std::exchange(function, nullptr);
  FailureOr<Value> value = failure();
  std::string name;
  if (auto op = llvm::dyn_cast<vcs::WeightOp>(field.op)) {
    name = op.getName().str();
    value = weight(part, op, frame);
  } else {
    auto plain = llvm::cast<vcs::FieldOp>(field.op);
    name = plain.getName().str();
    auto results = run(plain.getValue(), frame);
    if (succeeded(results))
      value = results->front();
  }
  function = outer;
  field.state = failed(value) ? Field::State::Failed : Field::State::Done;
  if (failed(value))
    return failure();
  place(*value, &part, name);
  field.value = *value;
  return *value;
}

FailureOr<Value> Evaluator::weight(Part &part, vcs::WeightOp op, Frame &frame) {
  auto sizes = run(op.getShape(), frame);
  auto init = run(op.getInit(), frame);
  if (failed(sizes) || failed(init))
    return failure();
  Weight weight(op.getLoc());
  weight.owner = &part;
  weight.name = op.getName().str();
  weight.init = init->front();
  if (op.getDtype() != vcs::Dtype::F32 && op.getDtype() != vcs::Dtype::Any)
    return fault(FaultKind::NotSupported, op.getLoc(),
                 "weights other than f32 are not supported yet");
  int64_t elements = 1;
  // Sizes of a library layer were decided where the recipe made the part.
  mlir::Location decided = op.getLoc();
  for (const Call &made : llvm::reverse(stack)) {
    if (!sink.inLibrary(decided))
      break;
    decided = made.loc;
  }
  for (const Value &size : *sizes) {
    auto extent = integer(size, "a size of `" + weight.name + "`", op.getLoc());
    if (failed(extent))
      return failure();
    if (*extent <= 0 || __builtin_mul_overflow(elements, *extent, &elements) ||
        elements > (int64_t(1) << 40))
      return fault(FaultKind::BadValue, op.getLoc(),
                   "`" + weight.name + "` cannot have an axis of " + std::to_string(*extent) +
                       " elements");
    weight.shape.push_back(*extent);
    std::string what = "axis " + std::to_string(weight.shape.size() - 1) + " of `" +
                       part.layerName() + "." + weight.name + "`";
    weight.origins.push_back({decided, mlir::StringAttr::get(context(), what)});
  }
  if (!op.getWithin().empty()) {
    auto bounds = run(op.getWithin(), frame);
    if (failed(bounds))
      return failure();
    auto low = number((*bounds)[0], "a bound", op.getLoc()),
         high = number((*bounds)[1], "a bound", op.getLoc());
    if (failed(low) || failed(high))
      return failure();
    if (!(*low <= *high))
      return fault(FaultKind::BadValue, op.getLoc(),
                   "the bounds of `" + weight.name + "` are the wrong way round");
    weight.bounds = {*low, *high};
  }
  return Value(&arena.weights.emplace_back(std::move(weight)));
}

void Evaluator::place(const Value &value, Part *parent, StringRef name) {
  if (Part *part = value.asPart()) {
    if (part->placed || part == parent)
      return;
    part->placed = true;
    part->parent = parent;
    part->name = name.str();
    return;
  }
  if (auto *items = value.asSequence())
    for (auto [i, item] : llvm::enumerate(*items))
      place(item, parent, (name + "[" + std::to_string(i) + "]").str());
}

FailureOr<Value> Evaluator::repeat(const Value &value, int64_t count, mlir::Location loc) {
  if (count < 0 || count > 100'000)
    return fault(FaultKind::BadValue, loc,
                 "cannot repeat something " + std::to_string(count) + " times");
  std::vector<Value> items;
  Part *part = value.asPart();
  if (auto *list = value.asSequence()) {
    if (static_cast<int64_t>(list->size()) * count > 1'000'000)
      return fault(FaultKind::BadValue, loc, "the list would have more than a million elements");
    for (int64_t i = 0; i < count; ++i)
      items.insert(items.end(), list->begin(), list->end());
    return Value::list(std::move(items));
  }
  // `Block(c) * n` is n blocks, each with weights of its own.
  CallArguments arguments;
  for (auto &[name, argument] : part->arguments) {
    arguments.names.push_back(name.str());
    arguments.values.push_back(argument);
  }
  for (int64_t i = 0; i < count; ++i) {
    auto copy = i == 0 && !part->placed ? FailureOr<Part *>(part)
                                        : instantiate(part->layer, arguments, loc);
    if (failed(copy))
      return failure();
    items.push_back(Value(*copy));
  }
  return Value::list(std::move(items));
}

} // namespace vcc::elaborate
