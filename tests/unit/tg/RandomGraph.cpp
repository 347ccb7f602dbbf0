// SPDX-License-Identifier: Apache-2.0
//
// Random graphs: a pool of values grows by one operation a step. Values stay bounded (no logarithms or quotients of what
// may be near zero), so that two orders of summation agree to 1e-12.
#include "RandomGraph.h"

#include <numeric>

using namespace vcc;
using namespace vcc::test;

namespace {

struct PoolValue {
  std::string Name;
  Shape Sizes;
  bool Used = false;
};

std::string arrayText(const Shape &Values) {
  std::string Text = "array<i64";
  for (size_t I = 0; I < Values.size(); ++I)
    Text += (I == 0 ? ": " : ", ") + std::to_string(Values[I]);
  return Text + ">";
}

class Writer {
public:
  Writer(Random &R, GraphText &G, bool Smooth) : R(R), G(G), Smooth(Smooth) {}

  void run(int Steps) {
    addLeaf(pickShape(R, 3, 2, 4));
    addLeaf(pickShape(R, 2, 2, 4));
    for (int I = 0; I < Steps; ++I)
      step();
    for (const PoolValue &V : Pool)
      if (!V.Used)
        G.result(V.Name, V.Sizes);
  }

private:
  void addLeaf(const Shape &Sizes) {
    bool Weight = Pool.empty() || R() % 3 != 0;
    Pool.push_back({Weight ? G.weight(Sizes, between(-1, 1)) : G.input(Sizes, "f64", between(-1, 1)), Sizes});
  }
  PoolValue take() {
    PoolValue &V = Pool[R() % Pool.size()];
    V.Used = true;
    return V;
  }
  // A value of this shape: one that is there, or a new leaf.
  std::string takeLike(const Shape &Sizes) {
    std::vector<PoolValue *> Fitting;
    for (PoolValue &V : Pool)
      if (V.Sizes == Sizes)
        Fitting.push_back(&V);
    if (!Fitting.empty() && R() % 4 != 0) {
      PoolValue &V = *Fitting[R() % Fitting.size()];
      V.Used = true;
      return V.Name;
    }
    addLeaf(Sizes);
    Pool.back().Used = true;
    return Pool.back().Name;
  }
  std::string emit(const std::string &Text, const std::string &Types) {
    std::string Name = "%v" + std::to_string(Next++);
    G.line(Name + " = " + Text + " : " + Types);
    return Name;
  }
  void add(const std::string &Text, const Shape &From, const Shape &To) {
    Pool.push_back({emit(Text, "(" + tensorText(From) + ") -> " + tensorText(To)), To});
  }
  std::string same(const std::string &Text, const Shape &Sizes) { return emit(Text, tensorText(Sizes)); }
  std::string splat(double Value, const Shape &Sizes) {
    std::string Name = "%v" + std::to_string(Next++);
    char Number[40];
    std::snprintf(Number, sizeof Number, "%.17e", Value);
    G.line(Name + " = tg.constant dense<" + Number + "> : " + tensorText(Sizes));
    return Name;
  }
  std::string sumOver(const std::string &X, const Shape &From, const Shape &Axes, const Shape &To) {
    return emit("tg.reduce " + X + " {kind = #tg.reduce_kind<sum>, axes = " + arrayText(Axes) + "}",
                "(" + tensorText(From) + ") -> " + tensorText(To));
  }

  void step() {
    switch (R() % 13) {
    case 0:
    case 1:
      return unary();
    case 2:
    case 3:
      return binary();
    case 4:
      return reduce();
    case 5:
      return broadcast();
    case 6:
      return reshape();
    case 7:
      return transpose();
    case 8:
      return slice();
    case 9:
      return linear();
    case 10:
      return normalise();
    case 11:
      return softmax();
    default:
      return gather();
    }
  }

  void unary() {
    const char *Ops[] = {"tanh", "sigmoid", "sin", "cos", "neg", "erf", "abs"};
    PoolValue X = take();
    Pool.push_back({same("tg." + std::string(Ops[R() % (Smooth ? 6 : 7)]) + " " + X.Name, X.Sizes), X.Sizes});
  }
  void binary() {
    const char *Ops[] = {"add", "sub", "mul", "max", "min"};
    PoolValue X = take();
    std::string Y = R() % 4 == 0 ? splat(0.5, X.Sizes) : takeLike(X.Sizes);
    Pool.push_back({same("tg." + std::string(Ops[R() % (Smooth ? 3 : 5)]) + " " + X.Name + ", " + Y, X.Sizes), X.Sizes});
  }
  void reduce() {
    PoolValue X = take();
    Shape Axes, Kept;
    for (size_t Axis = 0; Axis < X.Sizes.size(); ++Axis)
      if (R() % 2)
        Axes.push_back(static_cast<int64_t>(Axis));
      else
        Kept.push_back(X.Sizes[Axis]);
    // A mean, so that values do not grow.
    std::string Sum = sumOver(X.Name, X.Sizes, Axes, Kept);
    double Count = static_cast<double>(tg::elementCount(X.Sizes)) / static_cast<double>(tg::elementCount(Kept));
    Pool.push_back({same("tg.mul " + Sum + ", " + splat(1 / Count, Kept), Kept), Kept});
  }
  void broadcast() {
    PoolValue X = take();
    if (X.Sizes.size() > 3 || tg::elementCount(X.Sizes) > 100)
      return;
    Shape To = X.Sizes, Axes;
    auto Place = static_cast<int64_t>(R() % (To.size() + 1));
    To.insert(To.begin() + Place, pickSize(R, 1, 3));
    for (int64_t Axis = 0; Axis < static_cast<int64_t>(To.size()); ++Axis)
      if (Axis != Place)
        Axes.push_back(Axis);
    add("tg.broadcast " + X.Name + " {axes = " + arrayText(Axes) + "}", X.Sizes, To);
  }
  void reshape() {
    PoolValue X = take();
    if (X.Sizes.empty())
      return;
    Shape To = X.Sizes;
    if (To.size() > 1 && R() % 2) {
      To[0] *= To[1];
      To.erase(To.begin() + 1);
    } else if (To.size() < 4) {
      int64_t Last = To.back(), Part = Last % 2 == 0 ? 2 : 1;
      To.back() = Last / Part;
      To.push_back(Part);
    }
    add("tg.reshape " + X.Name, X.Sizes, To);
  }
  void transpose() {
    PoolValue X = take();
    Shape Permutation(X.Sizes.size()), To;
    std::iota(Permutation.begin(), Permutation.end(), 0);
    std::shuffle(Permutation.begin(), Permutation.end(), R);
    for (int64_t Axis : Permutation)
      To.push_back(X.Sizes[Axis]);
    add("tg.transpose " + X.Name + " {permutation = " + arrayText(Permutation) + "}", X.Sizes, To);
  }
  void slice() {
    PoolValue X = take();
    Shape Offsets, Sizes, Strides;
    for (int64_t Size : X.Sizes) {
      Offsets.push_back(R() % 2 ? 0 : pickSize(R, 0, Size - 1));
      Strides.push_back(R() % 3 ? 1 : 2);
      Sizes.push_back(pickSize(R, 1, (Size - 1 - Offsets.back()) / Strides.back() + 1));
    }
    add("tg.slice " + X.Name + " {offsets = " + arrayText(Offsets) + ", sizes = " + arrayText(Sizes) +
            ", strides = " + arrayText(Strides) + "}",
        X.Sizes, Sizes);
  }
  // x w^T + b over the last axis, as a model's linear layers are.
  void linear() {
    PoolValue X = take();
    if (X.Sizes.empty())
      return;
    int64_t Width = X.Sizes.back(), Out = pickSize(R, 1, 4), Last = static_cast<int64_t>(X.Sizes.size()) - 1;
    Shape To = X.Sizes;
    To.back() = Out;
    std::string W = G.weight({Out, Width}, between(-0.5, 0.5));
    std::string Y = emit("tg.dot_general " + X.Name + ", " + W + " {batch_a = array<i64>, batch_b = array<i64>, contract_a = " +
                             arrayText({Last}) + ", contract_b = array<i64: 1>}",
                         "(" + tensorText(X.Sizes) + ", " + tensorText({Out, Width}) + ") -> " + tensorText(To));
    if (R() % 2) {
      std::string B = G.weight({Out}, between(-0.5, 0.5));
      std::string Wide = emit("tg.broadcast " + B + " {axes = " + arrayText({Last}) + "}",
                              "(" + tensorText({Out}) + ") -> " + tensorText(To));
      Y = same("tg.add " + Y + ", " + Wide, To);
    }
    Pool.push_back({Y, To});
  }
  // x / sqrt(mean(x^2) + 1) over the last axis.
  void normalise() {
    PoolValue X = take();
    if (X.Sizes.empty())
      return;
    Shape Rows(X.Sizes.begin(), X.Sizes.end() - 1), Axes(Rows.size());
    std::iota(Axes.begin(), Axes.end(), 0);
    std::string Squares = same("tg.mul " + X.Name + ", " + X.Name, X.Sizes);
    std::string Sum = sumOver(Squares, X.Sizes, {static_cast<int64_t>(Rows.size())}, Rows);
    std::string Mean = same("tg.mul " + Sum + ", " + splat(1.0 / static_cast<double>(X.Sizes.back()), Rows), Rows);
    std::string Shifted = same("tg.add " + Mean + ", " + splat(1, Rows), Rows);
    std::string Inverse = same("tg.rsqrt " + Shifted, Rows);
    std::string Wide = emit("tg.broadcast " + Inverse + " {axes = " + arrayText(Axes) + "}",
                            "(" + tensorText(Rows) + ") -> " + tensorText(X.Sizes));
    Pool.push_back({same("tg.mul " + X.Name + ", " + Wide, X.Sizes), X.Sizes});
  }
  void softmax() {
    PoolValue X = take();
    if (!X.Sizes.empty())
      Pool.push_back({same(std::string(R() % 2 ? "tg.softmax " : "tg.log_softmax ") + X.Name, X.Sizes), X.Sizes});
  }
  void gather() {
    PoolValue X = take();
    if (X.Sizes.empty() || X.Sizes.size() > 3)
      return;
    int64_t Rows = X.Sizes[0];
    Shape Ids{pickSize(R, 1, 4)}, To = X.Sizes;
    To[0] = Ids[0];
    std::string I = G.input(Ids, "i32", [=](Random &R) { return double(pickSize(R, -1, Rows)); });
    Pool.push_back({emit("tg.gather " + X.Name + ", " + I,
                         "(" + tensorText(X.Sizes) + ", " + tensorText(Ids, "i32") + ") -> " + tensorText(To)),
                    To});
  }

  Random &R;
  GraphText &G;
  bool Smooth;
  std::vector<PoolValue> Pool;
  int Next = 0;
};

} // namespace

void test::writeRandomGraph(Random &Source, GraphText &Graph, int Steps, bool Smooth) {
  Writer(Source, Graph, Smooth).run(Steps);
}
