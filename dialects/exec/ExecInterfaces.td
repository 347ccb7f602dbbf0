// SPDX-License-Identifier: Apache-2.0
//
// What every launch of a plan can tell: its entry in the launch table of runtime/program/Abi.h.
#ifndef VCC_EXEC_INTERFACES
#define VCC_EXEC_INTERFACES

include "mlir/IR/OpBase.td"

def Exec_LaunchOpInterface : OpInterface<"LaunchOpInterface"> {
  let cppNamespace = "::vcc::exec";
  let description = [{
    One row of the launch table. `abiBuffers` and `abiInts` are in the order that
    runtime/program/Abi.h fixes, so that nothing but names has to be resolved to write the table.
  }];
  let methods = [
    StaticInterfaceMethod<"The launch kind's number (enum VccLaunchKind).", "uint32_t", "abiKind", (ins)>,
    InterfaceMethod<"Buffers in order; null where an optional one is absent.",
      "::llvm::SmallVector<::mlir::FlatSymbolRefAttr>", "abiBuffers", (ins)>,
    InterfaceMethod<"One flag per buffer of `abiBuffers`: whether the launch writes it.",
      "::llvm::SmallVector<bool>", "abiWrites", (ins)>,
    InterfaceMethod<"The integers of the launch.", "::llvm::SmallVector<int64_t>", "abiInts", (ins)>,
    InterfaceMethod<"The kernel; null for pure library calls.",
      "::mlir::FlatSymbolRefAttr", "abiKernel", (ins)>,
    InterfaceMethod<"Units that the runtime may split over threads; 0 for library calls.",
      "int64_t", "abiUnits", (ins)>,
    InterfaceMethod<"The phase.", "::vcc::exec::Phase", "getPhase", (ins)>,
    InterfaceMethod<"Where it comes from, in the recipe's words.", "::llvm::StringRef", "getLabel", (ins)>,
    InterfaceMethod<"Floating-point operations.", "uint64_t", "getFlops", (ins)>,
    InterfaceMethod<"Bytes read and written.", "uint64_t", "getBytes", (ins)>
  ];
}

#endif
