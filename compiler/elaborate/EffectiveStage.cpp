// SPDX-License-Identifier: Apache-2.0
//
// The sections of a stage, in the order in which a recipe says them.
#include "compiler/elaborate/Effective.h"

#include "llvm/ADT/StringSet.h"

namespace vcc::elaborate {

namespace {

class Writer {
public:
  Writer(Evaluator &evaluator, const Stage &stage, StringRef stdlibDir)
      : evaluator(evaluator), stage(stage), values(evaluator, stdlibDir), body(*stage.op->getRegion(0).begin()) {}

  Json run() {
    vcs::StageOp op = stage.op;
    Json made = {{"name", op.getName().str()},
                 {"number", op.getNumber() ? Json(*op.getNumber()) : Json(nullptr)},
                 {"model", symbolName(stage.model.op)},
                 {"at", values.at(op.getLoc())}};
    components();
    weights();
    starts();
    batch();
    loss();
    rules();
    course();
    evaluations();
    if (Json consts = values.consts(); !consts.empty())
      open("consts", "", op.getLoc()) = std::move(consts);
    made["sections"] = std::move(sections);
    return made;
  }

private:
  Json &open(std::string title, const std::string &of, mlir::Location loc) {
    Json section = {{"title", std::move(title)}};
    if (!of.empty())
      section["of"] = of;
    section["at"] = values.at(loc);
    section["values"] = Json::array();
    return sections.emplace_back(std::move(section))["values"];
  }
  void add(Json &into, Json more) {
    for (Json &each : more)
      into.push_back(std::move(each));
  }
  /// What a block of options says in effect.
  Json settingsOf(mlir::Operation *clause, llvm::ArrayRef<StringRef> only = {}) {
    Json list = Json::array();
    auto found = evaluator.settings.find(clause);
    if (found != evaluator.settings.end())
      for (const Setting &setting : found->second)
        if (only.empty() || llvm::is_contained(only, setting.name))
          list.push_back(values.setting(setting));
    return list;
  }

  // The model

  bool isUsed(StringRef component) {
    return llvm::any_of(stage.used, [&](Weight *weight) { return stage.model.componentOf(*weight) == component; });
  }

  void components() {
    for (auto &[name, component] : stage.model.components) {
      if (!isUsed(name.getValue()))
        continue;
      std::string title = component.role + " " + name.str();
      if (auto lora = llvm::dyn_cast<vcs::LoraOp>(component.op)) {
        adapter(title, lora);
        continue;
      }
      const Value &value = component.field.value;
      Part *part = value.asPart() ? value.asPart() : value.asSequence()->front().asPart();
      std::string of = EffectiveValues::nameOf(part->layer);
      if (auto *list = value.asSequence())
        of += " * " + std::to_string(list->size());
      add(open(title, of, component.op->getLoc()), values.arguments(*part));
    }
  }

  static void collectSites(const PartNode &node, const Part *root, llvm::SmallVectorImpl<const Part *> &into) {
    if (node.part && node.part->parent == root)
      into.push_back(node.part);
    for (const auto &child : node.children)
      collectSites(*child, root, into);
  }

  void adapter(const std::string &title, vcs::LoraOp lora) {
    const PartNode &node = *stage.model.tree.child(lora.getName());
    llvm::SmallVector<const Part *> sites;
    collectSites(node, node.part, sites);
    if (sites.empty())
      return;
    const Part &first = *sites.front();
    Json &section = open(title, EffectiveValues::nameOf(first.layer), lora.getLoc());
    Json names = Json::array();
    for (auto selector : lora.getSelectors().getAsRange<vcs::SelectorAttr>())
      names.push_back(selector.str());
    Json entry = values.written("sites", std::move(names), lora.getLoc());
    entry["parts"] = sites.size();
    section.push_back(std::move(entry));
    add(section, values.arguments(first, {"width_in", "width_out"}));
  }

  // Weights

  Json selection(StringRef name, const WeightSet &weights) {
    int64_t parameters = 0;
    for (Weight *weight : weights)
      parameters += weight->elements();
    return {{"name", name.str()},
            {"value", shortestSelectors(stage.model.tree, weights)},
            {"weights", weights.size()},
            {"parameters", parameters}};
  }

  template <typename Clause>
  void selections(Json &into, StringRef name, const WeightSet &weights) {
    auto clauses = body.getOps<Clause>();
    if (weights.empty() && clauses.empty())
      return;
    Json entry = selection(name, weights);
    if (clauses.empty()) {
      entry["from"] = "language";
    } else {
      entry["from"] = "written";
      entry["at"] = values.at((*clauses.begin()).getLoc());
    }
    into.push_back(std::move(entry));
  }

  void weights() {
    Json &section = open("weights", "", stage.op->getLoc());
    selections<vcs::UsesOp>(section, "uses", stage.used);
    selections<vcs::TrainOp>(section, "train", stage.trained);
    selections<vcs::FreezeOp>(section, "freeze", stage.frozen);
    selections<vcs::IdleOp>(section, "idle", stage.idle);
    for (auto clause : body.getOps<vcs::RecomputeOp>())
      section.push_back(values.written("recompute", clause.getSelector().str(), clause.getLoc()));
  }

  static std::string sourceText(const StartSource &source) {
    switch (source.kind) {
    case StartSource::Kind::Stage:
      return "stage \"" + source.name + "\"";
    case StartSource::Kind::File:
      return "\"" + source.name + "\"";
    case StartSource::Kind::Init:
      return "init";
    }
    return "";
  }

  void starts() {
    llvm::MapVector<std::pair<mlir::Attribute, mlir::Location>, WeightSet> groups;
    for (Weight *weight : stage.used) {
      auto sources = stage.starts.find(weight);
      auto clause = stage.startClauses.find(weight);
      if (sources == stage.starts.end() || clause == stage.startClauses.end())
        continue;
      llvm::SmallVector<mlir::Attribute> texts;
      for (const StartSource &source : sources->second)
        texts.push_back(mlir::StringAttr::get(evaluator.context(), sourceText(source)));
      groups[{mlir::ArrayAttr::get(evaluator.context(), texts), clause->second}].insert(weight);
    }
    Json &section = open("start", "", stage.op->getLoc());
    for (auto &[key, weights] : groups) {
      Json entry = selection("start", weights);
      entry["sources"] = Json::array();
      for (auto text : llvm::cast<mlir::ArrayAttr>(key.first).getAsValueRange<mlir::StringAttr>())
        entry["sources"].push_back(text.str());
      entry["from"] = "written";
      entry["at"] = values.at(key.second);
      section.push_back(std::move(entry));
    }
  }

  // The batch

  void batch() {
    for (auto clause : body.getOps<vcs::BatchOp>())
      for (mlir::Operation &entry : *clause.getBody()) {
        if (auto rows = llvm::dyn_cast<vcs::RowsOp>(entry))
          rowsOf(rows);
        else if (auto text = llvm::dyn_cast<vcs::TextFieldOp>(entry))
          textOf(text);
        else if (auto label = llvm::dyn_cast<vcs::LabelFieldOp>(entry))
          add(open("labels " + label.getName().str(), "", label.getLoc()), settingsOf(label));
        else if (auto identity = llvm::dyn_cast<vcs::IdentityFieldOp>(entry))
          add(open("identity " + identity.getName().str(), "", identity.getLoc()), settingsOf(identity));
      }
    Json &section = open("accumulate", "", stage.op->getLoc());
    section.push_back(EffectiveValues::assumed("accumulate", stage.batch->accumulate));
    for (auto clause : body.getOps<vcs::BatchOp>())
      for (auto accumulate : clause.getBody()->getOps<vcs::AccumulateOp>()) {
        section.front() = values.setting({"accumulate", Value(stage.batch->accumulate),
                                          {Origin::Kind::Written, accumulate.getLoc(), given(accumulate.getCount())}});
        add(section, settingsOf(accumulate));
      }
    data();
  }

  static mlir::Value given(mlir::Region &region) { return region.front().getTerminator()->getOperand(0); }

  /// By a template, or by a tokenizer alone.
  void textOf(vcs::TextFieldOp text) {
    Json &section = open("text " + text.getName().str(), sourceOf(text.getSource()), text.getLoc());
    auto source = evaluator.evaluate(text.getSource());
    auto *callable = failed(source) ? nullptr : source->asCallable();
    if (mlir::Value expression = given(text.getSource()); callable)
      section.push_back(values.setting({llvm::isa<vcs::TemplateOp>(callable->declaration) ? "template" : "tokenizer", *source,
                                        {Origin::Kind::Written, expression.getLoc(), expression}}));
    add(section, settingsOf(text));
  }

  void rowsOf(vcs::RowsOp rows) {
    Json &section = open("rows " + rows.getName().str(), "", rows.getLoc());
    for (const BatchSpec &branch : stage.batch->branches) {
      if (branch.loc != rows.getLoc() && !branch.branch.empty() && branch.branch != rows.getName())
        continue;
      section.push_back(
          values.setting({"rows", Value(branch.rows), {Origin::Kind::Written, rows.getLoc(), given(rows.getCount())}}));
      Json names = Json::array();
      for (vcs::DatasetOp dataset : branch.datasets)
        names.push_back(symbolName(dataset));
      mlir::Value source = given(rows.getSource());
      section.push_back(values.written("from", std::move(names), source.getLoc(), source));
      if (!branch.weights.empty())
        section.push_back(values.written("weighted", branch.weights, source.getLoc(), source));
      break;
    }
    add(section, settingsOf(rows));
  }

  std::string sourceOf(mlir::Region &region) {
    auto value = evaluator.evaluate(region);
    auto *callable = failed(value) ? nullptr : value->asCallable();
    return callable ? EffectiveValues::nameOf(callable->declaration) : "";
  }

  /// The declarations that the stage's batches and evaluations name, each once.
  void data() {
    llvm::SetVector<mlir::Operation *> declarations;
    auto take = [&](const BatchSpec &batch) {
      for (vcs::DatasetOp dataset : batch.datasets)
        declarations.insert(dataset);
      for (const TextSpec &text : batch.texts) {
        declarations.insert(text.tokenizer);
        if (text.templ)
          declarations.insert(text.templ);
      }
    };
    for (const BatchSpec &branch : stage.batch->branches)
      take(branch);
    for (const Evaluation &evaluation : stage.evaluations)
      declarations.insert(evaluation.dataset);
    for (mlir::Operation *op : declarations)
      declaration(op);
  }

  void declaration(mlir::Operation *op) {
    std::string name = EffectiveValues::nameOf(op);
    if (auto templ = llvm::dyn_cast<vcs::TemplateOp>(op)) {
      Json &section = open("template " + name, "", op->getLoc());
      for (auto segment : templ.getBody()->getOps<vcs::SegmentOp>())
        section.push_back(values.written(vcs::stringifySegmentRole(segment.getRole()), segment.getText().str(), segment.getLoc()));
      for (auto prompts : templ.getBody()->getOps<vcs::PromptsOp>()) {
        Json texts = Json::array();
        for (auto text : prompts.getTexts().getAsValueRange<mlir::StringAttr>())
          texts.push_back(text.str());
        section.push_back(values.written(prompts.getForImages() ? "image_prompts" : "prompts", std::move(texts), prompts.getLoc()));
      }
      return;
    }
    auto dataset = llvm::dyn_cast<vcs::DatasetOp>(op);
    auto tokenizer = llvm::dyn_cast<vcs::TokenizerOp>(op);
    mlir::Region &source = dataset ? dataset.getSource() : tokenizer.getSource();
    auto value = evaluator.evaluate(source);
    const StructValue *record = failed(value) ? nullptr : value->asStruct();
    Json &section = open((dataset ? "dataset " : "tokenizer ") + name,
                         record ? EffectiveValues::nameOf(record->declaration) : "", op->getLoc());
    if (record)
      add(section, values.fields(*record));
    if (dataset)
      add(section, settingsOf(dataset));
  }

  // Loss, optimizer, schedule

  void loss() {
    Json &section = open("loss", "", (*body.getOps<vcs::LossOp>().begin()).getLoc());
    for (const Setting &term : stage.lossTerms)
      section.push_back(values.setting(term));
    llvm::SmallVector<mlir::Location> seen;
    for (const LossCall &call : stage.lossCalls) {
      if (llvm::is_contained(seen, call.loc)) // of another step variant
        continue;
      seen.push_back(call.loc);
      vcs::FnOp callee = call.callee;
      std::string name = EffectiveValues::nameOf(callee);
      if (call.self)
        name = call.self->path() + (callee.getSymName() == "forward" ? "" : "." + callee.getSymName().str());
      Json arguments = values.arguments(call.self ? call.self->layer : callee.getOperation(), call.arguments);
      if (!arguments.empty())
        add(open("call " + name, "", call.loc), std::move(arguments));
    }
  }

  void rules() {
    for (auto clause : body.getOps<vcs::OptimizeOp>()) {
      Json &section = open("optimize", EffectiveValues::nameOf(stage.optimizerRule->layer), clause.getLoc());
      Json plain = settingsOf(clause, {"lr", "decay", "unreached"}), bySelector = Json::object();
      llvm::StringSet<> covered;
      for (auto rule : clause.getOptions().front().getOps<vcs::PerWeightOp>()) {
        auto value = evaluator.evaluate(rule.getValue());
        if (failed(value))
          continue;
        std::string of = rule.getSelector() ? rule.getSelector()->str() : "else";
        bySelector[rule.getName().str()].push_back(
            values.setting({(rule.getName() + " of " + of).str(), *value, {Origin::Kind::Written, rule.getLoc(), given(rule.getValue())}}));
        if (!rule.getSelector())
          covered.insert(rule.getName());
      }
      for (auto &[name, rules] : bySelector.items())
        add(section, rules);
      for (Json &setting : plain) { // what holds for the weights that no selector names
        std::string name = setting["name"];
        if (covered.contains(name) && setting["from"] == "language")
          continue;
        if (bySelector.contains(name) && !covered.contains(name))
          setting["name"] = name + " of else";
        section.push_back(std::move(setting));
      }
      add(section, values.arguments(*stage.optimizerRule));
    }
    for (auto clause : body.getOps<vcs::ScheduleOp>()) {
      Json &section = open("schedule", EffectiveValues::nameOf(stage.scheduleRule->layer), clause.getLoc());
      StringRef length = stage.steps ? "steps" : "epochs";
      add(section, settingsOf(clause, {length}));
      add(section, values.arguments(*stage.scheduleRule));
    }
  }

  // How it runs

  static Json moment(vcs::MomentAttr when) {
    if (when.getKind() == vcs::MomentKind::End)
      return "at end";
    return "every " + Value(Quantity{when.getAmount(), when.getUnit()}).print();
  }

  template <typename Clause>
  void when(Json &into, StringRef name, const char *otherwise) {
    auto clauses = body.getOps<Clause>();
    if (clauses.empty())
      into.push_back(EffectiveValues::assumed(name, otherwise));
    for (Clause clause : clauses)
      into.push_back(values.written(name, moment(clause.getWhen()), clause.getLoc()));
  }

  void course() {
    Json &section = open("course", "", stage.op->getLoc());
    Json precision = EffectiveValues::assumed("precision", stage.precision);
    for (auto clause : body.getOps<vcs::PrecisionOp>())
      precision = values.setting({"precision", Value(stage.precision), {Origin::Kind::Written, clause.getLoc(), given(clause.getKind())}});
    section.push_back(std::move(precision));
    if (stage.lossScale)
      for (auto clause : body.getOps<vcs::PrecisionOp>())
        for (Json setting : settingsOf(clause)) {
          setting["name"] = "loss_scale." + setting["name"].get<std::string>();
          section.push_back(std::move(setting));
        }
    when<vcs::SaveOp>(section, "save", "at end");
    for (auto clause : body.getOps<vcs::SaveOp>())
      add(section, settingsOf(clause));
    if (body.getOps<vcs::SaveOp>().empty())
      section.push_back(EffectiveValues::assumed("keep", 2));
    when<vcs::LogOp>(section, "log", "every 10 steps");
    for (auto clause : body.getOps<vcs::ParallelOp>())
      add(section, settingsOf(clause));
  }

  void evaluations() {
    for (auto clause : body.getOps<vcs::EvaluateOp>()) {
      Json &section = open("evaluate " + clause.getName().str(), "", clause.getLoc());
      section.push_back(values.written("when", moment(clause.getWhen()), clause.getLoc()));
      section.push_back(values.written("on", sourceOf(clause.getDataset()), clause.getLoc()));
      add(section, settingsOf(clause));
    }
  }

  Evaluator &evaluator;
  const Stage &stage;
  EffectiveValues values;
  mlir::Block &body;
  Json sections = Json::array();
};

} // namespace

Json writeEffective(Evaluator &evaluator, const Stage &stage, StringRef stdlibDir) {
  return Writer(evaluator, stage, stdlibDir).run();
}

} // namespace vcc::elaborate
