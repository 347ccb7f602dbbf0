// SPDX-License-Identifier: Apache-2.0
//
// Registration of the dialect, and the look-ups over a program.
#include "dialects/vcs/Vcs.h"

using namespace mlir;

#include "dialects/vcs/VcsDialect.cpp.inc"
#include "dialects/vcs/vcs_VcsAttrsEnums.cpp.inc"

namespace vcc::vcs {

void VcsDialect::initialize() {
  registerTypes();
  registerAttributes();
  addOperations<
#define GET_OP_LIST
#include "dialects/vcs/VcsExpressions.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/vcs/VcsDeclarations.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/vcs/VcsStages.cpp.inc"
      >();
}

Operation *findDeclaration(Operation *From, SymbolRefAttr Symbol) {
  while (From && !isa<mlir::ModuleOp>(From))
    From = From->getParentOp();
  if (!From)
    return nullptr;
  From = SymbolTable::lookupSymbolIn(From, Symbol.getRootReference());
  for (FlatSymbolRefAttr Name : Symbol.getNestedReferences()) {
    if (!From || !From->hasTrait<OpTrait::SymbolTable>())
      return nullptr;
    From = SymbolTable::lookupSymbolIn(From, Name.getAttr());
  }
  return From;
}

ModuleOp findMain(mlir::ModuleOp Program) {
  for (auto Module : Program.getOps<ModuleOp>())
    if (Module.getMain())
      return Module;
  return nullptr;
}

StageOp findStage(ModuleOp Module, StringRef Name) {
  for (auto Stage : Module.getOps<StageOp>())
    if (Stage.getName() == Name)
      return Stage;
  return nullptr;
}

static Region *signatureOf(Operation *Callable) {
  if (auto Fn = dyn_cast<FnOp>(Callable))
    return &Fn.getParams();
  return Callable->getNumRegions() ? &Callable->getRegion(0) : nullptr;
}

SmallVector<ParamOp> paramsOf(Operation *Callable) {
  SmallVector<ParamOp> Params;
  if (Region *Signature = signatureOf(Callable))
    llvm::append_range(Params, Signature->getOps<ParamOp>());
  return Params;
}

ResultOp resultOf(Operation *Callable) {
  if (Region *Signature = signatureOf(Callable))
    for (auto Result : Signature->getOps<ResultOp>())
      return Result;
  return nullptr;
}

FnOp findMethod(Operation *Owner, StringRef Name) {
  for (Region &Region : Owner->getRegions())
    for (auto Fn : Region.getOps<FnOp>())
      if (Fn.getSymName() == Name)
        return Fn;
  return nullptr;
}

OptionOp findOption(Region &Options, StringRef Name) {
  for (auto Option : Options.getOps<OptionOp>())
    if (Option.getName() == Name)
      return Option;
  return nullptr;
}

} // namespace vcc::vcs
