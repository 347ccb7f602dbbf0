// SPDX-License-Identifier: Apache-2.0
//
// tg-separate-samples: where rows hold several samples, each of them gets a row for its attention alone. Which position goes
// where is counted from `starts`: samples are numbered in the order of their positions, so that the number of a position's sample is
// how many begin up to it. Everything is a gather, and nothing is scattered. What lies behind a sample in its row is another position,
// since no key is seen there and nobody reads what its queries give; only their cotangents must be zeros.
#include "compiler/fuse/AttentionCalls.h"
#include "dialects/tg/Build.h"
#include "llvm/ADT/MapVector.h"

namespace vcc::fuse {
#define GEN_PASS_DEF_SEPARATESAMPLESPASS
#include "compiler/fuse/Passes.h.inc"
} // namespace vcc::fuse

using namespace mlir;
using namespace vcc;

namespace {

/// Where the positions of some rows go, and come from.
struct Places {
  int64_t most, longest;
  Value lengths; ///< [most], of each sample; of one that is not there 1, so that no query is without a key
  Value from;    ///< [most, longest]: the position in all rows, or -1
  Value to;      ///< [B, S]: the place in the rows of samples, or -1
};

/// Counts places, in whole numbers.
class Counting {
public:
  Counting(OpBuilder &builder, Location loc) : builder(builder), loc(loc) {}

  Places count(Value lengths, Value starts, int64_t most, int64_t longest) {
    int64_t b = tg::tensorType(starts).getDimSize(0), s = tg::tensorType(starts).getDimSize(1);
    Value place = iota({b, s}, 1), inUse = compare(place, spread(lengths, {b, s}, {0}), tg::Predicate::Lt);
    Value begins = builder.create<tg::AndOp>(loc, inUse, compare(starts, place, tg::Predicate::Eq));
    Value ones = select(begins, number({b, s}, 1), 0);
    // The number of a position's sample, from 1: those that began in rows before, and in this one up to here.
    Value upTo = compare(iota({b, s, s}, 2), iota({b, s, s}, 1), tg::Predicate::Le);
    Value inRow = sum(select(upTo, spread(ones, {b, s, s}, {0, 2}), 0));
    Value earlier = compare(iota({b, b}, 1), iota({b, b}, 0), tg::Predicate::Lt);
    Value before = sum(select(earlier, spread(sum(ones), {b, b}, {1}), 0));
    Value sample = make<tg::AddOp>(inRow, spread(before, {b, s}, {0}));

    auto eachPosition = [&](Value x) { return spread(reshape(x, {b * s}), {most, b * s}, {1}); };
    Value number0 = iota({most, b * s}, 0), one = number({most, b * s}, 1);
    // As many positions lie before a sample as are of those with lower numbers.
    Value first = sum(select(compare(eachPosition(sample), number0, tg::Predicate::Le), one, 0));
    Value mine = compare(eachPosition(select(inUse, sample, 0)), make<tg::AddOp>(number0, one), tg::Predicate::Eq);
    Value length = sum(select(mine, one, 0));

    Value column = iota({most, longest}, 1);
    Value there = compare(column, spread(length, {most, longest}, {0}), tg::Predicate::Lt);
    Value from = select(there, make<tg::AddOp>(spread(first, {most, longest}, {0}), column), -1);
    Value row = make<tg::MulOp>(make<tg::SubOp>(sample, number({b, s}, 1)), number({b, s}, double(longest)));
    Value to = select(inUse, make<tg::AddOp>(row, make<tg::SubOp>(place, starts)), -1);
    return {most, longest, make<tg::MaxOp>(length, number({most}, 1)), from, to};
  }

private:
  RankedTensorType whole(ArrayRef<int64_t> shape) { return RankedTensorType::get(shape, builder.getI32Type()); }
  Value iota(ArrayRef<int64_t> shape, int64_t axis) { return builder.create<tg::IotaOp>(loc, whole(shape), axis); }
  Value number(ArrayRef<int64_t> shape, double value) { return tg::buildSplat(builder, loc, whole(shape), value); }
  Value spread(Value x, ArrayRef<int64_t> shape, ArrayRef<int64_t> axes) {
    return builder.create<tg::BroadcastOp>(loc, whole(shape), x, axes);
  }
  Value reshape(Value x, ArrayRef<int64_t> shape) { return builder.create<tg::ReshapeOp>(loc, whole(shape), x); }
  Value compare(Value x, Value y, tg::Predicate predicate) {
    auto type = RankedTensorType::get(tg::tensorType(x).getShape(), builder.getI1Type());
    return builder.create<tg::CompareOp>(loc, type, x, y, predicate);
  }
  Value select(Value condition, Value x, double other) {
    return builder.create<tg::SelectOp>(loc, x.getType(), condition, x, number(tg::tensorType(x).getShape(), other));
  }
  Value sum(Value x) { return tg::buildSum(builder, loc, x, {tg::tensorType(x).getRank() - 1}); }
  template <typename Op> Value make(Value x, Value y) { return builder.create<Op>(loc, x.getType(), x, y); }

  OpBuilder &builder;
  Location loc;
};

/// Rows [B, S, ..] as those of single samples, and back.
struct Moving {
  OpBuilder &builder;
  Location loc;
  const Places &places;

  Value apart(Value x) { return moved(x, places.from, /*zeros=*/false); }
  Value cotangentsApart(Value x) { return moved(x, places.from, /*zeros=*/true); }
  Value together(Value x) { return moved(x, places.to, /*zeros=*/true); }

private:
  /// `zeros`: where there is no place; else the first row's.
  Value moved(Value x, Value ids, bool zeros) {
    RankedTensorType type = tg::tensorType(x);
    ArrayRef<int64_t> shape = type.getShape(), rows = tg::tensorType(ids).getShape();
    int64_t width = shape[2] * shape[3];
    Value table = builder.create<tg::ReshapeOp>(loc, type.clone({shape[0] * shape[1], width}), x);
    auto wide = type.clone({rows[0], rows[1], width});
    Value found = builder.create<tg::GatherOp>(loc, wide, table, ids);
    if (zeros) {
      auto whole = RankedTensorType::get(wide.getShape(), builder.getI32Type()), bits = RankedTensorType::get(wide.getShape(), builder.getI1Type());
      Value spread = builder.create<tg::BroadcastOp>(loc, whole, ids, ArrayRef<int64_t>{0, 1});
      Value there = builder.create<tg::CompareOp>(loc, bits, spread, tg::buildSplat(builder, loc, whole, 0), tg::Predicate::Ge);
      found = builder.create<tg::SelectOp>(loc, wide, there, found, tg::buildSplat(builder, loc, wide, 0));
    }
    return builder.create<tg::ReshapeOp>(loc, type.clone({rows[0], rows[1], shape[2], shape[3]}), found);
  }
};

/// What a value is: where a segment is computed again, it enters through a barrier. To look through that keeps nothing longer but what is
/// counted from it, which is small, and is then counted once.
Value entering(Value value) {
  while (auto barrier = value.getDefiningOp<tg::BarrierOp>())
    value = barrier.getInputs()[cast<OpResult>(value).getResultNumber()];
  return value;
}

/// The gradients of an attention, if nothing else reads its log-sum-exps, which are of other rows afterwards.
std::optional<SmallVector<tg::AttentionGradOp>> gradientsOf(tg::AttentionOp op) {
  SmallVector<tg::AttentionGradOp> gradients;
  for (Operation *user : op.getLse().getUsers()) {
    auto grad = dyn_cast<tg::AttentionGradOp>(user);
    if (!grad || grad.getQ() != op.getQ() || grad.getK() != op.getK() || grad.getV() != op.getV() || grad.getOut() != op.getOut() ||
        !grad.getLengths() || entering(grad.getLengths()) != entering(op.getLengths()) || !grad.getStarts() ||
        entering(grad.getStarts()) != entering(op.getStarts()))
      return std::nullopt;
    gradients.push_back(grad);
  }
  return gradients;
}

struct SeparateSamples : fuse::impl::SeparateSamplesPassBase<SeparateSamples> {
  void runOnOperation() override {
    getOperation().walk([&](func::FuncOp function) {
      known.clear();
      SmallVector<tg::AttentionOp> whole(function.getOps<tg::AttentionOp>());
      for (tg::AttentionOp attention : whole)
        if (fuse::canSeparate(attention))
          if (auto gradients = gradientsOf(attention))
            separate(attention, *gradients);
    });
  }

private:
  void separate(tg::AttentionOp op, ArrayRef<tg::AttentionGradOp> gradients) {
    OpBuilder builder(op);
    Location loc = op.getLoc();
    const Places &places = placesFor(op);
    Moving rows{builder, loc, places};
    Value q = rows.apart(op.getQ()), k = rows.apart(op.getK()), v = rows.apart(op.getV());
    auto alone = builder.create<tg::AttentionOp>(loc, q, k, v, places.lengths, /*starts=*/Value(), /*rng=*/Value(), op.getCausalAttr(),
                                                 op.getScaleAttr(), op.getDropoutAttr(), op.getSiteAttr(), /*samples=*/nullptr);
    Value out = rows.together(alone.getOut());
    for (tg::AttentionGradOp grad : gradients) {
      builder.setInsertionPoint(grad);
      Moving back{builder, grad.getLoc(), places};
      auto single = builder.create<tg::AttentionGradOp>(grad.getLoc(), q, k, v, alone.getOut(), alone.getLse(), back.cotangentsApart(grad.getDout()),
                                                        places.lengths, /*starts=*/Value(), /*rng=*/Value(), grad.getCausalAttr(),
                                                        grad.getScaleAttr(), grad.getDropoutAttr(), grad.getSiteAttr());
      for (auto [old, result] : llvm::zip_equal(grad.getResults(), single.getResults()))
        old.replaceAllUsesWith(back.together(result));
      grad.erase();
    }
    op.getOut().replaceAllUsesWith(out);
    op.erase();
  }

  /// Made where the first attention over these rows stands.
  const Places &placesFor(tg::AttentionOp op) {
    ArrayRef<int64_t> samples = *op.getSamples();
    Value lengths = entering(op.getLengths()), starts = entering(op.getStarts());
    auto found = known.find({lengths, starts});
    if (found != known.end() && found->second.most == samples[0] && found->second.longest == samples[1])
      return found->second;
    OpBuilder builder(op);
    Places made = Counting(builder, op.getLoc()).count(lengths, starts, samples[0], samples[1]);
    return known[{lengths, starts}] = made;
  }

  llvm::MapVector<std::pair<Value, Value>, Places> known;
};

} // namespace
