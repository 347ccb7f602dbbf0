// SPDX-License-Identifier: Apache-2.0
//
// Parameters, types, shapes and functions. A bare name in a shape that is a known size (a parameter, a field, a const) is that size;
// any other is a symbol that the call binds, and may be used in the function's body.
#include "dsl/emit/Emitter.h"

using namespace vcc::syntax;

namespace vcc::emit {

static std::string dotted(const std::vector<Ident> &Names) {
  std::string Text;
  for (const Ident &Name : Names)
    Text += (Text.empty() ? "" : ".") + Name.Text;
  return Text;
}

bool Emitter::isKnownSize(const std::string &Name) const {
  if (lookup(Name))
    return true;
  NameExpr E{diag::SourceRange()};
  E.Name = Name;
  const Decl *Found = declarationOf(E);
  return Found && Found->Kind == DeclKind::Const;
}

vcs::DimAttr Emitter::dim(const Expr &E, std::vector<const Expr *> &Expressions) {
  auto Make = [&](vcs::DimKind Kind, llvm::StringRef Symbol, int64_t Number) {
    return vcs::DimAttr::get(&Context, Kind, Builder.getStringAttr(Symbol), Number);
  };
  if (llvm::isa<EllipsisExpr>(E))
    return Make(vcs::DimKind::Ellipsis, "", 0);
  if (auto *Number = llvm::dyn_cast<IntExpr>(&E); Number && !Number->In)
    return Make(vcs::DimKind::Number, "", Number->Value);
  auto *Name = llvm::dyn_cast<NameExpr>(&E);
  if (Name && SymbolsOfSignature.count(Name->Name))
    return Make(vcs::DimKind::Symbol, Name->Name, 0);
  if (Name && !isKnownSize(Name->Name)) {
    SymbolsOfSignature.insert(Name->Name);
    Scopes.back()[Name->Name] = {Entry::Argument, {}};
    return Make(vcs::DimKind::Symbol, Name->Name, 0);
  }
  Expressions.push_back(&E);
  return Make(vcs::DimKind::Expression, "", Expressions.size() - 1);
}

mlir::Attribute Emitter::namedType(const TypeRef &Type) {
  std::string Name = dotted(Type.Name);
  if (auto Known = vcs::symbolizeBuiltinType(Name))
    return vcs::NamedTypeAttr::get(&Context, *Known);
  ExprPtr Reference;
  for (const Ident &Part : Type.Name) {
    if (!Reference) {
      auto First = std::make_unique<NameExpr>(Part.Range);
      First->Name = Part.Text;
      Reference = std::move(First);
      continue;
    }
    auto Member = std::make_unique<MemberExpr>(Type.Range);
    Member->Object = std::move(Reference);
    Member->Name = Part;
    Reference = std::move(Member);
  }
  std::optional<names::Binding> Found = staticBinding(*Reference);
  if (Found && Found->Declaration &&
      (Found->Declaration->Kind == DeclKind::Layer || Found->Declaration->Kind == DeclKind::Struct))
    return vcs::DeclaredTypeAttr::get(&Context, symbol(*Found->Module, Found->Declaration->Name.Text));
  if (Found && Found->Declaration)
    Engine.report(diag::kinds::WrongDeclaration, Type.Range, Name, diag::withArticle(names::describe(Found->Declaration->Kind)), "a type");
  else
    Engine.report(diag::kinds::UnknownName, Type.Range, "type", Name)
        .note("types are `int`, `float`, `bool`, `string`, `list`, `any`, `text`, `media`, `path`, `duration`, shapes, layers and structs")
        .didYouMean(Name, {"int", "float", "bool", "string", "list", "any", "text", "media", "path", "duration"});
  return vcs::NamedTypeAttr::get(&Context, vcs::BuiltinType::Any);
}

mlir::Attribute Emitter::type(const TypeRef &Type, std::vector<const Expr *> &Expressions) {
  if (!Type.HasShape)
    return namedType(Type);
  std::string Name = dotted(Type.Name);
  bool Param = Name == "param";
  std::optional<vcs::Dtype> Dtype = Name.empty() || Param ? vcs::Dtype::F32 : vcs::symbolizeDtype(Name);
  if (!Dtype) {
    bool Later = llvm::is_contained({"bf16", "f16", "f64", "f8", "i64", "i8", "ui8"}, Name);
    if (Later)
      Engine.report(diag::kinds::NotSupportedYet, Type.Range, "element type `" + Name + "` in a signature");
    else
      Engine.report(diag::kinds::UnknownName, Type.Range, "element type", Name)
          .didYouMean(Name, {"f32", "i32", "bool", "any", "param"});
    Dtype = vcs::Dtype::F32;
  }
  mlir::SmallVector<vcs::DimAttr> Dims;
  for (const ExprPtr &D : Type.Dims)
    Dims.push_back(dim(*D, Expressions));
  if (llvm::count_if(Dims, [](vcs::DimAttr D) { return D.getKind() == vcs::DimKind::Ellipsis; }) > 1)
    Engine.report(diag::kinds::BadValue, Type.Range, "a shape has at most one `..`");
  return vcs::TensorTypeAttr::get(&Context, *Dtype, Dims, Param);
}

void Emitter::signature(const std::vector<Param> &Params, const std::optional<TypeRef> &Result) {
  SymbolsOfSignature.clear();
  std::set<std::string> Seen;
  mlir::Attribute Any = vcs::NamedTypeAttr::get(&Context, vcs::BuiltinType::Any);
  auto FillDims = [&](mlir::Region &Region, const std::vector<const Expr *> &Expressions, const diag::SourceRange &Range) {
    if (!Expressions.empty())
      yields(Region, Range, [&] {
        mlir::SmallVector<mlir::Value> Values;
        for (const Expr *E : Expressions)
          Values.push_back(value(*E));
        return Values;
      });
  };
  for (const Param &P : Params) {
    if (!Seen.insert(P.Name.Text).second)
      Engine.report(diag::kinds::DuplicateName, P.Name.Range, P.Name.Text);
    std::vector<const Expr *> Expressions;
    mlir::Attribute Type = P.Type ? type(*P.Type, Expressions) : Any;
    auto Op = Builder.create<vcs::ParamOp>(loc(P.Name.Range), P.Name.Text, Type);
    FillDims(Op.getDims(), Expressions, P.Name.Range);
    if (P.Default)
      yields(Op.getDefault(), *P.Default);
    Scopes.back()[P.Name.Text] = {Entry::Argument, {}};
  }
  if (!Result)
    return;
  std::vector<const Expr *> Expressions;
  mlir::Attribute Type = type(*Result, Expressions);
  auto Op = Builder.create<vcs::ResultOp>(loc(Result->Range), Type);
  FillDims(Op.getDims(), Expressions, Result->Range);
}

void Emitter::function(const FnDecl &Fn, bool Method) {
  auto Op = Builder.create<vcs::FnOp>(loc(Fn.Name.Range), Fn.Name.Text, Method, doc(Fn.Doc));
  ScopeGuard Guard(Scopes);
  mlir::Value OuterSelf = MethodSelf;
  holds(Op.getParams(), [&] { signature(Fn.Params, Fn.Result); });
  mlir::OpBuilder::InsertionGuard Insertion(Builder);
  mlir::Block *Block = Builder.createBlock(&Op.getBody());
  mlir::Type Value = vcs::ValueType::get(&Context);
  if (Method) {
    MethodSelf = Block->addArgument(Value, loc(Fn.Name.Range));
    Scopes.back()["self"] = {Entry::Local, MethodSelf};
  }
  Scope Locals;
  for (const Param &P : Fn.Params)
    Locals[P.Name.Text] = {Entry::Local, Block->addArgument(Value, loc(P.Name.Range))};
  Scopes.push_back(std::move(Locals));
  EmittedStatements = 0;
  functionBody(Fn);
  MethodSelf = OuterSelf;
}

} // namespace vcc::emit
