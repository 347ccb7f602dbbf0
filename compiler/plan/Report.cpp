// SPDX-License-Identifier: Apache-2.0
//
// Adds up what the launches and buffers of a plan say.
#include "compiler/plan/Report.h"

#include "compiler/schedule/ArenaPacking.h"
#include "compiler/schedule/Passes.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringMap.h"

#include <cmath>

using namespace mlir;
using namespace vcc;
using namespace vcc::plan;

void Work::add(const Work &other, int64_t times) {
  forward += times * other.forward;
  backward += times * other.backward;
  update += times * other.update;
}

Work &WorkTable::at(StringRef name) {
  for (auto &[known, work] : rows)
    if (known == name)
      return work;
  return rows.emplace_back(name.str(), Work()).second;
}

Work WorkTable::total() const {
  Work sum;
  for (const auto &[name, work] : rows)
    sum.add(work, 1);
  return sum;
}

void WorkTable::add(const WorkTable &other, int64_t times) {
  for (const auto &[name, work] : other.rows)
    at(name).add(work, times);
}

void Bounds::add(const Bounds &other, int64_t times) {
  arithmetic += double(times) * other.arithmetic;
  launches += double(times) * other.launches;
}

void Seconds::add(const Seconds &other, int64_t times) {
  f32.add(other.f32, times);
  tf32.add(other.tf32, times);
  bf16.add(other.bf16, times);
}

int64_t Memory::sum() const {
  return frozen + trained + gradients + optimizer + padding + activations + io + constants;
}

ComponentReport StageReport::total() const {
  ComponentReport sum{"sum", "", 0, 0};
  for (const ComponentReport &component : components) {
    sum.parameters += component.parameters;
    sum.trainable += component.trainable;
  }
  return sum;
}

StringRef plan::componentOf(StringRef label, const std::vector<ComponentReport> &components) {
  StringRef first = label.take_until([](char c) { return c == '.' || c == '['; });
  for (const ComponentReport &component : components)
    if (component.name == first)
      return component.name;
  return {};
}

namespace {

constexpr int64_t kF32 = 4;

/// Reads one stage.
class Reader {
public:
  Reader(exec::ModuleOp plan, exec::ModuleOp narrow, const Json &manifest, const Device &device)
      : plan(plan), narrow(narrow), manifest(manifest), device(device) {}

  StageReport run() {
    readStage();
    auto wide = livesIn(plan), small = livesIn(narrow);
    for (auto function : plan.getBody().front().getOps<exec::FunctionOp>()) {
      readFunction(function, wide[function.getSymName()]);
      report.functions.back().arenaBf16 = endOf(small[function.getSymName()]);
    }
    for (auto function : narrow.getBody().front().getOps<exec::FunctionOp>())
      readNarrow(function);
    makeSteps();
    countMemory();
    return std::move(report);
  }

private:
  void readStage() {
    report.name = manifest["name"];
    report.precision = manifest["precision"];
    if (manifest["number"].is_number())
      report.number = manifest["number"].get<int64_t>();
    if (manifest["steps"].is_number())
      report.length = manifest["steps"].get<int64_t>();
    if (manifest["epochs"].is_number())
      report.epochs = manifest["epochs"].get<double>();
    report.accumulate = manifest["accumulate"];
    report.across = manifest.value("across", "mixed");
    for (const Json &component : manifest["components"])
      report.components.push_back(
          {component["name"], component["role"], component["parameters"], component["trainable"]});
  }

  using Lives = SmallVector<schedule::Lifetime>;

  /// The buffers of each function's arena.
  static llvm::StringMap<Lives> livesIn(exec::ModuleOp plan) {
    llvm::StringMap<Lives> lives;
    for (auto buffer : plan.getBody().front().getOps<exec::BufferOp>())
      if (buffer.getFunction() && buffer.getFirst())
        lives[*buffer.getFunction()].push_back({static_cast<int64_t>(buffer.getSize()),
                                                static_cast<int>(*buffer.getFirst()),
                                                static_cast<int>(*buffer.getLast()),
                                                static_cast<int64_t>(buffer.getOffset())});
    return lives;
  }

  static int64_t endOf(const Lives &lives) {
    int64_t end = 0;
    for (const schedule::Lifetime &life : lives)
      end = std::max(end, life.offset + static_cast<int64_t>(llvm::alignTo(life.size, exec::BufferAlignment)));
    return end;
  }

  void readFunction(exec::FunctionOp op, const Lives &lives) {
    FunctionReport &made = report.functions.emplace_back();
    made.name = op.getSymName().str();
    for (const Json &entry : manifest["functions"])
      if (entry["name"] == made.name) {
        made.role = entry["role"];
        made.variant = entry.value("variant", "");
      }
    if (made.role == "micro" && manifest["batch"].contains(made.variant)) {
      const Json &batch = manifest["batch"][made.variant];
      made.rows = batch["rows"];
      made.branch = batch.value("branch", "");
    }
    countWork(op, made);
    for (Operation &each : op.getBody().front()) {
      auto launch = cast<exec::LaunchOpInterface>(each);
      int64_t flops = flopsOf(launch, made), bytes = static_cast<int64_t>(launch.getBytes());
      addLaunch(made.seconds.f32, flops, bytes, device.f32);
      addLaunch(made.seconds.tf32, flops, bytes, isProduct(launch) ? device.tf32 : device.f32);
    }
    finishBounds(made);
    made.arena = endOf(lives);
    made.live = schedule::largestLiveSum(lives, exec::BufferAlignment);
  }

  /// The times of a function's launches in bf16 or fp16, casts included; its operations, where that is what is trained in.
  void readNarrow(exec::FunctionOp op) {
    auto made = llvm::find_if(report.functions, [&](const FunctionReport &f) { return f.name == op.getSymName(); });
    Bounds &bounds = made->seconds.bf16;
    FunctionReport own;
    own.name = made->name, own.variant = made->variant;
    countWork(op, own);
    for (Operation &each : op.getBody().front()) {
      auto launch = cast<exec::LaunchOpInterface>(each);
      addLaunch(bounds, flopsOf(launch, own), static_cast<int64_t>(launch.getBytes()), isProduct(launch) ? device.bf16 : device.f32);
    }
    finish(bounds, own, device.bf16);
    if (report.precision == "f32" || report.precision == "tf32")
      return;
    made->work = own.work;
    made->products = own.products, made->others = own.others;
  }

  static bool isProduct(exec::LaunchOpInterface launch) {
    return isa<exec::GemmOp, exec::AttentionOp, exec::AttentionGradOp>(launch.getOperation());
  }

  /// What the launches compute, by component and phase, and the workspace that they need.
  void countWork(exec::FunctionOp op, FunctionReport &made) {
    for (const ComponentReport &component : report.components)
      made.work.at(component.name);
    for (Operation &each : op.getBody().front()) {
      auto launch = cast<exec::LaunchOpInterface>(each);
      int64_t flops = flopsOf(launch, made);
      bool update = launch.getPhase() == exec::Phase::Update;
      StringRef component = componentOf(launch.getLabel(), report.components);
      Work &work = made.work.at(!component.empty() ? component : update ? "optimizer" : "loss");
      (update ? work.update : launch.getPhase() == exec::Phase::Backward ? work.backward : work.forward) += flops;
      (isProduct(launch) ? made.products : made.others) += flops;
      if (auto attention = dyn_cast<exec::AttentionOp>(each))
        made.scratch = std::max(made.scratch, scratchOf(attention));
      if (auto attention = dyn_cast<exec::AttentionGradOp>(each))
        made.scratch = std::max(made.scratch, scratchOf(attention));
    }
  }

  /// A launch says what rows of one sequence would take. Of a row of several samples it is known how many they are on average, so that
  /// it counts as so many of one length that fill it: each query sees half of its own sample's keys.
  template <typename Op>
  int64_t flopsOfAttention(Op attention, const FunctionReport &made) {
    auto whole = static_cast<int64_t>(attention.getFlops());
    int64_t sequences = attention.getStarts() ? sequencesIn(*attention.getStarts(), made) : 1;
    if (sequences == 1)
      return whole;
    auto positions = static_cast<double>(attention.getSizes()[1]), count = static_cast<double>(sequences);
    return std::llround(static_cast<double>(whole) * (positions / count + 1) / (positions + 1));
  }

  int64_t flopsOf(exec::LaunchOpInterface launch, const FunctionReport &made) {
    if (auto attention = dyn_cast<exec::AttentionOp>(launch.getOperation()))
      return flopsOfAttention(attention, made);
    if (auto attention = dyn_cast<exec::AttentionGradOp>(launch.getOperation()))
      return flopsOfAttention(attention, made);
    return static_cast<int64_t>(launch.getFlops());
  }

  int64_t sequencesIn(StringRef starts, const FunctionReport &made) {
    for (const Json &field : manifest["batch"][made.variant]["fields"]) {
      std::string name = field["name"];
      if (!field.contains("pack") || starts != schedule::inputBufferName(made.name, name + ".starts"))
        continue;
      report.sequences[name] = field["pack"];
      return field["pack"];
    }
    return 1;
  }

  template <typename Op>
  static int64_t scratchOf(Op op) {
    return static_cast<int64_t>(op.getWorkspacePerThread() * op.getThreads());
  }

  void addLaunch(Bounds &bounds, int64_t flops, int64_t bytes, double rate) const {
    if (rate > 0)
      bounds.launches += std::max(double(flops) / rate, double(bytes) / device.bandwidth);
  }

  void finish(Bounds &bounds, const FunctionReport &made, double rate) const {
    if (rate > 0)
      bounds.arithmetic = std::max(double(made.products) / rate, double(made.others) / device.f32);
    else
      bounds = {};
  }

  void finishBounds(FunctionReport &made) const {
    finish(made.seconds.f32, made, device.f32);
    finish(made.seconds.tf32, made, device.tf32);
  }

  void makeSteps() {
    std::vector<const FunctionReport *> micros;
    const FunctionReport *update = nullptr;
    for (const FunctionReport &function : report.functions) {
      if (function.role == "micro")
        micros.push_back(&function);
      if (function.role == "update")
        update = &function;
    }
    if (report.across == "every_modality")
      return addStep(longestOfEachBranch(micros), update);
    for (const FunctionReport *micro : micros)
      addStep(micro, update);
  }

  static std::vector<const FunctionReport *> longestOfEachBranch(llvm::ArrayRef<const FunctionReport *> micros) {
    std::vector<const FunctionReport *> longest;
    for (const FunctionReport *micro : micros) {
      auto known = llvm::find_if(longest, [&](const FunctionReport *other) { return other->branch == micro->branch; });
      if (known == longest.end())
        longest.push_back(micro);
      else if ((*known)->work.total().sum() < micro->work.total().sum())
        *known = micro;
    }
    return longest;
  }

  void addStep(llvm::ArrayRef<const FunctionReport *> micros, const FunctionReport *update) {
    StepReport &step = report.steps.emplace_back();
    for (const FunctionReport *micro : micros) {
      step.variants.push_back(micro->variant);
      step.micros += report.accumulate;
      step.samples += report.accumulate * micro->rows;
      step.work.add(micro->work, report.accumulate);
      step.seconds.add(micro->seconds, report.accumulate);
    }
    if (!update)
      return;
    step.work.add(update->work, 1);
    step.seconds.add(update->seconds, 1);
  }

  void countMemory() {
    int64_t total = 0, trainable = 0, moments = 0;
    std::map<int64_t, int64_t> kept; // moments of a group
    for (const Json &state : manifest["states"])
      if (state["kind"] == "moment")
        ++kept[state["group"]];
    for (const Json &state : manifest["states"]) {
      if (state["kind"] != "weight" || !state.contains("trainable"))
        continue;
      int64_t elements = 1;
      for (int64_t size : state["shape"])
        elements *= size;
      total += elements;
      if (!state["trainable"].get<bool>())
        continue;
      trainable += elements;
      moments += elements * kept[state["group"]];
    }
    auto count = [&](Memory &memory, exec::ModuleOp in, int64_t frozen) {
      memory.frozen = frozen;
      memory.trained = memory.gradients = trainable * kF32;
      memory.optimizer = moments * kF32;
      memory.padding = in.regionBytes(exec::Region::Weights) + in.regionBytes(exec::Region::State) - memory.sum();
      memory.activations = in.regionBytes(exec::Region::Arena);
      memory.io = in.regionBytes(exec::Region::Io);
      memory.constants = in.regionBytes(exec::Region::Constant);
    };
    count(report.f32, plan, (total - trainable) * kF32);
    count(report.bf16, narrow, frozenBytes());
    countPacked();
  }

  /// What the frozen weights take in two bytes: those that steps change stay in f32.
  int64_t frozenBytes() {
    int64_t bytes = 0;
    llvm::StringMap<exec::BufferOp> buffers;
    for (auto buffer : narrow.getBody().front().getOps<exec::BufferOp>())
      buffers[buffer.getSymName()] = buffer;
    for (const Json &state : manifest["states"])
      if (state["kind"] == "weight" && state.contains("trainable") && !state["trainable"].get<bool>())
        if (exec::BufferOp buffer = buffers.lookup(state["path"].get<std::string>()))
          bytes += buffer.tensorType().getNumElements() * buffer.elementBytes();
    return bytes;
  }

  void countPacked() {
    llvm::DenseSet<std::pair<StringRef, ArrayRef<int64_t>>> copies;
    plan.walk([&](exec::GemmOp gemm) {
      if (gemm.getPack() && copies.insert({gemm.getB(), gemm.getBStrides()}).second)
        report.packed += static_cast<int64_t>(gemm.getK() * gemm.getN()) * kF32;
    });
  }

  exec::ModuleOp plan, narrow;
  const Json &manifest;
  const Device &device;
  StageReport report;
};

} // namespace

StageReport plan::reportStage(exec::ModuleOp plan, exec::ModuleOp narrow, const Json &manifest, const Device &device) {
  return Reader(plan, narrow, manifest, device).run();
}
