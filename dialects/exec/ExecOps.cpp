// SPDX-License-Identifier: Apache-2.0
//
// Verifiers of the execution dialect: each buffer lies inside its region and carries what its type needs, each name
// that a launch uses exists, and the launch's integers fit the kernel and the buffers they describe.
#include "dialects/exec/Exec.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::exec;

#define GET_OP_CLASSES
#include "dialects/exec/ExecOps.cpp.inc"

int64_t exec::bytesOfElement(Type element) {
  return std::max<int64_t>(1, (element.getIntOrFloatBitWidth() + 7) / 8);
}

int64_t BufferOp::elementBytes() { return bytesOfElement(tensorType().getElementType()); }

int64_t exec::ModuleOp::regionBytes(exec::Region region) {
  switch (region) {
  case exec::Region::Weights:
    return getWeightsBytes();
  case exec::Region::State:
    return getStateBytes();
  case exec::Region::Arena:
    return getArenaBytes();
  case exec::Region::Io:
    return getIoBytes();
  case exec::Region::Constant:
    return getConstantBytes();
  }
  llvm_unreachable("region");
}

LogicalResult BufferOp::verify() {
  if (!tensorType().hasStaticShape() || !tensorType().getElementType().isIntOrFloat())
    return emitOpError("has type ") << getType() << " but a buffer needs a static shape of integers or floats";
  int64_t needed = tensorType().getNumElements() * elementBytes();
  if (getSize() != needed)
    return emitOpError("is ") << getSize() << " bytes but " << getType() << " takes " << needed;
  if (getOffset() < 0)
    return emitOpError("starts at ") << getOffset() << " but offsets count from 0";
  if (!getView() && getOffset() % BufferAlignment)
    return emitOpError("starts at ") << getOffset() << " but only a view may break the alignment of "
                                     << BufferAlignment << " bytes";
  if (getFirst().has_value() != getLast().has_value() || (getFirst() && *getFirst() > *getLast()))
    return emitOpError("has a first use but no later last use");
  if ((getRegion() == exec::Region::Constant && !getView()) != getValue().has_value())
    return emitOpError("must carry a value exactly when it is a constant");
  if (getTransposed() && tensorType().getRank() != 2)
    return emitOpError("is transposed but ") << getType() << " is no matrix";
  if (getValue() && getValue()->getShapedType() != getType())
    return emitOpError("has a value of type ") << getValue()->getShapedType() << " but is of type " << getType();
  return success();
}

LogicalResult exec::ModuleOp::verifyRegions() {
  mlir::SymbolTable symbols(*this);
  for (Operation &op : getBody().front()) {
    if (!isa<BufferOp, FunctionOp>(op))
      return op.emitOpError("stands in a plan but only buffers and functions may");
    auto buffer = dyn_cast<BufferOp>(op);
    if (!buffer)
      continue;
    int64_t room = regionBytes(buffer.getRegion());
    if (buffer.getOffset() > room || buffer.getSize() > room - buffer.getOffset())
      return buffer.emitOpError("ends at byte ")
             << buffer.getOffset() + buffer.getSize() << " but its region has " << room << " bytes";
    if (buffer.getFunction() && !symbols.lookup<FunctionOp>(*buffer.getFunction()))
      return buffer.emitOpError("is live in ") << buffer.getFunctionAttr() << " but there is no such function";
    if (!buffer.getView())
      continue;
    auto whole = symbols.lookup<BufferOp>(*buffer.getView());
    if (!whole)
      return buffer.emitOpError("is a view of `") << *buffer.getView() << "` but there is no such buffer";
    if (whole.getRegion() != buffer.getRegion() || buffer.getOffset() < whole.getOffset() ||
        buffer.getOffset() + buffer.getSize() > whole.getOffset() + whole.getSize())
      return (buffer.emitOpError("is a view of `") << whole.getSymName() << "` but does not lie inside it")
                 .attachNote(whole.getLoc())
             << "which is declared here";
  }
  return success();
}

namespace {

/// Looks a tg.kernel up in the builtin.module around the plan.
tg::KernelOp lookupKernel(Operation *launch, FlatSymbolRefAttr name) {
  Operation *plan = launch->getParentOfType<exec::ModuleOp>();
  Operation *around = plan ? plan->getParentOp() : nullptr;
  return around ? dyn_cast_or_null<tg::KernelOp>(SymbolTable::lookupSymbolIn(around, name)) : nullptr;
}

} // namespace

LogicalResult FunctionOp::verifyRegions() {
  auto plan = (*this)->getParentOfType<exec::ModuleOp>();
  SymbolTable symbols(plan);
  Operation *around = plan->getParentOp();
  std::optional<SymbolTable> kernels;
  if (around && around->hasTrait<OpTrait::SymbolTable>())
    kernels.emplace(around);
  for (Operation &op : getBody().front()) {
    auto launch = dyn_cast<LaunchOpInterface>(op);
    if (!launch)
      return op.emitOpError("stands in a function of a plan but is no launch");
    for (auto [name, written] : llvm::zip(launch.abiBuffers(), launch.abiWrites())) {
      if (!name)
        continue;
      auto buffer = symbols.lookup<BufferOp>(name.getAttr());
      if (!buffer)
        return op.emitOpError("uses buffer ") << name << " but there is no such buffer";
      if (written && buffer.getRegion() == exec::Region::Constant)
        return op.emitOpError("writes ") << name << " but it is a constant";
    }
    // The kernels of attention are made by code generation, from the head size of the call.
    if (auto kernel = dyn_cast<LaunchKernelOp>(op))
      if (!kernels || !kernels->lookup<tg::KernelOp>(kernel.getKernel()))
        return op.emitOpError("launches `") << kernel.getKernel() << "` but there is no such kernel beside the plan";
  }
  return success();
}

// exec.launch

namespace {

/// Whether the launch gives the kernel as many buffers, strides and uniforms as it takes.
LogicalResult verifyAgainst(LaunchKernelOp launch, tg::KernelOp kernel) {
  SmallVector<size_t> strides;
  size_t outer = launch.getDims().size(), uniforms = 0;
  for (auto param : kernel.getParams().getAsRange<tg::ParamAttr>()) {
    if (param.getKind() == tg::ParamKind::Uniform)
      ++uniforms;
    else
      strides.push_back(param.getKind() == tg::ParamKind::Indexed ? outer + 2 : outer);
  }
  size_t reads = strides.size();
  bool sums = false;
  for (auto result : kernel.getResults().getAsRange<tg::ResultAttr>()) {
    bool sum = result.getKind() == tg::ResultKind::ColumnSum || result.getKind() == tg::ResultKind::TotalSum;
    sums |= sum;
    strides.push_back(sum ? 0 : result.getKind() == tg::ResultKind::Scatter ? outer + 2 : outer);
  }
  if (uniforms != launch.getUniforms().size())
    return launch.emitOpError("gives ") << launch.getUniforms().size() << " uniforms but `" << kernel.getSymName()
                                        << "` takes " << uniforms;
  if (reads != launch.getReads().size() || strides.size() != launch.getAccess().size())
    return launch.emitOpError("gives ") << launch.getReads().size() << " reads and " << launch.getWrites().size()
                                        << " writes but `" << kernel.getSymName() << "` takes " << reads << " and "
                                        << strides.size() - reads;
  for (auto [number, access] : llvm::enumerate(launch.getAccess().getAsRange<tg::AccessAttr>()))
    if (access.getStrides().size() != strides[number])
      return launch.emitOpError("gives buffer ") << number << " " << access.getStrides().size()
                                                 << " strides but the kernel takes " << strides[number];
  if (sums != (launch.getChunk() > 0))
    return launch.emitOpError("must have a chunk exactly when the kernel sums over rows");
  return success();
}

} // namespace

LogicalResult LaunchKernelOp::verify() {
  size_t buffers = getReads().size() + getWrites().size();
  if (getAccess().size() != buffers)
    return emitOpError("has ") << buffers << " buffers but " << getAccess().size() << " accesses";
  if (llvm::any_of(getDims(), [](int64_t dim) { return dim < 1; }))
    return emitOpError("has an empty dimension");
  if (getUnits() < 1 || getChunk() < 0)
    return emitOpError("has ") << getUnits() << " units and chunks of " << getChunk() << " rows";
  tg::KernelOp kernel = lookupKernel(*this, getKernelAttr());
  return kernel ? verifyAgainst(*this, kernel) : success();
}

uint32_t LaunchKernelOp::abiKind() { return 1; }
SmallVector<FlatSymbolRefAttr> LaunchKernelOp::abiBuffers() {
  auto names = llvm::to_vector(getReads().getAsRange<FlatSymbolRefAttr>());
  llvm::append_range(names, getWrites().getAsRange<FlatSymbolRefAttr>());
  return names;
}
SmallVector<bool> LaunchKernelOp::abiWrites() {
  SmallVector<bool> flags(getReads().size(), false);
  flags.append(getWrites().size(), true);
  return flags;
}
SmallVector<int64_t> LaunchKernelOp::abiInts() {
  SmallVector<int64_t> ints{static_cast<int64_t>(getDims().size())};
  llvm::append_range(ints, getDims());
  for (auto access : getAccess().getAsRange<tg::AccessAttr>()) {
    ints.push_back(access.getOffset());
    llvm::append_range(ints, access.getStrides());
  }
  llvm::append_range(ints, getUniforms());
  if (getChunk() > 0)
    ints.push_back(getChunk());
  return ints;
}
FlatSymbolRefAttr LaunchKernelOp::abiKernel() { return getKernelAttr(); }
int64_t LaunchKernelOp::abiUnits() { return getUnits(); }

// exec.launch_grid

LogicalResult LaunchGridOp::verify() {
  size_t buffers = getReads().size() + getWrites().size();
  if (getOffsets().size() != buffers)
    return emitOpError("has ") << buffers << " buffers but " << getOffsets().size() << " offsets";
  if (getBlocks() < 1)
    return emitOpError("has no blocks");
  return success();
}
uint32_t LaunchGridOp::abiKind() { return 9; }
SmallVector<FlatSymbolRefAttr> LaunchGridOp::abiBuffers() {
  auto names = llvm::to_vector(getReads().getAsRange<FlatSymbolRefAttr>());
  llvm::append_range(names, getWrites().getAsRange<FlatSymbolRefAttr>());
  return names;
}
SmallVector<bool> LaunchGridOp::abiWrites() {
  SmallVector<bool> flags(getReads().size(), false);
  flags.append(getWrites().size(), true);
  return flags;
}
SmallVector<int64_t> LaunchGridOp::abiInts() {
  SmallVector<int64_t> ints{static_cast<int64_t>(getNumber()), static_cast<int64_t>(getBlocks())};
  llvm::append_range(ints, getOffsets());
  llvm::append_range(ints, getWords());
  return ints;
}
FlatSymbolRefAttr LaunchGridOp::abiKernel() { return {}; }
int64_t LaunchGridOp::abiUnits() { return getBlocks(); }

// exec.gemm

LogicalResult GemmOp::verify() {
  if (getBatch().size() != 2 || getAStrides().size() != 4 || getBStrides().size() != 4 || getCStrides().size() != 4)
    return emitOpError("needs two batch sizes and four strides per matrix");
  if (getM() < 1 || getN() < 1 || getK() < 1 || getBatch()[0] < 1 || getBatch()[1] < 1)
    return emitOpError("has an empty dimension");
  if (getAccumulate() && (getBias() || getAddend() || getActivation() != tg::Activation::None))
    return emitOpError("accumulates but also has a bias, an addend or an activation");
  return success();
}
uint32_t GemmOp::abiKind() { return 2; }
SmallVector<FlatSymbolRefAttr> GemmOp::abiBuffers() {
  return {getAAttr(), getBAttr(), getCAttr(), getBiasAttr(), getAddendAttr()};
}
SmallVector<bool> GemmOp::abiWrites() { return {false, false, true, false, false}; }
SmallVector<int64_t> GemmOp::abiInts() {
  // The order of enum VccGemmInt.
  SmallVector<int64_t> ints(getBatch());
  for (int64_t size : {getM(), getN(), getK()})
    ints.push_back(size);
  for (ArrayRef<int64_t> strides : {getAStrides(), getBStrides(), getCStrides()})
    llvm::append_range(ints, strides);
  ints.append({getAccumulate(), static_cast<int64_t>(getActivation()), getPack()});
  return ints;
}
FlatSymbolRefAttr GemmOp::abiKernel() { return {}; }
int64_t GemmOp::abiUnits() { return 0; }

// exec.attention and its gradient

namespace {

LogicalResult verifySizes(Operation *op, ArrayRef<int64_t> sizes, int64_t block, int64_t scratch, int64_t threads) {
  if (sizes.size() != 6 || llvm::any_of(sizes, [](int64_t size) { return size < 1; }))
    return op->emitOpError("needs six positive sizes: B, Sq, Sk, H, G, D");
  if (sizes[3] % sizes[4])
    return op->emitOpError("has ") << sizes[3] << " query heads but they do not divide over " << sizes[4]
                                   << " key heads";
  if (block < 1 || threads < 1 || scratch < 1)
    return op->emitOpError("needs a positive block, scratch and number of threads");
  return success();
}

/// The order of enum VccAttentionInt.
SmallVector<int64_t> attentionInts(ArrayRef<int64_t> sizes, bool causal, APFloat scale, int64_t block,
                                   int64_t scratch, int64_t threads) {
  SmallVector<int64_t> ints(sizes);
  ints.append({causal, static_cast<int64_t>(scale.bitcastToAPInt().getZExtValue()), block, scratch, threads});
  return ints;
}

} // namespace

LogicalResult AttentionOp::verify() {
  return verifySizes(*this, getSizes(), getBlockRows(), getWorkspacePerThread(), getThreads());
}
uint32_t AttentionOp::abiKind() { return 3; }
SmallVector<FlatSymbolRefAttr> AttentionOp::abiBuffers() {
  return {getQAttr(), getKAttr(), getVAttr(), getOutAttr(), getLseAttr(), getLengthsAttr(), getStartsAttr(),
          getWorkspaceAttr()};
}
SmallVector<bool> AttentionOp::abiWrites() { return {false, false, false, true, true, false, false, true}; }
SmallVector<int64_t> AttentionOp::abiInts() {
  return attentionInts(getSizes(), getCausal(), getScale(), getBlockRows(), getWorkspacePerThread(), getThreads());
}
FlatSymbolRefAttr AttentionOp::abiKernel() { return getKernelAttr(); }
int64_t AttentionOp::abiUnits() { return 0; }

LogicalResult AttentionGradOp::verify() {
  return verifySizes(*this, getSizes(), getBlockRows(), getWorkspacePerThread(), getThreads());
}
uint32_t AttentionGradOp::abiKind() { return 4; }
SmallVector<FlatSymbolRefAttr> AttentionGradOp::abiBuffers() {
  return {getQAttr(),  getKAttr(),  getVAttr(),  getOutAttr(),     getLseAttr(),      getDoutAttr(),
          getDqAttr(), getDkAttr(), getDvAttr(), getLengthsAttr(), getStartsAttr(),   getWorkspaceAttr()};
}
SmallVector<bool> AttentionGradOp::abiWrites() {
  return {false, false, false, false, false, false, true, true, true, false, false, true};
}
SmallVector<int64_t> AttentionGradOp::abiInts() {
  return attentionInts(getSizes(), getCausal(), getScale(), getBlockRows(), getWorkspacePerThread(), getThreads());
}
FlatSymbolRefAttr AttentionGradOp::abiKernel() { return getKernelAttr(); }
int64_t AttentionGradOp::abiUnits() { return 0; }

// exec.fill and exec.copy

LogicalResult FillOp::verify() {
  return getSize() > 0 ? success() : LogicalResult(emitOpError("fills ") << getSize() << " bytes");
}
uint32_t FillOp::abiKind() { return 5; }
SmallVector<FlatSymbolRefAttr> FillOp::abiBuffers() { return {getDestinationAttr()}; }
SmallVector<bool> FillOp::abiWrites() { return {true}; }
SmallVector<int64_t> FillOp::abiInts() { return {static_cast<int64_t>(getSize())}; }
FlatSymbolRefAttr FillOp::abiKernel() { return {}; }
int64_t FillOp::abiUnits() { return 0; }

LogicalResult CopyOp::verify() {
  return getSize() > 0 ? success() : LogicalResult(emitOpError("copies ") << getSize() << " bytes");
}
uint32_t CopyOp::abiKind() { return 6; }
SmallVector<FlatSymbolRefAttr> CopyOp::abiBuffers() { return {getDestinationAttr(), getSourceAttr()}; }
SmallVector<bool> CopyOp::abiWrites() { return {true, false}; }
SmallVector<int64_t> CopyOp::abiInts() { return {static_cast<int64_t>(getSize())}; }
FlatSymbolRefAttr CopyOp::abiKernel() { return {}; }
int64_t CopyOp::abiUnits() { return 0; }

// exec.gather and exec.reduce_scatter

namespace {

template <typename Op> LogicalResult verifyRanks(Op op) {
  if (op.getRanks() < 2 || op.getSize() < 1)
    return op.emitOpError("joins ") << op.getRanks() << " ranks of " << op.getSize() << " bytes";
  return success();
}

} // namespace

LogicalResult GatherOp::verify() {
  return verifyRanks(*this);
}
uint32_t GatherOp::abiKind() { return 7; }
SmallVector<FlatSymbolRefAttr> GatherOp::abiBuffers() { return {getDestinationAttr(), getSourceAttr()}; }
SmallVector<bool> GatherOp::abiWrites() { return {true, false}; }
SmallVector<int64_t> GatherOp::abiInts() { return {static_cast<int64_t>(getRanks()), static_cast<int64_t>(getSize())}; }
FlatSymbolRefAttr GatherOp::abiKernel() { return {}; }
int64_t GatherOp::abiUnits() { return 0; }
LogicalResult ReduceScatterOp::verify() {
  return verifyRanks(*this);
}
uint32_t ReduceScatterOp::abiKind() { return 8; }
SmallVector<FlatSymbolRefAttr> ReduceScatterOp::abiBuffers() { return {getDestinationAttr(), getSourceAttr()}; }
SmallVector<bool> ReduceScatterOp::abiWrites() { return {true, false}; }
SmallVector<int64_t> ReduceScatterOp::abiInts() { return {static_cast<int64_t>(getRanks()), static_cast<int64_t>(getSize())}; }
FlatSymbolRefAttr ReduceScatterOp::abiKernel() { return {}; }
int64_t ReduceScatterOp::abiUnits() { return 0; }
