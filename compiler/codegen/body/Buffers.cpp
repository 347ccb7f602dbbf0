// SPDX-License-Identifier: Apache-2.0
#include "compiler/codegen/body/Buffers.h"

#include "compiler/codegen/body/Body.h"

using namespace mlir;

namespace vcc::codegen {

FailureOr<BodyMemory> memoryOf(tg::KernelOp Kernel, llvm::StringRef Target, bool TakesHalves) {
  BodyMemory Memory;
  auto Add = [&](Type Type, int64_t Stride, int64_t Index, bool Sum) -> LogicalResult {
    mlir::Type Element = getElementTypeOrSelf(Type), Register = registerElement(Element);
    if (!Register || (!TakesHalves && (Element.isBF16() || Element.isF16())))
      return Kernel.emitOpError("uses element type ") << Element << ", which has no " << Target << " code yet";
    mlir::Type Storage = Register.isInteger(1) ? IntegerType::get(Kernel.getContext(), 8) : Register;
    Memory.Buffers.push_back({Element, Storage, Stride, Index, Sum});
    return success();
  };
  Block &Body = Kernel.getBody().front();
  for (auto [I, Argument] : llvm::enumerate(Body.getArguments())) {
    tg::ParamAttr Param = Kernel.getParam(I);
    bool IsUniform = Param.getKind() == tg::ParamKind::Uniform;
    Memory.OfArgument.push_back(IsUniform ? BodyMemory::Uniform : Memory.Buffers.size());
    if (!IsUniform && failed(Add(Argument.getType(), Param.getStride(), Param.getIndex(), false)))
      return failure();
  }
  for (auto [I, Result] : llvm::enumerate(Body.getTerminator()->getOperands())) {
    tg::ResultAttr Attr = Kernel.getResultKind(I);
    Memory.OfResult.push_back(Memory.Buffers.size());
    if (failed(Add(Result.getType(), Attr.getStride(), Attr.getIndex(), isSum(Attr.getKind()))))
      return failure();
  }
  return Memory;
}

} // namespace vcc::codegen
