// SPDX-License-Identifier: Apache-2.0
//
// Passes are seen through MLIR's instrumentation, patterns through its actions. Walks that count operations are taken out of the
// time of what they count.
#include "compiler/driver/Costs.h"

#include "mlir/IR/Operation.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Rewrite/PatternApplicator.h"
#include "llvm/Support/Format.h"

#include <sys/resource.h>

using namespace mlir;

namespace vcc::driver {

static uint64_t peakBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

static uint64_t operationsBelow(Operation *op) {
  uint64_t number = 0;
  op->walk([&](Operation *) { ++number; });
  return number - 1;
}

/// Passes on a whole module, which is all that there are: nothing here is called by several threads.
class PassCosts : public PassInstrumentation {
public:
  explicit PassCosts(Costs &costs) : costs(costs) {}

  void runBeforePass(Pass *, Operation *op) override {
    auto entered = Costs::Clock::now();
    Cost cost;
    cost.before = operationsBelow(op);
    cost.tried = costs.tried;
    open.push_back(cost);
    costs.mark += Costs::Clock::now() - entered;
    started.push_back(Costs::Clock::now());
  }

  void runAfterPass(Pass *pass, Operation *op) override {
    auto left = Costs::Clock::now();
    Cost cost = open.pop_back_val();
    cost.seconds = std::chrono::duration<double>(left - started.pop_back_val()).count();
    StringRef flag = pass->getArgument();
    cost.name = (flag.empty() ? pass->getName() : flag).str();
    cost.depth = 1;
    cost.after = operationsBelow(op);
    cost.tried = costs.tried - cost.tried;
    cost.peakBytes = peakBytes();
    if (open.empty()) // a pass that runs passes is one line
      costs.pending.push_back(std::move(cost));
    costs.mark += Costs::Clock::now() - left;
  }

  void runAfterPassFailed(Pass *, Operation *) override {
    open.pop_back();
    started.pop_back();
  }

private:
  Costs &costs;
  SmallVector<Cost> open;
  SmallVector<Costs::Clock::time_point> started;
};

void Costs::watch(MLIRContext &context) {
  if (!enabled)
    return;
  context.registerActionHandler([this](function_ref<void()> run, const tracing::Action &action) {
    tried += isa<ApplyPatternAction>(action);
    run();
  });
}

void Costs::watch(PassManager &manager) {
  if (enabled)
    manager.addInstrumentation(std::make_unique<PassCosts>(*this));
}

std::optional<uint64_t> Costs::count(Operation *op) {
  if (!enabled)
    return std::nullopt;
  auto entered = Clock::now();
  uint64_t number = operationsBelow(op);
  mark += Clock::now() - entered;
  return number;
}

/// A pass that runs twice in a level has two lines, so the place among its likes counts too.
static void sum(std::vector<Cost> &known, std::vector<Cost> costs) {
  std::vector<bool> used(known.size());
  for (Cost &cost : costs) {
    size_t place = 0;
    while (place < used.size() && (used[place] || known[place].name != cost.name))
      ++place;
    if (place == used.size()) {
      known.push_back(std::move(cost));
      continue;
    }
    used[place] = true;
    Cost &line = known[place];
    line.seconds += cost.seconds;
    line.peakBytes = std::max(line.peakBytes, cost.peakBytes);
    line.tried += cost.tried;
    if (cost.before)
      line.before = line.before.value_or(0) + *cost.before;
    if (cost.after)
      line.after = line.after.value_or(0) + *cost.after;
  }
}

void Costs::endLevel(StringRef name, std::optional<uint64_t> before, std::optional<uint64_t> after) {
  if (!enabled)
    return;
  auto now = Clock::now();
  Cost level;
  level.name = name.str();
  level.seconds = std::chrono::duration<double>(now - mark).count();
  level.peakBytes = peakBytes();
  level.before = before;
  level.after = after;
  for (const Cost &pass : pending)
    level.tried += pass.tried;
  size_t place = 0;
  while (place < levels.size() && levels[place].name != name)
    ++place;
  if (place == levels.size()) {
    levels.push_back({level.name});
    passes.emplace_back();
    levels.back().before = before ? std::optional<uint64_t>(0) : std::nullopt;
    levels.back().after = after ? std::optional<uint64_t>(0) : std::nullopt;
  }
  std::vector<Cost> line{std::move(levels[place])};
  sum(line, {std::move(level)});
  levels[place] = std::move(line.front());
  sum(passes[place], std::move(pending));
  pending.clear();
  mark = Clock::now();
}

static void printLine(raw_ostream &out, const Cost &cost) {
  auto number = [&](std::optional<uint64_t> value) {
    if (value)
      out << llvm::format("%10llu", static_cast<unsigned long long>(*value));
    else
      out << "         -";
  };
  out << llvm::format("%9.3f %9.1f", cost.seconds, cost.peakBytes / 1e6);
  number(cost.before);
  number(cost.after);
  number(cost.tried ? std::optional<uint64_t>(cost.tried) : std::nullopt);
  out << "  " << std::string(2 * cost.depth, ' ') << cost.name << "\n";
}

void Costs::print(raw_ostream &out) const {
  if (!enabled)
    return;
  out << "  seconds   peak MB    before     after     tried  (operations before and after, patterns tried)\n";
  Cost total;
  total.name = "total";
  for (auto [level, parts] : llvm::zip(levels, passes)) {
    printLine(out, level);
    for (const Cost &part : parts)
      printLine(out, part);
    total.seconds += level.seconds;
    total.peakBytes = std::max(total.peakBytes, level.peakBytes);
    total.tried += level.tried;
  }
  printLine(out, total);
}

} // namespace vcc::driver
