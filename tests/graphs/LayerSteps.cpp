// SPDX-License-Identifier: Apache-2.0
//
// Steps of a random graph that models are made of: reductions, products, norms, attention, losses, dropout.
#include "tests/graphs/GraphMaker.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mlir;
using namespace vcc;
using namespace vcc::graphs;

Value GraphMaker::sumOver(Value x, ArrayRef<int64_t> axes, tg::ReduceKind kind) {
  Sizes shape;
  for (int64_t axis : tg::otherAxes(rankOf(x), axes))
    shape.push_back(shapeOf(x)[axis]);
  return make<tg::ReduceOp>(RankedTensorType::get(shape, getElementTypeOrSelf(x)), x, kind, axes);
}

Value GraphMaker::spreadRows(Value rows, Value like) {
  Sizes axes(rankOf(rows));
  std::iota(axes.begin(), axes.end(), 0);
  return make<tg::BroadcastOp>(floats(shapeOf(like)), rows, axes);
}

void GraphMaker::reduce() {
  bool counts = oneIn(6);
  Value x = counts ? takeWhole() : takeFloat();
  auto kind = static_cast<tg::ReduceKind>(random() % 3);
  Sizes axes;
  for (int64_t axis = 0; axis < rankOf(x); ++axis)
    if (oneIn(2))
      axes.push_back(axis);
  refuse(kind != tg::ReduceKind::Sum && !extremesApart(x, axes));
  Value sum = sumOver(x, axes, kind);
  int64_t together = tg::elementCount(shapeOf(x)) / std::max<int64_t>(1, tg::elementCount(shapeOf(sum)));
  // Like a mean, so that values do not grow, by a factor that no precision rounds.
  if (!counts && kind == tg::ReduceKind::Sum && together > 4)
    sum = same<tg::MulOp>(sum, splat(sum, std::exp2(-std::floor(std::log2(together)))));
  offer(sum);
}

namespace {

/// One operand of a product: its roles in random order.
struct Factor {
  Sizes shape, batch, contract, free;
  Factor(std::mt19937_64 &random, const Sizes &batchSizes, const Sizes &contractSizes, const Sizes &freeSizes)
      : batch(batchSizes.size()), contract(contractSizes.size()) {
    size_t rank = batchSizes.size() + contractSizes.size() + freeSizes.size(), next = 0;
    Sizes order(rank);
    std::iota(order.begin(), order.end(), 0);
    if (random() % 2)
      std::shuffle(order.begin(), order.end(), random);
    shape.resize(rank);
    for (size_t i = 0; i < batchSizes.size(); ++i)
      shape[batch[i] = order[next++]] = batchSizes[i];
    for (size_t i = 0; i < freeSizes.size(); ++i) {
      free.push_back(order[next]);
      shape[order[next++]] = freeSizes[i];
    }
    for (size_t i = 0; i < contractSizes.size(); ++i)
      shape[contract[i] = order[next++]] = contractSizes[i];
    llvm::sort(free);
  }
};

} // namespace

void GraphMaker::product() {
  Sizes batch = someShape(between(0, 2)), contract = someShape(between(0, 2));
  refuse(tg::elementCount(batch) > 12 || tg::elementCount(contract) > 40);
  Factor a(random, batch, contract, someShape(between(0, 2))), b(random, batch, contract, someShape(between(0, 2)));
  Sizes shape = batch;
  for (int64_t axis : a.free)
    shape.push_back(a.shape[axis]);
  for (int64_t axis : b.free)
    shape.push_back(b.shape[axis]);
  refuse(a.shape.size() > 5 || b.shape.size() > 5 || shape.size() > 5 || tg::elementCount(shape) > 1000 ||
         tg::elementCount(a.shape) > 1000 || tg::elementCount(b.shape) > 1000);
  Value x = takeLike(floats(a.shape)), y = takeLike(floats(b.shape));
  offer(make<tg::DotGeneralOp>(floats(shape), x, y, a.batch, b.batch, a.contract, b.contract));
}

/// x W^T over the last axis, or x W; perhaps with a bias.
Value GraphMaker::affine(Value x, bool trains) {
  int64_t width = shapeOf(x).back(), out = size(), last = rankOf(x) - 1;
  Sizes shape(shapeOf(x));
  shape.back() = out;
  refuse(tg::elementCount(shape) > 2000);
  bool turns = oneIn(3);
  Value w = turns ? weight({width, out}, trains) : weight({out, width}, trains);
  Value y = make<tg::DotGeneralOp>(floats(shape), x, w, ArrayRef<int64_t>{}, ArrayRef<int64_t>{}, ArrayRef<int64_t>{last},
                                   ArrayRef<int64_t>{turns ? 0 : 1});
  if (!oneIn(3)) {
    Value bias = weight({out}, trains && !oneIn(4));
    y = same<tg::AddOp>(y, make<tg::BroadcastOp>(floats(shape), bias, ArrayRef<int64_t>{last}));
  }
  return y;
}

void GraphMaker::linear() {
  Value x = takeFloat(1, 1500);
  Value y = affine(x, training && !oneIn(3));
  if (oneIn(3))
    y = same<tg::AddOp>(y, takeLike(y.getType()));
  offer(y);
}

// A linear layer and its activation as the standard library writes them.
void GraphMaker::gatedLinear() {
  Value y = affine(passive(takeFloat(1, 1500)), training && oneIn(2));
  if (oneIn(2))
    return offer(same<tg::MulOp>(y, same<tg::SigmoidOp>(y)));
  Value half = same<tg::MulOp>(y, splat(y, 0.5));
  Value error = same<tg::ErfOp>(same<tg::MulOp>(y, splat(y, static_cast<float>(std::sqrt(0.5)))));
  offer(same<tg::MulOp>(half, same<tg::AddOp>(error, splat(error, 1.0))));
}

// A product of a transposed view, as attention by hand has it.
void GraphMaker::matmul() {
  Value x = takeFloat(2, 600);
  Sizes permutation(rankOf(x)), batch;
  std::iota(permutation.begin(), permutation.end(), 0);
  std::swap(permutation[rankOf(x) - 1], permutation[oneIn(2) ? rankOf(x) - 2 : 0]);
  Value y = oneIn(2) ? turned(x, permutation) : x;
  for (int64_t axis = 0; axis + 2 < rankOf(x); ++axis)
    batch.push_back(axis);
  Sizes shape(shapeOf(y));
  int64_t rows = shape[shape.size() - 2], columns = shape.back(), out = oneIn(2) ? columns : size(), last = rankOf(y) - 1;
  Sizes other(shape.begin(), shape.end() - 2);
  bool turns = oneIn(2);
  other.append(turns ? std::initializer_list<int64_t>{out, columns} : std::initializer_list<int64_t>{columns, out});
  refuse(tg::elementCount(other) > 1000);
  Value z = takeLike(floats(other));
  shape.back() = out;
  shape[shape.size() - 2] = rows;
  Value product = make<tg::DotGeneralOp>(floats(shape), y, z, batch, batch, ArrayRef<int64_t>{last},
                                         ArrayRef<int64_t>{turns ? last : last - 1});
  if (oneIn(3)) {
    std::iota(permutation.begin(), permutation.end(), 0);
    std::swap(permutation[last], permutation[last - 1]);
    product = turned(product, permutation);
  }
  offer(product);
}

// Norms over the last axis, with a gain.
void GraphMaker::normalise() {
  Value x = takeFloat(1);
  int64_t last = rankOf(x) - 1;
  refuse(largest(x) > 20);
  double share = std::exp2(-std::round(std::log2(shapeOf(x).back())));
  if (oneIn(2)) {
    Value sum = sumOver(x, {last}, tg::ReduceKind::Sum);
    x = same<tg::SubOp>(x, spreadRows(same<tg::MulOp>(sum, splat(sum, share)), x));
  }
  Value squares = sumOver(same<tg::MulOp>(x, x), {last}, tg::ReduceKind::Sum);
  Value mean = same<tg::MulOp>(squares, splat(squares, share));
  Value inverse = same<tg::RsqrtOp>(same<tg::AddOp>(mean, splat(mean, 0.125)));
  Value y = same<tg::MulOp>(x, spreadRows(inverse, x));
  if (oneIn(2)) {
    Value gain = weight({shapeOf(y).back()}, training && oneIn(2));
    y = same<tg::MulOp>(y, make<tg::BroadcastOp>(y.getType(), gain, ArrayRef<int64_t>{last}));
  }
  offer(y);
}

// Two weights that lie side by side, and whose gradients are sums over so many rows that they are taken in parts.
void GraphMaker::gainAndBias() {
  int64_t columns = between(64, 90), rows = 8192 / columns + between(1, 40);
  Value x = same<tg::SinOp>(leaf({rows, columns}));
  Value gain = weight({columns}, true), bias = weight({columns}, true);
  auto spread = [&](Value row) { return make<tg::BroadcastOp>(x.getType(), row, ArrayRef<int64_t>{1}); };
  Value y = same<tg::AddOp>(same<tg::MulOp>(x, spread(gain)), spread(bias));
  offer(sumOver(same<tg::MulOp>(same<tg::MulOp>(y, y), splat(y, 0x1p-8)), oneIn(2) ? Sizes{0} : Sizes{0, 1}, tg::ReduceKind::Sum));
}

void GraphMaker::softmax() {
  Value x = takeFloat(1);
  offer(oneIn(2) ? same<tg::SoftmaxOp>(x) : same<tg::LogSoftmaxOp>(x));
}

/// Queries, keys or values of this shape: one that is there, a projection cut into heads, or a leaf.
Value GraphMaker::heads(const Sizes &shape) {
  auto type = floats(shape);
  if (oneIn(2))
    return takeLike(type);
  Value flat = takeLike(floats({shape[0], shape[2], shape[1], shape[3]}));
  return turned(flat, {0, 2, 1, 3});
}

// Rows that hold samples one behind another, or none, with places behind them that are not in use.
GraphMaker::PackedRows GraphMaker::packedRows(int64_t b, int64_t s) {
  std::vector<int64_t> lengths, starts;
  int64_t count = 0, longest = 1;
  for (int64_t row = 0; row < b; ++row) {
    int64_t used = 0;
    while (used < s && !oneIn(4)) {
      int64_t length = between(1, s - used);
      starts.insert(starts.end(), length, used);
      used += length, longest = std::max(longest, length), ++count;
    }
    lengths.push_back(used);
    for (int64_t behind = used; behind < s; ++behind)
      starts.push_back(behind);
  }
  auto next = [](const std::vector<int64_t> &numbers) { return [&numbers, at = size_t(0)]() mutable { return static_cast<double>(numbers[at++]); }; };
  auto nextLength = next(lengths), nextStart = next(starts);
  return {input(wholes({b}), nextLength), input(wholes({b, s}), nextStart),
          ops.getDenseI64ArrayAttr({std::max<int64_t>(count, 1) + between(0, 2), longest + between(0, 2)})};
}

void GraphMaker::attention() {
  bool packed = oneIn(4);
  int64_t b = between(1, 3), sq = between(1, 6), sk = packed || oneIn(2) ? sq : between(1, 7), g = between(1, 3), h = g * between(1, 3);
  int64_t d = packed ? 8 : between(1, large ? 16 : 5);
  Sizes queries{b, sq, h, d}, keys{b, sk, g, d};
  Value q = heads(queries), k = heads(keys), v = oneIn(4) ? k : heads(keys), lengths, starts, draws;
  refuse(largest(q) * largest(k) * static_cast<double>(d) > 60);
  DenseI64ArrayAttr samples;
  if (packed) {
    PackedRows rows = packedRows(b, sq);
    lengths = rows.lengths, starts = rows.starts, samples = rows.samples;
  }
  if (!packed && oneIn(2))
    lengths = indices({b}, 0, sk);
  if (!packed && oneIn(3))
    starts = indices({b, sq}, 0, oneIn(2) ? sk / 2 : sk);
  double rate = oneIn(packed ? 6 : 3) ? (graph.exact ? 0.5 : 0.25) : 0;
  tg::SiteAttr place;
  if (rate > 0) {
    draws = rng();
    place = site();
  }
  auto attention = ops.create<tg::AttentionOp>(
      loc, floats(queries), floats({b, h, sq}), q, k, v, lengths, starts, draws, packed || oneIn(2) ? ops.getUnitAttr() : UnitAttr(),
      ops.getF64FloatAttr(oneIn(2) ? 0.5 : 0.75), ops.getF64FloatAttr(rate), place, samples);
  keep(attention);
  offer(attention.getOut());
  bool finite = llvm::all_of(known(attention.getLse()).data.Data, [](double element) { return std::isfinite(element); });
  if (finite && oneIn(4))
    offer(passive(attention.getLse()));
}

void GraphMaker::crossEntropy() {
  static constexpr int64_t exactClasses[] = {2, 4, 8, 16};
  int64_t rows = between(1, 6), classes = graph.exact ? exactClasses[random() % 4] : between(2, large ? 90 : 11);
  Value logits = takeLike(floats({rows, classes}));
  if (oneIn(2)) {
    Value x = take([](Value value) { return rankOf(value) == 2 && getElementTypeOrSelf(value).isF32(); });
    int64_t width = shapeOf(x).back();
    bool power = (width & (width - 1)) == 0;
    refuse(width < 2 || (graph.exact && !power));
    logits = x;
  }
  rows = shapeOf(logits)[0], classes = shapeOf(logits)[1];
  refuse(largest(logits) > 20);
  int64_t ignore = oneIn(3) ? 1 : -100;
  Value labels = input(wholes({rows}), [&] {
    return static_cast<double>(oneIn(4) ? -100 : oneIn(8) ? classes : between(0, classes - 1));
  });
  double smoothing = oneIn(2) ? 0 : graph.exact ? 0.125 : 0.1;
  auto entropy = ops.create<tg::CrossEntropyOp>(loc, floats({rows}), floats({rows}), logits, labels,
                                                ops.getF64FloatAttr(smoothing), ops.getI64IntegerAttr(ignore));
  keep(entropy);
  offer(entropy.getLoss());
  if (oneIn(3))
    offer(entropy.getLse());
}

// Elements, or whole samples, that fall away at random.
void GraphMaker::dropout() {
  Value x = takeFloat(1);
  bool samples = oneIn(3);
  auto drawn = samples ? floats(shapeOf(x).take_front(1)) : tg::tensorType(x);
  Value u = make<tg::RandomUniformOp>(drawn, rng(), site());
  Value kept = make<tg::CompareOp>(RankedTensorType::get(drawn.getShape(), i1), u, splat(u, 0.25), tg::Predicate::Ge);
  if (samples) {
    Value factor = make<tg::CastOp>(drawn, kept);
    return offer(same<tg::MulOp>(x, make<tg::BroadcastOp>(x.getType(), factor, ArrayRef<int64_t>{0})));
  }
  offer(make<tg::SelectOp>(x.getType(), kept, same<tg::MulOp>(x, splat(x, 1.25)), splat(x, 0)));
}
