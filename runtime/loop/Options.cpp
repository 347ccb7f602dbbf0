// SPDX-License-Identifier: Apache-2.0
//
// Parsing the command line: one table of options, `--name value` or `--name=value`.
#include "runtime/loop/Options.h"

#include "runtime/program/Failure.h"
#include "runtime/program/Suggest.h"

#include <fmt/format.h>

#include <charconv>
#include <functional>

namespace vcc::runtime {

namespace {

[[noreturn]] void failUsage(const std::string &what) {
  throw Failure(Exit::Usage, what, "`--help` lists the options");
}

template <typename T>
T numberOf(const std::string &option, std::string_view text, T least) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least)
    failUsage(fmt::format("{} needs a whole number of at least {}, not `{}`", option, least, text));
  return value;
}

void setResume(Options &options, const std::string &value) {
  if (value != "auto" && value != "never" && value != "changed-data")
    failUsage(fmt::format("--resume takes `auto`, `never` or `changed-data`, not `{}`", value));
  options.resume = value != "never";
  options.changedData = value == "changed-data";
}

void setDump(Options &options, const std::string &value) {
  std::string_view rest = value;
  while (true) {
    size_t comma = rest.find(',');
    options.dump.insert(numberOf<int64_t>("--dump", rest.substr(0, comma), 0));
    if (comma == std::string_view::npos)
      return;
    rest.remove_prefix(comma + 1);
  }
}

struct Option {
  const char *name;
  const char *value; // what is shown for its value; null: a flag
  const char *help;
  std::function<void(Options &, const std::string &)> apply;
  bool mayLackValue = false; // the value only follows by `=`

  std::string left() const {
    if (!value)
      return name;
    return mayLackValue ? fmt::format("{}[={}]", name, value) : fmt::format("{} {}", name, value);
  }
};

const std::vector<Option> &table() {
  static const std::vector<Option> Table = {
      {"--stage", "N|NAME|all", "train this stage, these (1,2,3), or all in order",
       [](Options &o, const std::string &v) {
         o.stage = v;
         if (o.action == Options::Action::Overview)
           o.action = Options::Action::Train;
       }},
      {"--evaluate", "NAME|all", "only evaluate, with the stage's newest checkpoint",
       [](Options &o, const std::string &v) {
         o.evaluation = v;
         o.action = Options::Action::Evaluate;
       }},
      {"--data", "DIR", "what the recipe's data files are relative to (default .)",
       [](Options &o, const std::string &v) { o.data = v; }},
      {"--weights", "DIR", "what the recipe's weights files are relative to (default .)",
       [](Options &o, const std::string &v) { o.weights = v; }},
      {"--out", "DIR", "where checkpoints, logs and reports go (default out)",
       [](Options &o, const std::string &v) { o.out = v; }},
      {"--max-steps", "N", "stop a stage after N steps; a later run goes on from there",
       [](Options &o, const std::string &v) { o.maxSteps = numberOf<int64_t>("--max-steps", v, 0); }},
      {"--seed", "N", "seed of weights, data order and random operations (default: the recipe's)",
       [](Options &o, const std::string &v) { o.seed = numberOf<uint64_t>("--seed", v, 0); }},
      {"--resume", "auto|never|changed-data", "go on from the newest checkpoint, or train anew (default auto);\n                         changed-data: go on although annotations or tokenizers are not those of the checkpoint", setResume},
      {"--threads", "N", "computing threads (default: all that this process may use)",
       [](Options &o, const std::string &v) { o.threads = numberOf<int>("--threads", v, 1); }},
      {"--workers", "N", "decoding threads (default 2)",
       [](Options &o, const std::string &v) { o.workers = numberOf<int>("--workers", v, 1); }},
      {"--dump", "0,1,17", "write inputs, weights, gradients and losses of these steps (from 0)", setDump},
      {"--synthetic", nullptr, "draw weights and batches of full size from the seed instead of reading files: to\n"
                               "                         measure a step; leaves <out>/<stage>.synthetic/ and no weights",
       [](Options &o, const std::string &) { o.synthetic = true; }},
      {"--profile", "FILE", "time some steps launch by launch: a table here, a trace for Perfetto in FILE\n"
                            "                         (default <out>/<stage>/profile.json)",
       [](Options &o, const std::string &v) {
         o.profile = true;
         o.profileFile = v;
       },
       true},
      {"--profile-steps", "N", "how many steps are profiled, after three that are not (default 10)",
       [](Options &o, const std::string &v) {
         o.profile = true;
         o.profileSteps = numberOf<int64_t>("--profile-steps", v, 1);
       }},
      {"--cuda-libs", "DIR", "programs for a GPU: the folders of libcublasLt, libcudnn and libnccl, divided by colons, or one that holds\n"
                             "                         NVIDIA's packages (../site-packages/nvidia); by default CUDA_HOME, the loader's places,\n"
                             "                         an active Python environment, that of python3",
       [](Options &o, const std::string &v) { o.cudaLibraries = v; }},
      {"--measure-products", nullptr, "programs for a GPU: of the ways that cuBLASLt proposes for a matrix product time some, and\n"
                                      "                         take the fastest (a run that goes on may then differ in last bits)",
       [](Options &o, const std::string &) { o.measureProducts = true; }},
      {"--manifest", nullptr, "print what the recipe was compiled to, as JSON",
       [](Options &o, const std::string &) { o.action = Options::Action::Manifest; }},
      {"--version", nullptr, "print the recipe's name, by which vcc and for what it was compiled, and each stage's identity",
       [](Options &o, const std::string &) { o.action = Options::Action::Version; }},
      {"--help", nullptr, "print this", [](Options &o, const std::string &) { o.action = Options::Action::Help; }},
  };
  return Table;
}

const Option &findOption(const std::string &name) {
  std::vector<std::string> names;
  for (const Option &option : table()) {
    if (name == option.name)
      return option;
    names.push_back(option.name);
  }
  failUsage(fmt::format("unknown option `{}`{}", name, didYouMean(name, names)));
}

} // namespace

Options parseOptions(const std::vector<std::string> &arguments) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i] == "-h" ? "--help" : arguments[i];
    if (name.rfind("--", 0) != 0)
      failUsage(fmt::format("unexpected argument `{}`", name));
    size_t equals = name.find('=');
    bool hasValue = equals != std::string::npos;
    std::string value = hasValue ? name.substr(equals + 1) : "";
    const Option &option = findOption(name.substr(0, equals));
    if (!option.value && hasValue)
      failUsage(fmt::format("{} takes no value", option.name));
    if (hasValue && value.empty() && option.mayLackValue)
      failUsage(fmt::format("{} names no file after `=`", option.name));
    if (option.value && !hasValue && !option.mayLackValue) {
      if (++i == arguments.size())
        failUsage(fmt::format("{} needs a value ({})", option.name, option.value));
      value = arguments[i];
    }
    option.apply(options, value);
    if (options.action == Options::Action::Help || options.action == Options::Action::Version)
      return options;
  }
  if (options.profile && options.action != Options::Action::Train && options.action != Options::Action::Manifest)
    throw Failure(Exit::Usage, "--profile measures a stage while it trains, but none is named to be trained", "name it by --stage");
  if (options.synthetic && options.action == Options::Action::Evaluate)
    throw Failure(Exit::Usage, "--synthetic has nothing to evaluate: its weights are drawn", "it trains a stage, named by --stage");
  return options;
}

std::string helpText(const std::string &program) {
  std::string text = fmt::format("usage: {} [options]\n\nWithout options: prints the recipe, what its "
                                 "stages need and what exists.\n\n", program);
  for (const Option &option : table()) {
    text += fmt::format("  {:<22} {}\n", option.left(), option.help);
  }
  return text + "\nexit codes: 0 done, 1 usage, 2 recipe, 3 data or weights, 4 memory, 5 a value is not finite,\n"
                "6 the machine lacks or loses something, 70 internal error, 75 interrupted after saving (run again to go on)\n";
}

} // namespace vcc::runtime
