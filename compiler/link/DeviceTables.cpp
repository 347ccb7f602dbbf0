// SPDX-License-Identifier: Apache-2.0
//
// Writes runtime/program/Abi.h's VccDeviceCode as LLVM constants, field by field in the order of the header.
#include "compiler/link/Link.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/DerivedTypes.h"
#include "runtime/program/Abi.h"

namespace vcc::link {

void addDeviceCode(llvm::Module &Program, const DeviceProgram &Code) {
  llvm::LLVMContext &Context = Program.getContext();
  auto *I32 = llvm::Type::getInt32Ty(Context), *I64 = llvm::Type::getInt64Ty(Context);
  auto *Pointer = llvm::PointerType::getUnqual(Context);
  auto Global = [&](llvm::Constant *Value, uint64_t Alignment) -> llvm::Constant * {
    auto *Variable = new llvm::GlobalVariable(Program, Value->getType(), /*isConstant=*/true, llvm::GlobalValue::PrivateLinkage, Value);
    Variable->setAlignment(llvm::Align(Alignment));
    return Variable;
  };
  auto Number = [&](llvm::Type *Type, uint64_t N) -> llvm::Constant * { return llvm::ConstantInt::get(Type, N); };
  auto Table = [&](llvm::StructType *Type, llvm::ArrayRef<llvm::Constant *> Entries) -> llvm::Constant * {
    if (Entries.empty())
      return llvm::ConstantPointerNull::get(Pointer);
    return Global(llvm::ConstantArray::get(llvm::ArrayType::get(Type, Entries.size()), Entries), 8);
  };
  auto *Image = llvm::StructType::create(Context, {I32, I32, Pointer, I64}, "VccDeviceImage");
  auto *Module = llvm::StructType::create(Context, {Pointer, I64}, "VccDeviceModule");
  auto *Kernel = llvm::StructType::create(Context, {Pointer, I32, I32}, "VccDeviceKernel");
  auto *Whole = llvm::StructType::create(Context, {Pointer, I64, Pointer, I64}, "VccDeviceCode");

  std::vector<llvm::Constant *> Modules, Kernels;
  for (const auto &Images : Code.Modules) {
    std::vector<llvm::Constant *> Entries;
    for (const DeviceProgram::Image &I : Images) {
      // PTX is a text that ends with a zero.
      auto *Bytes = llvm::ConstantDataArray::getString(Context, I.Bytes, /*AddNull=*/!I.Cubin);
      Entries.push_back(llvm::ConstantStruct::get(
          Image, {Number(I32, I.Cubin ? VCC_IMAGE_CUBIN : VCC_IMAGE_PTX), Number(I32, I.Chip), Global(Bytes, 64),
                  Number(I64, I.Bytes.size() + (I.Cubin ? 0 : 1))}));
    }
    Modules.push_back(llvm::ConstantStruct::get(Module, {Table(Image, Entries), Number(I64, Entries.size())}));
  }
  for (const DeviceProgram::Kernel &K : Code.Kernels)
    Kernels.push_back(llvm::ConstantStruct::get(Kernel, {Global(llvm::ConstantDataArray::getString(Context, K.Name), 1),
                                                         Number(I32, K.Module), Number(I32, static_cast<uint64_t>(K.Threads))}));
  auto *Value = llvm::ConstantStruct::get(
      Whole, {Table(Module, Modules), Number(I64, Modules.size()), Table(Kernel, Kernels), Number(I64, Kernels.size())});
  auto *Variable = new llvm::GlobalVariable(Program, Whole, /*isConstant=*/true, llvm::GlobalValue::ExternalLinkage, Value,
                                            "vcc_device_code");
  Variable->setAlignment(llvm::Align(8));
}

} // namespace vcc::link
