// SPDX-License-Identifier: Apache-2.0
//
// tg-split-composites: what a kernel does in one row is written out as elementwise operations, reductions and
// broadcasts, so that grouping sees through softmax, losses and reductions over any axes.
#include "compiler/fuse/Passes.h"
#include "compiler/fuse/ReductionForms.h"
#include "compiler/fuse/SplitAttention.h"
#include "dialects/tg/Build.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace vcc::fuse {
#define GEN_PASS_DEF_SPLITCOMPOSITESPASS
#include "compiler/fuse/Passes.h.inc"
} // namespace vcc::fuse

using namespace mlir;
using namespace vcc;

namespace {

/// Short forms for building row mathematics at one place.
struct RowMath {
  OpBuilder &builder;
  Location loc;

  Value reduce(Value x, tg::ReduceKind kind) {
    auto type = tg::tensorType(x);
    auto result = RankedTensorType::get(type.getShape().drop_back(), type.getElementType());
    return builder.create<tg::ReduceOp>(loc, result, x, kind, ArrayRef<int64_t>{type.getRank() - 1});
  }
  /// Repeats a value with one axis less along the last axis of `like`.
  Value spread(Value x, Value like) {
    auto shape = tg::tensorType(like);
    auto type = RankedTensorType::get(shape.getShape(), tg::tensorType(x).getElementType());
    return tg::buildBroadcast(builder, loc, x, type, {shape.getRank() - 1});
  }
  Value splat(Value like, double number) { return tg::buildSplat(builder, loc, tg::tensorType(like), number); }
  template <typename Op> Value make(Value a) { return builder.create<Op>(loc, a.getType(), a); }
  template <typename Op> Value make(Value a, Value b) { return builder.create<Op>(loc, a.getType(), a, b); }
  Value compare(Value a, Value b, tg::Predicate predicate) {
    auto type = RankedTensorType::get(tg::tensorType(a).getShape(), builder.getI1Type());
    return builder.create<tg::CompareOp>(loc, type, a, b, predicate);
  }
  Value select(Value condition, Value a, Value b) {
    return builder.create<tg::SelectOp>(loc, a.getType(), condition, a, b);
  }

  /// x - max and log(sum(exp(x - max))) along the last axis; the maximum too.
  struct Stable {
    Value shifted, maximum, exponential, sum;
  };
  Stable stable(Value x) {
    Value maximum = reduce(x, tg::ReduceKind::Max);
    Value shifted = make<tg::SubOp>(x, spread(maximum, x));
    Value exponential = make<tg::ExpOp>(shifted);
    return {shifted, maximum, exponential, reduce(exponential, tg::ReduceKind::Sum)};
  }

  /// Rows whose label is a class and not to be ignored.
  Value counted(Value labels, int64_t ignore, int64_t classes) {
    Value inside = make<tg::AndOp>(compare(labels, splat(labels, 0), tg::Predicate::Ge),
                                   compare(labels, splat(labels, static_cast<double>(classes)), tg::Predicate::Lt));
    return make<tg::AndOp>(inside, compare(labels, splat(labels, static_cast<double>(ignore)), tg::Predicate::Ne));
  }
  /// Where a row's class is its label.
  Value atLabel(Value labels, Value logits) {
    auto type = RankedTensorType::get(tg::tensorType(logits).getShape(), tg::tensorType(labels).getElementType());
    Value classes = builder.create<tg::IotaOp>(loc, type, type.getRank() - 1);
    return compare(classes, spread(labels, logits), tg::Predicate::Eq);
  }
};

struct SplitSoftmax : OpRewritePattern<tg::SoftmaxOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tg::SoftmaxOp op, PatternRewriter &rewriter) const override {
    RowMath math{rewriter, op.getLoc()};
    RowMath::Stable row = math.stable(op.getX());
    Value inverse = math.make<tg::DivOp>(math.splat(row.sum, 1.0), row.sum);
    rewriter.replaceOp(op, math.make<tg::MulOp>(row.exponential, math.spread(inverse, op.getX())));
    return success();
  }
};

struct SplitLogSoftmax : OpRewritePattern<tg::LogSoftmaxOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tg::LogSoftmaxOp op, PatternRewriter &rewriter) const override {
    RowMath math{rewriter, op.getLoc()};
    RowMath::Stable row = math.stable(op.getX());
    rewriter.replaceOp(op, math.make<tg::SubOp>(row.shifted, math.spread(math.make<tg::LogOp>(row.sum), op.getX())));
    return success();
  }
};

struct SplitCrossEntropy : OpRewritePattern<tg::CrossEntropyOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tg::CrossEntropyOp op, PatternRewriter &rewriter) const override {
    RowMath math{rewriter, op.getLoc()};
    Value logits = op.getLogits();
    int64_t classes = tg::tensorType(logits).getShape().back();
    double smoothing = op.getSmoothing().convertToDouble();
    RowMath::Stable row = math.stable(logits);
    Value lse = math.make<tg::AddOp>(math.make<tg::LogOp>(row.sum), row.maximum);
    Value picked = math.reduce(math.select(math.atLabel(op.getLabels(), logits), logits, math.splat(logits, 0.0)),
                               tg::ReduceKind::Sum);
    Value loss = lse;
    if (smoothing == 0.0) {
      loss = math.make<tg::SubOp>(loss, picked);
    } else {
      loss = math.make<tg::SubOp>(loss, math.make<tg::MulOp>(picked, math.splat(picked, 1.0 - smoothing)));
      Value sum = math.reduce(logits, tg::ReduceKind::Sum);
      double share = smoothing / static_cast<double>(classes);
      loss = math.make<tg::SubOp>(loss, math.make<tg::MulOp>(sum, math.splat(sum, share)));
    }
    Value counted = math.counted(op.getLabels(), op.getIgnore(), classes);
    loss = math.select(counted, loss, math.splat(loss, 0.0));
    rewriter.replaceOp(op, {loss, lse});
    return success();
  }
};

struct SplitCrossEntropyGrad : OpRewritePattern<tg::CrossEntropyGradOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tg::CrossEntropyGradOp op, PatternRewriter &rewriter) const override {
    RowMath math{rewriter, op.getLoc()};
    Value logits = op.getLogits();
    int64_t classes = tg::tensorType(logits).getShape().back();
    double smoothing = op.getSmoothing().convertToDouble();
    Value counted = math.counted(op.getLabels(), op.getIgnore(), classes);
    Value factor = math.select(counted, op.getDloss(), math.splat(op.getDloss(), 0.0));
    Value row = math.make<tg::ExpOp>(math.make<tg::SubOp>(logits, math.spread(op.getLse(), logits)));
    Value hot = math.select(math.atLabel(op.getLabels(), logits), math.splat(logits, 1.0 - smoothing),
                            math.splat(logits, 0.0));
    row = math.make<tg::SubOp>(row, hot);
    if (smoothing != 0.0)
      row = math.make<tg::SubOp>(row, math.splat(logits, smoothing / static_cast<double>(classes)));
    rewriter.replaceOp(op, math.make<tg::MulOp>(row, math.spread(factor, logits)));
    return success();
  }
};

/// A pad is a concatenation with constants, axis by axis.
struct SplitPad : OpRewritePattern<tg::PadOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tg::PadOp op, PatternRewriter &rewriter) const override {
    Value x = op.getX();
    for (int64_t axis = 0, rank = tg::tensorType(x).getRank(); axis < rank; ++axis) {
      auto type = tg::tensorType(x);
      SmallVector<Value> parts;
      auto border = [&](int64_t size) {
        if (size == 0)
          return;
        SmallVector<int64_t> shape(type.getShape());
        shape[axis] = size;
        parts.push_back(tg::buildSplat(rewriter, op.getLoc(), RankedTensorType::get(shape, type.getElementType()),
                                       op.getValue().convertToDouble()));
      };
      border(op.getLow()[axis]);
      parts.push_back(x);
      border(op.getHigh()[axis]);
      if (parts.size() == 1)
        continue;
      x = tg::buildConcat(rewriter, op.getLoc(), parts, axis);
    }
    rewriter.replaceOp(op, x);
    return success();
  }
};

/// A sum of zero-padded pieces that do not overlap is their concatenation (the gradient of slices of one tensor).
struct JoinPads : OpRewritePattern<tg::AddOp> {
  using OpRewritePattern::OpRewritePattern;

  /// The one axis along which a pad adds zeros, or -1.
  static int64_t paddedAxis(tg::PadOp pad) {
    int64_t axis = -1;
    if (!pad || !pad.getValue().isZero())
      return -1;
    for (auto [i, low, high] : llvm::enumerate(pad.getLow(), pad.getHigh())) {
      if (low == 0 && high == 0)
        continue;
      if (axis != -1)
        return -1;
      axis = static_cast<int64_t>(i);
    }
    return axis;
  }

  LogicalResult matchAndRewrite(tg::AddOp op, PatternRewriter &rewriter) const override {
    auto first = op.getLhs().getDefiningOp<tg::PadOp>(), second = op.getRhs().getDefiningOp<tg::PadOp>();
    int64_t axis = paddedAxis(first);
    if (axis == -1 || axis != paddedAxis(second))
      return failure();
    if (first.getLow()[axis] > second.getLow()[axis])
      std::swap(first, second);
    auto left = tg::tensorType(first.getX()), right = tg::tensorType(second.getX());
    int64_t end = first.getLow()[axis] + left.getShape()[axis], gap = second.getLow()[axis] - end;
    if (gap < 0)
      return failure();
    SmallVector<Value> parts{first.getX()};
    SmallVector<int64_t> shape(left.getShape());
    if (gap > 0) {
      shape[axis] = gap;
      parts.push_back(tg::buildSplat(rewriter, op.getLoc(), RankedTensorType::get(shape, left.getElementType()), 0.0));
    }
    parts.push_back(second.getX());
    Value joined = tg::buildConcat(rewriter, op.getLoc(), parts, axis);
    SmallVector<int64_t> low(first.getLow()), high(second.getHigh());
    rewriter.replaceOpWithNewOp<tg::PadOp>(op, op.getType(), joined, low, high, APFloat(0.0));
    return success();
  }
};

/// A concatenation of concatenations along the same axis is one.
struct FlattenConcat : OpRewritePattern<tg::ConcatOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tg::ConcatOp op, PatternRewriter &rewriter) const override {
    SmallVector<Value> parts;
    for (Value part : op.getInputs()) {
      auto inner = part.getDefiningOp<tg::ConcatOp>();
      if (inner && inner.getAxis() == op.getAxis() && inner->hasOneUse())
        llvm::append_range(parts, inner.getInputs());
      else
        parts.push_back(part);
    }
    if (parts.size() == op.getInputs().size())
      return failure();
    rewriter.replaceOpWithNewOp<tg::ConcatOp>(op, op.getType(), parts, op.getAxis());
    return success();
  }
};

struct SplitReduce : OpRewritePattern<tg::ReduceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tg::ReduceOp op, PatternRewriter &rewriter) const override {
    if (fuse::isKernelReduction(op))
      return failure();
    rewriter.replaceOp(op, fuse::buildKernelReductions(rewriter, op));
    return success();
  }
};

struct SplitAccumulation : OpRewritePattern<tg::WriteOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tg::WriteOp op, PatternRewriter &rewriter) const override {
    if (!op.getAccumulate())
      return failure();
    Value old = rewriter.create<tg::ReadOp>(op.getLoc(), op.getValue().getType(), op.getState());
    Value sum = rewriter.create<tg::AddOp>(op.getLoc(), old.getType(), old, op.getValue());
    rewriter.replaceOpWithNewOp<tg::WriteOp>(op, op.getStateAttr(), sum, /*accumulate=*/UnitAttr());
    return success();
  }
};

struct DropStopGradient : OpRewritePattern<tg::StopGradientOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tg::StopGradientOp op, PatternRewriter &rewriter) const override {
    rewriter.replaceOp(op, op.getX());
    return success();
  }
};

struct SplitComposites : fuse::impl::SplitCompositesPassBase<SplitComposites> {
  using Base::Base;
  void runOnOperation() override {
    RewritePatternSet joins(&getContext());
    joins.add<JoinPads>(&getContext());
    RewritePatternSet patterns(&getContext());
    patterns.add<SplitSoftmax, SplitLogSoftmax, SplitCrossEntropy, SplitCrossEntropyGrad, SplitPad, FlattenConcat,
                 SplitReduce, SplitAccumulation, DropStopGradient>(&getContext());
    fuse::addSplitAttentionPatterns(patterns, attention);
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(joins))) ||
        failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
