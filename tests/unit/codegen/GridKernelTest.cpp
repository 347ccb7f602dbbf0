// SPDX-License-Identifier: Apache-2.0
//
// Every class of kernel in its gpu form against the interpreter: rows of all lengths, fewer rows than a block has, whole and
// half-width numbers, operands that are not aligned, results in place.
#include "tests/Seed.h"
#include "tests/unit/codegen/GridLaunches.h"
#include "tests/unit/codegen/KernelProgram.h"

#include <gtest/gtest.h>

using namespace vcc::test;

namespace {

std::string number(int64_t N) { return std::to_string(N); }
std::string access(int64_t Offset, const std::string &Strides) {
  return "#tg.access<" + number(Offset) + ", [" + Strides + "]>";
}
std::string tensor(const std::string &Shape, const std::string &Element) {
  return "tensor<" + Shape + (Shape.empty() ? "" : "x") + Element + ">";
}

class Grid : public ::testing::Test {
protected:
  std::mt19937 Random{chosenSeed()};
};

struct RowCase {
  int64_t Columns;
  std::string Element;
};

class GridRows : public ::testing::TestWithParam<RowCase> {
protected:
  std::mt19937 Random{chosenSeed()};
  int64_t C = GetParam().Columns;
  std::string T = GetParam().Element;
  /// $C columns, $T element type, of the body and its types.
  std::string fill(std::string Text) {
    for (auto [Name, With] : {std::pair<std::string, std::string>{"$C", number(C)}, {"$T", T}})
      for (size_t At; (At = Text.find(Name)) != std::string::npos;)
        Text.replace(At, 2, With);
    return Text;
  }
};

TEST_P(GridRows, Softmax) {
  for (int64_t R : {1, 3, 13, 130}) {
    if (C * R > 40000)
      continue;
    std::string Kernel = fill(kernelText("k", "row", C, "%x: tensor<$Cx$T>", "#tg.param<row>", "#tg.result<row>", R"(
      %w = tg.cast %x : tensor<$Cx$T> -> tensor<$Cxf32>
      %s = tg.softmax %w : tensor<$Cxf32>
      %y = tg.cast %s : tensor<$Cxf32> -> tensor<$Cx$T>
      tg.yield %y : tensor<$Cx$T>)"));
    std::string Whole = tensor(number(R) + "x" + number(C), T);
    tryTextOnGrid({Kernel, Whole, number(R), access(0, number(C)) + ", " + access(0, number(C)), "", "", Whole}, Random);
  }
}

/// A norm with the sums of its backward: two reductions that wait for one another, row scalars, column sums, totals, in place.
TEST_P(GridRows, NormWithSums) {
  std::string Body = fill(R"(
    %x = tg.cast %given : tensor<$Cx$T> -> tensor<$Cxf32>
    %sum = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<$Cxf32>) -> tensor<f32>
    %n = tg.constant dense<$C.0> : tensor<f32>
    %mean = tg.div %sum, %n : tensor<f32>
    %mb = tg.broadcast %mean {axes = array<i64>} : (tensor<f32>) -> tensor<$Cxf32>
    %d = tg.sub %x, %mb : tensor<$Cxf32>
    %dd = tg.mul %d, %d : tensor<$Cxf32>
    %ss = tg.reduce %dd {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<$Cxf32>) -> tensor<f32>
    %var = tg.div %ss, %n : tensor<f32>
    %e = tg.add %var, %eps : tensor<f32>
    %r = tg.rsqrt %e : tensor<f32>
    %rb = tg.broadcast %r {axes = array<i64>} : (tensor<f32>) -> tensor<$Cxf32>
    %s = tg.mul %d, %rb : tensor<$Cxf32>
    %y = tg.mul %s, %w : tensor<$Cxf32>
    %out = tg.cast %y : tensor<$Cxf32> -> tensor<$Cx$T>
    tg.yield %out, %mean, %x, %r, %s : tensor<$Cx$T>, tensor<f32>, tensor<$Cxf32>, tensor<f32>, tensor<$Cxf32>)");
  std::string Kernel = fill(kernelText("k", "row", C, "%given: tensor<$Cx$T>, %w: tensor<$Cxf32>, %eps: tensor<f32>",
                                       "#tg.param<row>, #tg.param<row>, #tg.param<uniform>",
                                       "#tg.result<row>, #tg.result<scalar>, #tg.result<column_sum>, #tg.result<total_sum>, "
                                       "#tg.result<column_sum>",
                                       Body));
  for (int64_t Chunk : {5, 12}) {
    int64_t R = 24, P = (R + Chunk - 1) / Chunk;
    std::string Whole = tensor(number(R) + "x" + number(C), T), Sums = tensor(number(P) + "x" + number(C), "f32");
    std::string Rows = access(0, number(4 * C) + ", " + number(C)), None = access(0, "");
    GridTrial Trial;
    Trial.InPlaceResult = Trial.InPlaceInput = 0;
    Trial.Low = 0.5; // sums that do not cancel
    Trial.Tolerance = 2e-5; // of x - mean, which cancels
    if (C == 1)
      return; // x - mean is nothing but rounding
    tryTextOnGrid({Kernel, Whole + ";" + tensor(number(C), "f32"), "6, 4",
                   Rows + ", " + access(0, "0, 0") + ", " + Rows + ", " + access(0, "4, 1") + ", " + None + ", " + None + ", " + None,
                   "1.0e-2 : f32", number(Chunk),
                   Whole + ";" + tensor(number(R), "f32") + ";" + Sums + ";" + tensor(number(P), "f32") + ";" + Sums},
                  Random, Trial);
  }
}

/// Rows of a table by number, strided columns, a mask that is one for the row, places.
TEST_P(GridRows, TablesStridesAndPlaces) {
  std::string Body = fill(R"(
    %y = tg.mul %t, %s : tensor<$Cx$T>
    %z = tg.select %b, %y, %t : tensor<$Cxi1>, tensor<$Cx$T>
    %i = tg.iota : tensor<$Cxi32>
    %r = tg.row_index : tensor<i32>
    %rb = tg.broadcast %r {axes = array<i64>} : (tensor<i32>) -> tensor<$Cxi32>
    %d = tg.div %i, %rb : tensor<$Cxi32>
    %p = tg.compare %i, %rb {predicate = #tg.predicate<le>} : tensor<$Cxi32>
    tg.yield %y, %z, %d, %p : tensor<$Cx$T>, tensor<$Cx$T>, tensor<$Cxi32>, tensor<$Cxi1>)");
  std::string Kernel =
      fill(kernelText("k", "row", C, "%id: tensor<i32>, %t: tensor<$Cx$T>, %s: tensor<$Cx$T>, %b: tensor<$Cxi1>",
                      "#tg.param<scalar>, #tg.param<indexed index(0)>, #tg.param<row stride(3)>, #tg.param<row stride(0)>",
                      "#tg.result<row>, #tg.result<row stride(2)>, #tg.result<row>, #tg.result<row>", Body));
  int64_t R = 9, V = 4;
  std::string Rows = number(R) + "x" + number(C);
  GridTrial Trial;
  Trial.Whole = V + 2; // some rows that the table does not have
  tryTextOnGrid({Kernel,
                 tensor(number(R), "i32") + ";" + tensor(number(V) + "x" + number(C), T) + ";" + tensor(number(3 * C), T) + ";" +
                     tensor(number(R), "i1"),
                 number(R),
                 access(0, "1") + ", " + access(0, "0, " + number(C)) + ", " + access(0, "0") + ", " + access(0, "1") + ", " +
                     access(0, number(C)) + ", " + access(0, number(2 * C)) + ", " + access(0, number(C)) + ", " +
                     access(0, number(C)),
                 "", "", tensor(Rows, T) + ";" + tensor(Rows + "x2", T) + ";" + tensor(Rows, "i32") + ";" + tensor(Rows, "i1")},
                Random, Trial);
}

/// Reductions of bits and bytes, which threads hand to each other in wider words.
TEST_P(GridRows, ReducesSmallIntegers) {
  std::string Kernel = fill(kernelText("k", "row", C, "%b: tensor<$Cxi1>, %s: tensor<$Cxi8>, %u: tensor<$Cxui8>",
                                       "#tg.param<row>, #tg.param<row>, #tg.param<row>",
                                       "#tg.result<scalar>, #tg.result<scalar>, #tg.result<scalar>, #tg.result<scalar>", R"(
    %any = tg.reduce %b {kind = #tg.reduce_kind<max>, axes = array<i64: 0>} : (tensor<$Cxi1>) -> tensor<i1>
    %all = tg.reduce %b {kind = #tg.reduce_kind<min>, axes = array<i64: 0>} : (tensor<$Cxi1>) -> tensor<i1>
    %least = tg.reduce %s {kind = #tg.reduce_kind<min>, axes = array<i64: 0>} : (tensor<$Cxi8>) -> tensor<i8>
    %most = tg.reduce %u {kind = #tg.reduce_kind<max>, axes = array<i64: 0>} : (tensor<$Cxui8>) -> tensor<ui8>
    tg.yield %any, %all, %least, %most : tensor<i1>, tensor<i1>, tensor<i8>, tensor<ui8>)"));
  for (int64_t R : {1, 5, 33}) {
    std::string Whole = number(R) + "x" + number(C), Row = access(0, number(C)), One = access(0, "1");
    tryTextOnGrid({Kernel, tensor(Whole, "i1") + ";" + tensor(Whole, "i8") + ";" + tensor(Whole, "ui8"), number(R),
                   Row + ", " + Row + ", " + Row + ", " + One + ", " + One + ", " + One + ", " + One, "", "",
                   tensor(number(R), "i1") + ";" + tensor(number(R), "i1") + ";" + tensor(number(R), "i8") + ";" + tensor(number(R), "ui8")},
                  Random);
  }
}

TEST_P(GridRows, AddsIntoATable) {
  std::string Kernel = fill(kernelText("k", "scatter", C, "%id: tensor<i32>, %x: tensor<$Cx$T>, %s: tensor<f32>",
                                       "#tg.param<scalar>, #tg.param<row>, #tg.param<uniform>", "#tg.result<scatter index(0)>", R"(
    %b = tg.broadcast %s {axes = array<i64>} : (tensor<f32>) -> tensor<$Cxf32>
    %w = tg.cast %x : tensor<$Cx$T> -> tensor<$Cxf32>
    %y = tg.mul %w, %b : tensor<$Cxf32>
    tg.yield %y : tensor<$Cxf32>)"));
  int64_t R = 23, V = 7;
  GridTrial Trial;
  Trial.Whole = V + 2;
  tryTextOnGrid({Kernel, tensor(number(R), "i32") + ";" + tensor(number(R) + "x" + number(C), T), number(R),
                 access(0, "1") + ", " + access(0, number(C)) + ", " + access(0, "0, " + number(C)), "5.0e-1 : f32", "",
                 tensor(number(V) + "x" + number(C), "f32")},
                Random, Trial);
}

std::vector<RowCase> rowCases() {
  std::vector<RowCase> Cases;
  for (int64_t C : {1, 3, 4, 5, 8, 17, 64, 96, 100, 257, 768, 1000, 1032, 4096, 20000})
    Cases.push_back({C, "f32"});
  for (int64_t C : {1, 7, 8, 64, 96, 257, 768, 4096})
    Cases.push_back({C, "bf16"});
  Cases.push_back({200, "f16"});
  return Cases;
}
INSTANTIATE_TEST_SUITE_P(Rows, GridRows, ::testing::ValuesIn(rowCases()),
                         [](const auto &Info) { return Info.param.Element + "_" + std::to_string(Info.param.Columns); });

std::string flatKernel(const std::string &Arguments, const std::string &Params, const std::string &Results, const std::string &Body) {
  return kernelText("k", "flat", 1, Arguments, Params, Results, Body);
}

TEST_F(Grid, ElementsInOrder) {
  const std::string Body = R"(
    %h = tg.cast %g : tensor<bf16> -> tensor<f32>
    %one = tg.constant dense<1.0> : tensor<f32>
    %keep = tg.sub %one, %beta : tensor<f32>
    %a = tg.mul %m, %beta : tensor<f32>
    %b = tg.mul %h, %keep : tensor<f32>
    %m2 = tg.add %a, %b : tensor<f32>
    %s = tg.mul %m2, %lr : tensor<f32>
    %w2 = tg.sub %w, %s : tensor<f32>
    %low = tg.cast %w2 : tensor<f32> -> tensor<bf16>
    tg.yield %w2, %m2, %low : tensor<f32>, tensor<f32>, tensor<bf16>)";
  std::string Kernel = flatKernel("%w: tensor<f32>, %g: tensor<bf16>, %m: tensor<f32>, %lr: tensor<f32>, %beta: tensor<f32>",
                                  "#tg.param<scalar>, #tg.param<scalar>, #tg.param<scalar>, #tg.param<scalar>, #tg.param<uniform>",
                                  "#tg.result<scalar>, #tg.result<scalar>, #tg.result<scalar>", Body);
  for (int64_t N : {1, 2, 7, 8, 9, 255, 256, 2047, 2048, 2049, 5000})
    for (int64_t Misplaced : {0, 4, 2}) {
      std::string F = tensor(number(N), "f32"), H = tensor(number(N), "bf16");
      GridTrial Trial;
      Trial.InPlaceResult = Trial.InPlaceInput = 0;
      Trial.Misplaced = Misplaced == 2 ? 8 : Misplaced;
      std::string Unit = access(0, "1");
      std::string Name = tryTextOnGrid({Kernel, F + ";" + H + ";" + F + ";tensor<f32>", number(N),
                                        Unit + ", " + Unit + ", " + Unit + ", " + access(0, "0") + ", " + Unit + ", " + Unit + ", " + Unit,
                                        "7.5e-1 : f32", "", F + ";" + F + ";" + H},
                                       Random, Trial);
      // Eight halves are one access of 16 bytes; what lies beside gets as much as it allows.
      EXPECT_EQ(Name.substr(0, 7), N == 1 ? "k_r1v1_" : Misplaced == 0 ? "k_r1v8_" : Misplaced == 4 ? "k_r1v1_" : "k_r1v2_") << Name;
    }
}

TEST_F(Grid, Transposes) {
  std::string Kernel = flatKernel("%x: tensor<f32>, %b: tensor<i1>", "#tg.param<scalar>, #tg.param<scalar>", "#tg.result<scalar>",
                                  "%z = tg.neg %x : tensor<f32>\n %y = tg.select %b, %x, %z : tensor<i1>, tensor<f32>\n tg.yield %y : tensor<f32>");
  // result [C, A, B] of x [A, B, C]; the mask is along C
  int64_t A = 5, B = 37, C = 3;
  tryTextOnGrid({Kernel, tensor("5x37x3", "f32") + ";" + tensor("3", "i1"), "3, 5, 37",
                 access(0, "1, " + number(B * C) + ", " + number(C)) + ", " + access(0, "1, 0, 0") + ", " +
                     access(0, number(A * B) + ", " + number(B) + ", 1"),
                 "", "", tensor("3x5x37", "f32")},
                Random);
  // rows of 8 stay whole: the outer dimensions change places
  std::string Name = tryTextOnGrid({Kernel, tensor("5x6x8", "f32") + ";" + tensor("8", "i1"), "6, 5, 8",
                                    access(0, "8, 48, 1") + ", " + access(0, "0, 0, 1") + ", " + access(0, "40, 8, 1"), "", "",
                                    tensor("6x5x8", "f32")},
                                   Random);
  EXPECT_EQ(Name, "k_r3v4_uuu");
}

TEST_F(Grid, TotalsOfElements) {
  std::string Kernel = flatKernel("%x: tensor<f32>", "#tg.param<scalar>", "#tg.result<total_sum>, #tg.result<scalar>",
                                  "%y = tg.mul %x, %x : tensor<f32>\n tg.yield %y, %y : tensor<f32>, tensor<f32>");
  for (auto [N, Chunk] : {std::pair<int64_t, int64_t>{10007, 1024}, {999, 999}, {3, 3}, {4096, 512}}) {
    int64_t P = (N + Chunk - 1) / Chunk;
    tryTextOnGrid({Kernel, tensor(number(N), "f32"), number(N), access(0, "1") + ", " + access(0, "") + ", " + access(0, "1"), "",
                   number(Chunk), tensor(number(P), "f32") + ";" + tensor(number(N), "f32")},
                  Random);
  }
}

TEST_F(Grid, FinishesPartsThroughColumnStride) {
  std::string Kernel = kernelText("k", "row", 64, "%x: tensor<$Cxf32>", "#tg.param<row stride(70)>", "#tg.result<scalar>",
                                  "%s = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<$Cxf32>) -> tensor<f32>\n"
                                  "tg.yield %s : tensor<f32>");
  GridTrial Trial;
  Trial.Low = 1; // no cancelling
  tryTextOnGrid({Kernel, tensor("64x70", "f32"), "70", access(0, "1") + ", " + access(0, "1"), "", "", tensor("70", "f32")}, Random, Trial);
}

/// Philox: the same bits as the interpreter's, which the uniform numbers show; normal ones go through log and cos.
TEST_F(Grid, DrawsWhatTheInterpreterDraws) {
  std::string Body = R"(
    %i = tg.iota : tensor<$Cxi32>
    %r = tg.row_index : tensor<i32>
    %s = tg.add %r, %first : tensor<i32>
    %sb = tg.broadcast %s {axes = array<i64>} : (tensor<i32>) -> tensor<$Cxi32>
    %kl = tg.broadcast %k0 {axes = array<i64>} : (tensor<i32>) -> tensor<$Cxi32>
    %si = tg.broadcast %site {axes = array<i64>} : (tensor<i32>) -> tensor<$Cxi32>
    %u = tg.draw_uniform key(%kl, %kl) counter(%i, %sb, %kl, %si) : tensor<$Cxi32> -> tensor<$Cxf32>
    %n = tg.draw_normal key(%kl, %kl) counter(%i, %sb, %kl, %si) : tensor<$Cxi32> -> tensor<$Cxf32>
    tg.yield %u, %n : tensor<$Cxf32>, tensor<$Cxf32>)";
  std::string Kernel = kernelText("k", "row", 40, "%k0: tensor<i32>, %first: tensor<i32>, %site: tensor<i32>",
                                  "#tg.param<scalar>, #tg.param<scalar>, #tg.param<uniform>", "#tg.result<row>, #tg.result<row>", Body);
  GridTrial Trial;
  Trial.Whole = 1 << 30;
  tryTextOnGrid({Kernel, "tensor<i32>;tensor<i32>", "5", access(0, "0") + ", " + access(0, "0") + ", " + access(0, "40") + ", " + access(0, "40"),
                 "-1234567 : i32", "", "tensor<5x40xf32>;tensor<5x40xf32>"},
                Random, Trial);
}

TEST_F(Grid, MathIsAccurate) {
  struct {
    const char *Op;
    double Low, High;
  } Functions[] = {{"exp", -20, 20}, {"log", 1e-3, 100}, {"tanh", -4, 4}, {"erf", -3, 3}, {"sigmoid", -10, 10},
                   {"sin", -100, 100}, {"cos", -100, 100}, {"rsqrt", 0.01, 10}, {"sqrt", 0, 10}, {"floor", -10, 10}, {"abs", -1, 1}};
  for (auto &F : Functions) {
    std::string Kernel = flatKernel("%x: tensor<f32>", "#tg.param<scalar>", "#tg.result<scalar>",
                                    std::string("%y = tg.") + F.Op + " %x : tensor<f32>\n tg.yield %y : tensor<f32>");
    GridTrial Trial;
    Trial.Low = F.Low;
    Trial.High = F.High;
    Trial.Tolerance = 5e-7;
    tryTextOnGrid({Kernel, "tensor<2051xf32>", "2051", access(0, "1") + ", " + access(0, "1"), "", "", "tensor<2051xf32>"}, Random, Trial);
  }
}

} // namespace
