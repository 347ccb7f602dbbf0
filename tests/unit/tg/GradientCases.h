// SPDX-License-Identifier: Apache-2.0
//
// For each operation with a vector-Jacobian product, how to write a random graph around it.
#ifndef VCC_TESTS_UNIT_TG_GRADIENTCASES_H
#define VCC_TESTS_UNIT_TG_GRADIENTCASES_H

#include "GraphText.h"

#include <map>

namespace vcc::test {

using WriteCase = std::function<void(Random &, GraphText &)>;

/// By operation name ("tg.add").
const std::map<std::string, WriteCase> &gradientCases();

} // namespace vcc::test

#endif
