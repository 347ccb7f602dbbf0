// SPDX-License-Identifier: Apache-2.0
//
// Public entries of scheduling: from a fused tg stage module to its plan, and the plan as a table for people.
#ifndef VCC_COMPILER_SCHEDULE_PASSES_H
#define VCC_COMPILER_SCHEDULE_PASSES_H

#include "dialects/exec/Exec.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"

namespace vcc::schedule {

#define GEN_PASS_DECL
#include "compiler/schedule/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/schedule/Passes.h.inc"

/// What runs after fusion, up to an exec.module.
void buildSchedulePipeline(mlir::OpPassManager &manager, const ScheduleStagePassOptions &options = {});

/// Registers the passes and the pipeline `vcc-schedule` (for vcc-opt).
void registerSchedule();

/// The plan of a stage module after `exec-schedule`; null when there is none.
exec::ModuleOp planOf(mlir::ModuleOp stage);

/// The name of the buffer of a function's input or output.
std::string inputBufferName(llvm::StringRef function, llvm::StringRef input);
std::string outputBufferName(llvm::StringRef function, llvm::StringRef output);

/// The largest sum of bytes of a function's buffers that are live at one launch: no plan needs less arena.
int64_t liveBytes(exec::ModuleOp plan, exec::FunctionOp function);

/// A table of regions, buffers and launches, with the peak of each function.
void printPlan(exec::ModuleOp plan, llvm::raw_ostream &stream);

} // namespace vcc::schedule

#endif
