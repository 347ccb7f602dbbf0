// SPDX-License-Identifier: Apache-2.0
//
// The table of keys, and the check against it.
#include "dsl/types/Keys.h"

#include "llvm/ADT/StringExtras.h"

using namespace vcc::syntax;

namespace vcc::types {

static Key value(std::string Name) { return {std::move(Name)}; }
static Key field(std::string Name) { return {std::move(Name), KeyKind::Field}; }
static Key word(std::string Name, std::vector<std::string> Words) {
  return {std::move(Name), KeyKind::Word, std::move(Words)};
}
static Key amount(std::string Name, Unit In) { return {std::move(Name), KeyKind::Value, {}, false, In}; }

const std::vector<Key> &keysOf(BlockKind Block) {
  static const std::vector<Key> Rows = {value("frames"), word("sample", {"random", "middle", "random_exclusive", "still"}),
                                        value("size"), value("mean"), value("std"), value("flip"),
                                        word("crop", {"none", "center", "random"}), amount("cache", Unit::Bytes),
                                        word("turn", {"all", "random", "shuffle"}), value("scale"), value("ratio"),
                                        word("resize", {"exact", "short_side"}), value("antialias"), word("media", {"any", "image", "video"}),
                                        word("fallback", {"sample", "media"}), value("tiles"), value("global"), value("buckets")};
  static const std::vector<Key> Text = {value("tokenizer"), value("max_tokens"), field("from"),
                                        word("supervise", {"assistant", "answer", "roles", "all", "none"}), value("bos"),
                                        word("side", {"left", "right"}), word("cut", {"right", "left"}),
                                        word("spaces", {"trimmed", "kept"}), word("prompt", {"sample", "batch"}), value("answer_tokens"), value("buckets"), value("pack")};
  static const std::vector<Key> Labels = {field("from"), value("of")};
  static const std::vector<Key> Identity = {field("from")};
  static const std::vector<Key> Accumulate = {word("across", {"mixed", "one_modality", "every_modality"}), word("rest", {"step", "carry"})};
  static const std::vector<Key> Evaluate = {field("choices"), field("answer"), field("group"), value("score"),
                                            word("media", {"normal", "shuffled", "still"}),
                                            word("metric", {"choice_accuracy"}), value("rows"), field("branch")};
  static const std::vector<Key> Precision = {value("scale"), value("growth"), value("backoff"), amount("interval", Unit::Steps)};
  static const std::vector<Key> Parallel = {word("shard", {"none", "optimizer", "gradients", "weights"}), value("ranks")};
  static const std::vector<Key> Save = {value("keep")};
  static const std::vector<Key> Start = {{"except", KeyKind::Paths}, {"rename", KeyKind::Renames}, value("inside")};
  static const std::vector<Key> Optimize = {{"lr", KeyKind::Value, {}, true},
                                            {"decay", KeyKind::Word, {"matrices", "all", "none"}, true},
                                            word("unreached", {"skip", "zeros"})};
  static const std::vector<Key> Schedule = {value("steps"), value("epochs")};
  static const std::vector<Key> Dataset = {amount("on_error", Unit::Percent), word("frames", {"file", "folder"}), value("rate")};
  static const std::vector<Key> Lora = {value("by"), value("when")};
  switch (Block) {
  case BlockKind::Rows: return Rows;
  case BlockKind::Text: return Text;
  case BlockKind::Labels: return Labels;
  case BlockKind::Identity: return Identity;
  case BlockKind::Accumulate: return Accumulate;
  case BlockKind::Evaluate: return Evaluate;
  case BlockKind::Precision: return Precision;
  case BlockKind::Parallel: return Parallel;
  case BlockKind::Save: return Save;
  case BlockKind::Start: return Start;
  case BlockKind::Optimize: return Optimize;
  case BlockKind::Schedule: return Schedule;
  case BlockKind::Dataset: return Dataset;
  case BlockKind::Lora: return Lora;
  }
  return Lora;
}

const Option *findOption(const Options &Given, llvm::StringRef Name) {
  for (const Option &O : Given)
    if (O.Key.Text == Name)
      return &O;
  return nullptr;
}

static const Key *find(const std::vector<Key> &Keys, llvm::StringRef Name) {
  for (const Key &K : Keys)
    if (K.Name == Name)
      return &K;
  return nullptr;
}

const Key *findKey(BlockKind Block, llvm::StringRef Name) { return find(keysOf(Block), Name); }

std::vector<std::string> placesOfKey(llvm::StringRef Name) {
  static const std::pair<BlockKind, const char *> Forms[] = {
      {BlockKind::Rows, "rows: .. from .."},   {BlockKind::Text, "text: .."},       {BlockKind::Labels, "label: labels"},
      {BlockKind::Identity, "same: identity"}, {BlockKind::Accumulate, "accumulate .."}, {BlockKind::Evaluate, "evaluate .."},
      {BlockKind::Precision, "precision .."},  {BlockKind::Parallel, "parallel"},   {BlockKind::Save, "save .."},
      {BlockKind::Start, "start .. from .."},  {BlockKind::Optimize, "optimize .."}, {BlockKind::Schedule, "schedule .."},
      {BlockKind::Dataset, "dataset .. = .."}, {BlockKind::Lora, "lora .."}};
  std::vector<std::string> Places;
  for (auto [Block, Form] : Forms)
    if (const Key *Found = findKey(Block, Name))
      Places.push_back("`" + std::string(Form) + " { " + Found->Name + (Found->Kind == KeyKind::Renames ? " { .. } }`" : ": .. }`"));
  return Places;
}

static void reportUnknown(const Option &O, const std::vector<Key> &Own, const std::vector<Key> &Extra,
                          const std::string &Owner, diag::Engine &Engine) {
  std::vector<std::string> Known;
  for (const std::vector<Key> *Keys : {&Own, &Extra})
    for (const Key &K : *Keys)
      Known.push_back(K.Name);
  auto Made = Engine.report(diag::kinds::UnknownKey, O.Key.Range, Owner, O.Key.Text);
  if (!Known.empty())
    Made.note("its keys are " + diag::list(Known, 12));
  if (std::vector<std::string> Places = placesOfKey(O.Key.Text); !Places.empty() && diag::nearest(O.Key.Text, Known).empty())
    Made.help("it is a key of " + llvm::join(Places, " or "));
  Made.didYouMean(O.Key.Text, Known);
}

/// The word that an expression of a word key is, or nothing where it is not a bare word.
static std::string wordOf(const Expr *E) {
  if (auto *Name = llvm::dyn_cast_if_present<NameExpr>(E))
    return Name->Name;
  if (llvm::isa_and_present<NoneExpr>(E))
    return "none";
  return "";
}

/// Whether an expression may give a word as a string: what it is shows when it is evaluated.
static bool mayGiveWord(const Expr *E) {
  return llvm::isa_and_present<MemberExpr, ConditionalExpr, CallExpr, IndexExpr, StringExpr>(E);
}

static void checkWord(const Option &O, const Key &K, diag::Engine &Engine) {
  if (K.Kind != KeyKind::Word || !O.Value || mayGiveWord(O.Value.get()))
    return;
  std::string Word = wordOf(O.Value.get());
  if (Word.empty())
    Engine.report(diag::kinds::WrongType, O.Value->Range, "`" + K.Name + "`", "an expression", "one of " + diag::list(K.Words));
  else if (std::find(K.Words.begin(), K.Words.end(), Word) == K.Words.end())
    Engine.report(diag::kinds::BadValue, O.Value->Range, "`" + K.Name + "` is " + diag::list(K.Words) + ", not `" + Word + "`")
        .didYouMean(Word, K.Words);
}

static std::string unitName(std::optional<Unit> In) {
  if (!In)
    return "no unit";
  switch (*In) {
  case Unit::Steps: return "steps";
  case Unit::Epochs: return "epochs";
  case Unit::Percent: return "percent";
  case Unit::Bytes: return "bytes (`1 GB`)";
  case Unit::Seconds: return "seconds";
  }
  return "a unit";
}

/// The unit of a number written at one of the language's own keys.
static void checkUnit(const std::string &Name, const Expr *Value, const Key &K, diag::Engine &Engine) {
  std::optional<Unit> Given;
  if (auto *Whole = llvm::dyn_cast_if_present<IntExpr>(Value))
    Given = Whole->In;
  else if (auto *Number = llvm::dyn_cast_if_present<FloatExpr>(Value))
    Given = Number->In;
  else
    return;
  if (Given != K.In)
    Engine.report(diag::kinds::UnitMismatch, Value->Range, "`" + Name + "`", unitName(Given), unitName(K.In));
}

void checkKeys(const Options &Given, BlockKind Block, const std::vector<Key> &Extra, const std::string &Owner,
               diag::Engine &Engine) {
  const std::vector<Key> &Own = keysOf(Block);
  for (size_t I = 0; I < Given.size(); ++I) {
    const Option &O = Given[I];
    const Key *K = find(Own, O.Key.Text);
    if (!K)
      K = find(Extra, O.Key.Text);
    if (!K) {
      reportUnknown(O, Own, Extra, Owner, Engine);
      continue;
    }
    for (size_t J = 0; J < I; ++J)
      if (Given[J].Key.Text == O.Key.Text && Given[J].HasInner == O.HasInner) {
        Engine.report(diag::kinds::DuplicateKey, O.Key.Range, O.Key.Text).label(Given[J].Key.Range, "first here");
        break;
      }
    if (O.HasInner && !K->PerWeight)
      Engine.report(diag::kinds::WrongType, O.Key.Range, "`" + K->Name + "`", "a block", "one value");
    else if (O.Renames.empty() != (K->Kind != KeyKind::Renames))
      Engine.report(diag::kinds::WrongType, O.Key.Range, "`" + K->Name + "`",
                    O.Renames.empty() ? "no list of renamings" : "a list of renamings",
                    O.Renames.empty() ? "`" + K->Name + " { \"a.*\" -> \"b.*\" }`" : "one value");
    else
      checkWord(O, *K, Engine);
    if (find(Own, O.Key.Text)) {
      checkUnit(K->Name, O.Value.get(), *K, Engine);
      for (const Option::PerSelector &Inner : O.Inner)
        checkUnit(K->Name, Inner.Value.get(), *K, Engine);
    }
  }
}

} // namespace vcc::types
