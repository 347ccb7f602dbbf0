// SPDX-License-Identifier: Apache-2.0
//
// tg-join-sums: sums over rows that were taken in parts, and whose wholes go to neighbours in one flat state, are finished
// by one launch over all their parts instead of one launch each. Every sum adds the same parts in the same order as before.
#include "compiler/fuse/Passes.h"
#include "compiler/fuse/StridedViews.h"
#include "dialects/tg/Build.h"
#include "llvm/ADT/MapVector.h"
#include <map>
#include <tuple>

namespace vcc::fuse {
#define GEN_PASS_DEF_JOINSUMSPASS
#include "compiler/fuse/Passes.h.inc"
} // namespace vcc::fuse

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

namespace {

Value throughReshapes(Value value) {
  while (auto reshape = value.getDefiningOp<tg::ReshapeOp>()) {
    if (!reshape->hasOneUse())
      return value;
    value = reshape.getX();
  }
  return value;
}

/// A sum that a launch of its own finishes and that is written to a part of a flat state, added to the old value or not.
struct FinishedSum {
  tg::LaunchOp sum, add; ///< add: null when the old value is not read
  tg::WriteOp write;
  tg::StateOp state;
  unsigned oldInput = 0; ///< of the addition
  Value partials;
  int64_t offset = 0, columns = 0; ///< of the state
};

class SumJoiner {
public:
  SumJoiner(func::FuncOp function, SymbolTable &symbols) : function(function), symbols(symbols) {}

  void run() {
    for (Operation &op : function.getBody().front()) {
      if (auto read = dyn_cast<tg::ReadOp>(op))
        ++touches[read.getState()];
      if (auto write = dyn_cast<tg::WriteOp>(op))
        ++touches[write.getState()];
    }
    using Key = std::tuple<StringRef, StringRef, StringRef, int64_t>;
    llvm::MapVector<Key, SmallVector<FinishedSum>, std::map<Key, unsigned>> kinds;
    for (auto write : function.getOps<tg::WriteOp>())
      if (std::optional<FinishedSum> sum = finishedSum(write))
        kinds[{*sum->state.getStorage(), sum->sum.getKernel(), sum->add ? sum->add.getKernel() : StringRef(),
               sum->sum.getDims()[0]}]
            .push_back(*sum);
    for (auto &[key, sums] : kinds)
      joinNeighbours(sums);
  }

private:
  /// One row kernel that yields its row as a sum, over partial sums that nothing else reads.
  bool isFinish(tg::LaunchOp launch) const {
    if (!launch || launch.getInputs().size() != 1 || launch.getOutputs().size() != 1 || launch.getRowsPerChunk() ||
        launch.getDims().size() != 1 || !launch.getOutputs()[0].hasOneUse())
      return false;
    auto kernel = symbols.lookup<tg::KernelOp>(launch.getKernel());
    Value partial = launch.getInputs()[0];
    auto type = cast<RankedTensorType>(partial.getType());
    return kernel.getKernelClass() == tg::KernelClass::Row && kernel.getResultKind(0).getKind() == tg::ResultKind::ColumnSum &&
           isa<tg::YieldOp>(kernel.getBody().front().front()) && partial.getDefiningOp<tg::LaunchOp>() &&
           partial.hasOneUse() && type.getRank() == 2 && type.getShape()[0] == launch.getDims()[0];
  }

  /// A flat kernel that does nothing but add its two operands.
  bool isAddition(tg::LaunchOp launch) const {
    if (!launch || launch.getInputs().size() != 2 || launch.getOutputs().size() != 1 || launch.getDims().size() != 1 ||
        !launch.getOutputs()[0].hasOneUse())
      return false;
    auto kernel = symbols.lookup<tg::KernelOp>(launch.getKernel());
    Block &body = kernel.getBody().front();
    auto add = dyn_cast<tg::AddOp>(body.front());
    return kernel.getKernelClass() == tg::KernelClass::Flat && add && isa_and_nonnull<tg::YieldOp>(add->getNextNode()) &&
           add.getLhs() != add.getRhs() && isa<BlockArgument>(add.getLhs()) && isa<BlockArgument>(add.getRhs()) &&
           llvm::all_of(launch.getAccess(), [&](Attribute access) {
             return access == tg::AccessAttr::get(access.getContext(), 0, {1});
           });
  }

  std::optional<FinishedSum> finishedSum(tg::WriteOp write) const {
    FinishedSum found;
    found.write = write;
    found.state = symbols.lookup<tg::StateOp>(write.getState());
    if (!found.state || !found.state.getStorage() || !found.state.getOffset() || touches.lookup(*found.state.getStorage()))
      return std::nullopt;
    auto launch = throughReshapes(write.getValue()).getDefiningOp<tg::LaunchOp>();
    if (isAddition(launch)) {
      found.add = launch;
      for (auto [input, operand] : llvm::enumerate(launch.getInputs())) {
        auto read = throughReshapes(operand).getDefiningOp<tg::ReadOp>();
        if (read && read->hasOneUse() && read.getState() == write.getState()) {
          found.oldInput = static_cast<unsigned>(input);
          launch = throughReshapes(found.add.getInputs()[1 - input]).getDefiningOp<tg::LaunchOp>();
          break;
        }
      }
    }
    found.sum = launch;
    if (touches.lookup(write.getState()) != (found.add ? 2 : 1) || !isFinish(launch))
      return std::nullopt;
    found.partials = launch.getInputs()[0];
    found.offset = static_cast<int64_t>(*found.state.getOffset());
    found.columns = found.state.getTensorType().getNumElements();
    return found;
  }

  void joinNeighbours(SmallVectorImpl<FinishedSum> &sums) {
    llvm::sort(sums, [](const FinishedSum &a, const FinishedSum &b) { return a.offset < b.offset; });
    for (size_t begin = 0, end; begin < sums.size(); begin = end) {
      for (end = begin + 1; end < sums.size(); ++end)
        if (sums[end - 1].offset + sums[end - 1].columns != sums[end].offset)
          break;
      if (end - begin > 1)
        join(ArrayRef(sums).slice(begin, end - begin));
    }
  }

  /// The part of the flat state that the sums' states make up.
  tg::StateOp stateOver(ArrayRef<FinishedSum> sums) {
    tg::StateOp first = sums.front().state;
    int64_t begin = sums.front().offset, end = sums.back().offset + sums.back().columns;
    std::string name = (*first.getStorage() + "[" + Twine(begin) + ".." + Twine(end) + "]").str();
    if (auto known = symbols.lookup<tg::StateOp>(name))
      return known;
    OpBuilder builder(first);
    auto type = RankedTensorType::get({end - begin}, first.getTensorType().getElementType());
    auto state = builder.create<tg::StateOp>(first.getLoc(), builder.getStringAttr(name), first.getKindAttr(),
                                             TypeAttr::get(type), /*trainable=*/UnitAttr(), first.getStorageAttr(),
                                             builder.getI64IntegerAttr(begin), /*joined=*/UnitAttr(), /*transposed=*/UnitAttr());
    symbols.insert(state);
    return state;
  }

  void join(ArrayRef<FinishedSum> sums) {
    tg::LaunchOp first = sums.front().sum, last = first;
    for (const FinishedSum &sum : sums)
      if (last->isBeforeInBlock(sum.sum))
        last = sum.sum;
    OpBuilder builder(last);
    Location loc = last.getLoc();
    int64_t parts = first.getDims()[0], number = static_cast<int64_t>(sums.size()), columns = sums.front().columns;
    Type element = elementOf(sums.front().partials);
    SmallVector<Value> partials;
    for (const FinishedSum &sum : sums)
      partials.push_back(sum.partials);
    Type sumType = RankedTensorType::get({number, columns}, element);
    Value all = tg::buildConcat(builder, loc, partials, 0);
    Value whole = builder
                      .create<tg::LaunchOp>(loc, TypeRange{sumType},
                                            first.getKernelAttr(), ValueRange{all},
                                            builder.getDenseI64ArrayAttr({number * parts}), first.getAccessAttr(),
                                            first.getUniforms(), builder.getI64IntegerAttr(parts))
                      .getOutputs()[0];
    tg::StateOp state = stateOver(sums);
    auto path = FlatSymbolRefAttr::get(state.getSymNameAttr());
    Type written = state.getTensorType();
    whole = builder.create<tg::ReshapeOp>(loc, written, whole);
    if (tg::LaunchOp add = sums.front().add) {
      Value old = builder.create<tg::ReadOp>(loc, written, path);
      SmallVector<Value> inputs{whole, old};
      if (sums.front().oldInput == 0)
        std::swap(inputs[0], inputs[1]);
      whole = builder
                  .create<tg::LaunchOp>(loc, TypeRange{written}, add.getKernelAttr(), inputs,
                                        builder.getDenseI64ArrayAttr({number * columns}), add.getAccessAttr(),
                                        add.getUniforms(), IntegerAttr())
                  .getOutputs()[0];
    }
    builder.create<tg::WriteOp>(loc, path, whole, /*accumulate=*/UnitAttr());
    for (const FinishedSum &sum : sums)
      eraseOld(sum);
  }

  /// Erases the write and all that only it read, down to the partial sums.
  static void eraseOld(const FinishedSum &sum) {
    SmallVector<Operation *> work;
    work.push_back(sum.write);
    Operation *maker = sum.partials.getDefiningOp();
    while (!work.empty()) {
      Operation *op = work.pop_back_val();
      SmallVector<Operation *> makers;
      for (Value operand : op->getOperands())
        makers.push_back(operand.getDefiningOp());
      op->erase();
      for (Operation *next : makers)
        if (next != maker && next->use_empty())
          work.push_back(next);
    }
  }

  func::FuncOp function;
  SymbolTable &symbols;
  llvm::StringMap<int> touches;
};

struct JoinSums : fuse::impl::JoinSumsPassBase<JoinSums> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>())
      SumJoiner(function, symbols).run();
  }
};

} // namespace
