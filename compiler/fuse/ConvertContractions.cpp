// SPDX-License-Identifier: Apache-2.0
//
// tg-convert-contractions: dot_general becomes tg.gemm. Each side is read through its views by strides; batch axes join
// to at most two, rows, columns and the contracted axes to one each. Where that fails, or where a side has no unit
// stride, the side is copied into a matrix first. What is done to the result alone moves into the product: a transpose, a rounding,
// additions.
#include "compiler/fuse/Passes.h"
#include "compiler/fuse/StridedViews.h"
#include "dialects/tg/Build.h"
#include "dialects/tg/Meaning.h"

namespace vcc::fuse {
#define GEN_PASS_DEF_CONVERTCONTRACTIONSPASS
#include "compiler/fuse/Passes.h.inc"
} // namespace vcc::fuse

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

namespace {

/// One side of a product: its view and its axes by role.
struct Side {
  StridedView view;
  SmallVector<int64_t> batch, free, contract;
  bool widened; ///< seen as a wider type than it has in memory, which no product does

  Side(Value value, ArrayRef<int64_t> batchAxes, ArrayRef<int64_t> contractAxes)
      : view(resolveView(value)), batch(batchAxes), contract(contractAxes),
        widened(elementOf(view.base) != elementOf(value)) {
    SmallVector<int64_t> used(batchAxes);
    used.append(contractAxes.begin(), contractAxes.end());
    free = tg::otherAxes(static_cast<int64_t>(view.shape.size()), used);
  }
  SmallVector<int64_t> sizes(ArrayRef<int64_t> axes) const {
    SmallVector<int64_t> picked;
    for (int64_t axis : axes)
      picked.push_back(view.shape[axis]);
    return picked;
  }
  SmallVector<int64_t> strides(ArrayRef<int64_t> axes) const {
    SmallVector<int64_t> picked;
    for (int64_t axis : axes)
      picked.push_back(view.strides[axis]);
    return picked;
  }
  /// Whether neighbours in memory are neighbours along a free axis.
  bool isFreeInnermost() const {
    int64_t least = std::numeric_limits<int64_t>::max();
    bool found = false;
    for (const SmallVector<int64_t> *axes : {&contract, &free})
      for (int64_t axis : *axes)
        if (view.shape[axis] > 1 && view.strides[axis] > 0 && view.strides[axis] < least) {
          least = view.strides[axis];
          found = axes == &free;
        }
    return found;
  }
  /// The side copied as [batch.., free.., contract..] or [batch.., contract.., free..], whichever keeps neighbours together: so the copies
  /// for a product and for the gradient of its other operand are one.
  void copyOrdered(OpBuilder &builder, Location loc, Value value) {
    SmallVector<int64_t> *outer = &free, *inner = &contract;
    if (isFreeInnermost())
      std::swap(outer, inner);
    SmallVector<int64_t> permutation(batch);
    permutation.append(outer->begin(), outer->end());
    permutation.append(inner->begin(), inner->end());
    SmallVector<int64_t> shape;
    for (int64_t axis : permutation)
      shape.push_back(shapeOf(value)[axis]);
    auto type = RankedTensorType::get(shape, elementOf(value));
    if (!llvm::is_sorted(permutation))
      value = builder.create<tg::TransposeOp>(loc, type, value, permutation);
    value = builder.create<tg::BarrierOp>(loc, TypeRange{type}, ValueRange{value}).getResult(0);
    int64_t next = 0;
    for (SmallVector<int64_t> *axes : {&batch, outer, inner})
      for (int64_t &axis : *axes)
        axis = next++;
    view = resolveView(value);
    widened = false;
  }
};

/// Size and stride of one merged axis; nothing when no single stride covers the axes.
struct Axis {
  int64_t size = 1, stride = 0;
};
std::optional<Axis> mergedAxis(ArrayRef<int64_t> sizes, ArrayRef<int64_t> strides) {
  CollapsedDims dims = collapseDims(sizes, strides);
  if (dims.sizes.empty())
    return Axis{1, 0};
  if (dims.sizes.size() > 1 || dims.strides[0] == 0)
    return std::nullopt;
  return Axis{dims.sizes[0], dims.strides[0]};
}

/// The numbers of a tg.gemm.
struct Product {
  SmallVector<int64_t> batch, aStrides, bStrides, cStrides;
  int64_t m = 1, n = 1, k = 1;
};

/// Joins batch axes that both sides can step through together.
bool joinBatches(const Side &a, const Side &b, Product &product) {
  SmallVector<int64_t> sizes = a.sizes(a.batch), stridesA = a.strides(a.batch), stridesB = b.strides(b.batch);
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 1)
      continue;
    if (stridesA[i] == 0 || stridesB[i] == 0)
      return false;
    bool joins = !product.batch.empty() && product.aStrides.back() == stridesA[i] * sizes[i] &&
                 product.bStrides.back() == stridesB[i] * sizes[i];
    if (!joins) {
      product.batch.push_back(1);
      product.aStrides.push_back(0);
      product.bStrides.push_back(0);
    }
    product.batch.back() *= sizes[i];
    product.aStrides.back() = stridesA[i];
    product.bStrides.back() = stridesB[i];
  }
  return product.batch.size() <= 2;
}

/// Whether a library call can read a matrix with these axes: one of them is contiguous and rows do not overlap.
bool isMatrix(Axis outer, Axis inner) {
  auto fits = [](Axis rows, Axis columns) {
    return (columns.size == 1 || columns.stride == 1) && (rows.size == 1 || rows.stride >= columns.size);
  };
  return fits(outer, inner) || fits(inner, outer);
}

/// The contracted axes of `b` in an order in which those of `a` join, largest stride of `a` first.
void orderContraction(Side &a, Side &b) {
  SmallVector<size_t> order(a.contract.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  llvm::stable_sort(order, [&](size_t x, size_t y) {
    return a.view.strides[a.contract[x]] > a.view.strides[a.contract[y]];
  });
  SmallVector<int64_t> contractA, contractB;
  for (size_t i : order) {
    contractA.push_back(a.contract[i]);
    contractB.push_back(b.contract[i]);
  }
  a.contract = contractA;
  b.contract = contractB;
}

struct Plan {
  Product product;
  bool copyA = false, copyB = false;
};

/// What the product would be; a side that strides cannot express is marked for copying.
Plan planProduct(const Side &a, const Side &b) {
  Plan plan;
  Product &product = plan.product;
  auto rows = mergedAxis(a.sizes(a.free), a.strides(a.free));
  auto columns = mergedAxis(b.sizes(b.free), b.strides(b.free));
  auto contractA = mergedAxis(a.sizes(a.contract), a.strides(a.contract));
  auto contractB = mergedAxis(b.sizes(b.contract), b.strides(b.contract));
  plan.copyA = a.widened || !rows || !contractA || !isMatrix(*rows, *contractA);
  plan.copyB = b.widened || !columns || !contractB || !isMatrix(*contractB, *columns);
  if (!joinBatches(a, b, product)) {
    // Copies of both sides join to one batch axis.
    plan.copyA = plan.copyB = true;
  }
  if (plan.copyA || plan.copyB)
    return plan;
  product.m = rows->size;
  product.n = columns->size;
  product.k = contractA->size;
  product.aStrides.append({rows->stride, contractA->stride});
  product.bStrides.append({contractB->stride, columns->stride});
  SmallVector<int64_t> axes(product.batch);
  axes.append({product.m, product.n});
  product.cStrides = tg::rowMajorStrides(axes);
  return plan;
}

/// A size-1 axis takes the stride that a library expects of a contiguous matrix.
void normaliseStrides(Product &product) {
  auto fix = [](SmallVector<int64_t> &strides, int64_t rows, int64_t columns) {
    int64_t &row = strides[strides.size() - 2], &column = strides.back();
    if (columns == 1 && (rows == 1 || row != 1))
      column = 1;
    if (rows == 1)
      row = column == 1 ? columns : 1;
    else if (columns == 1 && column != 1)
      column = rows * row;
  };
  fix(product.aStrides, product.m, product.k);
  fix(product.bStrides, product.k, product.n);
}

tg::GemmOp convert(tg::DotGeneralOp op) {
  OpBuilder builder(op);
  Side a(op.getA(), op.getBatchA(), op.getContractA()), b(op.getB(), op.getBatchB(), op.getContractB());
  orderContraction(a, b);
  Plan plan = planProduct(a, b);
  // The order of contraction that suits a strided `a` may not suit `b`: the second round copies what is left.
  for (int round = 0; round < 2 && (plan.copyA || plan.copyB); ++round) {
    if (plan.copyA)
      a.copyOrdered(builder, op.getLoc(), op.getA());
    if (plan.copyB)
      b.copyOrdered(builder, op.getLoc(), op.getB());
    plan = planProduct(a, b);
  }
  assert(!plan.copyA && !plan.copyB && "copies always make a product");
  normaliseStrides(plan.product);
  const Product &p = plan.product;
  auto gemm = builder.create<tg::GemmOp>(op.getLoc(), op.getType(), a.view.base, b.view.base, Value(), Value(), p.batch,
                                         p.m, p.n, p.k, p.aStrides, p.bStrides, p.cStrides, a.view.offset,
                                         b.view.offset);
  op.getResult().replaceAllUsesWith(gemm.getResult());
  op.erase();
  return gemm;
}

/// The only user of a value, through reshapes that are used once; `value` becomes what that user reads.
Operation *onlyUser(Value &value) {
  while (value.hasOneUse()) {
    Operation *user = *value.user_begin();
    if (!isa<tg::ReshapeOp>(user))
      return user;
    value = user->getResult(0);
  }
  return nullptr;
}

Value reshapedTo(OpBuilder &builder, Location loc, Value value, Type type) {
  return value.getType() == type ? value : builder.create<tg::ReshapeOp>(loc, type, value).getResult();
}

/// Lets `fused` take the place of `last`, which reads `seen`, and of all that stands between `gemm` and it.
void replaceThrough(tg::GemmOp gemm, tg::GemmOp fused, Operation *last, Value seen) {
  OpBuilder builder(last);
  Value result = last->getResult(0);
  result.replaceAllUsesWith(reshapedTo(builder, last->getLoc(), fused.getResult(), result.getType()));
  last->erase();
  SmallVector<Operation *> open{seen.getDefiningOp()};
  while (!open.empty()) {
    Operation *dead = open.pop_back_val();
    if (!dead || dead == gemm || !dead->use_empty() || !isPure(dead))
      continue;
    SmallVector<Value> operands(dead->getOperands());
    dead->erase();
    for (Value operand : operands)
      open.push_back(operand.getDefiningOp());
  }
  gemm.erase();
}

/// The strides of a matrix whose axes, batches first, are those of a contiguous `shape` that lie in memory by `strides`; nothing
/// where the axes do not divide into them, or where columns are no neighbours.
std::optional<SmallVector<int64_t>> stridesAmong(ArrayRef<int64_t> axes, ArrayRef<int64_t> shape, ArrayRef<int64_t> strides) {
  SmallVector<int64_t> found;
  size_t next = 0;
  for (int64_t axis : axes) {
    SmallVector<int64_t> sizes, steps;
    for (int64_t size = 1; size < axis; ++next) {
      if (next == shape.size() || axis % (size *= shape[next]))
        return std::nullopt;
      sizes.push_back(shape[next]);
      steps.push_back(strides[next]);
    }
    std::optional<Axis> merged = mergedAxis(sizes, steps);
    if (!merged)
      return std::nullopt;
    found.push_back(merged->stride);
  }
  int64_t &rows = found[found.size() - 2], &columns = found.back(), n = axes.back();
  if (n > 1 ? columns != 1 : rows < 1)
    return std::nullopt;
  columns = 1;
  if (axes[axes.size() - 2] == 1)
    rows = n;
  return rows < n ? std::nullopt : std::optional(found);
}

/// Writes a product in the order that its only reader transposes it to, where strides express that: heads of attention
/// beside each other, say. Returns the new product, or null.
tg::GemmOp absorbTranspose(tg::GemmOp gemm) {
  Value seen = gemm.getResult();
  auto transpose = dyn_cast_or_null<tg::TransposeOp>(onlyUser(seen));
  if (!transpose)
    return {};
  ArrayRef<int64_t> permutation = transpose.getPermutation(), shape = shapeOf(seen);
  SmallVector<int64_t> strides(shape.size());
  for (auto [axis, stride] : llvm::zip_equal(permutation, tg::rowMajorStrides(shapeOf(transpose.getResult()))))
    strides[axis] = stride;
  SmallVector<int64_t> axes(gemm.getBatch());
  axes.append({static_cast<int64_t>(gemm.getM()), static_cast<int64_t>(gemm.getN())});
  std::optional<SmallVector<int64_t>> written = stridesAmong(axes, shape, strides);
  if (!written)
    return {};
  auto fused = cast<tg::GemmOp>(OpBuilder(gemm).clone(*gemm));
  fused.getResult().setType(cast<RankedTensorType>(transpose.getType()));
  fused.setCStrides(*written);
  replaceThrough(gemm, fused, transpose, seen);
  return fused;
}

/// Whether `x` is a vector repeated over all rows of a matrix of n columns; the vector if so.
Value repeatedVector(Value x, int64_t n) {
  StridedView view = resolveView(x);
  CollapsedDims dims = collapseDims(view.shape, view.strides);
  bool vector = dims.sizes.size() == 2 && dims.strides[0] == 0 && dims.strides[1] == 1 && dims.sizes[1] == n;
  if (!vector || view.offset != 0 || countOf(view.base) != n)
    return {};
  return view.base;
}

/// Whether one operation alone reads the value, as it is or widened.
bool hasOneReader(Value value) {
  while (value.hasOneUse() && tg::isWidening(*value.user_begin()))
    value = value.user_begin()->getResult(0);
  return value.hasOneUse();
}

/// A whole tensor that exists anyway, so that adding it in the product costs no extra write.
Value wholeAddend(Value x) {
  StridedView view = resolveView(x);
  if (!view.isWhole() || isSource(view.base))
    return {};
  Operation *op = view.base.getDefiningOp();
  bool exists = isa_and_nonnull<tg::GemmOp, tg::DotGeneralOp, tg::ReadOp, tg::InputOp, tg::AttentionOp,
                                tg::AttentionGradOp, tg::GatherOp, tg::ConcatOp>(op) ||
                !hasOneReader(view.base);
  return exists ? view.base : Value();
}

/// What is added to a product: a bias, a whole tensor.
struct Added {
  Value bias, addend;

  /// Takes `other` if the product can add it, in elements of type `element`.
  bool take(tg::GemmOp gemm, Value other, Type element) {
    auto n = static_cast<int64_t>(gemm.getN());
    bool plainC = gemm.getCStrides()[gemm.getCStrides().size() - 2] == n;
    auto fits = [&](Value base) { return base && elementOf(base) == element; };
    if (Value vector = !bias && !addend && plainC ? repeatedVector(other, n) : Value(); fits(vector) && !isSource(vector))
      bias = vector;
    else if (Value whole = !addend ? wholeAddend(other) : Value(); fits(whole))
      addend = whole;
    else
      return false;
    return true;
  }
};

/// The product with what is added, of element type `element`, in front of `before`.
tg::GemmOp withAdded(tg::GemmOp gemm, const Added &added, Type element, Operation *before) {
  OpBuilder builder(before);
  auto type = tg::tensorType(gemm.getResult()).clone(element);
  auto n = static_cast<int64_t>(gemm.getN());
  Value bias = added.bias ? reshapedTo(builder, before->getLoc(), added.bias, RankedTensorType::get({n}, element)) : Value();
  Value addend = added.addend ? reshapedTo(builder, before->getLoc(), added.addend, type) : Value();
  return builder.create<tg::GemmOp>(builder.getFusedLoc({gemm.getLoc(), before->getLoc()}), type, gemm.getA(), gemm.getB(),
                                    bias, addend, gemm.getBatch(), gemm.getM(), gemm.getN(), gemm.getK(),
                                    gemm.getAStrides(), gemm.getBStrides(), gemm.getCStrides(), gemm.getAOffset(),
                                    gemm.getBOffset());
}

/// A product of narrow operands in f32 whose only reader, behind what is added to it, rounds: it rounds itself then.
tg::GemmOp absorbRounding(tg::GemmOp gemm) {
  Type narrow = elementOf(gemm.getA());
  if (gemm.getBias() || gemm.getAddend() || narrow == elementOf(gemm.getResult()))
    return {};
  Value seen = gemm.getResult();
  Added added;
  while (Operation *user = onlyUser(seen)) {
    if (isa<tg::CastOp>(user) && elementOf(user->getResult(0)) == narrow) {
      tg::GemmOp fused = withAdded(gemm, added, narrow, user);
      replaceThrough(gemm, fused, user, seen);
      return fused;
    }
    auto add = dyn_cast<tg::AddOp>(user);
    if (!add || add.getLhs() == add.getRhs() || !added.take(gemm, add.getLhs() == seen ? add.getRhs() : add.getLhs(), narrow))
      return {};
    seen = add.getResult();
  }
  return {};
}

/// Moves one following add into the product. Returns the new product, or null when nothing fits.
tg::GemmOp absorbAdd(tg::GemmOp gemm) {
  Value seen = gemm.getResult();
  auto add = dyn_cast_or_null<tg::AddOp>(onlyUser(seen));
  if (!add || add.getLhs() == add.getRhs())
    return {};
  Added added{gemm.getBias(), gemm.getAddend()};
  Type element = elementOf(gemm.getResult());
  if (!added.take(gemm, add.getLhs() == seen ? add.getRhs() : add.getLhs(), element))
    return {};
  tg::GemmOp fused = withAdded(gemm, added, element, add);
  replaceThrough(gemm, fused, add, seen);
  return fused;
}

struct ConvertContractions : fuse::impl::ConvertContractionsPassBase<ConvertContractions> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      SmallVector<tg::GemmOp> products;
      for (auto op : llvm::make_early_inc_range(function.getOps<tg::DotGeneralOp>()))
        products.push_back(convert(op));
      for (tg::GemmOp gemm : products) {
        if (tg::GemmOp transposed = absorbTranspose(gemm))
          gemm = transposed;
        if (tg::GemmOp rounded = absorbRounding(gemm))
          gemm = rounded;
        while (gemm)
          gemm = absorbAdd(gemm);
      }
    }
  }
};

} // namespace
