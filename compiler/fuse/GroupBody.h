// SPDX-License-Identifier: Apache-2.0
//
// From a kernel group to its kernel and launch.
#ifndef VCC_COMPILER_FUSE_GROUPBODY_H
#define VCC_COMPILER_FUSE_GROUPBODY_H

#include "compiler/fuse/KernelBody.h"
#include "compiler/fuse/KernelGroups.h"

namespace vcc::fuse {

/// Class, columns and outer dimensions that a group is run with.
Walk chooseWalk(const Group &group);

/// Gives each finished kernel a symbol, one for all kernels that are equal.
using KernelNamer = llvm::function_ref<mlir::FlatSymbolRefAttr(tg::KernelOp)>;
/// From a value of the function being rewritten to what it has become.
using ValueMap = llvm::function_ref<mlir::Value(mlir::Value)>;

/// Builds the kernel and the launch of a group (and the launches that add up partial sums) and tells what has become of
/// the group's values that others read.
void buildGroup(mlir::OpBuilder &builder, const KernelGroups &groups, int id, KernelNamer namer, ValueMap map,
                llvm::function_ref<void(mlir::Value, mlir::Value)> became);

/// A scatter_add as a kernel of its own class.
mlir::Value buildScatter(mlir::OpBuilder &builder, tg::ScatterAddOp op, KernelNamer namer, ValueMap map);

} // namespace vcc::fuse

#endif
