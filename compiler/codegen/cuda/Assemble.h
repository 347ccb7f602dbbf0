// SPDX-License-Identifier: Apache-2.0
//
// The way of PTX to cubins, by NVIDIA's assembler, and what the assembler says of each kernel.
#ifndef VCC_COMPILER_CODEGEN_CUDA_ASSEMBLE_H
#define VCC_COMPILER_CODEGEN_CUDA_ASSEMBLE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace vcc::cuda {

/// The chips that get cubins; later ones compile the PTX.
constexpr unsigned Chips[] = {80, 90};

struct KernelResources {
  std::string Kernel;
  unsigned Chip = 0;
  int64_t Registers = 0, SharedBytes = 0;
  int64_t LocalBytes = 0; // stack and what is spilled to it
};

struct DeviceModule {
  std::string Ptx;
  std::vector<std::string> Cubins; // in the order of Chips
};

struct DeviceCode {
  std::vector<DeviceModule> Modules;
  std::vector<KernelResources> Resources; // by chip, in the order of the modules
};

/// $CUDA_HOME/bin/ptxas, else the toolkit's usual place, else the PATH. A PyPI wheel's folder serves as CUDA_HOME too.
llvm::Expected<std::string> findAssembler();

/// Where ptxas keeps something of a kernel in local memory, all chips' code of it is made again with a limit on its registers, which the
/// module's PTX then says, until nothing is left there or the limit is the highest.
llvm::Expected<DeviceCode> assemble(llvm::ArrayRef<std::string> Ptx, llvm::StringRef Assembler, unsigned Threads);

/// PTX in which this kernel may have so many registers.
std::string withRegisters(std::string Ptx, llvm::StringRef Kernel, unsigned Registers);

/// The resources that `ptxas -v` reports.
std::vector<KernelResources> readReport(llvm::StringRef Report, unsigned Chip);

/// A table for people, a line per kernel and chip.
std::string printResources(llvm::ArrayRef<KernelResources> Resources);

} // namespace vcc::cuda

#endif
