// SPDX-License-Identifier: Apache-2.0
//
// Simulation of a plan by the meanings of the tg operations that its launches came from.
#include "tests/unit/fuse/PlanRunner.h"
#include "dialects/tg/Build.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace vcc;
using namespace vcc::test;

PlanRunner::PlanRunner(ModuleOp stage)
    : stage(stage), plan(schedule::planOf(stage)), kernels(stage), buffers(plan) {
  for (auto region : {exec::Region::Weights, exec::Region::State, exec::Region::Arena, exec::Region::Io,
                      exec::Region::Constant})
    memory[region].assign(plan.regionBytes(region), 0.0);
  for (auto buffer : plan.getBody().getOps<exec::BufferOp>())
    if (buffer.getValue())
      store(buffer.getSymName(), tg::fromAttribute(cast<DenseElementsAttr>(*buffer.getValue())));
}

PlanRunner::~PlanRunner() {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(scratch)))
    op.erase();
}

Operation *PlanRunner::lookupKernel(StringRef name) { return kernels.lookup(name); }
exec::BufferOp PlanRunner::bufferOf(StringRef name) { return buffers.lookup<exec::BufferOp>(name); }
bool PlanRunner::has(StringRef buffer) { return static_cast<bool>(bufferOf(buffer)); }

double &PlanRunner::element(exec::BufferOp buffer, int64_t number) {
  return memory[buffer.getRegion()].at(buffer.getOffset() + number * buffer.elementBytes());
}

void PlanRunner::set(StringRef name, ArrayRef<double> elements) {
  exec::BufferOp buffer = bufferOf(name);
  for (auto [i, value] : llvm::enumerate(elements))
    element(buffer, static_cast<int64_t>(i)) = value;
}

std::vector<double> PlanRunner::get(StringRef name) {
  exec::BufferOp buffer = bufferOf(name);
  std::vector<double> values;
  for (int64_t i = 0; i < buffer.tensorType().getNumElements(); ++i)
    values.push_back(element(buffer, i));
  return values;
}

tg::HostTensor PlanRunner::load(StringRef name, RankedTensorType type) {
  tg::HostTensor value(type);
  exec::BufferOp buffer = bufferOf(name);
  for (int64_t i = 0; i < value.size(); ++i)
    value.Data[i] = element(buffer, i);
  return value;
}

void PlanRunner::store(StringRef name, const tg::HostTensor &value) { set(name, value.Data); }

Value PlanRunner::dummy(Type type) {
  OpBuilder builder(stage.getContext());
  builder.setInsertionPointToEnd(&scratch);
  return builder.create<tg::InputOp>(stage.getLoc(), type, "dummy");
}

LogicalResult PlanRunner::run(StringRef function) {
  auto op = buffers.lookup<exec::FunctionOp>(function);
  if (!op)
    return failure();
  std::vector<double> &arena = memory[exec::Region::Arena];
  std::fill(arena.begin(), arena.end(), std::numeric_limits<double>::quiet_NaN());
  for (Operation &launch : op.getBody().front()) {
    if (auto kernel = dyn_cast<exec::LaunchKernelOp>(launch)) {
      if (failed(runKernel(kernel)))
        return failure();
    } else if (auto gemm = dyn_cast<exec::GemmOp>(launch)) {
      runGemm(gemm);
    } else if (auto attention = dyn_cast<exec::AttentionOp>(launch)) {
      runAttention(attention);
    } else if (auto grad = dyn_cast<exec::AttentionGradOp>(launch)) {
      runAttentionGrad(grad);
    } else if (auto fill = dyn_cast<exec::FillOp>(launch)) {
      exec::BufferOp buffer = bufferOf(fill.getDestination());
      for (int64_t i = 0; i < static_cast<int64_t>(fill.getSize()) / buffer.elementBytes(); ++i)
        element(buffer, i) = 0.0;
    } else if (auto copy = dyn_cast<exec::CopyOp>(launch)) {
      exec::BufferOp to = bufferOf(copy.getDestination()), from = bufferOf(copy.getSource());
      for (int64_t i = 0; i < static_cast<int64_t>(copy.getSize()) / to.elementBytes(); ++i)
        element(to, i) = element(from, i);
    }
  }
  return success();
}

/// As the graph has it: GELU with its root in single precision.
static double activate(tg::Activation kind, double x) {
  switch (kind) {
  case tg::Activation::None:
    return x;
  case tg::Activation::Gelu:
    return 0.5 * x * (1 + std::erf(x * static_cast<double>(0.70710678118654752440f)));
  case tg::Activation::Silu:
    return x / (1 + std::exp(-x));
  }
  llvm_unreachable("all activations are handled");
}

void PlanRunner::runGemm(exec::GemmOp op) {
  exec::BufferOp a = bufferOf(op.getA()), b = bufferOf(op.getB()), c = bufferOf(op.getC());
  auto at = [](ArrayRef<int64_t> s, int64_t i, int64_t j, int64_t x, int64_t y) {
    return i * s[0] + j * s[1] + x * s[2] + y * s[3];
  };
  std::vector<std::pair<int64_t, double>> results;
  for (int64_t i = 0; i < op.getBatch()[0]; ++i)
    for (int64_t j = 0; j < op.getBatch()[1]; ++j)
      for (int64_t x = 0; x < static_cast<int64_t>(op.getM()); ++x)
        for (int64_t y = 0; y < static_cast<int64_t>(op.getN()); ++y) {
          double sum = 0;
          for (int64_t k = 0; k < static_cast<int64_t>(op.getK()); ++k)
            sum += element(a, at(op.getAStrides(), i, j, x, k)) * element(b, at(op.getBStrides(), i, j, k, y));
          int64_t place = at(op.getCStrides(), i, j, x, y);
          if (op.getBias())
            sum += element(bufferOf(*op.getBias()), y);
          if (op.getAddend())
            sum += element(bufferOf(*op.getAddend()), place);
          if (op.getAccumulate())
            sum += element(c, place);
          results.push_back({place, activate(op.getActivation(), sum)});
        }
  for (auto [place, value] : results)
    element(c, place) = value;
}

void PlanRunner::runAttention(exec::AttentionOp op) {
  ArrayRef<int64_t> s = op.getSizes();
  Type f32 = Float32Type::get(op.getContext()), i32 = IntegerType::get(op.getContext(), 32);
  auto query = RankedTensorType::get({s[0], s[1], s[3], s[5]}, f32), key = RankedTensorType::get({s[0], s[2], s[4], s[5]}, f32);
  auto lse = RankedTensorType::get({s[0], s[3], s[1]}, f32);
  OpBuilder builder(stage.getContext());
  auto length = RankedTensorType::get({s[0]}, i32), start = RankedTensorType::get({s[0], s[1]}, i32);
  Value lengths = op.getLengths() ? dummy(length) : Value(), starts = op.getStarts() ? dummy(start) : Value();
  Value q = dummy(query), k = dummy(key), v = dummy(key);
  builder.setInsertionPointToEnd(&scratch);
  auto graph = builder.create<tg::AttentionOp>(op.getLoc(), TypeRange{query, lse}, q, k, v, lengths, starts, Value(),
                                               op.getCausalAttr(), builder.getF64FloatAttr(op.getScale().convertToDouble()),
                                               builder.getF64FloatAttr(0.0), tg::SiteAttr(), DenseI64ArrayAttr());
  SmallVector<tg::HostTensor> in{load(op.getQ(), query), load(op.getK(), key), load(op.getV(), key)};
  if (lengths)
    in.push_back(load(*op.getLengths(), length));
  if (starts)
    in.push_back(load(*op.getStarts(), start));
  SmallVector<const tg::HostTensor *> pointers;
  for (tg::HostTensor &tensor : in)
    pointers.push_back(&tensor);
  SmallVector<tg::HostTensor> out{tg::HostTensor(query), tg::HostTensor(lse)};
  (void)tg::evaluateOp(graph, *this, pointers, out);
  store(op.getOut(), out[0]);
  store(op.getLse(), out[1]);
}

void PlanRunner::runAttentionGrad(exec::AttentionGradOp op) {
  ArrayRef<int64_t> s = op.getSizes();
  Type f32 = Float32Type::get(op.getContext()), i32 = IntegerType::get(op.getContext(), 32);
  auto query = RankedTensorType::get({s[0], s[1], s[3], s[5]}, f32), key = RankedTensorType::get({s[0], s[2], s[4], s[5]}, f32);
  auto lse = RankedTensorType::get({s[0], s[3], s[1]}, f32);
  OpBuilder builder(stage.getContext());
  auto length = RankedTensorType::get({s[0]}, i32), start = RankedTensorType::get({s[0], s[1]}, i32);
  Value lengths = op.getLengths() ? dummy(length) : Value(), starts = op.getStarts() ? dummy(start) : Value();
  SmallVector<Value> values{dummy(query), dummy(key), dummy(key), dummy(query), dummy(lse), dummy(query)};
  builder.setInsertionPointToEnd(&scratch);
  auto graph = builder.create<tg::AttentionGradOp>(
      op.getLoc(), TypeRange{query, key, key}, values[0], values[1], values[2], values[3], values[4], values[5], lengths,
      starts, Value(), op.getCausalAttr(), builder.getF64FloatAttr(op.getScale().convertToDouble()),
      builder.getF64FloatAttr(0.0), tg::SiteAttr());
  SmallVector<tg::HostTensor> in{load(op.getQ(), query),   load(op.getK(), key),   load(op.getV(), key),
                                 load(op.getOut(), query), load(op.getLse(), lse), load(op.getDout(), query)};
  if (lengths)
    in.push_back(load(*op.getLengths(), length));
  if (starts)
    in.push_back(load(*op.getStarts(), start));
  SmallVector<const tg::HostTensor *> pointers;
  for (tg::HostTensor &tensor : in)
    pointers.push_back(&tensor);
  SmallVector<tg::HostTensor> out{tg::HostTensor(query), tg::HostTensor(key), tg::HostTensor(key)};
  (void)tg::evaluateOp(graph, *this, pointers, out);
  store(op.getDq(), out[0]);
  store(op.getDk(), out[1]);
  store(op.getDv(), out[2]);
}

namespace {

Attribute uniformOf(OpBuilder &builder, Type element, int64_t bits) {
  if (element.isF32())
    return builder.getF32FloatAttr(llvm::bit_cast<float>(static_cast<uint32_t>(bits)));
  return builder.getIntegerAttr(element, bits);
}

} // namespace

LogicalResult PlanRunner::runKernel(exec::LaunchKernelOp op) {
  auto kernel = kernels.lookup<tg::KernelOp>(op.getKernel());
  OpBuilder builder(stage.getContext());
  size_t outer = op.getDims().size(), next = 0, uniform = 0;
  SmallVector<Attribute> access, uniforms;
  SmallVector<Value> inputs;
  SmallVector<tg::HostTensor> in;
  SmallVector<StringRef> outputs;
  auto flatType = [&](StringRef buffer) {
    RankedTensorType type = bufferOf(buffer).tensorType();
    return RankedTensorType::get({type.getNumElements()}, type.getElementType());
  };
  // The last stride of an indexed tensor, its rows, is known to the graph by the tensor's type.
  auto graphAccess = [&](tg::AccessAttr given) {
    ArrayRef<int64_t> strides = given.getStrides();
    if (strides.size() == outer + 2)
      strides = strides.drop_back();
    return tg::AccessAttr::get(builder.getContext(), given.getOffset(), strides);
  };
  for (unsigned i = 0; i < kernel.getParams().size(); ++i) {
    Type element = getElementTypeOrSelf(kernel.getBody().getArgument(i).getType());
    if (kernel.getParam(i).getKind() == tg::ParamKind::Uniform) {
      uniforms.push_back(uniformOf(builder, element, op.getUniforms()[uniform++]));
      continue;
    }
    StringRef buffer = cast<FlatSymbolRefAttr>(op.getReads()[next]).getValue();
    access.push_back(graphAccess(cast<tg::AccessAttr>(op.getAccess()[next++])));
    inputs.push_back(dummy(flatType(buffer)));
    in.push_back(load(buffer, flatType(buffer)));
  }
  SmallVector<Type> types;
  int64_t rows = tg::elementCount(op.getDims());
  for (unsigned i = 0; i < kernel.getResults().size(); ++i) {
    StringRef buffer = cast<FlatSymbolRefAttr>(op.getWrites()[i]).getValue();
    outputs.push_back(buffer);
    tg::ResultKind kind = kernel.getResultKind(i).getKind();
    if (kind == tg::ResultKind::ColumnSum || kind == tg::ResultKind::TotalSum) {
      // Sums may be a part of their buffer; the graph has them by themselves.
      int64_t columns = kind == tg::ResultKind::ColumnSum ? static_cast<int64_t>(kernel.getColumns()) : 1;
      access.push_back(tg::AccessAttr::get(builder.getContext(), 0, {}));
      types.push_back(RankedTensorType::get({static_cast<int64_t>(op.getUnits()) * columns},
                                            getElementTypeOrSelf(flatType(buffer))));
      continue;
    }
    access.push_back(graphAccess(cast<tg::AccessAttr>(op.getAccess()[next + i])));
    types.push_back(flatType(buffer));
  }
  bool whole = op.getChunk() == 0 || static_cast<int64_t>(op.getChunk()) == rows;
  builder.setInsertionPointToEnd(&scratch);
  auto graph = builder.create<tg::LaunchOp>(op.getLoc(), types, op.getKernelAttr(), inputs, op.getDimsAttr(),
                                            builder.getArrayAttr(access), builder.getArrayAttr(uniforms),
                                            whole ? IntegerAttr() : builder.getI64IntegerAttr(op.getChunk()));
  SmallVector<const tg::HostTensor *> pointers;
  for (tg::HostTensor &tensor : in)
    pointers.push_back(&tensor);
  SmallVector<tg::HostTensor> out;
  for (Type type : types)
    out.emplace_back(cast<RankedTensorType>(type));
  if (failed(tg::evaluateOp(graph, *this, pointers, out)))
    return failure();
  for (unsigned i = 0; i < kernel.getResults().size(); ++i)
    storeResult(op, kernel, i, out[i]);
  return success();
}

/// Stores what the launch's access names and nothing else.
void PlanRunner::storeResult(exec::LaunchKernelOp op, tg::KernelOp kernel, unsigned result,
                             const tg::HostTensor &value) {
  exec::BufferOp buffer = bufferOf(cast<FlatSymbolRefAttr>(op.getWrites()[result]).getValue());
  tg::ResultAttr kind = kernel.getResultKind(result);
  auto access = cast<tg::AccessAttr>(op.getAccess()[op.getReads().size() + result]);
  if (kind.getKind() != tg::ResultKind::Row && kind.getKind() != tg::ResultKind::Scalar) {
    int64_t start = kind.getKind() == tg::ResultKind::Scatter ? 0 : access.getOffset();
    for (auto [i, number] : llvm::enumerate(value.Data))
      element(buffer, start + static_cast<int64_t>(i)) = number;
    return;
  }
  int64_t columns = kind.getKind() == tg::ResultKind::Row ? static_cast<int64_t>(kernel.getColumns()) : 1;
  for (int64_t row = 0, rows = tg::elementCount(op.getDims()); row < rows; ++row) {
    int64_t start = access.getOffset(), rest = row;
    for (size_t d = op.getDims().size(); d-- > 0;) {
      start += rest % op.getDims()[d] * access.getStrides()[d];
      rest /= op.getDims()[d];
    }
    for (int64_t column = 0; column < columns; ++column) {
      int64_t place = start + column * kind.getStride();
      element(buffer, place) = value.Data[place];
    }
  }
}

std::string test::findOverlap(exec::ModuleOp plan) {
  SmallVector<exec::BufferOp> buffers;
  for (auto buffer : plan.getBody().getOps<exec::BufferOp>())
    if (!buffer.getView())
      buffers.push_back(buffer);
  for (size_t i = 0; i < buffers.size(); ++i)
    for (size_t j = i + 1; j < buffers.size(); ++j) {
      exec::BufferOp a = buffers[i], b = buffers[j];
      if (a.getRegion() != b.getRegion())
        continue;
      bool arena = a.getRegion() == exec::Region::Arena;
      bool together = !arena || (*a.getFunction() == *b.getFunction() && *a.getFirst() <= *b.getLast() &&
                                 *b.getFirst() <= *a.getLast());
      bool apart = a.getOffset() + a.getSize() <= b.getOffset() || b.getOffset() + b.getSize() <= a.getOffset();
      if (together && !apart)
        return (a.getSymName() + " and " + b.getSymName()).str();
    }
  return "";
}
