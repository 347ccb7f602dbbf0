// SPDX-License-Identifier: Apache-2.0
#include "compiler/codegen/cuda/Assemble.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/raw_ostream.h"

namespace vcc::cuda {

llvm::Expected<std::string> findAssembler() {
  std::vector<std::string> Folders;
  if (auto Home = llvm::sys::Process::GetEnv("CUDA_HOME"))
    Folders.push_back(*Home);
  Folders.push_back("/usr/local/cuda");
  for (const std::string &Folder : Folders) {
    llvm::SmallString<256> Path(Folder);
    llvm::sys::path::append(Path, "bin", "ptxas");
    if (llvm::sys::fs::can_execute(Path))
      return Path.str().str();
  }
  if (auto Found = llvm::sys::findProgramByName("ptxas"))
    return *Found;
  return llvm::createStringError("cannot find ptxas, neither in $CUDA_HOME/bin, in /usr/local/cuda/bin nor on the PATH; it is in the CUDA "
                                 "toolkit, and in the PyPI package nvidia-cuda-nvcc (set CUDA_HOME to the folder that holds its bin/)");
}

static int64_t numberBefore(llvm::StringRef Line, llvm::StringRef What) {
  size_t At = Line.find(What);
  if (At == llvm::StringRef::npos)
    return 0;
  llvm::StringRef Front = Line.take_front(At).rtrim();
  int64_t Number = 0;
  Front.substr(Front.find_last_not_of("0123456789") + 1).getAsInteger(10, Number);
  return Number;
}

std::vector<KernelResources> readReport(llvm::StringRef Report, unsigned Chip) {
  std::vector<KernelResources> Found;
  llvm::SmallVector<llvm::StringRef> Lines;
  Report.split(Lines, '\n');
  for (llvm::StringRef Line : Lines) {
    if (size_t At = Line.find("Compiling entry function '"); At != llvm::StringRef::npos) {
      Found.emplace_back();
      Found.back().Kernel = Line.drop_front(At).split('\'').second.split('\'').first.str();
      Found.back().Chip = Chip;
    }
    if (Found.empty())
      continue;
    Found.back().LocalBytes += numberBefore(Line, "bytes stack frame") + numberBefore(Line, "bytes spill stores") +
                               numberBefore(Line, "bytes spill loads") + numberBefore(Line, "bytes lmem");
    Found.back().Registers += numberBefore(Line, "registers");
    Found.back().SharedBytes += numberBefore(Line, "bytes smem");
  }
  return Found;
}

std::string withRegisters(std::string Ptx, llvm::StringRef Kernel, unsigned Registers) {
  size_t Entry = Ptx.find(".entry " + Kernel.str() + "(");
  size_t Body = Entry == std::string::npos ? Entry : Ptx.find("\n{", Entry);
  if (Body == std::string::npos)
    return Ptx;
  const std::string Word = "\n.maxnreg ";
  if (size_t Old = Ptx.find(Word, Entry); Old < Body) {
    size_t End = Ptx.find('\n', Old + 1);
    Ptx.erase(Old, End - Old);
    Body -= End - Old;
  }
  return Ptx.insert(Body, Word + std::to_string(Registers));
}

/// At each of these a chip holds fewer warps. Without a limit ptxas now and then spills a few bytes to hold more of them, at some limits too;
/// the last one it never needs.
static constexpr unsigned RegisterLimits[] = {40, 48, 56, 64, 72, 80, 96, 112, 128, 168, 255};

namespace {

struct Job {
  const std::string *Ptx;
  unsigned Chip;
  std::string Cubin, Report, Error;
};

/// The files lie in a folder of their own that is gone afterwards; their names are no part of a cubin.
llvm::Error run(Job &J, llvm::StringRef Assembler) {
  llvm::SmallString<128> Folder;
  if (std::error_code Code = llvm::sys::fs::createUniqueDirectory("vcc-ptxas", Folder))
    return llvm::createStringError("cannot make a temporary folder: " + Code.message());
  auto Remove = llvm::make_scope_exit([&] { llvm::sys::fs::remove_directories(Folder); });
  auto In = [&](llvm::StringRef Name) { return (Folder + "/" + Name).str(); };
  std::string Source = In("kernels.ptx"), Result = In("kernels.cubin"), Report = In("report");
  {
    std::error_code Code;
    llvm::raw_fd_ostream Stream(Source, Code);
    if (Code)
      return llvm::createStringError("cannot write `" + Source + "`: " + Code.message());
    Stream << *J.Ptx;
  }
  std::string Arch = "-arch=sm_" + std::to_string(J.Chip);
  llvm::StringRef Arguments[] = {Assembler, "-v", Arch, "-O3", Source, "-o", Result};
  std::optional<llvm::StringRef> Redirects[] = {llvm::StringRef(""), llvm::StringRef(Report), llvm::StringRef(Report)};
  std::string Why;
  int Code = llvm::sys::ExecuteAndWait(Assembler, Arguments, std::nullopt, Redirects, 0, 0, &Why);
  if (auto Text = llvm::MemoryBuffer::getFile(Report))
    J.Report = (*Text)->getBuffer().str();
  if (Code != 0)
    return llvm::createStringError("`" + Assembler.str() + " " + Arch + "` fails with " + std::to_string(Code) + ": " +
                                   (Why.empty() ? J.Report : Why));
  auto Bytes = llvm::MemoryBuffer::getFile(Result, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!Bytes)
    return llvm::createStringError("ptxas wrote no cubin: " + Bytes.getError().message());
  J.Cubin = (*Bytes)->getBuffer().str();
  return llvm::Error::success();
}

} // namespace

/// Each kernel with a frame in some chip's report gets the next limit above the registers that it has, or above its last limit; whether
/// there is any.
static bool raiseLimits(std::string &Ptx, llvm::ArrayRef<Job> Jobs, llvm::StringMap<unsigned> &Limits) {
  bool Raised = false;
  llvm::StringMap<unsigned> Spilling;
  for (const Job &J : Jobs)
    for (const KernelResources &R : readReport(J.Report, J.Chip)) {
      if (R.LocalBytes == 0)
        continue;
      unsigned &Most = Spilling[R.Kernel];
      Most = std::max<unsigned>({Most, static_cast<unsigned>(R.Registers), Limits.lookup(R.Kernel)});
    }
  for (const auto &[Kernel, Registers] : Spilling)
    for (unsigned Limit : RegisterLimits)
      if (Limit > Registers) {
        Limits[Kernel] = Limit;
        Ptx = withRegisters(std::move(Ptx), Kernel, Limit);
        Raised = true;
        break;
      }
  return Raised;
}

llvm::Expected<DeviceCode> assemble(llvm::ArrayRef<std::string> Ptx, llvm::StringRef Assembler, unsigned Threads) {
  constexpr size_t PerModule = std::size(Chips);
  DeviceCode Code;
  for (const std::string &Text : Ptx)
    Code.Modules.push_back({Text, {}});
  std::vector<Job> Jobs;
  for (const DeviceModule &Module : Code.Modules)
    for (unsigned Chip : Chips)
      Jobs.push_back({&Module.Ptx, Chip, {}, {}, {}});
  std::vector<llvm::StringMap<unsigned>> Limits(Code.Modules.size());
  llvm::DefaultThreadPool Pool(llvm::hardware_concurrency(Threads));
  std::vector<bool> Open(Code.Modules.size(), true);
  while (llvm::is_contained(Open, true)) {
    for (auto [I, J] : llvm::enumerate(Jobs))
      if (Open[I / PerModule])
        Pool.async([&J = J, Assembler] {
          if (llvm::Error Error = run(J, Assembler))
            J.Error = llvm::toString(std::move(Error));
        });
    Pool.wait();
    for (const Job &J : Jobs)
      if (!J.Error.empty())
        return llvm::createStringError(J.Error);
    for (size_t I = 0; I < Open.size(); ++I)
      if (Open[I])
        Open[I] = raiseLimits(Code.Modules[I].Ptx, llvm::ArrayRef(Jobs).slice(I * PerModule, PerModule), Limits[I]);
  }
  for (auto [I, J] : llvm::enumerate(Jobs))
    Code.Modules[I / PerModule].Cubins.push_back(std::move(J.Cubin));
  for (unsigned Chip : Chips)
    for (Job &J : Jobs)
      if (J.Chip == Chip)
        llvm::append_range(Code.Resources, readReport(J.Report, Chip));
  return Code;
}

std::string printResources(llvm::ArrayRef<KernelResources> Resources) {
  std::string Text;
  llvm::raw_string_ostream Stream(Text);
  Stream << "chip   registers  shared bytes  local bytes  kernel\n";
  for (const KernelResources &R : Resources)
    Stream << llvm::format("sm_%-4u%9lld%14lld%13lld  ", R.Chip, (long long)R.Registers, (long long)R.SharedBytes,
                           (long long)R.LocalBytes)
           << R.Kernel << "\n";
  return Text;
}

} // namespace vcc::cuda
