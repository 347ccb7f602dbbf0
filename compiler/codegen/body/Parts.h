// SPDX-License-Identifier: Apache-2.0
//
// Kernels compiled in parts by several threads. MLIR's context is for one thread; LLVM's work, nearly all of the time, is on a context for each part.
#ifndef VCC_COMPILER_CODEGEN_BODY_PARTS_H
#define VCC_COMPILER_CODEGEN_BODY_PARTS_H

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <vector>

namespace vcc::codegen {

/// What `Compile` makes of each part, in their order. `Translate` is called in that order by one thread, `Compile` by any.
llvm::Expected<std::vector<std::string>>
compileParts(size_t Count, unsigned Threads,
             llvm::function_ref<llvm::Expected<std::unique_ptr<llvm::Module>>(size_t Part, llvm::LLVMContext &)> Translate,
             llvm::function_ref<llvm::Expected<std::string>(llvm::Module &)> Compile);

} // namespace vcc::codegen

#endif
