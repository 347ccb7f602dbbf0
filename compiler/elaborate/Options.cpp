// SPDX-License-Identifier: Apache-2.0
//
// `{ key: value }` blocks, evaluated and checked for type.
#include "compiler/elaborate/Batches.h"

#include "llvm/ADT/StringExtras.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;

FailureOr<Options> Options::read(Evaluator &evaluator, mlir::Region &region, StringRef owner,
                                 const std::vector<std::string> &known,
                                 const std::vector<std::string> &lazy) {
  Options options;
  options.evaluator = &evaluator;
  options.whole = region.getLoc();
  options.region = &region;
  evaluator.settings[region.getParentOp()].clear();
  if (region.empty())
    return options;
  for (auto option : region.front().getOps<vcs::OptionOp>()) {
    std::string name = option.getName().str();
    if (llvm::is_contained(lazy, name))
      continue;
    if (!known.empty() && !llvm::is_contained(known, name))
      return evaluator
          .fault(FaultKind::UnknownKey, option.getLoc(), owner.str() + " has no key `" + name + "`")
          .help(suggest(name, known));
    auto value = evaluator.evaluate(option.getValue());
    if (failed(value))
      return failure();
    options.entries.push_back({name, *value});
    options.places.insert({name, option.getLoc()});
    evaluator.settings[region.getParentOp()].push_back(
        {name, *value, {Origin::Kind::Written, option.getLoc(), options.expression(name)}});
  }
  return options;
}

const Value *Options::find(StringRef name) const {
  for (auto &[key, value] : entries)
    if (key == name)
      return &value;
  return nullptr;
}

void Options::assume(StringRef name, const Value &value) const {
  std::vector<Setting> &settings = evaluator->settings[region->getParentOp()];
  if (!find(name) && llvm::none_of(settings, [&](const Setting &known) { return known.name == name; }))
    settings.push_back({name.str(), value, {Origin::Kind::Language, *whole}});
}

mlir::Value Options::expression(StringRef name) const {
  auto option = vcs::findOption(*region, name);
  return option ? option.getValue().front().getTerminator()->getOperand(0) : mlir::Value();
}

mlir::Location Options::loc(StringRef name) const {
  auto found = places.find(name);
  return found == places.end() ? *whole : found->second;
}

FailureOr<int64_t> Options::integer(StringRef name, int64_t otherwise) const {
  const Value *value = find(name);
  if (!value)
    assume(name, Value(otherwise));
  return value ? evaluator->integer(*value, ("`" + name + "`").str(), loc(name))
               : FailureOr<int64_t>(otherwise);
}

FailureOr<double> Options::number(StringRef name, double otherwise) const {
  const Value *value = find(name);
  if (!value)
    assume(name, Value(otherwise));
  return value ? evaluator->number(*value, ("`" + name + "`").str(), loc(name))
               : FailureOr<double>(otherwise);
}

FailureOr<bool> Options::flag(StringRef name, bool otherwise) const {
  const Value *value = find(name);
  if (!value) {
    assume(name, Value(otherwise));
    return otherwise;
  }
  if (auto *b = value->asBool())
    return *b;
  return evaluator->fault(FaultKind::TypeMismatch, loc(name),
                          "`" + name.str() + "` must be a bool but is " + value->describe());
}

FailureOr<std::string> Options::word(StringRef name, std::string otherwise) const {
  const Value *value = find(name);
  if (!value) {
    if (!otherwise.empty())
      assume(name, Value(otherwise));
    return otherwise;
  }
  if (auto *word = value->asWord())
    return word->text.str();
  if (auto *text = value->asString())
    return *text;
  if (value->isNone())
    return std::string("none");
  if (auto *builtin = value->asBuiltin())
    return builtin->name.str();
  return evaluator->fault(FaultKind::TypeMismatch, loc(name),
                          "`" + name.str() + "` must be a word but is " + value->describe());
}

FailureOr<std::string> Options::choice(StringRef name, StringRef otherwise,
                                       ArrayRef<const char *> known) const {
  auto text = word(name, otherwise.str());
  if (failed(text) || llvm::is_contained(known, StringRef(*text)))
    return text;
  std::vector<std::string> words(known.begin(), known.end());
  return evaluator
      ->fault(FaultKind::BadValue, loc(name),
              "`" + name.str() + "` is one of `" + llvm::join(words, "`, `") + "`, not `" + *text +
                  "`")
      .help(suggest(*text, words));
}

} // namespace vcc::elaborate
