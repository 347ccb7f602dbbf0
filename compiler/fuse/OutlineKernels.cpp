// SPDX-License-Identifier: Apache-2.0
//
// tg-outline-kernels: writes each function anew as launches, library operations and what moves no data, in an order
// that respects all dependencies; kernels that are equal become one symbol of the module.
#include "compiler/fuse/GroupBody.h"
#include "compiler/fuse/KernelRecompute.h"
#include "compiler/fuse/Passes.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/xxhash.h"

namespace vcc::fuse {
#define GEN_PASS_DEF_OUTLINEKERNELSPASS
#include "compiler/fuse/Passes.h.inc"
} // namespace vcc::fuse

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

namespace {

/// The kernels of a module, by their text.
class KernelStore {
public:
  explicit KernelStore(ModuleOp module) : module(module), last(module.getBody()->begin()) {
    for (auto kernel : module.getOps<tg::KernelOp>())
      taken[kernel.getSymName()] = textOf(kernel);
  }

  FlatSymbolRefAttr add(tg::KernelOp kernel) {
    std::string text = textOf(kernel);
    auto [entry, isNew] = known.try_emplace(text);
    if (!isNew) {
      kernel->erase();
      return FlatSymbolRefAttr::get(entry->second);
    }
    std::string base = (stringifyKernelClass(kernel.getKernelClass()) + "_" +
                        llvm::utohexstr(llvm::xxh3_64bits(text) & 0xffffffff, /*LowerCase=*/true))
                           .str();
    std::string name = base;
    for (int suffix = 2; !taken.try_emplace(name, text).second && taken[name] != text; ++suffix)
      name = base + "_" + std::to_string(suffix);
    kernel.setSymName(name);
    // Before the functions, in the order of first use.
    module.getBody()->getOperations().insert(firstFunction(), kernel);
    entry->second = kernel.getSymNameAttr();
    return FlatSymbolRefAttr::get(entry->second);
  }

private:
  static std::string textOf(tg::KernelOp kernel) {
    StringAttr name = kernel.getSymNameAttr();
    kernel.setSymName("kernel");
    std::string text;
    llvm::raw_string_ostream stream(text);
    kernel->print(stream, OpPrintingFlags().useLocalScope());
    kernel.setSymNameAttr(name);
    return text;
  }

  Block::iterator firstFunction() {
    while (last != module.getBody()->end() && !isa<func::FuncOp>(*last))
      ++last;
    return last;
  }

  ModuleOp module;
  Block::iterator last;
  llvm::StringMap<StringAttr> known;
  llvm::StringMap<std::string> taken;
};

class FunctionOutliner {
public:
  FunctionOutliner(func::FuncOp function, KernelStore &store) : function(function), store(store), groups(function) {
    recomputeInReaders(groups, function);
  }

  void run() {
    Block *old = &function.getBody().front();
    Block *fresh = new Block();
    OpBuilder builder(function.getContext());
    builder.setInsertionPointToEnd(fresh);
    auto namer = [&](tg::KernelOp kernel) { return store.add(kernel); };
    for (KernelGroups::Node node : groups.order()) {
      auto map = [&](Value value) { return mapped(builder, value); };
      if (!node.op) {
        buildGroup(builder, groups, node.group, namer, map,
                   [&](Value value, Value now) { became[value] = now; });
      } else if (auto scatter = dyn_cast<tg::ScatterAddOp>(node.op)) {
        became[scatter.getResult()] = buildScatter(builder, scatter, namer, map);
      } else if (auto barrier = dyn_cast<tg::BarrierOp>(node.op)) {
        // It has kept its readers behind its operands and apart from their other readers; now it only names them.
        for (auto [operand, result] : llvm::zip(barrier.getInputs(), barrier.getOutputs()))
          if (!isSource(operand))
            became[result] = mapped(builder, operand);
      } else {
        copyOperation(builder, node.op);
      }
    }
    builder.clone(*old->getTerminator());
    function.getBody().push_back(fresh);
    old->dropAllReferences();
    old->dropAllDefinedValueUses();
    old->erase();
  }

private:
  void copyOperation(OpBuilder &builder, Operation *op) {
    IRMapping mapping;
    for (Value operand : op->getOperands())
      mapping.map(operand, mapped(builder, operand));
    Operation *copy = builder.clone(*op, mapping);
    for (auto [before, after] : llvm::zip(op->getResults(), copy->getResults()))
      became[before] = after;
  }

  /// What a whole value has become; views that only rename are written again.
  Value mapped(OpBuilder &builder, Value value) {
    if (Value now = became.lookup(value))
      return now;
    if (isSplat(value))
      return became[value] = builder.clone(*value.getDefiningOp())->getResult(0);
    StridedView view = resolveView(value);
    assert(view.isWhole() && became.count(view.base) && "read before it is made");
    Value now = builder.create<tg::ReshapeOp>(value.getLoc(), value.getType(), became.lookup(view.base));
    became[value] = now;
    return now;
  }

  func::FuncOp function;
  KernelStore &store;
  KernelGroups groups;
  DenseMap<Value, Value> became;
};

struct OutlineKernels : fuse::impl::OutlineKernelsPassBase<OutlineKernels> {
  void runOnOperation() override {
    KernelStore store(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal() || !function.getBody().hasOneBlock() || function.getNumArguments() != 0 ||
          function.getNumResults() != 0) {
        function.emitOpError("has arguments, results or branches but a stage's functions read inputs and write outputs");
        return signalPassFailure();
      }
      FunctionOutliner(function, store).run();
    }
  }
};

} // namespace
