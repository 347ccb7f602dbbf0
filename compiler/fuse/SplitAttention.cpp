// SPDX-License-Identifier: Apache-2.0
//
// Attention as products and rows. Scores are [B, G, H/G, Sq, Sk]: query heads by the key head that they read. Of narrow
// operands the products are narrow; what lies between them is computed in f32.
#include "compiler/fuse/SplitAttention.h"
#include "compiler/fuse/AttentionCalls.h"
#include "dialects/tg/Build.h"

#include <limits>

using namespace mlir;
using namespace vcc;

namespace {

/// Builds the parts that forward and backward share, around one attention.
class Scores {
public:
  template <typename Op>
  Scores(OpBuilder &builder, Op op)
      : builder(builder), loc(op.getLoc()), narrow(tg::tensorType(op.getQ()).getElementType()),
        element(narrow.isF64() ? narrow : builder.getF32Type()), causal(op.getCausal()),
        scale(op.getScale().convertToDouble()), rate(op.getDropout().convertToDouble()) {
    ArrayRef<int64_t> queries = tg::tensorType(op.getQ()).getShape(), keys = tg::tensorType(op.getK()).getShape();
    b = queries[0], sq = queries[1], h = queries[2], d = queries[3], sk = keys[1], g = keys[2];
    type = RankedTensorType::get({b, g, h / g, sq, sk}, element);
    visible = buildVisible(op.getLengths(), op.getStarts());
    if (rate != 0)
      kept = buildKept(op.getRng(), op.getSiteAttr());
  }

  /// [B, Sq, H, D] as [B, G, H/G, Sq, D].
  Value byHeads(Value x) {
    Value parts = reshape(x, {b, sq, g, h / g, d});
    return transpose(parts, {0, 2, 3, 1, 4});
  }
  Value fromHeads(Value x) { return reshape(transpose(x, {0, 3, 1, 2, 4}), {b, sq, h, d}); }

  /// Products over the last axis with rows of keys or values [B, Sk, G, D].
  Value withKeys(Value x, Value keys) { return in(element, dot(x, keys, {0, 1}, {0, 2}, {4}, {3}, {b, g, h / g, sq, sk})); }
  /// Sums over keys: [B, G, H/G, Sq, Sk] with [B, Sk, G, D].
  Value overKeys(Value p, Value keys) { return dot(in(narrow, p), keys, {0, 1}, {0, 2}, {4}, {1}, {b, g, h / g, sq, d}); }
  /// Sums over the queries of all heads: [B, G, H/G, Sq, Sk] with [B, G, H/G, Sq, D] gives [B, Sk, G, D].
  Value overQueries(Value p, Value x) {
    Value sums = dot(in(narrow, p), x, {0, 1}, {0, 1}, {2, 3}, {2, 3}, {b, g, sk, d});
    return transpose(sums, {0, 2, 1, 3});
  }

  Value scaled(Value products) { return make<tg::MulOp>(products, number(type, scale)); }
  Value dropped(Value p) { return kept ? select(kept, make<tg::MulOp>(p, number(type, 1.0 / (1.0 - rate))), 0.0) : p; }
  Value select(Value condition, Value x, double other) {
    return builder.create<tg::SelectOp>(loc, x.getType(), condition, x, number(tg::tensorType(x), other));
  }
  Value seen(Value x, double other) { return visible ? select(visible, x, other) : x; }

  Value reduce(Value x, tg::ReduceKind kind) {
    auto rows = RankedTensorType::get(type.getShape().drop_back(), element);
    return builder.create<tg::ReduceOp>(loc, rows, x, kind, ArrayRef<int64_t>{4});
  }
  Value spread(Value rows) { return builder.create<tg::BroadcastOp>(loc, type, rows, ArrayRef<int64_t>{0, 1, 2, 3}); }
  Value rowsOf(Value perHead) { return reshape(perHead, {b, g, h / g, sq}); }
  Value perHead(Value rows) { return reshape(rows, {b, h, sq}); }
  template <typename Op> Value make(Value x) { return builder.create<Op>(loc, x.getType(), x); }
  template <typename Op> Value make(Value x, Value y) { return builder.create<Op>(loc, x.getType(), x, y); }
  Value one(Value like) { return number(tg::tensorType(like), 1.0); }
  Value times(Value x, double factor) { return make<tg::MulOp>(x, number(tg::tensorType(x), factor)); }

  double scaleFactor() const { return scale; }

private:
  Value number(RankedTensorType like, double value) { return tg::buildSplat(builder, loc, like, value); }
  Value reshape(Value x, ArrayRef<int64_t> shape) {
    auto to = RankedTensorType::get(shape, tg::tensorType(x).getElementType());
    return x.getType() == to ? x : builder.create<tg::ReshapeOp>(loc, to, x).getResult();
  }
  Value transpose(Value x, ArrayRef<int64_t> permutation) {
    SmallVector<int64_t> shape;
    for (int64_t axis : permutation)
      shape.push_back(tg::tensorType(x).getShape()[axis]);
    return builder.create<tg::TransposeOp>(loc, tg::tensorType(x).clone(shape), x, permutation);
  }
  Value dot(Value x, Value y, ArrayRef<int64_t> batchX, ArrayRef<int64_t> batchY, ArrayRef<int64_t> contractX,
            ArrayRef<int64_t> contractY, ArrayRef<int64_t> shape) {
    return builder.create<tg::DotGeneralOp>(loc, RankedTensorType::get(shape, narrow), x, y, batchX, batchY,
                                            contractX, contractY);
  }
  Value in(Type wanted, Value x) {
    auto type = tg::tensorType(x);
    return type.getElementType() == wanted ? x : builder.create<tg::CastOp>(loc, type.clone(wanted), x).getResult();
  }
  Value compare(Value x, Value y, tg::Predicate predicate) {
    auto bits = RankedTensorType::get(tg::tensorType(x).getShape(), builder.getI1Type());
    return builder.create<tg::CompareOp>(loc, bits, x, y, predicate);
  }

  /// Query i sees key j iff j < lengths[b], j >= starts[b, i] and, when causal, j <= i + Sk - Sq.
  Value buildVisible(Value lengths, Value starts) {
    auto whole = RankedTensorType::get(type.getShape(), builder.getI32Type());
    Value key = builder.create<tg::IotaOp>(loc, whole, 4), sees;
    auto places = [&](Value x, ArrayRef<int64_t> axes) {
      auto wide = RankedTensorType::get(type.getShape(), tg::tensorType(x).getElementType());
      Value spread = builder.create<tg::BroadcastOp>(loc, wide, x, axes);
      return wide == whole ? spread : builder.create<tg::CastOp>(loc, whole, spread).getResult();
    };
    auto also = [&](Value more) { sees = sees ? make<tg::AndOp>(sees, more) : more; };
    if (lengths)
      also(compare(key, places(lengths, {0}), tg::Predicate::Lt));
    if (starts)
      also(compare(key, places(starts, {0, 3}), tg::Predicate::Ge));
    if (causal) {
      Value query = builder.create<tg::IotaOp>(loc, whole, 3);
      Value last = make<tg::AddOp>(query, number(whole, static_cast<double>(sk - sq)));
      also(compare(key, last, tg::Predicate::Le));
    }
    return sees;
  }

  Value buildKept(Value rng, tg::SiteAttr site) {
    auto draws = RankedTensorType::get({b, h, sq, sk}, element);
    Value draw = reshape(builder.create<tg::RandomUniformOp>(loc, draws, rng, site), type.getShape());
    return compare(draw, number(type, rate), tg::Predicate::Ge);
  }

  OpBuilder &builder;
  Location loc;
  Type narrow, element; ///< of the operands and products; of what lies between
  bool causal;
  double scale, rate;
  int64_t b, sq, h, d, sk, g;
  RankedTensorType type;
  Value visible, kept; // null: all
};

struct SplitAttention : OpRewritePattern<tg::AttentionOp> {
  SplitAttention(MLIRContext *context, fuse::Attentions split) : OpRewritePattern(context), split(split) {}
  LogicalResult matchAndRewrite(tg::AttentionOp op, PatternRewriter &rewriter) const override {
    if (!fuse::splits(split, op))
      return failure();
    Scores s(rewriter, op);
    Value scores = s.scaled(s.withKeys(s.byHeads(op.getQ()), op.getK()));
    Value largest = s.reduce(s.seen(scores, -std::numeric_limits<double>::infinity()), tg::ReduceKind::Max);
    Value e = s.seen(s.make<tg::ExpOp>(s.make<tg::SubOp>(scores, s.spread(largest))), 0.0);
    Value sum = s.reduce(e, tg::ReduceKind::Sum);
    Value inverse = s.make<tg::DivOp>(s.one(sum), sum);
    Value p = s.seen(s.make<tg::MulOp>(e, s.spread(inverse)), 0.0);
    Value out = s.fromHeads(s.overKeys(s.dropped(p), op.getV()));
    Value lse = s.perHead(s.make<tg::AddOp>(largest, s.make<tg::LogOp>(sum)));
    rewriter.replaceOp(op, {out, lse});
    return success();
  }
  fuse::Attentions split;
};

struct SplitAttentionGrad : OpRewritePattern<tg::AttentionGradOp> {
  SplitAttentionGrad(MLIRContext *context, fuse::Attentions split) : OpRewritePattern(context), split(split) {}
  LogicalResult matchAndRewrite(tg::AttentionGradOp op, PatternRewriter &rewriter) const override {
    if (!fuse::splits(split, op))
      return failure();
    Scores s(rewriter, op);
    Value q = s.byHeads(op.getQ()), dout = s.byHeads(op.getDout());
    Value scores = s.scaled(s.withKeys(q, op.getK()));
    Value p = s.seen(s.make<tg::ExpOp>(s.make<tg::SubOp>(scores, s.spread(s.rowsOf(op.getLse())))), 0.0);
    Value dp = s.dropped(s.withKeys(dout, op.getV()));
    Value delta = s.reduce(s.make<tg::MulOp>(p, dp), tg::ReduceKind::Sum);
    Value ds = s.times(s.make<tg::MulOp>(p, s.make<tg::SubOp>(dp, s.spread(delta))), s.scaleFactor());
    Value dq = s.fromHeads(s.overKeys(ds, op.getK()));
    rewriter.replaceOp(op, {dq, s.overQueries(ds, q), s.overQueries(s.dropped(p), dout)});
    return success();
  }
  fuse::Attentions split;
};

} // namespace

void vcc::fuse::addSplitAttentionPatterns(RewritePatternSet &patterns, Attentions split) {
  patterns.add<SplitAttention, SplitAttentionGrad>(patterns.getContext(), split);
}
