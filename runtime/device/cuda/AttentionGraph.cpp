// SPDX-License-Identifier: Apache-2.0
//
// The library recognises these graphs by their form: which steps there are, in which order and of which types is as its
// documentation and NVIDIA's own frontend (cudnn-frontend, MIT) have it. Sizes are [b, h, s, d] wherever the library is told of them.
#include "runtime/device/cuda/AttentionGraph.h"

#include <algorithm>
#include <array>

namespace vcc::runtime::cuda {

void checkAttention(const AttentionApi &api, AttentionResult result, const char *doing) {
  if (result == AttentionSuccess)
    return;
  char text[1024] = {};
  api.lastError(text, sizeof text - 1);
  std::string detail = text;
  std::replace(detail.begin(), detail.end(), '\n', ' ');
  throw AttentionFault{result, doing, detail.substr(0, detail.find_last_not_of(' ') + 1)};
}

Part::Part(const AttentionApi &api, PartKind kind) : Api(&api) {
  checkAttention(api, api.createPart(kind, &Value), "make a part of the graph");
}

Part &Part::set(PartAttribute attribute, ValueKind kind, int64_t count, const void *values) {
  checkAttention(*Api, Api->setPart(Value, attribute, kind, count, values), "describe a part of the graph");
  return *this;
}

void Part::finish() { checkAttention(*Api, Api->finishPart(Value), "finish a part of the graph"); }

namespace {

using Sizes = std::array<int64_t, 4>;

Sizes packed(const Sizes &sizes) {
  return {sizes[1] * sizes[2] * sizes[3], sizes[2] * sizes[3], sizes[3], 1};
}
/// Of [b, s, h, d] in memory, as [b, h, s, d].
Sizes bySequence(const Sizes &sizes) {
  return {sizes[1] * sizes[2] * sizes[3], sizes[3], sizes[1] * sizes[3], 1};
}
Sizes turned(Sizes sizes) {
  std::swap(sizes[2], sizes[3]);
  return sizes;
}

} // namespace

class GraphWriter {
public:
  GraphWriter(const AttentionApi &api, const AttentionShape &shape, AttentionGraph &into) : Api(api), S(shape), Into(into) {}

  void forward() {
    Tensor q = input(OperandQ, {S.b, S.h, S.sq, S.d}), k = keys(OperandK, /*turn=*/true), v = keys(OperandV, /*turn=*/false);
    Tensor scores = multiply(product(q, k, {queries(), lengths(), -1}, scoreSizes()), number(OperandScale, TensorF32));
    scores = seenSoFar(seenOfSample(scores));
    Tensor largest = reduced(ReductionMax, scores), e = pointwise(PointwiseExp, subtract(scores, largest)), sum = reduced(ReductionSum, e);
    Tensor logarithm = pointwise(PointwiseLog, sum);
    pointwise(PointwiseAdd, {largest, logarithm}, {}, tensor(OperandLse, rowSizes(), packed(rowSizes()), TensorF32));
    Tensor p = pointwise(PointwiseDivide, {e, sum}, {}, between(scoreSizes(), narrow()));
    productInto(p, v, {queries(), -1, lengths()}, input(OperandOut, {S.b, S.h, S.sq, S.d}));
  }

  void backward() {
    Tensor q = input(OperandQ, {S.b, S.h, S.sq, S.d}), k = keys(OperandK, true), v = keys(OperandV, true);
    Tensor out = input(OperandOut, {S.b, S.h, S.sq, S.d}), dout = input(OperandDout, {S.b, S.h, S.sq, S.d});
    Tensor lse = tensor(OperandLse, rowSizes(), packed(rowSizes()), TensorF32), scale = number(OperandScale, TensorF32);
    // Of each row the sum of dout * out, in memory between the library's kernels.
    Tensor both = multiply(dout, out), sums = reduced(ReductionSum, both);
    Tensor rowSums = tensor(OperandRowSums, rowSizes(), packed(rowSizes()), TensorF32);
    pointwise(PointwiseMultiply, {sums, number(OperandOne, TensorF32)}, {}, rowSums);
    // The probabilities again, and through them dv.
    Tensor scores = multiply(product(q, k, {queries(), lengths(), -1}, scoreSizes()), scale);
    Tensor p = pointwise(PointwiseExp, seenSoFar(subtract(seenOfSample(scores), lse)));
    gradientOfKeys(p, dout, OperandDv);
    // dp, then what that is for the scores, and through it dk and dq.
    Tensor dp = product(dout, v, {queries(), lengths(), -1}, scoreSizes());
    Tensor ds = multiply(multiply(subtract(dp, rowSums), p), scale);
    gradientOfKeys(ds, q, OperandDk);
    Tensor straight = between(turned(k.sizes), narrow(), turned(k.strides));
    reshape(k, straight);
    productInto(ds, straight, {queries(), -1, lengths()}, input(OperandDq, {S.b, S.h, S.sq, S.d}));
  }

  const std::vector<GraphPart> &steps() const { return Steps; }

private:
  struct Tensor {
    GraphPart part = nullptr;
    Sizes sizes{}, strides{};
  };
  /// Operands of a product that say how many of its rows, columns and terms count; a negative one: all.
  struct Counts {
    int64_t rows, columns, terms;
  };

  // Tensors

  Tensor tensor(int64_t name, const Sizes &sizes, const Sizes &strides, TensorElement element, bool byValue = false) {
    for (const auto &[known, made] : Known)
      if (known == name)
        return made;
    Part &part = Into.Parts.emplace_back(Api, PartTensor);
    part.set(TensorType, ValueType, element).set(TensorSizes, ValueInt64, 4, sizes.data()).set(TensorStrides, ValueInt64, 4, strides.data());
    part.set(TensorName, ValueInt64, name).set(TensorAlignment, ValueInt64, int64_t(16));
    if (name >= OperandVirtual)
      part.set(TensorVirtual, ValueBool, true);
    else
      Into.Named.push_back(name);
    if (byValue)
      part.set(TensorByValue, ValueBool, true);
    part.finish();
    return Known.emplace_back(name, Tensor{part.get(), sizes, strides}).second;
  }
  Tensor input(int64_t name, const Sizes &sizes) { return tensor(name, sizes, bySequence(sizes), narrow()); }
  Tensor keys(int64_t name, bool turn) {
    Sizes sizes = {S.b, S.g, S.sk, S.d}, strides = bySequence(sizes);
    return turn ? tensor(name, turned(sizes), turned(strides), narrow()) : tensor(name, sizes, strides, narrow());
  }
  /// Of all operands but the log-sum-exp.
  TensorElement narrow() const { return S.half ? TensorF16 : TensorBf16; }
  Tensor number(int64_t name, TensorElement element) { return tensor(name, {1, 1, 1, 1}, {1, 1, 1, 1}, element, true); }
  Tensor between(const Sizes &sizes, TensorElement element) { return between(sizes, element, packed(sizes)); }
  Tensor between(const Sizes &sizes, TensorElement element, const Sizes &strides) { return tensor(Next++, sizes, strides, element); }
  Tensor perSample(int64_t name) { return tensor(name, {S.b, 1, 1, 1}, {1, 1, 1, 1}, TensorI32); }
  Sizes scoreSizes() const { return {S.b, S.h, S.sq, S.sk}; }
  Sizes rowSizes() const { return {S.b, S.h, S.sq, 1}; }
  int64_t queries() const { return S.lengths ? int64_t(OperandQueries) : -1; }
  int64_t lengths() const { return S.lengths ? int64_t(OperandLengths) : -1; }

  // Steps

  void step(Part &part) {
    part.finish();
    Steps.push_back(part.get());
  }

  struct How {
    TensorElement precision = TensorF32; ///< in which it is computed
    int64_t axis = -1;                   ///< of an index
    GraphPart condition = nullptr;       ///< of a choice
  };
  Tensor pointwise(PointwiseKind kind, const std::vector<Tensor> &from, const How &how, const Tensor &to) {
    Part &description = Into.Parts.emplace_back(Api, PartPointwise);
    description.set(PointwiseMode, ValuePointwise, kind).set(PointwisePrecision, ValueType, how.precision);
    if (how.axis >= 0)
      description.set(PointwiseAxis, ValueInt64, how.axis);
    description.finish();
    GraphPart described = description.get();
    Part &part = Into.Parts.emplace_back(Api, PartPointwiseStep);
    part.set(PointwiseStepHow, ValuePart, described).set(PointwiseStepX, ValuePart, from[0].part).set(PointwiseStepY, ValuePart, to.part);
    if (from.size() > 1)
      part.set(PointwiseStepB, ValuePart, from[1].part);
    if (how.condition)
      part.set(PointwiseStepT, ValuePart, how.condition);
    part.set(PointwiseStepAlpha1, ValueFloat, 1.0f).set(PointwiseStepAlpha2, ValueFloat, 1.0f);
    step(part);
    return to;
  }
  Tensor pointwise(PointwiseKind kind, const Tensor &x) { return pointwise(kind, {x}, {}, between(x.sizes, TensorF32)); }
  Tensor subtract(const Tensor &x, const Tensor &y) { return pointwise(PointwiseSubtract, {x, y}, {}, between(x.sizes, TensorF32)); }
  Tensor multiply(const Tensor &x, const Tensor &y) { return pointwise(PointwiseMultiply, {x, y}, {}, between(x.sizes, TensorF32)); }

  Tensor reduced(ReductionKind kind, const Tensor &x) { return reduce(kind, x, between(rowSizes(), TensorF32)); }
  Tensor reduce(ReductionKind kind, const Tensor &x, const Tensor &to) {
    Part &description = Into.Parts.emplace_back(Api, PartReduction);
    description.set(ReductionOperator, ValueReduction, kind).set(ReductionPrecision, ValueType, TensorF32).finish();
    GraphPart described = description.get();
    Part &part = Into.Parts.emplace_back(Api, PartReductionStep);
    step(part.set(ReductionStepHow, ValuePart, described).set(ReductionStepX, ValuePart, x.part).set(ReductionStepY, ValuePart, to.part));
    return to;
  }

  Tensor product(const Tensor &a, const Tensor &b, const Counts &counts, const Sizes &sizes) {
    return productInto(a, b, counts, between(sizes, TensorF32));
  }
  Tensor productInto(const Tensor &a, const Tensor &b, const Counts &counts, const Tensor &to) {
    std::pair<PartAttribute, int64_t> given[] = {{ProductStepM, counts.rows}, {ProductStepN, counts.columns}, {ProductStepK, counts.terms}};
    std::vector<std::pair<PartAttribute, GraphPart>> known;
    for (auto [attribute, name] : given)
      if (name >= 0)
        known.emplace_back(attribute, perSample(name).part);
    Part &description = Into.Parts.emplace_back(Api, PartProduct);
    description.set(ProductPrecision, ValueType, TensorF32).finish();
    GraphPart described = description.get();
    Part &part = Into.Parts.emplace_back(Api, PartProductStep);
    part.set(ProductStepA, ValuePart, a.part).set(ProductStepB, ValuePart, b.part).set(ProductStepC, ValuePart, to.part);
    part.set(ProductStepHow, ValuePart, described);
    for (auto [attribute, tensor] : known)
      part.set(attribute, ValuePart, tensor);
    step(part);
    return to;
  }

  void reshape(const Tensor &x, const Tensor &to) {
    step(Into.Parts.emplace_back(Api, PartReshapeStep).set(ReshapeStepX, ValuePart, x.part).set(ReshapeStepY, ValuePart, to.part));
  }

  /// Sums over the queries of all heads that read a key head.
  void gradientOfKeys(const Tensor &scores, const Tensor &rows, int64_t name) {
    Tensor columns = between(turned(scoreSizes()), narrow(), turned(packed(scoreSizes())));
    reshape(scores, columns);
    Tensor result = input(name, {S.b, S.g, S.sk, S.d});
    Counts counts = {lengths(), -1, queries()};
    if (S.h == S.g)
      productInto(columns, rows, counts, result);
    else
      reduce(ReductionSum, productInto(columns, rows, counts, between({S.b, S.h, S.sk, S.d}, narrow())), result);
  }

  // Masks

  Tensor places(const Tensor &scores, int64_t axis, TensorElement precision) {
    return pointwise(PointwiseIndex, {scores}, {precision, axis}, between(scoreSizes(), TensorI32));
  }
  Tensor compare(PointwiseKind kind, const Tensor &x, const Tensor &y) {
    return pointwise(kind, {x, y}, {TensorBool}, between(scoreSizes(), TensorBool));
  }
  Tensor choose(const Tensor &condition, const Tensor &scores) {
    return pointwise(PointwiseSelect, {scores, number(OperandNothing, TensorF32)}, {TensorF32, -1, condition.part}, between(scoreSizes(), TensorF32));
  }

  /// Without the keys behind a sample's length.
  Tensor seenOfSample(const Tensor &scores) {
    if (!S.lengths)
      return scores;
    Tensor rows = places(scores, 2, TensorI32), columns = places(scores, 3, TensorI32);
    Tensor row = compare(PointwiseBelow, rows, perSample(OperandQueries)), column = compare(PointwiseBelow, columns, perSample(OperandLengths));
    return choose(compare(PointwiseAnd, row, column), scores);
  }

  /// Without the keys that lie ahead.
  Tensor seenSoFar(const Tensor &scores) {
    if (!S.causal)
      return scores;
    Tensor rows = places(scores, 2, TensorF32), columns = places(scores, 3, TensorF32);
    if (S.sq != S.sk) {
      Tensor keys = S.lengths ? perSample(OperandLengths) : number(OperandKeyCount, TensorI32);
      Tensor queries = S.lengths ? perSample(OperandQueries) : number(OperandQueryCount, TensorI32);
      rows = pointwise(PointwiseAdd, {rows, keys}, {TensorI32}, between(scoreSizes(), TensorI32));
      rows = pointwise(PointwiseSubtract, {rows, queries}, {TensorI32}, between(scoreSizes(), TensorI32));
    }
    return choose(compare(PointwiseAtLeast, rows, columns), scores);
  }

  const AttentionApi &Api;
  const AttentionShape &S;
  AttentionGraph &Into;
  std::vector<GraphPart> Steps;
  std::vector<std::pair<int64_t, Tensor>> Known;
  int64_t Next = OperandVirtual;
};

AttentionGraph::AttentionGraph(const AttentionApi &api, const AttentionShape &shape, AttentionHandle handle) : Whole(api, PartGraph) {
  GraphWriter writer(api, shape, *this);
  shape.backward ? writer.backward() : writer.forward();
  Whole.set(GraphSteps, ValuePart, int64_t(writer.steps().size()), writer.steps().data());
  if (handle)
    Whole.set(GraphHandle, ValueHandle, handle);
  Whole.finish();
}

} // namespace vcc::runtime::cuda
