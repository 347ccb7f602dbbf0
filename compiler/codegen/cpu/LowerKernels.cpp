// SPDX-License-Identifier: Apache-2.0
//
// Collects kernels over stages, rewrites what a body may not contain, and chooses the way to run each: by lanes for flat kernels and
// rows of a few columns, by columns otherwise.
#include "compiler/codegen/cpu/LowerKernels.h"

#include "compiler/codegen/cpu/AttentionKernels.h"
#include "compiler/codegen/cpu/KernelEmitter.h"
#include "dialects/exec/Exec.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace vcc::cpu {
namespace {

constexpr int64_t LaneColumns = 4;         // rows this short always run by lanes
constexpr int64_t StridedLaneColumns = 64; // ... and these when no row is contiguous

bool runsByLanes(tg::KernelOp Kernel, int64_t Lanes) {
  if (Kernel.getKernelClass() == tg::KernelClass::Flat)
    return true;
  if (Kernel.getKernelClass() == tg::KernelClass::Scatter)
    return false;
  if (Kernel.getColumns() <= LaneColumns)
    return true;
  if (Kernel.getColumns() > StridedLaneColumns)
    return false;
  Block &Body = Kernel.getBody().front();
  // Rows that are stored would be scattered; sums of columns want columns.
  bool OnlyScalars = llvm::none_of(Body.getTerminator()->getOperands(), isRow);
  // Halves onto halves is all that would be done to one vector of columns, and none of it at full width.
  bool OnlyReduces = OnlyScalars && llvm::none_of(Body, [](Operation &Op) { return llvm::any_of(Op.getResults(), isRow); });
  if (OnlyReduces && Kernel.getColumns() <= Lanes)
    return true;
  bool Strided = false;
  for (BlockArgument Argument : Body.getArguments())
    if (isRow(Argument) && Kernel.getParam(Argument.getArgNumber()).getKind() != tg::ParamKind::Uniform) {
      if (Kernel.getParam(Argument.getArgNumber()).getStride() == 1)
        return false;
      Strided = true;
    }
  bool Light = llvm::none_of(Body, [](Operation &Op) { return Pointwise::isExpensive(&Op); });
  return Strided && OnlyScalars && Light;
}

LogicalResult emitKernel(tg::KernelOp Kernel, const CpuTarget &Target, ModuleOp Out) {
  OwningOpRef<tg::KernelOp> Copy(Kernel.clone());
  if (failed(codegen::prepareBody(*Copy)))
    return failure();
  ImplicitLocOpBuilder B(Kernel.getLoc(), Out.getBodyRegion());
  B.setInsertionPointToEnd(Out.getBody());
  return runsByLanes(*Copy, Target.lanes()) ? emitByLanes(*Copy, Target, B) : emitByColumns(*Copy, Target, B);
}

using KernelMap = llvm::MapVector<StringAttr, tg::KernelOp>;

/// The kernels that attention launches name, by their head sizes and whether a row holds several sequences.
void emitAttentionKernels(ArrayRef<ModuleOp> Stages, const CpuTarget &Target, ModuleOp Out) {
  llvm::StringSet<> Known;
  constexpr unsigned D = 5; // place in `sizes`: B, Sq, Sk, H, G, D
  auto Each = [&](auto Op, auto Emit) {
    auto Name = Op.getKernel();
    if (!Name || !Known.insert(*Name).second)
      return;
    ImplicitLocOpBuilder B(Op.getLoc(), Out.getBodyRegion());
    B.setInsertionPointToEnd(Out.getBody());
    Emit(*Name, Op.getSizes()[D], Op.getStarts().has_value(), Target, B);
  };
  for (ModuleOp Stage : Stages) {
    Stage.walk([&](exec::AttentionOp Op) { Each(Op, emitAttention); });
    Stage.walk([&](exec::AttentionGradOp Op) { Each(Op, emitAttentionGrad); });
  }
}

LogicalResult addKernels(ModuleOp Stage, KernelMap &Kernels) {
  LogicalResult Result = success();
  for (tg::KernelOp Kernel : Stage.getOps<tg::KernelOp>()) {
    auto [Place, New] = Kernels.insert({Kernel.getSymNameAttr(), Kernel});
    if (!New && !OperationEquivalence::isEquivalentTo(Place->second, Kernel, OperationEquivalence::IgnoreLocations)) {
      Kernel.emitOpError("has the name of another kernel").attachNote(Place->second.getLoc()) << "the other one";
      Result = failure();
    }
  }
  return Result;
}

} // namespace

OwningOpRef<ModuleOp> lowerKernels(ArrayRef<ModuleOp> Stages, const CpuTarget &Target) {
  if (Stages.empty())
    return {};
  ModuleOp First = Stages.front();
  MLIRContext *Context = First.getContext();
  Context->loadDialect<LLVM::LLVMDialect, arith::ArithDialect, math::MathDialect, vector::VectorDialect,
                       scf::SCFDialect>();
  KernelMap Kernels;
  for (ModuleOp Stage : Stages)
    if (failed(addKernels(Stage, Kernels)))
      return {};
  OwningOpRef<ModuleOp> Out(ModuleOp::create(First.getLoc()));
  bool Failed = false;
  for (auto &[Name, Kernel] : Kernels)
    Failed |= failed(emitKernel(Kernel, Target, *Out));
  if (Failed)
    return {};
  emitAttentionKernels(Stages, Target, *Out);
  PassManager Passes(Context);
  Passes.addPass(createCanonicalizerPass());
  Passes.addPass(createCSEPass());
  if (failed(Passes.run(*Out)))
    return {};
  return Out;
}

} // namespace vcc::cpu
