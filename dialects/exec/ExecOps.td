// SPDX-License-Identifier: Apache-2.0
//
// Operations of the execution dialect.
#ifndef VCC_EXEC_OPS
#define VCC_EXEC_OPS

include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/RegionKindInterface.td"
include "dialects/exec/ExecAttrs.td"
include "dialects/exec/ExecInterfaces.td"
include "dialects/tg/TgAttrs.td"

class Exec_Op<string mnemonic, list<Trait> traits = []> : Op<Exec_Dialect, mnemonic, traits>;

def Exec_ModuleOp : Exec_Op<"module", [Symbol, SymbolTable, NoTerminator, SingleBlock, IsolatedFromAbove,
                                       NoRegionArguments]> {
  let summary = "the plan of one stage";
  let description = [{
    Sizes of the regions in bytes; the arena is the largest over all functions, which share it.
    ```mlir
    exec.module @instruct sizes {weights = 1024, state = 0, arena = 4096, io = 64, constant = 0} { ... }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$weights_bytes, I64Attr:$state_bytes, I64Attr:$arena_bytes,
                       I64Attr:$io_bytes, I64Attr:$constant_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `sizes` `{` `weights` `=` $weights_bytes `,` `state` `=` $state_bytes `,` `arena` `=` $arena_bytes `,`
    `io` `=` $io_bytes `,` `constant` `=` $constant_bytes `}` attr-dict-with-keyword $body
  }];
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    /// Size of a region in bytes.
    int64_t regionBytes(Region region);
  }];
}

def Exec_BufferOp : Exec_Op<"buffer", [Symbol, HasParent<"ModuleOp">]> {
  let summary = "a tensor at a fixed place";
  let description = [{
    `view` names the buffer whose bytes this one is a part of; only a view may be unaligned (others: 64 bytes).
    `live A to B in @f` gives the first and last launch of a function that touches an arena buffer (or a view of it).
    A constant carries its value. A `transposed` one is the recipe's matrix with rows and columns changed places.
    ```mlir
    exec.buffer @"lm.norm.weight" state at 0 size 384 : tensor<96xf32> why "trained weight"
    exec.buffer @"micro_main:7" arena at 4096 size 384 : tensor<96xf32> live 3 to 9 in @micro_main why "kept for the backward"
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Exec_RegionAttr:$region, I64Attr:$offset, I64Attr:$size,
                       TypeAttrOf<AnyRankedTensor>:$type, OptionalAttr<FlatSymbolRefAttr>:$view,
                       OptionalAttr<FlatSymbolRefAttr>:$function, OptionalAttr<I64Attr>:$first,
                       OptionalAttr<I64Attr>:$last, OptionalAttr<ElementsAttr>:$value, StrAttr:$why, UnitAttr:$transposed);
  let assemblyFormat = [{
    $sym_name $region `at` $offset `size` $size `:` $type (`transposed` $transposed^)? (`view` $view^)?
    (`live` $first^ `to` $last)? (`in` $function^)? (`=` $value^)? `why` $why attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType tensorType() { return ::mlir::cast<::mlir::RankedTensorType>(getType()); }
    /// Bytes of one element; i1 takes one byte.
    int64_t elementBytes();
  }];
}

def Exec_FunctionOp : Exec_Op<"function", [Symbol, NoTerminator, SingleBlock, NoRegionArguments,
                                           HasParent<"ModuleOp">]> {
  let summary = "launches in order";
  let arguments = (ins SymbolNameAttr:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
  let hasRegionVerifier = 1;
}

class Exec_LaunchOp<string mnemonic> : Exec_Op<mnemonic, [HasParent<"FunctionOp">,
    DeclareOpInterfaceMethods<Exec_LaunchOpInterface, ["abiKind", "abiBuffers", "abiWrites", "abiInts", "abiKernel",
                                                       "abiUnits"]>]> {
  dag tail = (ins Exec_PhaseAttr:$phase, StrAttr:$label, I64Attr:$flops, I64Attr:$bytes);
  let hasVerifier = 1;
}

def Exec_LaunchKernelOp : Exec_LaunchOp<"launch"> {
  let summary = "a generated kernel";
  let description = [{
    Buffers are the kernel's parameters that are not uniform, then its results; `access` has one entry per buffer: the
    element offset and the element stride of each outer dimension, followed for an indexed parameter or a scatter
    result by the stride of the index and the rows of the table; a sum has an offset only. `uniforms` are the immediate
    scalars (f32 as bits). `chunk` is the number of rows whose sums make one partial; 0 without sums. `units` is what
    the runtime splits over threads: rows, elements of a flat kernel, chunks, or rows of a scatter's table.
    ```mlir
    exec.launch @row_3f2a reads [@x, @w] writes [@y] dims [2048] access [#tg.access<0, [96]>, #tg.access<0, [0]>,
        #tg.access<0, [96]>] units 2048 forward "lm.norm" flops 4096 bytes 8192
    ```
    Integers: number of dims, dims, per buffer offset and strides, uniforms, chunk when not 0.
  }];
  let arguments = !con((ins FlatSymbolRefAttr:$kernel, TypedArrayAttrBase<FlatSymbolRefAttr, "buffers">:$reads,
                            TypedArrayAttrBase<FlatSymbolRefAttr, "buffers">:$writes,
                            DenseI64ArrayAttr:$dims, TypedArrayAttrBase<Tg_AccessAttr, "access">:$access,
                            DefaultValuedAttr<DenseI64ArrayAttr, "{}">:$uniforms,
                            DefaultValuedAttr<I64Attr, "0">:$chunk, I64Attr:$units), tail);
  let assemblyFormat = [{
    $kernel `reads` $reads `writes` $writes `dims` $dims `access` $access (`uniforms` $uniforms^)? (`chunk` $chunk^)? `units` $units
    $phase $label `flops` $flops `bytes` $bytes attr-dict
  }];
}

def Exec_LaunchGridOp : Exec_LaunchOp<"launch_grid"> {
  let summary = "a generated kernel over a grid of threads";
  let description = [{
    What code generation for a GPU makes of `exec.launch`: `kernel` is a function of the device code, `number` its place in the
    program's table of them. It takes the address of each buffer, `offsets` elements in, and then the `words`.
    ```mlir
    exec.launch_grid "flat_3f2a_r1v4_uu" number 7 reads [@x] writes [@y] offsets [0, 0] words [4096] blocks 4
        forward "lm.act" flops 4096 bytes 32768
    ```
    Integers: number, blocks, offsets, words.
  }];
  let arguments = !con((ins StrAttr:$kernel, I64Attr:$number, TypedArrayAttrBase<FlatSymbolRefAttr, "buffers">:$reads,
                            TypedArrayAttrBase<FlatSymbolRefAttr, "buffers">:$writes, DenseI64ArrayAttr:$offsets,
                            DenseI64ArrayAttr:$words, I64Attr:$blocks), tail);
  let assemblyFormat = [{
    $kernel `number` $number `reads` $reads `writes` $writes `offsets` $offsets `words` $words `blocks` $blocks
    $phase $label `flops` $flops `bytes` $bytes attr-dict
  }];
}

def Exec_GemmOp : Exec_LaunchOp<"gemm"> {
  let summary = "a matrix product by the library";
  let description = [{
    C[batch](m x n) = A B + bias[n] + addend, then the activation; or C += A B when `accumulate`. Strides in elements,
    [batch0, batch1, m, k], [batch0, batch1, k, n], [batch0, batch1, m, n]. `pack` says that B is frozen.
  }];
  let arguments = !con((ins FlatSymbolRefAttr:$a, FlatSymbolRefAttr:$b, FlatSymbolRefAttr:$c,
                            OptionalAttr<FlatSymbolRefAttr>:$bias, OptionalAttr<FlatSymbolRefAttr>:$addend,
                            DenseI64ArrayAttr:$batch, I64Attr:$m, I64Attr:$n, I64Attr:$k,
                            DenseI64ArrayAttr:$a_strides, DenseI64ArrayAttr:$b_strides, DenseI64ArrayAttr:$c_strides,
                            DefaultValuedAttr<Tg_ActivationAttr, "::vcc::tg::Activation::None">:$activation,
                            UnitAttr:$accumulate, UnitAttr:$pack), tail);
  let assemblyFormat = [{
    $c `=` $a `*` $b (`bias` $bias^)? (`addend` $addend^)? `batch` $batch `m` $m `n` $n `k` $k
    `strides` $a_strides `,` $b_strides `,` $c_strides (`activation` $activation^)? (`accumulate` $accumulate^)?
    (`pack` $pack^)? $phase $label `flops` $flops `bytes` $bytes attr-dict
  }];
}

def Exec_AttentionOp : Exec_LaunchOp<"attention"> {
  let summary = "attention in blocks of query rows";
  let description = [{
    q [B,Sq,H,D], k and v [B,Sk,G,D], out like q, lse [B,H,Sq]; the kernel is code generation's for the head size D,
    another one where there are starts i32 [B,Sq]. The
    workspace is `threads` times `workspace_per_thread` bytes. Without a kernel it is a library's call on a GPU, which may
    use no more than the workspace.
  }];
  let arguments = !con((ins FlatSymbolRefAttr:$q, FlatSymbolRefAttr:$k, FlatSymbolRefAttr:$v, FlatSymbolRefAttr:$out,
                            FlatSymbolRefAttr:$lse, OptionalAttr<FlatSymbolRefAttr>:$lengths,
                            OptionalAttr<FlatSymbolRefAttr>:$starts, FlatSymbolRefAttr:$workspace, OptionalAttr<FlatSymbolRefAttr>:$kernel, DenseI64ArrayAttr:$sizes,
                            UnitAttr:$causal, F32Attr:$scale, I64Attr:$block_rows, I64Attr:$workspace_per_thread,
                            I64Attr:$threads), tail);
  let assemblyFormat = [{
    $out `,` $lse `=` $q `,` $k `,` $v (`lengths` $lengths^)? (`starts` $starts^)? `workspace` $workspace (`kernel` $kernel^)? `sizes` $sizes
    (`causal` $causal^)? `scale` $scale `block` $block_rows `scratch` $workspace_per_thread `threads` $threads
    $phase $label `flops` $flops `bytes` $bytes attr-dict
  }];
}

def Exec_AttentionGradOp : Exec_LaunchOp<"attention_grad"> {
  let summary = "gradient of attention in blocks of query rows";
  let description = [{
    Like `exec.attention`, with dout and the gradients of q, k and v.
  }];
  let arguments = !con((ins FlatSymbolRefAttr:$q, FlatSymbolRefAttr:$k, FlatSymbolRefAttr:$v, FlatSymbolRefAttr:$out,
                            FlatSymbolRefAttr:$lse, FlatSymbolRefAttr:$dout, FlatSymbolRefAttr:$dq,
                            FlatSymbolRefAttr:$dk, FlatSymbolRefAttr:$dv, OptionalAttr<FlatSymbolRefAttr>:$lengths,
                            OptionalAttr<FlatSymbolRefAttr>:$starts, FlatSymbolRefAttr:$workspace, OptionalAttr<FlatSymbolRefAttr>:$kernel, DenseI64ArrayAttr:$sizes,
                            UnitAttr:$causal, F32Attr:$scale, I64Attr:$block_rows, I64Attr:$workspace_per_thread,
                            I64Attr:$threads), tail);
  let assemblyFormat = [{
    $dq `,` $dk `,` $dv `=` $q `,` $k `,` $v `,` $out `,` $lse `,` $dout (`lengths` $lengths^)? (`starts` $starts^)?
    `workspace` $workspace (`kernel` $kernel^)? `sizes` $sizes
    (`causal` $causal^)? `scale` $scale `block` $block_rows `scratch` $workspace_per_thread `threads` $threads
    $phase $label `flops` $flops `bytes` $bytes attr-dict
  }];
}

def Exec_GatherOp : Exec_LaunchOp<"gather"> {
  let summary = "a buffer of every rank under each other, rank 0 first";
  let arguments = !con((ins FlatSymbolRefAttr:$destination, FlatSymbolRefAttr:$source, I64Attr:$ranks, I64Attr:$size), tail);
  let assemblyFormat = "$destination `=` $source `ranks` $ranks `size` $size $phase $label `flops` $flops `bytes` $bytes attr-dict";
}

def Exec_ReduceScatterOp : Exec_LaunchOp<"reduce_scatter"> {
  let summary = "this rank's part of the sum of a buffer over all ranks, in f32";
  let description = "`size` is the bytes of a part; the source has `ranks` of them.";
  let arguments = !con((ins FlatSymbolRefAttr:$destination, FlatSymbolRefAttr:$source, I64Attr:$ranks, I64Attr:$size), tail);
  let assemblyFormat = "$destination `=` $source `ranks` $ranks `size` $size $phase $label `flops` $flops `bytes` $bytes attr-dict";
}

def Exec_FillOp : Exec_LaunchOp<"fill"> {
  let summary = "fills a buffer with zero bytes";
  let arguments = !con((ins FlatSymbolRefAttr:$destination, I64Attr:$size), tail);
  let assemblyFormat = "$destination `size` $size $phase $label `flops` $flops `bytes` $bytes attr-dict";
}

def Exec_CopyOp : Exec_LaunchOp<"copy"> {
  let summary = "copies bytes from one buffer to another";
  let arguments = !con((ins FlatSymbolRefAttr:$destination, FlatSymbolRefAttr:$source, I64Attr:$size), tail);
  let assemblyFormat = "$destination `=` $source `size` $size $phase $label `flops` $flops `bytes` $bytes attr-dict";
}

#endif
