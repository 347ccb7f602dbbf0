// SPDX-License-Identifier: Apache-2.0
//
// What the reference interpreter gives to an operation: host tensors, a precision, and the stage's state. Elements are
// kept as doubles whatever their type: every type here but large i64 is a subset of double.
#ifndef VCC_DIALECTS_TG_MEANING_H
#define VCC_DIALECTS_TG_MEANING_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"

#include <cstdint>
#include <vector>

namespace vcc::tg {

/// In which numbers an operation computes. `F64`: doubles, and floats are never rounded to their element type (the
/// oracle). `F32`: single precision inside and out. `Own`: single precision (double for f64), every result rounded to
/// its own element type.
enum class Precision { F64, F32, Own };

struct HostTensor {
  llvm::SmallVector<int64_t> Shape;
  mlir::Type ElementType;
  std::vector<double> Data;

  HostTensor() = default;
  explicit HostTensor(mlir::RankedTensorType Type);
  HostTensor(llvm::ArrayRef<int64_t> Shape, mlir::Type ElementType);

  int64_t size() const { return static_cast<int64_t>(Data.size()); }
  int64_t rank() const { return static_cast<int64_t>(Shape.size()); }
};

/// The number of elements of a shape.
int64_t elementCount(llvm::ArrayRef<int64_t> Shape);

/// Row-major strides of a shape, in elements.
llvm::SmallVector<int64_t> rowMajorStrides(llvm::ArrayRef<int64_t> Shape);

/// The nearest value of an element type (bf16, f16, f32 by rounding to even; whole numbers by truncation and wrapping).
double roundToElement(double Value, mlir::Type ElementType);

/// Philox4x32-10: four words from a counter and a key.
void philox(const uint32_t (&Counter)[4], const uint32_t (&Key)[2], uint32_t (&Words)[4]);

/// FNV-1a, 32 bit.
uint32_t siteHash(llvm::StringRef Path);

/// The stage as an operation sees it while it is interpreted.
class MeaningContext {
public:
  explicit MeaningContext(Precision P = Precision::F64) : ThePrecision(P) {}
  virtual ~MeaningContext();

  Precision precision() const { return ThePrecision; }

  /// The value of a state, input or kernel, or failure when there is none (the operation then reports it).
  virtual llvm::LogicalResult readState(llvm::StringRef Path, HostTensor &Value);
  virtual llvm::LogicalResult writeState(llvm::StringRef Path, const HostTensor &Value, bool Accumulate);
  virtual llvm::LogicalResult readInput(llvm::StringRef Name, HostTensor &Value);
  virtual llvm::LogicalResult writeOutput(llvm::StringRef Name, const HostTensor &Value);
  virtual mlir::Operation *lookupKernel(llvm::StringRef Name);

  /// The operand of the collective that is running, as every rank has it in order; empty where one runs alone.
  virtual llvm::ArrayRef<HostTensor> peers() const;
  virtual int64_t rank() const;

private:
  Precision ThePrecision;
};

/// Evaluates one operation that has a meaning, allocating its results from its own result types and rounding them as
/// the precision asks.
llvm::LogicalResult evaluateOp(mlir::Operation *Op, MeaningContext &Context,
                               llvm::ArrayRef<const HostTensor *> Operands,
                               llvm::MutableArrayRef<HostTensor> Results);

/// Between dense attributes and host tensors. `toAttribute` rounds to the element type.
HostTensor fromAttribute(mlir::DenseElementsAttr Value);
mlir::DenseElementsAttr toAttribute(const HostTensor &Value);

} // namespace vcc::tg

#endif
