// SPDX-License-Identifier: Apache-2.0
//
// Checks of stages.
#include "dsl/types/Stages.h"
#include "dsl/types/Keys.h"

#include "llvm/ADT/StringExtras.h"

#include <algorithm>
#include <map>

using namespace vcc::syntax;

namespace vcc::types {

/// The stage of an imported module that `Stage` is like; null with a diagnostic.
static const StageDecl *importedStage(const StageDecl &Stage, const names::ModuleInfo &Module, diag::Engine &Engine) {
  const Ident &First = Stage.LikeFrom.front(), &Last = Stage.LikeFrom.back();
  auto Found = Module.Names.find(First.Text);
  if (Stage.LikeFrom.size() != 1 || Found == Module.Names.end() || Found->second.Declaration) {
    std::vector<std::string> Known;
    for (auto &[Name, Meaning] : Module.Names)
      if (!Meaning.Declaration)
        Known.push_back(Name);
    Engine.report(diag::kinds::UnknownName, diag::join(First.Range, Last.Range), "imported module", Last.Text).didYouMean(Last.Text, Known);
    return nullptr;
  }
  std::vector<std::string> Known;
  for (const DeclPtr &D : Found->second.Module->Tree->Declarations) {
    auto *Other = llvm::dyn_cast<StageDecl>(D.get());
    if (Other && (Stage.Like->Number ? Other->Number == Stage.Like->Number : Other->Name.Text == Stage.Like->Name))
      return Other;
    if (Other)
      Known.push_back(Other->Name.Text);
  }
  std::string Written = Stage.Like->Number ? std::to_string(*Stage.Like->Number) : Stage.Like->Name;
  auto Made = Engine.report(diag::kinds::UnknownName, Stage.Like->Range, "stage of module `" + Found->second.Module->Name + "`", Written);
  if (!Known.empty())
    Made.note("its stages are " + diag::list(Known));
  if (!Stage.Like->Number)
    Made.didYouMean(Written, Known);
  return nullptr;
}

std::vector<const StageDecl *> stagesOf(const names::ModuleInfo &Module, diag::Engine &Engine) {
  std::vector<const StageDecl *> Stages;
  std::map<int64_t, const StageDecl *> Numbers;
  for (const DeclPtr &D : Module.Tree->Declarations) {
    auto *Stage = llvm::dyn_cast<StageDecl>(D.get());
    if (!Stage)
      continue;
    Stages.push_back(Stage);
    if (!Stage->Number)
      continue;
    auto [Old, New] = Numbers.try_emplace(*Stage->Number, Stage);
    if (!New)
      Engine.report(diag::kinds::DuplicateName, Stage->Range, "stage " + std::to_string(*Stage->Number))
          .label(Old->second->Range, "first here");
  }
  for (const DeclPtr &D : Module.Tree->Declarations)
    if (auto *Stage = llvm::dyn_cast<StageDecl>(D.get()); Stage && Stage->Like)
      Stage->Base = Stage->LikeFrom.empty() ? resolveStage(*Stage->Like, Stages, Stage, Engine) : importedStage(*Stage, Module, Engine);
  return Stages;
}

const StageDecl *resolveStage(const StageRef &Ref, const std::vector<const StageDecl *> &Stages, const StageDecl *Before,
                              diag::Engine &Engine) {
  std::vector<std::string> Known, Shown;
  const StageDecl *Later = nullptr;
  bool Earlier = true;
  for (const StageDecl *Stage : Stages) {
    Earlier &= Stage != Before;
    bool Same = Ref.Number ? Stage->Number == Ref.Number : Stage->Name.Text == Ref.Name;
    if (Same && Earlier)
      return Stage;
    if (Same)
      Later = Stage;
    if (Earlier) {
      Known.push_back(Stage->Name.Text);
      Shown.push_back((Stage->Number ? std::to_string(*Stage->Number) + " " : "") + "\"" + Stage->Name.Text + "\"");
    }
  }
  std::string Written = Ref.Number ? std::to_string(*Ref.Number) : "\"" + Ref.Name + "\"";
  auto Made = Engine.report(diag::kinds::UnknownStage, Ref.Range, Written);
  if (Later == Before && Later)
    Made.primary("a stage cannot come from itself");
  else if (Later)
    Made.label(Later->Range, "this stage comes later").help("move it above this one");
  else if (!Known.empty())
    Made.note("the stages before it are " + diag::list(Shown));
  else
    Made.help("this is the first stage of the file; what another file's stages say is taken over by `like stage 1 from module`");
  if (!Later && !Ref.Number)
    Made.didYouMean(Ref.Name, Known);
  return nullptr;
}

namespace {

class StageCheck {
public:
  StageCheck(const StageDecl &Stage, const ModelDecl &Model, diag::Engine &Engine) : Stage(Stage), Model(Model), Engine(Engine) {
    for (const Component &Part : Model.Components)
      Components.push_back(Part.Name.Text);
  }

  void run() {
    need(!Stage.all(&StageDecl::Batches).empty(), "batch");
    need(!Stage.all(&StageDecl::Losses).empty(), "loss");
    need(!Stage.all(&StageDecl::Optimizes).empty(), "optimize");
    need(!Stage.all(&StageDecl::Schedules).empty(), "schedule");
    need(llvm::any_of(Stage.selections(), [](auto *S) { return S->Kind == SelectionKind::Train; }), "train");
    once(Stage.Batches, "batch");
    once(Stage.Losses, "loss");
    once(Stage.Optimizes, "optimize");
    once(Stage.Schedules, "schedule");
    once(Stage.Precisions, "precision");
    once(Stage.Parallels, "parallel");
    once(Stage.Saves, "save");
    once(Stage.Logs, "log");
    for (const SelectionClause &Clause : Stage.Selections)
      for (const Selector &S : Clause.Selectors)
        if (Clause.Kind != SelectionKind::Recompute || !isAuto(S.Path))
          component(S.Path);
    for (const StartClause &Start : Stage.Starts) {
      for (const Selector &S : Start.Selectors)
        component(S.Path);
      checkStart(Start, Engine);
    }
    folder("stage", Stage.Name);
    for (const EvaluateClause &Clause : Stage.Evaluates)
      folder("evaluation", Clause.Name);
    unsupported();
    terms();
    evaluations();
  }

private:
  void need(bool There, const char *Key) {
    if (!There)
      Engine.report(diag::kinds::MissingKey, Stage.Range, "stage \"" + Stage.Name.Text + "\"", Key);
  }

  template <class Clause> void once(const std::vector<Clause> &Clauses, const char *Key) {
    for (size_t I = 1; I < Clauses.size(); ++I)
      Engine.report(diag::kinds::DuplicateKey, Clauses[I].Range, Key).label(Clauses.front().Range, "first here");
  }

  void component(const SelectorPath &Path) {
    const SelectorStep &First = Path.Steps.front();
    if (First.Kind == StepKind::Alternatives) {
      for (const SelectorPath &Inner : First.Alternatives)
        component(Inner);
      return;
    }
    if (First.Kind != StepKind::Name || std::find(Components.begin(), Components.end(), First.Name) != Components.end())
      return;
    Engine.report(diag::kinds::SelectorMatchesNothing, First.Range, First.Name)
        .primary("model `" + Model.Name.Text + "` has no component `" + First.Name + "`")
        .note(Model.Name.Range, "declares " + diag::list(Components, 8))
        .didYouMean(First.Name, Components);
  }

  /// `recompute auto`: the compiler's own choice, unless a component is called so.
  bool isAuto(const SelectorPath &Path) const {
    return Path.Steps.size() == 1 && Path.Steps.front().Kind == StepKind::Name && Path.Steps.front().Name == "auto" &&
           std::find(Components.begin(), Components.end(), "auto") == Components.end();
  }

  /// What a run writes for a stage and for an evaluation lies in a folder or file of that name.
  void folder(const std::string &What, const Ident &Name) {
    const std::string &Text = Name.Text;
    bool Letters = std::all_of(Text.begin(), Text.end(), [](char C) { return llvm::isAlnum(C) || C == '_' || C == '.' || C == '-'; });
    if (!Text.empty() && Text.size() <= 100 && Text != "." && Text != ".." && Letters)
      return;
    Engine.report(diag::kinds::BadValue, Name.Range, "the " + What + " name \"" + Text + "\" cannot name a folder")
        .help("use letters, digits, `_`, `.` and `-`, at most 100 of them");
  }

  void unsupported() {
    auto Say = [&](const diag::SourceRange &Range, const std::string &What) {
      return Engine.report(diag::kinds::NotSupportedYet, Range, What);
    };
    for (const ParallelClause &Clause : Stage.Parallels)
      if (const Option *Shard = findOption(Clause.With, "shard"))
        if (auto *Word = llvm::dyn_cast_if_present<NameExpr>(Shard->Value.get()); Word && Word->Name != "none")
          Say(Word->Range, "`shard: " + Word->Name + "`").help("there is `shard: none`, where every rank holds all weights");
    for (const SelectionClause &Clause : Stage.Selections)
      for (const Selector &S : Clause.Selectors)
        if (Clause.Kind == SelectionKind::Recompute && isAuto(S.Path))
          Say(S.Range, "`recompute auto`");
    for (const SaveClause &Clause : Stage.Saves)
      if (Clause.As)
        Say(Clause.As->Range, "saving as `" + Clause.As->Text + "`");
    for (const BatchClause &Batch : Stage.Batches)
      for (const BatchEntry &Entry : Batch.Entries)
        if (Entry.Kind == BatchEntry::Mixture && Entry.Name.Text != "alternate")
          Say(Entry.Name.Range, "`" + Entry.Name.Text + "` in a batch").didYouMean(Entry.Name.Text, {"alternate"});
  }

  void terms() {
    for (const LossClause &Loss : Stage.Losses) {
      std::map<std::string, const TermStmt *> Terms;
      for (const StmtPtr &S : Loss.Statements)
        if (auto *Term = llvm::dyn_cast<TermStmt>(S.get())) {
          auto [Old, New] = Terms.try_emplace(Term->Name.Text, Term);
          if (!New)
            Engine.report(diag::kinds::DuplicateName, Term->Name.Range, Term->Name.Text)
                .label(Old->second->Name.Range, "first here");
        }
      if (Terms.empty())
        Engine.report(diag::kinds::MissingKey, Loss.Range, "the loss", "term").help("write `name: 1.0 * some_loss(...)`");
    }
  }

  void evaluations() {
    std::map<std::string, const EvaluateClause *> Seen;
    for (const EvaluateClause &Clause : Stage.Evaluates) {
      auto [Old, New] = Seen.try_emplace(Clause.Name.Text, &Clause);
      if (!New && !Clause.Name.Text.empty())
        Engine.report(diag::kinds::DuplicateName, Clause.Name.Range, Clause.Name.Text)
            .label(Old->second->Name.Range, "first here");
    }
  }

  const StageDecl &Stage;
  const ModelDecl &Model;
  diag::Engine &Engine;
  std::vector<std::string> Components;
};

} // namespace

void checkStage(const StageDecl &Stage, const ModelDecl &Model, diag::Engine &Engine) {
  StageCheck(Stage, Model, Engine).run();
}

} // namespace vcc::types
