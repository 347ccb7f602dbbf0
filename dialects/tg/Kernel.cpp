// SPDX-License-Identifier: Apache-2.0
//
// Kernel family: textual form and verifiers.
#include "dialects/tg/Build.h"
#include "dialects/tg/Tg.h"

using namespace mlir;
using namespace vcc::tg;

#define GET_OP_CLASSES
#include "dialects/tg/Kernel.cpp.inc"

//===- kernel -===//

// tg.kernel @name(%x: type, ...) attributes {...} { body }
ParseResult KernelOp::parse(OpAsmParser &Parser, OperationState &State) {
  StringAttr Name;
  SmallVector<OpAsmParser::Argument> Arguments;
  if (Parser.parseSymbolName(Name, SymbolTable::getSymbolAttrName(), State.attributes) ||
      Parser.parseArgumentList(Arguments, OpAsmParser::Delimiter::Paren, /*allowType=*/true) ||
      Parser.parseOptionalAttrDictWithKeyword(State.attributes))
    return failure();
  return Parser.parseRegion(*State.addRegion(), Arguments);
}

void KernelOp::print(OpAsmPrinter &Printer) {
  Printer << ' ';
  Printer.printSymbolName(getSymName());
  Printer << '(';
  llvm::interleaveComma(getBody().getArguments(), Printer, [&](BlockArgument A) { Printer.printRegionArgument(A); });
  Printer << ')';
  Printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {SymbolTable::getSymbolAttrName()});
  Printer << ' ';
  Printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

// A row has the kernel's columns; one value per row, and everything of a flat kernel, is a scalar.
static bool hasShape(Type T, bool Row, KernelOp Kernel) {
  auto Tensor = dyn_cast<RankedTensorType>(T);
  if (!Tensor)
    return false;
  if (!Row || Kernel.getKernelClass() == KernelClass::Flat)
    return Tensor.getRank() == 0;
  return Tensor.getShape() == ArrayRef<int64_t>{static_cast<int64_t>(Kernel.getColumns())};
}

static LogicalResult verifyIndex(KernelOp Kernel, int64_t Index, Twine What) {
  if (Index < 0 || Index >= static_cast<int64_t>(Kernel.getParams().size()))
    return Kernel.emitOpError() << What << " needs the number of its index parameter";
  Type Argument = Kernel.getBody().getArgument(Index).getType();
  if (Kernel.getParam(Index).getKind() != ParamKind::Scalar || !isa<IntegerType>(getElementTypeOrSelf(Argument)))
    return Kernel.emitOpError() << What << " is indexed by parameter " << Index << ", which is not a scalar of integers";
  return success();
}

static LogicalResult verifyParams(KernelOp Kernel) {
  if (Kernel.getBody().getNumArguments() != Kernel.getParams().size())
    return Kernel.emitOpError("has ") << Kernel.getParams().size() << " params but its body takes "
                                      << Kernel.getBody().getNumArguments();
  for (BlockArgument Argument : Kernel.getBody().getArguments()) {
    unsigned I = Argument.getArgNumber();
    ParamAttr Param = Kernel.getParam(I);
    bool Row = Param.getKind() == ParamKind::Row || Param.getKind() == ParamKind::Indexed;
    if (!hasShape(Argument.getType(), Row, Kernel))
      return Kernel.emitOpError("parameter ") << I << " of kind " << stringifyParamKind(Param.getKind())
                                              << " cannot be " << Argument.getType();
    if (Param.getKind() == ParamKind::Indexed &&
        failed(verifyIndex(Kernel, Param.getIndex(), "parameter " + Twine(I))))
      return failure();
  }
  return success();
}

LogicalResult KernelOp::verifyRegions() {
  if (getColumns() < 1)
    return emitOpError("needs at least one column");
  if (failed(verifyParams(*this)))
    return failure();
  auto Yield = dyn_cast<YieldOp>(getBody().front().getTerminator());
  if (!Yield)
    return emitOpError("must end in tg.yield");
  if (Yield.getValues().size() != getResults().size())
    return Yield.emitOpError("yields ") << Yield.getValues().size() << " values but the kernel has "
                                        << getResults().size() << " results";
  for (auto [I, Value] : llvm::enumerate(Yield.getValues())) {
    ResultAttr Result = getResultKind(I);
    bool Row = Result.getKind() != ResultKind::Scalar && Result.getKind() != ResultKind::TotalSum;
    if (!hasShape(Value.getType(), Row, *this))
      return Yield.emitOpError("result ") << I << " of kind " << stringifyResultKind(Result.getKind())
                                          << " cannot be " << Value.getType();
    if (Result.getKind() == ResultKind::Scatter && failed(verifyIndex(*this, Result.getIndex(), "result " + Twine(I))))
      return failure();
  }
  return success();
}

LogicalResult RowIndexOp::inferReturnTypes(MLIRContext *Context, std::optional<Location>, Adaptor,
                                           SmallVectorImpl<Type> &Types) {
  Types.push_back(RankedTensorType::get({}, IntegerType::get(Context, 32)));
  return success();
}

//===- launch -===//

// The strides of an access are those of the outer dimensions, and one for the index of an indexed tensor; the walk must
// stay inside the tensor.
static LogicalResult verifyAccess(LaunchOp Launch, Twine What, RankedTensorType Tensor, AccessAttr Access, bool Row,
                                  int64_t InnerStride, bool Indexed, KernelOp Kernel) {
  ArrayRef<int64_t> Dims = Launch.getDims(), Strides = Access.getStrides();
  if (Strides.size() != Dims.size() + (Indexed ? 1 : 0))
    return Launch.emitOpError() << What << " has " << Strides.size() << " strides but needs "
                                << Dims.size() + (Indexed ? 1 : 0);
  int64_t First = Access.getOffset(), Last = First;
  auto Extend = [&](int64_t Size, int64_t Stride) { (Stride < 0 ? First : Last) += (Size - 1) * Stride; };
  for (auto [Size, Stride] : llvm::zip(Dims, Strides))
    Extend(Size, Stride);
  if (Row && Kernel.getKernelClass() != KernelClass::Flat)
    Extend(Kernel.getColumns(), InnerStride);
  if (First < 0 || Last >= Tensor.getNumElements())
    return Launch.emitOpError() << What << " is accessed from element " << First << " to " << Last << " but has "
                                << Tensor.getNumElements();
  return success();
}

static LogicalResult verifyInputs(LaunchOp Launch, KernelOp Kernel) {
  size_t Uniforms = 0, Next = 0;
  for (unsigned I = 0; I < Kernel.getParams().size(); ++I) {
    ParamAttr Param = Kernel.getParam(I);
    Type Element = getElementTypeOrSelf(Kernel.getBody().getArgument(I).getType());
    if (Param.getKind() == ParamKind::Uniform) {
      if (Uniforms >= Launch.getUniforms().size())
        return Launch.emitOpError("gives too few uniforms");
      Attribute Value = Launch.getUniforms()[Uniforms++];
      if (isa<IntegerType>(Element) ? !isa<IntegerAttr>(Value) : !isa<FloatAttr>(Value))
        return Launch.emitOpError("gives ") << Value << " for the uniform parameter " << I << " of " << Element;
      continue;
    }
    if (Next >= Launch.getInputs().size())
      return Launch.emitOpError("gives too few tensors");
    auto Tensor = tensorType(Launch.getInputs()[Next]);
    if (Tensor.getElementType() != Element)
      return Launch.emitOpError("gives ") << Tensor << " for parameter " << I << " of " << Element;
    bool Indexed = Param.getKind() == ParamKind::Indexed, Row = Indexed || Param.getKind() == ParamKind::Row;
    if (failed(verifyAccess(Launch, "parameter " + Twine(I), Tensor, cast<AccessAttr>(Launch.getAccess()[Next]), Row,
                            Param.getStride(), Indexed, Kernel)))
      return failure();
    ++Next;
  }
  if (Next != Launch.getInputs().size() || Uniforms != Launch.getUniforms().size())
    return Launch.emitOpError("gives ") << Launch.getInputs().size() << " tensors and " << Launch.getUniforms().size()
                                        << " uniforms but the kernel takes " << Next << " and " << Uniforms;
  return success();
}

// A sum is whole, or one partial per chunk of rows.
static LogicalResult verifySum(LaunchOp Launch, Twine What, RankedTensorType Tensor, int64_t Width) {
  int64_t Rows = elementCount(Launch.getDims());
  int64_t Chunk = Launch.getRowsPerChunk() ? static_cast<int64_t>(*Launch.getRowsPerChunk()) : Rows;
  if (Chunk < 1)
    return Launch.emitOpError("needs at least one row per chunk");
  int64_t Partials = Launch.getRowsPerChunk() ? (Rows + Chunk - 1) / Chunk : 1;
  if (Tensor.getNumElements() != Partials * Width)
    return Launch.emitOpError() << What << " is " << Tensor << " but there are " << Partials << " partial sums of "
                                << Width;
  return success();
}

static LogicalResult verifyOutputs(LaunchOp Launch, KernelOp Kernel) {
  if (Launch.getOutputs().size() != Kernel.getResults().size())
    return Launch.emitOpError("has ") << Launch.getOutputs().size() << " results but the kernel has "
                                      << Kernel.getResults().size();
  auto Yield = cast<YieldOp>(Kernel.getBody().front().getTerminator());
  for (auto [I, Output] : llvm::enumerate(Launch.getOutputs())) {
    ResultAttr Result = Kernel.getResultKind(I);
    auto Tensor = tensorType(Output), Yielded = tensorType(Yield.getValues()[I]);
    if (Tensor.getElementType() != Yielded.getElementType())
      return Launch.emitOpError("result ") << I << " is " << Tensor << " but the kernel yields " << Yielded;
    bool Sum = Result.getKind() == ResultKind::ColumnSum || Result.getKind() == ResultKind::TotalSum;
    auto Access = cast<AccessAttr>(Launch.getAccess()[Launch.getInputs().size() + I]);
    if (Sum ? failed(verifySum(Launch, "result " + Twine(I), Tensor, Yielded.getNumElements()))
            : failed(verifyAccess(Launch, "result " + Twine(I), Tensor, Access, Result.getKind() != ResultKind::Scalar,
                                  Result.getStride(), Result.getKind() == ResultKind::Scatter, Kernel)))
      return failure();
  }
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &Symbols) {
  auto Kernel = Symbols.lookupNearestSymbolFrom<KernelOp>(*this, getKernelAttr());
  if (!Kernel)
    return emitOpError("names the kernel `") << getKernel() << "`, which does not exist";
  if (getDims().empty() || llvm::any_of(getDims(), [](int64_t Size) { return Size < 1; }))
    return emitOpError("needs outer dimensions of at least 1");
  if (getAccess().size() != getInputs().size() + getOutputs().size())
    return emitOpError("has ") << getAccess().size() << " accesses for " << getInputs().size() << " tensors and "
                               << getOutputs().size() << " results";
  if (failed(verifyInputs(*this, Kernel)))
    return failure();
  return verifyOutputs(*this, Kernel);
}
