// SPDX-License-Identifier: Apache-2.0
//
// Recomputation. Values are taken from the last to the first, so that a chain moves as a whole. A value is worth
// `count` elements of memory from its kernel to its last reader unless it must be in memory that long anyway; what it
// would be recomputed from costs the same way. Recomputing must not cost memory, nor read more tensors than keeping
// reads and writes: else a residual stream would be added up again in each later kernel.
#include "compiler/fuse/KernelRecompute.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

namespace {

/// A longer chain is computed once.
constexpr size_t MaxChain = 16;

class Recomputation {
public:
  Recomputation(KernelGroups &groups, func::FuncOp function) : groups(groups), function(function) {}

  void run() {
    collectReaders();
    SmallVector<Operation *> members;
    for (Operation &op : function.getBody().front())
      if (groups.homeOf(&op) >= 0)
        members.push_back(&op);
    for (Operation *op : llvm::reverse(members))
      consider(op);
    groups.dropUnread();
  }

private:
  struct Readers {
    SmallVector<int, 4> kernels; ///< groups that read it from memory
    int lastOther = -1;          ///< last place at which an operation of its own reads it
  };

  void collectReaders() {
    position.assign(groups.groups().size(), -1);
    int place = 0;
    for (KernelGroups::Node node : groups.order()) {
      if (node.op) {
        for (Value base : KernelGroups::basesOf(node.op))
          readers[base].lastOther = std::max(readers[base].lastOther, place);
      } else {
        position[node.group] = place;
        for (Value base : groups.groups()[node.group].reads)
          readers[base].kernels.push_back(node.group);
      }
      ++place;
    }
  }

  /// Last place at which a value is read from memory.
  int lastRead(Value value) const {
    auto found = readers.find(value);
    if (found == readers.end())
      return -1;
    int last = found->second.lastOther;
    for (int group : found->second.kernels)
      last = std::max(last, position[group]);
    return last;
  }

  static bool isCheap(Operation *op) { return op->hasTrait<OpTrait::Elementwise>() || isa<tg::BarrierOp>(op); }

  /// Whether the value lives outside the arena.
  static bool isPermanent(Value value) {
    return isa_and_nonnull<tg::ReadOp, tg::InputOp, tg::ConstantOp>(value.getDefiningOp());
  }

  /// The members of the home group that must be computed again, and what they read from memory then.
  bool collectChain(int homeGroup, Operation *root, llvm::SetVector<Operation *> &chain,
                    llvm::SetVector<Value> &leaves) {
    const Group &group = groups.groups()[homeGroup];
    SmallVector<Operation *> work{root};
    chain.insert(root);
    while (!work.empty()) {
      Operation *op = work.pop_back_val();
      for (Value operand : op->getOperands()) {
        Value base = resolveView(operand).base;
        if (isSource(base))
          continue;
        Operation *maker = base.getDefiningOp();
        auto member = maker ? group.members.find(maker) : group.members.end();
        bool inside = member != group.members.end() && member->second == Role::Row && isCheap(maker) &&
                      !mustStay(base);
        if (!inside) {
          leaves.insert(base);
        } else if (chain.insert(maker)) {
          work.push_back(maker);
        }
        if (chain.size() > MaxChain)
          return false;
      }
    }
    return true;
  }

  /// Whether an operation of its own reads the value, so that it is in memory whatever is decided here.
  bool mustStay(Value value) const {
    auto found = readers.find(value);
    return found != readers.end() && found->second.lastOther >= 0;
  }

  void consider(Operation *op) {
    int homeGroup = groups.homeOf(op);
    const Group &group = groups.groups()[homeGroup];
    auto member = group.members.find(op);
    Value value = op->getResult(0);
    auto read = readers.find(value);
    if (member == group.members.end() || member->second != Role::Row || !isCheap(op) || read == readers.end() ||
        read->second.kernels.empty() || windowInConcat(value))
      return;
    llvm::SetVector<Operation *> chain;
    llvm::SetVector<Value> leaves;
    if (!collectChain(homeGroup, op, chain, leaves))
      return;
    SmallVector<int, 4> kernels(read->second.kernels);
    int last = -1;
    for (int kernel : kernels)
      last = std::max(last, position[kernel]);
    int64_t count = countOf(value), again = 0;
    for (Value leaf : leaves)
      if (!isPermanent(leaf) && lastRead(leaf) < last)
        again += countOf(leaf);
    bool stays = read->second.lastOther >= 0;
    int64_t kept = stays && read->second.lastOther >= last ? 0 : count;
    // Tensors read or written either way.
    int64_t readsAgain = 0, readsKept = static_cast<int64_t>(kernels.size()) + (stays ? 0 : 1);
    for (int kernel : kernels)
      for (Value leaf : leaves)
        readsAgain += countOf(leaf) * 4 >= count && !groups.groups()[kernel].reads.contains(leaf);
    bool smaller = again < kept, faster = readsAgain < readsKept;
    if (!(faster && again <= kept) && !(smaller && readsAgain == readsKept))
      return;
    SmallVector<Operation *> ordered(chain.begin(), chain.end());
    llvm::sort(ordered, [&](Operation *a, Operation *b) { return groups.indexOf(a) < groups.indexOf(b); });
    for (int kernel : kernels)
      cloneInto(kernel, ordered);
  }

  void cloneInto(int kernel, ArrayRef<Operation *> chain) {
    Group &target = groups.groups()[kernel];
    Group tried = target;
    for (Operation *op : chain) {
      if (tried.members.count(op))
        continue;
      std::optional<Group> fitted = withMember(tried, op, [&](Value base) { return groups.levelOf(base); });
      if (!fitted || fitted->members.lookup(op) != Role::Row)
        return;
      tried = std::move(*fitted);
    }
    // Members that read a copied value must read it as a row of the group, in order.
    for (auto [member, role] : tried.members)
      for (Value operand : member->getOperands()) {
        StridedView view = resolveView(operand);
        if (llvm::is_contained(chain, view.base.getDefiningOp()) &&
            (isa<tg::GatherOp>(member) ||
             classifyReach(tried, view, operandRole(tried, member, role)) != Reach::Row))
          return;
      }
    for (Operation *op : chain)
      tried.reads.remove(op->getResult(0));
    for (Value base : tried.reads) {
      auto &kernels = readers[base].kernels;
      if (!llvm::is_contained(kernels, kernel))
        kernels.push_back(kernel);
    }
    for (Operation *op : chain)
      llvm::erase(readers[op->getResult(0)].kernels, kernel);
    target = std::move(tried);
  }

  KernelGroups &groups;
  func::FuncOp function;
  SmallVector<int> position;
  DenseMap<Value, Readers> readers;
};

} // namespace

void fuse::recomputeInReaders(KernelGroups &groups, func::FuncOp function) { Recomputation(groups, function).run(); }
