// SPDX-License-Identifier: Apache-2.0
#include "compiler/fuse/LowRankSites.h"
#include "compiler/fuse/RowProducts.h"
#include "compiler/fuse/StateParts.h"
#include "dialects/tg/Build.h"
#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

/// Factors that stand behind one x have together at most one of so many parts of its width.
static constexpr int64_t LeastThinness = 4;
/// Rows behind a matrix are rounded up to as many, so that every row of [x | h] starts at a multiple of 16 bytes.
static constexpr int64_t TailUnit = 8;

const LowRankTail::Factor *LowRankTail::of(StringRef weight) const {
  const Factor *found = llvm::find_if(factors, [&](const Factor &factor) { return factor.weight == weight; });
  return found == factors.end() ? nullptr : found;
}

bool LowRankTail::operator==(const LowRankTail &other) const {
  return llvm::equal(factors, other.factors, [](const Factor &a, const Factor &b) { return a.weight == b.weight; });
}

bool fuse::walkBetween(Value x, Value value, function_ref<bool(Operation *)> visit) {
  SmallVector<Value> open{value};
  llvm::DenseSet<Operation *> seen;
  Operation *first = x.getDefiningOp();
  while (!open.empty()) {
    Operation *op = open.pop_back_val().getDefiningOp();
    if (!op || op == first || (first && op->isBeforeInBlock(first)) || !seen.insert(op).second)
      continue;
    if (!visit(op))
      return false;
    open.append(op->operand_begin(), op->operand_end());
  }
  return true;
}

/// The product that a value is, but for roundings; nothing else may read it.
static tg::DotGeneralOp productOf(Value value) {
  while (value.hasOneUse()) {
    if (auto dot = value.getDefiningOp<tg::DotGeneralOp>())
      return dot;
    value = unrounded(value);
    if (!value)
      break;
  }
  return {};
}

/// Whether rows are multiplied with what is used, in a linear layer or its backward.
static bool isMatrixOfRows(OpOperand &use) {
  auto dot = dyn_cast<tg::DotGeneralOp>(use.getOwner());
  return dot && use.getOperandNumber() == 1 && (multipliesRows(dot, 0) || multipliesRows(dot, 1));
}

LowRankSites::LowRankSites(ModuleOp stage) : states(stage) {
  findFrozen(stage);
  for (auto function : stage.getOps<func::FuncOp>())
    if (!function.isExternal())
      groupsOf[function] = groupsIn(function);
  agreeOnTails();
}

const LowRankSites::Groups &LowRankSites::of(func::FuncOp function) const { return groupsOf.find(function)->second; }

void LowRankSites::findFrozen(ModuleOp stage) {
  llvm::StringSet<> others;
  for (auto state : stage.getOps<tg::StateOp>())
    if (state.getStorage())
      others.insert(*state.getStorage());
  for (auto function : stage.getOps<func::FuncOp>()) {
    bool initialises = function.getSymName().starts_with("init");
    for (auto write : function.getOps<tg::WriteOp>())
      if (!initialises)
        others.insert(write.getState());
    // Any other reader would have the matrix turned for it each time.
    for (auto read : function.getOps<tg::ReadOp>())
      if (initialises || !llvm::all_of(read->getUses(), isMatrixOfRows))
        others.insert(read.getState());
  }
  for (auto state : stage.getOps<tg::StateOp>())
    if (state.getKind() == tg::StateKind::Weight && !state.getTrainable() && !state.getStorage() &&
        state.getTensorType().getRank() == 2 && !others.contains(state.getSymName()))
      frozen.insert(state.getSymName());
}

/// The product with a frozen matrix that `value` is made of: through roundings, and what else is added, a bias.
tg::DotGeneralOp LowRankSites::baseOf(Value value) const {
  if (tg::DotGeneralOp dot = productOf(value)) {
    bool fits = multipliesRows(dot, 1) && dot.getB().getDefiningOp<tg::ReadOp>() && frozen.contains(stateBehind(dot.getB()));
    return fits ? dot : tg::DotGeneralOp();
  }
  while (value.hasOneUse() && unrounded(value))
    value = unrounded(value);
  auto add = value.getDefiningOp<tg::AddOp>();
  if (!add || !value.hasOneUse())
    return {};
  tg::DotGeneralOp left = baseOf(add.getLhs());
  return left ? left : baseOf(add.getRhs());
}

std::optional<LowRankSite> LowRankSites::siteOf(tg::AddOp sum) const {
  for (auto [one, other] : {std::pair(sum.getRhs(), sum.getLhs()), std::pair(sum.getLhs(), sum.getRhs())}) {
    tg::DotGeneralOp thin = productOf(one);
    if (!thin || !multipliesRows(thin, 1))
      continue;
    tg::StateOp factor = state(stateBehind(thin.getB()));
    tg::DotGeneralOp base = factor && factor.getTrainable() ? baseOf(other) : tg::DotGeneralOp();
    if (!base || base.getA() == thin.getA())
      continue;
    RankedTensorType x = tg::tensorType(base.getA()), h = tg::tensorType(thin.getA());
    if (x.getElementType() == h.getElementType() && x.getShape().drop_back() == h.getShape().drop_back() && base.getType() == thin.getType() &&
        h.getShape().back() * LeastThinness <= x.getShape().back())
      return LowRankSite{sum, base, thin, one == sum.getLhs(), stateBehind(base.getB()), factor.getSymName()};
  }
  return std::nullopt;
}

Operation *fuse::lastMakerOf(ArrayRef<LowRankSite> group) {
  Operation *last = group.front().x().getDefiningOp();
  for (const LowRankSite &site : group)
    if (Operation *maker = site.h().getDefiningOp(); maker && (!last || last->isBeforeInBlock(maker)))
      last = maker;
  return last;
}

/// Whether a function reads or writes again what it wrote. What reads [x | h] moves behind it: where that writes, it must not pass such an access.
static bool comesBack(func::FuncOp function, const SymbolTable &states) {
  llvm::StringMap<SmallVector<StatePart>> written; // by storage
  for (Operation &op : function.getBody().front()) {
    auto write = dyn_cast<tg::WriteOp>(op);
    auto read = dyn_cast<tg::ReadOp>(op);
    if (!write && !read)
      continue;
    StatePart part = partOf(states.lookup<tg::StateOp>(write ? write.getState() : read.getState()));
    SmallVector<StatePart> &before = written[part.storage];
    if (llvm::any_of(before, [&](const StatePart &other) { return other.overlaps(part); }))
      return true;
    if (write)
      before.push_back(part);
  }
  return false;
}

LowRankSites::Groups LowRankSites::groupsIn(func::FuncOp function) const {
  llvm::StringSet<> written = storagesWritten(function, states); // a factor is read once, where the rows behind its matrix are made
  Groups groups;
  if (comesBack(function, states))
    return groups;
  llvm::DenseSet<Operation *> bases;
  for (auto sum : function.getOps<tg::AddOp>()) {
    std::optional<LowRankSite> site = siteOf(sum);
    if (!site || !bases.insert(site->base).second)
      continue;
    if (!written.contains(partOf(state(site->factor)).storage))
      groups[site->x()].push_back(*site);
  }
  // What stands behind x cannot be made of what reads it there.
  groups.remove_if([&](auto &group) {
    return !llvm::all_of(group.second, [&](const LowRankSite &site) {
      return walkBetween(group.first, site.h(), [&](Operation *op) { return !bases.contains(op); });
    });
  });
  return groups;
}

static LowRankTail makeTail(ArrayRef<LowRankSite> sites) {
  LowRankTail tail;
  for (const LowRankSite &site : sites) {
    int64_t rank = tg::tensorType(site.h()).getShape().back();
    tail.factors.push_back({site.weight, site.factor, rank, tail.rows});
    tail.rows += rank;
  }
  tail.rows = static_cast<int64_t>(llvm::alignTo(tail.rows, TailUnit));
  return tail;
}

/// A matrix has one tail in all functions that train, that of the largest group; a smaller one may be a part of it. Where they do not agree,
/// or a tail is no longer thin, matrices stay as they are. Evaluations change nothing of that: theirs are parts, or are left.
void LowRankSites::agreeOnTails() {
  auto evaluates = [](Operation *function) { return cast<func::FuncOp>(function).getSymName().starts_with("evaluate"); };
  SmallVector<ArrayRef<LowRankSite>> all;
  for (auto &[function, groups] : groupsOf)
    for (auto &[x, sites] : groups)
      if (!evaluates(function))
        all.push_back(sites);
  llvm::stable_sort(all, [](ArrayRef<LowRankSite> a, ArrayRef<LowRankSite> b) { return a.size() > b.size(); });
  llvm::StringSet<> refused;
  for (bool changed = true; changed;) {
    changed = false;
    tailOf.clear();
    for (ArrayRef<LowRankSite> sites : all)
      if (!agree(sites, refused))
        for (const LowRankSite &site : sites)
          changed |= refused.insert(site.weight).second;
  }
  for (auto &[function, groups] : groupsOf)
    groups.remove_if([&](auto &group) { return !isPart(group.second); });
}

bool LowRankSites::agree(ArrayRef<LowRankSite> sites, const llvm::StringSet<> &refused) {
  LowRankTail tail = makeTail(sites);
  int64_t width = tg::tensorType(sites.front().x()).getShape().back(), ranks = tail.factors.back().begin + tail.factors.back().rank;
  if (ranks * LeastThinness > width || llvm::any_of(sites, [&](const LowRankSite &site) { return refused.contains(site.weight); }))
    return false;
  if (!tailOf.contains(sites.front().weight))
    for (const LowRankSite &site : sites)
      tailOf.try_emplace(site.weight, tail);
  return isPart(sites);
}

/// Whether all sites have the same tail, each with its own factor, and once.
bool LowRankSites::isPart(ArrayRef<LowRankSite> sites) const {
  const auto *first = tailOf.find(sites.front().weight);
  llvm::StringSet<> mine;
  return first != tailOf.end() && llvm::all_of(sites, [&](const LowRankSite &site) {
           const auto *own = tailOf.find(site.weight);
           const LowRankTail::Factor *factor = first->second.of(site.weight);
           return own != tailOf.end() && own->second == first->second && factor && factor->path == site.factor && mine.insert(site.weight).second;
         });
}
