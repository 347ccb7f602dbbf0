// SPDX-License-Identifier: Apache-2.0
//
// tg-join-low-rank: x W + h B, with W frozen and B of few rows (LoRA's second factor), is one product of [x | h] with W over B, and what
// the backward takes from one cotangent by W and by B is another. All frozen matrices that read one x share the columns behind it: each
// has rows of zeros where another's factor stands. A matrix and the rows behind it are one state, which
// therefore holds the matrix transposed; functions write the rows that they read.
#include "compiler/fuse/LowRankSites.h"
#include "compiler/fuse/Passes.h"
#include "compiler/fuse/RowProducts.h"
#include "dialects/tg/Build.h"

namespace vcc::fuse {
#define GEN_PASS_DEF_JOINLOWRANKPASS
#include "compiler/fuse/Passes.h.inc"
} // namespace vcc::fuse

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

namespace {

class Joining {
public:
  explicit Joining(ModuleOp stage) : stage(stage), sites(stage) {}

  void run() {
    for (auto &[weight, tail] : sites.tails())
      declare(weight, tail);
    for (auto function : stage.getOps<func::FuncOp>())
      if (!function.isExternal())
        rewrite(function);
  }

private:
  static std::string wideName(StringRef weight) { return ("joined:" + weight).str(); }
  static std::string blockName(StringRef weight, StringRef factor) { return ("joined:" + weight + ":" + factor).str(); }

  void declare(StringRef weight, const LowRankTail &tail) {
    tg::StateOp state = sites.state(weight);
    int64_t n = state.getTensorType().getDimSize(0), k = state.getTensorType().getDimSize(1);
    OpBuilder builder(state);
    auto typeOf = [&](int64_t rows) { return TypeAttr::get(state.getTensorType().clone({rows, n})); };
    auto make = [&](const Twine &name, TypeAttr type, FlatSymbolRefAttr storage, int64_t offset) {
      return builder.create<tg::StateOp>(state.getLoc(), builder.getStringAttr(name), state.getKindAttr(), type, UnitAttr(), storage,
                                         storage ? builder.getI64IntegerAttr(offset) : IntegerAttr(), UnitAttr(), UnitAttr());
    };
    make(wideName(weight), typeOf(k + tail.rows), {}, 0).setJoined(true);
    auto storage = FlatSymbolRefAttr::get(builder.getContext(), wideName(weight));
    const LowRankTail::Factor *factor = tail.of(weight);
    make(blockName(weight, factor->path), typeOf(factor->rank), storage, (k + factor->begin) * n);
    state.setTypeAttr(typeOf(k));
    state.setStorageAttr(storage);
    state.setOffset(0);
    state.setTransposed(true);
  }

  // Functions

  void rewrite(func::FuncOp function) {
    wide.clear(), siteOf.clear(), firstRead.clear();
    for (auto &[x, group] : sites.of(function))
      for (const LowRankSite &site : group)
        siteOf.try_emplace(site.weight, &site);
    for (auto read : function.getOps<tg::ReadOp>())
      if (sites.tails().contains(read.getState()))
        firstRead.try_emplace(read.getState(), read);
    for (auto write : llvm::make_early_inc_range(function.getOps<tg::WriteOp>()))
      if (sites.tails().contains(write.getState())) {
        OpBuilder builder(write);
        write.getValueMutable().assign(transposed(builder, write.getLoc(), write.getValue()));
      }
    for (auto &[x, group] : sites.of(function))
      join(function, group);
    joinBackward(function);
    SmallVector<tg::ReadOp> reads;
    for (auto read : function.getOps<tg::ReadOp>())
      if (sites.tails().contains(read.getState()))
        reads.push_back(read);
    for (tg::ReadOp read : reads)
      if (!read.use_empty())
        replaceUses(read);
    for (tg::ReadOp read : reads)
      read.erase();
  }

  static Value transposed(OpBuilder &builder, Location loc, Value value) {
    RankedTensorType type = tg::tensorType(value);
    return builder.create<tg::TransposeOp>(loc, type.clone({type.getDimSize(1), type.getDimSize(0)}), value, ArrayRef<int64_t>{1, 0});
  }

  /// The matrix with the rows behind it, which are written first if a product of the function reads them.
  Value wideOf(StringRef weight) {
    Value &known = wide[weight];
    if (known)
      return known;
    tg::ReadOp read = firstRead.lookup(weight);
    OpBuilder builder(read);
    auto type = sites.state(weight).getTensorType();
    if (const LowRankSite *site = siteOf.lookup(weight)) {
      tg::StateOp factor = sites.state(site->factor);
      Location loc = site->thin->getLoc();
      Value value = transposed(builder, loc, builder.create<tg::ReadOp>(loc, factor.getTensorType(), site->factor));
      if (Type element = type.getElementType(); element != factor.getTensorType().getElementType())
        value = builder.create<tg::CastOp>(loc, tg::tensorType(value).clone(element), value);
      builder.create<tg::WriteOp>(loc, blockName(weight, site->factor), value, /*accumulate=*/false);
    }
    auto whole = type.clone({type.getDimSize(0) + sites.tails().find(weight)->second.rows, type.getDimSize(1)});
    return known = builder.create<tg::ReadOp>(read.getLoc(), whole, wideName(weight));
  }

  /// The products of one x with their thin ones.
  void join(func::FuncOp function, ArrayRef<LowRankSite> group) {
    Value x = group.front().x();
    llvm::DenseSet<Operation *> behind; // what the factors' rows are made of
    for (const LowRankSite &site : group)
      walkBetween(x, site.h(), [&](Operation *op) { return behind.insert(op), true; });
    Operation *last = lastMakerOf(group);
    OpBuilder builder(function.getContext());
    last ? builder.setInsertionPointAfter(last) : builder.setInsertionPointToStart(&function.getBody().front());
    const LowRankTail &tail = sites.tails().find(group.front().weight)->second;
    RankedTensorType type = tg::tensorType(x);
    int64_t axis = type.getRank() - 1, used = 0;
    SmallVector<Value> parts{x};
    auto widthOf = [&](int64_t width) {
      SmallVector<int64_t> shape(type.getShape());
      shape[axis] = width;
      return type.clone(shape);
    };
    auto fill = [&](int64_t until) {
      if (used < until)
        parts.push_back(tg::buildSplat(builder, x.getLoc(), widthOf(until - used), 0.0));
      used = until;
    };
    for (const LowRankTail::Factor &factor : tail.factors) {
      const LowRankSite *site = llvm::find_if(group, [&](const LowRankSite &each) { return each.weight == factor.weight; });
      if (site == group.end())
        continue;
      fill(factor.begin);
      parts.push_back(site->h());
      used += factor.rank;
    }
    fill(tail.rows);
    Value whole = tg::buildConcat(builder, x.getLoc(), parts, axis);
    for (const LowRankSite &site : group) {
      OpBuilder at(site.base);
      Location loc = at.getFusedLoc({site.base->getLoc(), site.thin->getLoc()});
      Value joined = multiplyRows(at, loc, tg::tensorType(site.base->getResult(0)).getElementType(), whole, wideOf(site.weight), /*axis=*/0);
      site.sum->getResult(0).replaceAllUsesWith(site.rest());
      site.sum->erase();
      site.base->getResult(0).replaceAllUsesWith(joined);
      site.base->erase();
    }
    delay(x.getDefiningOp(), whole.getDefiningOp(), readThrough(x, whole, behind));
  }

  /// Lets the other products of x read it where it stands before the rows, unless one that makes these rows needs it before. Returns the
  /// last operation that they or the joined ones wait for.
  static Operation *readThrough(Value x, Value whole, const llvm::DenseSet<Operation *> &behind) {
    SmallVector<OpOperand *> readers;
    for (OpOperand &use : x.getUses()) {
      if (!isa<tg::DotGeneralOp>(use.getOwner()))
        continue;
      if (behind.contains(use.getOwner()))
        return whole.getDefiningOp();
      readers.push_back(&use);
    }
    if (readers.empty())
      return whole.getDefiningOp();
    OpBuilder builder(whole.getContext());
    builder.setInsertionPointAfterValue(whole);
    int64_t axis = tg::tensorType(x).getRank() - 1;
    Value seen = tg::buildPart(builder, x.getLoc(), whole, axis, 0, tg::tensorType(x).getDimSize(axis));
    for (OpOperand *use : readers)
      use->set(seen);
    return seen.getDefiningOp();
  }

  /// Moves what reads `whole` or `last`, which stands behind it, and stands before them behind both, with all that follows from it.
  static void delay(Operation *from, Operation *whole, Operation *last) {
    llvm::DenseSet<Operation *> late{whole, last};
    SmallVector<Operation *> order;
    Operation *op = from ? from->getNextNode() : &whole->getBlock()->front();
    for (; op != whole; op = op->getNextNode())
      if (llvm::any_of(op->getOperands(), [&](Value operand) { return late.contains(operand.getDefiningOp()); })) {
        late.insert(op);
        order.push_back(op);
      }
    for (Operation *each : order) {
      each->moveAfter(last);
      last = each;
    }
  }

  /// d(x) and d(h) of one cotangent, where products of the function read a factor behind the matrix.
  void joinBackward(func::FuncOp function) {
    SmallVector<tg::DotGeneralOp> bases;
    for (auto dot : function.getOps<tg::DotGeneralOp>())
      if (multipliesRows(dot, 0) && siteOf.contains(stateBehind(dot.getB())))
        bases.push_back(dot);
    for (tg::DotGeneralOp base : bases) {
      StringRef weight = stateBehind(base.getB());
      const LowRankTail::Factor *factor = sites.tails().find(weight)->second.of(weight);
      for (Operation *user : base.getA().getUsers()) {
        auto thin = dyn_cast<tg::DotGeneralOp>(user);
        if (!thin || thin.getA() != base.getA() || !multipliesRows(thin, 0) || stateBehind(thin.getB()) != factor->path ||
            tg::tensorType(thin.getResult()).getElementType() != tg::tensorType(base.getResult()).getElementType())
          continue;
        joinCotangents(base, thin, *factor);
        break;
      }
    }
  }

  void joinCotangents(tg::DotGeneralOp base, tg::DotGeneralOp thin, const LowRankTail::Factor &factor) {
    Value matrix = wideOf(factor.weight);
    OpBuilder builder(base->isBeforeInBlock(thin) ? base : thin);
    if (!matrix.getDefiningOp()->isBeforeInBlock(&*builder.getInsertionPoint()))
      return;
    RankedTensorType type = tg::tensorType(base.getResult());
    int64_t axis = type.getRank() - 1, columns = type.getShape().back();
    Location loc = builder.getFusedLoc({base.getLoc(), thin.getLoc()});
    Value joined = multiplyRows(builder, loc, type.getElementType(), base.getA(), matrix, /*axis=*/1);
    base.getResult().replaceAllUsesWith(tg::buildPart(builder, base.getLoc(), joined, axis, 0, columns));
    thin.getResult().replaceAllUsesWith(tg::buildPart(builder, thin.getLoc(), joined, axis, columns + factor.begin, factor.rank));
    base.erase();
    thin.erase();
  }

  void replaceUses(tg::ReadOp read) {
    Value matrix = wideOf(read.getState());
    OpBuilder builder(read);
    int64_t rows = sites.state(read.getState()).getTensorType().getDimSize(0);
    read.getResult().replaceAllUsesWith(transposed(builder, read.getLoc(), tg::buildPart(builder, read.getLoc(), matrix, 0, 0, rows)));
  }

  ModuleOp stage;
  LowRankSites sites;
  // In the function at hand, by frozen matrix.
  llvm::StringMap<Value> wide;
  llvm::StringMap<const LowRankSite *> siteOf;
  llvm::StringMap<tg::ReadOp> firstRead;
};

struct JoinLowRank : fuse::impl::JoinLowRankPassBase<JoinLowRank> {
  void runOnOperation() override { Joining(getOperation()).run(); }
};

} // namespace
