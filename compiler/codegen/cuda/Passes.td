// SPDX-License-Identifier: Apache-2.0
//
// Code generation for CUDA, as vcc-opt runs it on hand-written modules.
#ifndef VCC_CODEGEN_CUDA_PASSES
#define VCC_CODEGEN_CUDA_PASSES

include "mlir/Pass/PassBase.td"

def LowerKernelsPass : Pass<"cuda-lower-kernels", "::mlir::ModuleOp"> {
  let summary = "turn the tg.kernels that plans launch into GPU functions";
  let description = [{
    Every `tg.kernel` becomes a `gpu.func` for each way in which the launches of the plan walk; plans and everything else are
    removed. A schedule must have run before.
    ```mlir
    tg.kernel @twice(%x: tensor<f32>) ... { ... }
    ```
    launched over 4096 elements in order becomes
    ```mlir
    gpu.func @twice_r1v4_uu(%x: !llvm.ptr<1>, %y: !llvm.ptr<1>, %elements: i64) kernel { ... }
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::vector::VectorDialect", "::mlir::scf::SCFDialect", "::mlir::gpu::GPUDialect",
                           "::mlir::memref::MemRefDialect"];
}

def PlanGridsPass : Pass<"cuda-plan-grids", "::mlir::ModuleOp"> {
  let summary = "turn the launches of plans into launches of grids";
  let description = [{
    Merges dimensions, chooses vectors, threads and blocks, and writes down what the kernel of `cuda-lower-kernels` takes.
    ```mlir
    exec.launch @twice reads [@x] writes [@y] dims [16, 256] access [#tg.access<0, [256, 1]>, #tg.access<64, [256, 1]>] units 4096 ..
    ```
    becomes
    ```mlir
    exec.launch_grid "twice_r1v4_uu" number 0 reads [@x] writes [@y] offsets [0, 64] words [4096] blocks 4 ..
    ```
  }];
}

def EmitPtxPass : Pass<"cuda-emit-ptx", "::mlir::ModuleOp"> {
  let summary = "compile the functions of cuda-lower-kernels to PTX";
  let description = [{
    Writes the PTX of a copy of the module to `ptx`. The module stays as it is.
  }];
  let options = [Option<"Ptx", "ptx", "std::string", "\"-\"", "where to write the PTX">];
}

#endif
