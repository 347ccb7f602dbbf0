// SPDX-License-Identifier: Apache-2.0
//
// The passes of the driver on tg, one at a time and in its order.
#ifndef VCC_TESTS_GRAPHS_PASS_LIST_H
#define VCC_TESTS_GRAPHS_PASS_LIST_H

#include <functional>
#include <string>
#include <vector>

namespace mlir {
class OpPassManager;
}

namespace vcc::graphs {

using AddPass = std::function<void(mlir::OpPassManager &)>;

struct NamedPass {
  std::string name; ///< the pass's flag, after the word of the pipeline where it runs a second time
  AddPass add;
};

/// By their flags; any number of times.
void registerPasses();

enum class Narrow { None, BF16, F16 };

/// `segments` adds recompute's, `narrow` those of bf16 or f16; `gradients` is the place of the first after which gradients are there.
std::vector<NamedPass> passesOnTg(bool segments, Narrow narrow, size_t &gradients);

/// What is counted for a pass of the project that changed a graph.
std::string changedBy(const std::string &pass);

/// `changedBy` of each: passes need not be made of patterns.
std::vector<std::string> passesThatChange();

} // namespace vcc::graphs

#endif
