// SPDX-License-Identifier: Apache-2.0
//
// From the differentiated graph to kernels and library calls. Run in the order given here (buildFusePipeline).
#ifndef VCC_FUSE_PASSES
#define VCC_FUSE_PASSES

include "mlir/Pass/PassBase.td"

def SeparateSamplesPass : Pass<"tg-separate-samples", "::mlir::ModuleOp"> {
  let summary = "attention over rows of several samples becomes attention over rows of one";
  let description = [{
    Of attention that says how many samples its rows hold at most, and the longest of them, and which a library could do if
    each had a row of its own.
    ```mlir
    %o:2 = tg.attention %q, %k, %v lengths(%n) starts(%s) {causal, samples = array<i64: 4, 8>, ..} : tensor<2x16x2x8xbf16>, ..
    // becomes
    %q1 = tg.gather %q, %from   // and of %k and %v: positions into rows, [4, 8, 2, 8]
    %p:2 = tg.attention %q1, %k1, %v1 lengths(%m) {causal, ..}
    %o = tg.gather %p#0, %to    // zeros where no sample is
    ```
    So do its gradients, where they are all that reads the log-sum-exps. Runs before tg-split-composites.
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

def SplitCompositesPass : Pass<"tg-split-composites", "::mlir::ModuleOp"> {
  let summary = "softmax, losses, pads and general reductions become the operations that kernels are made of";
  let description = [{
    ```mlir
    %y = tg.softmax %x : tensor<4x8xf32>
    // becomes
    %m = tg.reduce %x {axes = array<i64: 1>, kind = #tg.reduce_kind<max>} : ...
    %e = tg.exp (%x - broadcast %m);  %s = tg.reduce sum %e;  %y = %e * broadcast (1 / %s)
    ```
    Afterwards there is no softmax, log_softmax, cross_entropy(_grad), pad, stop_gradient or accumulating write, and
    each reduction is over the last axis, or (float sums) over the first of two, or over the only axis.
  }];
  let options = [Option<"attention", "attention", "::vcc::fuse::Attentions", /*default=*/"::vcc::fuse::Attentions::Dropout",
                        "which attention is split", [{::llvm::cl::values(
                          clEnumValN(::vcc::fuse::Attentions::Dropout, "dropout", "that with dropout on its probabilities"),
                          clEnumValN(::vcc::fuse::Attentions::Unsupported, "unsupported", "what cuDNN is not asked for"),
                          clEnumValN(::vcc::fuse::Attentions::All, "all", "every one"))}]>];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

def StackFactorsPass : Pass<"tg-stack-factors", "::mlir::ModuleOp"> {
  let summary = "LoRA's first products of one x become one";
  let description = [{
    Of matrices that train and have few rows.
    ```mlir
    %h = tg.dot_general %x, %a ..;  %i = tg.dot_general %x, %b ..
    // becomes
    %ab = tg.concat %a, %b {axis = 0 : i64} : ..
    %all = tg.dot_general %x, %ab ..
    %h = tg.slice %all ..;  %i = tg.slice %all ..
    ```
    So are the products of the backward by these matrices, where all go into one sum. Runs before tg-join-low-rank.
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

def JoinLowRankPass : Pass<"tg-join-low-rank", "::mlir::ModuleOp"> {
  let summary = "LoRA's second products become columns of the frozen ones";
  let description = [{
    x W + h B, with W [n, k] a frozen weight and B [n, r] one that trains, becomes one product, and so does what the backward takes from
    one cotangent by W and by B. W lies transposed in front of the rows that hold B.
    ```mlir
    %y = tg.dot_general %x, %w ..;  %z = tg.dot_general %h, %b ..;  %s = tg.add %y, %z
    // becomes
    tg.write @"joined:w:b", %bt : tensor<16x64xbf16>
    %wide = tg.read @"joined:w" : tensor<80x64xbf16>
    %xh = tg.concat %x, %h {axis = 1 : i64} : (..) -> tensor<4x80xbf16>
    %s = tg.dot_general %xh, %wide {.., contract_b = array<i64: 0>} : ..
    ```
    Runs before tg-fold-transposes.
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

def FoldTransposesPass : Pass<"tg-fold-transposes", "::mlir::ModuleOp"> {
  let summary = "transposes beside a dot_general become its dimension numbers";
  let description = [{
    ```mlir
    %t = tg.transpose %w {permutation = array<i64: 1, 0>} : (tensor<8x4xf32>) -> tensor<4x8xf32>
    %y = tg.dot_general %x, %t {batch_a = array<i64>, batch_b = array<i64>, contract_a = array<i64: 1>, contract_b = array<i64: 0>} : ...
    // becomes
    %y = tg.dot_general %x, %w {.., contract_b = array<i64: 1>} : ...
    ```
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

def ConvertContractionsPass : Pass<"tg-convert-contractions", "::mlir::ModuleOp"> {
  let summary = "dot_general becomes tg.gemm with strides, bias and addend";
  let description = [{
    Operands are read through their views by strides; what no strided matrix expresses is copied first (a barrier of
    the transposed value). `tg.add` of a product that has no other use becomes its bias (a vector repeated over rows)
    or its addend. Afterwards there is no dot_general.
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

def FoldActivationsPass : Pass<"tg-fold-activations", "::mlir::ModuleOp"> {
  let summary = "an activation becomes its product's epilogue where nothing else reads the product";
  let description = [{
    The exact GELU and SiLU of a `tg.gemm` of f32, as the standard library writes them. A product that a backward reads
    again keeps its own result.
    ```mlir
    %h = tg.gemm %x, %w ..
    %s = tg.sigmoid %h;  %y = tg.mul %h, %s
    // becomes
    %y = tg.gemm %x, %w {activation = #tg.activation<silu>, ..}
    ```
    Runs after tg-convert-contractions, whose bias and addend come before the activation.
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

def MaterializeViewsPass : Pass<"tg-materialize-views", "::mlir::ModuleOp"> {
  let summary = "an explicit copy (a barrier) wherever a whole tensor is needed but only a view or a source is there";
  let description = [{
    Library operations, states, outputs and concatenations need whole tensors; kernels read views by strides. A copy is
    written as a `tg.barrier` of one operand, which the next pass turns into a kernel or merges into one. Afterwards
    the operands of everything but kernel operations are whole, and every view resolves to strides.
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

def OutlineKernelsPass : Pass<"tg-outline-kernels", "::mlir::ModuleOp"> {
  let summary = "groups of operations become tg.kernel functions on one row, launched over all rows";
  let description = [{
    Grouping is in KernelGroups.h, the choice of what to compute again in KernelRecompute.cpp. Kernels with equal bodies
    are one symbol: float constants (but 0 and 1), random sites and row counts are `uniform` parameters. Afterwards
    a function holds only state and channel operations, constants, reshapes, concats and library operations.
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

def JoinSumsPass : Pass<"tg-join-sums", "::mlir::ModuleOp"> {
  let summary = "one launch finishes all sums that go to neighbours in a flat state";
  let description = [{
    A sum over many rows is taken in parts, which a second launch adds up. For the gradients of biases and norms, which
    lie beside each other in one flat state, that second launch is shared: the parts lie under each other, the launch
    sums them chunk by chunk, and its result is written at once.
    ```mlir
    %s = tg.launch @sum(%p) {dims = array<i64: 64>, ..} : (tensor<64x8xf32>) -> tensor<8xf32>
    tg.write @"gradient:a", %s;  // and the same for %q and @"gradient:b"
    // becomes
    %c = tg.concat %p, %q {axis = 0 : i64} : (..) -> tensor<128x8xf32>
    %t = tg.launch @sum(%c) {dims = array<i64: 128>, rows_per_chunk = 64 : i64, ..} : (tensor<128x8xf32>) -> tensor<2x8xf32>
    tg.write @"group1:gradient[0..16]", (reshape %t)
    ```
    Runs after tg-outline-kernels.
  }];
  let dependentDialects = ["::vcc::tg::TgDialect"];
}

#endif
