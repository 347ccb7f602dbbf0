// SPDX-License-Identifier: Apache-2.0
//
// Conversion passes, translation and LLVM's pipeline. Loops are already vectorised and unrolled as they should be, so LLVM's own
// loop vectoriser, unroller and SLP vectoriser stay off: they would only cost time.
#include "compiler/codegen/cpu/Object.h"

#include "compiler/codegen/body/Parts.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Target/TargetMachine.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"

namespace vcc::cpu {

void buildConvertToLLVM(mlir::OpPassManager &Passes) {
  Passes.addPass(mlir::createConvertSCFToCFPass());
  Passes.addPass(mlir::createConvertVectorToLLVMPass());
  Passes.addPass(mlir::createConvertMathToLLVMPass());
  Passes.addPass(mlir::createArithToLLVMConversionPass());
  Passes.addPass(mlir::createConvertControlFlowToLLVMPass());
  Passes.addPass(mlir::createReconcileUnrealizedCastsPass());
}

mlir::LogicalResult convertKernelsToLLVM(mlir::ModuleOp Kernels) {
  mlir::PassManager Passes(Kernels.getContext());
  Passes.enableVerifier(false);
  buildConvertToLLVM(Passes);
  return Passes.run(Kernels);
}

static void optimize(llvm::Module &Module, llvm::TargetMachine &Machine) {
  llvm::PipelineTuningOptions Tuning;
  Tuning.LoopVectorization = Tuning.SLPVectorization = Tuning.LoopUnrolling = Tuning.LoopInterleaving = false;
  llvm::PassBuilder Builder(&Machine, Tuning);
  llvm::LoopAnalysisManager Loops;
  llvm::FunctionAnalysisManager Functions;
  llvm::CGSCCAnalysisManager Calls;
  llvm::ModuleAnalysisManager Modules;
  // Kernels are freestanding: no loop of theirs may become a library call, memset and memcpy included. Their own loops
  // store whole vectors, and rows are short.
  llvm::TargetLibraryInfoImpl Library(llvm::Triple(Module.getTargetTriple()));
  Library.disableAllFunctions();
  Functions.registerPass([&] { return llvm::TargetLibraryAnalysis(Library); });
  Builder.registerModuleAnalyses(Modules);
  Builder.registerCGSCCAnalyses(Calls);
  Builder.registerFunctionAnalyses(Functions);
  Builder.registerLoopAnalyses(Loops);
  Builder.crossRegisterProxies(Loops, Functions, Calls, Modules);
  Builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(Module, Modules);
}

/// LLVM IR as MLIR gives it. Registers translations with the MLIR context, so not for several threads.
static llvm::Expected<std::unique_ptr<llvm::Module>> translate(mlir::ModuleOp Kernels, const CpuTarget &Target,
                                                               llvm::LLVMContext &Context) {
  mlir::registerBuiltinDialectTranslation(*Kernels.getContext());
  mlir::registerLLVMDialectTranslation(*Kernels.getContext());
  std::unique_ptr<llvm::Module> Module = mlir::translateModuleToLLVMIR(Kernels, Context, "kernels");
  if (!Module)
    return llvm::createStringError("the kernels cannot be translated to LLVM IR");
  for (llvm::Function &Function : *Module)
    if (!Function.isDeclaration()) {
      Function.addFnAttr("target-cpu", Target.Cpu);
      Function.addFnAttr(llvm::Attribute::NoUnwind);
    }
  return Module;
}

static llvm::Error optimizeFor(llvm::Module &Module, const CpuTarget &Target) {
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> Machine = makeTargetMachine(Target);
  if (!Machine)
    return Machine.takeError();
  Module.setDataLayout((*Machine)->createDataLayout());
  Module.setTargetTriple((*Machine)->getTargetTriple().str());
  optimize(Module, **Machine);
  return verifyNoCalls(Module);
}

llvm::Expected<std::unique_ptr<llvm::Module>> translateKernels(mlir::ModuleOp Kernels, const CpuTarget &Target,
                                                               llvm::LLVMContext &Context) {
  llvm::Expected<std::unique_ptr<llvm::Module>> Module = translate(Kernels, Target, Context);
  if (!Module)
    return Module;
  if (llvm::Error Error = optimizeFor(**Module, Target))
    return std::move(Error);
  return Module;
}

llvm::Error verifyNoCalls(const llvm::Module &Module) {
  for (const llvm::Function &Function : Module)
    for (const llvm::BasicBlock &Block : Function)
      for (const llvm::Instruction &Instruction : Block) {
        const auto *Call = llvm::dyn_cast<llvm::CallBase>(&Instruction);
        if (!Call)
          continue;
        const llvm::Function *Callee = Call->getCalledFunction();
        llvm::StringRef Name = Callee ? Callee->getName() : "an address";
        if (Callee && Callee->isIntrinsic() && !llvm::isa<llvm::AnyMemIntrinsic>(Call))
          continue;
        return llvm::createStringError("kernel `" + Function.getName().str() + "` calls `" + Name.str() +
                                       "`, but kernels may call nothing");
      }
  return llvm::Error::success();
}

static llvm::Expected<std::string> emit(llvm::Module &Module, const CpuTarget &Target,
                                        llvm::CodeGenFileType FileType) {
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> Machine = makeTargetMachine(Target);
  if (!Machine)
    return Machine.takeError();
  llvm::SmallVector<char, 0> Bytes;
  llvm::raw_svector_ostream Stream(Bytes);
  llvm::legacy::PassManager Passes;
  if ((*Machine)->addPassesToEmitFile(Passes, Stream, nullptr, FileType, /*DisableVerify=*/true))
    return llvm::createStringError("LLVM cannot write this file type for " + Target.Cpu);
  Passes.run(Module);
  return std::string(Bytes.begin(), Bytes.end());
}

llvm::Expected<std::string> emitAssembly(llvm::Module &Module, const CpuTarget &Target) {
  return emit(Module, Target, llvm::CodeGenFileType::AssemblyFile);
}

llvm::Expected<std::string> emitObject(llvm::Module &Module, const CpuTarget &Target) {
  return emit(Module, Target, llvm::CodeGenFileType::ObjectFile);
}

static llvm::Expected<std::string> compilePart(llvm::Module &Module, const CpuTarget &Target) {
  if (llvm::Error Error = optimizeFor(Module, Target))
    return std::move(Error);
  return emitObject(Module, Target);
}

llvm::Expected<std::vector<std::string>> compileKernels(mlir::ModuleOp Kernels, const CpuTarget &Target,
                                                        unsigned Threads) {
  constexpr size_t KernelsPerObject = 16;
  mlir::OwningOpRef<mlir::ModuleOp> Whole(Kernels.clone());
  if (mlir::failed(convertKernelsToLLVM(*Whole)))
    return llvm::createStringError("the kernels cannot be converted to the LLVM dialect");
  // A constant table stands before the kernel that reads it and is internal: a part ends after a function.
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> Modules;
  size_t Count = 0;
  for (mlir::Operation &Op : Whole->getOps()) {
    if (Modules.empty() || Count == KernelsPerObject) {
      Modules.push_back(mlir::ModuleOp::create(Kernels.getLoc()));
      Count = 0;
    }
    Modules.back()->push_back(Op.clone());
    Count += mlir::isa<mlir::LLVM::LLVMFuncOp>(Op);
  }
  return codegen::compileParts(
      Modules.size(), Threads, [&](size_t I, llvm::LLVMContext &Context) { return translate(*Modules[I], Target, Context); },
      [&](llvm::Module &Module) { return compilePart(Module, Target); });
}

} // namespace vcc::cpu
