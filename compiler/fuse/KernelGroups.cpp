// SPDX-License-Identifier: Apache-2.0
//
// One walk over the program that puts each operation into the group of its operands where it fits, else into a group
// that reads the same tensor, else into a new one.
#include "compiler/fuse/KernelGroups.h"
#include "compiler/fuse/StateParts.h"
#include "llvm/ADT/StringSet.h"
#include <queue>

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

namespace {

/// The bases that a member reads, sources' own operands included.
SmallVector<Value> memberBases(Operation *op) {
  SmallVector<Value> bases;
  for (Value operand : op->getOperands()) {
    Value base = resolveView(operand).base;
    if (!isSource(base))
      bases.push_back(base);
    else if (isa<tg::RandomUniformOp, tg::RandomNormalOp>(base.getDefiningOp()))
      bases.push_back(resolveView(base.getDefiningOp()->getOperand(0)).base);
  }
  return bases;
}

} // namespace

SmallVector<Value> KernelGroups::basesOf(Operation *op) {
  SmallVector<Value> bases;
  for (Value operand : op->getOperands())
    bases.push_back(resolveView(operand).base);
  return bases;
}

KernelGroups::KernelGroups(func::FuncOp function) : function(function) {
  int next = 0;
  for (Operation &op : function.getBody().front())
    index[&op] = next++;
  findTouched();
  for (Operation &op : function.getBody().front())
    place(&op);
  dropUnread();
}

void KernelGroups::findTouched() {
  llvm::StringMap<StatePart> states;
  for (auto state : function->getParentOfType<ModuleOp>().getOps<tg::StateOp>())
    states[state.getSymName()] = partOf(state);
  llvm::StringMap<SmallVector<StatePart>> parts; // of each storage
  llvm::StringSet<> known, overlapping;
  SmallVector<std::pair<Operation *, StringRef>> accesses;
  for (Operation &op : function.getBody().front()) {
    StringRef state;
    if (auto read = dyn_cast<tg::ReadOp>(op))
      state = read.getState();
    else if (auto write = dyn_cast<tg::WriteOp>(op))
      state = write.getState();
    if (state.empty())
      continue;
    accesses.push_back({&op, state});
    if (known.insert(state).second)
      parts[states[state].storage].push_back(states[state]);
  }
  for (auto &entry : parts) {
    llvm::sort(entry.second, [](const StatePart &a, const StatePart &b) { return a.begin < b.begin; });
    for (size_t i = 1; i < entry.second.size(); ++i)
      if (entry.second[i].begin < entry.second[i - 1].end)
        overlapping.insert(entry.first());
  }
  for (auto [op, state] : accesses) {
    StringRef storage = states[state].storage, key = overlapping.contains(storage) ? storage : state;
    touched[op] = key;
    lastTouch[key] = index.lookup(op);
  }
}

int KernelGroups::homeOf(Operation *op) const {
  auto found = home.find(op);
  return found == home.end() ? -1 : found->second;
}

int KernelGroups::levelOf(Value base) const {
  Operation *op = base.getDefiningOp();
  if (!op || isSource(base))
    return -1;
  int group = homeOf(op);
  return group >= 0 ? all[group].level : levels.lookup(op);
}

void KernelGroups::place(Operation *op) {
  if (isViewOp(op) || (op->getNumResults() == 1 && isSource(op->getResult(0))) || op->hasTrait<OpTrait::IsTerminator>())
    return;
  if (isMember(op))
    return placeMember(op);
  int level = -1;
  for (Value base : basesOf(op))
    level = std::max(level, levelOf(base));
  if (StringRef storage = touched.lookup(op); !storage.empty())
    if (auto written = writeLevel.find(storage); written != writeLevel.end())
      level = std::max(level, written->second);
  levels[op] = level + 1;
  if (isa<tg::WriteOp>(op))
    writeLevel[touched.lookup(op)] = level + 1;
}

void KernelGroups::placeMember(Operation *op) {
  SmallVector<Value> bases = memberBases(op);
  int level = -1;
  for (Value base : bases)
    level = std::max(level, levelOf(base));
  if (joinGroupsOf(op, bases, level) || joinWaiting(op, bases, level) || joinSibling(op, level + 1))
    return;
  Group group;
  group.level = level + 1;
  group.count = countOf(isa<tg::ReduceOp>(op) ? op->getOperand(0) : op->getResult(0));
  std::optional<Group> fitted = withMember(group, op, [&](Value base) { return levelOf(base); });
  assert(fitted && "an operation always fits a group of its own");
  all.emplace_back();
  home[op] = static_cast<int>(all.size()) - 1;
  assign(static_cast<int>(all.size()) - 1, std::move(*fitted));
}

/// Joins the groups of the operands of the highest level, which merge if they are several.
bool KernelGroups::joinGroupsOf(Operation *op, ArrayRef<Value> bases, int level) {
  llvm::SmallSetVector<int, 4> candidates;
  for (Value base : bases) {
    if (levelOf(base) != level)
      continue;
    int group = base.getDefiningOp() ? homeOf(base.getDefiningOp()) : -1;
    if (group < 0)
      return false;
    candidates.insert(group);
  }
  if (candidates.empty())
    return false;
  Group merged = all[candidates[0]];
  for (int other : ArrayRef(candidates.getArrayRef()).drop_front()) {
    const Group &group = all[other];
    bool columns = !merged.columns || !group.columns || merged.columns == group.columns;
    if (group.count != merged.count || !columns || !addBorders(merged.borders, group.borders))
      return false;
    merged.columns = std::max(merged.columns, group.columns);
    for (auto [member, role] : group.members)
      merged.members.insert({member, role});
    merged.reads.insert(group.reads.begin(), group.reads.end());
  }
  std::optional<Group> fitted = withMember(merged, op, [&](Value base) { return levelOf(base); });
  if (!fitted)
    return false;
  int id = candidates[0];
  for (int other : ArrayRef(candidates.getArrayRef()).drop_front()) {
    for (auto [member, role] : all[other].members)
      home[member] = id;
    all[other] = Group();
  }
  home[op] = id;
  assign(id, std::move(*fitted));
  return true;
}

/// The levels of a group that is computed only at `level`, and of what has to follow it then; nothing when that is much,
/// or reads or writes a state.
std::optional<KernelGroups::Levels> KernelGroups::levelsAfter(int id, int level) const {
  constexpr size_t Most = 16;
  Levels then;
  then.groups[id] = level;
  struct Known {
    Operation *op;
    int group, level; // where it is made, -1 for operations of their own, and when
  };
  SmallVector<Known> open;
  auto openGroup = [&](int group, int known) {
    for (auto [member, role] : all[group].members)
      open.push_back({member, group, known});
  };
  openGroup(id, level);
  while (!open.empty()) {
    auto [maker, from, known] = open.pop_back_val();
    for (Operation *user : maker->getUsers()) {
      int group = homeOf(user);
      if (isViewOp(user)) {
        open.push_back({user, from, known});
      } else if (group >= 0 && group != from) {
        auto [at, isNew] = then.groups.try_emplace(group, all[group].level);
        if (at->second <= known)
          openGroup(group, at->second = known + 1);
      } else if (auto own = levels.find(user); own != levels.end()) {
        if (touched.count(user))
          return std::nullopt;
        auto [at, isNew] = then.own.try_emplace(user, own->second);
        if (at->second <= known)
          open.push_back({user, -1, at->second = known + 1});
      }
    }
    if (then.groups.size() + then.own.size() > Most)
      return std::nullopt;
  }
  return then;
}

void KernelGroups::setLevels(const Levels &then) {
  for (auto [group, at] : then.groups)
    all[group].level = at;
  for (auto [own, at] : then.own)
    levels[own] = at;
}

/// Joins a group of the operands that waits for what else is read: an update of weights reads moments, which a kernel of
/// the same size makes, and a few numbers, which another makes meanwhile.
bool KernelGroups::joinWaiting(Operation *op, ArrayRef<Value> bases, int level) {
  int64_t count = countOf(isa<tg::ReduceOp>(op) ? op->getOperand(0) : op->getResult(0));
  for (Value base : bases) {
    int id = levelOf(base) == level && base.getDefiningOp() ? homeOf(base.getDefiningOp()) : -1;
    if (id < 0 || all[id].count != count)
      continue;
    std::optional<Levels> then = levelsAfter(id, level + 1);
    if (!then)
      continue;
    Group waiting = all[id];
    waiting.level = level + 1;
    auto levelThen = [&](Value value) {
      Operation *maker = value.getDefiningOp();
      return maker && homeOf(maker) == id ? level + 1 : levelOf(value);
    };
    std::optional<Group> fitted = withMember(waiting, op, levelThen);
    if (!fitted)
      continue;
    setLevels(*then);
    home[op] = id;
    assign(id, std::move(*fitted));
    return true;
  }
  return false;
}

/// The value, and what library operations make at the same time: the other results of its maker, the other products of
/// the matrix that it is a product of.
SmallVector<Value> KernelGroups::madeWith(Value value) const {
  SmallVector<Value> made{value};
  Operation *maker = value.getDefiningOp();
  if (!maker || isMember(maker) || isSource(value))
    return made;
  for (Value other : maker->getResults())
    if (other != value)
      made.push_back(other);
  auto product = dyn_cast<tg::GemmOp>(maker);
  if (!product)
    return made;
  // Near each other only: nothing is to be computed a layer early.
  constexpr int Near = 16, Most = 32;
  int seen = 0;
  for (Operation *user : product.getA().getUsers()) {
    auto other = dyn_cast<tg::GemmOp>(user);
    if (other && other != product && other.getA() == product.getA() &&
        std::abs(index.lookup(other) - index.lookup(product)) <= Near)
      made.push_back(other.getResult());
    if (++seen == Most)
      break;
  }
  return made;
}

/// Joins a group of the same level that reads one of the same tensors (or another part of it) anyway, or else what is made
/// together with it.
bool KernelGroups::joinSibling(Operation *op, int level) {
  int64_t count = countOf(isa<tg::ReduceOp>(op) ? op->getOperand(0) : op->getResult(0));
  SmallVector<Value> near, wider;
  for (Value base : basesOf(op)) {
    if (countOf(base) < count || count == 1 || isSource(base))
      continue;
    near.push_back(base);
    llvm::append_range(wider, ArrayRef(madeWith(base)).drop_front());
  }
  near.append(wider);
  for (Value base : near) {
    for (int id : readersOf[base]) {
      if (all[id].level != level || all[id].count != count || all[id].members.empty())
        continue;
      std::optional<Group> fitted = withMember(all[id], op, [&](Value value) { return levelOf(value); });
      if (!fitted)
        continue;
      home[op] = id;
      assign(id, std::move(*fitted));
      return true;
    }
  }
  return false;
}

void KernelGroups::assign(int id, Group group) {
  all[id] = std::move(group);
  for (Value base : all[id].reads) {
    auto &readers = readersOf[base];
    if (!llvm::is_contained(readers, id))
      readers.push_back(id);
  }
}

bool KernelGroups::isTouchedLater(Operation *op) const {
  return isa<tg::WriteOp>(op) && lastTouch.lookup(touched.lookup(op)) > index.lookup(op);
}

void KernelGroups::adopt(Operation *op, int id, Group group) {
  int last = 0;
  for (auto [member, role] : group.members)
    last = std::max(last, index.lookup(member));
  home[op] = id;
  index[op] = last + 1; // what it reads may be the last of them
  assign(id, std::move(group));
}

void KernelGroups::dropUnread() {
  readOutside.clear();
  for (Operation &op : function.getBody().front())
    if (!isMember(&op) && !isViewOp(&op) && !(op.getNumResults() == 1 && isSource(op.getResult(0))))
      for (Value base : basesOf(&op))
        readOutside.insert(base);
  SmallVector<int> byLevel;
  for (size_t i = 0; i < all.size(); ++i)
    byLevel.push_back(static_cast<int>(i));
  llvm::stable_sort(byLevel, [&](int a, int b) { return all[a].level > all[b].level; });
  for (int id : byLevel) {
    Group &group = all[id];
    SmallVector<Operation *> members;
    for (auto [op, role] : group.members)
      members.push_back(op);
    llvm::sort(members, [&](Operation *a, Operation *b) { return index[a] > index[b]; });
    DenseSet<Operation *> needed;
    llvm::SetVector<Value> reads;
    for (Operation *op : members) {
      bool provides = home[op] == id && readOutside.contains(op->getResult(0));
      if (!provides && !needed.contains(op))
        continue;
      needed.insert(op);
      for (Value base : memberBases(op)) {
        Operation *maker = base.getDefiningOp();
        if (maker && group.members.count(maker)) {
          needed.insert(maker);
        } else {
          reads.insert(base);
          readOutside.insert(base);
        }
      }
    }
    group.members.remove_if([&](auto &entry) { return !needed.contains(entry.first); });
    group.reads = std::move(reads);
  }
}

SmallVector<KernelGroups::Node> KernelGroups::order() const {
  // Nodes by number: groups first, then operations of their own.
  SmallVector<Node> nodes;
  SmallVector<int> key;
  DenseMap<Operation *, int> nodeOf;
  for (auto [id, group] : llvm::enumerate(all)) {
    nodes.push_back({static_cast<int>(id), nullptr});
    int first = std::numeric_limits<int>::max();
    for (auto [op, role] : group.members)
      if (homeOf(op) == static_cast<int>(id))
        first = std::min(first, indexOf(op));
    key.push_back(first);
  }
  for (Operation &op : function.getBody().front()) {
    if (!levels.count(&op))
      continue;
    nodeOf[&op] = static_cast<int>(nodes.size());
    nodes.push_back({-1, &op});
    key.push_back(indexOf(&op));
  }
  SmallVector<SmallVector<int, 4>> users(nodes.size());
  SmallVector<int> waits(nodes.size(), 0);
  auto edge = [&](int from, int to) {
    users[from].push_back(to);
    ++waits[to];
  };
  auto edgesFrom = [&](Value base, int to) {
    Operation *maker = base.getDefiningOp();
    if (!maker || isSource(base))
      return;
    edge(homeOf(maker) >= 0 ? homeOf(maker) : nodeOf.lookup(maker), to);
  };
  llvm::StringMap<SmallVector<int>> touching; // since the last write of a storage, it included
  for (size_t node = 0; node < nodes.size(); ++node) {
    if (!nodes[node].op) {
      for (Value base : all[node].reads)
        edgesFrom(base, static_cast<int>(node));
      continue;
    }
    for (Value base : basesOf(nodes[node].op))
      edgesFrom(base, static_cast<int>(node));
    StringRef storage = touched.lookup(nodes[node].op);
    if (storage.empty())
      continue;
    auto &before = touching[storage];
    bool write = isa<tg::WriteOp>(nodes[node].op);
    // A write waits for all of them, a read for the write, which comes first.
    for (int other : ArrayRef<int>(before).take_front(write || before.empty() ? before.size() : 1))
      if (write || isa<tg::WriteOp>(nodes[other].op))
        edge(other, static_cast<int>(node));
    if (write)
      before.clear();
    before.push_back(static_cast<int>(node));
  }
  using Entry = std::pair<int, int>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<Entry>> ready;
  for (size_t node = 0; node < nodes.size(); ++node)
    if (waits[node] == 0)
      ready.push({key[node], static_cast<int>(node)});
  SmallVector<Node> sorted;
  while (!ready.empty()) {
    int node = ready.top().second;
    ready.pop();
    if (nodes[node].op || !all[node].members.empty())
      sorted.push_back(nodes[node]);
    for (int user : users[node])
      if (--waits[user] == 0)
        ready.push({key[user], user});
  }
  return sorted;
}
