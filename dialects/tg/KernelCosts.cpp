// SPDX-License-Identifier: Apache-2.0
//
// Kernel family: a launch costs its body once per row; each tensor is read and written once.
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc::tg;

int64_t RowIndexOp::flops() { return 0; }

int64_t LaunchOp::flops() {
  auto Kernel = SymbolTable::lookupNearestSymbolFrom<KernelOp>(*this, getKernelAttr());
  if (!Kernel)
    return 0;
  int64_t PerRow = 0;
  for (Operation &Op : Kernel.getBody().front())
    if (auto Cost = dyn_cast<CostOpInterface>(Op))
      PerRow += Cost.flops();
  return PerRow * elementCount(getDims());
}
