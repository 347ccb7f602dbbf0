// SPDX-License-Identifier: Apache-2.0
//
// Recomputation. Values are taken from the last to the first, so that a chain moves as a whole. A value is worth
// `count` elements of memory from its kernel to its last reader unless it must be in memory that long anyway; what it
// would be recomputed from costs the same way. Recomputing must not cost memory, nor read more tensors than keeping
// reads and writes: else a residual stream would be added up again in each later kernel. In a second round masks that the first one
// has moved are at hand in every group that reads them (of lengths, say, which all layers share), and what is made of one tensor that
// its readers read anyway (a norm's result, of the centred rows) is recomputed from that.
#include "compiler/fuse/KernelRecompute.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

namespace {

/// A longer chain is computed once.
constexpr size_t MaxChain = 16;
/// A kernel draws no more masks than this for values that it computes again: each number drawn costs as much as some ten bytes of memory.
constexpr size_t MaxDraws = 2;
/// A value is kept that is read again within so many steps.
constexpr int ShortLife = 12;

class Recomputation {
public:
  Recomputation(KernelGroups &groups, func::FuncOp function) : groups(groups), function(function) {}

  void run() {
    collectReaders();
    SmallVector<Operation *> members;
    for (Operation &op : function.getBody().front())
      if (groups.homeOf(&op) >= 0)
        members.push_back(&op);
    for (Round round : {Round::Whole, Round::Near})
      for (Operation *op : llvm::reverse(members))
        consider(op, round);
    for (Operation *op : llvm::reverse(members))
      giveBack(op);
    groups.dropUnread();
  }

private:
  enum class Round {
    Whole, ///< chains go as far as they can
    Near   ///< of what is left: chains of one tensor, which end at what all readers read anyway
  };

  struct Readers {
    SmallVector<int, 4> kernels; ///< groups that read it from memory
    /// Operations of their own that read it, by place.
    SmallVector<std::pair<int, Operation *>, 2> others;

    int lastOther() const { return others.empty() ? -1 : others.back().first; }
  };

  void collectReaders() {
    position.assign(groups.groups().size(), -1);
    int place = 0;
    for (KernelGroups::Node node : groups.order()) {
      if (node.op) {
        for (Value base : KernelGroups::basesOf(node.op))
          readers[base].others.push_back({place, node.op});
        if (isa<tg::LossOp>(node.op))
          border = place;
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
    int last = found->second.lastOther();
    for (int group : found->second.kernels)
      last = std::max(last, position[group]);
    return last;
  }

  static bool isCheap(Operation *op) { return op->hasTrait<OpTrait::Elementwise>() || isa<tg::BarrierOp>(op); }

  /// Statistics of rows and weights of a layer count for nothing beside the rows themselves.
  static bool isSmallBeside(Value value, int64_t count) { return countOf(value) * 4 < count; }

  /// Rounded to be kept: what is made of it reads it from memory rather than making it again.
  static bool isNarrow(Value value) { return elementOf(value).isBF16() || elementOf(value).isF16(); }

  /// What a value weighs: narrow ones half as much as all else, whose sizes are taken for equal.
  static int64_t weightOf(Value value) { return countOf(value) * (isNarrow(value) ? 1 : 2); }

  /// Whether the value lives outside the arena.
  static bool isPermanent(Value value) {
    return isa_and_nonnull<tg::ReadOp, tg::InputOp, tg::ConstantOp>(value.getDefiningOp());
  }

  static bool isCheapRowOf(const Group &group, Operation *op) {
    auto member = op ? group.members.find(op) : group.members.end();
    return member != group.members.end() && member->second == Role::Row && isCheap(op);
  }

  /// The members of the home group that must be computed again, and what they read from memory then: what `isRead` holds of, besides
  /// what cannot be computed again.
  bool collectChain(int homeGroup, Operation *root, llvm::SetVector<Operation *> &chain, llvm::SetVector<Value> &leaves,
                    llvm::function_ref<bool(Value)> isRead = [](Value) { return false; }) {
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
        bool inside = isCheapRowOf(group, maker) && !mustStay(base) && !isNarrow(base) && !isRead(base);
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
    return found != readers.end() && found->second.lastOther() >= 0;
  }

  /// Whether a row kernel makes the value, at little cost, and nothing looks at it as a window.
  bool isCheapRow(Operation *op) const {
    return isCheapRowOf(groups.groups()[groups.homeOf(op)], op) && !windowInConcat(op->getResult(0));
  }

  /// Moves a value to its readers where that pays.
  void consider(Operation *op, Round round) {
    int homeGroup = groups.homeOf(op);
    Value value = op->getResult(0);
    auto read = readers.find(value);
    if (!isCheapRow(op) || read == readers.end() || read->second.kernels.empty())
      return;
    llvm::SetVector<Operation *> chain;
    llvm::SetVector<Value> leaves;
    auto isRead = [&](Value base) {
      return round == Round::Near && llvm::all_of(read->second.kernels, [&](int kernel) { return groups.groups()[kernel].reads.contains(base); });
    };
    if (!collectChain(homeGroup, op, chain, leaves, isRead))
      return;
    int64_t count = countOf(value), again = 0;
    if (round == Round::Near && llvm::count_if(leaves, [&](Value leaf) { return !isSmallBeside(leaf, count); }) > 1)
      return;
    SmallVector<int, 4> kernels(read->second.kernels);
    int last = -1;
    for (int kernel : kernels)
      last = std::max(last, position[kernel]);
    for (Value leaf : leaves)
      if (!isPermanent(leaf) && lastRead(leaf) < last && !isSmallBeside(leaf, count))
        again += weightOf(leaf);
    bool stays = read->second.lastOther() >= 0;
    int64_t kept = stays && read->second.lastOther() >= last ? 0 : weightOf(value);
    // Tensors read or written either way.
    int64_t readsAgain = 0, readsKept = static_cast<int64_t>(kernels.size()) + (stays ? 0 : 1);
    for (int kernel : kernels)
      for (Value leaf : leaves)
        readsAgain += !isSmallBeside(leaf, count) && !groups.groups()[kernel].reads.contains(leaf);
    bool smaller = again < kept, faster = readsAgain < readsKept;
    if (!(faster && again <= kept) && !(smaller && readsAgain == readsKept))
      return;
    SmallVector<Operation *> ordered = inProgramOrder(chain);
    for (int kernel : kernels)
      cloneInto(kernel, ordered);
  }

  /// How many tensors of random numbers the members draw.
  static size_t drawsIn(const Group &group) {
    llvm::SmallPtrSet<Operation *, 4> draws;
    for (auto [member, role] : group.members)
      for (Value operand : member->getOperands())
        if (Value base = resolveView(operand).base; isa_and_nonnull<tg::RandomUniformOp, tg::RandomNormalOp>(base.getDefiningOp()))
          draws.insert(base.getDefiningOp());
    return draws.size();
  }

  /// The group with a chain computed again inside, or nothing when it does not fit.
  std::optional<Group> withChain(int kernel, ArrayRef<Operation *> chain) {
    Group tried = groups.groups()[kernel];
    for (Operation *op : chain) {
      if (tried.members.count(op))
        continue;
      std::optional<Group> fitted = withMember(tried, op, [&](Value base) { return groups.levelOf(base); });
      if (!fitted || fitted->members.lookup(op) != Role::Row)
        return std::nullopt;
      tried = std::move(*fitted);
    }
    // Members that read a copied value must read it as a row of the group, in order.
    for (auto [member, role] : tried.members)
      for (Value operand : member->getOperands()) {
        StridedView view = resolveView(operand);
        if (llvm::is_contained(chain, view.base.getDefiningOp()) &&
            (isa<tg::GatherOp>(member) ||
             classifyReach(tried, view, operandRole(tried, member, role)) != Reach::Row))
          return std::nullopt;
      }
    if (size_t draws = drawsIn(tried); draws > MaxDraws && draws > drawsIn(groups.groups()[kernel]))
      return std::nullopt;
    for (Operation *op : chain)
      tried.reads.remove(op->getResult(0));
    return tried;
  }

  void cloneInto(int kernel, ArrayRef<Operation *> chain) {
    if (std::optional<Group> tried = withChain(kernel, chain))
      accept(kernel, std::move(*tried), chain);
  }

  void accept(int kernel, Group tried, ArrayRef<Operation *> chain) {
    for (Value base : tried.reads) {
      auto &kernels = readers[base].kernels;
      if (!llvm::is_contained(kernels, kernel))
        kernels.push_back(kernel);
    }
    for (Operation *op : chain)
      llvm::erase(readers[op->getResult(0)].kernels, kernel);
    groups.groups()[kernel] = std::move(tried);
  }

  // What only products of the backward read again

  /// The late kernel that reads all of the leaves that are as large as the value anyway; -1 when there is none.
  int lateReaderOf(ArrayRef<Value> leaves, int64_t count) const {
    int found = -1;
    bool any = false;
    for (Value leaf : leaves) {
      if (isSmallBeside(leaf, count) || isPermanent(leaf))
        continue;
      auto read = readers.find(leaf);
      if (read == readers.end())
        return -1;
      int first = -1;
      for (int kernel : read->second.kernels)
        if (position[kernel] > border && (first < 0 || position[kernel] < position[first]) &&
            (!any || kernel == found))
          first = kernel;
      if (first < 0)
        return -1;
      found = first;
      any = true;
    }
    return found;
  }

  /// The levels of what comes later than before when operations wait for `giver`; nothing when that is much, when the giver
  /// itself waits for one of them, or when one writes what is read again.
  std::optional<KernelGroups::Levels> waitingFor(int giver, ArrayRef<Operation *> ops) {
    constexpr size_t Most = 16;
    KernelGroups::Levels found;
    SmallVector<std::pair<Value, int>> made;
    auto comesAfter = [&](Operation *op, int level) {
      auto then = found.own.find(op);
      if ((then == found.own.end() ? groups.ownLevelOf(op) : then->second) > level)
        return true;
      if (groups.isTouchedLater(op))
        return false;
      found.own[op] = level + 1;
      for (Value result : op->getResults())
        made.push_back({result, level + 1});
      return true;
    };
    for (Operation *op : ops)
      if (!comesAfter(op, groups.groups()[giver].level))
        return std::nullopt;
    while (!made.empty()) {
      auto [value, level] = made.pop_back_val();
      auto read = readers.find(value);
      if (read == readers.end())
        continue;
      for (int kernel : read->second.kernels) {
        if (kernel == giver)
          return std::nullopt;
        auto then = found.groups.find(kernel);
        if ((then == found.groups.end() ? groups.groups()[kernel].level : then->second) > level)
          continue;
        found.groups[kernel] = level + 1;
        for (auto [member, role] : groups.groups()[kernel].members)
          if (groups.homeOf(member) == kernel)
            made.push_back({member->getResult(0), level + 1});
      }
      for (auto [place, other] : read->second.others)
        if (!comesAfter(other, level))
          return std::nullopt;
      if (found.own.size() + found.groups.size() > Most)
        return std::nullopt;
    }
    return found;
  }

  /// A value that a product of the backward reads again is given back by a kernel of the backward that has what it is
  /// made of in its hands, instead of being kept; the product waits for that kernel.
  void giveBack(Operation *op) {
    int homeGroup = groups.homeOf(op);
    Value value = op->getResult(0);
    auto read = readers.find(value);
    if (!isCheapRow(op) || read == readers.end() || position[homeGroup] > border)
      return;
    SmallVector<std::pair<int, Operation *>> late;
    int early = position[homeGroup];
    for (auto [place, other] : read->second.others) {
      if (place > border)
        late.push_back({place, other});
      else
        early = std::max(early, place);
    }
    if (late.empty() || late.front().first - early < ShortLife)
      return;
    if (!llvm::all_of(late, [](auto &entry) { return isa<tg::GemmOp>(entry.second); }))
      return;
    llvm::SetVector<Operation *> chain;
    llvm::SetVector<Value> leaves;
    if (!collectChain(homeGroup, op, chain, leaves))
      return;
    int giver = lateReaderOf(leaves.getArrayRef(), countOf(value));
    if (giver < 0)
      return;
    SmallVector<Operation *> products = llvm::map_to_vector(late, [](auto &entry) { return entry.second; });
    std::optional<KernelGroups::Levels> waiting = waitingFor(giver, products);
    if (!waiting)
      return;
    SmallVector<Operation *> ordered = inProgramOrder(chain);
    std::optional<Group> tried = withChain(giver, ordered);
    SmallVector<std::pair<int, Group>> others;
    for (int kernel : read->second.kernels) {
      if (position[kernel] < border || kernel == giver)
        continue;
      std::optional<Group> other = withChain(kernel, ordered);
      if (!other)
        return;
      others.push_back({kernel, std::move(*other)});
    }
    if (!tried)
      return;
    OpBuilder builder(late.front().second);
    auto copy = builder.create<tg::BarrierOp>(value.getLoc(), TypeRange{value.getType()}, ValueRange{value});
    std::optional<Group> giving = withMember(*tried, copy, [&](Value base) { return groups.levelOf(base); });
    if (!giving) {
      copy->erase();
      return;
    }
    for (auto &[kernel, other] : others)
      accept(kernel, std::move(other), ordered);
    accept(giver, *giving, ordered);
    groups.adopt(copy, giver, std::move(*giving));
    for (Operation *product : products)
      readFrom(product, value, copy.getResult(0));
    groups.setLevels(*waiting);
    readers[copy.getResult(0)].others.assign(late.begin(), late.end());
    llvm::erase_if(readers[value].others, [&](auto &entry) { return entry.first > border; });
  }

  /// Lets an operation read `copy` where it reads all of `value`.
  static void readFrom(Operation *op, Value value, Value copy) {
    for (OpOperand &operand : op->getOpOperands()) {
      if (resolveView(operand.get()).base != value)
        continue;
      OpBuilder builder(op);
      if (operand.get().getType() != copy.getType())
        operand.set(builder.create<tg::ReshapeOp>(op->getLoc(), operand.get().getType(), copy));
      else
        operand.set(copy);
    }
  }

  SmallVector<Operation *> inProgramOrder(const llvm::SetVector<Operation *> &chain) const {
    SmallVector<Operation *> ordered(chain.begin(), chain.end());
    llvm::sort(ordered, [&](Operation *a, Operation *b) { return groups.indexOf(a) < groups.indexOf(b); });
    return ordered;
  }

  KernelGroups &groups;
  func::FuncOp function;
  SmallVector<int> position;
  int border = std::numeric_limits<int>::max(); ///< the place of the loss; the backward comes after it
  DenseMap<Value, Readers> readers;
};

} // namespace

void fuse::recomputeInReaders(KernelGroups &groups, func::FuncOp function) { Recomputation(groups, function).run(); }
