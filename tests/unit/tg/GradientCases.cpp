// SPDX-License-Identifier: Apache-2.0
//
// Random graphs around each differentiable operation; values stay at least 1e-3 away from kinks.
#include "GradientCases.h"

#include <numeric>

using namespace vcc;
using namespace vcc::test;

namespace {

std::string arrayText(const std::vector<int64_t> &Values) {
  std::string Text = "array<i64";
  for (size_t I = 0; I < Values.size(); ++I)
    Text += (I == 0 ? ": " : ", ") + std::to_string(Values[I]);
  return Text + ">";
}

WriteCase unary(std::string Op, Sampler Sample) {
  return [=](Random &R, GraphText &G) {
    Shape S = pickShape(R, pickSize(R, 0, 3));
    G.line("%y = " + Op + " " + G.weight(S, Sample) + " : " + tensorText(S));
    G.result("%y", S);
  };
}

WriteCase binary(std::string Op, Sampler Left, Sampler Right) {
  return [=](Random &R, GraphText &G) {
    Shape S = pickShape(R, pickSize(R, 0, 3));
    std::string A = G.weight(S, Left), B = G.weight(S, Right);
    G.line("%y = " + Op + " " + A + ", " + B + " : " + tensorText(S));
    G.result("%y", S);
  };
}

WriteCase extreme(std::string Op) {
  return [=](Random &R, GraphText &G) {
    Shape S = pickShape(R, 2);
    Sampler Sample = apart(R);
    std::string A = G.weight(S, Sample), B = G.weight(S, Sample);
    G.line("%y = " + Op + " " + A + ", " + B + " : " + tensorText(S));
    G.result("%y", S);
  };
}

// One op from operand text to a result of another shape.
void shaped(GraphText &G, const std::string &Op, const std::string &X, const std::string &Attributes, const Shape &From,
            const Shape &To) {
  G.line("%y = " + Op + " " + X + " " + Attributes + " : (" + tensorText(From) + ") -> " + tensorText(To));
  G.result("%y", To);
}

void writeSelect(Random &R, GraphText &G) {
  Shape S = pickShape(R, 2);
  std::string C = G.input(S, "i1", [](Random &R) { return double(R() % 2); });
  std::string A = G.weight(S, between(-1, 1)), B = G.weight(S, between(-1, 1));
  G.line("%y = tg.select " + C + ", " + A + ", " + B + " : " + tensorText(S, "i1") + ", " + tensorText(S));
  G.result("%y", S);
}

void writeCast(Random &R, GraphText &G) {
  Shape S = pickShape(R, 2);
  G.line("%y = tg.cast " + G.weight(S, between(-1, 1)) + " : " + tensorText(S) + " -> " + tensorText(S, "f32"));
  G.result("%y", S, "f32");
}

void writeBarrier(Random &R, GraphText &G) {
  Shape S = pickShape(R, 2), T = pickShape(R, 1);
  std::string A = G.weight(S, between(-1, 1)), B = G.weight(T, between(-1, 1));
  G.line("%y:2 = tg.barrier " + A + ", " + B + " : " + tensorText(S) + ", " + tensorText(T));
  G.result("%y#0", S);
  G.result("%y#1", T);
}

void writeReduce(Random &R, GraphText &G) {
  const char *Kinds[] = {"sum", "max", "min"};
  Shape From = pickShape(R, pickSize(R, 1, 3)), Kept, Axes;
  for (size_t Axis = 0; Axis < From.size(); ++Axis)
    if (R() % 2)
      Axes.push_back(static_cast<int64_t>(Axis));
    else
      Kept.push_back(From[Axis]);
  std::string Attributes =
      "{kind = #tg.reduce_kind<" + std::string(Kinds[R() % 3]) + ">, axes = " + arrayText(Axes) + "}";
  shaped(G, "tg.reduce", G.weight(From, apart(R)), Attributes, From, Kept);
}

WriteCase softmax(std::string Op) {
  return [=](Random &R, GraphText &G) {
    Shape S = pickShape(R, pickSize(R, 1, 3), 1, 5);
    G.line("%y = " + Op + " " + G.weight(S, between(-2, 2)) + " : " + tensorText(S));
    G.result("%y", S);
  };
}

void writeBroadcast(Random &R, GraphText &G) {
  Shape To = pickShape(R, pickSize(R, 1, 4)), From, Axes;
  for (size_t Axis = 0; Axis < To.size(); ++Axis)
    if (R() % 2) {
      Axes.push_back(static_cast<int64_t>(Axis));
      From.push_back(R() % 4 == 0 ? 1 : To[Axis]);
    }
  shaped(G, "tg.broadcast", G.weight(From, between(-1, 1)), "{axes = " + arrayText(Axes) + "}", From, To);
}

void writeReshape(Random &R, GraphText &G) {
  Shape From = pickShape(R, 3), To{From[0] * From[1], 1, From[2]};
  shaped(G, "tg.reshape", G.weight(From, between(-1, 1)), "", From, To);
}

void writeTranspose(Random &R, GraphText &G) {
  Shape From = pickShape(R, pickSize(R, 2, 4)), Permutation(From.size()), To;
  std::iota(Permutation.begin(), Permutation.end(), 0);
  std::shuffle(Permutation.begin(), Permutation.end(), R);
  for (int64_t Axis : Permutation)
    To.push_back(From[Axis]);
  shaped(G, "tg.transpose", G.weight(From, between(-1, 1)), "{permutation = " + arrayText(Permutation) + "}", From, To);
}

void writeSlice(Random &R, GraphText &G) {
  Shape From = pickShape(R, pickSize(R, 1, 3), 2, 7), Offsets, Sizes, Strides;
  for (int64_t Size : From) {
    Offsets.push_back(pickSize(R, 0, Size - 1));
    Strides.push_back(pickSize(R, 1, 3));
    Sizes.push_back(pickSize(R, 1, (Size - 1 - Offsets.back()) / Strides.back() + 1));
  }
  std::string Attributes = "{offsets = " + arrayText(Offsets) + ", sizes = " + arrayText(Sizes) +
                           ", strides = " + arrayText(Strides) + "}";
  shaped(G, "tg.slice", G.weight(From, between(-1, 1)), Attributes, From, Sizes);
}

void writeConcat(Random &R, GraphText &G) {
  Shape Part = pickShape(R, 3), Whole = Part;
  auto Axis = static_cast<size_t>(pickSize(R, 0, 2));
  Whole[Axis] = 0;
  std::string Names, Types;
  for (int I = 0; I < 3; ++I) {
    Part[Axis] = pickSize(R, 1, 3);
    Whole[Axis] += Part[Axis];
    Names += (I ? ", " : "") + G.weight(Part, between(-1, 1));
    Types += (I ? ", " : "") + tensorText(Part);
  }
  G.line("%y = tg.concat " + Names + " {axis = " + std::to_string(Axis) + " : i64} : (" + Types + ") -> " +
         tensorText(Whole));
  G.result("%y", Whole);
}

void writePad(Random &R, GraphText &G) {
  Shape From = pickShape(R, pickSize(R, 1, 3)), To = From, Low, High;
  for (int64_t &Size : To) {
    Low.push_back(pickSize(R, 0, 2));
    High.push_back(pickSize(R, 0, 2));
    Size += Low.back() + High.back();
  }
  std::string Attributes =
      "{low = " + arrayText(Low) + ", high = " + arrayText(High) + ", value = 0.5 : f64}";
  shaped(G, "tg.pad", G.weight(From, between(-1, 1)), Attributes, From, To);
}

// Some ids lie outside the table: they stand for row 0.
Sampler idsFor(int64_t Rows) {
  return [=](Random &R) { return double(pickSize(R, -1, Rows)); };
}

void writeGather(Random &R, GraphText &G) {
  Shape Table = pickShape(R, 2, 2, 4), Ids = pickShape(R, pickSize(R, 1, 2)), To = Ids;
  To.push_back(Table[1]);
  std::string T = G.weight(Table, between(-1, 1)), I = G.input(Ids, "i32", idsFor(Table[0]));
  G.line("%y = tg.gather " + T + ", " + I + " : (" + tensorText(Table) + ", " + tensorText(Ids, "i32") + ") -> " +
         tensorText(To));
  G.result("%y", To);
}

void writeScatterAdd(Random &R, GraphText &G) {
  int64_t Rows = pickSize(R, 2, 4), Width = pickSize(R, 1, 3);
  Shape Ids = pickShape(R, pickSize(R, 1, 2)), Updates = Ids, To{Rows, Width};
  Updates.push_back(Width);
  std::string I = G.input(Ids, "i32", idsFor(Rows)), U = G.weight(Updates, between(-1, 1));
  G.line("%y = tg.scatter_add " + I + ", " + U + " {rows = " + std::to_string(Rows) + " : i64} : (" +
         tensorText(Ids, "i32") + ", " + tensorText(Updates) + ") -> " + tensorText(To));
  G.result("%y", To);
}

// Of one rank; CollectiveTest.cpp runs several.
WriteCase collective(std::string Name) {
  return [=](Random &R, GraphText &G) {
    Shape Of = pickShape(R, pickSize(R, 1, 3));
    std::string X = G.weight(Of, between(-1, 1));
    G.line("%y = " + Name + " " + X + " {ranks = 1 : i64} : (" + tensorText(Of) + ") -> " + tensorText(Of));
    G.result("%y", Of);
  };
}

// One operand of a product: its roles in random order.
struct Factor {
  Shape Sizes, Batch, Contract, Free;
  Factor(Random &R, const Shape &BatchSizes, const Shape &ContractSizes, const Shape &FreeSizes)
      : Batch(BatchSizes.size()), Contract(ContractSizes.size()) {
    size_t Rank = BatchSizes.size() + ContractSizes.size() + FreeSizes.size();
    Shape Order(Rank);
    std::iota(Order.begin(), Order.end(), 0);
    std::shuffle(Order.begin(), Order.end(), R);
    Sizes.resize(Rank);
    size_t Next = 0;
    for (size_t I = 0; I < BatchSizes.size(); ++I)
      Sizes[Batch[I] = Order[Next++]] = BatchSizes[I];
    for (size_t I = 0; I < ContractSizes.size(); ++I)
      Sizes[Contract[I] = Order[Next++]] = ContractSizes[I];
    for (size_t I = 0; I < FreeSizes.size(); ++I) {
      Free.push_back(Order[Next]);
      Sizes[Order[Next++]] = FreeSizes[I];
    }
    std::sort(Free.begin(), Free.end());
  }
};

void writeDotGeneral(Random &R, GraphText &G) {
  Shape Batch = pickShape(R, pickSize(R, 0, 2), 1, 3), Contract = pickShape(R, pickSize(R, 0, 2), 1, 3);
  Factor A(R, Batch, Contract, pickShape(R, pickSize(R, 0, 2), 1, 3));
  Factor B(R, Batch, Contract, pickShape(R, pickSize(R, 0, 2), 1, 3));
  Shape To = Batch;
  for (int64_t Axis : A.Free)
    To.push_back(A.Sizes[Axis]);
  for (int64_t Axis : B.Free)
    To.push_back(B.Sizes[Axis]);
  std::string X = G.weight(A.Sizes, between(-1, 1)), Y = G.weight(B.Sizes, between(-1, 1));
  G.line("%y = tg.dot_general " + X + ", " + Y + " {batch_a = " + arrayText(A.Batch) + ", batch_b = " +
         arrayText(B.Batch) + ", contract_a = " + arrayText(A.Contract) + ", contract_b = " + arrayText(B.Contract) +
         "} : (" + tensorText(A.Sizes) + ", " + tensorText(B.Sizes) + ") -> " + tensorText(To));
  G.result("%y", To);
}

void writeAttention(Random &R, GraphText &G) {
  int64_t B = pickSize(R, 1, 2), Sq = pickSize(R, 1, 4), Sk = pickSize(R, 1, 4), Keys = pickSize(R, 1, 2);
  int64_t H = Keys * pickSize(R, 1, 2), D = pickSize(R, 1, 3);
  Shape Q{B, Sq, H, D}, K{B, Sk, Keys, D};
  std::string Text = G.weight(Q, between(-1, 1));
  Text += ", " + G.weight(K, between(-1, 1));
  Text += ", " + G.weight(K, between(-1, 1));
  if (R() % 2)
    Text += " lengths(" + G.input({B}, "i32", [=](Random &R) { return double(pickSize(R, 0, Sk)); }) + " : " +
            tensorText({B}, "i32") + ")";
  if (R() % 2)
    Text += " starts(" + G.input({B, Sq}, "i32", [=](Random &R) { return double(pickSize(R, 0, Sk)); }) + " : " +
            tensorText({B, Sq}, "i32") + ")";
  bool Drops = R() % 2;
  if (Drops)
    Text += " rng(" + G.input({4}, "i32", [](Random &R) { return double(R() % 1000); }) + " : tensor<4xi32>)";
  Text += std::string(" {") + (R() % 2 ? "causal, " : "") + "scale = 0.7 : f64" +
          (Drops ? ", dropout = 0.3 : f64, site = #tg.site<\"a.b\">" : "") + "}";
  G.line("%y:2 = tg.attention " + Text + " : " + tensorText(Q) + ", " + tensorText(K) + ", " + tensorText(K) + " -> " +
         tensorText(Q) + ", " + tensorText({B, H, Sq}));
  G.result("%y#0", Q);
}

void writeCrossEntropy(Random &R, GraphText &G) {
  int64_t N = pickSize(R, 1, 4), V = pickSize(R, 2, 5);
  std::string X = G.weight({N, V}, between(-2, 2));
  // A class may be what is ignored.
  int64_t Ignore = R() % 2 ? -100 : pickSize(R, 0, V - 1);
  std::string L = G.input({N}, "i32", [=](Random &R) { return double(R() % 4 == 0 ? Ignore : pickSize(R, 0, V - 1)); });
  G.line("%y:2 = tg.cross_entropy " + X + ", " + L + " {smoothing = 0.1 : f64, ignore = " + std::to_string(Ignore) + " : i64} : (" + tensorText({N, V}) + ", " +
         tensorText({N}, "i32") + ") -> (" + tensorText({N}) + ", " + tensorText({N}) + ")");
  G.result("%y#0", {N});
  if (R() % 2)
    G.result("%y#1", {N});
}

} // namespace

const std::map<std::string, WriteCase> &test::gradientCases() {
  static const std::map<std::string, WriteCase> Cases = {
      {"tg.neg", unary("tg.neg", between(-1, 1))},
      {"tg.abs", unary("tg.abs", signedBetween(0.01, 1))},
      {"tg.exp", unary("tg.exp", between(-1, 1))},
      {"tg.log", unary("tg.log", between(0.5, 2))},
      {"tg.sqrt", unary("tg.sqrt", between(0.5, 2))},
      {"tg.rsqrt", unary("tg.rsqrt", between(0.5, 2))},
      {"tg.tanh", unary("tg.tanh", between(-1.5, 1.5))},
      {"tg.erf", unary("tg.erf", between(-1.5, 1.5))},
      {"tg.sin", unary("tg.sin", between(-3, 3))},
      {"tg.cos", unary("tg.cos", between(-3, 3))},
      {"tg.sigmoid", unary("tg.sigmoid", between(-3, 3))},
      {"tg.add", binary("tg.add", between(-1, 1), between(-1, 1))},
      {"tg.sub", binary("tg.sub", between(-1, 1), between(-1, 1))},
      {"tg.mul", binary("tg.mul", between(-1, 1), between(-1, 1))},
      {"tg.div", binary("tg.div", between(-1, 1), signedBetween(0.5, 2))},
      {"tg.pow", binary("tg.pow", between(0.5, 2), between(-2, 2))},
      {"tg.max", extreme("tg.max")},
      {"tg.min", extreme("tg.min")},
      {"tg.select", writeSelect},
      {"tg.cast", writeCast},
      {"tg.barrier", writeBarrier},
      {"tg.reduce", writeReduce},
      {"tg.softmax", softmax("tg.softmax")},
      {"tg.log_softmax", softmax("tg.log_softmax")},
      {"tg.broadcast", writeBroadcast},
      {"tg.reshape", writeReshape},
      {"tg.transpose", writeTranspose},
      {"tg.slice", writeSlice},
      {"tg.concat", writeConcat},
      {"tg.pad", writePad},
      {"tg.gather", writeGather},
      {"tg.scatter_add", writeScatterAdd},
      {"tg.all_gather", collective("tg.all_gather")},
      {"tg.reduce_scatter", collective("tg.reduce_scatter")},
      {"tg.dot_general", writeDotGeneral},
      {"tg.attention", writeAttention},
      {"tg.cross_entropy", writeCrossEntropy},
  };
  return Cases;
}
