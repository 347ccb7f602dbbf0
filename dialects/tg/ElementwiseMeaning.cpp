// SPDX-License-Identifier: Apache-2.0
//
// Elementwise family in the reference interpreter. The shapes are those of the host tensors, not of the operation, so
// that a kernel body can be run over all its rows at once.
#include "dialects/tg/Tg.h"
#include "dialects/tg/Walk.h"

#include <cmath>

using namespace mlir;
using namespace vcc::tg;

namespace {

template <typename T, typename F>
LogicalResult mapOne(ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor> Out, F Function) {
  const double *X = In[0]->Data.data();
  double *Y = Out[0].Data.data();
  for (int64_t I = 0, E = Out[0].size(); I < E; ++I)
    Y[I] = static_cast<double>(Function(static_cast<T>(X[I])));
  return success();
}

template <typename T, typename F>
LogicalResult mapTwo(ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor> Out, F Function) {
  const double *A = In[0]->Data.data(), *B = In[1]->Data.data();
  double *Y = Out[0].Data.data();
  for (int64_t I = 0, E = Out[0].size(); I < E; ++I)
    Y[I] = static_cast<double>(Function(static_cast<T>(A[I]), static_cast<T>(B[I])));
  return success();
}

template <typename T> T quotient(T A, T B) {
  if constexpr (std::is_integral_v<T>)
    return B == 0 ? 0 : A / B;
  else
    return A / B;
}

bool holds(Predicate P, double A, double B) {
  switch (P) {
  case Predicate::Eq:
    return A == B;
  case Predicate::Ne:
    return A != B;
  case Predicate::Lt:
    return A < B;
  case Predicate::Le:
    return A <= B;
  case Predicate::Gt:
    return A > B;
  case Predicate::Ge:
    return A >= B;
  }
  llvm_unreachable("all predicates are handled");
}

} // namespace

#define UNARY(OP, WITH, EXPRESSION)                                                                                    \
  LogicalResult OP::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,                                 \
                             MutableArrayRef<HostTensor> Out) {                                                        \
    return WITH(Context, Out[0].ElementType, [&](auto Tag) {                                                           \
      using T = decltype(Tag);                                                                                         \
      return mapOne<T>(In, Out, [](T X) -> T { return EXPRESSION; });                                                  \
    });                                                                                                                \
  }
UNARY(NegOp, withNumber, -X)
UNARY(AbsOp, withNumber, X < T(0) ? -X : X)
UNARY(ExpOp, withFloat, std::exp(X))
UNARY(LogOp, withFloat, std::log(X))
UNARY(SqrtOp, withFloat, std::sqrt(X))
UNARY(RsqrtOp, withFloat, T(1) / std::sqrt(X))
UNARY(TanhOp, withFloat, std::tanh(X))
UNARY(ErfOp, withFloat, std::erf(X))
UNARY(SinOp, withFloat, std::sin(X))
UNARY(CosOp, withFloat, std::cos(X))
UNARY(SigmoidOp, withFloat, T(1) / (T(1) + std::exp(-X)))
UNARY(FloorOp, withFloat, std::floor(X))
UNARY(NotOp, withNumber, X == T(0))
#undef UNARY

#define BINARY(OP, WITH, EXPRESSION)                                                                                   \
  LogicalResult OP::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,                                 \
                             MutableArrayRef<HostTensor> Out) {                                                        \
    return WITH(Context, Out[0].ElementType, [&](auto Tag) {                                                           \
      using T = decltype(Tag);                                                                                         \
      return mapTwo<T>(In, Out, [](T A, T B) -> T { return EXPRESSION; });                                             \
    });                                                                                                                \
  }
BINARY(AddOp, withNumber, A + B)
BINARY(SubOp, withNumber, A - B)
BINARY(MulOp, withNumber, A *B)
BINARY(DivOp, withNumber, quotient(A, B))
BINARY(MaxOp, withNumber, A >= B ? A : B)
BINARY(MinOp, withNumber, A <= B ? A : B)
BINARY(PowOp, withFloat, std::pow(A, B))
BINARY(AndOp, withNumber, A != T(0) && B != T(0))
BINARY(OrOp, withNumber, A != T(0) || B != T(0))
#undef BINARY

LogicalResult CompareOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                                  MutableArrayRef<HostTensor> Out) {
  Predicate P = getPredicate();
  return mapTwo<double>(In, Out, [P](double A, double B) { return holds(P, A, B); });
}

LogicalResult SelectOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor> Out) {
  for (int64_t I = 0, E = Out[0].size(); I < E; ++I)
    Out[0].Data[I] = In[0]->Data[I] != 0.0 ? In[1]->Data[I] : In[2]->Data[I];
  return success();
}

LogicalResult CastOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *> In,
                               MutableArrayRef<HostTensor> Out) {
  // To a float the interpreter's precision decides; to whole numbers the rounding of results truncates.
  if (isa<IntegerType>(Out[0].ElementType))
    return mapOne<double>(In, Out, [](double X) { return X; });
  return withFloat(Context, Out[0].ElementType, [&](auto Tag) {
    using T = decltype(Tag);
    return mapOne<T>(In, Out, [](T X) { return X; });
  });
}

LogicalResult ConstantOp::evaluate(MeaningContext &Context, ArrayRef<const HostTensor *>,
                                   MutableArrayRef<HostTensor> Out) {
  auto Dense = cast<DenseElementsAttr>(getValue());
  if (Out[0].size() != Dense.getNumElements())
    return emitOpError("result has another size than its value");
  Out[0].Data = fromAttribute(Dense).Data;
  return success();
}

LogicalResult StopGradientOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In,
                                       MutableArrayRef<HostTensor> Out) {
  Out[0].Data = In[0]->Data;
  return success();
}

LogicalResult BarrierOp::evaluate(MeaningContext &, ArrayRef<const HostTensor *> In, MutableArrayRef<HostTensor> Out) {
  for (auto [From, To] : llvm::zip_equal(In, Out))
    To.Data = From->Data;
  return success();
}
