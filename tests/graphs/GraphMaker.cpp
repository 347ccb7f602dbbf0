// SPDX-License-Identifier: Apache-2.0
//
// The stage around the operations: functions, states, inputs, and the pool of values.
#include "tests/graphs/GraphMaker.h"

#include "compiler/differentiate/Passes.h"

#include "mlir/IR/Verifier.h"

#include <cmath>

using namespace mlir;
using namespace vcc;
using namespace vcc::graphs;

Graph graphs::makeGraph(uint64_t seed, MLIRContext &context) { return GraphMaker(seed, context).make(); }

GraphMaker::GraphMaker(uint64_t seed, MLIRContext &context)
    : random(seed * 0x9E3779B97F4A7C15u + 1), ops(&context), loc(UnknownLoc::get(&context)), f32(ops.getF32Type()),
      i32(ops.getI32Type()), i1(ops.getI1Type()) {}

int64_t GraphMaker::between(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}

// Mostly small and odd sizes; 1 often; sometimes more than a register or a block holds.
int64_t GraphMaker::size() {
  switch (random() % 8) {
  case 0:
    return 1;
  case 1:
    return between(5, large ? 70 : 19);
  case 2:
    return between(2, large ? 130 : 9);
  default:
    return between(2, 5);
  }
}

Sizes GraphMaker::someShape(int64_t rank) {
  int64_t most = large ? 30000 : 400;
  Sizes shape;
  do {
    shape.clear();
    for (int64_t axis = 0; axis < rank; ++axis)
      shape.push_back(size());
  } while (tg::elementCount(shape) > most);
  return shape;
}

Graph GraphMaker::make() {
  module = ModuleOp::create(loc);
  large = oneIn(20);
  graph.exact = !oneIn(4);
  training = oneIn(2);
  if (training) {
    makeForward();
    if (!oneIn(3))
      groupWeights();
    makeUpdate();
  } else {
    if (oneIn(4))
      makeInit();
    makeEvaluation();
  }
  llvm::raw_string_ostream(graph.text) << *module;
  return std::move(graph);
}

void GraphMaker::beginFunction(StringRef name) {
  ops.setInsertionPointToEnd(module->getBody());
  function = ops.create<func::FuncOp>(loc, name, ops.getFunctionType({}, {}));
  ops.setInsertionPointToEnd(function.addEntryBlock());
  pool.clear();
  randomState = loss = nullptr;
  bound = 260;
}

void GraphMaker::endFunction() { ops.create<func::ReturnOp>(loc); }

// Weights drawn at random, which the functions after it read.
void GraphMaker::makeInit() {
  beginFunction("init");
  for (int64_t i = 0, count = between(1, 3); i < count; ++i) {
    Sizes shape = someShape(between(0, 3));
    auto type = floats(shape);
    Value drawn = oneIn(2) ? make<tg::RandomNormalOp>(floats({1, type.getNumElements()}), rng(), site())
                           : make<tg::RandomUniformOp>(floats({1, type.getNumElements()}), rng(), site());
    Value scaled = same<tg::MulOp>(drawn, splat(drawn, 0.25));
    Value value = oneIn(4) ? splat(weight(shape, false), 0.5) : make<tg::ReshapeOp>(type, scaled);
    std::string name = "w" + std::to_string(names++);
    declareState(name, tg::StateKind::Weight, type, false);
    keep(ops.create<tg::WriteOp>(loc, name, value, false));
  }
  endFunction();
}

void GraphMaker::makeForward() {
  int64_t accumulate = between(0, 2);
  if (accumulate)
    module->getOperation()->setAttr("tg.accumulate", ops.getI64IntegerAttr(accumulate));
  beginFunction("forward_main");
  offer(weight(someShape(between(1, 4)), true));
  steps(between(3, large ? 6 : 11));
  finishValues(true);
  endFunction();
  SmallVector<Attribute> idle;
  for (const std::string &path : differentiate::findUnreachedWeights(*module))
    idle.push_back(ops.getStringAttr(path));
  if (!idle.empty())
    module->getOperation()->setAttr("tg.idle", ops.getArrayAttr(idle));
}

void GraphMaker::makeEvaluation() {
  beginFunction("evaluate_main");
  offer(leaf(someShape(between(0, 5))));
  steps(between(4, large ? 7 : 13));
  finishValues(false);
  endFunction();
}

void GraphMaker::steps(int64_t count, bool withLeaf) {
  if (withLeaf)
    offer(leaf(someShape(between(1, 4))));
  // More than is summed in one part; of squares, since so long a sum that cancels is another number in each order of its parts.
  if (withLeaf && large && oneIn(2)) {
    Value wave = same<tg::SinOp>(leaf({between(200, 400), between(60, 100)}));
    offer(sumOver(same<tg::MulOp>(same<tg::MulOp>(wave, wave), splat(wave, 0x1p-8)), oneIn(2) ? Sizes{0} : Sizes{0, 1}, tg::ReduceKind::Sum));
  }
  if (withLeaf && training && oneIn(10))
    gainAndBias();
  for (int64_t taken = 0, tried = 0; taken < count && tried < 4 * count; ++tried)
    taken += step();
}

bool GraphMaker::step() {
  using Step = void (GraphMaker::*)();
  static constexpr Step table[] = {
      &GraphMaker::unary,     &GraphMaker::unary,       &GraphMaker::unary,        &GraphMaker::binary,
      &GraphMaker::binary,    &GraphMaker::binary,      &GraphMaker::power,        &GraphMaker::whole,
      &GraphMaker::truth,     &GraphMaker::truth,       &GraphMaker::select,       &GraphMaker::convert,
      &GraphMaker::truth,     &GraphMaker::truth,       &GraphMaker::concat,       &GraphMaker::reduce,
      &GraphMaker::reduce,    &GraphMaker::broadcast,   &GraphMaker::broadcast,    &GraphMaker::reshape,
      &GraphMaker::reshape,   &GraphMaker::transpose,   &GraphMaker::transpose,    &GraphMaker::slice,
      &GraphMaker::concat,    &GraphMaker::pad,         &GraphMaker::halves,       &GraphMaker::gather,
      &GraphMaker::scatter,   &GraphMaker::collective, &GraphMaker::source,      &GraphMaker::product,      &GraphMaker::linear,
      &GraphMaker::linear,    &GraphMaker::gatedLinear, &GraphMaker::matmul,       &GraphMaker::normalise,
      &GraphMaker::softmax,   &GraphMaker::attention,   &GraphMaker::crossEntropy, &GraphMaker::dropout,
      &GraphMaker::fence,     &GraphMaker::stateChange, &GraphMaker::segment,      &GraphMaker::segment,
  };
  Block &body = function.getBody().front();
  Operation *before = body.empty() ? nullptr : &body.back();
  size_t offered = pool.size();
  Value draws = randomState;
  try {
    (this->*table[random() % std::size(table)])();
    return true;
  } catch (Refused) {
    pool.resize(offered);
    randomState = draws;
    while (!body.empty() && &body.back() != before) {
      for (Value result : body.back().getResults())
        values.erase(result);
      body.back().erase();
    }
    return false;
  }
}

// What nothing uses is given out: to the loss where a gradient can come back, else as outputs.
void GraphMaker::finishValues(bool trained) {
  int outputs = 0;
  bound = 1e9; // sums of what is bounded may be larger
  for (Value value : std::vector<Value>(pool)) {
    if (!value.use_empty() && !oneIn(12))
      continue;
    if (!isa<FloatType>(getElementTypeOrSelf(value)))
      value = make<tg::CastOp>(floats(shapeOf(value)), value);
    if (trained && known(value).active)
      addToLoss(value);
    else
      ops.create<tg::OutputOp>(loc, "out" + std::to_string(outputs++), value);
  }
  if (!trained)
    return;
  if (!loss)
    addToLoss(weight(someShape(2), true));
  ops.create<tg::LossOp>(loc, loss);
}

// Weighed by signed factors away from zero, as a mean.
void GraphMaker::addToLoss(Value value) {
  Value factors = input(value.getType(), [&] { return (oneIn(2) ? 1.0 : -1.0) * (0.5 + std::abs(number())); });
  Sizes axes;
  for (int64_t axis = 0; axis < rankOf(value); ++axis)
    axes.push_back(axis);
  Value product = same<tg::MulOp>(value, factors), sum = product;
  if (!axes.empty())
    sum = make<tg::ReduceOp>(floats({}), product, tg::ReduceKind::Sum, axes);
  sum = same<tg::MulOp>(sum, splat(sum, std::exp2(-std::floor(std::log2(tg::elementCount(shapeOf(value)))))));
  loss = loss ? same<tg::AddOp>(loss, sum) : sum;
}

// States and inputs.

Operation *GraphMaker::declareState(const std::string &name, tg::StateKind kind, RankedTensorType type, bool trains) {
  OpBuilder declarations = OpBuilder::atBlockBegin(module->getBody());
  current.try_emplace(name, Numbers(type.getNumElements(), 0.0));
  return declarations.create<tg::StateOp>(loc, name, kind, type, trains, FlatSymbolRefAttr(), IntegerAttr());
}

Value GraphMaker::weight(ArrayRef<int64_t> shape, bool trains) {
  auto type = floats(shape);
  std::string name = "w" + std::to_string(names++);
  Numbers numbers(type.getNumElements());
  for (double &value : numbers)
    value = number();
  current[name] = graph.states[name] = numbers;
  declareState(name, tg::StateKind::Weight, type, trains);
  if (trains)
    trainable.push_back(name);
  Value read = make<tg::ReadOp>(type, name);
  values[read].exact = true;
  values[read].active = trains;
  return read;
}

Value GraphMaker::leaf(ArrayRef<int64_t> shape) {
  if (oneIn(3))
    return input(floats(shape), [&] { return number(); });
  return weight(shape, training && !oneIn(4));
}

Value GraphMaker::input(Type type, llvm::function_ref<double()> sample) {
  std::string name = "x" + std::to_string(names++);
  Numbers &numbers = graph.inputs[name];
  numbers.resize(cast<RankedTensorType>(type).getNumElements());
  for (double &value : numbers)
    value = sample();
  Value value = make<tg::InputOp>(type, name);
  values[value].exact = true;
  return value;
}

Value GraphMaker::indices(ArrayRef<int64_t> shape, int64_t low, int64_t high) {
  return input(wholes(shape), [&] { return static_cast<double>(between(low, high)); });
}

Value GraphMaker::rng() {
  if (!randomState)
    randomState = input(wholes({4}), [&] { return static_cast<double>(between(0, 1 << 30)); });
  return randomState;
}

tg::SiteAttr GraphMaker::site() {
  return tg::SiteAttr::get(ops.getContext(), "blocks." + std::to_string(between(0, 99)) + ".drop");
}

Value GraphMaker::splat(Value like, double value) {
  auto type = tg::tensorType(like);
  Value constant = keep(ops.create<tg::ConstantOp>(loc, tg::splatAttribute(type, value)));
  return constant;
}

// One flat state holds all trainable weights, another their gradients, as stages have it.
void GraphMaker::groupWeights() {
  int64_t offset = 0;
  OpBuilder declarations = OpBuilder::atBlockBegin(module->getBody());
  for (const std::string &name : trainable) {
    auto state = cast<tg::StateOp>(module->lookupSymbol(name));
    state.setStorageAttr(FlatSymbolRefAttr::get(ops.getContext(), "group0:weight"));
    state.setOffset(offset);
    declarations.create<tg::StateOp>(loc, "gradient:" + name, tg::StateKind::Gradient, state.getTensorType(), false,
                                     FlatSymbolRefAttr::get(ops.getContext(), "group0:gradient"),
                                     declarations.getI64IntegerAttr(offset));
    offset += state.getTensorType().getNumElements();
  }
  declarations.setInsertionPointToStart(module->getBody());
  auto flat = floats({offset});
  declarations.create<tg::StateOp>(loc, "group0:weight", tg::StateKind::Weight, flat, false, FlatSymbolRefAttr(),
                                   IntegerAttr());
  declarations.create<tg::StateOp>(loc, "group0:gradient", tg::StateKind::Gradient, flat, false, FlatSymbolRefAttr(),
                                   IntegerAttr());
}

// The optimizer. Its values are not known here (gradients are not there yet), so its operations are safe for any.
void GraphMaker::makeUpdate() {
  beginFunction("update");
  if (auto flat = cast_if_present<tg::StateOp>(module->lookupSymbol("group0:weight")))
    updateState("group0:weight", "group0:gradient", flat.getTensorType());
  else if (!trainable.empty() && !module->getOperation()->hasAttr("tg.idle")) {
    for (const std::string &name : trainable) {
      auto state = cast<tg::StateOp>(module->lookupSymbol(name));
      OpBuilder declarations(ops.getContext());
      declarations.setInsertionPointAfter(state);
      declarations.create<tg::StateOp>(loc, "gradient:" + name, tg::StateKind::Gradient, state.getTensorType(), false,
                                       FlatSymbolRefAttr(), IntegerAttr());
      updateState(name, "gradient:" + name, state.getTensorType());
    }
  }
  endFunction();
}

void GraphMaker::updateState(const std::string &weight, const std::string &gradient, RankedTensorType type) {
  auto binary = [&](auto tag, Value x, Value y) -> Value {
    return ops.create<typename decltype(tag)::type>(loc, x.getType(), x, y);
  };
  auto number = [&](double value) -> Value { return ops.create<tg::ConstantOp>(loc, tg::splatAttribute(type, value)); };
  using Add = std::common_type<tg::AddOp>;
  using Sub = std::common_type<tg::SubOp>;
  using Mul = std::common_type<tg::MulOp>;
  using Div = std::common_type<tg::DivOp>;
  Value w = ops.create<tg::ReadOp>(loc, type, weight), g = ops.create<tg::ReadOp>(loc, type, gradient);
  if (oneIn(2)) { // clipped by the norm
    Sizes axes;
    for (int64_t axis = 0; axis < type.getRank(); ++axis)
      axes.push_back(axis);
    Value squares = binary(Mul{}, g, g);
    Value sum = ops.create<tg::ReduceOp>(loc, floats({}), squares, tg::ReduceKind::Sum, axes);
    Value one = ops.create<tg::ConstantOp>(loc, tg::splatAttribute(floats({}), 1.0));
    Value factor = ops.create<tg::RsqrtOp>(loc, floats({}), binary(Add{}, sum, one));
    ops.create<tg::OutputOp>(loc, "norm:" + weight, sum);
    g = binary(Mul{}, g, ops.create<tg::BroadcastOp>(loc, type, factor, ArrayRef<int64_t>{}));
  }
  Value change = g;
  if (oneIn(2)) { // moments
    std::string first = "m:" + weight, second = "v:" + weight;
    for (const std::string &name : {first, second}) {
      declareState(name, tg::StateKind::Moment, type, false);
      Numbers &numbers = graph.states[name];
      numbers.resize(type.getNumElements());
      for (double &value : numbers)
        value = static_cast<double>(between(0, 256)) / 1024;
    }
    Value m = ops.create<tg::ReadOp>(loc, type, first), v = ops.create<tg::ReadOp>(loc, type, second);
    m = binary(Add{}, binary(Mul{}, m, number(0.875)), binary(Mul{}, g, number(0.125)));
    v = binary(Add{}, binary(Mul{}, v, number(0.75)), binary(Mul{}, binary(Mul{}, g, g), number(0.25)));
    ops.create<tg::WriteOp>(loc, first, m, false);
    ops.create<tg::WriteOp>(loc, second, v, false);
    Value root = ops.create<tg::SqrtOp>(loc, type, binary(Add{}, v, number(0.0625)));
    change = binary(Div{}, m, root);
  }
  if (oneIn(2))
    change = binary(Add{}, change, binary(Mul{}, w, number(0.0625)));
  ops.create<tg::WriteOp>(loc, weight, binary(Sub{}, w, binary(Mul{}, change, number(0.125))), false);
  if (!oneIn(3))
    ops.create<tg::WriteOp>(loc, gradient, number(0.0), false);
}

// Evaluation.

Value GraphMaker::keep(Operation *op, unsigned result) {
  refuse(failed(verify(op)));
  SmallVector<const tg::HostTensor *> operands;
  SmallVector<tg::HostTensor> results;
  bool exact = movesOnly(op), active = false;
  for (Value operand : op->getOperands()) {
    const Known &from = values[operand];
    operands.push_back(&from.data);
    exact &= from.exact;
    active |= from.active;
  }
  for (Type type : op->getResultTypes())
    results.emplace_back(cast<RankedTensorType>(type));
  refuse(failed(tg::evaluateOp(op, *this, operands, results)));
  for (auto [value, data] : llvm::zip_equal(op->getResults(), results)) {
    bool whole = isa<IntegerType>(data.ElementType);
    for (double element : data.Data)
      refuse(!(std::abs(element) <= (whole ? 1e6 : bound)) && !isa<tg::InputOp, tg::AttentionOp>(op));
    values[value] = {std::move(data), exact || whole, active && !whole && !isa<tg::StopGradientOp>(op)};
  }
  return op->getNumResults() ? op->getResult(result) : Value();
}

LogicalResult GraphMaker::readState(StringRef path, tg::HostTensor &value) {
  value.Data = current.at(path.str());
  return success();
}
LogicalResult GraphMaker::writeState(StringRef path, const tg::HostTensor &value, bool accumulate) {
  Numbers &state = current.at(path.str());
  for (auto [to, from] : llvm::zip_equal(state, value.Data))
    to = accumulate ? to + from : from;
  return success();
}
LogicalResult GraphMaker::readInput(StringRef name, tg::HostTensor &value) {
  value.Data = graph.inputs.at(name.str());
  return success();
}

// The pool.

Value GraphMaker::take(llvm::function_ref<bool(Value)> fits) {
  // The newest values more often, so that graphs grow deep.
  for (int tries = 0; tries < 12; ++tries) {
    size_t place = std::max(random() % pool.size(), random() % pool.size());
    if (fits(pool[place]))
      return pool[place];
  }
  throw Refused{};
}

static bool isFloat(Value value) { return isa<FloatType>(getElementTypeOrSelf(value)); }

Value GraphMaker::takeFloat(int64_t leastRank, int64_t mostElements) {
  return take([&](Value value) {
    return isFloat(value) && rankOf(value) >= leastRank && tg::tensorType(value).getNumElements() <= mostElements;
  });
}

Value GraphMaker::takeWhole() {
  if (oneIn(3))
    return indices(someShape(between(0, 3)), -6, 9);
  return take([&](Value value) { return getElementTypeOrSelf(value) == i32; });
}

Value GraphMaker::takeTruth() {
  if (oneIn(4))
    return input(RankedTensorType::get(someShape(between(0, 3)), i1), [&] { return oneIn(2) ? 1.0 : 0.0; });
  return take([&](Value value) { return getElementTypeOrSelf(value) == i1; });
}

Value GraphMaker::takeLike(Type type) {
  if (!oneIn(3))
    for (int tries = 0; tries < 6; ++tries)
      if (Value value = pool[random() % pool.size()]; value.getType() == type)
        return value;
  Type element = getElementTypeOrSelf(type);
  ArrayRef<int64_t> shape = cast<RankedTensorType>(type).getShape();
  if (element == i32)
    return indices(shape, -6, 9);
  if (element == i1)
    return input(type, [&] { return oneIn(2) ? 1.0 : 0.0; });
  return leaf(shape);
}
