// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/codegen/GridLaunches.h"

#include "compiler/codegen/body/Buffers.h"
#include "compiler/codegen/cuda/LowerKernels.h"
#include "dialects/tg/Meaning.h"
#include "llvm/ADT/StringExtras.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "tests/unit/codegen/GridEmulator.h"
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <iostream>

using namespace mlir;

namespace vcc::test {
namespace {

class KernelsOfModule : public tg::MeaningContext {
public:
  KernelsOfModule(ModuleOp Module, tg::Precision P) : tg::MeaningContext(P), Symbols(Module) {}
  Operation *lookupKernel(StringRef Name) override { return Symbols.lookup(Name); }

private:
  SymbolTable Symbols;
};

int64_t bytesOf(Type Element) { return (Element.getIntOrFloatBitWidth() + 7) / 8; }

void put(char *At, double X, Type T) {
  auto Write = [&](auto V) { std::memcpy(At, &V, sizeof(V)); };
  if (T.isF32())
    Write(float(X));
  else if (T.isF64())
    Write(X);
  else if (auto Half = dyn_cast<FloatType>(T)) {
    APFloat Number(X);
    bool Lost;
    Number.convert(Half.getFloatSemantics(), APFloat::rmNearestTiesToEven, &Lost);
    Write(uint16_t(Number.bitcastToAPInt().getZExtValue()));
  } else if (T.getIntOrFloatBitWidth() <= 8)
    Write(int8_t(int64_t(X)));
  else if (T.getIntOrFloatBitWidth() == 32)
    Write(int32_t(X));
  else
    Write(int64_t(X));
}

double take(const char *At, Type T) {
  auto Read = [&](auto V) {
    std::memcpy(&V, At, sizeof(V));
    return double(V);
  };
  if (T.isF32())
    return Read(float());
  if (T.isF64())
    return Read(double());
  if (auto Half = dyn_cast<FloatType>(T)) {
    uint16_t Bits;
    std::memcpy(&Bits, At, 2);
    APFloat Number(Half.getFloatSemantics(), APInt(16, Bits));
    bool Lost;
    Number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &Lost);
    return Number.convertToDouble();
  }
  if (T.getIntOrFloatBitWidth() <= 8)
    return T.isUnsignedInteger() || T.isInteger(1) ? Read(uint8_t()) : Read(int8_t());
  return T.getIntOrFloatBitWidth() == 32 ? Read(int32_t()) : Read(int64_t());
}

/// Memory of one tensor, `Misplaced` bytes after a multiple of 64.
struct Buffer {
  Buffer(int64_t Bytes, int64_t Misplaced) : Storage(Bytes + Misplaced + 128), Bytes(Bytes) {
    uint64_t Start = reinterpret_cast<uint64_t>(Storage.data());
    Data = Storage.data() + ((Start + 63) / 64 * 64 - Start) + Misplaced;
  }
  std::vector<char> Storage;
  char *Data;
  int64_t Bytes;
};

tg::HostTensor randomTensor(RankedTensorType T, std::mt19937 &Random, const GridTrial &Trial) {
  tg::HostTensor Tensor(T);
  std::uniform_real_distribution<double> Floats(Trial.Low, Trial.High);
  std::uniform_int_distribution<int64_t> Wholes(0, Trial.Whole - 1);
  Type Element = T.getElementType();
  for (double &X : Tensor.Data)
    X = isa<FloatType>(Element) ? tg::roundToElement(Floats(Random), Element)
                                : Element.isInteger(1) ? double(Wholes(Random) & 1) : double(Wholes(Random));
  return Tensor;
}

std::vector<int64_t> uniformBits(ArrayAttr Uniforms) {
  std::vector<int64_t> Bits;
  for (Attribute U : Uniforms)
    Bits.push_back(isa<FloatAttr>(U) ? int64_t(mlir::cast<FloatAttr>(U).getValue().bitcastToAPInt().getZExtValue())
                                     : mlir::cast<IntegerAttr>(U).getValue().getSExtValue());
  return Bits;
}

/// As the schedule writes it into the plan.
cuda::LaunchShape shapeOf(tg::LaunchOp Launch, tg::KernelOp Kernel, int64_t Misplaced) {
  cuda::LaunchShape Shape;
  Shape.Dims.assign(Launch.getDims().begin(), Launch.getDims().end());
  llvm::append_range(Shape.Uniforms, uniformBits(Launch.getUniforms()));
  int64_t Rows = tg::elementCount(Launch.getDims());
  Shape.Units = Rows;
  auto Add = [&](Attribute Given, Value Tensor, bool Table) {
    auto Access = mlir::cast<tg::AccessAttr>(Given);
    SmallVector<int64_t> Strides(Access.getStrides());
    if (Table)
      Strides.push_back(mlir::cast<RankedTensorType>(Tensor.getType()).getNumElements() / Strides.back());
    Shape.Accesses.push_back(tg::AccessAttr::get(Launch.getContext(), Access.getOffset(), Strides));
    Shape.ByteOffsets.push_back(Misplaced);
    return Strides.empty() ? 0 : Strides.back();
  };
  size_t Next = 0;
  for (tg::ParamAttr Param : Kernel.getParams().getAsRange<tg::ParamAttr>())
    if (Param.getKind() != tg::ParamKind::Uniform) {
      Add(Launch.getAccess()[Next], Launch.getInputs()[Next], Param.getKind() == tg::ParamKind::Indexed);
      ++Next;
    }
  for (auto [I, Output] : llvm::enumerate(Launch.getOutputs())) {
    tg::ResultKind Kind = Kernel.getResultKind(I).getKind();
    int64_t Last = Add(Launch.getAccess()[Next++], Output, Kind == tg::ResultKind::Scatter);
    if (Kind == tg::ResultKind::Scatter)
      Shape.Units = Last;
    if (codegen::isSum(Kind)) {
      Shape.RowsPerChunk = Launch.getRowsPerChunk() ? int64_t(*Launch.getRowsPerChunk()) : Rows;
      Shape.Units = (Rows + Shape.RowsPerChunk - 1) / Shape.RowsPerChunk;
    }
  }
  return Shape;
}

void expectEqual(const tg::HostTensor &Got, const tg::HostTensor &Want, const GridTrial &Trial, const std::string &What) {
  double Error = 0, Norm = 0, Largest = 0;
  for (double X : Want.Data)
    Largest = std::max(Largest, std::isfinite(X) ? std::fabs(X) : 0.0);
  for (size_t I = 0; I < Got.Data.size(); ++I) {
    double G = Got.Data[I], W = Want.Data[I];
    if (!std::isfinite(W) || !isa<FloatType>(Want.ElementType)) {
      ASSERT_TRUE(G == W || (std::isnan(G) && std::isnan(W))) << What << " at " << I << ": " << G << ", not " << W;
      continue;
    }
    if (Want.ElementType.getIntOrFloatBitWidth() < 32)
      ASSERT_LE(std::fabs(G - W), std::fabs(W) / 100 + Largest * Trial.HalfTolerance) << What << " at " << I << ": " << G << ", not " << W;
    ASSERT_TRUE(std::isfinite(G)) << What << " at " << I << ": " << G << ", not " << W;
    Error += (G - W) * (G - W);
    Norm += W * W;
  }
  if (isa<FloatType>(Want.ElementType) && Want.ElementType.getIntOrFloatBitWidth() >= 32)
    ASSERT_LE(std::sqrt(Error), Trial.Tolerance * std::sqrt(Norm) + 1e-30) << What << ", norm " << std::sqrt(Norm);
}

bool usesHalves(tg::KernelOp Kernel) {
  bool Found = false;
  Kernel.walk([&](Operation *Op) {
    for (Type T : llvm::concat<const Type>(llvm::to_vector(Op->getOperandTypes()), llvm::to_vector(Op->getResultTypes())))
      Found |= getElementTypeOrSelf(T).isBF16() || getElementTypeOrSelf(T).isF16();
  });
  return Found;
}

} // namespace

std::string tryOnGrid(tg::LaunchOp Launch, std::mt19937 &Random, const GridTrial &Trial) {
  auto Module = Launch->getParentOfType<ModuleOp>();
  auto Kernel = SymbolTable(Module).lookup<tg::KernelOp>(Launch.getKernel());
  std::vector<tg::HostTensor> In, Want;
  std::vector<const tg::HostTensor *> Operands;
  for (Value Input : Launch.getInputs())
    In.push_back(randomTensor(mlir::cast<RankedTensorType>(Input.getType()), Random, Trial));
  for (tg::HostTensor &Tensor : In)
    Operands.push_back(&Tensor);
  for (Value Output : Launch.getOutputs())
    Want.emplace_back(mlir::cast<RankedTensorType>(Output.getType()));
  KernelsOfModule Context(Module, usesHalves(Kernel) ? tg::Precision::Own : tg::Precision::F64);
  if (failed(tg::evaluateOp(Launch, Context, Operands, Want))) {
    ADD_FAILURE() << "the launch has no meaning";
    return "";
  }

  auto Plan = cuda::planGridLaunch(Kernel, shapeOf(Launch, Kernel, Trial.Misplaced));
  cuda::GridKernels Kernels(Launch.getContext());
  FailureOr<std::string> Name = failure();
  if (succeeded(Plan))
    Name = Kernels.add(Kernel, *Plan);
  OwningOpRef<ModuleOp> Code = failed(Name) ? OwningOpRef<ModuleOp>() : Kernels.finish();
  if (!Code || failed(verify(*Code))) {
    ADD_FAILURE() << "the kernel cannot be lowered";
    return "";
  }
  std::vector<std::unique_ptr<Buffer>> Buffers;
  std::vector<DeviceMemory> Memory;
  std::vector<void *> Pointers;
  for (tg::HostTensor &Tensor : In) {
    int64_t Bytes = bytesOf(Tensor.ElementType);
    Buffers.push_back(std::make_unique<Buffer>(Tensor.size() * Bytes, Trial.Misplaced));
    for (int64_t I = 0; I < Tensor.size(); ++I)
      put(Buffers.back()->Data + I * Bytes, Tensor.Data[I], Tensor.ElementType);
  }
  std::vector<Buffer *> Results;
  for (auto [I, Tensor] : llvm::enumerate(Want)) {
    if (Trial.InPlaceResult == int(I)) {
      Results.push_back(Buffers[Trial.InPlaceInput].get());
      continue;
    }
    Buffers.push_back(std::make_unique<Buffer>(Tensor.size() * bytesOf(Tensor.ElementType), Trial.Misplaced));
    Results.push_back(Buffers.back().get());
    // A result that fills its tensor must write all of it; what lies between the rows of another must stay zero.
    tg::ResultAttr Result = Kernel.getResultKind(I);
    auto Row = mlir::cast<RankedTensorType>(Kernel.getBody().front().getTerminator()->getOperand(I).getType());
    bool Fills = codegen::isSum(Result.getKind()) || Result.getKind() == tg::ResultKind::Scatter ||
                 Row.getNumElements() * tg::elementCount(Launch.getDims()) == Tensor.size();
    std::memset(Results.back()->Data, Fills ? 0xC3 : 0, Results.back()->Bytes);
  }
  for (auto &B : Buffers)
    Memory.push_back({B->Data, size_t(B->Bytes)});
  size_t Next = 0;
  auto PointTo = [&](Buffer &B, Type Element) {
    Pointers.push_back(B.Data + Plan->Offsets[Next++] * bytesOf(Element));
  };
  for (size_t I = 0; I < In.size(); ++I)
    PointTo(*Buffers[I], In[I].ElementType);
  for (size_t I = 0; I < Want.size(); ++I)
    PointTo(*Results[I], Want[I].ElementType);
  std::string Error = emulate(*Code, *Name, Plan->Blocks, Pointers, Plan->Words, Memory);
  if (!Error.empty()) {
    Code->dump();
    ADD_FAILURE() << *Name << ": " << Error;
    return *Name;
  }
  for (size_t I = 0; I < Want.size(); ++I) {
    tg::HostTensor Got(Want[I].Shape, Want[I].ElementType);
    for (int64_t K = 0; K < Got.size(); ++K)
      Got.Data[K] = take(Results[I]->Data + K * bytesOf(Got.ElementType), Got.ElementType);
    expectEqual(Got, Want[I], Trial, *Name + ", result " + std::to_string(I));
  }
  return *Name;
}

std::string tryTextOnGrid(const LaunchText &Text, std::mt19937 &Random, const GridTrial &Trial) {
  MLIRContext Context;
  Context.loadDialect<tg::TgDialect, func::FuncDialect>();
  SmallVector<StringRef> Types;
  StringRef(Text.Inputs).split(Types, ';');
  std::string Parameters, Names, Listed;
  for (auto [I, T] : llvm::enumerate(Types)) {
    std::string Comma = I ? ", " : "", Name = "%a" + std::to_string(I);
    Parameters += Comma + Name + ": " + T.trim().str();
    Names += Comma + Name;
    Listed += Comma + T.trim().str();
  }
  std::string Whole = Text.Kernel + "func.func @f(" + Parameters + ") {\n  %r:" +
                      std::to_string(StringRef(Text.Outputs).count(';') + 1) + " = tg.launch @k(" + Names +
                      ") {dims = array<i64: " + Text.Dims + ">, access = [" + Text.Accesses + "], uniforms = [" + Text.Uniforms +
                      "]" + (Text.Chunk.empty() ? "" : ", rows_per_chunk = " + Text.Chunk + " : i64") + "} : (" + Listed +
                      ") -> (" + llvm::join(llvm::split(Text.Outputs, ';'), ", ") + ")\n  return\n}\n";
  OwningOpRef<ModuleOp> Module = parseSourceString<ModuleOp>(Whole, &Context);
  if (!Module) {
    ADD_FAILURE() << "the text does not parse:\n" << Whole;
    return "";
  }
  std::string Name;
  Module->walk([&](tg::LaunchOp Launch) { Name = tryOnGrid(Launch, Random, Trial); });
  if (::testing::Test::HasFailure())
    std::cout << Whole;
  return Name;
}

} // namespace vcc::test
