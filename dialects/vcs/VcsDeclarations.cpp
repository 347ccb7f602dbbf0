// SPDX-License-Identifier: Apache-2.0
//
// Verifiers and text of the declaration ops.
#include "dialects/vcs/Regions.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "dialects/vcs/VcsDeclarations.cpp.inc"

namespace vcc::vcs {

static LogicalResult verifyTyped(Operation *Op, Attribute Type, Region &Dims) {
  auto Tensor = dyn_cast<TensorTypeAttr>(Type);
  if (!Tensor && !isa<NamedTypeAttr, DeclaredTypeAttr>(Type))
    return Op->emitOpError("type must be #vcs.named, #vcs.declared or #vcs.tensor but is ") << Type;
  unsigned Needed = Tensor ? Tensor.getNumExpressions() : 0;
  if (Needed == 0 && Dims.empty())
    return success();
  return verifyYield(Op, Dims, "dims", Needed);
}

LogicalResult ConstOp::verify() { return verifyYield(*this, getValue(), "value"); }
LogicalResult FieldOp::verify() { return verifyYield(*this, getValue(), "value"); }
LogicalResult ComponentOp::verify() { return verifyYield(*this, getValue(), "value"); }
LogicalResult OptionOp::verify() { return verifyYield(*this, getValue(), "value"); }
LogicalResult TokenizerOp::verify() { return verifyYield(*this, getSource(), "source"); }
LogicalResult StateOp::verify() { return verifyYield(*this, getInit(), "init"); }
LogicalResult ResultOp::verify() { return verifyTyped(*this, getType(), getDims()); }

LogicalResult ParamOp::verify() {
  if (failed(verifyTyped(*this, getType(), getDims())))
    return failure();
  return getDefault().empty() ? success() : verifyYield(*this, getDefault(), "default");
}

LogicalResult WeightOp::verify() {
  if (failed(verifyYield(*this, getShape(), "shape", -1)) || failed(verifyYield(*this, getInit(), "init")))
    return failure();
  return getWithin().empty() ? success() : verifyYield(*this, getWithin(), "within", 2);
}

LogicalResult DatasetOp::verify() {
  return success(succeeded(verifyYield(*this, getSource(), "source")) &&
                 succeeded(verifyOptions(*this, getOptions())));
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// static_if
//===------------------------------------------------------------------------------------------------------------------------------===//

void StaticIfOp::print(OpAsmPrinter &Printer) {
  Printer << ' ';
  Printer.printRegion(getCondition());
  Printer << " then ";
  Printer.printRegion(getThen());
  if (!getOtherwise().front().empty()) {
    Printer << " else ";
    Printer.printRegion(getOtherwise());
  }
  Printer.printOptionalAttrDict((*this)->getAttrs());
}

ParseResult StaticIfOp::parse(OpAsmParser &Parser, OperationState &Result) {
  Region *Condition = Result.addRegion(), *Then = Result.addRegion(), *Otherwise = Result.addRegion();
  if (Parser.parseRegion(*Condition) || Parser.parseKeyword("then") || Parser.parseRegion(*Then))
    return failure();
  if (succeeded(Parser.parseOptionalKeyword("else")) && Parser.parseRegion(*Otherwise))
    return failure();
  for (Region *Fields : {Then, Otherwise})
    if (Fields->empty())
      Fields->emplaceBlock();
  return Parser.parseOptionalAttrDict(Result.attributes);
}

LogicalResult StaticIfOp::verify() {
  if (failed(verifyYield(*this, getCondition(), "condition")))
    return failure();
  for (Region *Fields : {&getThen(), &getOtherwise()}) {
    if (!Fields->hasOneBlock())
      return emitOpError("each side must be one block");
    for (Operation &Field : Fields->front())
      if (!isa<WeightOp, FieldOp, StaticIfOp>(Field))
        return emitOpError("holds ") << Field.getName() << " where a field is expected";
  }
  return success();
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// fn
//===------------------------------------------------------------------------------------------------------------------------------===//

void FnOp::print(OpAsmPrinter &Printer) {
  Printer << ' ';
  Printer.printSymbolName(getSymName());
  if (getMethod())
    Printer << " method";
  if (getDoc())
    Printer << " doc " << getDocAttr();
  Printer << " params ";
  Printer.printRegion(getParams());
  Printer << " body ";
  Printer.printRegion(getBody());
  Printer.printOptionalAttrDict((*this)->getAttrs(),
                                {getSymNameAttrName(), getMethodAttrName(), getDocAttrName()});
}

ParseResult FnOp::parse(OpAsmParser &Parser, OperationState &Result) {
  StringAttr Name, Doc;
  if (Parser.parseSymbolName(Name, getSymNameAttrName(Result.name), Result.attributes))
    return failure();
  if (succeeded(Parser.parseOptionalKeyword("method")))
    Result.addAttribute(getMethodAttrName(Result.name), Parser.getBuilder().getUnitAttr());
  if (succeeded(Parser.parseOptionalKeyword("doc")) &&
      Parser.parseAttribute(Doc, getDocAttrName(Result.name), Result.attributes))
    return failure();
  Region *Params = Result.addRegion(), *Body = Result.addRegion();
  if (Parser.parseKeyword("params") || Parser.parseRegion(*Params) || Parser.parseKeyword("body") ||
      Parser.parseRegion(*Body))
    return failure();
  if (Params->empty())
    Params->emplaceBlock();
  return Parser.parseOptionalAttrDict(Result.attributes);
}

LogicalResult FnOp::verify() {
  if (!getParams().hasOneBlock() || !getBody().hasOneBlock())
    return emitOpError("params and body must each be one block");
  unsigned Count = 0;
  for (Operation &Op : getParams().front()) {
    if (!isa<ParamOp, ResultOp>(Op))
      return emitOpError("holds ") << Op.getName() << " where a parameter is expected";
    Count += isa<ParamOp>(Op);
  }
  unsigned Needed = Count + (getMethod() ? 1 : 0);
  if (getBody().getNumArguments() != Needed)
    return emitOpError("body must take ") << Needed << " arguments but takes " << getBody().getNumArguments();
  if (getBody().front().empty() || !isa<ReturnOp>(getBody().front().back()))
    return emitOpError("body must end in vcs.return");
  return success();
}

} // namespace vcc::vcs
