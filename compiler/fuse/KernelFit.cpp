// SPDX-License-Identifier: Apache-2.0
//
// Whether an operation fits a kernel group: element counts, row length, and whether everything that it reads from
// memory can be walked by the group's dimensions.
#include "compiler/fuse/KernelGroups.h"
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

namespace {

/// More makes a kernel that spills and reads too many streams at once.
constexpr size_t MaxMembers = 192, MaxReads = 40;

} // namespace

bool fuse::isMember(Operation *op) {
  if (auto barrier = dyn_cast<tg::BarrierOp>(op))
    return barrier.getInputs().size() == 1;
  return isa<tg::ReduceOp, tg::GatherOp>(op) ||
         (!isViewOp(op) && op->hasTrait<OpTrait::Elementwise>() && op->getNumResults() == 1);
}

Role fuse::operandRole(const Group &group, Operation *op, Role result) {
  auto reduce = dyn_cast<tg::ReduceOp>(op);
  if (!reduce)
    return result;
  bool scalars = reductionForm(reduce) == ReductionForm::Total && group.columns > 1 &&
                 countOf(reduce.getX()) == group.rows() && countOf(reduce.getX()) != group.count;
  return scalars ? Role::Scalar : Role::Row;
}

Reach fuse::classifyReach(const Group &group, const StridedView &view, Role reader) {
  if (isSource(view.base))
    return Reach::Source;
  Operation *op = view.base.getDefiningOp();
  auto member = op ? group.members.find(op) : group.members.end();
  if (member == group.members.end())
    return Reach::Outside;
  Role role = member->second;
  if (role == Role::Sum)
    return Reach::Conflict;
  if (role == reader)
    return view.isWhole() ? (role == Role::Row ? Reach::Row : Reach::Scalar) : Reach::Conflict;
  if (reader == Role::Scalar || view.offset != 0)
    return Reach::Conflict;
  CollapsedDims dims = collapseDims(view.shape, view.strides);
  int64_t rows = group.rows();
  bool spread = rows == 1 ? dims.sizes.size() == 1 && dims.strides[0] == 0
                          : dims.sizes.size() == 2 && dims.sizes[0] == rows && dims.strides[0] == 1 &&
                                dims.strides[1] == 0;
  return spread ? Reach::Spread : Reach::Conflict;
}

int64_t fuse::gatherRow(tg::GatherOp op) { return countOf(op.getTable()) / shapeOf(op.getTable())[0]; }

StridedView fuse::gatherIds(tg::GatherOp op) {
  StridedView view = resolveView(op.getIds());
  view.shape.push_back(gatherRow(op));
  view.strides.push_back(0);
  return view;
}

std::optional<StridedView> fuse::windowInConcat(Value value) {
  for (OpOperand &use : value.getUses()) {
    auto concat = dyn_cast<tg::ConcatOp>(use.getOwner());
    if (!concat)
      continue;
    StridedView view{concat.getResult(), 0, {}, {}};
    view.shape.assign(shapeOf(value).begin(), shapeOf(value).end());
    SmallVector<int64_t> strides = tg::rowMajorStrides(shapeOf(concat.getResult()));
    view.strides.assign(strides.begin(), strides.end());
    for (Value before : concat.getInputs().take_front(use.getOperandNumber()))
      view.offset += shapeOf(before)[concat.getAxis()] * strides[concat.getAxis()];
    return view;
  }
  return std::nullopt;
}

namespace {

/// The row length that an operation insists on; 0 when any will do.
int64_t requiredColumns(Operation *op) {
  if (auto reduce = dyn_cast<tg::ReduceOp>(op)) {
    switch (reductionForm(reduce)) {
    case ReductionForm::Row:
      return shapeOf(reduce.getX()).back();
    case ReductionForm::Column:
      return shapeOf(reduce.getX())[1];
    default:
      return 0;
    }
  }
  if (auto gather = dyn_cast<tg::GatherOp>(op))
    return gatherRow(gather) == 1 ? 1 : 0;
  return 0;
}

/// What the result of an operation would be in the group; nothing when its size does not fit.
std::optional<Role> resultRole(const Group &group, Operation *op) {
  if (auto reduce = dyn_cast<tg::ReduceOp>(op)) {
    int64_t count = countOf(reduce.getX());
    if (reductionForm(reduce) == ReductionForm::Total)
      return count == group.count || count == group.rows() ? std::optional<Role>(Role::Sum) : std::nullopt;
    if (count != group.count)
      return std::nullopt;
    return reductionForm(reduce) == ReductionForm::Row ? Role::Scalar : Role::Sum;
  }
  int64_t count = countOf(op->getResult(0));
  if (count == group.count)
    return Role::Row;
  return group.columns > 1 && count == group.rows() ? std::optional<Role>(Role::Scalar) : std::nullopt;
}

/// Adds what a member reads from memory; false when the group's walk cannot express it.
bool addRead(Group &group, const StridedView &view, Role reader) {
  SmallVector<int64_t, 4> borders = viewBorders(collapseDims(view.shape, view.strides));
  if (reader == Role::Scalar)
    for (int64_t &border : borders)
      border *= group.columns;
  if (reader == Role::Scalar && !borders.empty())
    borders.push_back(group.columns);
  group.reads.insert(view.base);
  return addBorders(group.borders, borders);
}

/// Adds the place of a part of a concatenation, which is written straight into the whole; false when the walk cannot.
bool addWindow(Group &group, Value value, Role role) {
  std::optional<StridedView> window = windowInConcat(value);
  if (!window)
    return true;
  CollapsedDims dims = collapseDims(window->shape, window->strides);
  // Rows are written element after element; a part that lies strided in the whole is walked one column at a time.
  if (role == Role::Row && !dims.strides.empty() && dims.strides.back() != 1) {
    if (group.columns > 1)
      return false;
    group.columns = 1;
  }
  SmallVector<int64_t, 4> borders = viewBorders(dims);
  for (int64_t &border : borders)
    border *= role == Role::Scalar ? group.columns : 1;
  return addBorders(group.borders, borders);
}

/// Whether rows of `columns` lie between the borders.
bool columnsFit(const Group &group) {
  if (group.columns <= 1)
    return true;
  SmallVector<int64_t, 8> chain(group.borders);
  for (int64_t border : chain)
    if (border > 1 && border < group.columns)
      return false;
  return group.count % group.columns == 0 && addBorders(chain, {group.columns, group.count});
}

} // namespace

std::optional<Group> fuse::withMember(const Group &old, Operation *op, llvm::function_ref<int(Value)> levelOf) {
  Group group = old;
  if (int64_t columns = requiredColumns(op)) {
    if (group.columns && group.columns != columns)
      return std::nullopt;
    group.columns = columns;
  }
  std::optional<Role> role = resultRole(group, op);
  if (!role || group.members.size() >= MaxMembers)
    return std::nullopt;
  Role reader = operandRole(group, op, *role);
  auto reads = [&](const StridedView &view) {
    return levelOf(view.base) < group.level && addRead(group, view, reader);
  };
  if (auto gather = dyn_cast<tg::GatherOp>(op)) {
    StridedView table = resolveView(gather.getTable()), ids = gatherIds(gather);
    if (*role != Role::Row || group.members.count(table.base.getDefiningOp()) ||
        group.members.count(ids.base.getDefiningOp()) || levelOf(table.base) >= group.level || !reads(ids) ||
        !addBorders(group.borders, {gatherRow(gather)}))
      return std::nullopt;
    group.reads.insert(table.base);
  } else {
    for (Value operand : op->getOperands()) {
      StridedView view = resolveView(operand);
      Reach reach = classifyReach(group, view, reader);
      if (reach == Reach::Conflict || (reach == Reach::Outside && !reads(view)))
        return std::nullopt;
      // A draw reads the seed and step, which come from outside too.
      if (Operation *source = view.base.getDefiningOp();
          reach == Reach::Source && isa<tg::RandomUniformOp, tg::RandomNormalOp>(source)) {
        if (levelOf(resolveView(source->getOperand(0)).base) >= group.level)
          return std::nullopt;
        group.reads.insert(resolveView(source->getOperand(0)).base);
      }
    }
  }
  if (*role != Role::Sum && !addWindow(group, op->getResult(0), *role))
    return std::nullopt;
  if (!columnsFit(group) || group.reads.size() > MaxReads)
    return std::nullopt;
  group.members.insert({op, *role});
  return group;
}
