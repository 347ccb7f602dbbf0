// SPDX-License-Identifier: Apache-2.0
//
// How often each operation, kernel class, library form and rewrite pattern occurred over a run, by name; and which there are.
#ifndef VCC_TESTS_GRAPHS_COUNTS_H
#define VCC_TESTS_GRAPHS_COUNTS_H

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace vcc::graphs {

class Counts {
public:
  void add(const std::string &name, uint64_t times = 1) { counts[name] += times; }
  void merge(const Counts &other);
  uint64_t of(const std::string &name) const;

  /// Counts each pattern that changes something in modules of this context from now on, as `pattern <name>`.
  void watchPatterns(mlir::MLIRContext &context);
  /// The operations of a module, each once a graph: `seen` is the set of those counted already.
  void addOperations(mlir::ModuleOp module, std::set<std::string> &seen);
  /// The launches of a plan: kernel classes, ways of reading and giving, forms of library calls.
  void addPlan(mlir::ModuleOp planned);

  /// All that a run has to count: the registry's operations, the patterns that tg's operations and the sources of fusion declare,
  /// the kernel classes.
  static std::vector<std::string> expected(mlir::MLIRContext &context);
  /// All that was counted, and the `names` that were not.
  std::string table(const std::vector<std::string> &names) const;

private:
  std::map<std::string, uint64_t> counts;
};

} // namespace vcc::graphs

#endif
