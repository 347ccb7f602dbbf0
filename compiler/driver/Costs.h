// SPDX-License-Identifier: Apache-2.0
//
// What `--time` prints: seconds, memory and operations per level and per pass. Costs of one level or pass are summed over the stages.
#ifndef VCC_COMPILER_DRIVER_COSTS_H
#define VCC_COMPILER_DRIVER_COSTS_H

#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vcc::driver {

/// One line of the table.
struct Cost {
  std::string name;
  int depth = 0; // 0: a level; 1: a pass of the level above
  double seconds = 0;
  uint64_t peakBytes = 0; // the largest resident size of vcc until the end of it
  /// Operations before and after; absent where none are (text, machine code).
  std::optional<uint64_t> before, after;
  uint64_t tried = 0; // patterns tried on an operation
};

/// Collects costs; does nothing and costs nothing unless `enabled`.
class Costs {
public:
  explicit Costs(bool enabled) : enabled(enabled) {}

  /// Counts the patterns that are tried. Call once per context.
  void watch(mlir::MLIRContext &context);
  /// Counts the passes of `passes` as parts of the level that ends next.
  void watch(mlir::PassManager &passes);
  /// Ends a level: its time is what passed since the last one ended. What is counted between is free.
  void endLevel(llvm::StringRef name, std::optional<uint64_t> before = {}, std::optional<uint64_t> after = {});
  /// Operations below `op`; absent when nothing is collected.
  std::optional<uint64_t> count(mlir::Operation *op);
  void print(llvm::raw_ostream &out) const;

private:
  friend class PassCosts;
  using Clock = std::chrono::steady_clock;

  bool enabled;
  Clock::time_point mark = Clock::now();
  std::vector<Cost> levels;              // in order of first use
  std::vector<std::vector<Cost>> passes; // of each level
  std::vector<Cost> pending;             // passes since the last level ended
  uint64_t tried = 0;
};

} // namespace vcc::driver

#endif
