// SPDX-License-Identifier: Apache-2.0
//
// Writes the tg text of one stage around a few operations under test: weights with random values, inputs, and a loss that
// weighs every result by a random cotangent. Then runs and differentiates it.
#ifndef VCC_TESTS_UNIT_TG_GRAPHTEXT_H
#define VCC_TESTS_UNIT_TG_GRAPHTEXT_H

#include "compiler/interpret/Interpreter.h"

#include "mlir/IR/OwningOpRef.h"

#include <functional>
#include <random>

namespace vcc::test {

using Shape = std::vector<int64_t>;
using Random = std::mt19937_64;
using Sampler = std::function<double(Random &)>;

Sampler between(double Low, double High);
/// Away from zero: a random sign, a size in [low, high].
Sampler signedBetween(double Low, double High);
/// Multiples of 0.05, each once, in random order: no two elements of a graph come near each other.
Sampler apart(Random &Source);

std::string tensorText(const Shape &Sizes, llvm::StringRef Element = "f64");
int64_t pickSize(Random &Source, int64_t Low, int64_t High);
Shape pickShape(Random &Source, int64_t Rank, int64_t Low = 1, int64_t High = 4);

/// The context with every dialect a stage uses.
mlir::MLIRContext &context();
mlir::OwningOpRef<mlir::ModuleOp> parse(llvm::StringRef Text);

class GraphText {
public:
  explicit GraphText(Random &Source) : Source(Source) {}

  /// A trainable f64 weight; returns its SSA name.
  std::string weight(const Shape &Sizes, const Sampler &Sample);
  std::string input(const Shape &Sizes, llvm::StringRef Element, const Sampler &Sample);
  void line(const std::string &Text) { Body += "    " + Text + "\n"; }
  /// Declares an SSA value of the body as a result that the loss depends on.
  void result(const std::string &Name, const Shape &Sizes, llvm::StringRef Element = "f64");

  std::string text() const;
  /// Sets weights and inputs to their values.
  void feed(interpret::Interpreter &Run) const;
  const std::vector<std::pair<std::string, std::vector<double>>> &weights() const { return Weights; }

private:
  Random &Source;
  std::string States, Body, Loss;
  std::vector<std::pair<std::string, std::vector<double>>> Weights;
  std::vector<std::pair<std::string, tg::HostTensor>> Inputs;
  int Terms = 0;
};

} // namespace vcc::test

#endif
