// SPDX-License-Identifier: Apache-2.0
//
// Indexing family: a gather reads the rows it takes, not the whole table.
#include "dialects/tg/Build.h"

using namespace vcc::tg;

int64_t IotaOp::flops() { return 0; }
int64_t GatherOp::flops() { return 0; }
int64_t GatherOp::bytes() { return tensorBytes(getIds().getType()) + 2 * tensorBytes(getType()); }
int64_t ScatterAddOp::flops() { return tensorType(getUpdates()).getNumElements(); }
