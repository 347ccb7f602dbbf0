// SPDX-License-Identifier: Apache-2.0
//
// What every operation of the training graph must bring: gradient, cost, meaning, fusion class.
#ifndef VCC_TG_INTERFACES
#define VCC_TG_INTERFACES

include "mlir/IR/OpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "dialects/tg/TgAttrs.td"

def Tg_DifferentiableOpInterface : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::vcc::tg";
  let description = [{ The vector-Jacobian product of an operation, or the reason why it has none. }];
  let methods = [
    InterfaceMethod<[{
        Builds the cotangents of the operands. `cotangents` has one value per result, null where none arrived (at
        least one is present); `needed` has one flag per operand; `operandCotangents` has one null entry per operand
        and is filled where needed. Values of the forward pass may be used.
      }],
      "::llvm::LogicalResult", "gradient",
      (ins "::mlir::OpBuilder &":$builder, "::llvm::ArrayRef<::mlir::Value>":$cotangents,
           "::llvm::ArrayRef<bool>":$needed, "::llvm::SmallVectorImpl<::mlir::Value> &":$operandCotangents),
      "", [{ return $_op.emitOpError("has no gradient: ") << ConcreteOp::getNoGradientReason(); }]>,
    StaticInterfaceMethod<"Why the operation has no gradient; empty when it has one.",
      "::llvm::StringRef", "getNoGradientReason", (ins), "", [{ return {}; }]>
  ];
}

def Tg_CostOpInterface : OpInterface<"CostOpInterface"> {
  let cppNamespace = "::vcc::tg";
  let description = [{ What one execution costs when nothing is fused. }];
  let methods = [
    InterfaceMethod<"Floating-point (or integer) operations.", "int64_t", "flops", (ins)>,
    InterfaceMethod<"Bytes read and written.", "int64_t", "bytes", (ins), "", [{
      return ::vcc::tg::operandAndResultBytes($_op.getOperation());
    }]>
  ];
}

def Tg_MeaningOpInterface : OpInterface<"MeaningOpInterface"> {
  let cppNamespace = "::vcc::tg";
  let description = [{ The operation in the reference interpreter: naive loops over host tensors. }];
  let methods = [
    InterfaceMethod<[{
        Fills `results`, which come with shape, element type and zeroed data, from `operands`. Reads and writes of
        state, inputs and outputs go through `context`.
      }],
      "::llvm::LogicalResult", "evaluate",
      (ins "::vcc::tg::MeaningContext &":$context, "::llvm::ArrayRef<const ::vcc::tg::HostTensor *>":$operands,
           "::llvm::MutableArrayRef<::vcc::tg::HostTensor>":$results)>
  ];
}

def Tg_FusionClassInterface : OpInterface<"FusionClassInterface"> {
  let cppNamespace = "::vcc::tg";
  let description = [{ How the operation takes part in fusion. }];
  let methods = [InterfaceMethod<"", "::vcc::tg::FusionClass", "getFusionClass", (ins)>];
}

// What a tensor of the training graph may be.
def Tg_Element : AnyTypeOf<[F64, F32, BF16, F16, I64, I32, I8, UI8, I1]>;
def Tg_Tensor : StaticShapeTensorOf<[Tg_Element]>;
def Tg_FloatTensor : StaticShapeTensorOf<[F64, F32, BF16, F16]>;
def Tg_IndexTensor : StaticShapeTensorOf<[I64, I32]>;
def Tg_BoolTensor : StaticShapeTensorOf<[I1]>;
def Tg_Rng : StaticShapeTensorOf<[I32]>;

def Tg_StateResource : Resource<"::vcc::tg::StateResource">;
def Tg_ChannelResource : Resource<"::vcc::tg::ChannelResource">;

// Folds to a constant when every operand is one, the result is small and no rounding happens.
def Tg_ConstantFolding : NativeOpTrait<"ConstantFolding"> { let cppNamespace = "::vcc::tg::trait"; }

// Every operation: interfaces, and its fusion class.
class Tg_Op<string mnemonic, string fusionClass, list<Trait> traits> : Op<Tg_Dialect, mnemonic, !listconcat(traits, [
    DeclareOpInterfaceMethods<Tg_CostOpInterface>, DeclareOpInterfaceMethods<Tg_MeaningOpInterface>,
    Tg_FusionClassInterface])> {
  code declarations = "";
  code gradientDeclaration = "";
  let extraClassDeclaration = "::vcc::tg::FusionClass getFusionClass() { return ::vcc::tg::FusionClass::" # fusionClass
      # "; }\n" # gradientDeclaration # declarations;
}

// With a vector-Jacobian product, defined in <Family>Gradients.cpp.
class Tg_DifferentiableOp<string mnemonic, string fusionClass, list<Trait> traits> : Tg_Op<mnemonic, fusionClass,
    !listconcat(traits, [DeclareOpInterfaceMethods<Tg_DifferentiableOpInterface, ["gradient"]>])>;

// Without, and why.
class Tg_PlainOp<string mnemonic, string fusionClass, string reason, list<Trait> traits> : Tg_Op<mnemonic, fusionClass,
    !listconcat(traits, [Tg_DifferentiableOpInterface])> {
  let gradientDeclaration = "static ::llvm::StringRef getNoGradientReason() { return \"" # reason # "\"; }\n";
}

#endif
