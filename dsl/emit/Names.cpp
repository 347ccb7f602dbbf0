// SPDX-License-Identifier: Apache-2.0
//
// Names to what they mean, and the regions that hold expressions.
#include "dsl/emit/Emitter.h"

using namespace vcc::syntax;

namespace vcc::emit {

mlir::Location Emitter::loc(const diag::SourceRange &Range) { return dsl::locationOf(&Context, Range); }

mlir::ArrayAttr Emitter::strings(llvm::ArrayRef<std::string> Texts) {
  mlir::SmallVector<mlir::Attribute> Attrs;
  for (const std::string &Text : Texts)
    Attrs.push_back(Builder.getStringAttr(Text));
  return Builder.getArrayAttr(Attrs);
}

mlir::StringAttr Emitter::doc(const std::string &Text) {
  return Text.empty() ? mlir::StringAttr() : Builder.getStringAttr(Text);
}

void Emitter::yields(mlir::Region &Region, const diag::SourceRange &Range, const EmitValues &Emit) {
  mlir::OpBuilder::InsertionGuard Guard(Builder);
  Builder.createBlock(&Region);
  mlir::SmallVector<mlir::Value> Values = Emit();
  Builder.create<vcs::YieldOp>(loc(Range), Values);
}

void Emitter::yields(mlir::Region &Region, const Expr &Value) {
  yields(Region, Value.Range, [&] { return mlir::SmallVector<mlir::Value>{value(Value)}; });
}

void Emitter::holds(mlir::Region &Region, const std::function<void()> &Emit) {
  mlir::OpBuilder::InsertionGuard Guard(Builder);
  if (Region.empty())
    Builder.createBlock(&Region);
  else
    Builder.setInsertionPointToEnd(&Region.front());
  Emit();
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Scopes
//===------------------------------------------------------------------------------------------------------------------------------===//

const Entry *Emitter::lookup(const std::string &Name) const {
  for (const Scope &Scope : llvm::reverse(Scopes))
    if (auto Found = Scope.find(Name); Found != Scope.end())
      return &Found->second;
  return nullptr;
}

Entry *Emitter::lookupLocal(const std::string &Name) {
  for (Scope &Scope : llvm::reverse(Scopes))
    if (auto Found = Scope.find(Name); Found != Scope.end())
      return Found->second.Means == Entry::Local ? &Found->second : nullptr;
  return nullptr;
}

mlir::SymbolRefAttr Emitter::symbol(const names::ModuleInfo &Module, llvm::StringRef Name) {
  return mlir::SymbolRefAttr::get(&Context, Module.Name, {mlir::FlatSymbolRefAttr::get(&Context, Name)});
}

std::optional<names::Binding> Emitter::staticBinding(const Expr &E) const {
  if (auto *Name = llvm::dyn_cast<NameExpr>(&E)) {
    if (lookup(Name->Name))
      return std::nullopt;
    for (const names::ModuleInfo *Module : {Current, Program.Prelude})
      if (Module)
        if (auto Found = Module->Names.find(Name->Name); Found != Module->Names.end())
          return Found->second;
    return std::nullopt;
  }
  if (auto *Member = llvm::dyn_cast<MemberExpr>(&E)) {
    std::optional<names::Binding> Object = staticBinding(*Member->Object);
    if (!Object || Object->Declaration)
      return std::nullopt;
    auto Found = Object->Module->Declarations.find(Member->Name.Text);
    if (Found != Object->Module->Declarations.end())
      return names::Binding{Object->Module, Found->second, Found->second->Name.Range};
  }
  return std::nullopt;
}

const Decl *Emitter::declarationOf(const Expr &E) const {
  std::optional<names::Binding> Found = staticBinding(E);
  return Found ? Found->Declaration : nullptr;
}

mlir::Value Emitter::selfValue(mlir::Location Loc) {
  return MethodSelf ? MethodSelf : Builder.create<vcs::SelfOp>(Loc).getResult();
}

mlir::Value Emitter::entryValue(const Entry &Found, const std::string &Name, mlir::Location Loc) {
  switch (Found.Means) {
  case Entry::Local:
    return Found.Value;
  case Entry::Argument:
    return Builder.create<vcs::ArgumentOp>(Loc, Name);
  case Entry::Member:
    return Builder.create<vcs::GetOp>(Loc, selfValue(Loc), Name);
  case Entry::Part:
    return Builder.create<vcs::PartOp>(Loc, Name);
  case Entry::Input:
    return Builder.create<vcs::InputOp>(Loc, Name);
  }
  return {};
}

mlir::Value Emitter::bindingValue(const names::Binding &Found, const Expr &E) {
  if (Found.Declaration)
    return Builder.create<vcs::RefOp>(loc(E.Range), symbol(*Found.Module, Found.Declaration->Name.Text));
  Engine.report(diag::kinds::WrongDeclaration, E.Range, Found.Module->Name, "a module", "a value")
      .help("name one of its declarations, as in `" + Found.Module->Name + ".name`");
  return none(loc(E.Range));
}

mlir::Value Emitter::nameValue(const NameExpr &E) {
  if (const Entry *Found = lookup(E.Name))
    return entryValue(*Found, E.Name, loc(E.Range));
  if (std::optional<names::Binding> Found = staticBinding(E))
    return bindingValue(*Found, E);
  if (names::isBuiltin(E.Name))
    return Builder.create<vcs::BuiltinOp>(loc(E.Range), E.Name);
  unknownName(E);
  return none(loc(E.Range));
}

std::vector<std::string> Emitter::visibleNames() const {
  std::vector<std::string> Names;
  for (const Scope &Scope : llvm::reverse(Scopes))
    for (auto &[Name, Entry] : Scope)
      Names.push_back(Name);
  for (const names::ModuleInfo *Module : {Current, Program.Prelude})
    if (Module)
      for (auto &[Name, Binding] : Module->Names)
        Names.push_back(Name);
  llvm::append_range(Names, names::builtinNames());
  return Names;
}

/// Whether a stage computes in what `E` says: in its clause, or by consts that the clause names.
bool Emitter::saysPrecision(const NameExpr &E) const {
  static constexpr int MostConsts = 8;
  auto Reaches = [&](const Expr *Value, const names::ModuleInfo *Home) {
    for (int Consts = 0; Value != &E; ++Consts) {
      auto *Name = llvm::dyn_cast_if_present<NameExpr>(Value);
      auto Found = Name ? Home->Names.find(Name->Name) : Home->Names.end();
      auto *Const = Found == Home->Names.end() ? nullptr : llvm::dyn_cast_if_present<ConstDecl>(Found->second.Declaration);
      if (!Const || Consts == MostConsts)
        return false;
      Value = Const->Value.get();
      Home = Found->second.Module;
    }
    return true;
  };
  for (const auto &Info : Program.Modules)
    for (const DeclPtr &D : Info->Tree->Declarations)
      if (auto *Stage = llvm::dyn_cast<StageDecl>(D.get()))
        for (const PrecisionClause &Clause : Stage->Precisions)
          if (Reaches(Clause.Value.get(), Info.get()))
            return true;
  return false;
}

void Emitter::unknownName(const NameExpr &E) {
  auto Made = Engine.report(diag::kinds::UnknownName, E.Range, "value", E.Name);
  Made.primary("not known here");
  if (saysPrecision(E)) {
    static const std::vector<std::string> Precisions = {"f32", "tf32", "bf16", "fp16"};
    Made.note("a stage computes in `f32`, `tf32`, `bf16` or `fp16`, of which the CPU has `f32` alone").didYouMean(E.Name, Precisions);
    return;
  }
  for (const auto &Module : Program.Modules)
    if (Module->Declarations.count(E.Name) && Module.get() != Current && Module->Declarations.at(E.Name)->Kind != DeclKind::Op) {
      Made.help("module `" + Module->Name + "` declares it: `import " + Module->Name + ".{" + E.Name + "}`");
      return;
    }
  Made.didYouMean(E.Name, visibleNames());
}

} // namespace vcc::emit
