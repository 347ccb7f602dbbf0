// SPDX-License-Identifier: Apache-2.0
//
// tg-stack-factors: thin products of one x with matrices that train (LoRA's first factors, where no dropout makes each site's x another) are
// one product with the matrices under each other, so that x is read once. Where the backward adds up what they give for d(x), that is one
// product too.
#include "compiler/fuse/Passes.h"
#include "compiler/fuse/RowProducts.h"
#include "compiler/fuse/StateParts.h"
#include "dialects/tg/Build.h"
#include "llvm/ADT/MapVector.h"

namespace vcc::fuse {
#define GEN_PASS_DEF_STACKFACTORSPASS
#include "compiler/fuse/Passes.h.inc"
} // namespace vcc::fuse

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

namespace {

/// Stacked are matrices of at most one of so many parts of x's width: adapters' factors, not keys and values of few heads.
constexpr int64_t Thinness = 8;

class Stacking {
public:
  Stacking(func::FuncOp function, const SymbolTable &states)
      : function(function), states(states), written(storagesWritten(function, states)) {}

  void run() {
    llvm::MapVector<std::pair<Value, Type>, SmallVector<tg::DotGeneralOp>> groups; // by x and type of result's elements
    for (auto dot : function.getOps<tg::DotGeneralOp>())
      if (multipliesRows(dot, 0))
        backward[stateBehind(dot.getB())].push_back(dot);
      else if (isThin(dot))
        groups[{dot.getA(), tg::tensorType(dot.getResult()).getElementType()}].push_back(dot);
    for (auto &[key, dots] : groups)
      if (dots.size() > 1 && areDistinct(dots))
        stack(dots);
  }

private:
  /// Whether a product is with a matrix of few rows that trains, and that the function leaves as it is.
  bool isThin(tg::DotGeneralOp dot) const {
    auto state = states.lookup<tg::StateOp>(stateBehind(dot.getB()));
    return state && multipliesRows(dot, 1) && state.getTrainable() && !written.contains(partOf(state).storage) &&
           tg::tensorType(dot.getB()).getDimSize(0) * Thinness <= tg::tensorType(dot.getB()).getDimSize(1);
  }

  static bool areDistinct(ArrayRef<tg::DotGeneralOp> dots) {
    llvm::StringSet<> paths;
    return llvm::all_of(dots, [&](tg::DotGeneralOp dot) { return paths.insert(stateBehind(dot.getB())).second; });
  }

  void stack(ArrayRef<tg::DotGeneralOp> dots) {
    SmallVector<tg::DotGeneralOp> cotangents;
    for (tg::DotGeneralOp dot : dots)
      if (tg::DotGeneralOp found = backwardOf(dot))
        cotangents.push_back(found);
    tg::DotGeneralOp first = dots.front();
    OpBuilder builder(first);
    SmallVector<Value> matrices;
    SmallVector<Location> locs;
    for (tg::DotGeneralOp dot : dots) {
      auto state = states.lookup<tg::StateOp>(stateBehind(dot.getB()));
      Value matrix = builder.create<tg::ReadOp>(dot.getLoc(), state.getTensorType(), state.getSymName());
      if (matrix.getType() != dot.getB().getType())
        matrix = builder.create<tg::CastOp>(dot.getLoc(), dot.getB().getType(), matrix);
      matrices.push_back(matrix);
      locs.push_back(dot.getLoc());
    }
    Location loc = builder.getFusedLoc(locs);
    Value matrix = tg::buildConcat(builder, loc, matrices, 0);
    RankedTensorType type = tg::tensorType(first.getResult());
    int64_t axis = type.getRank() - 1, begin = 0;
    Value all = multiplyRows(builder, loc, type.getElementType(), first.getA(), matrix, /*axis=*/1);
    for (tg::DotGeneralOp dot : dots) {
      int64_t rank = tg::tensorType(dot.getResult()).getShape()[axis];
      dot.getResult().replaceAllUsesWith(tg::buildPart(builder, dot.getLoc(), all, axis, begin, rank));
      begin += rank;
    }
    bool behind = llvm::all_of(cotangents, [&](tg::DotGeneralOp dot) { return first->isBeforeInBlock(dot); });
    if (behind && cotangents.size() == dots.size() && haveOneSum(cotangents))
      stackBackward(cotangents, matrix);
    for (tg::DotGeneralOp dot : dots)
      dot.erase();
  }

  /// What the backward makes of a cotangent by the matrix of `dot`, if it does so once.
  tg::DotGeneralOp backwardOf(tg::DotGeneralOp dot) const {
    auto found = backward.find(stateBehind(dot.getB()));
    bool once = found != backward.end() && found->second.size() == 1;
    tg::DotGeneralOp only = once ? found->second.front() : tg::DotGeneralOp();
    return only && only.getB().getType() == dot.getB().getType() ? only : tg::DotGeneralOp();
  }

  /// The addition that takes a value, through roundings that nothing else reads; `value` becomes what it reads.
  static tg::AddOp additionOf(Value &value) {
    while (value.hasOneUse()) {
      Operation *user = *value.user_begin();
      if (auto add = dyn_cast<tg::AddOp>(user))
        return add;
      if (!isa<tg::CastOp>(user) || !unrounded(user->getResult(0)))
        break;
      value = user->getResult(0);
    }
    return {};
  }

  /// Whether all values end in the same sum.
  static bool haveOneSum(ArrayRef<tg::DotGeneralOp> products) {
    llvm::SmallDenseSet<Operation *> sums;
    tg::DotGeneralOp first = products.front();
    for (tg::DotGeneralOp product : products) {
      Value value = product.getResult();
      tg::AddOp last;
      while (tg::AddOp add = additionOf(value)) {
        last = add;
        value = add.getResult();
      }
      if (!last || product.getType() != first.getType())
        return false;
      sums.insert(last);
    }
    return sums.size() == 1;
  }

  /// The last product takes the others' work, and their additions go.
  static void stackBackward(ArrayRef<tg::DotGeneralOp> products, Value matrix) {
    tg::DotGeneralOp last = products.front();
    SmallVector<Value> cotangents;
    SmallVector<Location> locs;
    for (tg::DotGeneralOp product : products) {
      cotangents.push_back(product.getA());
      locs.push_back(product.getLoc());
      if (last->isBeforeInBlock(product))
        last = product;
    }
    OpBuilder builder(last);
    Location loc = builder.getFusedLoc(locs);
    Value rows = tg::buildConcat(builder, loc, cotangents, tg::tensorType(last.getA()).getRank() - 1);
    last.getResult().replaceAllUsesWith(multiplyRows(builder, loc, tg::tensorType(last.getResult()).getElementType(), rows, matrix, /*axis=*/0));
    for (tg::DotGeneralOp product : products)
      if (product != last) {
        Value value = product.getResult();
        tg::AddOp add = additionOf(value);
        add.getResult().replaceAllUsesWith(add.getLhs() == value ? add.getRhs() : add.getLhs());
        add.erase();
      }
  }

  func::FuncOp function;
  const SymbolTable &states;
  llvm::StringSet<> written;
  llvm::StringMap<SmallVector<tg::DotGeneralOp, 1>> backward; ///< products by a matrix, by its state
};

struct StackFactors : fuse::impl::StackFactorsPassBase<StackFactors> {
  void runOnOperation() override {
    SymbolTable states(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>())
      if (!function.isExternal())
        Stacking(function, states).run();
  }
};

} // namespace
