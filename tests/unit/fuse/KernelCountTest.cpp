// SPDX-License-Identifier: Apache-2.0
//
// Kernels do not multiply: blocks with dropout and drop path that grow by layer, 4 of them (first, second, last but one, last)
// and 24; one batch shape and six.
#include "tests/unit/tg/GraphText.h"

#include "compiler/differentiate/Passes.h"
#include "compiler/fuse/Passes.h"

#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace vcc;
using namespace vcc::test;

namespace {

struct Text {
  std::string states, body;
};

/// x + path(dropout(silu(norm(x) w^T))), rates growing with the layer.
std::string block(Text &text, const std::string &x, const std::string &name, int layer, int64_t rows) {
  std::string b = std::to_string(rows), t = "tensor<" + b + "x6x16xf32>", s = "tensor<" + b + "x6xf32>";
  std::string i = std::to_string(layer), rate = std::to_string(0.01 * (layer + 1));
  std::string w = "block" + i + ".w", p = "%" + name + "_" + i + "_";
  auto line = [&](const std::string &l) { text.body += "    " + l + "\n"; };
  if (text.states.find("@\"" + w + "\"") == std::string::npos)
    text.states += "  tg.state @\"" + w + "\" weight trainable : tensor<16x16xf32>\n";
  line(p + "w = tg.read @\"" + w + "\" : tensor<16x16xf32>");
  line(p + "q = tg.mul " + x + ", " + x + " : " + t);
  line(p + "m = tg.reduce " + p + "q {kind = #tg.reduce_kind<sum>, axes = array<i64: 2>} : (" + t + ") -> " + s);
  line(p + "e = tg.constant dense<1.0e-5> : " + s);
  line(p + "a = tg.add " + p + "m, " + p + "e : " + s);
  line(p + "r = tg.rsqrt " + p + "a : " + s);
  line(p + "rb = tg.broadcast " + p + "r {axes = array<i64: 0, 1>} : (" + s + ") -> " + t);
  line(p + "n = tg.mul " + x + ", " + p + "rb : " + t);
  line(p + "y = tg.dot_general " + p + "n, " + p + "w {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 2>, "
       "contract_b = array<i64: 1>} : (" + t + ", tensor<16x16xf32>) -> " + t);
  line(p + "g = tg.sigmoid " + p + "y : " + t);
  line(p + "z = tg.mul " + p + "y, " + p + "g : " + t);
  line(p + "u = tg.random_uniform %rng {site = #tg.site<\"" + name + "." + i + ".drop\">} : (tensor<4xi32>) -> " + t);
  line(p + "ra = tg.constant dense<" + rate + "> : " + t);
  line(p + "k = tg.compare " + p + "u, " + p + "ra {predicate = #tg.predicate<ge>} : " + t);
  line(p + "0 = tg.constant dense<0.0> : " + t);
  line(p + "d = tg.select " + p + "k, " + p + "z, " + p + "0 : tensor<" + b + "x6x16xi1>, " + t);
  line(p + "v = tg.random_uniform %rng {site = #tg.site<\"" + name + "." + i + ".path\">} : (tensor<4xi32>) -> tensor<" + b + "xf32>");
  line(p + "rp = tg.constant dense<" + rate + "> : tensor<" + b + "xf32>");
  line(p + "kp = tg.compare " + p + "v, " + p + "rp {predicate = #tg.predicate<ge>} : tensor<" + b + "xf32>");
  line(p + "fp = tg.cast " + p + "kp : tensor<" + b + "xi1> -> tensor<" + b + "xf32>");
  line(p + "pb = tg.broadcast " + p + "fp {axes = array<i64: 0>} : (tensor<" + b + "xf32>) -> " + t);
  line(p + "dp = tg.mul " + p + "d, " + p + "pb : " + t);
  line(p + "o = tg.add " + x + ", " + p + "dp : " + t);
  return p + "o";
}

/// Kernels of a model of `layers` blocks, trained on one function per batch size.
size_t kernelsOf(int layers, ArrayRef<int64_t> batches) {
  Text text;
  std::string functions;
  for (int64_t rows : batches) {
    text.body.clear();
    std::string name = "b" + std::to_string(rows), t = "tensor<" + std::to_string(rows) + "x6x16xf32>";
    text.body += "    %rng = tg.input \"rng\" : tensor<4xi32>\n    %x = tg.input \"x\" : " + t + "\n";
    std::string x = "%x";
    for (int i = 0; i < layers; ++i)
      x = block(text, x, name, i, rows);
    text.body += "    %l = tg.reduce " + x + " {kind = #tg.reduce_kind<sum>, axes = array<i64: 0, 1, 2>} : (" + t +
                 ") -> tensor<f32>\n    tg.loss %l : tensor<f32>\n";
    functions += "  func.func @forward_" + name + "() {\n" + text.body + "    return\n  }\n";
  }
  OwningOpRef<ModuleOp> module = parse("module {\n" + text.states + functions + "}");
  EXPECT_TRUE(module);
  SmallVector<std::string> unreached;
  EXPECT_TRUE(module && succeeded(differentiate::differentiateStage(*module, unreached)));
  PassManager passes(&context());
  fuse::buildFusePipeline(passes);
  EXPECT_TRUE(succeeded(passes.run(*module)));
  return static_cast<size_t>(llvm::range_size(module->getOps<tg::KernelOp>()));
}

} // namespace

TEST(KernelCount, DoesNotGrowWithDepth) { EXPECT_EQ(kernelsOf(4, {4}), kernelsOf(24, {4})); }

TEST(KernelCount, DoesNotGrowWithBatchShapes) { EXPECT_EQ(kernelsOf(4, {4}), kernelsOf(4, {4, 3, 5, 6, 7, 8})); }
