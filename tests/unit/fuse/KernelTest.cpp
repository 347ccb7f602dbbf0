// SPDX-License-Identifier: Apache-2.0
//
// Graphs that models are made of, fused and scheduled, against the interpreter on the graph: random draws, partial sums,
// nested concatenations, rotations, an optimizer's update. Inputs and states are random; VCC_TEST_SEED repeats a run.
#include "tests/Seed.h"
#include "tests/unit/fuse/Near.h"
#include "tests/unit/fuse/PlanRunner.h"
#include "tests/unit/tg/GraphText.h"

#include "compiler/fuse/Passes.h"

#include <gtest/gtest.h>

#include <cstdlib>

using namespace mlir;
using namespace vcc;
using namespace vcc::test;

namespace {

std::vector<double> randomElements(Random &source, RankedTensorType type) {
  std::vector<double> values;
  bool whole = isa<IntegerType>(type.getElementType());
  for (int64_t i = 0; i < type.getNumElements(); ++i)
    values.push_back(whole ? static_cast<double>(source() % 4)
                           : static_cast<double>(static_cast<float>(
                                 std::uniform_real_distribution<double>(0.1, 1.0)(source))));
  return values;
}

/// Runs the module's function @f on the graph and as a plan.
void checkMeaning(StringRef body, StringRef states = "") {
  uint64_t seed = chosenSeed();
  SCOPED_TRACE("VCC_TEST_SEED=" + std::to_string(seed));
  Random source(seed);
  context().loadDialect<exec::ExecDialect>();
  OwningOpRef<ModuleOp> module =
      parse("module {\n" + states.str() + "\nfunc.func @f() {\n" + body.str() + "\nreturn\n}\n}");
  ASSERT_TRUE(module);
  OwningOpRef<ModuleOp> planned(module->clone());
  PassManager passes(&context());
  fuse::buildFusePipeline(passes);
  schedule::buildSchedulePipeline(passes);
  ASSERT_TRUE(succeeded(passes.run(*planned)));

  interpret::Interpreter run(*module);
  PlanRunner simulated(*planned);
  for (const std::string &path : run.statePaths()) {
    std::vector<double> values = randomElements(source, cast<RankedTensorType>(
        module->lookupSymbol<tg::StateOp>(path).getType()));
    ASSERT_TRUE(succeeded(run.setState(path, values)));
    simulated.set(path, values);
  }
  for (const auto &[name, type] : run.inputsOf("f")) {
    tg::HostTensor value(type);
    value.Data = randomElements(source, type);
    if (simulated.has(schedule::inputBufferName("f", name)))
      simulated.set(schedule::inputBufferName("f", name), value.Data);
    run.setInput(name, value);
  }
  ASSERT_TRUE(succeeded(run.run("f")));
  ASSERT_TRUE(succeeded(simulated.run("f")));
  for (const std::string &path : run.statePaths())
    expectNear(run.state(path)->Data, simulated.get(path), 1e-6, path);
  for (const std::string &name : run.outputNames())
    expectNear(run.output(name)->Data, simulated.get(schedule::outputBufferName("f", name)), 1e-6, name);
}

} // namespace

// Dropout of a row tensor: the draw is that of the graph for every element.
TEST(Kernel, DrawsUniformInRows) {
  checkMeaning(R"(
    %rng = tg.input "rng" : tensor<4xi32>
    %x = tg.input "x" : tensor<2x3x8xf32>
    %u = tg.random_uniform %rng {site = #tg.site<"a">} : (tensor<4xi32>) -> tensor<2x3x8xf32>
    %p = tg.constant dense<0.4> : tensor<2x3x8xf32>
    %k = tg.compare %u, %p {predicate = #tg.predicate<ge>} : tensor<2x3x8xf32>
    %0 = tg.constant dense<0.0> : tensor<2x3x8xf32>
    %y = tg.select %k, %x, %0 : tensor<2x3x8xi1>, tensor<2x3x8xf32>
    %s = tg.softmax %y : tensor<2x3x8xf32>
    tg.output "s", %s : tensor<2x3x8xf32>)");
}

// One draw per sample (drop path), spread over the sample.
TEST(Kernel, DrawsOncePerSample) {
  checkMeaning(R"(
    %rng = tg.input "rng" : tensor<4xi32>
    %x = tg.input "x" : tensor<5x3x8xf32>
    %u = tg.random_uniform %rng {site = #tg.site<"a">} : (tensor<4xi32>) -> tensor<5xf32>
    %p = tg.constant dense<0.4> : tensor<5xf32>
    %k = tg.compare %u, %p {predicate = #tg.predicate<ge>} : tensor<5xf32>
    %f = tg.cast %k : tensor<5xi1> -> tensor<5xf32>
    %b = tg.broadcast %f {axes = array<i64: 0>} : (tensor<5xf32>) -> tensor<5x3x8xf32>
    %y = tg.mul %x, %b : tensor<5x3x8xf32>
    tg.output "y", %y : tensor<5x3x8xf32>)");
}

// Draws seen through a transpose, and normal ones written to a state.
TEST(Kernel, DrawsThroughViews) {
  checkMeaning(R"(
    %rng = tg.input "rng" : tensor<4xi32>
    %x = tg.input "x" : tensor<4x3xf32>
    %u = tg.random_uniform %rng {site = #tg.site<"a">} : (tensor<4xi32>) -> tensor<3x4xf32>
    %t = tg.transpose %u {permutation = array<i64: 1, 0>} : (tensor<3x4xf32>) -> tensor<4x3xf32>
    %y = tg.add %x, %t : tensor<4x3xf32>
    tg.output "y", %y : tensor<4x3xf32>
    %n = tg.random_normal %rng {site = #tg.site<"w">} : (tensor<4xi32>) -> tensor<24xf32>
    %r = tg.reshape %n : (tensor<24xf32>) -> tensor<4x6xf32>
    tg.write @w, %r : tensor<4x6xf32>)",
               "tg.state @w weight trainable : tensor<4x6xf32>");
}

// Sums large enough to be taken in parts: over rows, over everything, of rows and of row scalars.
TEST(Kernel, AddsPartialSums) {
  checkMeaning(R"(
    %x = tg.input "x" : tensor<600x33xf32>
    %y = tg.mul %x, %x : tensor<600x33xf32>
    %c = tg.reduce %y {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<600x33xf32>) -> tensor<33xf32>
    %t = tg.reduce %y {kind = #tg.reduce_kind<sum>, axes = array<i64: 0, 1>} : (tensor<600x33xf32>) -> tensor<f32>
    %m = tg.reduce %y {kind = #tg.reduce_kind<max>, axes = array<i64: 1>} : (tensor<600x33xf32>) -> tensor<600xf32>
    %s = tg.reduce %m {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<600xf32>) -> tensor<f32>
    %f = tg.input "f" : tensor<20011xf32>
    %g = tg.mul %f, %f : tensor<20011xf32>
    %n = tg.reduce %g {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<20011xf32>) -> tensor<f32>
    tg.output "y", %y : tensor<600x33xf32>
    tg.output "c", %c : tensor<33xf32>
    tg.output "t", %t : tensor<f32>
    tg.output "s", %s : tensor<f32>
    tg.output "n", %n : tensor<f32>)");
}

// Concatenations inside concatenations, along both axes, of views and of what is also used elsewhere.
TEST(Kernel, ConcatenatesInPlace) {
  checkMeaning(R"(
    %x = tg.input "x" : tensor<4x6xf32>
    %e = tg.exp %x : tensor<4x6xf32>
    %a = tg.slice %e {offsets = array<i64: 0, 1>, sizes = array<i64: 4, 2>, strides = array<i64: 1, 2>} : (tensor<4x6xf32>) -> tensor<4x2xf32>
    %c = tg.concat %a, %e, %a {axis = 1 : i64} : (tensor<4x2xf32>, tensor<4x6xf32>, tensor<4x2xf32>) -> tensor<4x10xf32>
    %p = tg.pad %c {low = array<i64: 1, 2>, high = array<i64: 0, 3>, value = 0.5} : (tensor<4x10xf32>) -> tensor<5x15xf32>
    %d = tg.concat %p, %p {axis = 0 : i64} : (tensor<5x15xf32>, tensor<5x15xf32>) -> tensor<10x15xf32>
    %s = tg.softmax %d : tensor<10x15xf32>
    tg.output "e", %e : tensor<4x6xf32>
    tg.output "s", %s : tensor<10x15xf32>)");
}

// Rotary positions: halves of a row are rotated and joined.
TEST(Kernel, RotatesHalves) {
  checkMeaning(R"(
    %x = tg.input "x" : tensor<2x3x2x8xf32>
    %i = tg.iota {axis = 0 : i64} : tensor<3x4xi32>
    %f = tg.cast %i : tensor<3x4xi32> -> tensor<3x4xf32>
    %cs = tg.cos %f : tensor<3x4xf32>
    %sn = tg.sin %f : tensor<3x4xf32>
    %c = tg.broadcast %cs {axes = array<i64: 1, 3>} : (tensor<3x4xf32>) -> tensor<2x3x2x4xf32>
    %s = tg.broadcast %sn {axes = array<i64: 1, 3>} : (tensor<3x4xf32>) -> tensor<2x3x2x4xf32>
    %a = tg.slice %x {offsets = array<i64: 0, 0, 0, 0>, sizes = array<i64: 2, 3, 2, 4>, strides = array<i64: 1, 1, 1, 1>} : (tensor<2x3x2x8xf32>) -> tensor<2x3x2x4xf32>
    %b = tg.slice %x {offsets = array<i64: 0, 0, 0, 4>, sizes = array<i64: 2, 3, 2, 4>, strides = array<i64: 1, 1, 1, 1>} : (tensor<2x3x2x8xf32>) -> tensor<2x3x2x4xf32>
    %ac = tg.mul %a, %c : tensor<2x3x2x4xf32>
    %bs = tg.mul %b, %s : tensor<2x3x2x4xf32>
    %l = tg.sub %ac, %bs : tensor<2x3x2x4xf32>
    %bc = tg.mul %b, %c : tensor<2x3x2x4xf32>
    %as = tg.mul %a, %s : tensor<2x3x2x4xf32>
    %r = tg.add %bc, %as : tensor<2x3x2x4xf32>
    %y = tg.concat %l, %r {axis = 3 : i64} : (tensor<2x3x2x4xf32>, tensor<2x3x2x4xf32>) -> tensor<2x3x2x8xf32>
    tg.output "y", %y : tensor<2x3x2x8xf32>)");
}

// Moments and weights change in place; the gradient is set to zero after it has been used.
TEST(Kernel, UpdatesInPlace) {
  checkMeaning(R"(
    %w = tg.read @w : tensor<48xf32>
    %g = tg.read @g : tensor<48xf32>
    %m = tg.read @m : tensor<48xf32>
    %lr = tg.input "lr" : tensor<f32>
    %gg = tg.mul %g, %g : tensor<48xf32>
    %n2 = tg.reduce %gg {kind = #tg.reduce_kind<sum>, axes = array<i64: 0>} : (tensor<48xf32>) -> tensor<f32>
    %n = tg.rsqrt %n2 : tensor<f32>
    %nb = tg.broadcast %n {axes = array<i64>} : (tensor<f32>) -> tensor<48xf32>
    %gc = tg.mul %g, %nb : tensor<48xf32>
    %b = tg.constant dense<0.9> : tensor<48xf32>
    %mb = tg.mul %m, %b : tensor<48xf32>
    %m1 = tg.add %mb, %gc : tensor<48xf32>
    %lb = tg.broadcast %lr {axes = array<i64>} : (tensor<f32>) -> tensor<48xf32>
    %s = tg.mul %m1, %lb : tensor<48xf32>
    %w1 = tg.sub %w, %s : tensor<48xf32>
    %0 = tg.constant dense<0.0> : tensor<48xf32>
    tg.write @w, %w1 : tensor<48xf32>
    tg.write @m, %m1 : tensor<48xf32>
    tg.write @g, %0 : tensor<48xf32>
    tg.output "norm", %n2 : tensor<f32>)",
               "tg.state @w weight trainable : tensor<48xf32>\ntg.state @g gradient : tensor<48xf32>\n"
               "tg.state @m moment : tensor<48xf32>");
}

// A state that is read, written and read again; its old value is still used after the write.
TEST(Kernel, KeepsOldStates) {
  checkMeaning(R"(
    %w = tg.read @w : tensor<4x4xf32>
    %n = tg.neg %w : tensor<4x4xf32>
    tg.write @w, %n : tensor<4x4xf32>
    %y = tg.dot_general %w, %n {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    %v = tg.read @w : tensor<4x4xf32>
    %z = tg.mul %v, %w : tensor<4x4xf32>
    tg.write @w, %z : tensor<4x4xf32>
    %r = tg.read @row : tensor<4xf32>
    %b = tg.broadcast %r {axes = array<i64: 1>} : (tensor<4xf32>) -> tensor<4x4xf32>
    %q = tg.add %y, %b : tensor<4x4xf32>
    tg.output "q", %q : tensor<4x4xf32>)",
               "tg.state @w weight trainable : tensor<4x4xf32>\ntg.state @row weight trainable in(@w, 4) : tensor<4xf32>");
}

// A state is read again after a write whose value comes late: its kernel waits for the second product.
TEST(Kernel, ReadsNewStates) {
  checkMeaning(R"(
    %x = tg.input "x" : tensor<4x4xf32>
    %u = tg.input "u" : tensor<4x4xf32>
    %a = tg.dot_general %x, %u {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    %n = tg.neg %a : tensor<4x4xf32>
    tg.write @w, %n : tensor<4x4xf32>
    %v = tg.read @w : tensor<4x4xf32>
    %b = tg.dot_general %u, %x {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    %m = tg.mul %n, %b : tensor<4x4xf32>
    tg.output "m", %m : tensor<4x4xf32>
    %z = tg.add %v, %x : tensor<4x4xf32>
    tg.output "z", %z : tensor<4x4xf32>)",
               "tg.state @w weight trainable : tensor<4x4xf32>");
}

// Maxima over the first and the middle axis, of whole numbers too.
TEST(Kernel, ReducesAnyAxis) {
  checkMeaning(R"(
    %x = tg.input "x" : tensor<4x5x6xf32>
    %i = tg.input "i" : tensor<4x5x6xi32>
    %a = tg.reduce %x {kind = #tg.reduce_kind<max>, axes = array<i64: 0>} : (tensor<4x5x6xf32>) -> tensor<5x6xf32>
    %b = tg.reduce %x {kind = #tg.reduce_kind<sum>, axes = array<i64: 1>} : (tensor<4x5x6xf32>) -> tensor<4x6xf32>
    %c = tg.reduce %i {kind = #tg.reduce_kind<sum>, axes = array<i64: 0, 2>} : (tensor<4x5x6xi32>) -> tensor<5xi32>
    %d = tg.reduce %i {kind = #tg.reduce_kind<min>, axes = array<i64: 0, 1, 2>} : (tensor<4x5x6xi32>) -> tensor<i32>
    tg.output "a", %a : tensor<5x6xf32>
    tg.output "b", %b : tensor<4x6xf32>
    tg.output "c", %c : tensor<5xi32>
    tg.output "d", %d : tensor<i32>)");
}
