// SPDX-License-Identifier: Apache-2.0
//
// Decisions about memory, before offsets. States are read where they lie; a result goes straight into the state or
// output that it is written to when nothing needs the old value later; parts of a concatenation are made in their place.
#include "compiler/schedule/FunctionPlan.h"
#include "dialects/tg/Build.h"
#include "runtime/program/Abi.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::schedule;

Value FunctionPlan::rootOf(Value value) {
  while (auto reshape = value.getDefiningOp<tg::ReshapeOp>())
    value = reshape.getX();
  return value;
}

namespace {

bool isCompute(Operation *op) {
  return isa_and_nonnull<tg::LaunchOp, tg::GemmOp, tg::AttentionOp, tg::AttentionGradOp, tg::AllGatherOp, tg::ReduceScatterOp>(op);
}

/// The value that an operation stores, if it does.
Value storedValue(Operation *op) {
  if (auto write = dyn_cast<tg::WriteOp>(op))
    return write.getValue();
  if (auto output = dyn_cast<tg::OutputOp>(op))
    return output.getValue();
  if (auto loss = dyn_cast<tg::LossOp>(op))
    return loss.getValue();
  return {};
}

int64_t bytesOf(Value value) {
  auto type = tg::tensorType(value);
  return type.getNumElements() * exec::bytesOfElement(type.getElementType());
}

} // namespace

SmallVector<unsigned> schedule::inputParams(tg::KernelOp kernel) {
  SmallVector<unsigned> params;
  for (unsigned i = 0; i < kernel.getParams().size(); ++i)
    if (kernel.getParam(i).getKind() != tg::ParamKind::Uniform)
      params.push_back(i);
  return params;
}

bool schedule::sameAccess(tg::LaunchOp launch, tg::KernelOp kernel, unsigned input, unsigned output) {
  tg::ParamAttr param = kernel.getParam(inputParams(kernel)[input]);
  tg::ResultAttr result = kernel.getResultKind(output);
  bool rows = param.getKind() == tg::ParamKind::Row && result.getKind() == tg::ResultKind::Row &&
              param.getStride() == result.getStride();
  bool scalars = param.getKind() == tg::ParamKind::Scalar && result.getKind() == tg::ResultKind::Scalar;
  ArrayAttr access = launch.getAccess();
  return (rows || scalars) && access[input] == access[launch.getInputs().size() + output];
}

FailureOr<FunctionPlan> FunctionPlan::make(func::FuncOp function, RegionLayout &layout, const SymbolTable &kernels,
                                           const AttentionTarget &attention) {
  FunctionPlan plan(function, layout, kernels, attention);
  if (failed(plan.check()))
    return failure();
  plan.number();
  plan.findWindows();
  plan.chooseTargets();
  plan.chooseSnapshots();
  plan.buildSteps();
  plan.shareInPlace();
  plan.describe();
  return plan;
}

LogicalResult FunctionPlan::check() {
  for (Operation &op : function.getBody().front()) {
    if (!isCompute(&op) && !storedValue(&op) &&
        !isa<tg::ReadOp, tg::InputOp, tg::ConstantOp, tg::ReshapeOp, tg::ConcatOp, func::ReturnOp>(op))
      return op.emitOpError("cannot be scheduled: it is neither a launch nor a library call (has fusion run?)");
    auto dropout = [&](APFloat rate) -> LogicalResult {
      if (!rate.isZero())
        return op.emitOpError("has dropout on the probabilities, which the attention call cannot do");
      return success();
    };
    if (auto attention = dyn_cast<tg::AttentionOp>(op); attention && failed(dropout(attention.getDropout())))
      return failure();
    if (auto grad = dyn_cast<tg::AttentionGradOp>(op); grad && failed(dropout(grad.getDropout())))
      return failure();
    if (isa<tg::GemmOp, tg::AttentionOp, tg::AttentionGradOp, tg::ReduceScatterOp>(op)) {
      Type element = tg::tensorType(op.getOperand(0)).getElementType();
      bool narrow = element.isBF16() || element.isF16();
      if (!element.isF32() && (!narrow || isa<tg::ReduceScatterOp>(op)))
        return op.emitOpError("works on ") << element << " but library calls take f32"
                                           << (isa<tg::ReduceScatterOp>(op) ? "" : ", bf16 and f16");
    }
    if (auto write = dyn_cast<tg::WriteOp>(op); write && write.getAccumulate())
      return op.emitOpError("accumulates but fusion has to split that into a read, an add and a write");
    if (auto concat = dyn_cast<tg::ConcatOp>(op))
      for (Value part : concat.getInputs())
        if (!part.getDefiningOp<tg::LaunchOp>() || !part.hasOneUse())
          return op.emitOpError("joins a value that is not a launch's own result for it");
  }
  return success();
}

void FunctionPlan::number() {
  int next = 0;
  for (Operation &op : function.getBody().front()) {
    position[&op] = next++;
    if (isa<tg::ReshapeOp>(op))
      continue;
    for (Value operand : op.getOperands())
      uses[rootOf(operand)].push_back(position[&op]);
  }
}

void FunctionPlan::findWindows() {
  for (auto concat : function.getOps<tg::ConcatOp>())
    for (OpOperand &operand : concat->getOpOperands())
      windowUse[operand.get()] = &operand;
}

// Writes

/// The place in the program at which the first part of a value is made.
int FunctionPlan::startOf(Value value) {
  Operation *op = value.getDefiningOp();
  int start = position.lookup(op);
  if (auto concat = dyn_cast<tg::ConcatOp>(op))
    for (Value part : concat.getInputs())
      start = std::min(start, position.lookup(part.getDefiningOp()));
  return start;
}

/// Whether `op`, which makes `result` in the place of `state`, reads that state other than element by element.
bool FunctionPlan::readsInStep(Operation *op, Value state, Value result) {
  if (auto gemm = dyn_cast<tg::GemmOp>(op)) {
    bool elsewhere = rootOf(gemm.getA()) == state || rootOf(gemm.getB()) == state ||
                     (gemm.getBias() && rootOf(gemm.getBias()) == state);
    return elsewhere || gemm.getBias() || gemm.getActivation() != tg::Activation::None;
  }
  auto launch = dyn_cast<tg::LaunchOp>(op);
  if (!launch)
    return true;
  auto kernel = kernels->lookup<tg::KernelOp>(launch.getKernel());
  unsigned output = cast<OpResult>(result).getResultNumber();
  for (auto [input, operand] : llvm::enumerate(launch.getInputs()))
    if (rootOf(operand) == state && !sameAccess(launch, kernel, input, output))
      return true;
  return false;
}

bool FunctionPlan::mayWriteStraight(Value value, const StateAccess &write) {
  Operation *maker = value.getDefiningOp();
  int start = startOf(value);
  auto readAllows = [&](const StateAccess &read) {
    if (read.position > write.position)
      return true;
    bool same = read.begin == write.begin && read.end == write.end;
    for (int use : uses[read.op->getResult(0)]) {
      if (use > start && use != write.position)
        return false;
      if (use == start && (!same || readsInStep(maker, read.op->getResult(0), value)))
        return false;
    }
    return true;
  };
  auto writeAllows = [&](const StateAccess &other) {
    if (other.op == write.op)
      return true;
    if (other.position > start && other.position < write.position)
      return false;
    // A later write would change the value under its later readers.
    if (other.position > write.position)
      for (int use : uses[value])
        if (use > write.position)
          return false;
    return true;
  };
  return reads.allOverlapping(write, readAllows) && writes.allOverlapping(write, writeAllows);
}

void FunctionPlan::chooseTargets() {
  for (Operation &op : function.getBody().front()) {
    auto note = [&](StateAccesses &list, StringRef path) {
      const Place &place = layout->state(path);
      list.add({&op, position[&op], place.offset, place.offset + place.bytes, place.region});
    };
    if (auto read = dyn_cast<tg::ReadOp>(op))
      note(reads, read.getState());
    if (auto write = dyn_cast<tg::WriteOp>(op))
      note(writes, write.getState());
  }
  size_t nextWrite = 0;
  for (Operation &op : function.getBody().front()) {
    Value stored = storedValue(&op);
    if (!stored)
      continue;
    const StateAccess *write = isa<tg::WriteOp>(op) ? &writes[nextWrite++] : nullptr;
    Value value = rootOf(stored);
    Operation *maker = value.getDefiningOp();
    if (auto read = dyn_cast_or_null<tg::ReadOp>(maker); read && write)
      if (read.getState() == cast<tg::WriteOp>(op).getState() && mayWriteStraight(value, *write)) {
        straight.insert(&op); // a state written to itself
        continue;
      }
    bool free = (isCompute(maker) || isa_and_nonnull<tg::ConcatOp>(maker)) && !target.count(value) &&
                !windowUse.count(value);
    if (!free || (write && !mayWriteStraight(value, *write)))
      continue;
    StringRef name = isa<tg::LossOp>(op) ? StringRef("loss") : StringRef();
    if (auto output = dyn_cast<tg::OutputOp>(op))
      name = output.getName();
    target[value] = write ? layout->state(cast<tg::WriteOp>(op).getState())
                          : layout->output(function.getSymName(), name, stored);
    straight.insert(&op);
  }
}

void FunctionPlan::chooseSnapshots() {
  for (const StateAccess &write : writes) {
    Value stored = rootOf(cast<tg::WriteOp>(write.op).getValue());
    int start = straight.contains(write.op) && stored.getDefiningOp() ? startOf(stored) : write.position;
    if (isa_and_nonnull<tg::ReadOp>(stored.getDefiningOp()))
      start = write.position;
    reads.allOverlapping(write, [&](const StateAccess &read) {
      if (write.position < read.position)
        return true;
      for (int use : uses[read.op->getResult(0)])
        if (use > start && use != write.position && !(straight.contains(write.op) && stored == read.op->getResult(0)))
          snapshots.insert(read.op);
      return true;
    });
  }
}

// Storage

int FunctionPlan::fixedStorage(const Place &place, RankedTensorType type) {
  auto [entry, isNew] = fixedStorages.try_emplace(place.buffer, static_cast<int>(all.size()));
  if (isNew) {
    Storage storage;
    storage.fixed = true;
    storage.place = place;
    storage.type = type;
    all.push_back(std::move(storage));
  }
  return entry->second;
}

int FunctionPlan::arenaStorage(RankedTensorType type, StringRef why) {
  Storage storage;
  storage.type = type;
  storage.why = why.str();
  storage.life.size = type.getNumElements() * exec::bytesOfElement(type.getElementType());
  all.push_back(std::move(storage));
  return static_cast<int>(all.size()) - 1;
}

Spot FunctionPlan::makeSpot(Value value) {
  if (auto reshape = value.getDefiningOp<tg::ReshapeOp>()) {
    storageOf(reshape.getX());
    return spots.lookup(reshape.getX());
  }
  auto type = tg::tensorType(value);
  auto whole = [](int storage) {
    Spot spot;
    spot.storage = storage;
    return spot;
  };
  if (auto place = target.find(value); place != target.end())
    return whole(fixedStorage(place->second, type));
  if (auto use = windowUse.find(value); use != windowUse.end()) {
    auto concat = cast<tg::ConcatOp>(use->second->getOwner());
    Spot spot;
    spot.storage = storageOf(concat.getResult());
    spot.window = true;
    spot.shape.assign(type.getShape().begin(), type.getShape().end());
    spot.strides = tg::rowMajorStrides(tg::tensorType(concat.getResult()).getShape());
    for (Value before : concat.getInputs().take_front(use->second->getOperandNumber()))
      spot.offset += tg::tensorType(before).getShape()[concat.getAxis()] * spot.strides[concat.getAxis()];
    return spot;
  }
  Operation *op = value.getDefiningOp();
  if (auto read = dyn_cast<tg::ReadOp>(op); read && !snapshots.contains(op))
    return whole(fixedStorage(layout->state(read.getState()), type));
  if (auto input = dyn_cast<tg::InputOp>(op))
    return whole(fixedStorage(layout->input(function.getSymName(), input), type));
  if (auto constant = dyn_cast<tg::ConstantOp>(op))
    return whole(fixedStorage(layout->constant(constant.getValue(), op->getLoc()), type));
  return whole(arenaStorage(type, ""));
}

int FunctionPlan::storageOf(Value value) {
  auto found = spots.find(value);
  if (found == spots.end()) {
    Spot spot = makeSpot(value);
    found = spots.try_emplace(value, std::move(spot)).first;
  }
  return found->second.storage;
}

const Spot &FunctionPlan::spotOf(Value value) const { return spots.find(value)->second; }

int FunctionPlan::placeOf(int storage) const {
  while (all[storage].mergedInto >= 0)
    storage = all[storage].mergedInto;
  return storage;
}

AttentionScratch schedule::scratchOf(Operation *op, const AttentionTarget &target) {
  constexpr int64_t MaxRows = 64;
  bool grad = isa<tg::AttentionGradOp>(op);
  ArrayRef<int64_t> q = tg::tensorType(op->getOperand(0)).getShape(), k = tg::tensorType(op->getOperand(1)).getShape();
  if (target.device) {
    int64_t bytes = vcc_attention_device_bytes(q[0], q[1], k[1], q[2], k[2], q[3], grad);
    return {1, static_cast<int64_t>(llvm::alignTo(bytes, exec::BufferAlignment)), 1};
  }
  int64_t rows = std::min(q[1], MaxRows);
  int64_t bytes = vcc_attention_scratch_bytes(rows, k[1], k[3], grad);
  return {rows, static_cast<int64_t>(llvm::alignTo(bytes, exec::BufferAlignment)), target.threads};
}

int FunctionPlan::workspaceOf(Operation *op) {
  if (!isa<tg::AttentionOp, tg::AttentionGradOp>(op))
    return -1;
  AttentionScratch scratch = scratchOf(op, attention);
  auto floats = RankedTensorType::get({scratch.bytesPerThread * scratch.threads / 4}, Float32Type::get(function.getContext()));
  return arenaStorage(floats, "workspace of attention");
}

// Steps

void FunctionPlan::addStep(Step step, ArrayRef<int> touched) {
  int number = static_cast<int>(theSteps.size());
  for (int storage : touched) {
    Lifetime &life = all[storage].life;
    life.first = life.first < 0 ? number : std::min(life.first, number);
    life.last = std::max(life.last, number);
  }
  theSteps.push_back(step);
}

void FunctionPlan::buildSteps() {
  std::optional<int> loss;
  for (Operation &op : function.getBody().front()) {
    if (isa<tg::LossOp>(op))
      loss = static_cast<int>(theSteps.size());
    Step step;
    step.op = &op;
    if (isCompute(&op)) {
      SmallVector<int> touched;
      for (Value operand : op.getOperands())
        touched.push_back(storageOf(operand));
      for (Value result : op.getResults())
        touched.push_back(storageOf(result));
      step.workspace = workspaceOf(&op);
      if (step.workspace >= 0)
        touched.push_back(step.workspace);
      addStep(step, touched);
      continue;
    }
    if (snapshots.contains(&op)) {
      auto read = cast<tg::ReadOp>(op);
      step.kind = Step::Copy;
      step.source = fixedStorage(layout->state(read.getState()), tg::tensorType(read.getResult()));
      step.destination = storageOf(read.getResult());
      all[step.destination].why = "state before it changes";
      addStep(step, {step.source, step.destination});
      continue;
    }
    Value stored = storedValue(&op);
    if (!stored || straight.contains(&op))
      continue;
    StringRef name = isa<tg::LossOp>(op) ? StringRef("loss") : StringRef();
    if (auto output = dyn_cast<tg::OutputOp>(op))
      name = output.getName();
    auto write = dyn_cast<tg::WriteOp>(op);
    step.destination = fixedStorage(write ? layout->state(write.getState())
                                          : layout->output(function.getSymName(), name, stored),
                                    tg::tensorType(stored));
    std::optional<double> number = tg::splatValue(rootOf(stored));
    bool zero = number && *number == 0.0 && !std::signbit(*number);
    step.kind = zero ? Step::Fill : Step::Copy;
    if (zero) {
      addStep(step, {step.destination});
    } else {
      step.source = storageOf(stored);
      addStep(step, {step.source, step.destination});
    }
  }
  backward = loss.value_or(static_cast<int>(theSteps.size()));
}

// In place

void FunctionPlan::shareOf(int step, Value result, Value operand) {
  int from = placeOf(storageOf(rootOf(operand))), to = placeOf(storageOf(result));
  Storage &old = all[from], &now = all[to];
  if (from == to || old.fixed || now.fixed || spots[result].window || spots[rootOf(operand)].window ||
      old.life.last != step || now.life.first != step || old.life.size != now.life.size ||
      bytesOf(operand) != old.life.size || bytesOf(result) != now.life.size)
    return;
  old.life.last = now.life.last;
  now.mergedInto = from;
}

void FunctionPlan::shareInPlace() {
  for (auto [number, step] : llvm::enumerate(theSteps)) {
    if (step.kind != Step::Compute)
      continue;
    if (auto gemm = dyn_cast<tg::GemmOp>(step.op)) {
      bool plain = gemm.getAddend() && !gemm.getBias() && gemm.getActivation() == tg::Activation::None;
      int addend = plain ? placeOf(storageOf(gemm.getAddend())) : -1;
      if (plain && addend != placeOf(storageOf(gemm.getA())) && addend != placeOf(storageOf(gemm.getB())))
        shareOf(static_cast<int>(number), gemm.getResult(), gemm.getAddend());
      continue;
    }
    auto launch = dyn_cast<tg::LaunchOp>(step.op);
    if (!launch)
      continue;
    auto kernel = kernels->lookup<tg::KernelOp>(launch.getKernel());
    llvm::SmallDenseSet<int> taken;
    for (auto [output, result] : llvm::enumerate(launch.getOutputs())) {
      for (auto [input, operand] : llvm::enumerate(launch.getInputs())) {
        int storage = placeOf(storageOf(operand));
        bool safe = !taken.contains(storage);
        for (auto [other, value] : llvm::enumerate(launch.getInputs()))
          if (placeOf(storageOf(value)) == storage)
            safe &= sameAccess(launch, kernel, other, output);
        if (!safe)
          continue;
        shareOf(static_cast<int>(number), result, operand);
        if (placeOf(storageOf(result)) == storage) {
          taken.insert(storage);
          break;
        }
      }
    }
  }
}

void FunctionPlan::describe() {
  for (Storage &storage : all) {
    if (storage.fixed || storage.mergedInto >= 0 || !storage.why.empty())
      continue;
    bool kept = storage.life.first < backward && storage.life.last >= backward;
    storage.why = kept ? "kept for the backward" : "temporary";
  }
}
