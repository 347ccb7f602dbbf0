// SPDX-License-Identifier: Apache-2.0
#include "compiler/codegen/cuda/Assemble.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
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

llvm::Expected<DeviceCode> assemble(llvm::ArrayRef<std::string> Ptx, llvm::StringRef Assembler, unsigned Threads) {
  std::vector<Job> Jobs;
  for (const std::string &Text : Ptx)
    for (unsigned Chip : Chips)
      Jobs.push_back({&Text, Chip, {}, {}, {}});
  llvm::DefaultThreadPool Pool(llvm::hardware_concurrency(Threads));
  for (Job &J : Jobs)
    Pool.async([&J, Assembler] {
      if (llvm::Error Error = run(J, Assembler))
        J.Error = llvm::toString(std::move(Error));
    });
  Pool.wait();
  DeviceCode Code;
  for (const std::string &Text : Ptx)
    Code.Modules.push_back({Text, {}});
  for (auto [I, J] : llvm::enumerate(Jobs)) {
    if (!J.Error.empty())
      return llvm::createStringError(J.Error);
    Code.Modules[I / std::size(Chips)].Cubins.push_back(std::move(J.Cubin));
  }
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
