// SPDX-License-Identifier: Apache-2.0
#include "runtime/program/Gradients.h"

#include <algorithm>
#include <tuple>

namespace vcc::runtime {

using manifest::State;

std::vector<GradientSpan> gradientSpans(const manifest::Stage &stage) {
  std::vector<GradientSpan> spans;
  for (const State &state : stage.states) {
    auto add = [&](VccRegion region, int64_t offset) { spans.push_back({region, uint64_t(offset), uint64_t(offset + state.bytes)}); };
    if (state.kind == State::Kind::Gradient)
      add(state.place.region, state.place.offset);
    else if (state.gradient)
      add(state.gradient->region, state.gradient->offset);
  }
  std::sort(spans.begin(), spans.end(), [](const GradientSpan &a, const GradientSpan &b) {
    return std::tuple(a.region, a.begin, b.end) < std::tuple(b.region, b.begin, a.end);
  });
  return spans;
}

std::vector<GradientSpan> outermost(const std::vector<GradientSpan> &spans) {
  std::vector<GradientSpan> whole;
  for (const GradientSpan &span : spans)
    if (whole.empty() || whole.back().region != span.region || span.begin >= whole.back().end)
      whole.push_back(span);
  return whole;
}

} // namespace vcc::runtime
