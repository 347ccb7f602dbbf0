// SPDX-License-Identifier: Apache-2.0
//
// Kernel family in the reference interpreter. A launch runs its kernel's body once, each value being lifted to all rows
// (a row axis is put before its own axes), so that a body costs tensor operations and not one call per row.
#include "dialects/tg/Build.h"
#include "dialects/tg/Walk.h"

#include "llvm/ADT/DenseMap.h"

using namespace mlir;
using namespace vcc::tg;

LogicalResult RowIndexOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *>, MutableArrayRef<HostTensor> Out) {
  for (auto [Row, Value] : llvm::enumerate(Out[0].Data))
    Value = static_cast<double>(Row);
  return success();
}

namespace {

class LiftedBody {
public:
  LiftedBody(LaunchOp Launch, KernelOp Kernel, MeaningContext &Context)
      : Launch(Launch), Kernel(Kernel), Context(Context), Rows(elementCount(Launch.getDims())) {}

  LogicalResult load(ArrayRef<const HostTensor *> In);
  LogicalResult run();
  void store(MutableArrayRef<HostTensor> Out);

private:
  HostTensor lifted(Type T) const {
    SmallVector<int64_t> Shape{Rows};
    llvm::append_range(Shape, cast<RankedTensorType>(T).getShape());
    return HostTensor(Shape, cast<RankedTensorType>(T).getElementType());
  }
  std::vector<int64_t> rowStarts(AccessAttr Access) {
    std::vector<int64_t> Starts = offsetsOf(Launch.getDims(), Access.getStrides().take_front(Launch.getDims().size()));
    for (int64_t &Start : Starts)
      Start += Access.getOffset();
    return Starts;
  }
  void addIndex(std::vector<int64_t> &Starts, int64_t Param, int64_t Stride, int64_t Reach, int64_t Size);
  LogicalResult runOp(Operation &Op);
  LogicalResult runRowByRow(Operation &Op, ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor> Out);
  void storeSum(const HostTensor &Value, HostTensor &Out);

  LaunchOp Launch;
  KernelOp Kernel;
  MeaningContext &Context;
  int64_t Rows;
  llvm::DenseMap<Value, HostTensor> Values;
};

// An index that leaves the tensor stands for row 0.
void LiftedBody::addIndex(std::vector<int64_t> &Starts, int64_t Param, int64_t Stride, int64_t Reach, int64_t Size) {
  const HostTensor &Indices = Values[Kernel.getBody().getArgument(Param)];
  for (auto [Start, Index] : llvm::zip_equal(Starts, Indices.Data)) {
    int64_t To = Start + static_cast<int64_t>(Index) * Stride;
    if (Index >= 0 && To + Reach < Size)
      Start = To;
  }
}

LogicalResult LiftedBody::load(ArrayRef<const HostTensor *> In) {
  size_t Uniform = 0, Next = 0;
  for (BlockArgument Argument : Kernel.getBody().getArguments()) {
    ParamAttr Param = Kernel.getParam(Argument.getArgNumber());
    HostTensor Value = lifted(Argument.getType());
    if (Param.getKind() == ParamKind::Uniform) {
      Attribute Number = Launch.getUniforms()[Uniform++];
      double Immediate = isa<FloatAttr>(Number) ? cast<FloatAttr>(Number).getValueAsDouble()
                                                : static_cast<double>(cast<IntegerAttr>(Number).getInt());
      std::fill(Value.Data.begin(), Value.Data.end(), Immediate);
      Values[Argument] = std::move(Value);
      continue;
    }
    const HostTensor &From = *In[Next];
    auto Access = cast<AccessAttr>(Launch.getAccess()[Next++]);
    std::vector<int64_t> Starts = rowStarts(Access);
    int64_t Width = Value.size() / Rows;
    if (Param.getKind() == ParamKind::Indexed)
      addIndex(Starts, Param.getIndex(), Access.getStrides().back(), (Width - 1) * Param.getStride(), From.size());
    for (int64_t Row = 0; Row < Rows; ++Row)
      for (int64_t C = 0; C < Width; ++C)
        Value.Data[Row * Width + C] = From.Data[Starts[Row] + C * Param.getStride()];
    Values[Argument] = std::move(Value);
  }
  return success();
}

// Operations whose meaning takes its shapes from the host tensors run on all rows at once.
bool runsLifted(Operation &Op) {
  return Op.hasTrait<OpTrait::Elementwise>() ||
         isa<RowIndexOp, ReduceOp, BroadcastOp, ReshapeOp, SoftmaxOp, LogSoftmaxOp, DrawUniformOp, DrawNormalOp>(Op);
}

LogicalResult LiftedBody::runRowByRow(Operation &Op, ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor> Out) {
  SmallVector<HostTensor> RowIn, RowOut;
  SmallVector<const HostTensor *> Pointers;
  for (Value Operand : Op.getOperands())
    RowIn.emplace_back(tensorType(Operand));
  for (HostTensor &Operand : RowIn)
    Pointers.push_back(&Operand);
  for (int64_t Row = 0; Row < Rows; ++Row) {
    for (auto [Whole, Part] : llvm::zip_equal(In, RowIn))
      std::copy_n(Whole->Data.begin() + Row * Part.size(), Part.size(), Part.Data.begin());
    RowOut.clear();
    for (Value Result : Op.getResults())
      RowOut.emplace_back(tensorType(Result));
    if (failed(evaluateOp(&Op, Context, Pointers, RowOut)))
      return failure();
    for (auto [Part, Whole] : llvm::zip_equal(RowOut, Out))
      llvm::copy(Part.Data, Whole.Data.begin() + Row * Part.size());
  }
  return success();
}

LogicalResult LiftedBody::runOp(Operation &Op) {
  SmallVector<const HostTensor *> In;
  SmallVector<HostTensor> Out;
  for (Value Operand : Op.getOperands())
    In.push_back(&Values[Operand]);
  for (Value Result : Op.getResults())
    Out.push_back(lifted(Result.getType()));
  LogicalResult Ran = runsLifted(Op) ? evaluateOp(&Op, Context, In, Out) : runRowByRow(Op, In, Out);
  if (failed(Ran))
    return failure();
  for (auto [Result, Tensor] : llvm::zip_equal(Op.getResults(), Out))
    Values[Result] = std::move(Tensor);
  return success();
}

LogicalResult LiftedBody::run() {
  for (Operation &Op : Kernel.getBody().front().without_terminator())
    if (failed(runOp(Op)))
      return failure();
  return success();
}

void LiftedBody::storeSum(const HostTensor &Value, HostTensor &Out) {
  int64_t Chunk = Launch.getRowsPerChunk() ? static_cast<int64_t>(*Launch.getRowsPerChunk()) : Rows;
  int64_t Width = Value.size() / Rows;
  withNumber(Context, Out.ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    for (int64_t Row = 0; Row < Rows; ++Row)
      for (int64_t C = 0; C < Width; ++C) {
        double &Sum = Out.Data[Row / Chunk * Width + C];
        Sum = static_cast<double>(static_cast<T>(Sum) + static_cast<T>(Value.Data[Row * Width + C]));
      }
  });
}

void LiftedBody::store(MutableArrayRef<HostTensor> Out) {
  auto Yield = cast<YieldOp>(Kernel.getBody().front().getTerminator());
  for (auto [I, Yielded] : llvm::enumerate(Yield.getValues())) {
    const HostTensor &Value = Values[Yielded];
    ResultAttr Result = Kernel.getResultKind(I);
    if (Result.getKind() == ResultKind::ColumnSum || Result.getKind() == ResultKind::TotalSum) {
      storeSum(Value, Out[I]);
      continue;
    }
    auto Access = cast<AccessAttr>(Launch.getAccess()[Launch.getInputs().size() + I]);
    std::vector<int64_t> Starts = rowStarts(Access);
    int64_t Width = Value.size() / Rows;
    bool Adds = Result.getKind() == ResultKind::Scatter;
    if (Adds)
      addIndex(Starts, Result.getIndex(), Access.getStrides().back(), (Width - 1) * Result.getStride(), Out[I].size());
    for (int64_t Row = 0; Row < Rows; ++Row)
      for (int64_t C = 0; C < Width; ++C) {
        double &To = Out[I].Data[Starts[Row] + C * Result.getStride()];
        To = (Adds ? To : 0.0) + Value.Data[Row * Width + C];
      }
  }
}

} // namespace

LogicalResult LaunchOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                 MutableArrayRef<HostTensor> Out) {
  auto Kernel = dyn_cast_if_present<KernelOp>(Context.lookupKernel(getKernel()));
  if (!Kernel)
    return emitOpError("names the kernel `") << getKernel() << "`, which does not exist";
  LiftedBody Body(*this, Kernel, Context);
  if (failed(Body.load(In)) || failed(Body.run()))
    return failure();
  Body.store(Out);
  return success();
}
