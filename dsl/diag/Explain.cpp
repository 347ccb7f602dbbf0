// SPDX-License-Identifier: Apache-2.0
//
// The long explanations, one Markdown file per kind, embedded when the project is configured.
#include "dsl/diag/Engine.h"

namespace vcc::diag {

namespace {
struct Explanation {
  const char *Code, *Text;
};
} // namespace

static constexpr Explanation Explanations[] = {
#include "dsl/diag/Explanations.inc"
};

llvm::StringRef explain(const KindInfo &Kind) {
  for (const Explanation &Explanation : Explanations)
    if (llvm::StringRef(Explanation.Code) == Kind.Code)
      return Explanation.Text;
  return {};
}

} // namespace vcc::diag
