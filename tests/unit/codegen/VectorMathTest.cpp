// SPDX-License-Identifier: Apache-2.0
//
// Accuracy of every elementary function over its whole range, for every CPU level that this machine runs, against libm in double.
#include "tests/unit/codegen/KernelProgram.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>
#include <limits>

using namespace vcc::test;

namespace {

constexpr float Inf = std::numeric_limits<float>::infinity();

std::string unaryText(const std::string &Op, const std::string &Type = "f32") {
  return kernelText("k", "flat", 1, "%x: tensor<" + Type + ">", "#tg.param<scalar>", "#tg.result<scalar>",
                    "%y = tg." + Op + " %x : tensor<" + Type + ">\n tg.yield %y : tensor<" + Type + ">");
}

template <typename T> std::vector<T> mapped(const KernelProgram &Program, const std::vector<T> &X) {
  std::vector<T> Y(X.size());
  LaunchSpec Spec{{int64_t(X.size())}, {{0, {1}}, {0, {1}}}, {}, 0};
  launch(Program.find("k"), {const_cast<T *>(X.data()), Y.data()}, Spec, int64_t(X.size()), {{Y.data(), Y.size() * sizeof(T)}});
  return Y;
}

/// Every 1009th float of both signs whose magnitude lies in [Low, High].
std::vector<float> sweep(float Low, float High, bool Negative = true) {
  uint32_t First, Last;
  std::memcpy(&First, &Low, 4);
  std::memcpy(&Last, &High, 4);
  std::vector<float> X;
  for (uint64_t Bits = First; Bits <= Last; Bits += 1009) {
    uint32_t Word = uint32_t(Bits);
    float Number;
    std::memcpy(&Number, &Word, 4);
    X.push_back(Number);
    if (Negative)
      X.push_back(-Number);
  }
  return X;
}

struct Case {
  const char *Op;
  double (*Reference)(double);
  float Low, High;
  bool Negative;
  double Limit;     // relative
  double Absolute;  // below this, the absolute error counts
};

class Accuracy : public ::testing::TestWithParam<Case> {};

TEST_P(Accuracy, StaysWithinItsLimit) {
  const Case &C = GetParam();
  std::vector<float> X = sweep(C.Low, C.High, C.Negative);
  for (const std::string &Cpu : runnableCpus()) {
    KernelProgram Program(unaryText(C.Op), Cpu);
    std::vector<float> Y = mapped(Program, X);
    double Worst = 0;
    float WorstX = 0;
    for (size_t I = 0; I < X.size(); ++I) {
      double Want = C.Reference(X[I]);
      double Size = std::max(std::fabs(Want), std::max(C.Absolute, 1.2e-38));
      if (std::fabs(Want) > 3.4028234e38) { // overflows in f32
        EXPECT_EQ(Y[I], Want > 0 ? Inf : -Inf) << C.Op << "(" << X[I] << ")";
        continue;
      }
      double Error = std::fabs(Y[I] - Want) / Size;
      if (!(Error <= Worst))
        Worst = Error, WorstX = X[I];
    }
    EXPECT_LE(Worst, C.Limit) << C.Op << " at " << WorstX << " for " << Cpu;
    ::testing::Test::RecordProperty(std::string(C.Op) + "_" + Cpu, std::to_string(Worst * 1e9));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Functions, Accuracy,
    ::testing::Values(Case{"exp", std::exp, 1e-30f, 200.0f, true, 2e-7, 0}, Case{"log", std::log, 1e-44f, 3e38f, false, 2e-7, 0},
                      Case{"tanh", std::tanh, 1e-30f, 100.0f, true, 3e-7, 0}, Case{"erf", std::erf, 1e-30f, 100.0f, true, 3e-7, 0},
                      Case{"sigmoid", [](double X) { return 1 / (1 + std::exp(-X)); }, 1e-30f, 80.0f, true, 3e-7, 0},
                      Case{"sin", std::sin, 1e-30f, 1e6f, true, 2e-7, 1e-12}, Case{"cos", std::cos, 1e-30f, 1e6f, true, 2e-7, 1e-12},
                      Case{"sqrt", std::sqrt, 1e-44f, 3e38f, false, 1e-7, 0},
                      Case{"rsqrt", [](double X) { return 1 / std::sqrt(X); }, 1e-37f, 3e38f, false, 2e-7, 0}),
    [](const auto &Info) { return std::string(Info.param.Op); });

TEST(VectorMath, SpecialValuesAreThoseOfC) {
  float NaN = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> X = {0.0f, -0.0f, Inf, -Inf, NaN, -1.0f, 1.0f, 88.8f, -120.0f, 1e-40f};
  struct Special {
    const char *Op;
    float (*Reference)(float);
  } Cases[] = {{"exp", std::exp}, {"log", std::log}, {"tanh", std::tanh}, {"erf", std::erf},
               {"sin", std::sin}, {"cos", std::cos}, {"sqrt", std::sqrt}, {"floor", std::floor}};
  for (const std::string &Cpu : runnableCpus())
    for (const Special &S : Cases) {
      std::vector<float> Y = mapped(KernelProgram(unaryText(S.Op), Cpu), X);
      for (size_t I = 0; I < X.size(); ++I) {
        float Want = S.Reference(X[I]);
        if (std::isnan(Want))
          EXPECT_TRUE(std::isnan(Y[I])) << S.Op << "(" << X[I] << ") for " << Cpu;
        else if (std::isinf(Want))
          EXPECT_EQ(Y[I], Want) << S.Op << "(" << X[I] << ") for " << Cpu;
        else
          EXPECT_NEAR(Y[I], Want, 4e-7 * std::fabs(Want) + 2e-45) << S.Op << "(" << X[I] << ") for " << Cpu;
      }
    }
}

TEST(VectorMath, DoublesAreAccurateToo) {
  struct Wide {
    const char *Op;
    double (*Reference)(double);
    double Low, High;
  } Cases[] = {{"exp", std::exp, -700, 700}, {"log", std::log, 1e-9, 1e9}, {"tanh", std::tanh, -5, 5}, {"sin", std::sin, -100, 100},
               {"cos", std::cos, -100, 100}};
  std::mt19937_64 Random(3);
  for (const Wide &W : Cases) {
    std::uniform_real_distribution<double> Distribution(W.Low, W.High);
    std::vector<double> X(5000);
    for (double &V : X)
      V = Distribution(Random);
    std::vector<double> Y = mapped(KernelProgram(unaryText(W.Op, "f64")), X);
    for (size_t I = 0; I < X.size(); ++I)
      ASSERT_NEAR(Y[I], W.Reference(X[I]), 2e-15 * std::max(1.0, std::fabs(W.Reference(X[I])))) << W.Op << "(" << X[I] << ")";
  }
}

TEST(VectorMath, PowFollowsC) {
  std::string Text = kernelText("k", "flat", 1, "%x: tensor<f32>, %y: tensor<f32>", "#tg.param<scalar>, #tg.param<scalar>",
                                "#tg.result<scalar>", "%z = tg.pow %x, %y : tensor<f32>\n tg.yield %z : tensor<f32>");
  std::vector<float> X = randomFloats(20000, 0.0f, 30.0f), Y = randomFloats(20000, -25.0f, 25.0f, 2), Z(20000);
  float Specials[][2] = {{0, 0}, {0, 2}, {0, -2}, {-2, 3}, {-2, 2}, {-2, 0.5f}, {1, 1e30f}, {2, 200}, {2, -200}, {-1, -3}, {5, 0}};
  for (size_t I = 0; I < std::size(Specials); ++I)
    X[I] = Specials[I][0], Y[I] = Specials[I][1];
  for (const std::string &Cpu : runnableCpus()) {
    KernelProgram Program(Text, Cpu);
    launch(Program.find("k"), {X.data(), Y.data(), Z.data()}, {{20000}, {{0, {1}}, {0, {1}}, {0, {1}}}, {}, 0}, 20000,
           {{Z.data(), Z.size() * 4}});
    for (size_t I = 0; I < X.size(); ++I) {
      double Want = std::pow(double(X[I]), double(Y[I]));
      if (std::isnan(Want))
        EXPECT_TRUE(std::isnan(Z[I])) << X[I] << " ^ " << Y[I];
      else if (std::fabs(Want) > 3.4028234e38)
        EXPECT_TRUE(std::isinf(Z[I])) << X[I] << " ^ " << Y[I];
      else
        EXPECT_NEAR(Z[I], Want, 2e-7 * std::fabs(Want) + 1e-44) << X[I] << " ^ " << Y[I];
    }
  }
}

} // namespace
