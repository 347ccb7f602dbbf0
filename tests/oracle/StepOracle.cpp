// SPDX-License-Identifier: Apache-2.0
//
// Runs a dumped step by the reference interpreter (f64) on the stage's graph after every pass on tg:
//
//   step_oracle GRAPH.mlir STEP.safetensors RESULT.f64
//
// prints one JSON object a line: {"after": pass, "outputs": {...}, "gradient": d, "weight": d}, where d is how far the gradients
// and the updated weights are from those after differentiation, in the norm of all together; the last line compares the
// native step of the dump with them. Before it stand `bf16` and `bf16 fused`: the same step in that precision, rounded as its graph says,
// before and after fusion. RESULT holds the gradients after the last pass, by path.
#include "compiler/differentiate/Passes.h"
#include "compiler/fuse/Passes.h"
#include "compiler/interpret/Interpreter.h"
#include "compiler/precision/Passes.h"
#include "compiler/recompute/Passes.h"
#include "runtime/weights/Safetensors.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/JSON.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>

using namespace mlir;
using namespace vcc;
using runtime::DType;

namespace {

using Numbers = std::vector<double>;
using Named = std::map<std::string, Numbers>;

template <typename T> Numbers numbersAs(const runtime::TensorView &view) {
  Numbers numbers(runtime::elementsOf(view.shape));
  for (size_t i = 0; i < numbers.size(); ++i) {
    T element;
    std::memcpy(&element, view.data + i * sizeof(T), sizeof(T));
    numbers[i] = static_cast<double>(element);
  }
  return numbers;
}

Numbers numbersOf(const runtime::TensorView &view) {
  switch (view.dtype) {
  case DType::F32:
    return numbersAs<float>(view);
  case DType::I32:
    return numbersAs<int32_t>(view);
  case DType::U8:
  case DType::Bool:
    return numbersAs<uint8_t>(view);
  default:
    llvm::report_fatal_error("a dump holds f32, i32 and u8");
  }
}

/// A dumped step by kind: `before/lm.weight` is of kind `before`.
struct Step {
  std::map<std::string, Named> kinds;
  std::vector<Named> micros;
  Named update; // the inputs of `update`, which stand behind the last micro-batch

  explicit Step(const std::string &path) {
    runtime::Safetensors file(path);
    for (const auto &[key, view] : file.tensors()) {
      auto [kind, name] = llvm::StringRef(key).split('/');
      if (kind != "input") {
        kinds[kind.str()][name.str()] = numbersOf(view);
        continue;
      }
      auto [number, input] = name.split('/');
      uint64_t micro = 0;
      if (number.getAsInteger(10, micro) || micro > 4096)
        llvm::report_fatal_error("a dump numbers its micro-batches");
      micros.resize(std::max<size_t>(micros.size(), micro + 1));
      micros[micro][input.str()] = numbersOf(view);
    }
    update = micros.back();
    micros.pop_back();
  }
};

struct Result {
  Named outputs, gradients, weights;
};

void setInputs(interpret::Interpreter &run, llvm::StringRef function, const Named &values) {
  for (auto &[name, type] : run.inputsOf(function)) {
    auto found = values.find(name);
    if (found == values.end())
      llvm::report_fatal_error(llvm::Twine("no value for the input ") + name);
    tg::HostTensor tensor(type);
    if (tensor.Data.size() != found->second.size())
      llvm::report_fatal_error(llvm::Twine("another size than the dump's: ") + name);
    tensor.Data = found->second;
    run.setInput(name, std::move(tensor));
  }
}

void runFunction(interpret::Interpreter &run, llvm::StringRef function, const Named &inputs, Named &outputs) {
  setInputs(run, function, inputs);
  if (failed(run.run(function)))
    llvm::report_fatal_error(llvm::Twine("the interpreter cannot run ") + function);
  for (const std::string &name : run.outputNames()) {
    Numbers &sum = outputs[name];
    const Numbers &share = run.output(name)->Data;
    sum.resize(share.size());
    for (size_t i = 0; i < share.size(); ++i)
      sum[i] += share[i];
  }
}

Result runStep(ModuleOp module, const Step &step, tg::Precision precision = tg::Precision::F64) {
  interpret::Interpreter run(module, precision);
  for (const char *kind : {"before", "moment", "counter"})
    if (auto found = step.kinds.find(kind); found != step.kinds.end())
      for (const auto &[path, numbers] : found->second)
        if (failed(run.setState(path, numbers)))
          llvm::report_fatal_error(llvm::Twine("no such state: ") + path);
  bool differentiated = module.lookupSymbol<func::FuncOp>("micro_main") != nullptr;
  Result result;
  for (const Named &inputs : step.micros)
    runFunction(run, differentiated ? "micro_main" : "forward_main", inputs, result.outputs);
  if (!differentiated)
    return result;
  for (const auto &[path, unused] : step.kinds.at("gradient"))
    result.gradients[path] = run.state("gradient:" + path).value().Data;
  runFunction(run, "update", step.update, result.outputs);
  for (const auto &[path, unused] : step.kinds.at("after"))
    result.weights[path] = run.state(path).value().Data;
  return result;
}

/// The norm of the difference over the norm of what is expected, all tensors together.
double distance(const Named &expected, const Named &found) {
  double difference = 0, size = 0;
  if (expected.size() != found.size())
    return std::numeric_limits<double>::infinity();
  for (const auto &[name, numbers] : expected)
    for (size_t i = 0; i < numbers.size(); ++i) {
      difference += std::pow(numbers[i] - found.at(name).at(i), 2);
      size += numbers[i] * numbers[i];
    }
  return difference == 0 ? 0 : std::sqrt(difference / size);
}

/// What one step changes, for the comparison of updates: weights themselves are far larger.
Named changes(const Named &after, const Step &step) {
  Named change = after;
  for (auto &[path, numbers] : change)
    for (size_t i = 0; i < numbers.size(); ++i)
      numbers[i] -= step.kinds.at("before").at(path).at(i);
  return change;
}

void print(llvm::StringRef after, const Named &outputs, double gradient, double weight) {
  llvm::json::OStream json(llvm::outs());
  json.object([&] {
    json.attribute("after", after);
    json.attributeObject("outputs", [&] {
      for (const auto &[name, numbers] : outputs)
        json.attribute(name, numbers.at(0));
    });
    json.attribute("gradient", gradient);
    json.attribute("weight", weight);
  });
  json.flush();
  llvm::outs() << "\n";
  llvm::outs().flush();
}

using AddPass = std::function<void(OpPassManager &)>;

/// The passes on tg in their order, one at a time; the first gradients are there after the second.
std::vector<std::pair<std::string, AddPass>> passesOnTg(bool segments) {
  auto simplify = [](OpPassManager &passes) { differentiate::buildSimplifyPipeline(passes); };
  std::vector<std::pair<std::string, AddPass>> passes = {
      {"tg-simplify", simplify},
      {"tg-differentiate", [](OpPassManager &passes) { passes.addPass(differentiate::createDifferentiatePass()); }},
      {"tg-simplify again", simplify}};
  if (segments)
    passes.emplace_back("tg-recompute", [](OpPassManager &manager) { recompute::buildRecomputePipeline(manager); });
  OpPassManager fusion(ModuleOp::getOperationName());
  fuse::buildFusePipeline(fusion);
  for (Pass &each : fusion.getPasses()) {
    std::string flag = each.getArgument().str();
    passes.emplace_back(flag, [flag](OpPassManager &manager) {
      if (failed(parsePassPipeline(flag, manager)))
        llvm::report_fatal_error(llvm::Twine("no such pass: ") + flag);
    });
  }
  return passes;
}

/// The stage's module: the text itself, or the one of its modules that the dump is of.
OwningOpRef<ModuleOp> readStage(MLIRContext &context, const char *path, const std::string &stage) {
  auto text = parseSourceFile<ModuleOp>(path, &context);
  if (!text || text.get()->hasAttr("tg.stage"))
    return text;
  for (auto module : text->getOps<ModuleOp>())
    if (auto name = module->getAttrOfType<StringAttr>("tg.stage"); name && name.getValue() == stage)
      return OwningOpRef<ModuleOp>(cast<ModuleOp>(module->clone()));
  return nullptr;
}

/// The step in bf16 beside `reference`.
bool runNarrow(ModuleOp module, const Step &step, const Result &reference) {
  auto run = [&](const char *name, llvm::function_ref<void(OpPassManager &)> build) {
    PassManager passes(module.getContext());
    build(passes);
    if (failed(passes.run(module)))
      return false;
    Result found = runStep(module, step, tg::Precision::Own);
    print(name, found.outputs, distance(reference.gradients, found.gradients),
          distance(changes(reference.weights, step), changes(found.weights, step)));
    return true;
  };
  bool segments = recompute::hasSegments(module);
  return run("bf16",
             [&](OpPassManager &passes) {
               differentiate::buildSimplifyPipeline(passes);
               precision::buildNarrowPipeline(passes);
               passes.addPass(differentiate::createDifferentiatePass());
               differentiate::buildSimplifyPipeline(passes);
               precision::buildKeepGradientsPipeline(passes);
               if (segments)
                 recompute::buildRecomputePipeline(passes);
             }) &&
         run("bf16 fused", [](OpPassManager &passes) { fuse::buildFusePipeline(passes, fuse::FuseOptions::cuda()); });
}

} // namespace

int main(int argc, char **argv) {
  if (argc != 4) {
    llvm::errs() << "usage: step_oracle GRAPH.mlir STEP.safetensors RESULT.f64\n";
    return 1;
  }
  fuse::registerFuse();
  registerCSEPass();
  registerCanonicalizerPass();
  MLIRContext context;
  context.loadDialect<tg::TgDialect, func::FuncDialect>();
  Step step(argv[2]);
  auto module = readStage(context, argv[1], runtime::Safetensors(argv[2]).metadata().at("stage"));
  if (!module)
    return 1;

  OwningOpRef<ModuleOp> narrow(module->clone());
  print("elaboration", runStep(*module, step).outputs, 0, 0);
  Result first, last;
  for (const auto &[name, add] : passesOnTg(recompute::hasSegments(*module))) {
    PassManager passes(&context);
    add(passes);
    if (failed(passes.run(*module)))
      return 1;
    last = runStep(*module, step);
    if (first.gradients.empty())
      first = last;
    bool compared = !first.gradients.empty();
    print(name, last.outputs, compared ? distance(first.gradients, last.gradients) : 0,
          compared ? distance(changes(first.weights, step), changes(last.weights, step)) : 0);
  }
  if (!runNarrow(*narrow, step, first))
    return 1;
  print("native", step.kinds.at("output"), distance(last.gradients, step.kinds.at("gradient")),
        distance(last.weights, step.kinds.at("after")));
  std::ofstream result(argv[3], std::ios::binary);
  for (const auto &[path, numbers] : last.gradients)
    result.write(reinterpret_cast<const char *>(numbers.data()), static_cast<std::streamsize>(numbers.size() * sizeof(double)));
  return result ? 0 : 1;
}
