// SPDX-License-Identifier: Apache-2.0
//
// The reductions that a kernel can do, and how any other is made of them.
#ifndef VCC_COMPILER_FUSE_REDUCTIONFORMS_H
#define VCC_COMPILER_FUSE_REDUCTIONFORMS_H

#include "dialects/tg/Tg.h"

namespace vcc::fuse {

enum class ReductionForm {
  Row,    ///< over the last axis: one scalar per row
  Column, ///< float sum over the first of two axes: one row
  Total,  ///< float sum over the only axis
  Other
};

ReductionForm reductionForm(tg::ReduceOp op);
bool isKernelReduction(tg::ReduceOp op);

/// The value of `op` by reductions of the other forms, reshapes and transposes.
mlir::Value buildKernelReductions(mlir::OpBuilder &builder, tg::ReduceOp op);

} // namespace vcc::fuse

#endif
