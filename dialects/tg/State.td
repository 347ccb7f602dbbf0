// SPDX-License-Identifier: Apache-2.0
//
// Named state of a stage, and what its functions read, write, take in, give out and minimise.
include "dialects/tg/TgInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"

def Tg_StateOp : Op<Tg_Dialect, "state", [Symbol, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a named tensor that outlives a step";
  let description = [{
    `in(@flat, offset)` makes it a view of `offset`.. elements of a flat state. `trainable` marks weights that get a
    gradient, which is written to the state `gradient:<path>`. `joined` is the storage of a frozen matrix with rows behind it
    that functions write before they read it; `transposed` says that the type is of memory, and the recipe's matrix its transpose.
    ```mlir
    tg.state @"group0:weight" weight : tensor<48xf32>
    tg.state @"head.weight" weight trainable in(@"group0:weight", 16) : tensor<4x4xf32>
    tg.state @"joined:lm.weight" weight joined : tensor<72x32xbf16>
    tg.state @"lm.weight" weight transposed in(@"joined:lm.weight", 0) : tensor<64x32xbf16>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Tg_StateKindAttr:$kind, TypeAttrOf<Tg_Tensor>:$type, UnitAttr:$trainable,
                       OptionalAttr<FlatSymbolRefAttr>:$storage, OptionalAttr<I64Attr>:$offset, UnitAttr:$joined, UnitAttr:$transposed);
  let assemblyFormat = [{
    $sym_name $kind (`trainable` $trainable^)? (`joined` $joined^)? (`transposed` $transposed^)? (`in` `(` $storage^ `,` $offset `)`)? attr-dict `:` $type
  }];
  let extraClassDeclaration = [{ ::mlir::RankedTensorType getTensorType() { return ::llvm::cast<::mlir::RankedTensorType>(getType()); } }];
  let hasVerifier = 1;
}

def Tg_ReadOp : Tg_PlainOp<"read", "Source", "it is where gradients end: differentiation writes them",
    [MemoryEffects<[MemRead<Tg_StateResource>]>, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of a state";
  let arguments = (ins FlatSymbolRefAttr:$state);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$state attr-dict `:` type($result)";
}

def Tg_WriteOp : Tg_PlainOp<"write", "Effect", "it stores",
    [MemoryEffects<[MemWrite<Tg_StateResource>]>, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "store into a state, or add to it";
  let arguments = (ins FlatSymbolRefAttr:$state, Tg_Tensor:$value, UnitAttr:$accumulate);
  let assemblyFormat = "$state `,` $value attr-dict `:` type($value)";
}

def Tg_InputOp : Tg_PlainOp<"input", "Source", "it has no operands", [Pure]> {
  let summary = "what the runtime gives to the function";
  let arguments = (ins StrAttr:$name);
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "$name attr-dict `:` type($result)";
}

def Tg_OutputOp : Tg_PlainOp<"output", "Effect", "it stores", [MemoryEffects<[MemWrite<Tg_ChannelResource>]>]> {
  let summary = "what the function gives to the runtime";
  let arguments = (ins StrAttr:$name, Tg_Tensor:$value);
  let assemblyFormat = "$name `,` $value attr-dict `:` type($value)";
}

def Tg_LossOp : Tg_PlainOp<"loss", "Effect", "it is where gradients start",
    [MemoryEffects<[MemWrite<Tg_ChannelResource>]>]> {
  let summary = "the scalar that the function minimises; also the output `loss`";
  let arguments = (ins Tg_FloatTensor:$value);
  let assemblyFormat = "$value attr-dict `:` type($value)";
  let hasVerifier = 1;
}
