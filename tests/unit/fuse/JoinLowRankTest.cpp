// SPDX-License-Identifier: Apache-2.0
//
// LoRA's second products as part of the frozen ones: random layers with and without adapters, biases and masks, trained, evaluated and
// initialised, mean the same before the pass, after it, and as a plan. VCC_TEST_SEED repeats a run.
#include "tests/Seed.h"
#include "tests/unit/fuse/Near.h"
#include "tests/unit/fuse/PlanRunner.h"
#include "tests/unit/tg/GraphText.h"

#include "compiler/differentiate/Passes.h"
#include "compiler/fuse/Passes.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace mlir;
using namespace vcc;
using namespace vcc::test;

namespace {

/// Writes a stage whose layers add to x what some frozen matrices make of it, each with an adapter or without.
class Layers {
public:
  explicit Layers(Random &source) : source(source), width(16 * between(2, 4)), rows{between(1, 3), between(2, 5)} {
    if (between(0, 1))
      rows.pop_back();
  }

  std::string text() {
    for (int64_t layer = between(1, 3); layer > 0; --layer)
      addLayer();
    std::string module = "module {\n" + states + "tg.state @start weight trainable : " + x() + "\n";
    module += "func.func @init() {\n" + init + "return\n}\n";
    module += "func.func @forward_main() {\n%x = tg.read @start : " + x() + "\n" + forward + loss() + "return\n}\n";
    module += "func.func @evaluate_main() {\n%x = tg.input \"e\" : " + x() + "\n" + evaluate + "tg.output \"score\", " + last + " : " + x() + "\nreturn\n}\n}";
    return module;
  }
  int adapted() const { return adapters; }
  /// Products that go when first factors of one x are stacked, forward and backward.
  int stacked() const { return gone; }

private:
  int64_t between(int64_t low, int64_t high) { return low + static_cast<int64_t>(source() % static_cast<uint64_t>(high - low + 1)); }
  std::string rowsOf(int64_t columns) {
    std::string shape = "tensor<";
    for (int64_t each : rows)
      shape += std::to_string(each) + "x";
    return shape + std::to_string(columns) + "xf32>";
  }
  static std::string matrix(int64_t n, int64_t k) { return "tensor<" + std::to_string(n) + "x" + std::to_string(k) + "xf32>"; }
  std::string x() { return rowsOf(width); }
  std::string product(const std::string &a, int64_t k, const std::string &b, int64_t n) {
    return "tg.dot_general " + a + ", " + b + " {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: " + std::to_string(rows.size()) +
           ">, contract_b = array<i64: 1>} : (" + rowsOf(k) + ", " + matrix(n, k) + ") -> " + rowsOf(n) + "\n";
  }

  /// One matrix of a layer, of `in`, which has this name in both functions as what is given back. Its parts stand in an order that chance gives.
  std::string addSite(const std::string &in) {
    std::string id = std::to_string(sites++), out = "%o" + id;
    states += "tg.state @w" + id + " weight : " + matrix(width, width) + "\n";
    init += "%w" + id + " = tg.input \"w" + id + "\" : " + matrix(width, width) + "\ntg.write @w" + id + ", %w" + id + " : " + matrix(width, width) + "\n";
    std::string base = "%w" + id + " = tg.read @w" + id + " : " + matrix(width, width) + "\n%p" + id + " = " + product(in, width, "%w" + id, width);
    std::string left = "%p" + id;
    if (between(0, 3) == 0) { // a bias
      states += "tg.state @bias" + id + " weight : tensor<" + std::to_string(width) + "xf32>\n";
      base += "%v" + id + " = tg.read @bias" + id + " : tensor<" + std::to_string(width) + "xf32>\n%vb" + id + " = tg.broadcast %v" + id + " {axes = array<i64: " +
              std::to_string(rows.size()) + ">} : (tensor<" + std::to_string(width) + "xf32>) -> " + x() + "\n%pb" + id + " = tg.add %p" + id + ", %vb" + id + " : " + x() + "\n";
      left = "%pb" + id;
    }
    if (between(0, 3) == 0) { // no adapter
      forward += base, evaluate += base;
      std::string end = out + " = tg.mul " + left + ", " + left + " : " + x() + "\n";
      forward += end, evaluate += end;
      return out;
    }
    ++adapters;
    int64_t rank = between(1, width / (alone ? 4 : 16)); // four of these are as thin as one may be
    states += "tg.state @a" + id + " weight trainable : " + matrix(rank, width) + "\ntg.state @b" + id + " weight trainable : " + matrix(width, rank) + "\n";
    bool masked = between(0, 1);
    unmasked += !masked;
    auto thin = [&](bool training) {
      std::string from = in, lines;
      if (training && masked) {
        lines = "%m" + id + " = tg.input \"m" + id + "\" : " + x() + "\n%d" + id + " = tg.mul " + in + ", %m" + id + " : " + x() + "\n";
        from = "%d" + id;
      }
      lines += "%a" + id + " = tg.read @a" + id + " : " + matrix(rank, width) + "\n%h" + id + " = " + product(from, width, "%a" + id, rank);
      lines += "%b" + id + " = tg.read @b" + id + " : " + matrix(width, rank) + "\n%t" + id + " = " + product("%h" + id, rank, "%b" + id, width);
      return lines;
    };
    bool thinFirst = between(0, 1), thinLeft = between(0, 1), evaluated = between(0, 2) > 0, plain = between(0, 1);
    if (plain) // nothing stands between the sum and its reader
      out = "%s" + id;
    std::string sum = "%s" + id + " = tg.add " + (thinLeft ? "%t" + id + ", " + left : left + ", %t" + id) + " : " + x() + "\n";
    std::string end = plain ? "" : out + " = tg.mul %s" + id + ", %s" + id + " : " + x() + "\n";
    forward += (thinFirst ? thin(true) + base : base + thin(true)) + sum + end;
    // An evaluation may do without the adapter.
    evaluate += evaluated ? base + thin(false) + sum + end : base + out + " = tg.mul " + left + ", " + left + " : " + x() + "\n";
    return out;
  }

  /// Some matrices that read one x, or one whose result is the next layer's x.
  void addLayer() {
    unmasked = 0;
    if (alone = between(0, 2) == 0; alone) {
      last = addSite(last);
      return;
    }
    std::string in = last, whole = in, layer = std::to_string(layers++);
    for (int64_t i = between(1, 4); i > 0; --i) {
      std::string out = addSite(in), next = "%n" + std::to_string(sites), add = next + " = tg.add " + whole + ", " + out + " : " + x() + "\n";
      forward += add, evaluate += add;
      whole = next;
    }
    gone += 2 * std::max(0, unmasked - 1);
    last = "%c" + layer;
    std::string end = last + " = tg.tanh " + whole + " : " + x() + "\n";
    forward += end, evaluate += end;
  }

  std::string loss() {
    std::string axes;
    for (size_t axis = 0; axis <= rows.size(); ++axis)
      axes += (axis ? ", " : "") + std::to_string(axis);
    return "%g = tg.input \"g\" : " + x() + "\n%q = tg.mul " + last + ", %g : " + x() + "\n%l = tg.reduce %q {kind = #tg.reduce_kind<sum>, axes = array<i64: " +
           axes + ">} : (" + x() + ") -> tensor<f32>\ntg.loss %l : tensor<f32>\n";
  }

  Random &source;
  int64_t width;
  std::vector<int64_t> rows;
  int sites = 0, layers = 0, adapters = 0, unmasked = 0, gone = 0;
  bool alone = false;      ///< whether the layer at hand has one matrix
  std::string last = "%x"; ///< what the next layer reads
  std::string states, init, forward, evaluate;
};

std::vector<double> turned(const std::vector<double> &matrix, int64_t rows, int64_t columns) {
  std::vector<double> other(matrix.size());
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      other[j * rows + i] = matrix[i * columns + j];
  return other;
}

constexpr double Tolerance = 1e-11;
const char *const Functions[] = {"init", "micro_main", "evaluate_main"};

/// Runs all functions one after another, `run` after each.
template <typename Run> void runAll(interpret::Interpreter &truth, Run &&run) {
  for (const char *function : Functions) {
    ASSERT_TRUE(succeeded(truth.run(function))) << function;
    run(function);
  }
}

int64_t productsOf(ModuleOp module, StringRef function) {
  auto ops = module.lookupSymbol<func::FuncOp>(function).getOps<tg::DotGeneralOp>();
  return llvm::count_if(ops, [](Operation *op) { return !op->use_empty(); });
}

void check(uint64_t seed) {
  SCOPED_TRACE("VCC_TEST_SEED=" + std::to_string(seed));
  Random source(seed);
  context().loadDialect<exec::ExecDialect>();
  Layers layers(source);
  std::string text = layers.text();
  OwningOpRef<ModuleOp> module = parse(text);
  ASSERT_TRUE(module) << text;
  SmallVector<std::string> unreached;
  ASSERT_TRUE(succeeded(differentiate::differentiateStage(*module, unreached)));

  OwningOpRef<ModuleOp> joined(module->clone()), planned(module->clone());
  PassManager stack(&context()), join(&context()), plan(&context());
  stack.addPass(fuse::createStackFactorsPass());
  stack.addPass(fuse::createFoldTransposesPass());
  join.addPass(fuse::createJoinLowRankPass());
  join.addPass(fuse::createFoldTransposesPass());
  fuse::FuseOptions options = fuse::FuseOptions::cuda();
  options.joinLowRank = true;
  fuse::buildFusePipeline(plan, options);
  schedule::buildSchedulePipeline(plan);
  ASSERT_TRUE(succeeded(stack.run(*joined))) << text;
  EXPECT_EQ(productsOf(*joined, "micro_main"), productsOf(*module, "micro_main") - layers.stacked()) << text;
  ASSERT_TRUE(succeeded(join.run(*joined)) && succeeded(plan.run(*planned))) << text;
  EXPECT_EQ(findOverlap(schedule::planOf(*planned)), "");
  // Of each adapter one product forward and one backward are gone.
  EXPECT_EQ(productsOf(*joined, "micro_main"), productsOf(*module, "micro_main") - layers.stacked() - 2 * layers.adapted()) << text;

  interpret::Interpreter truth(*module), after(*joined);
  PlanRunner simulated(*planned);
  auto numbers = [&](RankedTensorType type) {
    std::vector<double> values;
    for (int64_t i = 0; i < type.getNumElements(); ++i)
      values.push_back(std::uniform_real_distribution<double>(-0.5, 0.5)(source));
    return values;
  };
  auto isTurned = [&](const std::string &path) { return joined->lookupSymbol<tg::StateOp>(path).getTransposed(); };
  auto inOrder = [&](const std::string &path, const std::vector<double> &values, bool back) {
    if (!isTurned(path))
      return values;
    ArrayRef<int64_t> shape = module->lookupSymbol<tg::StateOp>(path).getTensorType().getShape();
    return turned(values, shape[back], shape[!back]);
  };
  for (const std::string &path : truth.statePaths()) {
    std::vector<double> values = numbers(module->lookupSymbol<tg::StateOp>(path).getTensorType());
    ASSERT_TRUE(succeeded(truth.setState(path, values)));
    ASSERT_TRUE(succeeded(after.setState(path, inOrder(path, values, false))));
    simulated.set(path, inOrder(path, values, false));
  }
  for (const char *function : Functions)
    for (const auto &[name, type] : truth.inputsOf(function)) {
      tg::HostTensor value(type);
      value.Data = numbers(type);
      truth.setInput(name, value);
      after.setInput(name, value);
      if (std::string buffer = schedule::inputBufferName(function, name); simulated.has(buffer))
        simulated.set(buffer, value.Data);
    }
  runAll(truth, [&](const char *function) {
    ASSERT_TRUE(succeeded(after.run(function)) && succeeded(simulated.run(function))) << function;
    for (const std::string &path : truth.statePaths()) {
      expectNear(truth.state(path)->Data, inOrder(path, after.state(path)->Data, true), Tolerance, path);
      expectNear(truth.state(path)->Data, inOrder(path, simulated.get(path), true), Tolerance, "planned " + path);
    }
    for (const std::string &name : truth.outputNames()) {
      expectNear(truth.output(name)->Data, after.output(name)->Data, Tolerance, name);
      expectNear(truth.output(name)->Data, simulated.get(schedule::outputBufferName(function, name)), Tolerance, "planned " + name);
    }
  });
  if (::testing::Test::HasFailure())
    joined->dump();
}

} // namespace

TEST(JoinLowRank, MeansTheSame) {
  for (uint64_t i = 0; i < 60 && !HasFailure(); ++i)
    check(chosenSeed() + i);
}
