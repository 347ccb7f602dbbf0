// SPDX-License-Identifier: Apache-2.0
//
// Writes a kernel body (tg.kernel) value by value, and collects what its launch has to give.
#ifndef VCC_COMPILER_FUSE_KERNELBODY_H
#define VCC_COMPILER_FUSE_KERNELBODY_H

#include "compiler/fuse/StridedViews.h"

namespace vcc::fuse {

/// The walk of a launch: outer dimensions over rows of `columns`; flat: over elements.
struct Walk {
  bool flat = false;
  int64_t columns = 1;
  llvm::SmallVector<int64_t, 4> dims;

  int64_t rows() const { return tg::elementCount(dims); }
};

/// A kernel in the making. Values of the body are rows (tensor<CxT>) or scalars (tensor<T>).
class KernelBody {
public:
  KernelBody(mlir::MLIRContext *context, mlir::Location loc, Walk walk);
  ~KernelBody();

  mlir::OpBuilder &builder() { return inner; }
  const Walk &walk() const { return theWalk; }
  mlir::Type rowType(mlir::Type element) const;
  mlir::Type scalarType(mlir::Type element) const { return mlir::RankedTensorType::get({}, element); }

  /// A parameter that is one tensor read with these strides over the outer dimensions (for indexed ones, the stride of
  /// the index last). Equal parameters are one.
  mlir::Value parameter(mlir::Value tensor, tg::ParamAttr kind, tg::AccessAttr access);
  unsigned parameterNumber(mlir::Value argument) const;
  /// An immediate of the launch.
  mlir::Value uniform(mlir::TypedAttr value);

  /// A number of integer type for row arithmetic, as an immediate.
  mlir::Value integer(int64_t value);
  mlir::Value rowIndex();
  mlir::Value columnIndex();
  mlir::Value spread(mlir::Value scalar);
  template <typename Op> mlir::Value make(mlir::Value a, mlir::Value b) {
    return inner.create<Op>(loc, a.getType(), a, b);
  }
  mlir::Value remainder(mlir::Value a, mlir::Value b);

  /// A tensor that the launch gives back: what is yielded, how, where, and the tensor's type.
  void result(mlir::Value yielded, tg::ResultAttr kind, tg::AccessAttr access, mlir::Type type);

  /// Ends the body. `make` names the finished kernel (it may be one made before); the launch is built at `at`, its inputs
  /// through `map`.
  tg::LaunchOp finish(mlir::OpBuilder &at, llvm::function_ref<mlir::FlatSymbolRefAttr(tg::KernelOp)> name,
                      llvm::function_ref<mlir::Value(mlir::Value)> map, std::optional<int64_t> rowsPerChunk);

  tg::AccessAttr access(int64_t offset, llvm::ArrayRef<int64_t> strides) {
    return tg::AccessAttr::get(inner.getContext(), offset, strides);
  }

private:
  struct Parameter {
    mlir::Value tensor; // null: a uniform
    tg::ParamAttr kind;
    tg::AccessAttr access;
    mlir::TypedAttr immediate;
  };
  mlir::Value addArgument(mlir::Type type, Parameter parameter);

  mlir::Location loc;
  Walk theWalk;
  mlir::Block *block;
  mlir::OpBuilder inner;
  llvm::SmallVector<Parameter> parameters;
  llvm::SmallVector<mlir::Value> yields;
  llvm::SmallVector<mlir::Attribute> results, resultAccesses;
  llvm::SmallVector<mlir::Type> resultTypes;
  llvm::DenseMap<mlir::Value, mlir::Value> spreads;
  mlir::Value row, column;
};

} // namespace vcc::fuse

#endif
