// SPDX-License-Identifier: Apache-2.0
//
// The patterns from gpu to NVVM know math as calls of libdevice only and refuse LLVM's own operations for it, so roots and the like
// become intrinsics by name first; NVPTX has an instruction for each. No contraction is allowed
// anywhere: the PTX says .rn for every addition and product that is not written as fused, so ptxas fuses none either.
#include "compiler/codegen/cuda/Ptx.h"

#include "compiler/codegen/body/Parts.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

namespace vcc::cuda {
namespace {

constexpr const char *Triple = "nvptx64-nvidia-cuda", *Chip = "sm_80", *Isa = "+ptx80";

llvm::Expected<std::unique_ptr<llvm::TargetMachine>> makeTargetMachine() {
  static const bool Initialized = [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    return true;
  }();
  (void)Initialized;
  std::string Error;
  const llvm::Target *Found = llvm::TargetRegistry::lookupTarget(Triple, Error);
  if (!Found)
    return llvm::createStringError("LLVM has no NVPTX target: " + Error);
  llvm::TargetOptions Options;
  Options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  std::unique_ptr<llvm::TargetMachine> Machine(
      Found->createTargetMachine(Triple, Chip, Isa, Options, std::nullopt, std::nullopt, llvm::CodeGenOptLevel::Default));
  if (!Machine)
    return llvm::createStringError("LLVM cannot make a target machine for NVPTX");
  return Machine;
}

llvm::Expected<std::string> compile(llvm::Module &Module) {
  auto Machine = makeTargetMachine();
  if (!Machine)
    return Machine.takeError();
  Module.setDataLayout((*Machine)->createDataLayout());
  Module.setTargetTriple(Triple);
  llvm::PipelineTuningOptions Tuning;
  Tuning.LoopVectorization = Tuning.SLPVectorization = Tuning.LoopInterleaving = false;
  llvm::PassBuilder Builder(Machine->get(), Tuning);
  llvm::LoopAnalysisManager Loops;
  llvm::FunctionAnalysisManager Functions;
  llvm::CGSCCAnalysisManager Calls;
  llvm::ModuleAnalysisManager Modules;
  Builder.registerModuleAnalyses(Modules);
  Builder.registerCGSCCAnalyses(Calls);
  Builder.registerFunctionAnalyses(Functions);
  Builder.registerLoopAnalyses(Loops);
  Builder.crossRegisterProxies(Loops, Functions, Calls, Modules);
  Builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(Module, Modules);
  llvm::SmallVector<char, 0> Text;
  llvm::raw_svector_ostream Stream(Text);
  llvm::legacy::PassManager Passes;
  if ((*Machine)->addPassesToEmitFile(Passes, Stream, nullptr, llvm::CodeGenFileType::AssemblyFile, /*DisableVerify=*/true))
    return llvm::createStringError("LLVM cannot write PTX");
  Passes.run(Module);
  return std::string(Text.begin(), Text.end());
}

void nameIntrinsics(mlir::ModuleOp Kernels) {
  Kernels.walk([](mlir::Operation *Op) {
    const char *Name = llvm::TypeSwitch<mlir::Operation *, const char *>(Op)
                           .Case<mlir::math::SqrtOp>([](auto) { return "llvm.sqrt"; })
                           .Case<mlir::math::AbsFOp>([](auto) { return "llvm.fabs"; })
                           .Case<mlir::math::CopySignOp>([](auto) { return "llvm.copysign"; })
                           .Case<mlir::math::FloorOp>([](auto) { return "llvm.floor"; })
                           .Case<mlir::math::FmaOp>([](auto) { return "llvm.fma"; })
                           .Default([](auto) { return nullptr; });
    if (!Name)
      return;
    mlir::OpBuilder B(Op);
    auto Call = B.create<mlir::LLVM::CallIntrinsicOp>(Op->getLoc(), Op->getResult(0).getType(), B.getStringAttr(Name),
                                                      Op->getOperands());
    Op->getResult(0).replaceAllUsesWith(Call.getResult(0));
    Op->erase();
  });
}

} // namespace

void buildConvertToNvvm(mlir::OpPassManager &Passes) {
  mlir::OpPassManager &Inside = Passes.nest<mlir::gpu::GPUModuleOp>();
  Inside.addPass(mlir::createConvertSCFToCFPass());
  Inside.addPass(mlir::createConvertVectorToLLVMPass());
  mlir::ConvertGpuOpsToNVVMOpsOptions Options;
  Options.indexBitwidth = 64;
  Inside.addPass(mlir::createConvertGpuOpsToNVVMOps(Options));
  Inside.addPass(mlir::createReconcileUnrealizedCastsPass());
}

llvm::Expected<std::vector<std::string>> emitPtx(mlir::ModuleOp Kernels, unsigned Threads) {
  mlir::OwningOpRef<mlir::ModuleOp> Whole(Kernels.clone());
  nameIntrinsics(*Whole);
  mlir::PassManager Passes(Kernels.getContext());
  Passes.enableVerifier(false);
  buildConvertToNvvm(Passes);
  if (mlir::failed(Passes.run(*Whole)))
    return llvm::createStringError("the kernels cannot be converted to the NVVM dialect");
  mlir::MLIRContext &Context = *Kernels.getContext();
  mlir::registerBuiltinDialectTranslation(Context);
  mlir::registerLLVMDialectTranslation(Context);
  mlir::registerNVVMDialectTranslation(Context);
  // Constant tables stand before the kernel that reads them: a part ends after a function. Memory of blocks stands anywhere, and is
  // handed out by name.
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> Modules;
  for (auto Device : Whole->getOps<mlir::gpu::GPUModuleOp>()) {
    mlir::SymbolTable Symbols(Device);
    unsigned Count = KernelsPerModule;
    for (auto Function : Device.getOps<mlir::LLVM::LLVMFuncOp>()) {
      if (Count == KernelsPerModule) {
        Modules.push_back(mlir::ModuleOp::create(Kernels.getLoc()));
        Count = 0;
      }
      ++Count;
      Function.walk([&](mlir::LLVM::AddressOfOp Op) {
        auto Global = Symbols.lookup<mlir::LLVM::GlobalOp>(Op.getGlobalName());
        if (!Modules.back().get().lookupSymbol(Global.getSymName()))
          Modules.back()->push_back(Global->clone());
      });
      Modules.back()->push_back(Function->clone());
    }
  }
  auto Translate = [&](size_t I, llvm::LLVMContext &Context) -> llvm::Expected<std::unique_ptr<llvm::Module>> {
    if (auto Module = mlir::translateModuleToLLVMIR(*Modules[I], Context, "kernels"))
      return Module;
    return llvm::createStringError("the kernels cannot be translated to LLVM IR");
  };
  return codegen::compileParts(Modules.size(), Threads, Translate, compile);
}

} // namespace vcc::cuda
