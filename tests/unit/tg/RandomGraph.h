// SPDX-License-Identifier: Apache-2.0
//
// Random graphs of many operations: what a model is made of, in any order.
#ifndef VCC_TESTS_UNIT_TG_RANDOMGRAPH_H
#define VCC_TESTS_UNIT_TG_RANDOMGRAPH_H

#include "GraphText.h"

namespace vcc::test {

/// Writes about `Steps` operations over a few weights and inputs; every value that nothing uses becomes a result. A smooth
/// graph has no operation with a kink.
void writeRandomGraph(Random &Source, GraphText &Graph, int Steps, bool Smooth = false);

} // namespace vcc::test

#endif
