// SPDX-License-Identifier: Apache-2.0
//
// Registers the dialect's attributes and families. A new family is one line in `initialize`.
#include "dialects/tg/Tg.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace vcc::tg;

#include "dialects/tg/TgDialect.cpp.inc"
#include "dialects/tg/TgInterfaces.cpp.inc"
#include "dialects/tg/tg_TgAttrsEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/tg/TgAttrs.cpp.inc"

void TgDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/tg/TgAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tg/Elementwise.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tg/Reduction.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tg/Movement.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tg/Indexing.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tg/Contraction.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tg/Attention.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tg/Loss.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tg/Random.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tg/State.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tg/Kernel.cpp.inc"
      >();
}

Operation *TgDialect::materializeConstant(OpBuilder &Builder, Attribute Value, Type Type, Location Loc) {
  auto Elements = dyn_cast<ElementsAttr>(Value);
  if (!Elements || Elements.getType() != Type)
    return nullptr;
  return Builder.create<ConstantOp>(Loc, Elements);
}

uint32_t SiteAttr::hash() const { return siteHash(getPath()); }

int64_t vcc::tg::tensorBytes(Type Type) {
  auto Tensor = cast<RankedTensorType>(Type);
  return Tensor.getNumElements() * ((Tensor.getElementTypeBitWidth() + 7) / 8);
}

int64_t vcc::tg::operandAndResultBytes(Operation *Op) {
  int64_t Bytes = 0;
  for (Type T : Op->getOperandTypes())
    Bytes += tensorBytes(T);
  for (Type T : Op->getResultTypes())
    Bytes += tensorBytes(T);
  return Bytes;
}

// #tg.access<offset, [strides]>
Attribute AccessAttr::parse(AsmParser &Parser, Type) {
  int64_t Offset = 0;
  SmallVector<int64_t> Strides;
  auto Stride = [&] { return Parser.parseInteger(Strides.emplace_back()); };
  if (Parser.parseLess() || Parser.parseInteger(Offset) || Parser.parseComma() ||
      Parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, Stride) || Parser.parseGreater())
    return {};
  return get(Parser.getContext(), Offset, Strides);
}

void AccessAttr::print(AsmPrinter &Printer) const {
  Printer << "<" << getOffset() << ", [";
  llvm::interleaveComma(getStrides(), Printer);
  Printer << "]>";
}
