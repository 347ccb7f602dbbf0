// SPDX-License-Identifier: Apache-2.0
//
// Runs steps of a stage one after the other by the reference interpreter, each value rounded to its own type or, with `f64`, none:
//
//   step_sequence STEP.mlir GIVEN.safetensors RESULT.safetensors [f64]
//
// STEP is the stage at level `step`. GIVEN holds `state/<path>`, which stand after @init; `input/<step>/<micro>/<variant>/<name>`: what
// the micro-steps of a step are given, in order; `update/<step>/<name>`. RESULT has `output/<step>/<name>`, added up over a step,
// `gradient/<step>/<path>` as the update finds it, and `state/<step>/<path>` of what trains and of counters, after it. All in f32.
#include "compiler/interpret/Interpreter.h"
#include "dialects/tg/Tg.h"
#include "runtime/weights/Safetensors.h"

#include "mlir/Parser/Parser.h"

#include <cstring>
#include <deque>
#include <map>

using namespace mlir;
using namespace vcc;
using runtime::DType;

namespace {

std::vector<double> numbersOf(const runtime::TensorView &view) {
  std::vector<double> numbers(static_cast<size_t>(runtime::elementsOf(view.shape)));
  for (size_t i = 0; i < numbers.size(); ++i) {
    float number;
    int32_t whole;
    if (view.dtype == DType::F32)
      std::memcpy(&number, view.data + 4 * i, 4), numbers[i] = static_cast<double>(number);
    else if (view.dtype == DType::I32)
      std::memcpy(&whole, view.data + 4 * i, 4), numbers[i] = whole;
    else if (view.dtype == DType::U8)
      numbers[i] = std::to_integer<int>(view.data[i]);
    else
      llvm::report_fatal_error("what is given is f32, i32 and u8");
  }
  return numbers;
}

/// Keys are compared by their numbers, so that step 10 comes behind step 9.
using Inputs = std::map<std::string, std::vector<double>>;

struct Given {
  Inputs states;
  std::map<int, std::map<int, std::pair<std::string, Inputs>>> micros; // by step and place: the variant and its inputs
  std::map<int, Inputs> updates;
};

int numberOf(llvm::StringRef text) {
  int number = 0;
  if (text.getAsInteger(10, number))
    llvm::report_fatal_error(llvm::Twine("not a number: ") + text);
  return number;
}

Given readGiven(const runtime::Safetensors &file) {
  Given given;
  for (const auto &[key, view] : file.tensors()) {
    auto [kind, rest] = llvm::StringRef(key).split('/');
    auto [first, second] = rest.split('/');
    if (kind == "state") {
      given.states[rest.str()] = numbersOf(view);
    } else if (kind == "update") {
      given.updates[numberOf(first)][second.str()] = numbersOf(view);
    } else {
      auto [micro, of] = second.split('/');
      auto [variant, name] = of.split('/');
      auto &made = given.micros[numberOf(first)][numberOf(micro)];
      made.first = variant.str();
      made.second[name.str()] = numbersOf(view);
    }
  }
  return given;
}

void runFunction(interpret::Interpreter &run, const std::string &function, const Inputs &inputs) {
  for (auto &[name, type] : run.inputsOf(function)) {
    auto found = inputs.find(name);
    tg::HostTensor tensor(type);
    if (found == inputs.end() || found->second.size() != tensor.Data.size())
      llvm::report_fatal_error(llvm::Twine("no value of its size for the input ") + name);
    tensor.Data = found->second;
    run.setInput(name, std::move(tensor));
  }
  if (failed(run.run(function)))
    llvm::report_fatal_error(llvm::Twine("the interpreter cannot run ") + function);
}

class Results {
public:
  void add(const std::string &key, llvm::ArrayRef<double> numbers) {
    auto &stored = Stored.emplace_back(numbers.begin(), numbers.end());
    Tensors.push_back({key, {DType::F32, {static_cast<int64_t>(stored.size())}, reinterpret_cast<const std::byte *>(stored.data())}});
  }
  void write(const std::string &path) const { runtime::writeSafetensors(path, Tensors, {}); }

private:
  std::deque<std::vector<float>> Stored;
  std::vector<runtime::NamedTensor> Tensors;
};

} // namespace

int main(int argc, char **argv) {
  bool wide = argc == 5 && llvm::StringRef(argv[4]) == "f64";
  if (argc != 4 && !wide) {
    llvm::errs() << "usage: step_sequence STEP.mlir GIVEN.safetensors RESULT.safetensors [f64]\n";
    return 1;
  }
  MLIRContext context;
  context.loadDialect<tg::TgDialect, func::FuncDialect>();
  auto module = parseSourceFile<ModuleOp>(argv[1], &context);
  if (!module)
    return 1;
  Given given = readGiven(runtime::Safetensors(argv[2]));
  interpret::Interpreter run(*module, wide ? tg::Precision::F64 : tg::Precision::Own);
  runFunction(run, "init", {{"rng", {0, 0, 0, 0}}});
  for (const auto &[path, numbers] : given.states)
    if (failed(run.setState(path, numbers)))
      llvm::report_fatal_error(llvm::Twine("no such state: ") + path);
  Results results;
  for (const auto &[step, micros] : given.micros) {
    std::map<std::string, std::vector<double>> outputs;
    auto take = [&] {
      for (const std::string &name : run.outputNames()) {
        const std::vector<double> &share = run.output(name)->Data;
        std::vector<double> &sum = outputs[name];
        sum.resize(share.size());
        for (size_t i = 0; i < share.size(); ++i)
          sum[i] += share[i];
      }
    };
    for (const auto &[place, micro] : micros)
      runFunction(run, "micro_" + micro.first, micro.second), take();
    for (auto state : module->getOps<tg::StateOp>())
      if (llvm::StringRef path = state.getSymName(); path.consume_front("gradient:"))
        results.add("gradient/" + std::to_string(step) + "/" + path.str(), run.state(state.getSymName())->Data);
    runFunction(run, "update", given.updates[step]), take();
    for (const auto &[name, numbers] : outputs)
      results.add("output/" + std::to_string(step) + "/" + name, numbers);
    for (auto state : module->getOps<tg::StateOp>())
      if (state.getTrainable() || state.getKind() == tg::StateKind::Counter)
        results.add("state/" + std::to_string(step) + "/" + state.getSymName().str(), run.state(state.getSymName())->Data);
  }
  results.write(argv[3]);
  return 0;
}
