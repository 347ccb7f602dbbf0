// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cuda/GradientSums.h"

#include <algorithm>

namespace vcc::runtime::cuda {

std::vector<Bucket> bucketsOf(const std::vector<GradientSpan> &spans, uint64_t bytes) {
  std::vector<Bucket> buckets;
  uint64_t left = 0;
  for (auto span = spans.rbegin(); span != spans.rend(); ++span)
    for (uint64_t end = span->end; end > span->begin;) {
      if (left == 0)
        buckets.emplace_back(), left = bytes;
      uint64_t begin = end - std::min(left, end - span->begin);
      buckets.back().push_back({span->region, begin, end});
      left -= end - begin, end = begin;
    }
  return buckets;
}

/// What a launch may touch of the gradients by a buffer: at least the least one that the buffer begins in, at most the greatest.
static GradientSpan touched(const VccLaunch &launch, const VccBuffer &buffer, const std::vector<GradientSpan> &spans) {
  GradientSpan reach{VccRegion(buffer.region), buffer.offset, buffer.offset};
  uint64_t least = UINT64_MAX, most = 0;
  for (const GradientSpan &span : spans)
    if (span.region == reach.region && span.begin <= buffer.offset && buffer.offset < span.end)
      least = std::min(least, span.end), most = std::max(most, span.end);
  if (most)
    reach.end = launch.bytes ? std::min(most, std::max(least, buffer.offset + launch.bytes)) : most;
  return reach;
}

std::vector<uint64_t> sendAfter(const VccFunction &function, const std::vector<Bucket> &buckets, const std::vector<GradientSpan> &spans) {
  std::vector<uint64_t> after(buckets.size());
  for (uint64_t i = 0; i < function.launch_count; ++i) {
    const VccLaunch &launch = function.launches[i];
    for (uint64_t operand = 0; operand < launch.buffer_count; ++operand) {
      GradientSpan reach = touched(launch, launch.buffers[operand], spans);
      for (size_t bucket = 0; bucket < buckets.size(); ++bucket)
        for (const GradientSpan &part : buckets[bucket])
          if (part.region == reach.region && part.begin < reach.end && reach.begin < part.end)
            after[bucket] = i + 1;
    }
  }
  for (size_t bucket = 1; bucket < after.size(); ++bucket)
    after[bucket] = std::max(after[bucket], after[bucket - 1]);
  return after;
}

GradientSums::GradientSums(const manifest::Stage &stage, const Regions &regions, GpuRanks &ranks)
    : Spans(gradientSpans(stage)), Buckets(bucketsOf(outermost(Spans))), Ranks(ranks) {
  for (const Bucket &bucket : Buckets) {
    auto &places = Places.emplace_back();
    for (const GradientSpan &part : bucket)
      places.push_back({regions.at(part.region, part.begin), (part.end - part.begin) / sizeof(float)});
  }
}

void GradientSums::launched(const VccFunction &function, uint64_t count) {
  if (Buckets.empty())
    return;
  if (Planned != &function)
    After = sendAfter(function, Buckets, Spans), Planned = &function;
  bool forked = false;
  for (size_t bucket = 0; bucket < Buckets.size(); ++bucket) {
    if (After[bucket] != count)
      continue;
    if (!forked)
      Ranks.fork();
    forked = true;
    Ranks.sum(Places[bucket]);
  }
  if (count == function.launch_count)
    Ranks.join();
}

} // namespace vcc::runtime::cuda
