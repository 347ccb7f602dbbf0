// SPDX-License-Identifier: Apache-2.0
//
// From plans to a program: placing, identities, kernels for the target, objects, linking.
#include "compiler/codegen/cpu/Object.h"
#include "compiler/driver/CudaCode.h"
#include "compiler/driver/ExitCodes.h"
#include "compiler/driver/Identity.h"
#include "compiler/driver/LevelRun.h"
#include "compiler/driver/Placing.h"
#include "compiler/link/Link.h"
#include "compiler/schedule/Passes.h"

#include "mlir/IR/Verifier.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Threading.h"
#include "llvm/Support/ToolOutputFile.h"

namespace vcc::driver {

using llvm::failed;

bool Run::placeStages() {
  for (StageRun &stage : stages) {
    std::string reason;
    if (!placeStage(schedule::planOf(*stage.module), stage.ports, recipe->manifest["stages"][stage.place], reason)) {
      err << "stage `" << stage.name << "`: " << reason << "\n";
      return false;
    }
  }
  return true;
}

/// After all else that the manifest says.
bool Run::identifyStages() {
  progress.clear();
  auto tools = identityOfTools(options.executable, options.cuda);
  if (!tools) {
    err << "error: " << llvm::toString(tools.takeError()) << "\n";
    return false;
  }
  for (StageRun &stage : stages)
    writeIdentity(recipe->manifest, stage.place, stage.training, *tools);
  return true;
}

llvm::SmallVector<mlir::ModuleOp> Run::stageModules() {
  llvm::SmallVector<mlir::ModuleOp> modules;
  for (StageRun &stage : stages)
    modules.push_back(*stage.module);
  return modules;
}

int Run::generateCuda() {
  llvm::SmallVector<mlir::ModuleOp> modules = stageModules();
  if (options.last != Level::Object && options.last != Level::Program) {
    progress.say("machine code of the kernels");
    auto text = emitCudaText(modules, options.last, costs);
    return text ? write(*text) : internal(llvm::toString(text.takeError()));
  }
  if (!placeStages())
    return internal("the plan does not fit the manifest");
  recipe->manifest["target"] = "cuda";
  recipe->manifest["libraries"] = {"cublasLt"};
  if (llvm::any_of(modules, [](mlir::ModuleOp module) {
        return module.walk([](mlir::Operation *op) {
          return llvm::isa<exec::AttentionOp, exec::AttentionGradOp>(op) ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
        }).wasInterrupted();
      }))
    recipe->manifest["libraries"].push_back("cudnn");
  if (!identifyStages())
    return kInternal;
  std::string manifest = recipe->manifest.dump(1);
  dump("manifest.json", manifest);
  progress.say("machine code of the kernels");
  auto object = emitCudaObject(modules, manifest, costs);
  if (!object)
    return internal(llvm::toString(object.takeError()));
  return options.last == Level::Object ? write(*object) : linkObjects({*object}, /*ranks=*/false);
}

int Run::generate() {
  if (options.cuda)
    return generateCuda();
  auto target = cpu::resolveCpu(options.cpu);
  if (!target) {
    err << "error: " << llvm::toString(target.takeError()) << "\n";
    return kUsage;
  }
  llvm::SmallVector<mlir::ModuleOp> modules = stageModules();
  progress.say("kernels");
  mlir::OwningOpRef<mlir::ModuleOp> kernels = cpu::lowerKernels(modules, *target);
  costs.endLevel("lower kernels", {}, kernels ? costs.count(*kernels) : std::nullopt);
  if (!kernels || failed(mlir::verify(*kernels)) || failed(verifyLevel(*kernels, Level::Kernels)))
    return internal("the kernels cannot be lowered");
  if (options.last == Level::Kernels || !options.dumpFolder.empty()) {
    std::string text = printed(*kernels);
    dump("kernels.mlir", text);
    if (options.last == Level::Kernels)
      return write(text);
  }
  return finish(*kernels, *target);
}

int Run::finish(mlir::ModuleOp kernels, const cpu::CpuTarget &target) {
  if (options.last == Level::Llvm || options.last == Level::Asm) {
    if (failed(cpu::convertKernelsToLLVM(kernels)) || failed(verifyLevel(kernels, Level::Llvm)))
      return internal("the kernels cannot be converted to LLVM");
    llvm::LLVMContext llvmContext;
    auto module = cpu::translateKernels(kernels, target, llvmContext);
    if (!module)
      return internal(llvm::toString(module.takeError()));
    if (options.last == Level::Asm) {
      auto assembly = cpu::emitAssembly(**module, target);
      return assembly ? write(*assembly) : internal(llvm::toString(assembly.takeError()));
    }
    std::string text;
    llvm::raw_string_ostream stream(text);
    (*module)->print(stream, nullptr);
    return write(text);
  }
  if (!placeStages())
    return internal("the plan does not fit the manifest");
  recipe->manifest["cpu"] = target.Cpu;
  recipe->manifest["features"] = target.Features;
  if (!identifyStages())
    return kInternal;
  progress.say("machine code of the kernels");
  auto objects =
      cpu::compileKernels(kernels, target, llvm::hardware_concurrency().compute_thread_count());
  costs.endLevel("compile kernels", costs.count(kernels));
  if (!objects)
    return internal(llvm::toString(objects.takeError()));
  llvm::SmallVector<mlir::ModuleOp> modules = stageModules();
  llvm::LLVMContext llvmContext;
  std::string manifest = recipe->manifest.dump(1);
  dump("manifest.json", manifest);
  bool ranks = llvm::any_of(recipe->manifest["stages"], [](const auto &stage) { return stage.contains("parallel"); });
  auto tables = link::buildProgram(modules, manifest, llvmContext, ranks ? "vcc_main_mpi" : "vcc_main");
  if (!tables)
    return internal(llvm::toString(tables.takeError()));
  auto object = link::emitProgramObject(**tables);
  if (!object)
    return internal(llvm::toString(object.takeError()));
  objects->push_back(std::move(*object));
  return linkObjects(*objects, ranks);
}

int Run::linkObjects(llvm::ArrayRef<std::string> objects, bool ranks) {
  progress.say("linking");
  llvm::Error error = link::linkProgram(objects, {/*Output=*/options.output.empty() ? "train.bin" : options.output, /*RuntimeLibrary=*/{},
                                                  /*Linker=*/{}, options.executable, ranks, options.cuda});
  costs.endLevel("link");
  progress.clear();
  if (!error)
    return kDone;
  err << "error: " << llvm::toString(std::move(error)) << "\n";
  return kInternal;
}

} // namespace vcc::driver
