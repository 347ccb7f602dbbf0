// SPDX-License-Identifier: Apache-2.0
//
// What `--cpu` names: one of the x86-64 levels, or `native`, which is the highest level that this machine has. A level fixes the
// vector width, the LLVM features and the list of features that a compiled program checks at its start, so that the same `--cpu`
// gives the same bytes on every machine.
#ifndef VCC_COMPILER_CODEGEN_CPU_CPUTARGET_H
#define VCC_COMPILER_CODEGEN_CPU_CPUTARGET_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <memory>
#include <string>
#include <vector>

namespace llvm {
class TargetMachine;
} // namespace llvm

namespace vcc::cpu {

struct CpuTarget {
  std::string Cpu;                   // "x86-64-v3": what LLVM and the manifest are told
  std::vector<std::string> Features; // what the program needs, by LLVM's names, as runtime/device/cpu/Features.cpp knows them
  unsigned VectorBytes = 16;
  bool HasFma = false;
  bool HasMaskRegisters = false; // AVX-512

  /// Lanes of one f32 vector; every value of a kernel has this many lanes, whatever its element type.
  unsigned lanes() const { return VectorBytes / 4; }
};

/// `native`, `x86-64-v2`, `x86-64-v3` or `x86-64-v4`; anything else is an error that lists them.
llvm::Expected<CpuTarget> resolveCpu(llvm::StringRef Name);

/// A target machine for position-independent objects of this CPU.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>> makeTargetMachine(const CpuTarget &Target);

} // namespace vcc::cpu

#endif
