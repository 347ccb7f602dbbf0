// SPDX-License-Identifier: Apache-2.0
//
// Edit distance (Levenshtein, but two letters that changed places are one edit) over candidate names.
#include "runtime/program/Suggest.h"

#include <algorithm>
#include <cstdlib>

namespace vcc::runtime {

static size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// Whether two neighbouring letters changed places: one slip of the fingers, though two letters differ.
static bool isSwap(std::string_view name, std::string_view meant) {
  if (name.size() != meant.size())
    return false;
  size_t at = size_t(std::mismatch(name.begin(), name.end(), meant.begin()).first - name.begin());
  return at + 1 < name.size() && name[at] == meant[at + 1] && name[at + 1] == meant[at] && name.substr(at + 2) == meant.substr(at + 2);
}

std::string nearest(std::string_view name, const std::vector<std::string> &candidates) {
  size_t best = std::max<size_t>(name.size() / 3, 1) + 1;
  std::string found;
  for (const std::string &candidate : candidates) {
    size_t gap = candidate.size() > name.size() ? candidate.size() - name.size()
                                                : name.size() - candidate.size();
    if (gap >= best)
      continue;
    if (size_t edits = isSwap(name, candidate) ? 1 : distance(name, candidate); edits < best) {
      best = edits;
      found = candidate;
    }
  }
  return found;
}

std::string didYouMean(std::string_view name, const std::vector<std::string> &candidates) {
  std::string found = nearest(name, candidates);
  return found.empty() ? "" : "; did you mean `" + found + "`?";
}

} // namespace vcc::runtime
