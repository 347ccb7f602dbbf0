// SPDX-License-Identifier: Apache-2.0
//
// From steps to exec operations: buffers by name, strides and immediates of kernels, numbers of library calls.
#include "compiler/schedule/EmitLaunches.h"
#include "dialects/tg/Build.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::schedule;

namespace {

/// The recipe's name of a place, as locations carry it.
std::string labelOf(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (std::string label = labelOf(part); !label.empty())
        return label;
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    return labelOf(call.getCallee());
  if (auto file = dyn_cast<FileLineColLoc>(loc))
    return (llvm::sys::path::filename(file.getFilename().getValue()) + ":" + Twine(file.getLine())).str();
  return "";
}

class Emitter {
public:
  Emitter(FunctionPlan &plan, const EmitContext &context)
      : plan(plan), context(context), builder(context.launches) {}

  void run() {
    declareBuffers();
    for (auto [number, step] : llvm::enumerate(plan.steps())) {
      loc = step.op->getLoc();
      label = labelOf(*loc);
      if (label.empty())
        label = context.function.str();
      phase = phaseOf(static_cast<int>(number));
      emit(step);
    }
  }

private:
  exec::Phase phaseOf(int step) const {
    if (context.function.starts_with("update"))
      return exec::Phase::Update;
    if (context.function.starts_with("init"))
      return exec::Phase::Init;
    if (context.function.starts_with("evaluate"))
      return exec::Phase::Evaluate;
    return step < plan.firstBackward() ? exec::Phase::Forward : exec::Phase::Backward;
  }

  void declareBuffers() {
    SmallVector<int> order;
    for (auto [i, storage] : llvm::enumerate(plan.storages()))
      if (!storage.fixed && storage.mergedInto < 0 && storage.life.first >= 0)
        order.push_back(static_cast<int>(i));
    llvm::stable_sort(order, [&](int a, int b) {
      return plan.storages()[a].life.first < plan.storages()[b].life.first;
    });
    OpBuilder &out = context.buffers;
    for (auto [number, i] : llvm::enumerate(order)) {
      Storage &storage = plan.storages()[i];
      storage.place = {(context.function + "/" + Twine(number)).str(), exec::Region::Arena, storage.life.offset,
                       storage.life.size};
      out.create<exec::BufferOp>(builder.getUnknownLoc(), storage.place.buffer, exec::Region::Arena,
                                 storage.life.offset, storage.life.size, storage.type, FlatSymbolRefAttr(),
                                 FlatSymbolRefAttr::get(out.getContext(), context.function),
                                 out.getI64IntegerAttr(storage.life.first), out.getI64IntegerAttr(storage.life.last),
                                 ElementsAttr(), storage.why);
    }
  }

  FlatSymbolRefAttr name(int storage) {
    return FlatSymbolRefAttr::get(builder.getContext(), plan.at(storage).place.buffer);
  }
  FlatSymbolRefAttr name(Value value) {
    return value ? name(plan.spotOf(value).storage) : FlatSymbolRefAttr();
  }

  /// A buffer that starts some elements into a value's.
  FlatSymbolRefAttr nameFrom(Value value, int64_t elements) {
    if (elements == 0)
      return name(value);
    const Place &whole = plan.at(plan.spotOf(value).storage).place;
    std::string view = (whole.buffer + "+" + Twine(elements)).str();
    if (context.views.insert(view).second) {
      auto type = tg::tensorType(value);
      int64_t rest = type.getNumElements() - elements, bytes = exec::bytesOfElement(type.getElementType());
      context.buffers.create<exec::BufferOp>(
          builder.getUnknownLoc(), view, whole.region, whole.offset + elements * bytes, rest * bytes,
          RankedTensorType::get({rest}, type.getElementType()),
          FlatSymbolRefAttr::get(builder.getContext(), whole.buffer), FlatSymbolRefAttr(), IntegerAttr(),
          IntegerAttr(), ElementsAttr(), "part of a matrix");
    }
    return FlatSymbolRefAttr::get(builder.getContext(), view);
  }

  void emit(const Step &step) {
    switch (step.kind) {
    case Step::Fill: {
      int64_t bytes = plan.at(step.destination).place.bytes;
      builder.create<exec::FillOp>(*loc, name(step.destination), i64(bytes), phaseAttr(), labelAttr(), i64(0),
                                   i64(bytes));
      return;
    }
    case Step::Copy: {
      int64_t bytes = plan.at(step.destination).place.bytes;
      builder.create<exec::CopyOp>(*loc, name(step.destination), name(step.source), i64(bytes), phaseAttr(),
                                   labelAttr(), i64(0), i64(2 * bytes));
      return;
    }
    case Step::Compute:
      break;
    }
    if (auto launch = dyn_cast<tg::LaunchOp>(step.op))
      emitLaunch(launch);
    else if (auto gemm = dyn_cast<tg::GemmOp>(step.op))
      emitGemm(gemm);
    else if (auto attention = dyn_cast<tg::AttentionOp>(step.op))
      emitAttention(attention, step.workspace);
    else if (auto gather = dyn_cast<tg::AllGatherOp>(step.op))
      emitBetweenRanks<exec::GatherOp>(gather, gather.getX());
    else if (auto scatter = dyn_cast<tg::ReduceScatterOp>(step.op))
      emitBetweenRanks<exec::ReduceScatterOp>(scatter, scatter.getResult());
    else
      emitAttentionGrad(cast<tg::AttentionGradOp>(step.op), step.workspace);
  }

  IntegerAttr i64(int64_t value) { return builder.getI64IntegerAttr(value); }
  exec::PhaseAttr phaseAttr() { return exec::PhaseAttr::get(builder.getContext(), phase); }
  StringAttr labelAttr() { return builder.getStringAttr(label); }

  // Kernels

  /// Offset and strides of a result that is a window: where each outer dimension's step lands in the whole.
  tg::AccessAttr windowAccess(const Spot &spot, ArrayRef<int64_t> dims, int64_t columns) {
    auto addressOf = [&](int64_t element) {
      int64_t address = 0;
      for (size_t i = spot.shape.size(); i-- > 0;) {
        address += element % spot.shape[i] * spot.strides[i];
        element /= spot.shape[i];
      }
      return address;
    };
    SmallVector<int64_t> strides(dims.size(), 0);
    int64_t step = columns;
    for (size_t i = dims.size(); i-- > 0;) {
      if (dims[i] > 1)
        strides[i] = addressOf(step);
      step *= dims[i];
    }
    return tg::AccessAttr::get(builder.getContext(), spot.offset, strides);
  }

  tg::AccessAttr indexedAccess(tg::AccessAttr access, int64_t tableElements) {
    SmallVector<int64_t> strides(access.getStrides());
    strides.push_back(tableElements / strides.back());
    return tg::AccessAttr::get(builder.getContext(), access.getOffset(), strides);
  }

  void emitLaunch(tg::LaunchOp launch) {
    auto kernel = context.kernels.lookup<tg::KernelOp>(launch.getKernel());
    SmallVector<unsigned> params = inputParams(kernel);
    SmallVector<Attribute> reads, writes, access;
    for (auto [i, input] : llvm::enumerate(launch.getInputs())) {
      reads.push_back(name(input));
      auto given = cast<tg::AccessAttr>(launch.getAccess()[i]);
      bool indexed = kernel.getParam(params[i]).getKind() == tg::ParamKind::Indexed;
      access.push_back(indexed ? indexedAccess(given, tg::tensorType(input).getNumElements()) : given);
    }
    int64_t rows = tg::elementCount(launch.getDims()), chunk = 0, units = rows;
    for (auto [i, output] : llvm::enumerate(launch.getOutputs())) {
      writes.push_back(name(output));
      auto given = cast<tg::AccessAttr>(launch.getAccess()[launch.getInputs().size() + i]);
      const Spot &spot = plan.spotOf(output);
      switch (kernel.getResultKind(i).getKind()) {
      case tg::ResultKind::ColumnSum:
      case tg::ResultKind::TotalSum:
        chunk = launch.getRowsPerChunk() ? static_cast<int64_t>(*launch.getRowsPerChunk()) : rows;
        units = static_cast<int64_t>(llvm::divideCeil(rows, chunk));
        if (spot.window)
          given = tg::AccessAttr::get(builder.getContext(), spot.offset, {});
        break;
      case tg::ResultKind::Scatter:
        given = indexedAccess(given, tg::tensorType(output).getNumElements());
        units = given.getStrides().back();
        break;
      case tg::ResultKind::Row:
        if (spot.window)
          given = windowAccess(spot, launch.getDims(), static_cast<int64_t>(kernel.getColumns()));
        break;
      case tg::ResultKind::Scalar:
        if (spot.window)
          given = windowAccess(spot, launch.getDims(), 1);
        break;
      }
      access.push_back(given);
    }
    builder.create<exec::LaunchKernelOp>(
        *loc, launch.getKernelAttr(), builder.getArrayAttr(reads), builder.getArrayAttr(writes),
        builder.getDenseI64ArrayAttr(launch.getDims()), builder.getArrayAttr(access),
        builder.getDenseI64ArrayAttr(uniformBits(launch.getUniforms())), i64(chunk), i64(units), phaseAttr(),
        labelAttr(), i64(flopsOf(kernel) * rows), i64(launch.bytes()));
  }

  static SmallVector<int64_t> uniformBits(ArrayAttr uniforms) {
    SmallVector<int64_t> bits;
    for (Attribute uniform : uniforms) {
      if (auto number = dyn_cast<IntegerAttr>(uniform))
        bits.push_back(number.getValue().getSExtValue());
      else
        bits.push_back(static_cast<int64_t>(cast<FloatAttr>(uniform).getValue().bitcastToAPInt().getZExtValue()));
    }
    return bits;
  }

  int64_t flopsOf(tg::KernelOp kernel) {
    auto [entry, isNew] = rowFlops.try_emplace(kernel, 0);
    if (isNew)
      for (Operation &op : kernel.getBody().front())
        if (auto cost = dyn_cast<tg::CostOpInterface>(op))
          entry->second += cost.flops();
    return entry->second;
  }

  // Library calls

  void emitGemm(tg::GemmOp gemm) {
    auto padded = [&](ArrayRef<int64_t> numbers, size_t size, int64_t fill) {
      SmallVector<int64_t> full(size - numbers.size(), fill);
      full.append(numbers.begin(), numbers.end());
      return builder.getDenseI64ArrayAttr(full);
    };
    FlatSymbolRefAttr c = name(gemm.getResult()), addend = name(gemm.getAddend());
    bool accumulate = addend && addend == c;
    bool pack = plan.at(plan.spotOf(gemm.getB()).storage).place.frozen;
    builder.create<exec::GemmOp>(
        *loc, nameFrom(gemm.getA(), gemm.getAOffset()), nameFrom(gemm.getB(), gemm.getBOffset()), c,
        name(gemm.getBias()), accumulate ? FlatSymbolRefAttr() : addend, padded(gemm.getBatch(), 2, 1),
        i64(gemm.getM()), i64(gemm.getN()), i64(gemm.getK()), padded(gemm.getAStrides(), 4, 0),
        padded(gemm.getBStrides(), 4, 0), padded(gemm.getCStrides(), 4, 0), gemm.getActivationAttr(),
        accumulate ? builder.getUnitAttr() : UnitAttr(), pack ? builder.getUnitAttr() : UnitAttr(), phaseAttr(),
        labelAttr(), i64(gemm.flops()), i64(gemm.bytes()));
  }

  DenseI64ArrayAttr sizesOf(Value q, Value k) {
    ArrayRef<int64_t> queries = tg::tensorType(q).getShape(), keys = tg::tensorType(k).getShape();
    return builder.getDenseI64ArrayAttr({queries[0], queries[1], keys[1], queries[2], keys[2], queries[3]});
  }
  /// One for each head size, which is the model's and no batch's, and one more for rows of several sequences. A library's call has none.
  template <typename Op> FlatSymbolRefAttr attentionKernel(StringRef name, Op op) {
    if (context.attention.device)
      return {};
    std::string size = std::to_string(tg::tensorType(op.getQ()).getShape()[3]);
    return FlatSymbolRefAttr::get(builder.getContext(), (name + Twine(op.getStarts() ? "_packed_" : "_") + size).str());
  }
  template <typename Op> FloatAttr scaleOf(Op op) {
    return builder.getF32FloatAttr(static_cast<float>(op.getScale().convertToDouble()));
  }

  void emitAttention(tg::AttentionOp op, int workspace) {
    AttentionScratch scratch = scratchOf(op, context.attention);
    builder.create<exec::AttentionOp>(
        *loc, name(op.getQ()), name(op.getK()), name(op.getV()), name(op.getOut()), name(op.getLse()),
        name(op.getLengths()), name(op.getStarts()), name(workspace), attentionKernel("attention", op),
        sizesOf(op.getQ(), op.getK()), op.getCausalAttr(), scaleOf(op), i64(scratch.rows),
        i64(scratch.bytesPerThread), i64(scratch.threads), phaseAttr(), labelAttr(), i64(op.flops()), i64(op.bytes()));
  }

  void emitAttentionGrad(tg::AttentionGradOp op, int workspace) {
    AttentionScratch scratch = scratchOf(op, context.attention);
    builder.create<exec::AttentionGradOp>(
        *loc, name(op.getQ()), name(op.getK()), name(op.getV()), name(op.getOut()), name(op.getLse()),
        name(op.getDout()), name(op.getDq()), name(op.getDk()), name(op.getDv()), name(op.getLengths()),
        name(op.getStarts()), name(workspace), attentionKernel("attention_grad", op), sizesOf(op.getQ(), op.getK()),
        op.getCausalAttr(), scaleOf(op),
        i64(scratch.rows), i64(scratch.bytesPerThread), i64(scratch.threads), phaseAttr(), labelAttr(),
        i64(op.flops()), i64(op.bytes()));
  }

  /// `part` is what one rank has of it.
  template <typename Launch, typename Op> void emitBetweenRanks(Op op, Value part) {
    builder.create<Launch>(*loc, name(op.getResult()), name(op.getX()), i64(static_cast<int64_t>(op.getRanks())),
                           i64(tg::tensorBytes(part.getType())), phaseAttr(), labelAttr(), i64(op.flops()), i64(op.bytes()));
  }

  FunctionPlan &plan;
  const EmitContext &context;
  OpBuilder &builder;
  std::optional<Location> loc;
  std::string label;
  exec::Phase phase = exec::Phase::Forward;
  DenseMap<Operation *, int64_t> rowFlops;
};

} // namespace

void schedule::emitLaunches(FunctionPlan &plan, const EmitContext &context) { Emitter(plan, context).run(); }
