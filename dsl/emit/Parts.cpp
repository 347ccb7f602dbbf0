// SPDX-License-Identifier: Apache-2.0
//
// Declarations of parts: constants, structs, layers, models, optimizers, schedules.
#include "dsl/emit/Emitter.h"
#include "dsl/types/Stages.h"

using namespace vcc::syntax;

namespace vcc::emit {

void Emitter::module(const names::ModuleInfo &Info) {
  Current = &Info;
  Scopes.clear();
  Stages = types::stagesOf(Info, Engine);
  mlir::OpBuilder::InsertionGuard Guard(Builder);
  auto Op = Builder.create<vcs::ModuleOp>(loc(Info.Tree->NameRange), Info.Name, &Info == Program.Main, doc(Info.Tree->Doc));
  holds(Op.getBodyRegion(), [&] {
    for (const DeclPtr &D : Info.Tree->Declarations) {
      auto Known = Info.Declarations.find(D->Name.Text);
      bool Repeated = D->Kind != DeclKind::Stage && Known != Info.Declarations.end() && Known->second != D.get();
      if (!Repeated)
        declaration(*D);
    }
  });
}

void Emitter::declaration(const Decl &D) {
  ScopeGuard Guard(Scopes);
  switch (D.Kind) {
  case DeclKind::Const: return constant(llvm::cast<ConstDecl>(D));
  case DeclKind::Struct: return structure(llvm::cast<StructDecl>(D));
  case DeclKind::Layer: return layer(llvm::cast<LayerDecl>(D));
  case DeclKind::Fn: return function(llvm::cast<FnDecl>(D), false);
  case DeclKind::Op: return operation(llvm::cast<OpDecl>(D));
  case DeclKind::Model: return model(llvm::cast<ModelDecl>(D));
  case DeclKind::Stage: return stage(llvm::cast<StageDecl>(D));
  case DeclKind::DatasetFormat: return datasetFormat(llvm::cast<DatasetFormatDecl>(D));
  case DeclKind::Dataset: return dataset(llvm::cast<DatasetDecl>(D));
  case DeclKind::Tokenizer: return tokenizer(llvm::cast<TokenizerDecl>(D));
  case DeclKind::Template: return textTemplate(llvm::cast<TemplateDecl>(D));
  case DeclKind::Optimizer: return optimizer(llvm::cast<OptimizerDecl>(D));
  case DeclKind::Schedule: return schedule(llvm::cast<ScheduleDecl>(D));
  }
}

void Emitter::constant(const ConstDecl &D) {
  auto Op = Builder.create<vcs::ConstOp>(loc(D.Name.Range), D.Name.Text, doc(D.Doc));
  yields(Op.getValue(), *D.Value);
}

void Emitter::structure(const StructDecl &D) {
  auto Op = Builder.create<vcs::StructOp>(loc(D.Name.Range), D.Name.Text, doc(D.Doc));
  holds(Op.getBodyRegion(), [&] { signature(D.Fields, std::nullopt); });
}

void Emitter::operation(const OpDecl &D) {
  if (Current != Program.Prelude)
    Engine.report(diag::kinds::NotSupportedYet, D.Range, "`op` outside of the prelude")
        .help("write a `fn`; operations of the training graph are built into the compiler");
  auto Op = Builder.create<vcs::OpOp>(loc(D.Name.Range), D.Name.Text, doc(D.Doc));
  holds(Op.getBodyRegion(), [&] { signature(D.Params, D.Result); });
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Layers
//===------------------------------------------------------------------------------------------------------------------------------===//

static void collectFields(const std::vector<LayerField> &Fields, std::vector<const LayerField *> &Into) {
  for (const LayerField &F : Fields) {
    if (!F.isIf()) {
      Into.push_back(&F);
      continue;
    }
    collectFields(F.Then, Into);
    collectFields(F.Otherwise, Into);
  }
}

void Emitter::checkMembers(const LayerDecl &D) {
  std::map<std::string, diag::SourceRange> Seen;
  auto Add = [&](const Ident &Name) {
    auto [Old, New] = Seen.try_emplace(Name.Text, Name.Range);
    if (!New)
      Engine.report(diag::kinds::DuplicateName, Name.Range, Name.Text).label(Old->second, "first here");
  };
  // A field may stand on both sides of an `if`, but not beside it.
  std::function<void(const std::vector<LayerField> &)> Walk = [&](const std::vector<LayerField> &Fields) {
    for (const LayerField &F : Fields) {
      if (!F.isIf()) {
        Add(F.Name);
        continue;
      }
      auto Before = Seen;
      Walk(F.Then);
      auto AfterThen = std::move(Seen);
      Seen = std::move(Before);
      Walk(F.Otherwise);
      Seen.merge(AfterThen);
    }
  };
  Walk(D.Fields);
  for (const GroupDecl &Group : D.Groups)
    Add(Group.Name);
  for (const auto &Method : D.Methods)
    Add(Method->Name);
}

void Emitter::layer(const LayerDecl &D) {
  checkMembers(D);
  auto Op = Builder.create<vcs::LayerOp>(loc(D.Name.Range), D.Name.Text, doc(D.Doc));
  holds(Op.getBodyRegion(), [&] {
    signature(D.Params, std::nullopt);
    Scopes.emplace_back(); // members, each visible to those after it
    layerFields(D.Fields);
    for (const GroupDecl &Group : D.Groups)
      Builder.create<vcs::GroupOp>(loc(Group.Name.Range), Group.Name.Text, selectors(Group.Selectors));
    std::vector<const LayerField *> Fields;
    collectFields(D.Fields, Fields);
    for (const LayerField *F : Fields)
      Scopes.back()[F->Name.Text] = {Entry::Member, {}};
    for (const auto &Method : D.Methods)
      Scopes.back()[Method->Name.Text] = {Entry::Member, {}};
    methods(D.Methods);
  });
}

void Emitter::methods(const std::vector<std::unique_ptr<FnDecl>> &Methods) {
  std::set<std::string> Seen;
  for (const auto &Method : Methods)
    if (Seen.insert(Method->Name.Text).second)
      function(*Method, true);
}

void Emitter::layerFields(const std::vector<LayerField> &Fields) {
  for (const LayerField &F : Fields)
    layerField(F);
}

void Emitter::layerField(const LayerField &F) {
  if (F.isIf()) {
    auto Op = Builder.create<vcs::StaticIfOp>(loc(F.Range));
    yields(Op.getCondition(), *F.Condition);
    holds(Op.getThen(), [&] { layerFields(F.Then); });
    holds(Op.getOtherwise(), [&] { layerFields(F.Otherwise); });
    return;
  }
  if (!F.IsWeight) {
    auto Op = Builder.create<vcs::FieldOp>(loc(F.Name.Range), F.Name.Text, doc(F.Doc));
    yields(Op.getValue(), *F.Value);
  } else {
    auto Op = Builder.create<vcs::WeightOp>(loc(F.Name.Range), F.Name.Text, vcs::Dtype::F32, doc(F.Doc));
    yields(Op.getShape(), F.Range, [&] { return values(F.Shape); });
    if (F.Init)
      yields(Op.getInit(), *F.Init);
    else
      Engine.report(diag::kinds::MissingKey, F.Name.Range, "weight `" + F.Name.Text + "`", "initialiser")
          .help("write `= zeros`, `= xavier_uniform` or another one behind its shape");
    if (F.WithinFirst)
      yields(Op.getWithin(), F.WithinFirst->Range,
             [&] { return mlir::SmallVector<mlir::Value>{value(*F.WithinFirst), value(*F.WithinLast)}; });
  }
  Scopes.back()[F.Name.Text] = {Entry::Member, {}};
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Models
//===------------------------------------------------------------------------------------------------------------------------------===//

Scope Emitter::componentsOf(const ModelDecl &D) {
  Scope Components;
  for (const Component &Part : D.Components)
    Components[Part.Name.Text] = {Entry::Part, {}};
  return Components;
}

static void checkComponents(const ModelDecl &D, diag::Engine &Engine) {
  std::map<std::string, diag::SourceRange> Seen;
  for (const Component &Part : D.Components) {
    auto [Old, New] = Seen.try_emplace(Part.Name.Text, Part.Name.Range);
    if (!New)
      Engine.report(diag::kinds::DuplicateName, Part.Name.Range, Part.Name.Text).label(Old->second, "first here");
  }
}

/// The parameters of the adapter layer that a `lora` line sets: all but the sizes, which are those of the wrapped part.
static std::vector<types::Key> adapterKeys(const names::Program &Program) {
  std::vector<types::Key> Keys;
  if (auto *Layer = llvm::dyn_cast_if_present<LayerDecl>(Program.find("adapters.lora", "LoRA")))
    for (const Param &P : Layer->Params)
      if (P.Name.Text != "width_in" && P.Name.Text != "width_out")
        Keys.push_back({P.Name.Text});
  return Keys;
}

void Emitter::model(const ModelDecl &D) {
  checkComponents(D, Engine);
  auto Op = Builder.create<vcs::ModelOp>(loc(D.Name.Range), D.Name.Text, doc(D.Doc));
  ScopeGuard Guard(Scopes, componentsOf(D));
  holds(Op.getBodyRegion(), [&] {
    for (const Component &Part : D.Components) {
      if (Part.In == Role::Lora) {
        // The parameters of a layer of the recipe's own are checked where it is made.
        if (!types::findOption(Part.With, "by"))
          types::checkKeys(Part.With, types::BlockKind::Lora, adapterKeys(Program), "`lora`", Engine);
        auto Lora = Builder.create<vcs::LoraOp>(loc(Part.Name.Range), Part.Name.Text, selectors(Part.Sites), doc(Part.Doc));
        options(Lora.getOptions(), Part.With, types::BlockKind::Lora);
        continue;
      }
      auto Made = Builder.create<vcs::ComponentOp>(loc(Part.Name.Range), Part.Name.Text, static_cast<vcs::Role>(Part.In), doc(Part.Doc));
      yields(Made.getValue(), *Part.Value);
    }
  });
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Optimizers and schedules
//===------------------------------------------------------------------------------------------------------------------------------===//

static void checkMethods(const RuleDecl &D, const Ident &Name, const char *What, const std::vector<std::string> &Known,
                         const char *Needed, diag::Engine &Engine) {
  bool Found = false;
  for (const auto &Method : D.Methods) {
    Found |= Method->Name.Text == Needed;
    if (!llvm::is_contained(Known, Method->Name.Text))
      Engine.report(diag::kinds::UnknownName, Method->Name.Range, std::string("method of ") + What, Method->Name.Text)
          .note(std::string(What) + " has " + diag::list(Known))
          .didYouMean(Method->Name.Text, Known);
  }
  if (!Found)
    Engine.report(diag::kinds::MissingKey, Name.Range, std::string(What) + " `" + Name.Text + "`", Needed);
}

void Emitter::optimizer(const OptimizerDecl &D) {
  checkMethods(D, D.Name, "an optimizer", {"update", "gradients"}, "update", Engine);
  auto Op = Builder.create<vcs::OptimizerOp>(loc(D.Name.Range), D.Name.Text, doc(D.Doc));
  holds(Op.getBodyRegion(), [&] {
    signature(D.Params, std::nullopt);
    for (const StateDecl &State : D.States) {
      auto Made = Builder.create<vcs::StateOp>(loc(State.Name.Range), State.Name.Text);
      yields(Made.getInit(), *State.Init);
    }
    methods(D.Methods);
  });
}

void Emitter::schedule(const ScheduleDecl &D) {
  checkMethods(D, D.Name, "a schedule", {"factor"}, "factor", Engine);
  for (const StateDecl &State : D.States)
    Engine.report(diag::kinds::NotSupportedYet, State.Range, "the state of a schedule");
  auto Op = Builder.create<vcs::ScheduleDeclOp>(loc(D.Name.Range), D.Name.Text, doc(D.Doc));
  holds(Op.getBodyRegion(), [&] {
    signature(D.Params, std::nullopt);
    methods(D.Methods);
  });
}

} // namespace vcc::emit
