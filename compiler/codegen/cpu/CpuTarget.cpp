// SPDX-License-Identifier: Apache-2.0
//
// The x86-64 levels as one table, and the LLVM target machine made from a row of it.
#include "compiler/codegen/cpu/CpuTarget.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Host.h"

namespace vcc::cpu {
namespace {

struct Level {
  const char *Name;
  std::vector<const char *> Adds; // beyond the level before
  unsigned VectorBytes;
};

const std::vector<Level> &levels() {
  static const std::vector<Level> Table = {
      {"x86-64-v2", {"cx16", "sahf", "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt"}, 16},
      {"x86-64-v3", {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"}, 32},
      {"x86-64-v4", {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}, 64},
  };
  return Table;
}

CpuTarget targetOf(size_t Index) {
  CpuTarget Target;
  for (size_t I = 0; I <= Index; ++I)
    for (const char *Feature : levels()[I].Adds)
      Target.Features.push_back(Feature);
  Target.Cpu = levels()[Index].Name;
  Target.VectorBytes = levels()[Index].VectorBytes;
  Target.HasFma = Index >= 1;
  Target.HasMaskRegisters = Index >= 2;
  return Target;
}

llvm::Expected<CpuTarget> hostTarget() {
  llvm::StringMap<bool> Host = llvm::sys::getHostCPUFeatures();
  auto Has = [&](const Level &L) {
    return llvm::all_of(L.Adds, [&](const char *Feature) { return Host.lookup(Feature); });
  };
  size_t Count = 0;
  while (Count < levels().size() && Has(levels()[Count]))
    ++Count;
  if (Count == 0)
    return llvm::createStringError("this machine's CPU is below x86-64-v2; name the CPU of the machine that will train "
                                   "with --cpu=x86-64-v3");
  return targetOf(Count - 1);
}

} // namespace

llvm::Expected<CpuTarget> resolveCpu(llvm::StringRef Name) {
  if (Name == "native")
    return hostTarget();
  for (size_t I = 0; I < levels().size(); ++I)
    if (Name == levels()[I].Name)
      return targetOf(I);
  return llvm::createStringError("unknown CPU `" + Name.str() +
                                 "`: one of native, x86-64-v2, x86-64-v3, x86-64-v4");
}

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> makeTargetMachine(const CpuTarget &Target) {
  static const bool Initialized = [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    return true;
  }();
  (void)Initialized;
  const std::string Triple = "x86_64-unknown-linux-gnu";
  std::string Error;
  const llvm::Target *Found = llvm::TargetRegistry::lookupTarget(Triple, Error);
  if (!Found)
    return llvm::createStringError("LLVM has no x86-64 target: " + Error);
  llvm::TargetOptions Options;
  Options.FunctionSections = true;
  std::unique_ptr<llvm::TargetMachine> Machine(
      Found->createTargetMachine(Triple, Target.Cpu, "", Options, llvm::Reloc::PIC_, llvm::CodeModel::Small,
                                 llvm::CodeGenOptLevel::Default));
  if (!Machine)
    return llvm::createStringError("LLVM cannot make a target machine for `" + Target.Cpu + "`");
  return Machine;
}

} // namespace vcc::cpu
