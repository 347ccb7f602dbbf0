// SPDX-License-Identifier: Apache-2.0
//
// The last step: the plans of all stages become the constant tables of runtime/program/Abi.h, and tables, kernels and runtime one
// ELF program.
#ifndef VCC_COMPILER_LINK_LINK_H
#define VCC_COMPILER_LINK_LINK_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace vcc::link {

/// The module that defines `vcc_program` and `main`, which calls `Entry` of the runtime. Each stage is a builtin.module that holds one exec.module; the stages stand in
/// the order of the manifest. Kernels are declared, not defined; of a program for a GPU (`Device`) they are not named at all.
llvm::Expected<std::unique_ptr<llvm::Module>> buildProgram(llvm::ArrayRef<mlir::ModuleOp> Stages,
                                                           llvm::StringRef Manifest, llvm::LLVMContext &Context,
                                                           llvm::StringRef Entry = "vcc_main", bool Device = false);

/// Code for a GPU, as other steps made it.
struct DeviceProgram {
  struct Image {
    bool Cubin; // else PTX
    unsigned Chip;
    std::string Bytes;
  };
  struct Kernel {
    std::string Name;
    unsigned Module;
    int64_t Threads;
  };
  std::vector<std::vector<Image>> Modules;
  std::vector<Kernel> Kernels;
};

/// Defines `vcc_device_code` in a program module.
void addDeviceCode(llvm::Module &Program, const DeviceProgram &Code);

/// The program module as an object for any x86-64.
llvm::Expected<std::string> emitProgramObject(llvm::Module &Module);

struct LinkOptions {
  std::string Output = "train.bin";
  std::string RuntimeLibrary; // empty: found by findRuntime
  std::string Linker;         // a C++ driver; empty: clang++-19, else c++
  std::string Executable;     // argv[0] of vcc, to find the runtime beside it
  bool Ranks = false;         // several may run it: with MPI
  bool Cuda = false;          // runs on a GPU: without the CPU's library of products
};

/// libvcc_runtime.a (and for several ranks libvcc_runtime_mpi.a beside it): lib/ beside the folder of the running vcc, else where it was built.
llvm::Expected<std::string> findRuntime(llvm::StringRef Executable);

/// Links objects and runtime into Options.Output: written beside it and renamed, so that it is whole or absent. The same objects
/// give the same bytes.
llvm::Error linkProgram(llvm::ArrayRef<std::string> Objects, const LinkOptions &Options);

} // namespace vcc::link

#endif
