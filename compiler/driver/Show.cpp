// SPDX-License-Identifier: Apache-2.0
//
// `vcc show`: what each stage of a recipe says in effect, and the line that every value comes from.
#include "compiler/driver/Commands.h"
#include "compiler/driver/ExitCodes.h"
#include "compiler/driver/Recipe.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

namespace vcc::driver {

using elaborate::Json;

namespace {
struct ShowArguments {
  RecipeArguments recipe;
  std::string stage;
  bool json = false;
};
} // namespace

static constexpr unsigned kNames = 24, kValues = 40;
/// Of longer lists the table shows the beginning.
static constexpr size_t kMostItems = 8;

/// A string in quotes only where its ends would not be seen.
static std::string word(const std::string &text) {
  bool plain = !text.empty() && text.find_first_of("\n\t") == std::string::npos && text.front() != ' ' && text.back() != ' ';
  return plain ? text : Json(text).dump();
}

static std::string text(const Json &value) {
  if (value.is_null())
    return "none";
  if (value.is_string())
    return word(value);
  if (value.is_object()) {
    std::string amount;
    llvm::raw_string_ostream(amount) << llvm::format("%.12g", value["amount"].get<double>());
    llvm::StringRef unit = value["unit"].get_ref<const std::string &>();
    return amount + " " + (amount == "1" && unit.size() > 2 ? unit.rtrim('s') : unit).str();
  }
  if (!value.is_array())
    return value.dump();
  std::string list;
  for (size_t i = 0; i < value.size() && i < kMostItems; ++i)
    list += (i ? ", " : "") + text(value[i]);
  if (value.size() > kMostItems)
    list += " and " + std::to_string(value.size() - kMostItems) + " more";
  return list;
}

static std::string place(const Json &at) { return at == "-D" ? "-D on the command line" : at.get<std::string>(); }

static std::string origin(const Json &entry) {
  if (entry["from"] == "language")
    return "default of the language";
  std::string from = entry["from"] == "default" ? "default of " + entry["of"].get<std::string>() + ", " : "";
  from += entry["at"].is_null() ? "its place is not known" : place(entry["at"]);
  if (entry.contains("by"))
    for (const Json &by : entry["by"])
      from += "; " + by[by.contains("const") ? "const" : "argument"].get<std::string>() + ": " + (by["at"].is_null() ? "?" : place(by["at"]));
  return from;
}

/// Who gets what, for entries on weights; the value itself for others.
static std::string valueOf(const Json &entry) {
  std::string value = text(entry["value"]);
  if (entry.contains("sources")) {
    value += " from ";
    for (size_t i = 0; i < entry["sources"].size(); ++i)
      value += (i ? " or " : "") + entry["sources"][i].get<std::string>();
  }
  if (entry.contains("weights"))
    value += " (" + std::to_string(entry["weights"].get<int64_t>()) + " weights, " +
             std::to_string(entry["parameters"].get<int64_t>()) + " parameters)";
  if (entry.contains("parts"))
    value += " (" + std::to_string(entry["parts"].get<int64_t>()) + " parts)";
  return value;
}

static void print(const Json &entry, unsigned indent, llvm::raw_ostream &out) {
  std::string name = std::string(indent, ' ') + entry["name"].get<std::string>();
  out << llvm::left_justify(name, kNames) << " " << llvm::left_justify(valueOf(entry), kValues) << "  " << origin(entry) << "\n";
  if (entry.contains("values"))
    for (const Json &inner : entry["values"])
      print(inner, indent + 2, out);
}

static void print(const Json &stage, llvm::raw_ostream &out) {
  out << "stage ";
  if (!stage["number"].is_null())
    out << stage["number"].get<int64_t>() << " ";
  out << "\"" << stage["name"].get<std::string>() << "\" of " << stage["model"].get<std::string>() << "  "
      << place(stage["at"]) << "\n";
  for (const Json &section : stage["sections"]) {
    std::string title = section["title"];
    if (section.contains("of"))
      title += ": " + section["of"].get<std::string>();
    out << "\n  " << llvm::left_justify(title, kNames + kValues - 1) << "  " << (section["at"].is_null() ? "" : place(section["at"]))
        << "\n";
    for (const Json &entry : section["values"])
      print(entry, 4, out);
  }
}

static int runShow(const ShowArguments &arguments, const char *executable) {
  auto levels = levelOptions(arguments.recipe, arguments.stage, executable);
  if (!levels)
    return kUsage;
  Json stages = Json::array();
  int code = showStages(*levels, [&](const Json &stage) { stages.push_back(stage); }, llvm::errs());
  if (code != kDone)
    return code;
  if (arguments.json) {
    llvm::outs() << Json{{"recipe", arguments.recipe.file}, {"stages", stages}}.dump(1) << "\n";
    return kDone;
  }
  for (size_t i = 0; i < stages.size(); ++i) {
    llvm::outs() << (i ? "\n" : "");
    print(stages[i], llvm::outs());
  }
  return kDone;
}

void addShow(CLI::App &app, Action &action, const char *executable) {
  auto arguments = std::make_shared<ShowArguments>();
  CLI::App *command = app.add_subcommand("show", "every effective value of a stage, and the line that it comes from");
  arguments->recipe.add(*command);
  command->add_option("--stage", arguments->stage, "only this stage, by name or number");
  command->add_flag("--json", arguments->json, "for programs");
  command->callback([arguments, &action, executable] {
    action = [arguments, executable]() -> int { return runShow(*arguments, executable); };
  });
}

} // namespace vcc::driver
