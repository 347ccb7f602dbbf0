// SPDX-License-Identifier: Apache-2.0
//
// The pipeline of the driver one pass at a time, and the comparisons.
#include "tests/graphs/Check.h"

#include "tests/graphs/PassList.h"

#include "compiler/differentiate/Passes.h"
#include "compiler/interpret/Interpreter.h"
#include "compiler/recompute/Passes.h"
#include "compiler/schedule/Passes.h"
#include "tests/unit/codegen/NativeStage.h"
#include "tests/unit/fuse/PlanRunner.h"

#include "llvm/ADT/StringSet.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"

#include <cmath>
#include <utility>

using namespace mlir;
using namespace vcc;
using namespace vcc::graphs;

namespace {

/// Below this an output is cancellation noise: inputs are of the size of 1, so this is still far below what a wrong result makes.
constexpr double SmallestScale = 1e-3;
constexpr double WideTolerance = 1e-12;
constexpr uint64_t RoundingSamples = 3;
/// Of what a run in f32 is off, how much another order may be in f64. The roundings inside a long sum, which no sample moves, walk as
/// the root of its length, here of the largest tensor's; 16 where tensors are small.
constexpr double LeastFactor = 16;

/// Errors and warnings as text while it lives.
class Diagnostics {
public:
  explicit Diagnostics(MLIRContext &context)
      : handler(&context, [this](Diagnostic &diagnostic) {
          text += diagnostic.str() + "\n";
          return success();
        }) {}
  std::string text;

private:
  ScopedDiagnosticHandler handler;
};

std::string keyOf(size_t number, StringRef function, StringRef name) {
  function.consume_front("forward_") || function.consume_front("micro_");
  return std::to_string(number) + " " + function.str() + ": " + name.str();
}

/// A runner gives states and outputs by name after each function.
template <typename Runner> Trace trace(Runner &runner, ArrayRef<std::string> order, bool &ran) {
  Trace found;
  ran = true;
  for (auto [number, function] : llvm::enumerate(order)) {
    if (!runner.run(function)) {
      ran = false;
      return found;
    }
    for (const std::string &path : runner.states())
      found[keyOf(number, function, path)] = runner.state(path);
    for (const std::string &name : runner.outputs())
      found[keyOf(number, function, "out/" + name)] = runner.output(name);
  }
  return found;
}

void setInputs(interpret::Interpreter &run, StringRef function, const Graph &graph) {
  for (auto &[name, type] : run.inputsOf(function)) {
    tg::HostTensor tensor(type);
    tensor.Data = graph.inputs.at(name);
    run.setInput(name, std::move(tensor));
  }
}

struct OnGraph {
  interpret::Interpreter interpreter;
  const Graph &graph;

  OnGraph(ModuleOp module, const Graph &graph, tg::Precision precision) : interpreter(module, precision), graph(graph) {
    for (const auto &[path, numbers] : graph.states)
      (void)interpreter.setState(path, numbers);
  }
  bool run(const std::string &function) {
    setInputs(interpreter, function, graph);
    return succeeded(interpreter.run(function));
  }
  std::vector<std::string> states() { return interpreter.statePaths(); }
  Numbers state(const std::string &path) { return interpreter.state(path)->Data; }
  std::vector<std::string> outputs() { return interpreter.outputNames(); }
  Numbers output(const std::string &name) { return interpreter.output(name)->Data; }
};

/// The plan in simulated regions, or natively: both have buffers by name.
template <typename Stage> struct OnPlan {
  Stage &stage;
  exec::ModuleOp plan;
  const Graph &graph;
  std::vector<std::string> paths, functionOutputs;
  std::string last;

  OnPlan(Stage &stage, exec::ModuleOp plan, const Graph &graph) : stage(stage), plan(plan), graph(graph) {
    for (auto buffer : plan.getBody().getOps<exec::BufferOp>()) {
      bool lasts = buffer.getRegion() == exec::Region::State || buffer.getRegion() == exec::Region::Weights;
      if (lasts && buffer.getSymName().find('+') == StringRef::npos)
        paths.push_back(buffer.getSymName().str());
    }
    for (const auto &[path, numbers] : graph.states)
      if (stage.has(path))
        set(path, numbers);
  }
  void set(const std::string &name, const Numbers &numbers) {
    if constexpr (std::is_same_v<Stage, test::NativeStage>)
      stage.write(name, numbers);
    else
      stage.set(name, numbers);
  }
  Numbers get(const std::string &name) {
    if constexpr (std::is_same_v<Stage, test::NativeStage>)
      return stage.read(name);
    else
      return stage.get(name);
  }
  bool run(const std::string &function) {
    last = function;
    for (const auto &[name, numbers] : graph.inputs)
      if (std::string buffer = schedule::inputBufferName(function, name); stage.has(buffer))
        set(buffer, numbers);
    functionOutputs.clear();
    std::string prefix = schedule::outputBufferName(function, "");
    for (auto buffer : plan.getBody().getOps<exec::BufferOp>())
      if (buffer.getSymName().starts_with(prefix) && buffer.getSymName().find('+') == StringRef::npos)
        functionOutputs.push_back(buffer.getSymName().drop_front(prefix.size()).str());
    if constexpr (std::is_same_v<Stage, test::NativeStage>)
      return stage.run(function);
    else
      return succeeded(stage.run(function));
  }
  std::vector<std::string> states() { return paths; }
  Numbers state(const std::string &path) { return get(path); }
  std::vector<std::string> outputs() { return functionOutputs; }
  Numbers output(const std::string &name) { return get(schedule::outputBufferName(last, name)); }
};

double largestOf(const Numbers &numbers) {
  double largest = SmallestScale;
  for (double value : numbers)
    if (std::isfinite(value))
      largest = std::max(largest, std::abs(value));
  return largest;
}

/// The largest difference; infinite where only one is finite or a number.
double distance(const Numbers &expected, const Numbers &found) {
  if (expected.size() != found.size())
    return INFINITY;
  double worst = 0;
  for (auto [a, b] : llvm::zip_equal(expected, found)) {
    if (a == b || (std::isnan(a) && std::isnan(b)))
      continue;
    double apart = std::abs(a - b);
    worst = std::max(worst, std::isnan(apart) ? INFINITY : apart);
  }
  return worst;
}

std::string describe(const std::string &name, const Numbers &expected, const Numbers &found, double allowed) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "`" << name << "` is off by " << distance(expected, found) << " where " << allowed << " is allowed; expected, found:";
  for (size_t i = 0; i < std::min<size_t>(expected.size(), 8); ++i)
    stream << llvm::format(" (%.9g, %.9g)", expected[i], i < found.size() ? found[i] : NAN);
  return text;
}

/// Errors by name.
using Errors = std::map<std::string, double>;

/// All that is expected must be there and near; what is new (states that a pass adds) is not compared. `rounding` is what is allowed
/// by name where more than the tolerance is.
std::optional<std::string> compare(const Trace &expected, const Trace &found, const Errors &rounding = {}) {
  for (const auto &[name, numbers] : expected) {
    auto other = found.find(name);
    if (other == found.end())
      return "`" + name + "` is gone";
    double allowed = WideTolerance * largestOf(numbers);
    if (auto more = rounding.find(name); more != rounding.end())
      allowed = std::max(allowed, more->second);
    if (!(distance(numbers, other->second) <= allowed))
      return describe(name, numbers, other->second, allowed);
  }
  return std::nullopt;
}

/// A sample of what rounding to f32 does: in f64, every result that is computed is off by up to half a last bit of f32. Where sums
/// cancel the error of a single run is a matter of luck; the largest of a few is not.
Trace sampleRounding(ModuleOp reference, const Graph &graph, ArrayRef<std::string> order, uint64_t seed) {
  OwningOpRef<ModuleOp> module(reference.clone());
  Graph rounded;
  rounded.states = graph.states;
  rounded.inputs = graph.inputs;
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> factor(1 - 0x1p-24, 1 + 0x1p-24);
  SmallVector<Operation *> computing;
  module->walk([&](Operation *op) {
    if (isa<tg::MeaningOpInterface>(op) && !movesOnly(op) && !isa<tg::InputOp, tg::ReadOp>(op))
      computing.push_back(op);
  });
  for (Operation *op : computing)
    for (Value result : op->getResults()) {
      if (!isa<FloatType>(getElementTypeOrSelf(result)))
        continue;
      OpBuilder builder(op->getContext());
      builder.setInsertionPointAfter(op);
      std::string name = "rounding" + std::to_string(rounded.inputs.size());
      Numbers &factors = rounded.inputs[name];
      factors.resize(cast<RankedTensorType>(result.getType()).getNumElements());
      for (double &each : factors)
        each = factor(random);
      Value by = builder.create<tg::InputOp>(op->getLoc(), result.getType(), name);
      auto product = builder.create<tg::MulOp>(op->getLoc(), result.getType(), result, by);
      result.replaceAllUsesExcept(product, product);
    }
  bool ran = true;
  OnGraph runner(*module, rounded, tg::Precision::F64);
  return trace(runner, order, ran);
}

size_t countOperations(ModuleOp module) {
  size_t count = 0;
  module.walk([&](Operation *) { ++count; });
  return count;
}

int64_t largestTensor(ModuleOp module) {
  int64_t largest = 1;
  module.walk([&](Operation *op) {
    for (Type type : op->getResultTypes())
      if (auto tensor = dyn_cast<RankedTensorType>(type))
        largest = std::max(largest, tensor.getNumElements());
  });
  return largest;
}

bool runPass(ModuleOp module, const AddPass &add) {
  PassManager passes(module.getContext());
  add(passes);
  return succeeded(passes.run(module));
}

/// The functions that can run before gradients are there.
std::vector<std::string> forwardOrder(ModuleOp module) {
  std::vector<std::string> order = runOrder(module);
  bool trains = llvm::any_of(order, [](const std::string &name) { return StringRef(name).starts_with("forward_"); });
  if (trains)
    llvm::erase(order, "update");
  return order;
}

} // namespace

Checker::Checker() : theContext(makeContext()) {
  registerPasses();
  counts.watchPatterns(*theContext);
}

std::optional<Fault> Checker::checkTyped(const Graph &graph, Types types, Prepared *prepared, std::set<std::string> &seen) {
  bool wide = types == Types::F64, half = types == Types::F16, narrow = half || types == Types::BF16;
  Diagnostics diagnostics(*theContext);
  OwningOpRef<ModuleOp> module = parseGraph(graph, *theContext, wide);
  if (!module)
    return Fault{"parsing", diagnostics.text};
  counts.addOperations(*module, seen);
  // In f32 the constants that passes make may round: then only the native run is compared.
  bool compared = wide || graph.exact;
  bool ran = true;
  auto traceOf = [&](ModuleOp of, ArrayRef<std::string> order, tg::Precision precision) {
    OnGraph runner(of, graph, precision);
    return trace(runner, order, ran);
  };
  Trace forward = traceOf(*module, forwardOrder(*module), tg::Precision::F64);
  if (!ran)
    return Fault{"elaboration", "does not run: " + diagnostics.text};
  OwningOpRef<ModuleOp> reference(module->clone());
  if (!runPass(*reference, [](OpPassManager &manager) { manager.addPass(differentiate::createDifferentiatePass()); }))
    return Fault{"tg-differentiate", diagnostics.text};
  std::vector<std::string> order = runOrder(*reference);
  Trace expected = traceOf(*reference, order, tg::Precision::F64);
  if (!ran)
    return Fault{"tg-differentiate", "does not run: " + diagnostics.text};
  for (const auto &[name, numbers] : expected)
    if (llvm::any_of(numbers, [](double value) { return !(std::abs(value) < 1e6); }))
      return Fault{"too large", "`" + name + "`"};
  Errors once, single;
  auto addSingle = [&](const Trace &rounded) {
    for (const auto &[name, numbers] : expected)
      single[name] = std::max(single[name], distance(numbers, rounded.at(name)));
  };
  // Where rounding leads to what is no number, no error could be told from it.
  auto unbounded = [&]() -> std::optional<Fault> {
    for (const auto &[name, error] : single)
      if (!std::isfinite(error))
        return Fault{"too large", "`" + name + "` is not finite in f32"};
    return std::nullopt;
  };
  auto measureRounding = [&] {
    addSingle(traceOf(*reference, order, tg::Precision::F32));
    once = single;
    for (uint64_t sample = 0; sample < RoundingSamples; ++sample)
      addSingle(sampleRounding(*reference, graph, order, sample));
  };
  if (prepared)
    measureRounding();
  bool beyond = false;
  // A long sum that cancels, in another order, is off by more than the tolerance in f64 as well: by what f32 shows, scaled.
  auto compareRounded = [&](const Trace &wanted, const Trace &found) {
    auto wrong = compare(wanted, found);
    if (!wrong)
      return wrong;
    if (single.empty())
      measureRounding();
    double factor = std::max(LeastFactor, std::sqrt(static_cast<double>(largestTensor(*reference))));
    Errors scaled;
    for (const auto &[name, error] : single)
      scaled[name] = factor * 0x1p-29 * error;
    wrong = compare(wanted, found, scaled);
    if (!wrong && !std::exchange(beyond, true))
      counts.add("graphs beyond the tolerance");
    return wrong;
  };
  // What the forward functions put out stays as it is, and so do the states until the update, but for gradients.
  if (compared) {
    auto update = llvm::find(order, "update") - order.begin();
    llvm::StringSet<> gradients;
    for (auto state : reference->getOps<tg::StateOp>())
      if (state.getKind() == tg::StateKind::Gradient)
        gradients.insert(state.getSymName());
    Trace untouched;
    for (const auto &[name, numbers] : forward)
      if (std::stol(name) < update && !gradients.contains(StringRef(name).split(": ").second))
        untouched[name] = numbers;
    if (auto wrong = compareRounded(untouched, expected))
      return Fault{"tg-differentiate", *wrong};
  }

  size_t gradients = 0, number = 0;
  for (const NamedPass &pass : passesOnTg(recompute::hasSegments(*module), half ? Narrow::F16 : narrow ? Narrow::BF16 : Narrow::None, gradients)) {
    std::string where = std::string(wide ? "f64 " : half ? "f16 " : narrow ? "bf16 " : "") + "after " + pass.name;
    size_t operations = countOperations(*module);
    OperationFingerPrint unchanged(*module);
    if (!runPass(*module, pass.add))
      return Fault{where, "fails: " + diagnostics.text};
    if (OperationFingerPrint(*module) != unchanged)
      counts.add(changedBy(pass.name));
    if (StringRef(pass.name).ends_with("tg-recompute-segments") && countOperations(*module) > operations)
      counts.add("segment computed again");
    counts.addOperations(*module, seen);
    bool before = number++ < gradients;
    if (!compared)
      continue;
    Trace found = traceOf(*module, before ? forwardOrder(*module) : order, tg::Precision::F64);
    if (!ran)
      return Fault{where, "does not run: " + diagnostics.text};
    if (auto wrong = compareRounded(before ? forward : expected, found))
      return Fault{where, *wrong};
  }
  if (narrow && !runPass(*module, [](OpPassManager &manager) { schedule::buildSchedulePipeline(manager); }))
    return Fault{half ? "f16 exec-schedule" : "bf16 exec-schedule", "fails: " + diagnostics.text};
  if (!prepared)
    return std::nullopt;
  addSingle(traceOf(*module, order, tg::Precision::F32));
  if (auto fault = unbounded())
    return fault;

  if (!runPass(*module, [](OpPassManager &manager) { schedule::buildSchedulePipeline(manager); }))
    return Fault{"exec-schedule", "fails: " + diagnostics.text};
  exec::ModuleOp plan = schedule::planOf(*module);
  counts.addPlan(*module);
  if (std::string both = test::findOverlap(plan); !both.empty())
    return Fault{"exec-schedule", "buffers overlap: " + both};
  if (compared) {
    test::PlanRunner simulated(*module);
    OnPlan<test::PlanRunner> runner(simulated, plan, graph);
    Trace found = trace(runner, order, ran);
    if (!ran)
      return Fault{"plan", "does not run: " + diagnostics.text};
    if (auto wrong = compareRounded(expected, found))
      return Fault{"plan", *wrong};
  }
  prepared->graph = graph;
  prepared->planned = std::move(module);
  prepared->order = std::move(order);
  prepared->expected = std::move(expected);
  prepared->once = std::move(once);
  prepared->single = std::move(single);
  return std::nullopt;
}

std::optional<Fault> Checker::checkPasses(const Graph &graph, Prepared &prepared) {
  std::set<std::string> seen;
  if (!graph.exact)
    if (auto fault = checkTyped(graph, Types::F64, nullptr, seen))
      return fault;
  if (auto fault = checkTyped(graph, graph.text.size() % 2 ? Types::F16 : Types::BF16, nullptr, seen))
    return fault;
  return checkTyped(graph, Types::F32, &prepared, seen);
}

std::optional<Fault> Checker::runPrepared(const Prepared &prepared, const VccStage &stage) {
  exec::ModuleOp plan = schedule::planOf(*prepared.planned);
  test::NativeStage native(stage, plan, prepared.number % 16 == 0 ? 2 : 1);
  OnPlan<test::NativeStage> runner(native, plan, prepared.graph);
  native.weightsChanged();
  bool ran = true;
  Trace found = trace(runner, prepared.order, ran);
  if (!ran)
    return Fault{"native", "does not run"};
  bool lucky = false;
  for (const auto &[name, numbers] : prepared.expected) {
    auto other = found.find(name);
    if (other == found.end())
      return Fault{"native", "`" + name + "` is gone"};
    double error = distance(numbers, other->second), floor = 1e-6 * largestOf(numbers);
    if (double allowed = 4 * prepared.single.at(name) + floor; !(error <= allowed))
      return Fault{"native", describe(name, numbers, other->second, allowed)};
    lucky |= error > 4 * prepared.once.at(name) + floor;
  }
  if (lucky)
    counts.add("graphs beyond one run in f32");
  return std::nullopt;
}

std::map<size_t, Fault> Checker::checkNative(MutableArrayRef<Prepared> batch) {
  std::map<size_t, Fault> faults;
  Diagnostics diagnostics(*theContext);
  SmallVector<ModuleOp> stages;
  for (Prepared &each : batch)
    stages.push_back(*each.planned);
  auto program = test::NativeProgram::make(stages, "native");
  if (program) {
    for (size_t i = 0; i < batch.size(); ++i)
      if (auto fault = runPrepared(batch[i], (*program)->stage(i)))
        faults.emplace(i, *fault);
    return faults;
  }
  std::string message = llvm::toString(program.takeError());
  if (batch.size() == 1) {
    faults.emplace(0, Fault{"code generation", message + ": " + diagnostics.text});
    return faults;
  }
  for (size_t i = 0; i < batch.size(); ++i)
    for (auto &[unused, fault] : checkNative(batch.slice(i, 1)))
      faults.emplace(i, fault);
  return faults;
}

std::optional<Fault> Checker::check(const Graph &graph, bool native) {
  Prepared prepared;
  if (auto fault = checkPasses(graph, prepared))
    return fault;
  if (!native)
    return std::nullopt;
  auto faults = checkNative(prepared);
  return faults.empty() ? std::optional<Fault>() : faults.begin()->second;
}
