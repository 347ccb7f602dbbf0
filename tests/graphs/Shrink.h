// SPDX-License-Identifier: Apache-2.0
//
// Makes a failing graph small while it still fails: whole functions and effects go, operations give way to an operand or to an
// input with their values, sizes fall.
#ifndef VCC_TESTS_GRAPHS_SHRINK_H
#define VCC_TESTS_GRAPHS_SHRINK_H

#include "tests/graphs/Graph.h"

#include <functional>

namespace vcc::graphs {

/// The smallest graph found by at most `tries` questions to `fails`, which holds of the graph given.
Graph shrink(Graph graph, mlir::MLIRContext &context, const std::function<bool(const Graph &)> &fails, int tries = 600);

/// The operations of a graph that compute.
int64_t countOperations(const Graph &graph, mlir::MLIRContext &context);

} // namespace vcc::graphs

#endif
