// SPDX-License-Identifier: Apache-2.0
//
// From kernels and library operations on values to a plan: buffers at fixed offsets and launches in order.
#ifndef VCC_SCHEDULE_PASSES
#define VCC_SCHEDULE_PASSES

include "mlir/Pass/PassBase.td"

def ScheduleStagePass : Pass<"exec-schedule", "::mlir::ModuleOp"> {
  let summary = "the fused functions of a stage become an exec.module";
  let description = [{
    ```mlir
    func.func @update() {
      %w = tg.read @w : tensor<16xf32>
      %n = tg.launch @flat_1(%w) {..} : (tensor<16xf32>) -> tensor<16xf32>
      tg.write @w, %n : tensor<16xf32>
      return
    }
    // becomes
    exec.module @stage sizes {..} {
      exec.buffer @w state at 0 size 64 : tensor<16xf32> why "weight"
      exec.function @update { exec.launch @flat_1 reads [@w] writes [@w] .. }
    }
    ```
    Afterwards the module holds only tg.kernel symbols and one exec.module.
  }];
  let options = [Option<"threads", "threads", "int64_t", "16", "threads for which attention has workspace">,
                 Option<"device", "device", "bool", "false", "attention is a library's call on a GPU">];
  let dependentDialects = ["::vcc::exec::ExecDialect"];
}

#endif
