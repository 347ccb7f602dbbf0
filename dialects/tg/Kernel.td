// SPDX-License-Identifier: Apache-2.0
//
// Outlined kernels: a body of ordinary operations on one row, and launches that map it over tensors.
include "dialects/tg/TgInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"

def Tg_ParamArray : TypedArrayAttrBase<Tg_ParamAttr, "kernel parameters">;
def Tg_ResultArray : TypedArrayAttrBase<Tg_ResultAttr, "kernel results">;
def Tg_AccessArray : TypedArrayAttrBase<Tg_AccessAttr, "accesses">;

def Tg_KernelOp : Op<Tg_Dialect, "kernel", [Symbol, IsolatedFromAbove, SingleBlock]> {
  let summary = "what is done to one row (or, when flat, to one element)";
  let description = [{
    The domain is [R rows, `columns`]; R is known at the launch only. In the body a value is tensor<CxT> (a row) or
    tensor<T> (one per row). Parameters: `row`, `scalar` (per row), `indexed` (row number = the i32 scalar parameter
    `index`), `uniform` (one immediate scalar per launch). Results: `row`, `scalar` (per row), `column_sum` (sum over
    rows of a row value), `total_sum` (sum over rows of a row scalar), `scatter` (rows added into the row numbered by the
    i32 scalar parameter `index` of a zeroed table). A flat kernel has columns = 1 and bodies on tensor<T> only; its
    parameters and results are of kind `scalar` (or `uniform`).
    ```mlir
    tg.kernel @scale(%x: tensor<64xf32>, %s: tensor<f32>) attributes {kernel_class = #tg.kernel_class<row>,
        columns = 64 : i64, params = [#tg.param<row>, #tg.param<uniform>], results = [#tg.result<row>]} {
      %b = tg.broadcast %s {axes = array<i64>} : (tensor<f32>) -> tensor<64xf32>
      %y = tg.mul %x, %b : tensor<64xf32>
      tg.yield %y : tensor<64xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Tg_KernelClassAttr:$kernel_class, I64Attr:$columns,
                       Tg_ParamArray:$params, Tg_ResultArray:$results);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasRegionVerifier = 1;
  let extraClassDeclaration = [{
    ParamAttr getParam(unsigned i) { return ::llvm::cast<ParamAttr>(getParams()[i]); }
    ResultAttr getResultKind(unsigned i) { return ::llvm::cast<ResultAttr>(getResults()[i]); }
  }];
}

def Tg_YieldOp : Op<Tg_Dialect, "yield", [Pure, Terminator, HasParent<"KernelOp">]> {
  let summary = "the results of a kernel for one row";
  let arguments = (ins Variadic<Tg_Tensor>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

def Tg_RowIndexOp : Tg_PlainOp<"row_index", "Source", "it has no operands", [Pure, HasParent<"KernelOp">, InferTypeOpAdaptor]> {
  let summary = "the linear number of this row (flat: of this element)";
  let results = (outs Tg_Tensor:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}

def Tg_LaunchOp : Tg_PlainOp<"launch", "Library", "it is made after differentiation",
    [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a kernel over all rows";
  let description = [{
    `dims` are the outer dimensions; R is their product. `access` has one entry for each non-uniform parameter, then one
    for each result: the element offset and the strides over `dims` of row (d0, d1, ..). An `indexed` parameter's or
    `scatter` result's access has one stride more, the last, for the index. Sums have offset 0 and no strides; with
    `rows_per_chunk` their type is [P, C] (column_sum) or [P] (total_sum), P = ceil(R / rows_per_chunk), one partial
    per chunk; without it [C] or [] and the sum is whole. `uniforms` are the values of the uniform parameters in order.
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<Tg_Tensor>:$inputs, DenseI64ArrayAttr:$dims,
                       Tg_AccessArray:$access, DefaultValuedAttr<ArrayAttr, "{}">:$uniforms,
                       OptionalAttr<I64Attr>:$rows_per_chunk);
  let results = (outs Variadic<Tg_Tensor>:$outputs);
  let assemblyFormat = "$kernel `(` $inputs `)` attr-dict `:` functional-type($inputs, $outputs)";
}
