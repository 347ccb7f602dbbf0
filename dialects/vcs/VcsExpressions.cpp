// SPDX-License-Identifier: Apache-2.0
//
// Verifiers and text of the expression ops.
#include "dialects/vcs/Regions.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "dialects/vcs/VcsExpressions.cpp.inc"

namespace vcc::vcs {

LogicalResult verifyYield(Operation *Op, Region &Region, StringRef Name, int Values, int Arguments) {
  if (!Region.hasOneBlock())
    return Op->emitOpError("region `") << Name << "` must be one block";
  Block &Block = Region.front();
  if (Arguments >= 0 && Block.getNumArguments() != static_cast<unsigned>(Arguments))
    return Op->emitOpError("region `") << Name << "` must take " << Arguments << " arguments but takes "
                                       << Block.getNumArguments();
  auto Yield = Block.empty() ? YieldOp() : dyn_cast<YieldOp>(Block.back());
  if (!Yield)
    return Op->emitOpError("region `") << Name << "` must end in vcs.yield";
  if (Values >= 0 && Yield.getNumOperands() != static_cast<unsigned>(Values))
    return Op->emitOpError("region `") << Name << "` must yield " << Values << " values but yields "
                                       << Yield.getNumOperands();
  return success();
}

LogicalResult verifyOptions(Operation *Op, Region &Region, function_ref<bool(Operation *)> Also) {
  if (!Region.hasOneBlock())
    return Op->emitOpError("options must be one block");
  for (Operation &Inner : Region.front())
    if (!isa<OptionOp>(Inner) && !(Also && Also(&Inner)))
      return Op->emitOpError("holds ") << Inner.getName() << " where an option is expected";
  return success();
}

LogicalResult LiteralOp::verify() {
  Attribute Value = getValue();
  bool Integer = isa<IntegerAttr>(Value) && cast<IntegerAttr>(Value).getType().isInteger(64);
  bool Float = isa<FloatAttr>(Value) && cast<FloatAttr>(Value).getType().isF64();
  if (!Integer && !Float && !isa<StringAttr, BoolAttr, mlir::UnitAttr>(Value))
    return emitOpError("value must be an i64, an f64, a string, a boolean or `unit`, but is ") << Value;
  if (getUnit() && !Integer && !Float)
    return emitOpError("only a number has a unit");
  return success();
}

LogicalResult RefOp::verifySymbolUses(SymbolTableCollection &) {
  if (!findDeclaration(*this, getSymbol()))
    return emitOpError("refers to ") << getSymbol() << ", which is not declared";
  return success();
}

void CallOp::print(OpAsmPrinter &Printer) {
  Printer << ' ' << getCallee() << '(';
  llvm::interleaveComma(llvm::zip(getArgs(), getNames()), Printer, [&](auto Pair) {
    auto [Value, Name] = Pair;
    StringRef Text = cast<StringAttr>(Name).getValue();
    if (!Text.empty())
      Printer << Text << " = ";
    Printer << Value;
  });
  Printer << ')';
  Printer.printOptionalAttrDict((*this)->getAttrs(), {getNamesAttrName()});
}

ParseResult CallOp::parse(OpAsmParser &Parser, OperationState &Result) {
  OpAsmParser::UnresolvedOperand Callee;
  SmallVector<OpAsmParser::UnresolvedOperand> Args;
  SmallVector<Attribute> Names;
  auto ParseArgument = [&]() -> ParseResult {
    std::string Name;
    if (succeeded(Parser.parseOptionalKeywordOrString(&Name)) && Parser.parseEqual())
      return failure();
    Names.push_back(Parser.getBuilder().getStringAttr(Name));
    return Parser.parseOperand(Args.emplace_back());
  };
  if (Parser.parseOperand(Callee) ||
      Parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, ParseArgument) ||
      Parser.parseOptionalAttrDict(Result.attributes))
    return failure();
  Type Value = ValueType::get(Parser.getContext());
  Result.addAttribute(getNamesAttrName(Result.name), Parser.getBuilder().getArrayAttr(Names));
  Result.addTypes(Value);
  return failure(Parser.resolveOperand(Callee, Value, Result.operands) ||
                 Parser.resolveOperands(Args, Value, Result.operands));
}

LogicalResult CallOp::verify() {
  if (getNames().size() != getArgs().size())
    return emitOpError("has ") << getArgs().size() << " arguments but " << getNames().size() << " names";
  bool Named = false;
  for (StringAttr Name : getNames().getAsRange<StringAttr>()) {
    if (Named && Name.empty())
      return emitOpError("has a positional argument after a named one");
    Named |= !Name.empty();
  }
  return success();
}

LogicalResult LogicalOp::verify() { return verifyYield(*this, getRhs(), "rhs"); }

LogicalResult ConditionalOp::verify() {
  return success(succeeded(verifyYield(*this, getThen(), "then")) &&
                 succeeded(verifyYield(*this, getOtherwise(), "otherwise")));
}

LogicalResult ComprehensionOp::verify() {
  if (failed(verifyYield(*this, getBody(), "body", 1, -1)))
    return failure();
  unsigned Targets = getBody().getNumArguments();
  if (Targets == 0)
    return emitOpError("binds no name");
  return getFilter().empty() ? success() : verifyYield(*this, getFilter(), "filter", 1, Targets);
}

LogicalResult IfOp::verify() {
  int Results = getNumResults();
  return success(succeeded(verifyYield(*this, getThen(), "then", Results)) &&
                 succeeded(verifyYield(*this, getOtherwise(), "otherwise", Results)));
}

LogicalResult ForOp::verify() {
  if (getCarried().size() != getNumResults())
    return emitOpError("carries ") << getCarried().size() << " values in and " << getNumResults() << " out";
  return verifyYield(*this, getBody(), "body", getNumResults(), getTargets() + getNumResults());
}

} // namespace vcc::vcs
