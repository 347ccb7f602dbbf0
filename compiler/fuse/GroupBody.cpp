// SPDX-License-Identifier: Apache-2.0
//
// Bodies of kernel groups: members become operations on a row or a row scalar, views become strides of parameters,
// sources are written out, sums get partials.
#include "compiler/fuse/GroupBody.h"
#include "dialects/tg/Build.h"
#include <numeric>

using namespace mlir;
using namespace vcc;
using namespace vcc::fuse;

namespace {

/// Fewer elements are summed in one chunk.
constexpr int64_t WholeSum = 8192;
constexpr int64_t MaxPartials = 64, MinChunkRows = 16;

/// The borders of the walk from the rows up: 1 row .. all rows, in elements.
SmallVector<int64_t, 8> rowChain(const SmallVectorImpl<int64_t> &borders, int64_t columns, int64_t count) {
  SmallVector<int64_t, 8> chain{columns};
  for (int64_t border : borders)
    if (border > columns && border < count)
      chain.push_back(border);
  if (count > columns)
    chain.push_back(count);
  return chain;
}

/// Whether everything is read element by element in order, or is one number: then columns do not matter.
bool isFlat(const Group &group) {
  if (group.columns)
    return false;
  for (int64_t border : group.borders)
    if (border != 1 && border != group.count)
      return false;
  for (auto [op, role] : group.members) {
    if (isa<tg::GatherOp>(op))
      return false;
    for (Value operand : op->getOperands()) {
      StridedView view = resolveView(operand);
      if (classifyReach(group, view, operandRole(group, op, role)) != Reach::Outside)
        continue;
      CollapsedDims dims = collapseDims(view.shape, view.strides);
      if (!dims.sizes.empty() && dims.strides[0] > 1)
        return false;
    }
  }
  return true;
}

bool onlyCopies(const Group &group) {
  return llvm::all_of(group.members, [](const auto &member) { return isa<tg::BarrierOp>(member.first); });
}

} // namespace

Walk fuse::chooseWalk(const Group &group) {
  Walk walk;
  walk.flat = isFlat(group);
  walk.columns = group.columns ? group.columns : 1;
  if (!walk.flat && !group.columns) {
    int64_t smallest = group.count;
    for (int64_t border : group.borders)
      if (border > 1)
        smallest = std::min(smallest, border);
    // One strided run of everything: rows of a fixed length, so that kernels do not depend on the count.
    walk.columns = smallest == group.count ? std::gcd<int64_t>(group.count, 64) : smallest;
    // A copy of uneven runs (the shifted labels of a text) goes element by element: one kernel for every length.
    if (smallest % 16 != 0 && onlyCopies(group))
      walk.columns = 1;
  }
  SmallVector<int64_t, 8> chain = rowChain(group.borders, walk.columns, group.count);
  for (size_t i = chain.size(); i-- > 1;)
    walk.dims.push_back(chain[i] / chain[i - 1]);
  if (walk.dims.empty())
    walk.dims.push_back(1);
  return walk;
}

namespace {

class GroupBuilder {
public:
  GroupBuilder(OpBuilder &builder, const KernelGroups &groups, int id)
      : groups(groups), id(id), group(groups.groups()[id]), outer(builder),
        body(builder.getContext(), locationOf(groups, id), chooseWalk(group)) {
    chain = rowChain(group.borders, body.walk().columns, group.count);
  }

  void build(KernelNamer namer, ValueMap map, llvm::function_ref<void(Value, Value)> became) {
    SmallVector<Operation *> members;
    for (auto [op, role] : group.members)
      members.push_back(op);
    llvm::sort(members, [&](Operation *a, Operation *b) { return groups.indexOf(a) < groups.indexOf(b); });
    for (Operation *op : members)
      addMember(op, group.members.lookup(op));
    SmallVector<Value> provided;
    for (Operation *op : members) {
      Value value = op->getResult(0);
      if (groups.homeOf(op) != id || !groups.isReadOutside(value))
        continue;
      provided.push_back(value);
      addResult(value, group.members.lookup(op));
    }
    tg::LaunchOp launch = body.finish(outer, namer, map, chunkRows());
    for (auto [value, output] : llvm::zip(provided, launch.getOutputs()))
      became(value, summedUp(output, value, namer));
  }

private:
  static Location locationOf(const KernelGroups &groups, int id) {
    Operation *last = nullptr;
    for (auto [op, role] : groups.groups()[id].members)
      if (groups.homeOf(op) == id && (!last || groups.indexOf(op) > groups.indexOf(last)))
        last = op;
    return last->getLoc();
  }

  void addMember(Operation *op, Role role) {
    Role reader = operandRole(group, op, role);
    if (auto gather = dyn_cast<tg::GatherOp>(op)) {
      values[op->getResult(0)] = gathered(gather);
      return;
    }
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(read(operand, reader));
    if (auto reduce = dyn_cast<tg::ReduceOp>(op)) {
      values[op->getResult(0)] = reduced(reduce, operands[0], reader);
      return;
    }
    if (isa<tg::BarrierOp>(op)) {
      values[op->getResult(0)] = operands[0];
      return;
    }
    Type element = elementOf(op->getResult(0));
    OperationState state(op->getLoc(), op->getName());
    state.addOperands(operands);
    state.addAttributes(op->getAttrs());
    state.addTypes(role == Role::Row ? body.rowType(element) : body.scalarType(element));
    values[op->getResult(0)] = body.builder().create(state)->getResult(0);
  }

  Value reduced(tg::ReduceOp op, Value operand, Role reader) {
    ReductionForm form = reductionForm(op);
    if (form == ReductionForm::Column || reader == Role::Scalar || body.walk().flat)
      return operand;
    return body.builder().create<tg::ReduceOp>(op.getLoc(), body.scalarType(elementOf(operand)), operand,
                                               op.getKind(), ArrayRef<int64_t>{0});
  }

  /// What a member reads, in the type in which it reads it.
  Value read(Value operand, Role reader) {
    Value found = readBase(operand, reader);
    Type element = elementOf(operand);
    if (elementOf(found) == element)
      return found;
    Value &known = widened[{found, element}];
    if (!known)
      known = body.builder().create<tg::CastOp>(operand.getLoc(), tg::tensorType(found).clone(element), found);
    return known;
  }

  Value readBase(Value operand, Role reader) {
    StridedView view = resolveView(operand);
    switch (classifyReach(group, view, reader)) {
    case Reach::Row:
    case Reach::Scalar:
      return values.lookup(view.base);
    case Reach::Spread:
      return body.spread(values.lookup(view.base));
    case Reach::Source:
      return source(view.base, reader);
    case Reach::Outside:
      return outside(view, reader);
    case Reach::Conflict:
      break;
    }
    llvm_unreachable("a member reads its group in order");
  }

  /// Strides over the outer dimensions, and within the row for rows.
  std::pair<SmallVector<int64_t>, int64_t> stridesOf(const StridedView &view, Role reader) {
    CollapsedDims dims = collapseDims(view.shape, view.strides);
    SmallVector<int64_t, 8> full;
    if (reader == Role::Row) {
      full.push_back(1);
      if (chain[0] != 1)
        full.push_back(chain[0]);
      full.append(chain.begin() + 1, chain.end());
    } else {
      for (int64_t border : chain)
        full.push_back(border / chain[0]);
    }
    SmallVector<int64_t, 4> strides = stridesOverChain(dims, full);
    int64_t inner = 0;
    if (reader == Role::Row && chain[0] != 1)
      inner = strides.pop_back_val();
    if (strides.empty())
      strides.push_back(0); // the one outer dimension of size 1
    return {SmallVector<int64_t>(strides.begin(), strides.end()), inner};
  }

  Value outside(const StridedView &view, Role reader) {
    auto [strides, inner] = stridesOf(view, reader);
    MLIRContext *context = view.base.getContext();
    bool isRow = inner != 0;
    auto kind = tg::ParamAttr::get(context, isRow ? tg::ParamKind::Row : tg::ParamKind::Scalar, isRow ? inner : 1, -1);
    Value value = body.parameter(view.base, kind, body.access(view.offset, strides));
    return isRow || reader == Role::Scalar ? value : body.spread(value);
  }

  Value gathered(tg::GatherOp op) {
    MLIRContext *context = op.getContext();
    auto [idStrides, ignored] = stridesOf(gatherIds(op), Role::Row);
    StridedView ids = gatherIds(op);
    auto scalar = tg::ParamAttr::get(context, tg::ParamKind::Scalar, 1, -1);
    Value index = body.parameter(ids.base, scalar, body.access(ids.offset, idStrides));
    // Within a table row the walk is that of a row of elements, repeated for all ids.
    int64_t rowSize = gatherRow(op);
    StridedView place{op.getTable(), 0, {op.getResult().getType().getNumElements() / rowSize, rowSize}, {0, 1}};
    auto [strides, inner] = stridesOf(place, Role::Row);
    strides.push_back(rowSize);
    auto kind = tg::ParamAttr::get(context, tg::ParamKind::Indexed, inner ? inner : 1,
                                   static_cast<int64_t>(body.parameterNumber(index)));
    return body.parameter(resolveView(op.getTable()).base, kind, body.access(0, strides));
  }

  // Sources

  Value source(Value base, Role reader) {
    Value &known = sources[{base, static_cast<int>(reader)}];
    if (known)
      return known;
    Operation *op = base.getDefiningOp();
    if (auto constant = dyn_cast<tg::ConstantOp>(op))
      known = number(constant, reader);
    else if (auto iota = dyn_cast<tg::IotaOp>(op))
      known = counted(iota, reader);
    else
      known = drawn(op, reader);
    return known;
  }

  Value number(tg::ConstantOp constant, Role reader) {
    auto splat = cast<SplatElementsAttr>(constant.getValue());
    Type element = splat.getElementType();
    bool scalar = reader == Role::Scalar || body.walk().flat;
    if (element.isF32()) {
      APFloat value = splat.getSplatValue<APFloat>();
      if (!value.isZero() && !value.isExactlyValue(1.0)) {
        Value immediate = body.uniform(FloatAttr::get(element, value));
        return scalar ? immediate : body.spread(immediate);
      }
    }
    auto type = cast<RankedTensorType>(scalar ? body.scalarType(element) : body.rowType(element));
    return body.builder().create<tg::ConstantOp>(constant.getLoc(), splat.resizeSplat(type));
  }

  /// Element number / `unit` for the elements of a row (or for the row, seen as an element of one).
  struct Place {
    Value whole, rest; ///< number / unit, number % unit
    bool isRow;        ///< one per element of the row
  };

  /// Element numbers counted in rows of `unit` elements. Rows of the walk lie inside the unit wherever possible.
  Place placeIn(int64_t unit, Role reader) {
    bool scalar = reader == Role::Scalar || body.walk().flat;
    Value row = body.rowIndex();
    if (scalar) {
      Value size = body.integer(unit);
      return {body.make<tg::DivOp>(row, size), body.remainder(row, size), false};
    }
    int64_t columns = body.walk().columns;
    if (unit % columns == 0) {
      Value rows = body.integer(unit / columns);
      Value start = body.make<tg::MulOp>(body.remainder(row, rows), body.integer(columns));
      return {body.spread(body.make<tg::DivOp>(row, rows)),
              body.make<tg::AddOp>(body.spread(start), body.columnIndex()), true};
    }
    Value start = body.spread(body.make<tg::MulOp>(row, body.integer(columns)));
    Value element = body.make<tg::AddOp>(start, body.columnIndex());
    Value size = body.spread(body.integer(unit));
    return {body.make<tg::DivOp>(element, size), body.remainder(element, size), true};
  }

  Value counted(tg::IotaOp iota, Role reader) {
    ArrayRef<int64_t> shape = shapeOf(iota.getResult());
    int64_t axis = iota.getAxis(), size = shape[axis], step = 1;
    for (int64_t later : shape.drop_front(axis + 1))
      step *= later;
    Type element = elementOf(iota.getResult());
    bool scalar = reader == Role::Scalar || body.walk().flat;
    Value place;
    if (!scalar && step == 1 && size == body.walk().columns) {
      place = body.columnIndex();
    } else {
      // (element / step) % size, the larger unit first so that the row arithmetic stays per row.
      Place outer = placeIn(size * step, reader);
      Value unit = body.integer(step);
      place = step == 1 ? outer.rest : body.make<tg::DivOp>(outer.rest, outer.isRow ? body.spread(unit) : unit);
    }
    if (element == elementOf(place))
      return place;
    return body.builder().create<tg::CastOp>(iota.getLoc(),
                                             scalar ? body.scalarType(element) : body.rowType(element), place);
  }

  Value drawn(Operation *op, Role reader) {
    Value result = op->getResult(0);
    int64_t samples = shapeOf(result).empty() ? 1 : shapeOf(result)[0];
    Place place = placeIn(countOf(result) / samples, reader);
    auto spread = [&](Value scalar) { return place.isRow ? body.spread(scalar) : scalar; };
    Value rng = resolveView(op->getOperand(0)).base;
    auto word = [&](int64_t number) {
      auto kind = tg::ParamAttr::get(op->getContext(), tg::ParamKind::Scalar, 1, -1);
      SmallVector<int64_t> still(body.walk().dims.size(), 0);
      return spread(body.parameter(rng, kind, body.access(number, still)));
    };
    auto site = op->getAttrOfType<tg::SiteAttr>("site");
    Value hash = spread(body.integer(site.hash()));
    Value sample = body.make<tg::AddOp>(place.whole, word(3));
    Type element = elementOf(result);
    Type type = place.isRow ? body.rowType(element) : body.scalarType(element);
    OpBuilder &builder = body.builder();
    if (isa<tg::RandomUniformOp>(op))
      return builder.create<tg::DrawUniformOp>(op->getLoc(), type, word(0), word(1), place.rest, sample, word(2), hash);
    return builder.create<tg::DrawNormalOp>(op->getLoc(), type, word(0), word(1), place.rest, sample, word(2), hash);
  }

  // Results

  void addResult(Value value, Role role) {
    MLIRContext *context = value.getContext();
    auto kind = [&](tg::ResultKind result) { return tg::ResultAttr::get(context, result, 1, -1); };
    if (role == Role::Sum) {
      bool column = reductionForm(cast<tg::ReduceOp>(value.getDefiningOp())) == ReductionForm::Column;
      SmallVector<int64_t> shape;
      if (std::optional<int64_t> rows = chunkRows())
        shape.push_back(llvm::divideCeil(body.walk().rows(), *rows));
      if (column)
        shape.push_back(body.walk().columns);
      body.result(values.lookup(value), kind(column ? tg::ResultKind::ColumnSum : tg::ResultKind::TotalSum),
                  body.access(0, {}), RankedTensorType::get(shape, elementOf(value)));
      return;
    }
    StridedView whole{value, 0, {countOf(value)}, {1}};
    auto [strides, inner] = stridesOf(whole, role);
    bool isRow = role == Role::Row && !body.walk().flat;
    body.result(values.lookup(value), kind(isRow ? tg::ResultKind::Row : tg::ResultKind::Scalar),
                body.access(0, strides), value.getType());
  }

  /// Rows whose sums make one partial; nothing when there are no sums or one chunk does.
  std::optional<int64_t> chunkRows() const {
    bool sums = llvm::any_of(group.members, [&](auto &entry) { return entry.second == Role::Sum; });
    if (!sums || group.count <= WholeSum)
      return std::nullopt;
    int64_t rows = body.walk().rows();
    int64_t chunk = std::max<int64_t>(MinChunkRows, llvm::divideCeil(rows, MaxPartials));
    return chunk < rows ? std::optional<int64_t>(chunk) : std::nullopt;
  }

  /// The launch's result as the value that it stands for: partial sums are added up.
  Value summedUp(Value output, Value value, KernelNamer namer) {
    auto type = cast<RankedTensorType>(output.getType());
    Location loc = value.getLoc();
    if (group.members.lookup(value.getDefiningOp()) == Role::Sum && chunkRows()) {
      bool column = type.getRank() == 2;
      Walk walk{/*flat=*/!column, column ? type.getShape()[1] : 1, {type.getShape()[0]}};
      KernelBody sum(output.getContext(), loc, walk);
      MLIRContext *context = output.getContext();
      auto param = tg::ParamAttr::get(context, column ? tg::ParamKind::Row : tg::ParamKind::Scalar, 1, -1);
      auto result = tg::ResultAttr::get(context, column ? tg::ResultKind::ColumnSum : tg::ResultKind::TotalSum, 1, -1);
      Value partial = sum.parameter(output, param, sum.access(0, {walk.columns}));
      sum.result(partial, result, sum.access(0, {}),
                 RankedTensorType::get(type.getShape().drop_front(), type.getElementType()));
      output = sum.finish(outer, namer, [](Value same) { return same; }, std::nullopt).getOutputs()[0];
    }
    if (output.getType() == value.getType())
      return output;
    return outer.create<tg::ReshapeOp>(loc, value.getType(), output);
  }

  const KernelGroups &groups;
  int id;
  const Group &group;
  OpBuilder &outer;
  KernelBody body;
  SmallVector<int64_t, 8> chain;
  DenseMap<Value, Value> values;
  DenseMap<std::pair<Value, int>, Value> sources;
  DenseMap<std::pair<Value, Type>, Value> widened;
};

} // namespace

void fuse::buildGroup(OpBuilder &builder, const KernelGroups &groups, int id, KernelNamer namer, ValueMap map,
                      llvm::function_ref<void(Value, Value)> became) {
  GroupBuilder(builder, groups, id).build(namer, map, became);
}

Value fuse::buildScatter(OpBuilder &builder, tg::ScatterAddOp op, KernelNamer namer, ValueMap map) {
  int64_t ids = countOf(op.getIds()), columns = countOf(op.getUpdates()) / ids;
  MLIRContext *context = op.getContext();
  KernelBody body(context, op.getLoc(), Walk{/*flat=*/false, columns, {ids}});
  Value index = body.parameter(op.getIds(), tg::ParamAttr::get(context, tg::ParamKind::Scalar, 1, -1),
                               body.access(0, {1}));
  Value row = body.parameter(op.getUpdates(), tg::ParamAttr::get(context, tg::ParamKind::Row, 1, -1),
                             body.access(0, {columns}));
  body.result(row, tg::ResultAttr::get(context, tg::ResultKind::Scatter, 1, body.parameterNumber(index)),
              body.access(0, {0, columns}), op.getType());
  auto named = [&](tg::KernelOp kernel) {
    kernel.setKernelClass(tg::KernelClass::Scatter);
    return namer(kernel);
  };
  return body.finish(builder, named, map, std::nullopt).getOutputs()[0];
}
