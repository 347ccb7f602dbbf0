// SPDX-License-Identifier: Apache-2.0
//
// The choice between keeping a value in memory for later kernels and computing it again there.
#ifndef VCC_COMPILER_FUSE_KERNELRECOMPUTE_H
#define VCC_COMPILER_FUSE_KERNELRECOMPUTE_H

#include "compiler/fuse/KernelGroups.h"

namespace vcc::fuse {

/// Copies cheap elementwise members into the groups that read them, where what they are computed from is in memory at
/// that time anyway, or is no larger than the value itself. A derivative that only the backward reads thereby moves
/// there: forward values are kept, not their derivatives; random masks are drawn again.
void recomputeInReaders(KernelGroups &groups, mlir::func::FuncOp function);

} // namespace vcc::fuse

#endif
