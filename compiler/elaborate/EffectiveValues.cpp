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
  if (auto *record = value.asStruct())
    return EffectiveValues::nameOf(record->declaration);
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

namespace {

/// What a value goes back to: arguments that handed it on, and consts, those that stand in their values included.
class Trace {
public:
  struct Step {
    vcs::ConstOp constant; // null for an argument
    bool isDirect = false; // named by what is written itself, not by another const
    const Activation *call = nullptr;
    const Activation::Argument *argument = nullptr;
  };
  std::vector<Step> steps;

  void run(mlir::Value expression, const Activation *within) {
    follow(expression, within);
    while (!open.empty()) {
      auto [op, call, inConst] = open.pop_back_val();
      this->inConst = inConst;
      op->walk([&, call = call](mlir::Operation *inner) {
        for (mlir::Value operand : inner->getOperands())
          follow(operand, call);
        if (auto argument = llvm::dyn_cast<vcs::ArgumentOp>(inner))
          parameter(argument.getName(), call);
        if (auto reference = llvm::dyn_cast<vcs::RefOp>(inner))
          if (auto found = llvm::dyn_cast_or_null<vcs::ConstOp>(vcs::findDeclaration(reference, reference.getSymbol())))
            constant(found);
      });
    }
  }

private:
  void push(mlir::Operation *op, const Activation *call) {
    if (op && seen.insert({op, call}).second)
      open.push_back({op, call, inConst});
  }
  void follow(mlir::Value value, const Activation *call) {
    auto slot = llvm::dyn_cast_or_null<mlir::BlockArgument>(value);
    if (!slot)
      return push(value ? value.getDefiningOp() : nullptr, call);
    auto fn = llvm::dyn_cast<vcs::FnOp>(slot.getOwner()->getParentOp());
    if (!fn) // what a `for` goes through
      return push(slot.getOwner()->getParentOp(), call);
    unsigned place = slot.getArgNumber();
    if (fn.getMethod() && place-- == 0) // `self`
      return;
    auto params = fn.getParams().front().getOps<vcs::ParamOp>();
    parameter((*std::next(params.begin(), place)).getName(), call);
  }
  void parameter(StringRef name, const Activation *call) {
    if (!call)
      return;
    for (const Activation::Argument &argument : call->arguments)
      if (argument.name == name && given.insert(&argument).second) {
        steps.push_back({nullptr, false, call, &argument});
        follow(argument.expression, call->caller.get());
      }
  }
  void constant(vcs::ConstOp op) {
    if (!seen.insert({op, nullptr}).second)
      return;
    steps.push_back({op, !inConst});
    bool outer = std::exchange(inConst, true);
    for (mlir::Operation &inner : op.getValue().front())
      push(&inner, nullptr);
    inConst = outer;
  }

  bool inConst = false;
  llvm::SmallVector<std::tuple<mlir::Operation *, const Activation *, bool>> open;
  llvm::DenseSet<std::pair<mlir::Operation *, const Activation *>> seen;
  llvm::DenseSet<const Activation::Argument *> given;
};

} // namespace

static mlir::Value valueOf(vcs::ConstOp constant) { return constant.getValue().front().getTerminator()->getOperand(0); }

Json EffectiveValues::tracesOf(const Origin &origin) const {
  Trace trace;
  trace.run(origin.expression, origin.within.get());
  Json list = Json::array();
  for (const Trace::Step &step : trace.steps) {
    if (step.argument) {
      std::string callee = nameOf(step.call->callee);
      list.push_back({{"argument", callee + "." + step.argument->name.str()}, {"at", at(step.argument->loc)}});
      continue;
    }
    vcs::ConstOp constant = step.constant;
    list.push_back({{"const", nameOf(constant)}, {"at", at(valueOf(constant).getLoc())}});
    if (step.isDirect)
      named.insert(constant);
  }
  return list;
}

Json EffectiveValues::setting(const Setting &setting, const std::string &of) const {
  Json made = {{"name", setting.name}};
  const StructValue *record = setting.value.asStruct();
  made["value"] = plain(setting.value);
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
  if (Json steps = tracesOf(setting.origin); !steps.empty())
    made["by"] = std::move(steps);
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

Json EffectiveValues::written(StringRef name, Json value, mlir::Location loc, mlir::Value expression) const {
  Json made = {{"name", name.str()}, {"value", std::move(value)}, {"from", "written"}, {"at", at(loc)}};
  if (Json steps = tracesOf({Origin::Kind::Written, loc, expression}); !steps.empty())
    made["by"] = std::move(steps);
  return made;
}

Json EffectiveValues::consts() const {
  Json list = Json::array();
  llvm::SmallVector<mlir::Operation *> known(named.begin(), named.end());
  for (mlir::Operation *op : known) {
    auto constant = llvm::cast<vcs::ConstOp>(op);
    mlir::Value expression = valueOf(constant);
    Json place = at(expression.getLoc());
    if (place.is_string() && StringRef(place.get_ref<const std::string &>()).starts_with("stdlib/"))
      continue;
    auto value = evaluator.evaluate(constant.getValue());
    if (!failed(value))
      list.push_back(setting({nameOf(constant), *value, {Origin::Kind::Written, expression.getLoc(), expression}}));
  }
  return list;
}

Json EffectiveValues::assumed(StringRef name, Json value) {
  return {{"name", name.str()}, {"value", std::move(value)}, {"from", "language"}};
}

} // namespace vcc::elaborate
