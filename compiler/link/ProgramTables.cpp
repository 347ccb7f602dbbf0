// SPDX-License-Identifier: Apache-2.0
//
// Writes runtime/program/Abi.h's structures as LLVM constants, field by field in the order of the header. Nothing is decided here:
// each launch says its own row through exec's LaunchOpInterface.
#include "compiler/link/Link.h"

#include "dialects/exec/Exec.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"
#include "llvm/IR/IRBuilder.h"
#include "runtime/program/Abi.h"
#include <map>

namespace vcc::link {
namespace {

class ProgramTables {
public:
  ProgramTables(llvm::LLVMContext &Context, bool Device)
      : Device(Device), Context(Context), Module(std::make_unique<llvm::Module>("vcc_program", Context)),
        Pointer(llvm::PointerType::getUnqual(Context)), I32(llvm::Type::getInt32Ty(Context)),
        I64(llvm::Type::getInt64Ty(Context)) {
    Buffer = structOf("VccBuffer", {I32, I32, I64});
    Launch = structOf("VccLaunch", {I32, I32, Pointer, Pointer, I64, Pointer, I64, Pointer, I64, I64, I64});
    Function = structOf("VccFunction", {Pointer, Pointer, I64});
    Stage = structOf("VccStage", {Pointer, Pointer, I64, I64, I64, I64, I64, Pointer, I64});
    KernelName = structOf("VccKernelName", {Pointer, Pointer});
    Program = structOf("VccProgram", {I32, I32, Pointer, I64, Pointer, I64, Pointer, I64});
  }

  llvm::Error addStage(mlir::ModuleOp Module);
  std::unique_ptr<llvm::Module> finish(llvm::StringRef Manifest, llvm::StringRef EntryName);

private:
  using Constants = std::vector<llvm::Constant *>;
  llvm::StructType *structOf(llvm::StringRef Name, llvm::ArrayRef<llvm::Type *> Fields) {
    return llvm::StructType::create(Context, Fields, Name);
  }
  llvm::Constant *i32(uint32_t Number) { return llvm::ConstantInt::get(I32, Number); }
  llvm::Constant *i64(uint64_t Number) { return llvm::ConstantInt::get(I64, Number); }
  llvm::Constant *table(llvm::Type *Element, const Constants &Entries);
  llvm::Constant *global(llvm::Constant *Value, llvm::Align Alignment);
  llvm::Constant *text(llvm::StringRef Text);
  llvm::Constant *kernel(llvm::StringRef Name);
  llvm::Constant *ints(llvm::ArrayRef<int64_t> Numbers);
  llvm::Constant *buffers(llvm::ArrayRef<mlir::FlatSymbolRefAttr> Names, mlir::SymbolTable &Symbols);
  llvm::Constant *launch(exec::LaunchOpInterface Op, mlir::SymbolTable &Symbols);
  llvm::Constant *function(exec::FunctionOp Op, mlir::SymbolTable &Symbols);
  llvm::Expected<llvm::Constant *> constants(exec::ModuleOp Plan);

  bool Device;
  llvm::LLVMContext &Context;
  std::unique_ptr<llvm::Module> Module;
  llvm::Type *Pointer, *I32, *I64;
  llvm::StructType *Buffer, *Launch, *Function, *Stage, *KernelName, *Program;
  llvm::StringMap<llvm::Constant *> Texts;
  std::map<std::vector<int64_t>, llvm::Constant *> IntTables;
  llvm::MapVector<llvm::StringRef, llvm::Constant *> Kernels; // names live in the plans' context
  Constants Stages;
};

llvm::Constant *ProgramTables::global(llvm::Constant *Value, llvm::Align Alignment) {
  auto *Variable = new llvm::GlobalVariable(*Module, Value->getType(), /*isConstant=*/true,
                                            llvm::GlobalValue::PrivateLinkage, Value);
  Variable->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
  Variable->setAlignment(Alignment);
  return Variable;
}

llvm::Constant *ProgramTables::table(llvm::Type *Element, const Constants &Entries) {
  if (Entries.empty())
    return llvm::ConstantPointerNull::get(llvm::cast<llvm::PointerType>(Pointer));
  return global(llvm::ConstantArray::get(llvm::ArrayType::get(Element, Entries.size()), Entries), llvm::Align(8));
}

llvm::Constant *ProgramTables::text(llvm::StringRef Text) {
  llvm::Constant *&Known = Texts[Text];
  if (!Known)
    Known = global(llvm::ConstantDataArray::getString(Context, Text), llvm::Align(1));
  return Known;
}

llvm::Constant *ProgramTables::kernel(llvm::StringRef Name) {
  llvm::Constant *&Known = Kernels[Name];
  if (!Known) {
    auto *Type = llvm::FunctionType::get(llvm::Type::getVoidTy(Context), {Pointer, Pointer, I64, I64}, false);
    Known = llvm::cast<llvm::Constant>(Module->getOrInsertFunction(Name, Type).getCallee());
  }
  return Known;
}

llvm::Constant *ProgramTables::ints(llvm::ArrayRef<int64_t> Numbers) {
  llvm::Constant *&Known = IntTables[Numbers.vec()];
  if (!Known) {
    Constants Entries;
    for (int64_t Number : Numbers)
      Entries.push_back(i64(static_cast<uint64_t>(Number)));
    Known = table(I64, Entries);
  }
  return Known;
}

llvm::Constant *ProgramTables::buffers(llvm::ArrayRef<mlir::FlatSymbolRefAttr> Names, mlir::SymbolTable &Symbols) {
  Constants Entries;
  for (mlir::FlatSymbolRefAttr Name : Names) {
    auto Found = Name ? Symbols.lookup<exec::BufferOp>(Name.getAttr()) : exec::BufferOp();
    uint32_t Region = Found ? static_cast<uint32_t>(Found.getRegion()) : uint32_t(VCC_REGION_NONE);
    bool Half = Found && Found.tensorType().getElementType().isF16();
    uint32_t Element = Half ? uint32_t(VCC_ELEMENT_F16) : Found ? static_cast<uint32_t>(Found.elementBytes()) : 0;
    uint64_t Offset = Found ? Found.getOffset() : 0;
    Entries.push_back(llvm::ConstantStruct::get(Buffer, {i32(Region), i32(Element), i64(Offset)}));
  }
  return table(Buffer, Entries);
}

llvm::Constant *ProgramTables::launch(exec::LaunchOpInterface Op, mlir::SymbolTable &Symbols) {
  llvm::SmallVector<mlir::FlatSymbolRefAttr> Names = Op.abiBuffers();
  llvm::SmallVector<int64_t> Numbers = Op.abiInts();
  llvm::Constant *Kernel = llvm::ConstantPointerNull::get(llvm::cast<llvm::PointerType>(Pointer));
  if (mlir::FlatSymbolRefAttr Name = Op.abiKernel(); Name && !Device)
    Kernel = kernel(Name.getValue());
  return llvm::ConstantStruct::get(
      Launch, {i32(Op.abiKind()), i32(static_cast<uint32_t>(Op.getPhase())), text(Op.getLabel()),
               buffers(Names, Symbols), i64(Names.size()), ints(Numbers), i64(Numbers.size()), Kernel,
               i64(Op.abiUnits()), i64(Op.getFlops()), i64(Op.getBytes())});
}

llvm::Constant *ProgramTables::function(exec::FunctionOp Op, mlir::SymbolTable &Symbols) {
  Constants Launches;
  for (auto Entry : Op.getBody().front().getOps<exec::LaunchOpInterface>())
    Launches.push_back(launch(Entry, Symbols));
  return llvm::ConstantStruct::get(Function, {text(Op.getSymName()), table(Launch, Launches), i64(Launches.size())});
}

/// The bytes of a dense constant as the machine reads them: little-endian elements, a truth value in a byte.
llvm::Error writeElements(mlir::DenseElementsAttr Value, int64_t ElementBytes, llvm::MutableArrayRef<uint8_t> Out) {
  auto Put = [&](int64_t Place, const llvm::APInt &Bits) {
    uint64_t Word = Bits.getZExtValue();
    for (int64_t B = 0; B < ElementBytes; ++B)
      Out[Place * ElementBytes + B] = static_cast<uint8_t>(Word >> (8 * B));
  };
  if (Value.getNumElements() * ElementBytes > static_cast<int64_t>(Out.size()))
    return llvm::createStringError("a constant is larger than its buffer");
  int64_t Place = 0;
  if (llvm::isa<mlir::FloatType>(Value.getElementType()))
    for (const llvm::APFloat &Number : Value.getValues<llvm::APFloat>())
      Put(Place++, Number.bitcastToAPInt());
  else
    for (const llvm::APInt &Number : Value.getValues<llvm::APInt>())
      Put(Place++, Number);
  return llvm::Error::success();
}

llvm::Expected<llvm::Constant *> ProgramTables::constants(exec::ModuleOp Plan) {
  std::vector<uint8_t> Image(Plan.getConstantBytes());
  for (auto Op : Plan.getBody().front().getOps<exec::BufferOp>()) {
    if (Op.getRegion() != exec::Region::Constant || !Op.getValue())
      continue;
    auto Dense = llvm::dyn_cast<mlir::DenseElementsAttr>(*Op.getValue());
    if (!Dense)
      return llvm::createStringError("constant `" + Op.getSymName().str() + "` has no dense value");
    if (Op.getOffset() > Image.size() || Op.getSize() > Image.size() - Op.getOffset())
      return llvm::createStringError("constant `" + Op.getSymName().str() + "` lies outside of its region");
    llvm::MutableArrayRef<uint8_t> Place(Image.data() + Op.getOffset(), Op.getSize());
    if (llvm::Error Error = writeElements(Dense, Op.elementBytes(), Place))
      return std::move(Error);
  }
  if (Image.empty())
    return llvm::ConstantPointerNull::get(llvm::cast<llvm::PointerType>(Pointer));
  return global(llvm::ConstantDataArray::get(Context, llvm::ArrayRef<uint8_t>(Image)), llvm::Align(64));
}

llvm::Error ProgramTables::addStage(mlir::ModuleOp StageModule) {
  auto Plans = StageModule.getOps<exec::ModuleOp>();
  if (Plans.empty())
    return llvm::createStringError("a stage has no plan to link");
  exec::ModuleOp Plan = *Plans.begin();
  mlir::SymbolTable Symbols(Plan);
  Constants Functions;
  for (auto Op : Plan.getBody().front().getOps<exec::FunctionOp>())
    Functions.push_back(function(Op, Symbols));
  llvm::Expected<llvm::Constant *> Image = constants(Plan);
  if (!Image)
    return Image.takeError();
  Stages.push_back(llvm::ConstantStruct::get(
      Stage, {text(Plan.getSymName()), table(Function, Functions), i64(Functions.size()), i64(Plan.getWeightsBytes()),
              i64(Plan.getStateBytes()), i64(Plan.getArenaBytes()), i64(Plan.getIoBytes()), *Image,
              i64(Plan.getConstantBytes())}));
  return llvm::Error::success();
}

std::unique_ptr<llvm::Module> ProgramTables::finish(llvm::StringRef Manifest, llvm::StringRef EntryName) {
  Constants Names;
  for (const auto &[Name, Kernel] : Kernels)
    Names.push_back(llvm::ConstantStruct::get(KernelName, {Kernel, text(Name)}));
  llvm::Constant *Value = llvm::ConstantStruct::get(
      Program, {i32(VCC_ABI_MAGIC), i32(VCC_ABI_VERSION), text(Manifest), i64(Manifest.size()), table(Stage, Stages),
                i64(Stages.size()), table(KernelName, Names), i64(Names.size())});
  auto *Variable = new llvm::GlobalVariable(*Module, Program, /*isConstant=*/true, llvm::GlobalValue::ExternalLinkage,
                                            Value, "vcc_program");
  Variable->setAlignment(llvm::Align(8));
  auto *Start = llvm::FunctionType::get(I32, {I32, Pointer, Pointer}, false);
  llvm::FunctionCallee Entry = Module->getOrInsertFunction(EntryName, Start);
  auto *Main = llvm::Function::Create(llvm::FunctionType::get(I32, {I32, Pointer}, false),
                                      llvm::GlobalValue::ExternalLinkage, "main", *Module);
  llvm::IRBuilder<> B(llvm::BasicBlock::Create(Context, "", Main));
  B.CreateRet(B.CreateCall(Entry, {Main->getArg(0), Main->getArg(1), Variable}));
  return std::move(Module);
}

} // namespace

llvm::Expected<std::unique_ptr<llvm::Module>> buildProgram(llvm::ArrayRef<mlir::ModuleOp> Stages,
                                                           llvm::StringRef Manifest, llvm::LLVMContext &Context,
                                                           llvm::StringRef Entry, bool Device) {
  ProgramTables Tables(Context, Device);
  for (mlir::ModuleOp Stage : Stages)
    if (llvm::Error Error = Tables.addStage(Stage))
      return std::move(Error);
  return Tables.finish(Manifest, Entry);
}

} // namespace vcc::link
