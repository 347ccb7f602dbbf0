// SPDX-License-Identifier: Apache-2.0
#include "compiler/codegen/cuda/LowerKernels.h"

#include "compiler/codegen/cuda/GridEmitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace vcc::cuda {

GridKernels::GridKernels(MLIRContext *Context) {
  Context->loadDialect<LLVM::LLVMDialect, arith::ArithDialect, math::MathDialect, vector::VectorDialect, scf::SCFDialect,
                       gpu::GPUDialect, memref::MemRefDialect>();
  auto Unknown = UnknownLoc::get(Context);
  Out = ModuleOp::create(Unknown);
  (*Out)->setAttr(gpu::GPUDialect::getContainerModuleAttrName(), UnitAttr::get(Context));
  auto B = OpBuilder::atBlockEnd(Out->getBody());
  B.create<gpu::GPUModuleOp>(Unknown, ModuleName);
}

FailureOr<std::string> GridKernels::add(tg::KernelOp Kernel, const GridLaunch &Launch) {
  std::string Name = Kernel.getSymName().str() + Launch.Walk.suffix();
  auto [Place, New] = Known.try_emplace(Name, Kernel);
  if (!New) {
    if (Place->second == Kernel || OperationEquivalence::isEquivalentTo(Place->second, Kernel, OperationEquivalence::IgnoreLocations))
      return Name;
    Kernel.emitOpError("has the name of another kernel").attachNote(Place->second.getLoc()) << "the other one";
    return failure();
  }
  OwningOpRef<tg::KernelOp> Copy(Kernel.clone());
  if (failed(codegen::prepareBody(*Copy)))
    return failure();
  auto Module = *Out->getOps<gpu::GPUModuleOp>().begin();
  ImplicitLocOpBuilder B(Kernel.getLoc(), Kernel.getContext());
  B.setInsertionPoint(Module.getBody()->getTerminator());
  if (failed(GridEmitter(*Copy, Launch.Walk, Launch.Shape, B).run(Name)))
    return failure();
  return Name;
}

OwningOpRef<ModuleOp> GridKernels::finish() {
  PassManager Passes(Out->getContext());
  Passes.addPass(createCanonicalizerPass());
  Passes.addPass(createCSEPass());
  if (failed(Passes.run(*Out)))
    return {};
  return std::move(Out);
}

LaunchShape shapeOf(exec::LaunchKernelOp Launch, SymbolTable &Buffers) {
  LaunchShape Shape;
  Shape.Dims.assign(Launch.getDims().begin(), Launch.getDims().end());
  llvm::append_range(Shape.Accesses, Launch.getAccess().getAsRange<tg::AccessAttr>());
  Shape.Uniforms.assign(Launch.getUniforms().begin(), Launch.getUniforms().end());
  Shape.RowsPerChunk = Launch.getChunk();
  Shape.Units = Launch.getUnits();
  for (FlatSymbolRefAttr Name : Launch.abiBuffers()) {
    auto Buffer = Buffers.lookup<exec::BufferOp>(Name.getAttr());
    Shape.ByteOffsets.push_back(Buffer ? Buffer.getOffset() : 0);
  }
  return Shape;
}

/// Each launch of the plans with its kernel and its numbers, in order.
static LogicalResult forEachLaunch(ArrayRef<ModuleOp> Stages,
                                   llvm::function_ref<LogicalResult(exec::LaunchKernelOp, tg::KernelOp, GridLaunch &)> Body) {
  bool Failed = false;
  for (ModuleOp Stage : Stages) {
    SymbolTable Symbols(Stage);
    for (auto Plan : Stage.getOps<exec::ModuleOp>()) {
      SymbolTable Buffers(Plan);
      SmallVector<exec::LaunchKernelOp> Launches;
      Plan.walk([&](exec::LaunchKernelOp Op) { Launches.push_back(Op); });
      for (exec::LaunchKernelOp Op : Launches) {
        auto Kernel = Symbols.lookup<tg::KernelOp>(Op.getKernel());
        auto Launch = planGridLaunch(Kernel, shapeOf(Op, Buffers));
        Failed |= failed(Launch) || failed(Body(Op, Kernel, *Launch));
      }
    }
  }
  return failure(Failed);
}

OwningOpRef<ModuleOp> lowerKernels(ArrayRef<ModuleOp> Stages) {
  if (Stages.empty())
    return {};
  GridKernels Kernels(ModuleOp(Stages.front()).getContext());
  auto Result = forEachLaunch(Stages, [&](exec::LaunchKernelOp, tg::KernelOp Kernel, GridLaunch &Launch) {
    return LogicalResult(Kernels.add(Kernel, Launch));
  });
  return failed(Result) ? OwningOpRef<ModuleOp>() : Kernels.finish();
}

FailureOr<std::vector<DeviceKernel>> planGrids(ArrayRef<ModuleOp> Stages) {
  llvm::StringMap<int64_t> Numbers;
  std::vector<DeviceKernel> Kernels;
  auto Result = forEachLaunch(Stages, [&](exec::LaunchKernelOp Op, tg::KernelOp Kernel, GridLaunch &Launch) {
    std::string Name = Kernel.getSymName().str() + Launch.Walk.suffix();
    auto [Number, New] = Numbers.try_emplace(Name, static_cast<int64_t>(Kernels.size()));
    if (New)
      Kernels.push_back({Name, Launch.Shape.Threads});
    OpBuilder B(Op);
    B.create<exec::LaunchGridOp>(Op.getLoc(), B.getStringAttr(Name), B.getI64IntegerAttr(Number->second), Op.getReadsAttr(),
                                 Op.getWritesAttr(), B.getDenseI64ArrayAttr(Launch.Offsets),
                                 B.getDenseI64ArrayAttr(Launch.Words), B.getI64IntegerAttr(Launch.Blocks), Op.getPhaseAttr(),
                                 Op.getLabelAttr(), Op.getFlopsAttr(), Op.getBytesAttr());
    Op.erase();
    return success();
  });
  if (failed(Result))
    return failure();
  return Kernels;
}

} // namespace vcc::cuda
