// SPDX-License-Identifier: Apache-2.0
//
// Contraction family: a multiplication and an addition per term.
#include "dialects/tg/Build.h"

using namespace vcc::tg;

int64_t DotGeneralOp::flops() {
  int64_t Terms = 1;
  for (int64_t Axis : getContractA())
    Terms *= tensorType(getA()).getDimSize(Axis);
  return 2 * Terms * getType().getNumElements();
}

int64_t GemmOp::flops() {
  return 2 * elementCount(getBatch()) * static_cast<int64_t>(getM() * getN() * getK());
}
