// SPDX-License-Identifier: Apache-2.0
//
// State family: verifiers.
#include "dialects/tg/Build.h"
#include "dialects/tg/Tg.h"

using namespace mlir;
using namespace vcc::tg;

#define GET_OP_CLASSES
#include "dialects/tg/State.cpp.inc"

LogicalResult StateOp::verify() {
  if (getStorage().has_value() != getOffset().has_value())
    return emitOpError("a view needs both its storage and its offset");
  if (getTrainable() && getKind() != StateKind::Weight)
    return emitOpError("is trainable but its kind is ") << stringifyStateKind(getKind()) << ", not weight";
  if (getJoined() && (getKind() != StateKind::Weight || getTrainable() || getStorage()))
    return emitOpError("is joined but no frozen weight of its own storage");
  if (getTransposed() && (getTensorType().getRank() != 2 || !getStorage()))
    return emitOpError("is transposed but no matrix in a storage");
  return success();
}

LogicalResult StateOp::verifySymbolUses(SymbolTableCollection &Symbols) {
  if (!getStorage())
    return success();
  auto Flat = Symbols.lookupNearestSymbolFrom<StateOp>(*this, getStorageAttr());
  if (!Flat)
    return emitOpError("is a view of the state `") << *getStorage() << "`, which does not exist";
  if (Flat.getStorage())
    return emitOpError("is a view of `") << *getStorage() << "`, which is itself a view";
  RankedTensorType Whole = Flat.getTensorType(), Mine = getTensorType();
  auto Offset = static_cast<int64_t>(*getOffset());
  if (Whole.getElementType() != Mine.getElementType())
    return emitOpError("has element type ") << Mine.getElementType() << " but its storage has "
                                            << Whole.getElementType();
  if (Offset < 0 || Offset + Mine.getNumElements() > Whole.getNumElements())
    return emitOpError("takes ") << Mine.getNumElements() << " elements from " << Offset << " of its storage, which has "
                                 << Whole.getNumElements();
  return success();
}

static LogicalResult verifyUse(Operation *Op, SymbolTableCollection &Symbols, FlatSymbolRefAttr Path, Type Used) {
  auto State = Symbols.lookupNearestSymbolFrom<StateOp>(Op, Path);
  if (!State)
    return Op->emitOpError("names the state `") << Path.getValue() << "`, which does not exist";
  if (State.getTensorType() == Used)
    return success();
  InFlightDiagnostic Error = Op->emitOpError("uses the state `")
                             << Path.getValue() << "` as " << Used << " but it is " << State.getTensorType();
  Error.attachNote(State.getLoc()) << "declared here";
  return Error;
}

LogicalResult ReadOp::verifySymbolUses(SymbolTableCollection &Symbols) {
  return verifyUse(*this, Symbols, getStateAttr(), getType());
}
LogicalResult WriteOp::verifySymbolUses(SymbolTableCollection &Symbols) {
  return verifyUse(*this, Symbols, getStateAttr(), getValue().getType());
}

LogicalResult LossOp::verify() {
  if (tensorType(getValue()).getRank() != 0)
    return emitOpError("minimises a scalar but has ") << getValue().getType();
  return success();
}
