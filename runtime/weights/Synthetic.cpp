// SPDX-License-Identifier: Apache-2.0
#include "runtime/weights/Synthetic.h"

#include "runtime/program/Failure.h"
#include "runtime/weights/Hash.h"
#include "runtime/weights/StoredTensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <thread>
#include <vector>

namespace vcc::runtime {

using manifest::State;

static uint64_t mixed(uint64_t z) { // SplitMix64's output (Steele, Lea, Flood, 2014)
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

static void store(const State &state, std::byte *to, int64_t index, float value) {
  if (state.dtype == DType::F32) {
    std::memcpy(to + 4 * index, &value, 4);
    return;
  }
  uint16_t narrow = narrowed(state.dtype, value);
  std::memcpy(to + 2 * index, &narrow, sizeof narrow);
}

static void draw(const State &state, uint64_t seed, int threads, std::byte *to) {
  if (state.dtype != DType::F32 && state.dtype != DType::BF16 && state.dtype != DType::F16)
    throw Failure(Exit::Internal, fmt::format("`{}` is {}, which has no synthetic weights", state.path, nameOf(state.dtype)));
  int64_t count = elementsOf(state.shape);
  if (state.shape.size() < 2) {
    bool gain = state.path.size() >= 6 && state.path.compare(state.path.size() - 6, 6, "weight") == 0;
    for (int64_t i = 0; i < count; ++i)
      store(state, to, i, gain ? 1.0f : 0.0f);
    return;
  }
  double reach = std::sqrt(3.0 * double(state.shape[0]) / double(std::max<int64_t>(count, 1)));
  uint64_t key = mixed(hashOf(state.path.data(), state.path.size()) ^ mixed(seed + 0x9e3779b97f4a7c15ull));
  auto fill = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      store(state, to, i, float((double(mixed(key + uint64_t(i) * 0x9e3779b97f4a7c15ull) >> 11) * 0x1p-52 - 1.0) * reach));
  };
  constexpr int64_t Share = 1 << 16; // worth a thread
  int64_t share = std::max(Share, (count + threads - 1) / threads);
  std::vector<std::jthread> others;
  for (int64_t begin = share; begin < count; begin += share)
    others.emplace_back(fill, begin, std::min(begin + share, count));
  fill(0, std::min(share, count));
}

Provenance syntheticWeights(const manifest::Stage &stage, uint64_t seed, int threads,
                            const std::function<std::byte *(const State &)> &address) {
  Provenance made;
  for (const State &state : stage.states) {
    if (state.kind != State::Kind::Weight || state.isGroup())
      continue;
    bool drawn = !state.isInitialised();
    if (drawn)
      draw(state, seed, threads, address(state));
    std::string part = state.path.substr(0, state.path.find('.')), from = drawn ? "synthetic" : "init";
    auto same = std::find_if(made.sources.begin(), made.sources.end(),
                             [&](const Source &source) { return source.part == part && source.from == from; });
    if (same == made.sources.end())
      made.sources.push_back({part, from, "", 1});
    else
      ++same->weights;
  }
  return made;
}

} // namespace vcc::runtime
