// SPDX-License-Identifier: Apache-2.0
//
// What must hold of a graph: the same values in f64 after every pass and as a plan, and natively in f32 an error that the
// interpreter in f32 has as well.
#ifndef VCC_TESTS_GRAPHS_CHECK_H
#define VCC_TESTS_GRAPHS_CHECK_H

#include "tests/graphs/Counts.h"
#include "tests/graphs/Graph.h"

#include "runtime/program/Abi.h"

#include <optional>

namespace vcc::graphs {

struct Fault {
  std::string where; ///< "after tg-outline-kernels", "plan", "native": a shrunk graph must fail at the same place
  std::string what;
};

/// What the functions of a stage leave, in the order in which they ran: `0 init: out/name`, `1 micro_main: path`.
using Trace = std::map<std::string, Numbers>;

/// A graph that has passed the interpreter's checks: its plan and what a native run of it must give.
struct Prepared {
  uint64_t number = 0; ///< the caller's
  Graph graph;
  mlir::OwningOpRef<mlir::ModuleOp> planned;
  std::vector<std::string> order;
  Trace expected; ///< in f64
  std::map<std::string, double> once; ///< the error of the graph in f32
  std::map<std::string, double> single; ///< the largest of several such errors
};

class Checker {
public:
  Checker();

  /// Runs the passes, comparing after each; `prepared` is filled when nothing is wrong.
  std::optional<Fault> checkPasses(const Graph &graph, Prepared &prepared);
  /// Compiles and runs all of them as one program; the faults found by place in `batch`.
  std::map<size_t, Fault> checkNative(llvm::MutableArrayRef<Prepared> batch);
  /// Both for one graph.
  std::optional<Fault> check(const Graph &graph, bool native);

  mlir::MLIRContext &context() { return *theContext; }
  Counts counts;

private:
  /// What a graph computes in: bf16 or f16 by the passes of those precisions, whose roundings the interpreter in f64 leaves out.
  enum class Types { F32, F64, BF16, F16 };
  std::optional<Fault> checkTyped(const Graph &graph, Types types, Prepared *prepared, std::set<std::string> &seen);
  std::optional<Fault> runPrepared(const Prepared &prepared, const VccStage &stage);

  std::unique_ptr<mlir::MLIRContext> theContext;
};

} // namespace vcc::graphs

#endif
