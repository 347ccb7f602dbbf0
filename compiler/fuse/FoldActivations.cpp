// SPDX-License-Identifier: Apache-2.0
//
// tg-fold-activations: the activation of a product becomes the product's epilogue where nothing else reads what it was
// computed from: in frozen parts and in evaluation, not where a backward needs the value before the activation.
#include "compiler/fuse/Passes.h"
#include "dialects/tg/Build.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <cmath>

namespace vcc::fuse {
#define GEN_PASS_DEF_FOLDACTIVATIONSPASS
#include "compiler/fuse/Passes.h.inc"
} // namespace vcc::fuse

using namespace mlir;
using namespace vcc;

namespace {

bool isConstant(Value value, double number) {
  std::optional<double> splat = tg::splatValue(value);
  return splat && *splat == static_cast<float>(number);
}

/// The other operand of a commutative operation that has `number` as one.
template <typename Op>
Value besideConstant(Value value, double number) {
  auto op = value.getDefiningOp<Op>();
  if (!op || !op->hasOneUse())
    return nullptr;
  Value a = op->getOperand(0), b = op->getOperand(1);
  return isConstant(b, number) ? a : isConstant(a, number) ? b : nullptr;
}

/// x where `half` is x / 2 and `gate` is 1 + erf(x / sqrt(2)).
Value argumentOfGelu(Value half, Value gate) {
  Value x = besideConstant<tg::MulOp>(half, 0.5);
  Value error = besideConstant<tg::AddOp>(gate, 1.0);
  auto erf = error ? error.getDefiningOp<tg::ErfOp>() : nullptr;
  if (!x || !erf || !erf->hasOneUse() || besideConstant<tg::MulOp>(erf->getOperand(0), std::sqrt(0.5)) != x)
    return nullptr;
  return x;
}

/// x where `gate` is sigmoid(x).
Value argumentOfSilu(Value x, Value gate) {
  auto sigmoid = gate.getDefiningOp<tg::SigmoidOp>();
  return sigmoid && sigmoid->hasOneUse() && sigmoid->getOperand(0) == x ? x : nullptr;
}

/// Both activations are a product of two factors and read their argument twice.
struct FoldActivation : OpRewritePattern<tg::MulOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tg::MulOp op, PatternRewriter &rewriter) const override {
    Value a = op->getOperand(0), b = op->getOperand(1);
    for (auto [first, second] : {std::pair(a, b), std::pair(b, a)}) {
      if (Value x = argumentOfGelu(first, second))
        return fold(op, x, tg::Activation::Gelu, rewriter);
      if (Value x = argumentOfSilu(first, second))
        return fold(op, x, tg::Activation::Silu, rewriter);
    }
    return failure();
  }

  static LogicalResult fold(tg::MulOp op, Value x, tg::Activation activation, PatternRewriter &rewriter) {
    auto product = x.getDefiningOp<tg::GemmOp>();
    if (!product || product.getActivation() != tg::Activation::None || product.getAccumulate() || std::distance(x.use_begin(), x.use_end()) != 2 ||
        !tg::tensorType(x).getElementType().isF32())
      return failure();
    rewriter.modifyOpInPlace(product, [&] { product.setActivation(activation); });
    rewriter.replaceOp(op, x);
    return success();
  }
};

struct FoldActivations : fuse::impl::FoldActivationsPassBase<FoldActivations> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<FoldActivation>(&getContext());
    if (failed(applyPatternsAndFoldGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
