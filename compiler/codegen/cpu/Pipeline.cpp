// SPDX-License-Identifier: Apache-2.0
//
// The steps of code generation as passes.
#include "compiler/codegen/cpu/LowerKernels.h"
#include "compiler/codegen/cpu/Object.h"
#include "compiler/codegen/cpu/Passes.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace mlir;

namespace vcc::cpu {

#define GEN_PASS_DEF_LOWERKERNELSPASS
#define GEN_PASS_DEF_CONVERTKERNELSTOLLVMPASS
#define GEN_PASS_DEF_VERIFYOBJECTPASS
#include "compiler/codegen/cpu/Passes.h.inc"

namespace {

struct LowerKernels : impl::LowerKernelsPassBase<LowerKernels> {
  using LowerKernelsPassBase::LowerKernelsPassBase;
  void runOnOperation() override {
    llvm::Expected<CpuTarget> Target = resolveCpu(Cpu);
    if (!Target) {
      getOperation().emitError(llvm::toString(Target.takeError()));
      return signalPassFailure();
    }
    OwningOpRef<ModuleOp> Kernels = lowerKernels({getOperation()}, *Target);
    if (!Kernels)
      return signalPassFailure();
    getOperation().getBodyRegion().takeBody(Kernels->getBodyRegion());
  }
};

struct ConvertKernelsToLLVM : impl::ConvertKernelsToLLVMPassBase<ConvertKernelsToLLVM> {
  void runOnOperation() override {
    OpPassManager Passes(ModuleOp::getOperationName());
    buildConvertToLLVM(Passes);
    if (failed(runPipeline(Passes, getOperation())))
      signalPassFailure();
  }
};

struct VerifyObject : impl::VerifyObjectPassBase<VerifyObject> {
  using VerifyObjectPassBase::VerifyObjectPassBase;

  llvm::Error write(StringRef Path, StringRef Bytes) {
    std::error_code Code;
    llvm::raw_fd_ostream Stream(Path, Code);
    if (Code)
      return llvm::createStringError("cannot write `" + Path.str() + "`: " + Code.message());
    Stream << Bytes;
    return llvm::Error::success();
  }

  llvm::Error compile() {
    llvm::Expected<CpuTarget> Target = resolveCpu(Cpu);
    if (!Target)
      return Target.takeError();
    OwningOpRef<ModuleOp> Copy(getOperation().clone());
    if (failed(convertKernelsToLLVM(*Copy)))
      return llvm::createStringError("the kernels cannot be converted to the LLVM dialect");
    llvm::LLVMContext Context;
    auto Module = translateKernels(*Copy, *Target, Context);
    if (!Module)
      return Module.takeError();
    for (bool Text : {true, false}) {
      std::unique_ptr<llvm::Module> Part = llvm::CloneModule(**Module);
      auto Bytes = Text ? emitAssembly(*Part, *Target) : emitObject(*Part, *Target);
      if (!Bytes)
        return Bytes.takeError();
      const std::string &Path = Text ? Assembly : Object;
      if (!Path.empty())
        if (llvm::Error Error = write(Path, *Bytes))
          return Error;
    }
    return llvm::Error::success();
  }

  void runOnOperation() override {
    if (llvm::Error Error = compile()) {
      getOperation().emitError(llvm::toString(std::move(Error)));
      signalPassFailure();
    }
    markAllAnalysesPreserved();
  }
};

} // namespace
} // namespace vcc::cpu
