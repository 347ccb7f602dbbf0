// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic of strided views.
#include "compiler/fuse/StridedViews.h"
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

ArrayRef<int64_t> fuse::shapeOf(Value value) { return cast<RankedTensorType>(value.getType()).getShape(); }
int64_t fuse::countOf(Value value) { return cast<RankedTensorType>(value.getType()).getNumElements(); }
Type fuse::elementOf(Value value) { return cast<RankedTensorType>(value.getType()).getElementType(); }

bool fuse::isSplat(Value value) {
  auto constant = value.getDefiningOp<tg::ConstantOp>();
  return constant && isa<SplatElementsAttr>(constant.getValue());
}

bool fuse::isSource(Value value) {
  return isSplat(value) ||
         isa_and_nonnull<tg::IotaOp, tg::RandomUniformOp, tg::RandomNormalOp>(value.getDefiningOp());
}

int64_t StridedView::count() const { return tg::elementCount(shape); }

bool StridedView::isWhole() const {
  if (offset != 0 || count() != countOf(base))
    return false;
  CollapsedDims dims = collapseDims(shape, strides);
  return dims.sizes.empty() || (dims.sizes.size() == 1 && dims.strides[0] == 1);
}

CollapsedDims fuse::collapseDims(ArrayRef<int64_t> sizes, ArrayRef<int64_t> strides) {
  CollapsedDims dims;
  for (auto [size, stride] : llvm::zip(sizes, strides)) {
    if (size == 1)
      continue;
    if (!dims.sizes.empty() && dims.strides.back() == stride * size) {
      dims.sizes.back() *= size;
      dims.strides.back() = stride;
      continue;
    }
    dims.sizes.push_back(size);
    dims.strides.push_back(stride);
  }
  return dims;
}

SmallVector<int64_t, 4> fuse::viewBorders(const CollapsedDims &dims) {
  SmallVector<int64_t, 4> borders;
  int64_t count = 1;
  for (int64_t size : llvm::reverse(dims.sizes))
    borders.push_back(count *= size);
  return borders;
}

bool fuse::addBorders(SmallVectorImpl<int64_t> &chain, ArrayRef<int64_t> borders) {
  SmallVector<int64_t, 8> merged(chain.begin(), chain.end());
  merged.append(borders.begin(), borders.end());
  llvm::sort(merged);
  merged.erase(std::unique(merged.begin(), merged.end()), merged.end());
  for (size_t i = 1; i < merged.size(); ++i)
    if (merged[i] % merged[i - 1])
      return false;
  chain.assign(merged.begin(), merged.end());
  return true;
}

SmallVector<int64_t, 4> fuse::stridesOverChain(const CollapsedDims &dims, ArrayRef<int64_t> chain) {
  SmallVector<int64_t, 4> strides;
  int64_t start = 1; // where the current collapsed dimension begins
  int dim = static_cast<int>(dims.sizes.size()) - 1;
  for (size_t i = 0; i + 1 < chain.size(); ++i) {
    while (dim >= 0 && chain[i] >= start * dims.sizes[dim]) {
      start *= dims.sizes[dim];
      --dim;
    }
    strides.push_back(dim < 0 ? 0 : dims.strides[dim] * (chain[i] / start));
  }
  std::reverse(strides.begin(), strides.end());
  return strides;
}

bool fuse::reshapeView(StridedView &view, ArrayRef<int64_t> shape) {
  CollapsedDims dims = collapseDims(view.shape, view.strides);
  SmallVector<int64_t, 8> chain{1};
  int64_t count = 1;
  for (int64_t size : llvm::reverse(shape))
    if (size != 1)
      chain.push_back(count *= size);
  // Every border of the view must be a border of the new shape.
  for (int64_t border : viewBorders(dims))
    if (!llvm::is_contained(chain, border))
      return false;
  SmallVector<int64_t, 4> segments = stridesOverChain(dims, chain);
  SmallVector<int64_t, 4> strides(shape.size(), 0);
  size_t next = 0;
  for (auto [i, size] : llvm::enumerate(shape))
    if (size != 1)
      strides[i] = segments[next++];
  view.shape.assign(shape.begin(), shape.end());
  view.strides = std::move(strides);
  return true;
}

bool fuse::isViewOp(Operation *op) {
  return isa_and_nonnull<tg::ReshapeOp, tg::TransposeOp, tg::SliceOp, tg::BroadcastOp>(op) || tg::isWidening(op);
}

namespace {

/// Applies one view operation to the view of its operand; false when strides cannot express it.
bool applyViewOp(Operation *op, StridedView &view) {
  if (tg::isWidening(op))
    return true;
  ArrayRef<int64_t> shape = shapeOf(op->getResult(0));
  if (isa<tg::ReshapeOp>(op))
    return reshapeView(view, shape);
  SmallVector<int64_t, 4> strides(shape.size(), 0);
  if (auto transpose = dyn_cast<tg::TransposeOp>(op)) {
    for (auto [i, axis] : llvm::enumerate(transpose.getPermutation()))
      strides[i] = view.strides[axis];
  } else if (auto slice = dyn_cast<tg::SliceOp>(op)) {
    for (size_t i = 0; i < shape.size(); ++i) {
      view.offset += slice.getOffsets()[i] * view.strides[i];
      strides[i] = view.strides[i] * slice.getStrides()[i];
    }
  } else {
    for (auto [i, axis] : llvm::enumerate(cast<tg::BroadcastOp>(op).getAxes()))
      strides[axis] = view.shape[i] == shape[axis] ? view.strides[i] : 0;
  }
  view.shape.assign(shape.begin(), shape.end());
  view.strides = std::move(strides);
  return true;
}

} // namespace

StridedView fuse::resolveView(Value value) {
  SmallVector<Operation *, 8> path;
  while (isViewOp(value.getDefiningOp())) {
    path.push_back(value.getDefiningOp());
    value = value.getDefiningOp()->getOperand(0);
  }
  auto start = [](Value base) {
    StridedView view{base, 0, {}, {}};
    view.shape.assign(shapeOf(base).begin(), shapeOf(base).end());
    SmallVector<int64_t> strides = tg::rowMajorStrides(shapeOf(base));
    view.strides.assign(strides.begin(), strides.end());
    return view;
  };
  StridedView view = start(value);
  for (Operation *op : llvm::reverse(path))
    if (!applyViewOp(op, view))
      view = start(op->getResult(0));
  return view;
}
