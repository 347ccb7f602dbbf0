// SPDX-License-Identifier: Apache-2.0
//
// The interpreter over state and in fused form: views alias, accumulation adds, launches and strided products mean what the
// plain operations mean.
#include "GraphText.h"

#include "llvm/ADT/bit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

using namespace mlir;
using namespace vcc;
using namespace vcc::test;

namespace {

tg::HostTensor randomTensor(Random &R, const Shape &Sizes) {
  tg::HostTensor Tensor(Sizes, Float64Type::get(&context()));
  for (double &V : Tensor.Data)
    V = std::uniform_real_distribution<double>(-1, 1)(R);
  return Tensor;
}

void expectClose(const interpret::Interpreter &Run, const char *A, const char *B) {
  const tg::HostTensor *X = Run.output(A), *Y = Run.output(B);
  ASSERT_TRUE(X && Y) << A << " " << B;
  ASSERT_EQ(X->size(), Y->size());
  for (int64_t I = 0; I < X->size(); ++I)
    EXPECT_NEAR(X->Data[I], Y->Data[I], 1e-12) << A << " and " << B << " at " << I;
}

} // namespace

TEST(Interpreter, ViewsShareTheirStorage) {
  OwningOpRef<ModuleOp> Module = parse(R"(module {
    tg.state @flat weight : tensor<8xf64>
    tg.state @part weight trainable in(@flat, 4) : tensor<2x2xf64>
    func.func @f() {
      %p = tg.read @part : tensor<2x2xf64>
      %s = tg.add %p, %p : tensor<2x2xf64>
      tg.write @part, %s : tensor<2x2xf64>
      tg.write @part, %p {accumulate} : tensor<2x2xf64>
      return
    } })");
  ASSERT_TRUE(Module);
  interpret::Interpreter Run(*Module);
  ASSERT_TRUE(succeeded(Run.setState("flat", {0, 1, 2, 3, 4, 5, 6, 7})));
  ASSERT_TRUE(succeeded(Run.run("f")));
  EXPECT_EQ(Run.state("part")->Data, (std::vector<double>{12, 15, 18, 21}));
  EXPECT_EQ(Run.state("flat")->Data, (std::vector<double>{0, 1, 2, 3, 12, 15, 18, 21}));
}

TEST(Interpreter, SaysWhatIsMissing) {
  OwningOpRef<ModuleOp> Module = parse(R"(module { func.func @f() {
      %x = tg.input "x" : tensor<2xf64>
      tg.output "y", %x : tensor<2xf64>
      return } })");
  ASSERT_TRUE(Module);
  interpret::Interpreter Run(*Module);
  ScopedDiagnosticHandler Quiet(&context(), [](Diagnostic &) { return success(); });
  EXPECT_TRUE(failed(Run.run("f")));
  EXPECT_TRUE(failed(Run.run("g")));
  EXPECT_TRUE(failed(Run.setState("w", {1.0})));
}

// A result rounds to its own type in `Own`, never in `F64`.
TEST(Interpreter, Precisions) {
  OwningOpRef<ModuleOp> Module = parse(R"(module { func.func @f() {
      %x = tg.input "x" : tensor<bf16>
      %y = tg.add %x, %x : tensor<bf16>
      tg.output "y", %y : tensor<bf16>
      return } })");
  ASSERT_TRUE(Module);
  tg::HostTensor X({}, BFloat16Type::get(&context()));
  X.Data = {0.1};
  auto With = [&](tg::Precision P) {
    interpret::Interpreter Run(*Module, P);
    Run.setInput("x", X);
    EXPECT_TRUE(succeeded(Run.run("f")));
    return Run.output("y")->Data[0];
  };
  EXPECT_EQ(With(tg::Precision::F64), 0.2);
  EXPECT_EQ(With(tg::Precision::F32), double(0.1f + 0.1f));
  EXPECT_EQ(With(tg::Precision::Own), 0.2001953125);
}

// bf16 is rounded to nearest, ties to even, over all that a double can be.
TEST(Interpreter, RoundsToBf16) {
  Type Narrow = BFloat16Type::get(&context());
  std::mt19937_64 Random(7);
  auto Check = [&](double X) {
    APFloat Wanted(X);
    bool Loses = false;
    Wanted.convert(APFloat::BFloat(), APFloat::rmNearestTiesToEven, &Loses);
    Wanted.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &Loses);
    double Found = tg::roundToElement(X, Narrow);
    EXPECT_TRUE(Wanted.bitwiseIsEqual(APFloat(Found)) || (Wanted.isNaN() && std::isnan(Found))) << X << ": " << Found;
  };
  for (double X : {0.0, -0.0, 1.0, 1.00390625, 1.01171875, 0x1p-126, 0x1p-133, 0x1.8p-134, 3.38953138925e38, 3.4e38, 1e300, -1e-300})
    Check(X);
  for (int I = 0; I < 100000; ++I) {
    Check(llvm::bit_cast<double>(Random()));                                             // any exponent
    Check(std::ldexp(double(int64_t(Random()) >> (Random() % 60)), int(Random() % 280) - 180)); // ties among them
  }
}

// Rows read through a transposed view; one result per row, a column sum in two chunks and a total.
TEST(Launch, RowKernelEqualsPlainOperations) {
  OwningOpRef<ModuleOp> Module = parse(R"(module {
    tg.kernel @center(%x: tensor<4xf64>, %r: tensor<f64>, %u: tensor<f64>) attributes {
        kernel_class = #tg.kernel_class<row>, columns = 4 : i64,
        params = [#tg.param<row stride(3)>, #tg.param<scalar>, #tg.param<uniform>],
        results = [#tg.result<row>, #tg.result<scalar>, #tg.result<column_sum>, #tg.result<total_sum>]} {
      %s = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<4xf64>) -> tensor<f64>
      %m = tg.mul %s, %u : tensor<f64>
      %b = tg.broadcast %m {axes = array<i64>} : (tensor<f64>) -> tensor<4xf64>
      %y = tg.sub %x, %b : tensor<4xf64>
      %rb = tg.broadcast %r {axes = array<i64>} : (tensor<f64>) -> tensor<4xf64>
      %z = tg.mul %y, %rb : tensor<4xf64>
      tg.yield %z, %m, %z, %s : tensor<4xf64>, tensor<f64>, tensor<4xf64>, tensor<f64>
    }
    func.func @f() {
      %x = tg.input "x" : tensor<4x3xf64>
      %r = tg.input "r" : tensor<3xf64>
      %k:4 = tg.launch @center(%x, %r) {dims = array<i64: 3>, uniforms = [0.25 : f64], rows_per_chunk = 2 : i64,
          access = [#tg.access<0, [1]>, #tg.access<0, [1]>, #tg.access<0, [4]>, #tg.access<0, [1]>, #tg.access<0, []>,
                    #tg.access<0, []>]}
          : (tensor<4x3xf64>, tensor<3xf64>) -> (tensor<3x4xf64>, tensor<3xf64>, tensor<2x4xf64>, tensor<2xf64>)
      %whole = tg.reduce %k#2 {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<2x4xf64>) -> tensor<4xf64>
      %total = tg.reduce %k#3 {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<2xf64>) -> tensor<f64>
      tg.output "kz", %k#0 : tensor<3x4xf64>
      tg.output "km", %k#1 : tensor<3xf64>
      tg.output "kc", %whole : tensor<4xf64>
      tg.output "kt", %total : tensor<f64>
      %t = tg.transpose %x {permutation = array<i64: 1, 0>} : (tensor<4x3xf64>) -> tensor<3x4xf64>
      %s = tg.reduce %t {kind = #tg.reduce_kind<sum>, axes = array<i64: 1>} : (tensor<3x4xf64>) -> tensor<3xf64>
      %q = tg.constant dense<0.25> : tensor<3xf64>
      %m = tg.mul %s, %q : tensor<3xf64>
      %b = tg.broadcast %m {axes = array<i64: 0>} : (tensor<3xf64>) -> tensor<3x4xf64>
      %y = tg.sub %t, %b : tensor<3x4xf64>
      %rb = tg.broadcast %r {axes = array<i64: 0>} : (tensor<3xf64>) -> tensor<3x4xf64>
      %z = tg.mul %y, %rb : tensor<3x4xf64>
      %c = tg.reduce %z {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<3x4xf64>) -> tensor<4xf64>
      %st = tg.reduce %s {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<3xf64>) -> tensor<f64>
      tg.output "z", %z : tensor<3x4xf64>
      tg.output "m", %m : tensor<3xf64>
      tg.output "c", %c : tensor<4xf64>
      tg.output "t", %st : tensor<f64>
      return
    } })");
  ASSERT_TRUE(Module);
  Random R(3);
  interpret::Interpreter Run(*Module);
  Run.setInput("x", randomTensor(R, {4, 3}));
  Run.setInput("r", randomTensor(R, {3}));
  ASSERT_TRUE(succeeded(Run.run("f")));
  expectClose(Run, "kz", "z");
  expectClose(Run, "km", "m");
  expectClose(Run, "kc", "c");
  expectClose(Run, "kt", "t");
}

// Indexed rows are a gather, scattered rows its transpose; ids outside the table stand for row 0.
TEST(Launch, IndexedAndScatter) {
  OwningOpRef<ModuleOp> Module = parse(R"(module {
    tg.kernel @take(%i: tensor<i32>, %x: tensor<2xf64>) attributes {kernel_class = #tg.kernel_class<row>,
        columns = 2 : i64, params = [#tg.param<scalar>, #tg.param<indexed index(0)>], results = [#tg.result<row>]} {
      tg.yield %x : tensor<2xf64>
    }
    tg.kernel @put(%i: tensor<i32>, %x: tensor<2xf64>) attributes {kernel_class = #tg.kernel_class<scatter>,
        columns = 2 : i64, params = [#tg.param<scalar>, #tg.param<row>], results = [#tg.result<scatter index(0)>]} {
      tg.yield %x : tensor<2xf64>
    }
    func.func @f() {
      %ids = tg.constant dense<[2, 0, 7, -1, 2]> : tensor<5xi32>
      %x = tg.input "x" : tensor<3x2xf64>
      %k = tg.launch @take(%ids, %x) {dims = array<i64: 5>,
          access = [#tg.access<0, [1]>, #tg.access<0, [0, 2]>, #tg.access<0, [2]>]}
          : (tensor<5xi32>, tensor<3x2xf64>) -> tensor<5x2xf64>
      %g = tg.gather %x, %ids : (tensor<3x2xf64>, tensor<5xi32>) -> tensor<5x2xf64>
      %p = tg.launch @put(%ids, %g) {dims = array<i64: 5>,
          access = [#tg.access<0, [1]>, #tg.access<0, [2]>, #tg.access<0, [0, 2]>]}
          : (tensor<5xi32>, tensor<5x2xf64>) -> tensor<3x2xf64>
      %s = tg.scatter_add %ids, %g {rows = 3 : i64} : (tensor<5xi32>, tensor<5x2xf64>) -> tensor<3x2xf64>
      tg.output "k", %k : tensor<5x2xf64>
      tg.output "g", %g : tensor<5x2xf64>
      tg.output "p", %p : tensor<3x2xf64>
      tg.output "s", %s : tensor<3x2xf64>
      return
    } })");
  ASSERT_TRUE(Module);
  Random R(4);
  interpret::Interpreter Run(*Module);
  Run.setInput("x", randomTensor(R, {3, 2}));
  ASSERT_TRUE(succeeded(Run.run("f")));
  expectClose(Run, "k", "g");
  expectClose(Run, "p", "s");
}

// A flat kernel that draws: row_index gives the element, draw_uniform the same numbers as random_uniform.
TEST(Launch, FlatDraw) {
  OwningOpRef<ModuleOp> Module = parse(R"(module {
    tg.kernel @draw(%k0: tensor<i32>, %k1: tensor<i32>, %step: tensor<i32>, %first: tensor<i32>, %site: tensor<i32>,
                    %width: tensor<i32>) attributes {kernel_class = #tg.kernel_class<flat>, columns = 1 : i64,
        params = [#tg.param<scalar>, #tg.param<scalar>, #tg.param<scalar>, #tg.param<scalar>, #tg.param<uniform>,
                  #tg.param<uniform>], results = [#tg.result<scalar>]} {
      %e = tg.row_index : tensor<i32>
      %row = tg.div %e, %width : tensor<i32>
      %base = tg.mul %row, %width : tensor<i32>
      %inner = tg.sub %e, %base : tensor<i32>
      %sample = tg.add %row, %first : tensor<i32>
      %u = tg.draw_uniform key(%k0, %k1) counter(%inner, %sample, %step, %site) : tensor<i32> -> tensor<f32>
      tg.yield %u : tensor<f32>
    }
    func.func @f() {
      %rng = tg.constant dense<[11, -3, 5, 2]> : tensor<4xi32>
      %k = tg.launch @draw(%rng, %rng, %rng, %rng) {dims = array<i64: 12>, uniforms = [-468965076 : i32, 4 : i32],
          access = [#tg.access<0, [0]>, #tg.access<1, [0]>, #tg.access<2, [0]>, #tg.access<3, [0]>, #tg.access<0, [1]>]}
          : (tensor<4xi32>, tensor<4xi32>, tensor<4xi32>, tensor<4xi32>) -> tensor<3x4xf32>
      %u = tg.random_uniform %rng {site = #tg.site<"a">} : (tensor<4xi32>) -> tensor<3x4xf32>
      tg.output "k", %k : tensor<3x4xf32>
      tg.output "u", %u : tensor<3x4xf32>
      return
    } })");
  ASSERT_TRUE(Module);
  ASSERT_EQ(uint32_t(-468965076), tg::siteHash("a"));
  interpret::Interpreter Run(*Module);
  ASSERT_TRUE(succeeded(Run.run("f")));
  expectClose(Run, "k", "u");
}

TEST(Gemm, StridesBiasAddend) {
  OwningOpRef<ModuleOp> Module = parse(R"(module { func.func @f() {
      %a = tg.input "a" : tensor<2x5x3xf64>
      %b = tg.input "b" : tensor<2x4x3xf64>
      %bias = tg.input "bias" : tensor<4xf64>
      %c = tg.input "c" : tensor<2x5x4xf64>
      %g = tg.gemm %a, %b bias(%bias : tensor<4xf64>) addend(%c : tensor<2x5x4xf64>) {batch = array<i64: 2>, m = 5 : i64,
          n = 4 : i64, k = 3 : i64, a_strides = array<i64: 15, 3, 1>, b_strides = array<i64: 12, 1, 3>,
          c_strides = array<i64: 20, 4, 1>, accumulate} : tensor<2x5x3xf64>, tensor<2x4x3xf64> -> tensor<2x5x4xf64>
      %d = tg.dot_general %a, %b {batch_a = array<i64: 0>, batch_b = array<i64: 0>, contract_a = array<i64: 2>,
          contract_b = array<i64: 2>} : (tensor<2x5x3xf64>, tensor<2x4x3xf64>) -> tensor<2x5x4xf64>
      %wide = tg.broadcast %bias {axes = array<i64: 2>} : (tensor<4xf64>) -> tensor<2x5x4xf64>
      %e = tg.add %d, %wide : tensor<2x5x4xf64>
      %h = tg.add %e, %c : tensor<2x5x4xf64>
      tg.output "g", %g : tensor<2x5x4xf64>
      tg.output "h", %h : tensor<2x5x4xf64>
      return
    } })");
  ASSERT_TRUE(Module);
  Random R(5);
  interpret::Interpreter Run(*Module);
  Run.setInput("a", randomTensor(R, {2, 5, 3}));
  Run.setInput("b", randomTensor(R, {2, 4, 3}));
  Run.setInput("bias", randomTensor(R, {4}));
  Run.setInput("c", randomTensor(R, {2, 5, 4}));
  ASSERT_TRUE(succeeded(Run.run("f")));
  expectClose(Run, "g", "h");
}
