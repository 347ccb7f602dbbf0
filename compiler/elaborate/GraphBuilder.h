// SPDX-License-Identifier: Apache-2.0
//
// Builds operations of the training graph from tensors of the language: broadcasting becomes
// explicit, negative axes are counted from the end, sizes keep the place where they were decided.
// Faults of shape and type are reported with both ends.
#ifndef VCC_COMPILER_ELABORATE_GRAPHBUILDER_H
#define VCC_COMPILER_ELABORATE_GRAPHBUILDER_H

#include "compiler/elaborate/Faults.h"
#include "compiler/elaborate/Values.h"
#include "dialects/tg/Tg.h"
#include "mlir/IR/Builders.h"

namespace vcc::elaborate {

using llvm::ArrayRef;
using llvm::FailureOr;
using llvm::StringRef;

/// Whole numbers are below `limit`; it was decided at `origin`.
struct IdBound {
  int64_t limit;
  DimOrigin origin;
};

class GraphBuilder {
public:
  GraphBuilder(mlir::OpBuilder builder, FaultSink &faults)
      : ops(builder), loc(builder.getUnknownLoc()), faults(faults) {}

  mlir::OpBuilder ops;
  /// The place in the recipe that is being evaluated; every operation is made there.
  mlir::Location loc;
  /// Inputs whose whole numbers are known to be below a limit.
  llvm::DenseMap<mlir::Value, IdBound> idBounds;
  /// By the input that says where they start: what is known of the samples in the rows of a packed field.
  struct PackedSamples {
    std::string length; ///< the input with the lengths of the rows
    int64_t most, longest;
  };
  llvm::DenseMap<mlir::Value, PackedSamples> packedSamples;

  Fault fault(FaultKind kind, std::string message) const {
    return Fault(faults, kind, loc, std::move(message));
  }
  DimOrigin here() const { return {loc, nullptr}; }

  /// Wraps a value whose sizes were all decided here.
  Tensor wrap(mlir::Value value) const;
  Tensor wrap(mlir::Value value, ArrayRef<DimOrigin> origins) const;

  Tensor splat(double value, mlir::Type element, ArrayRef<int64_t> shape);
  /// `x` in `shape` by the rules of numpy; `origins` say where the target's sizes come from.
  FailureOr<Tensor> broadcast(const Tensor &x, ArrayRef<int64_t> shape,
                              ArrayRef<DimOrigin> origins);
  FailureOr<std::pair<Tensor, Tensor>> broadcastTogether(const Tensor &a, const Tensor &b);

  FailureOr<Tensor> reshape(const Tensor &x, ArrayRef<int64_t> shape);
  FailureOr<Tensor> transpose(const Tensor &x, ArrayRef<int64_t> permutation);
  FailureOr<Tensor> slice(const Tensor &x, ArrayRef<int64_t> offsets, ArrayRef<int64_t> sizes,
                          ArrayRef<int64_t> strides);
  FailureOr<Tensor> concat(ArrayRef<Tensor> xs, int64_t axis);
  FailureOr<Tensor> pad(const Tensor &x, int64_t axis, int64_t before, int64_t after, double value);
  /// Reduces `axes` away, or leaves them with size 1.
  FailureOr<Tensor> reduce(tg::ReduceKind kind, const Tensor &x, ArrayRef<int64_t> axes, bool keep);
  FailureOr<Tensor> mean(const Tensor &x, ArrayRef<int64_t> axes, bool keep);
  FailureOr<Tensor> cast(const Tensor &x, mlir::Type element);
  FailureOr<Tensor> matmul(const Tensor &a, const Tensor &b);
  FailureOr<Tensor> linear(const Tensor &x, const Tensor &weight);
  FailureOr<Tensor> gather(const Tensor &table, const Tensor &ids);
  FailureOr<Tensor> scatterAdd(int64_t rows, const Tensor &ids, const Tensor &updates);
  FailureOr<Tensor> allGather(const Tensor &x, int64_t ranks);
  FailureOr<Tensor> select(const Tensor &condition, const Tensor &a, const Tensor &b);

  /// An axis counted from either end, checked against the rank.
  FailureOr<int64_t> axis(int64_t axis, int64_t rank);
  llvm::LogicalResult requireFloat(const Tensor &x, StringRef what);
  llvm::LogicalResult requireInt(const Tensor &x, StringRef what);
  Fault mismatch(std::string message, const Tensor &a, int64_t axisA, const Tensor &b,
                 int64_t axisB) const;

private:
  FaultSink &faults;
};

/// The far end of a mismatch in words: "`width` is 64 here".
std::string describeOrigin(const DimOrigin &origin, int64_t size);

} // namespace vcc::elaborate

#endif
