// SPDX-License-Identifier: Apache-2.0
//
// The keys of a file as paths of the recipe, by its `rename` rules.
#ifndef VCC_RUNTIME_WEIGHTS_KEYMAP_H
#define VCC_RUNTIME_WEIGHTS_KEYMAP_H

#include "runtime/program/Manifest.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vcc::runtime {

/// What `key` becomes where `pattern` matches all of it, nothing where it does not. A `*` stands for one or more of any
/// characters, the first of several for as few as possible; the n-th `*` of `to` is what the n-th of `pattern` stands for.
std::optional<std::string> renamed(std::string_view key, std::string_view pattern, std::string_view to);

class KeyMap {
public:
  /// Without rules every key is its own path.
  KeyMap(const manifest::FileKeys *rules, const std::vector<std::string> &keys);

  /// The keys that become this path: one, unless the file keeps a tensor twice.
  const std::vector<std::string> &keysOf(const std::string &path) const;
  /// What a key becomes; empty: it is left out.
  const std::string &pathOf(const std::string &key) const { return Paths.at(key); }
  /// Rules that no key of the file follows, as they are written.
  const std::vector<std::string> &idle() const { return Idle; }
  /// All paths, for suggestions.
  std::vector<std::string> paths() const;

private:
  std::map<std::string, std::string> Paths;
  std::map<std::string, std::vector<std::string>> Keys;
  std::vector<std::string> Idle;
};

/// The rule that would make most of `keys` what is `missing`, as a recipe writes it; empty where there is none for two or more.
std::string suggestRename(const std::vector<std::string> &missing, const std::vector<std::string> &keys);

} // namespace vcc::runtime
#endif
