// SPDX-License-Identifier: Apache-2.0
//
// The name that was probably meant.
#ifndef VCC_RUNTIME_PROGRAM_SUGGEST_H
#define VCC_RUNTIME_PROGRAM_SUGGEST_H

#include <string>
#include <string_view>
#include <vector>

namespace vcc::runtime {

/// The candidate nearest to `name` by edit distance, empty where none is within a third of its length.
std::string nearest(std::string_view name, const std::vector<std::string> &candidates);

/// `; did you mean `x`?`, or nothing.
std::string didYouMean(std::string_view name, const std::vector<std::string> &candidates);

} // namespace vcc::runtime
#endif
