// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cuda/DeviceRates.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

namespace vcc::runtime::cuda {

namespace {

struct Card {
  const char *title, *words;
  double bandwidth, f32, tf32, bf16;
};

constexpr Card Cards[] = {
#define VCC_DEVICE(NAME, TITLE, WORDS, GIB, BANDWIDTH, F32, TF32, BF16) {TITLE, WORDS, BANDWIDTH, F32, TF32, BF16},
#include "runtime/program/Devices.def"
#undef VCC_DEVICE
};

std::vector<std::string> wordsOf(const std::string &text) {
  std::vector<std::string> words(1);
  for (char letter : text)
    if (letter == ' ' || letter == '-')
      words.emplace_back();
    else
      words.back() += letter;
  return words;
}

} // namespace

MachineRates ratesOf(const std::string &name, const std::string &precision) {
  std::vector<std::string> given = wordsOf(name);
  const Card *found = nullptr;
  size_t most = 0;
  for (const Card &card : Cards) {
    std::vector<std::string> wanted = wordsOf(card.words);
    bool all = std::all_of(wanted.begin(), wanted.end(), [&](const std::string &word) { return std::find(given.begin(), given.end(), word) != given.end(); });
    if (all && wanted.size() > most)
      found = &card, most = wanted.size();
  }
  MachineRates rates;
  rates.source = found ? fmt::format("the table of devices has of {}", found->title) : fmt::format("the table of devices has no {}: no floor", name);
  if (found) {
    rates.flops = 1e12 * (precision == "bf16" || precision == "fp16" ? found->bf16 : precision == "tf32" ? found->tf32 : found->f32);
    rates.bytes = 1e12 * found->bandwidth;
  }
  return rates;
}

} // namespace vcc::runtime::cuda
