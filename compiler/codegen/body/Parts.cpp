// SPDX-License-Identifier: Apache-2.0
#include "compiler/codegen/body/Parts.h"

#include "llvm/Support/ThreadPool.h"

namespace vcc::codegen {

namespace {

struct Part {
  std::unique_ptr<llvm::LLVMContext> Context = std::make_unique<llvm::LLVMContext>();
  std::unique_ptr<llvm::Module> Module;
  std::string Made, Error;
};

} // namespace

llvm::Expected<std::vector<std::string>>
compileParts(size_t Count, unsigned Threads,
             llvm::function_ref<llvm::Expected<std::unique_ptr<llvm::Module>>(size_t, llvm::LLVMContext &)> Translate,
             llvm::function_ref<llvm::Expected<std::string>(llvm::Module &)> Compile) {
  std::vector<Part> Parts(Count);
  for (size_t I = 0; I < Count; ++I) {
    auto Module = Translate(I, *Parts[I].Context);
    if (!Module)
      return Module.takeError();
    Parts[I].Module = std::move(*Module);
  }
  llvm::DefaultThreadPool Pool(llvm::hardware_concurrency(Threads));
  for (Part &P : Parts)
    Pool.async([&P, Compile] {
      if (llvm::Expected<std::string> Made = Compile(*P.Module))
        P.Made = std::move(*Made);
      else
        P.Error = llvm::toString(Made.takeError());
    });
  Pool.wait();
  std::vector<std::string> All;
  for (Part &P : Parts) {
    if (!P.Error.empty())
      return llvm::createStringError(P.Error);
    All.push_back(std::move(P.Made));
  }
  return All;
}

} // namespace vcc::codegen
