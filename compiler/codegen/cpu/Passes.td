// SPDX-License-Identifier: Apache-2.0
//
// Code generation for the CPU, as vcc-opt runs it on hand-written modules.
#ifndef VCC_CODEGEN_CPU_PASSES
#define VCC_CODEGEN_CPU_PASSES

include "mlir/Pass/PassBase.td"

def LowerKernelsPass : Pass<"cpu-lower-kernels", "::mlir::ModuleOp"> {
  let summary = "turn tg.kernel symbols into C functions over vectors";
  let description = [{
    Every `tg.kernel` becomes an `llvm.func` with the signature of runtime/program/Abi.h, over arith, math, vector, scf and llvm
    operations; launches and everything else are removed. Nothing has to have run before but the outlining of kernels.
    ```mlir
    tg.kernel @twice(%x: tensor<f32>) ... { ... }
    ```
    becomes
    ```mlir
    llvm.func @twice(%buffers: !llvm.ptr, %ints: !llvm.ptr, %begin: i64, %end: i64) { ... }
    ```
  }];
  let options = [Option<"Cpu", "cpu", "std::string", "\"native\"", "native, x86-64-v2, x86-64-v3 or x86-64-v4">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::vector::VectorDialect", "::mlir::scf::SCFDialect", "::mlir::cf::ControlFlowDialect"];
}

def ConvertKernelsToLLVMPass : Pass<"cpu-convert-kernels-to-llvm", "::mlir::ModuleOp"> {
  let summary = "turn the functions of cpu-lower-kernels into the LLVM dialect alone";
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect"];
}

def VerifyObjectPass : Pass<"cpu-verify-object", "::mlir::ModuleOp"> {
  let summary = "compile the functions of cpu-lower-kernels and check that they call nothing";
  let description = [{
    Compiles a copy of the module to machine code for `cpu`; writes the object to `object` and the assembly to `assembly` when they
    are named. The module stays as it is.
  }];
  let options = [Option<"Cpu", "cpu", "std::string", "\"native\"", "native, x86-64-v2, x86-64-v3 or x86-64-v4">,
                 Option<"Object", "object", "std::string", "\"\"", "where to write the object">,
                 Option<"Assembly", "assembly", "std::string", "\"\"", "where to write the assembly">];
}

#endif
