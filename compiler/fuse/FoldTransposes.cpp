// SPDX-License-Identifier: Apache-2.0
//
// tg-fold-transposes: a transpose before a dot_general changes which axes it names; one after it, that only swaps the
// free axes of both sides, swaps the operands.
#include "compiler/fuse/Passes.h"
#include "dialects/tg/Build.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace vcc::fuse {
#define GEN_PASS_DEF_FOLDTRANSPOSESPASS
#include "compiler/fuse/Passes.h.inc"
} // namespace vcc::fuse

using namespace mlir;
using namespace vcc;

namespace {

SmallVector<int64_t> throughPermutation(ArrayRef<int64_t> axes, ArrayRef<int64_t> permutation) {
  SmallVector<int64_t> mapped;
  for (int64_t axis : axes)
    mapped.push_back(permutation[axis]);
  return mapped;
}

/// The axes of one side that are neither batch nor contracted.
SmallVector<int64_t> freeAxes(int64_t rank, ArrayRef<int64_t> batch, ArrayRef<int64_t> contract) {
  SmallVector<int64_t> used(batch);
  used.append(contract.begin(), contract.end());
  return tg::otherAxes(rank, used);
}

struct FoldOperandTranspose : OpRewritePattern<tg::DotGeneralOp> {
  using OpRewritePattern::OpRewritePattern;

  /// Looks through a transpose unless that would reorder the free axes of the result.
  static bool look(Value &operand, SmallVector<int64_t> &batch, SmallVector<int64_t> &contract) {
    auto transpose = operand.getDefiningOp<tg::TransposeOp>();
    if (!transpose)
      return false;
    ArrayRef<int64_t> permutation = transpose.getPermutation();
    if (!llvm::is_sorted(throughPermutation(freeAxes(permutation.size(), batch, contract), permutation)))
      return false;
    batch = throughPermutation(batch, permutation);
    contract = throughPermutation(contract, permutation);
    operand = transpose.getX();
    return true;
  }

  LogicalResult matchAndRewrite(tg::DotGeneralOp op, PatternRewriter &rewriter) const override {
    Value a = op.getA(), b = op.getB();
    SmallVector<int64_t> batchA(op.getBatchA()), batchB(op.getBatchB());
    SmallVector<int64_t> contractA(op.getContractA()), contractB(op.getContractB());
    bool changedA = look(a, batchA, contractA), changedB = look(b, batchB, contractB);
    if (!changedA && !changedB)
      return failure();
    rewriter.replaceOpWithNewOp<tg::DotGeneralOp>(op, op.getType(), a, b, batchA, batchB, contractA, contractB);
    return success();
  }
};

struct FoldResultTranspose : OpRewritePattern<tg::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tg::TransposeOp op, PatternRewriter &rewriter) const override {
    auto dot = op.getX().getDefiningOp<tg::DotGeneralOp>();
    if (!dot || !dot->hasOneUse())
      return failure();
    int64_t batch = dot.getBatchA().size();
    int64_t freeA = tg::tensorType(dot.getA()).getRank() - batch - dot.getContractA().size();
    int64_t freeB = tg::tensorType(dot.getB()).getRank() - batch - dot.getContractB().size();
    SmallVector<int64_t> swap;
    for (int64_t i = 0; i < batch; ++i)
      swap.push_back(i);
    for (int64_t i = 0; i < freeB; ++i)
      swap.push_back(batch + freeA + i);
    for (int64_t i = 0; i < freeA; ++i)
      swap.push_back(batch + i);
    if (op.getPermutation() != ArrayRef<int64_t>(swap))
      return failure();
    rewriter.replaceOpWithNewOp<tg::DotGeneralOp>(op, op.getType(), dot.getB(), dot.getA(), dot.getBatchB(),
                                                  dot.getBatchA(), dot.getContractB(), dot.getContractA());
    return success();
  }
};

struct FoldTransposes : fuse::impl::FoldTransposesPassBase<FoldTransposes> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldOperandTranspose, FoldResultTranspose>(&getContext());
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
