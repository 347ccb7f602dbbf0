// SPDX-License-Identifier: Apache-2.0
//
// Values, places and origins as JSON.
#include "compiler/elaborate/Effective.h"

#include "llvm/ADT/DenseSet.h"

namespace vcc::elaborate {

/// As it would be written.
static std::string initializerText(const Initializer &init) {
  using Kind = Initializer::Kind;
  auto call = [](const char *name, std::initializer_list<double> numbers) {
    std::vector<Value> values(numbers.begin(), numbers.end());
    return name + Value::tuple(std::move(values)).print();
  };
  switch (init.kind) {
  case Kind::Zeros: return "zeros";
  case Kind::Ones: return "ones";
  case Kind::Constant: return call("constant", {init.first});
  case Kind::Normal: return call("normal", {init.first, init.second});
  case Kind::TruncatedNormal: return call("truncated_normal", {init.first, init.second, init.third});
  case Kind::Uniform: return call("uniform_init", {init.first, init.second});
  case Kind::XavierUniform: return "xavier_uniform";
  case Kind::Table: return "table of " + formatShape(init.tableShape);
  }
  return "";
}

/// A number, a word, a list as JSON; what else there is as it would be named.
static Json plain(const Value &value) {
  if (value.isNone())
    return nullptr;
  if (auto *b = value.asBool())
    return *b;
  if (auto *i = value.asInt())
    return *i;
  if (auto number = value.asNumber())
    return *number;
  if (auto *text = value.asString())
    return *text;
  if (auto *quantity = value.asQuantity())
    return {{"amount", quantity->amount}, {"unit", vcs::stringifyUnit(quantity->unit).str()}};
  if (auto *init = value.asInitializer())
    return initializerText(*init);
  if (auto *callable = value.asCallable())
    return EffectiveValues::nameOf(callable->declaration);
  if (auto *builtin = value.asBuiltin())
    return builtin->name.str();
  if (Part *part = value.asPart())
    return part->path().empty() ? "a `" + part->layerName() + "`" : part->path();
  if (auto *items = value.asSequence()) {
    Json list = Json::array();
    for (const Value &item : *items)
      list.push_back(plain(item));
    return list;
  }
  return value.print();
}

/// Whether a value is one of the recipe, not of a running program.
static bool isSaid(const Value &value) {
  if (value.asTensor() || value.asTextField() || value.isBatch() || value.asPart() || value.asWeight())
    return false;
  if (auto *items = value.asSequence())
    return llvm::all_of(*items, isSaid);
  if (auto *record = value.asStruct())
    return llvm::all_of(record->fields, [](const auto &field) { return isSaid(field.second); });
  return true;
}

std::string EffectiveValues::nameOf(mlir::Operation *declaration) {
  if (!declaration)
    return "";
  auto module = declaration->getParentOfType<vcs::ModuleOp>();
  std::string name = symbolName(declaration);
  return module && !module.getMain() && module.getSymName() != "prelude" ? module.getSymName().str() + "." + name : name;
}

Json EffectiveValues::at(mlir::Location loc) const {
  vcs::SourceSpan span = vcs::spanOf(loc);
  if (!span.isKnown())
    return nullptr;
  if (span.File.starts_with("-D "))
    return "-D";
  StringRef file = span.File;
  std::string shown = file.str();
  if (!stdlibDir.empty() && file.consume_front(stdlibDir))
    shown = "stdlib" + std::string(file.starts_with("/") ? "" : "/") + file.str();
  return shown + ":" + std::to_string(span.Line);
}

/// The consts that an expression names, those that stand in their values included.
static void collectConsts(mlir::Value expression, Evaluator &evaluator, llvm::SmallVectorImpl<vcs::ConstOp> &into) {
  llvm::SmallVector<mlir::Operation *> open;
  llvm::DenseSet<mlir::Operation *> seen;
  auto push = [&](mlir::Operation *op) {
    if (op && seen.insert(op).second)
      open.push_back(op);
  };
  push(expression ? expression.getDefiningOp() : nullptr);
  while (!open.empty()) {
    mlir::Operation *op = open.pop_back_val();
    for (mlir::Value operand : op->getOperands())
      push(operand.getDefiningOp());
    op->walk([&](vcs::RefOp reference) {
      auto found = llvm::dyn_cast_or_null<vcs::ConstOp>(vcs::findDeclaration(reference, reference.getSymbol()));
      if (!found || !seen.insert(found).second)
        return;
      into.push_back(found);
      for (mlir::Operation &inner : found.getValue().front())
        push(&inner);
    });
  }
}

Json EffectiveValues::constsOf(mlir::Value expression) const {
  llvm::SmallVector<vcs::ConstOp> consts;
  collectConsts(expression, evaluator, consts);
  Json list = Json::array();
  for (vcs::ConstOp op : consts) {
    mlir::Value value = op.getValue().front().getTerminator()->getOperand(0);
    list.push_back({{"const", nameOf(op)}, {"at", at(value.getLoc())}});
  }
  return list;
}

Json EffectiveValues::setting(const Setting &setting, const std::string &of) const {
  Json made = {{"name", setting.name}};
  const StructValue *record = setting.value.asStruct();
  made["value"] = record ? Json(nameOf(record->declaration)) : plain(setting.value);
  switch (setting.origin.kind) {
  case Origin::Kind::Written:
    made["from"] = "written";
    break;
  case Origin::Kind::Default:
    made["from"] = "default";
    made["of"] = of;
    break;
  case Origin::Kind::Language:
    made["from"] = "language";
    return made;
  }
  made["at"] = at(setting.origin.loc);
  if (Json consts = constsOf(setting.origin.expression); !consts.empty())
    made["by"] = std::move(consts);
  if (record)
    made["values"] = fields(*record);
  return made;
}

Json EffectiveValues::fields(const StructValue &record) const {
  Json list = Json::array();
  for (auto [i, field] : llvm::enumerate(record.fields))
    if (i < record.origins.size())
      list.push_back(setting({field.first.str(), field.second, record.origins[i]}, nameOf(record.declaration)));
  return list;
}

Json EffectiveValues::arguments(mlir::Operation *declaration, llvm::ArrayRef<Setting> settings) const {
  Json list = Json::array();
  for (const Setting &each : settings)
    if (isSaid(each.value))
      list.push_back(setting(each, nameOf(declaration)));
  return list;
}

Json EffectiveValues::arguments(const Part &part, llvm::ArrayRef<StringRef> without) const {
  std::vector<Setting> settings;
  for (auto [argument, origin] : llvm::zip(part.arguments, part.origins))
    if (!llvm::is_contained(without, argument.first.getValue()))
      settings.push_back({argument.first.str(), argument.second, origin});
  return arguments(part.layer, settings);
}

Json EffectiveValues::written(StringRef name, Json value, mlir::Location loc) const {
  return {{"name", name.str()}, {"value", std::move(value)}, {"from", "written"}, {"at", at(loc)}};
}

Json EffectiveValues::assumed(StringRef name, Json value) {
  return {{"name", name.str()}, {"value", std::move(value)}, {"from", "language"}};
}

} // namespace vcc::elaborate
