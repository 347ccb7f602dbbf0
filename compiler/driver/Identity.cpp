// SPDX-License-Identifier: Apache-2.0
#include "compiler/driver/Identity.h"

#include "compiler/codegen/cuda/Assemble.h"
#include "compiler/link/Link.h"
#include "dialects/tg/Tg.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/xxhash.h"

namespace vcc::driver {

using elaborate::Json;

static std::string hashOf(llvm::StringRef text) { return llvm::utohexstr(llvm::xxh3_64bits(text), /*LowerCase=*/true, 16); }

std::string identityOfTraining(mlir::ModuleOp fused) {
  mlir::SymbolTable symbols(fused);
  llvm::SetVector<mlir::Operation *> parts;
  for (mlir::Operation &op : *fused.getBody()) {
    auto function = llvm::dyn_cast<mlir::func::FuncOp>(op);
    if ((function && !function.getSymName().starts_with("evaluate_")) || llvm::isa<tg::StateOp>(op))
      parts.insert(&op);
  }
  for (size_t i = 0; i < parts.size(); ++i) // what they call
    if (auto uses = mlir::SymbolTable::getSymbolUses(parts[i]))
      for (const mlir::SymbolTable::SymbolUse &use : *uses)
        if (mlir::Operation *called = symbols.lookup(use.getSymbolRef().getRootReference()))
          parts.insert(called);
  std::vector<std::string> texts; // in an order that does not depend on what was left out
  for (mlir::Operation *part : parts) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    // Printing what is not isolated would number all values of the module, for each of hundreds of states.
    if (part->hasTrait<mlir::OpTrait::IsIsolatedFromAbove>())
      part->print(stream, mlir::OpPrintingFlags().useLocalScope());
    else
      stream << part->getName() << " " << part->getAttrDictionary();
    texts.push_back(std::move(text));
  }
  llvm::sort(texts);
  return hashOf(llvm::join(texts, "\n"));
}

static llvm::Expected<std::string> hashOfFile(llvm::StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return llvm::createStringError("cannot read `" + path.str() + "`: " + buffer.getError().message());
  return hashOf((*buffer)->getBuffer());
}

llvm::Expected<std::string> identityOfTools(llvm::StringRef executable, bool cuda) {
  static int anchor;
  std::vector<std::string> files = {llvm::sys::fs::getMainExecutable(executable.str().c_str(), &anchor)};
  auto runtime = link::findRuntime(executable);
  if (!runtime)
    return runtime.takeError();
  files.push_back(*runtime);
  if (cuda) {
    auto assembler = cuda::findAssembler();
    if (!assembler)
      return assembler.takeError();
    files.push_back(*assembler);
  }
  std::string all;
  for (const std::string &file : files) {
    auto hash = hashOfFile(file);
    if (!hash)
      return hash.takeError();
    all += *hash;
  }
  return hashOf(all);
}

/// The declarations of data that a stage's batches name.
static Json declared(const Json &manifest, const Json &batches) {
  Json used = Json::object();
  auto take = [&](const char *kind, const Json &name) {
    if (name.is_string() && manifest[kind].contains(name.get<std::string>()))
      used[kind][name.get<std::string>()] = manifest[kind][name.get<std::string>()];
  };
  for (const Json &batch : batches) {
    for (const Json &dataset : batch["datasets"])
      take("datasets", dataset);
    for (const Json &field : batch["fields"]) {
      take("tokenizers", field.value("tokenizer", Json()));
      take("templates", field.value("template", Json()));
    }
  }
  if (used.contains("datasets"))
    for (Json &dataset : used["datasets"])
      dataset.erase("on_error");
  return used;
}

void writeIdentity(Json &manifest, size_t stage, llvm::StringRef training, llvm::StringRef tools) {
  Json said = manifest["stages"][stage];
  for (const char *key : {"number", "components", "regions", "functions", "evaluate", "save", "log"})
    said.erase(key);
  for (Json &state : said["states"])
    for (const char *key : {"region", "offset", "bytes", "gradient"})
      state.erase(key);
  Json all = {{"stage", said}, {"data", declared(manifest, said["batch"])}, {"training", training.str()}, {"tools", tools.str()}};
  for (const char *key : {"target", "cpu", "features"})
    all[key] = manifest[key];
  manifest["stages"][stage]["identity"] = hashOf(all.dump());
}

} // namespace vcc::driver
