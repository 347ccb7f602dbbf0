// SPDX-License-Identifier: Apache-2.0
//
// Which operations may stand in a stage after each level.
#include "compiler/driver/Levels.h"

#include "dialects/exec/Exec.h"
#include "dialects/tg/Tg.h"

namespace vcc::driver {

static bool isKernelForm(mlir::Operation *op) {
  return llvm::isa<tg::KernelOp, tg::LaunchOp, tg::GemmOp, tg::RowIndexOp>(op);
}

static bool mayStand(mlir::Operation *op, Level level) {
  llvm::StringRef dialect = op->getName().getDialectNamespace();
  if (llvm::isa<mlir::ModuleOp>(op))
    return true;
  switch (level) {
  case Level::Vcs:
    return dialect == "vcs";
  case Level::Graph:
  case Level::Step: {
    auto function = llvm::dyn_cast<mlir::func::FuncOp>(op);
    if (function && level == Level::Step && function.getSymName().starts_with("forward_"))
      return false;
    return (dialect == "tg" || dialect == "func") && !isKernelForm(op);
  }
  case Level::Plan:
    return dialect == "exec" || llvm::isa<tg::KernelOp>(op) || (dialect == "tg" && op->getParentOfType<tg::KernelOp>());
  case Level::Kernels:
    return llvm::is_contained({"arith", "llvm", "math", "scf", "vector"}, dialect);
  case Level::Llvm:
    return dialect == "llvm";
  default:
    return true;
  }
}

llvm::LogicalResult verifyLevel(mlir::ModuleOp module, Level level) {
  auto result = module.walk<mlir::WalkOrder::PreOrder>([&](mlir::Operation *op) {
    if (mayStand(op, level))
      return mlir::WalkResult::advance();
    op->emitOpError("may not stand at level `") << levelName(level) << "`";
    return mlir::WalkResult::interrupt();
  });
  return llvm::success(!result.wasInterrupted());
}

} // namespace vcc::driver
