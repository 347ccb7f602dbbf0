// SPDX-License-Identifier: Apache-2.0
//
// Declarations of the owned tree, but for stages.
#include "dsl/grammar/Builder.h"

using namespace vcc::syntax;

namespace vcc::grammar {

static constexpr size_t DocChannel = 2;

std::string Builder::doc(antlr4::ParserRuleContext *Context) {
  std::string Text;
  for (antlr4::Token *Token : Tokens.getHiddenTokensToLeft(Context->getStart()->getTokenIndex(), DocChannel)) {
    std::string Line = Token->getText();
    llvm::StringRef Rest = llvm::StringRef(Line).drop_front(3);
    Rest.consume_front(" ");
    Text += (Text.empty() ? "" : "\n") + Rest.rtrim().str();
  }
  return Text;
}

std::unique_ptr<Module> Builder::module(Parser::FileContext *Context) {
  auto Made = std::make_unique<Module>();
  Made->File = File;
  Made->Name = dotted(Context->moduleLine()->dotted());
  Made->NameRange = range(Context->moduleLine()->dotted());
  Made->Doc = doc(Context->moduleLine());
  for (auto *Line : Context->importLine()) {
    Import &Added = Made->Imports.emplace_back();
    Added.Range = range(Line->dotted());
    Added.Path = dotted(Line->dotted());
    for (auto *Name : Line->ident())
      Added.Names.push_back(ident(Name));
    Added.Selected = !Added.Names.empty();
  }
  for (auto *D : Context->declaration())
    if (DeclPtr Declared = declaration(D))
      Made->Declarations.push_back(std::move(Declared));
  return Made;
}

std::vector<ExprPtr> Builder::dims(Parser::DimsContext *Context) {
  std::vector<ExprPtr> Made;
  for (auto *D : Context->dim())
    Made.push_back(D->expr() ? expr(D->expr()) : std::make_unique<EllipsisExpr>(range(D)));
  return Made;
}

TypeRef Builder::type(Parser::TypeRefContext *Context) {
  TypeRef Made;
  Made.Range = range(Context);
  if (Context->dotted())
    Made.Name = dotted(Context->dotted());
  if (Context->dims()) {
    Made.HasShape = true;
    Made.Dims = dims(Context->dims());
  }
  return Made;
}

std::vector<Param> Builder::params(Parser::ParamsContext *Context) {
  std::vector<Param> Made;
  for (auto *P : Context->param()) {
    Param &Added = Made.emplace_back();
    Added.Name = ident(P->ident());
    if (P->typeRef())
      Added.Type = type(P->typeRef());
    Added.Default = optional(P->expr());
  }
  return Made;
}

std::unique_ptr<FnDecl> Builder::fn(antlr4::ParserRuleContext *Context, Parser::IdentContext *Name,
                                    Parser::ParamsContext *Params, Parser::TypeRefContext *Result,
                                    Parser::BlockContext *Block) {
  auto Made = std::make_unique<FnDecl>(range(Context));
  Made->Name = ident(Name);
  Made->Doc = doc(Context);
  Made->Params = params(Params);
  if (Result)
    Made->Result = type(Result);
  Made->Statements = block(Block);
  return Made;
}

DeclPtr Builder::declaration(Parser::DeclarationContext *Context) {
  DeclPtr Made;
  if (auto *C = Context->constDecl()) {
    auto Const = std::make_unique<ConstDecl>(range(C));
    Const->Name = ident(C->ident());
    Const->Value = expr(C->expr());
    Made = std::move(Const);
  } else if (auto *C = Context->structDecl()) {
    Made = structDecl(C);
  } else if (auto *C = Context->layerDecl()) {
    Made = layerDecl(C);
  } else if (auto *C = Context->fnDecl()) {
    Made = fn(C, C->ident(), C->params(), C->typeRef(), C->block());
  } else if (auto *C = Context->opDecl()) {
    Made = opDecl(C);
  } else if (auto *C = Context->modelDecl()) {
    Made = modelDecl(C);
  } else if (auto *C = Context->stageDecl()) {
    Made = stageDecl(C);
  } else if (auto *C = Context->datasetFormatDecl()) {
    Made = datasetFormat(C);
  } else if (auto *C = Context->datasetDecl()) {
    auto Dataset = std::make_unique<DatasetDecl>(range(C));
    Dataset->Name = ident(C->ident());
    Dataset->Source = expr(C->expr());
    Dataset->With = options(C->entries());
    Made = std::move(Dataset);
  } else if (auto *C = Context->tokenizerDecl()) {
    auto Tokenizer = std::make_unique<TokenizerDecl>(range(C));
    Tokenizer->Name = ident(C->ident());
    Tokenizer->Source = expr(C->expr());
    Made = std::move(Tokenizer);
  } else if (auto *C = Context->templateDecl()) {
    Made = templateDecl(C);
  } else if (auto *C = Context->optimizerDecl()) {
    auto Optimizer = std::make_unique<OptimizerDecl>(range(C));
    Optimizer->Name = ident(C->ident());
    Optimizer->Params = params(C->params());
    ruleMembers(C->ruleMember(), *Optimizer);
    Made = std::move(Optimizer);
  } else if (auto *C = Context->scheduleDecl()) {
    auto Schedule = std::make_unique<ScheduleDecl>(range(C));
    Schedule->Name = ident(C->ident());
    Schedule->Params = params(C->params());
    ruleMembers(C->ruleMember(), *Schedule);
    Made = std::move(Schedule);
  }
  if (Made)
    Made->Doc = doc(Context);
  return Made;
}

DeclPtr Builder::structDecl(Parser::StructDeclContext *Context) {
  auto Made = std::make_unique<StructDecl>(range(Context));
  Made->Name = ident(Context->ident());
  for (auto *F : Context->structField()) {
    Param &Added = Made->Fields.emplace_back();
    Added.Name = ident(F->ident());
    Added.Type = type(F->typeRef());
    Added.Default = optional(F->expr());
  }
  return Made;
}

DeclPtr Builder::opDecl(Parser::OpDeclContext *Context) {
  auto Made = std::make_unique<OpDecl>(range(Context));
  Made->Name = ident(Context->ident());
  Made->Params = params(Context->params());
  if (Context->typeRef())
    Made->Result = type(Context->typeRef());
  return Made;
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Layers and models
//===------------------------------------------------------------------------------------------------------------------------------===//

LayerField Builder::layerField(Parser::LayerFieldContext *Context) {
  LayerField Made;
  Made.Range = range(Context);
  Made.Doc = doc(Context);
  if (auto *C = dynamic_cast<Parser::WeightFieldContext *>(Context)) {
    Made.Name = ident(C->ident());
    Made.IsWeight = true;
    Made.Shape = dims(C->dims());
    Made.Init = optional(C->expr(0));
    if (auto *Within = C->expr(1)) {
      ExprPtr Bounds = expr(Within);
      if (auto *Range = llvm::dyn_cast<RangeExpr>(Bounds.get())) {
        Made.WithinFirst = std::move(Range->First);
        Made.WithinLast = std::move(Range->Last);
      } else {
        Engine.report(diag::kinds::SyntaxError, Bounds->Range, "`within` needs a range such as `0.001..0.5`");
      }
    }
    return Made;
  }
  auto *C = dynamic_cast<Parser::ValueFieldContext *>(Context);
  Made.Name = ident(C->ident());
  Made.Value = expr(C->expr());
  return Made;
}

std::vector<LayerField> Builder::fieldBlock(Parser::FieldBlockContext *Context) {
  std::vector<LayerField> Made;
  for (auto *Child : Context->children) {
    if (auto *Field = dynamic_cast<Parser::LayerFieldContext *>(Child))
      Made.push_back(layerField(Field));
    else if (auto *If = dynamic_cast<Parser::LayerIfContext *>(Child))
      Made.push_back(layerIf(If, 0));
  }
  return Made;
}

LayerField Builder::layerIf(Parser::LayerIfContext *Context, size_t Branch) {
  LayerField Made;
  Made.Range = range(Context->expr(Branch));
  Made.Condition = expr(Context->expr(Branch));
  Made.Then = fieldBlock(Context->fieldBlock(Branch));
  bool More = Branch + 1 < Context->expr().size();
  if (More && Branch < DeepestNesting)
    Made.Otherwise.push_back(layerIf(Context, Branch + 1));
  else if (More)
    Engine.report(diag::kinds::NestedTooDeep, Made.Range, DeepestNesting);
  else if (Context->fieldBlock().size() > Context->expr().size())
    Made.Otherwise = fieldBlock(Context->fieldBlock(Branch + 1));
  return Made;
}

DeclPtr Builder::layerDecl(Parser::LayerDeclContext *Context) {
  auto Made = std::make_unique<LayerDecl>(range(Context));
  Made->Name = ident(Context->ident());
  Made->Params = params(Context->params());
  for (auto *Member : Context->layerMember()) {
    if (auto *C = Member->layerField()) {
      Made->Fields.push_back(layerField(C));
    } else if (auto *C = Member->layerIf()) {
      Made->Fields.push_back(layerIf(C, 0));
    } else if (auto *C = Member->groupMember()) {
      GroupDecl &Group = Made->Groups.emplace_back();
      Group.Name = ident(C->ident());
      Group.Range = range(C);
      for (auto *P : C->path())
        Group.Selectors.push_back(plain(P));
    } else if (auto *C = Member->fnDecl()) {
      Made->Methods.push_back(fn(C, C->ident(), C->params(), C->typeRef(), C->block()));
    } else if (auto *C = Member->method()) {
      Made->Methods.push_back(fn(C, C->ident(), C->params(), C->typeRef(), C->block()));
    }
  }
  return Made;
}

void Builder::ruleMembers(const std::vector<Parser::RuleMemberContext *> &Members, RuleDecl &Into) {
  for (auto *Member : Members) {
    if (auto *C = Member->fnDecl()) {
      Into.Methods.push_back(fn(C, C->ident(), C->params(), C->typeRef(), C->block()));
    } else if (auto *C = Member->method()) {
      Into.Methods.push_back(fn(C, C->ident(), C->params(), C->typeRef(), C->block()));
    } else {
      StateDecl &State = Into.States.emplace_back();
      State.Name = ident(Member->ident());
      State.Range = range(Member);
      State.Init = expr(Member->expr());
    }
  }
}

DeclPtr Builder::modelDecl(Parser::ModelDeclContext *Context) {
  static const std::pair<const char *, Role> Roles[] = {{"encoder", Role::Encoder},
                                                        {"qformer", Role::QFormer},
                                                        {"projector", Role::Projector},
                                                        {"llm", Role::Llm},
                                                        {"head", Role::Head}};
  auto Made = std::make_unique<ModelDecl>(range(Context));
  Made->Name = ident(Context->ident());
  for (auto *Part : Context->component()) {
    Component &Added = Made->Components.emplace_back();
    Added.Range = range(Part);
    Added.Doc = doc(Part);
    if (auto *C = dynamic_cast<Parser::LoraComponentContext *>(Part)) {
      Added.In = Role::Lora;
      Added.Name = ident(C->ident());
      for (auto *P : C->path())
        Added.Sites.push_back(plain(P));
      Added.With = options(C->entries());
      continue;
    }
    auto *C = dynamic_cast<Parser::PartComponentContext *>(Part);
    Ident Word = ident(C->ident(0));
    auto *Found = std::find_if(std::begin(Roles), std::end(Roles), [&](auto &R) { return Word.Text == R.first; });
    if (Found == std::end(Roles)) {
      std::vector<std::string> Known = {"lora"};
      for (auto &Role : Roles)
        Known.push_back(Role.first);
      Engine.report(diag::kinds::UnknownName, Word.Range, "role", Word.Text)
          .didYouMean(Word.Text, Known)
          .note("the roles are " + diag::list(Known, 6));
    } else {
      Added.In = Found->second;
    }
    Added.Name = ident(C->ident(1));
    Added.Value = expr(C->expr());
  }
  return Made;
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Data
//===------------------------------------------------------------------------------------------------------------------------------===//

std::vector<RecordField> Builder::record(Parser::RecordBlockContext *Context) {
  std::vector<RecordField> Made;
  for (auto *Field : Context->recordField()) {
    RecordField &Added = Made.emplace_back();
    Added.Name = ident(Field->ident());
    Added.Range = range(Field);
    for (auto *Key : Field->dotted())
      Added.Keys.push_back({Key->getText(), range(Key)});
    for (auto *Child : Field->children)
      Added.List |= Child->getText() == "*";
    if (Field->recordBlock()) {
      Added.HasFields = true;
      Added.Fields = record(Field->recordBlock());
    }
  }
  return Made;
}

DeclPtr Builder::datasetFormat(Parser::DatasetFormatDeclContext *Context) {
  auto Made = std::make_unique<DatasetFormatDecl>(range(Context));
  Made->Name = ident(Context->ident());
  Made->Params = params(Context->params());
  Made->Fields = record(Context->recordBlock());
  return Made;
}

DeclPtr Builder::templateDecl(Parser::TemplateDeclContext *Context) {
  auto Made = std::make_unique<TemplateDecl>(range(Context));
  Made->Name = ident(Context->ident());
  for (auto *S : Context->segment())
    Made->Segments.push_back({ident(S->ident()), unescape(S->STRING()), range(S)});
  for (auto *P : Context->prompts()) {
    Ident Word = ident(P->ident());
    bool ForImages = Word.Text == "image_prompts";
    if (Word.Text != "prompts" && !ForImages)
      Engine.report(diag::kinds::UnknownKey, Word.Range, "a template", Word.Text).didYouMean(Word.Text, {"prompts", "image_prompts"});
    for (auto *Text : P->STRING())
      (ForImages ? Made->ImagePrompts : Made->Prompts).push_back(unescape(Text));
  }
  return Made;
}

} // namespace vcc::grammar
