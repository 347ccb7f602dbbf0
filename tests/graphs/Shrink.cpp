// SPDX-License-Identifier: Apache-2.0
//
// One change at a time on the graph's own text, kept when the graph still fails; from the end, so that what nothing uses goes first.
#include "tests/graphs/Shrink.h"

#include "compiler/differentiate/Passes.h"
#include "compiler/interpret/Interpreter.h"
#include "dialects/tg/Build.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include <cmath>
#include <regex>
#include <set>

using namespace mlir;
using namespace vcc;
using namespace vcc::graphs;

namespace {

class Shrinker {
public:
  Shrinker(Graph graph, MLIRContext &context, const std::function<bool(const Graph &)> &fails, int tries)
      : graph(std::move(graph)), context(context), fails(fails), tries(tries),
        quiet(&context, [](Diagnostic &) { return success(); }) {}

  Graph run() {
    bool changed = true;
    while (changed && tries > 0) {
      changed = dropFunctions();
      changed |= byOperation(&Shrinker::drop);
      changed |= byOperation(&Shrinker::bypass);
      changed |= byOperation(&Shrinker::replace);
      changed |= byOperation(&Shrinker::simplify);
      changed |= shrinkSizes();
    }
    return std::move(graph);
  }

private:
  using Change = bool (Shrinker::*)(Operation *op, unsigned form, Graph &candidate);

  bool accept(Graph candidate) {
    if (tries-- <= 0 || !fails(candidate))
      return false;
    graph = std::move(candidate);
    return true;
  }

  /// The module without what nothing uses, and its values.
  bool acceptModule(ModuleOp module, Graph candidate) {
    removeUnused(module);
    candidate.text.clear();
    llvm::raw_string_ostream(candidate.text) << module;
    return candidate.text != graph.text && accept(std::move(candidate));
  }

  static void removeUnused(ModuleOp module) {
    for (auto function : module.getOps<func::FuncOp>())
      for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
        if (op.use_empty() && (isMemoryEffectFree(&op) || isa<tg::ReadOp>(op)) && !op.hasTrait<OpTrait::IsTerminator>())
          op.erase();
    for (auto state : llvm::make_early_inc_range(module.getOps<tg::StateOp>()))
      if (!state.getSymName().starts_with("gradient:") && SymbolTable::symbolKnownUseEmpty(state, module) &&
          !module.lookupSymbol(("gradient:" + state.getSymName()).str()))
        state.erase();
    setIdle(module);
  }

  /// Weights that no longer reach the loss are said to be idle.
  static void setIdle(ModuleOp module) {
    module->removeAttr("tg.idle");
    Builder builder(module.getContext());
    SmallVector<Attribute> idle;
    for (const std::string &path : differentiate::findUnreachedWeights(module))
      idle.push_back(builder.getStringAttr(path));
    if (!idle.empty())
      module->setAttr("tg.idle", builder.getArrayAttr(idle));
  }

  bool dropFunctions() {
    bool changed = false;
    for (StringRef name : {"update", "init"}) {
      OwningOpRef<ModuleOp> module = parseGraph(graph, context);
      if (Operation *function = module->lookupSymbol(name)) {
        function->erase();
        changed |= acceptModule(*module, graph);
      }
    }
    return changed;
  }

  /// Tries a change at every operation, in all its forms, from the last.
  bool byOperation(Change change) {
    bool changed = false;
    for (size_t place = 0; tries > 0; ++place)
      for (unsigned form = 0; form < 8; ++form) {
        OwningOpRef<ModuleOp> module = parseGraph(graph, context);
        SmallVector<Operation *> all;
        module->walk([&](func::FuncOp function) {
          for (Operation &op : function.getBody().front().without_terminator())
            all.push_back(&op);
        });
        if (place >= all.size())
          return changed;
        Graph candidate = graph;
        if (!(this->*change)(all[all.size() - 1 - place], form, candidate))
          break;
        if (acceptModule(*module, candidate)) {
          changed = true;
          form = -1u;
        }
      }
    return changed;
  }

  bool drop(Operation *op, unsigned form, Graph &) {
    if (form > 0 || !isa<tg::OutputOp, tg::WriteOp>(op))
      return false;
    op->erase();
    return true;
  }

  /// The operand of the same type instead of the result.
  bool bypass(Operation *op, unsigned form, Graph &) {
    if (op->getNumResults() == 0 || form >= op->getNumOperands())
      return false;
    for (Value result : op->getResults())
      for (unsigned i = form; i < op->getNumOperands(); ++i)
        if (op->getOperand(i).getType() == result.getType()) {
          result.replaceAllUsesWith(op->getOperand(i));
          return true;
        }
    return false;
  }

  /// An input with the values that the operation has.
  bool replace(Operation *op, unsigned form, Graph &candidate) {
    if (form > 0 || op->getNumResults() == 0 || isa<tg::InputOp, tg::ReadOp, tg::ConstantOp>(op))
      return false;
    auto function = op->getParentOfType<func::FuncOp>();
    OpBuilder builder(op);
    for (Value result : op->getResults()) {
      std::string name = "cut" + std::to_string(cuts++);
      std::optional<Numbers> numbers = valuesOf(result, function, candidate);
      if (!numbers)
        return false;
      candidate.inputs[name] = *numbers;
      result.replaceAllUsesWith(builder.create<tg::InputOp>(op->getLoc(), result.getType(), name));
    }
    return true;
  }

  /// What a value is when its function runs for the first time.
  static std::optional<Numbers> valuesOf(Value value, func::FuncOp function, const Graph &graph) {
    OpBuilder builder(function.getContext());
    builder.setInsertionPointAfterValue(value);
    auto probe = builder.create<tg::OutputOp>(value.getLoc(), "probe", value);
    auto module = function->getParentOfType<ModuleOp>();
    OwningOpRef<ModuleOp> copy(module.clone());
    probe.erase();
    SmallVector<std::string> unreached;
    std::string name = function.getSymName().str();
    if (failed(differentiate::differentiateStage(*copy, unreached)))
      return std::nullopt;
    if (StringRef(name).starts_with("forward_"))
      name = "micro_" + name.substr(8);
    interpret::Interpreter run(*copy);
    for (const auto &[path, numbers] : graph.states)
      (void)run.setState(path, numbers);
    for (const std::string &each : runOrder(*copy)) {
      for (auto &[input, type] : run.inputsOf(each)) {
        tg::HostTensor tensor(type);
        tensor.Data = graph.inputs.at(input);
        run.setInput(input, std::move(tensor));
      }
      if (failed(run.run(each)))
        return std::nullopt;
      if (each == name)
        break;
    }
    const tg::HostTensor *found = run.output("probe");
    if (!found || llvm::any_of(found->Data, [](double element) { return !std::isfinite(element); }))
      return std::nullopt;
    return found->Data;
  }

  /// Attributes that make an operation more than it must be.
  bool simplify(Operation *op, unsigned form, Graph &) {
    auto attention = dyn_cast<tg::AttentionOp>(op);
    if (attention && form == 0 && attention.getSamples()) {
      attention.removeSamplesAttr();
      return true;
    }
    if (attention && form == 0 && attention.getCausal()) {
      attention.setCausal(false);
      return true;
    }
    if (attention && form <= 1 && attention.getStarts()) {
      attention.getStartsMutable().clear();
      return true;
    }
    if (attention && form <= 2 && attention.getLengths()) {
      attention.getLengthsMutable().clear();
      return true;
    }
    auto write = dyn_cast<tg::WriteOp>(op);
    if (write && form == 0 && write.getAccumulate()) {
      write.setAccumulate(false);
      return true;
    }
    return false;
  }

  /// Every size of one number becomes a smaller one, where the text still makes sense.
  bool shrinkSizes() {
    std::set<int64_t, std::greater<>> sizes;
    std::regex number("[<x](\\d+)(?=x)");
    for (std::sregex_iterator match(graph.text.begin(), graph.text.end(), number), end; match != end; ++match)
      sizes.insert(std::stoll((*match)[1]));
    bool changed = false;
    for (int64_t size : sizes)
      for (int64_t smaller : {int64_t(1), int64_t(2), size / 2, size - 1})
        if (smaller >= 1 && smaller < size && resize(size, smaller)) {
          changed = true;
          break;
        }
    return changed;
  }

  bool resize(int64_t from, int64_t to) {
    Graph candidate = graph;
    std::string old = std::to_string(from), fresh = std::to_string(to);
    // Sizes stand before an `x`; slices and scatters name them in attributes too.
    candidate.text = std::regex_replace(candidate.text, std::regex("([<x])" + old + "(?=x)"), "$1" + fresh);
    candidate.text = std::regex_replace(candidate.text, std::regex("([<x])" + old + "(?=x)"), "$1" + fresh);
    std::regex attribute("(sizes = array<i64: |rows = )([0-9, ]+)");
    std::smatch match;
    std::string rest = candidate.text, text;
    while (std::regex_search(rest, match, attribute)) {
      text += match.prefix().str() + match[1].str() +
              std::regex_replace(match[2].str(), std::regex("\\b" + old + "\\b"), fresh);
      rest = match.suffix();
    }
    candidate.text = text + rest;
    OwningOpRef<ModuleOp> module = parseGraph(candidate, context);
    if (!module)
      return false;
    module->walk([&](Operation *op) {
      if (auto state = dyn_cast<tg::StateOp>(op))
        cut(candidate.states, state.getSymName(), state.getTensorType());
      else if (auto input = dyn_cast<tg::InputOp>(op))
        cut(candidate.inputs, input.getName(), tg::tensorType(input));
    });
    return accept(std::move(candidate));
  }

  static void cut(Named &values, StringRef name, RankedTensorType type) {
    if (auto found = values.find(name.str()); found != values.end())
      found->second.resize(type.getNumElements());
  }

  Graph graph;
  MLIRContext &context;
  const std::function<bool(const Graph &)> &fails;
  int tries, cuts = 0;
  ScopedDiagnosticHandler quiet;
};

} // namespace

Graph graphs::shrink(Graph graph, MLIRContext &context, const std::function<bool(const Graph &)> &fails, int tries) {
  Graph small = Shrinker(std::move(graph), context, fails, tries).run();
  OwningOpRef<ModuleOp> module = parseGraph(small, context);
  std::set<std::string> used;
  module->walk([&](Operation *op) {
    if (auto input = dyn_cast<tg::InputOp>(op))
      used.insert(input.getName().str());
    else if (auto state = dyn_cast<tg::StateOp>(op))
      used.insert(state.getSymName().str());
  });
  for (Named *values : {&small.inputs, &small.states})
    std::erase_if(*values, [&](const auto &entry) { return !used.count(entry.first); });
  return small;
}

int64_t graphs::countOperations(const Graph &graph, MLIRContext &context) {
  int64_t count = 0;
  parseGraph(graph, context)->walk([&](Operation *op) {
    count += isa<tg::MeaningOpInterface>(op) && !isa<tg::InputOp, tg::ReadOp, tg::ConstantOp, tg::OutputOp, tg::WriteOp, tg::LossOp>(op);
  });
  return count;
}
