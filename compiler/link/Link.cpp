// SPDX-License-Identifier: Apache-2.0
//
// Objects to a program through a C++ driver. Objects live in a fresh temporary folder that goes away in every case; the linker gets
// relative names and no build id, so neither a path nor a time is in the result.
#include "compiler/link/Link.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"

#ifndef VCC_RUNTIME_LIBRARY
#define VCC_RUNTIME_LIBRARY ""
#endif

namespace vcc::link {

llvm::Expected<std::string> emitProgramObject(llvm::Module &Module) {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  const std::string Triple = "x86_64-unknown-linux-gnu";
  std::string Reason;
  const llvm::Target *Target = llvm::TargetRegistry::lookupTarget(Triple, Reason);
  if (!Target)
    return llvm::createStringError("LLVM has no x86-64 target: " + Reason);
  std::unique_ptr<llvm::TargetMachine> Machine(
      Target->createTargetMachine(Triple, "x86-64", "", llvm::TargetOptions(), llvm::Reloc::PIC_));
  Module.setTargetTriple(Triple);
  Module.setDataLayout(Machine->createDataLayout());
  llvm::SmallVector<char, 0> Bytes;
  llvm::raw_svector_ostream Stream(Bytes);
  llvm::legacy::PassManager Passes;
  if (Machine->addPassesToEmitFile(Passes, Stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    return llvm::createStringError("LLVM cannot write an x86-64 object");
  Passes.run(Module);
  return std::string(Bytes.begin(), Bytes.end());
}

llvm::Expected<std::string> findRuntime(llvm::StringRef Executable) {
  static int Anchor;
  std::string Self = llvm::sys::fs::getMainExecutable(Executable.str().c_str(), &Anchor);
  llvm::SmallString<256> Beside(llvm::sys::path::parent_path(llvm::sys::path::parent_path(Self)));
  llvm::sys::path::append(Beside, "lib", "libvcc_runtime.a");
  for (llvm::StringRef Candidate : {llvm::StringRef(Beside), llvm::StringRef(VCC_RUNTIME_LIBRARY)})
    if (!Candidate.empty() && llvm::sys::fs::exists(Candidate))
      return Candidate.str();
  return llvm::createStringError("cannot find libvcc_runtime.a, neither at `" + Beside.str().str() + "` nor at `" +
                                 std::string(VCC_RUNTIME_LIBRARY) + "`; build the target vcc_runtime");
}

namespace {

llvm::Expected<std::string> findLinker(llvm::StringRef Wanted) {
  if (!Wanted.empty()) {
    auto Found = llvm::sys::findProgramByName(Wanted);
    return Found ? llvm::Expected<std::string>(*Found)
                 : llvm::createStringError("cannot find the linker `" + Wanted.str() + "`");
  }
  for (llvm::StringRef Name : {"clang++-19", "c++"})
    if (auto Found = llvm::sys::findProgramByName(Name))
      return *Found;
  return llvm::createStringError("cannot find a linker: neither clang++-19 nor c++ is on the PATH (Debian: apt install clang-19)");
}

llvm::Error writeFile(llvm::StringRef Path, llvm::StringRef Bytes) {
  std::error_code Code;
  llvm::raw_fd_ostream Stream(Path, Code);
  if (!Code) {
    Stream << Bytes;
    Stream.close();
    Code = Stream.error();
    Stream.clear_error();
  }
  if (Code)
    return llvm::createStringError("cannot write `" + Path.str() + "`: " + Code.message());
  return llvm::Error::success();
}

std::string firstLines(llvm::StringRef Path, unsigned Count) {
  auto Buffer = llvm::MemoryBuffer::getFile(Path);
  if (!Buffer)
    return {};
  llvm::SmallVector<llvm::StringRef> Lines;
  (*Buffer)->getBuffer().split(Lines, '\n', Count, /*KeepEmpty=*/false);
  if (Lines.size() > Count)
    Lines.truncate(Count);
  std::string Text;
  for (llvm::StringRef Line : Lines)
    Text += "\n  " + Line.str();
  return Text;
}

llvm::Error run(llvm::StringRef Linker, llvm::ArrayRef<std::string> Arguments, llvm::StringRef ErrorFile) {
  llvm::SmallVector<llvm::StringRef> Words(Arguments.begin(), Arguments.end());
  std::optional<llvm::StringRef> Redirects[] = {llvm::StringRef(""), llvm::StringRef(""), ErrorFile};
  std::string Reason;
  int Status = llvm::sys::ExecuteAndWait(Linker, Words, std::nullopt, Redirects, 0, 0, &Reason);
  if (Status == 0)
    return llvm::Error::success();
  std::string Text = "linking failed (`" + Linker.str() + "` ended with status " + std::to_string(Status) + ")";
  if (!Reason.empty())
    Text += ": " + Reason;
  return llvm::createStringError(Text + firstLines(ErrorFile, 12));
}

std::string besideRuntime(llvm::StringRef Runtime) {
  llvm::SmallString<256> Path(llvm::sys::path::parent_path(Runtime));
  llvm::sys::path::append(Path, "libvcc_runtime_mpi.a");
  return Path.str().str();
}

std::vector<std::string> linkCommand(const std::string &Linker, llvm::ArrayRef<std::string> Objects, const std::string &Runtime,
                                     const LinkOptions &Options, const std::string &Output) {
  std::vector<std::string> Words = {Linker};
  if (llvm::sys::path::filename(Linker).starts_with("clang"))
    Words.push_back("-fuse-ld=lld");
  for (const char *Word : {"-pie", "-Wl,--build-id=none", "-Wl,--gc-sections", "-Wl,-z,noexecstack", "-Wl,-z,now", "-Wl,--strip-debug", "-o"})
    Words.push_back(Word);
  Words.push_back(Output);
  Words.insert(Words.end(), Objects.begin(), Objects.end());
  if (Options.Ranks)
    Words.push_back(besideRuntime(Runtime));
  Words.push_back(Runtime);
  if (Options.Ranks)
    Words.push_back("-lmpi");
  if (!Options.Cuda)
    Words.push_back("-ldnnl");
  for (const char *Word : {"-lfmt", "-lsimdjson", "-lsentencepiece", "-licuuc", "-licudata", "-lz", "-lgomp", "-ldl", "-lpthread"})
    Words.push_back(Word);
  return Words;
}

} // namespace

llvm::Error linkProgram(llvm::ArrayRef<std::string> Objects, const LinkOptions &Options) {
  llvm::Expected<std::string> Linker = findLinker(Options.Linker);
  if (!Linker)
    return Linker.takeError();
  std::string Runtime = Options.RuntimeLibrary;
  if (Runtime.empty()) {
    llvm::Expected<std::string> Found = findRuntime(Options.Executable);
    if (!Found)
      return Found.takeError();
    Runtime = *Found;
  } else if (!llvm::sys::fs::exists(Runtime)) {
    return llvm::createStringError("cannot find the runtime library `" + Runtime + "`");
  }
  if (Options.Ranks && !llvm::sys::fs::exists(besideRuntime(Runtime)))
    return llvm::createStringError("cannot find `" + besideRuntime(Runtime) + "`; build the target vcc_runtime_mpi");
  llvm::SmallString<128> Folder;
  if (std::error_code Code = llvm::sys::fs::createUniqueDirectory("vcc-link", Folder))
    return llvm::createStringError("cannot make a temporary folder: " + Code.message());
  auto Clean = llvm::make_scope_exit([&] { llvm::sys::fs::remove_directories(Folder); });
  std::vector<std::string> Paths;
  for (size_t I = 0; I < Objects.size(); ++I) {
    Paths.push_back((llvm::Twine(Folder) + "/" + llvm::Twine(I) + ".o").str());
    if (llvm::Error Error = writeFile(Paths.back(), Objects[I]))
      return Error;
  }
  std::string Partial = Options.Output + ".partial-" + std::to_string(llvm::sys::Process::getProcessId());
  auto Remove = llvm::make_scope_exit([&] { llvm::sys::fs::remove(Partial); });
  std::string Errors = (llvm::Twine(Folder) + "/errors").str();
  if (llvm::Error Error = run(*Linker, linkCommand(*Linker, Paths, Runtime, Options, Partial), Errors))
    return Error;
  if (std::error_code Code = llvm::sys::fs::rename(Partial, Options.Output))
    return llvm::createStringError("cannot rename `" + Partial + "` to `" + Options.Output + "`: " + Code.message());
  Remove.release();
  return llvm::Error::success();
}

} // namespace vcc::link
