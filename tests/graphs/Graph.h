// SPDX-License-Identifier: Apache-2.0
//
// A stage's graph as text, with the values of its states and inputs: what is made at random, checked and shrunk.
#ifndef VCC_TESTS_GRAPHS_GRAPH_H
#define VCC_TESTS_GRAPHS_GRAPH_H

#include "dialects/tg/Tg.h"

#include "mlir/IR/OwningOpRef.h"

#include <map>
#include <random>
#include <string>
#include <vector>

namespace vcc::graphs {

using Numbers = std::vector<double>;
using Named = std::map<std::string, Numbers>;

struct Graph {
  std::string text; ///< as elaboration leaves it; floats are f32
  Named states, inputs;
  /// Whether the constants that passes make of its attributes (1 - smoothing, 1 / (1 - dropout)) are numbers of f32, so that
  /// plans of f32 can be held against the graph in f64.
  bool exact = true;
};

/// A context with all that a stage's graph and plan need.
std::unique_ptr<mlir::MLIRContext> makeContext();

/// The graph's module; in f64 when `wide`. Null when the text does not parse.
mlir::OwningOpRef<mlir::ModuleOp> parseGraph(const Graph &graph, mlir::MLIRContext &context, bool wide = false);

/// The functions of a stage in the order in which a test runs them: `init`, forward functions, twice where gradients accumulate,
/// others, `update`.
std::vector<std::string> runOrder(mlir::ModuleOp stage);

/// The text with the values as comments, and back.
std::string printGraph(const Graph &graph);
Graph readGraph(const std::string &printed);

/// Whether an operation's results are the same bits in any precision when its operands are: it moves, chooses or draws.
bool movesOnly(mlir::Operation *op);

/// A random graph over the whole registry: the same for the same seed.
Graph makeGraph(uint64_t seed, mlir::MLIRContext &context);

} // namespace vcc::graphs

#endif
