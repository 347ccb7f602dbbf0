// SPDX-License-Identifier: Apache-2.0
//
// One line per dialect and per step; a new one is added here and nowhere else.
#include "compiler/opt/Register.h"

#include "compiler/codegen/cpu/Passes.h"
#include "compiler/codegen/cuda/Passes.h"
#include "compiler/differentiate/Passes.h"
#include "compiler/elaborate/Passes.h"
#include "compiler/fuse/Passes.h"
#include "compiler/precision/Passes.h"
#include "compiler/recompute/Passes.h"
#include "compiler/schedule/Passes.h"
#include "dialects/exec/Exec.h"
#include "dialects/tg/Tg.h"
#include "dialects/vcs/Vcs.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/Passes.h"

namespace vcc::opt {

void registerDialects(mlir::DialectRegistry &registry) {
  registry.insert<vcs::VcsDialect, tg::TgDialect, exec::ExecDialect>();
  registry.insert<mlir::func::FuncDialect, mlir::arith::ArithDialect, mlir::scf::SCFDialect,
                  mlir::cf::ControlFlowDialect, mlir::vector::VectorDialect,
                  mlir::math::MathDialect, mlir::memref::MemRefDialect, mlir::gpu::GPUDialect,
                  mlir::LLVM::LLVMDialect>();
}

void registerPasses() {
  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
  elaborate::registerConvertVcsToTgPass();
  precision::registerPrecisionPasses();
  differentiate::registerDifferentiatePasses();
  recompute::registerRecomputePasses();
  fuse::registerFuse();
  schedule::registerSchedule();
  cpu::registercodegen_cpuPasses();
  cuda::registercodegen_cudaPasses();
}

} // namespace vcc::opt
