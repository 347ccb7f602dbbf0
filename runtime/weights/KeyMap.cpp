// SPDX-License-Identifier: Apache-2.0
//
// Patterns over keys, and the guess of the pattern that was forgotten.
#include "runtime/weights/KeyMap.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace vcc::runtime {

static std::vector<std::string_view> piecesOf(std::string_view pattern) {
  std::vector<std::string_view> pieces;
  for (size_t begin = 0; begin <= pattern.size();) {
    size_t end = std::min(pattern.find('*', begin), pattern.size());
    pieces.push_back(pattern.substr(begin, end - begin));
    begin = end + 1;
  }
  return pieces;
}

std::optional<std::string> renamed(std::string_view key, std::string_view pattern, std::string_view to) {
  std::vector<std::string_view> pieces = piecesOf(pattern), parts = piecesOf(to), found;
  if (!key.starts_with(pieces[0]))
    return std::nullopt;
  size_t place = pieces[0].size();
  for (size_t i = 1; i < pieces.size(); ++i) {
    bool last = i + 1 == pieces.size();
    size_t next;
    if (last)
      next = key.ends_with(pieces[i]) && key.size() - pieces[i].size() > place ? key.size() - pieces[i].size() : key.npos;
    else
      next = key.find(pieces[i], place + 1);
    if (next == key.npos)
      return std::nullopt;
    found.push_back(key.substr(place, next - place));
    place = next + pieces[i].size();
  }
  if (place != key.size())
    return std::nullopt;
  std::string made(parts[0]);
  for (size_t i = 1; i < parts.size(); ++i)
    made.append(i <= found.size() ? found[i - 1] : "").append(parts[i]);
  return made;
}

KeyMap::KeyMap(const manifest::FileKeys *rules, const std::vector<std::string> &keys) {
  std::vector<bool> used(rules ? rules->rename.size() : 0);
  for (const std::string &key : keys) {
    std::string path = key;
    for (size_t i = 0; i < used.size(); ++i)
      if (auto made = renamed(key, rules->rename[i].first, rules->rename[i].second)) {
        path = *made, used[i] = true;
        break;
      }
    if (!path.empty())
      Keys[path].push_back(key);
    Paths[key] = std::move(path);
  }
  for (size_t i = 0; i < used.size(); ++i)
    if (!used[i])
      Idle.push_back(fmt::format("\"{}\" -> \"{}\"", rules->rename[i].first, rules->rename[i].second));
}

const std::vector<std::string> &KeyMap::keysOf(const std::string &path) const {
  static const std::vector<std::string> None;
  auto it = Keys.find(path);
  return it == Keys.end() ? None : it->second;
}

std::vector<std::string> KeyMap::paths() const {
  std::vector<std::string> made;
  for (const auto &[path, keys] : Keys)
    made.push_back(path);
  return made;
}

std::string suggestRename(const std::vector<std::string> &missing, const std::vector<std::string> &keys) {
  std::map<std::string_view, std::vector<const std::string *>> bySuffix;
  auto eachSuffix = [](std::string_view text, auto &&visit) {
    for (size_t begin = 0; begin != text.npos;) {
      if (visit(text.substr(begin)))
        return;
      begin = text.find('.', begin);
      begin += begin == text.npos ? 0 : 1;
    }
  };
  constexpr size_t MostKeys = 100'000;
  for (size_t i = 0; i < std::min(keys.size(), MostKeys); ++i)
    eachSuffix(keys[i], [&](std::string_view suffix) { return bySuffix[suffix].push_back(&keys[i]), false; });
  std::map<std::pair<std::string, std::string>, size_t> votes;
  auto vote = [&](bool lastNames) {
    for (size_t i = 0; i < std::min(missing.size(), MostKeys); ++i)
      eachSuffix(missing[i], [&](std::string_view suffix) {
        auto found = bySuffix.find(suffix);
        if (found == bySuffix.end() || (suffix.find('.') == suffix.npos && !lastNames))
          return false;
        constexpr size_t Ambiguous = 4; // what many keys end in says nothing about any
        if (found->second.size() < Ambiguous)
          for (const std::string *key : found->second)
            ++votes[{key->substr(0, key->size() - suffix.size()), missing[i].substr(0, missing[i].size() - suffix.size())}];
        return true;
      });
  };
  vote(false);
  if (votes.empty()) // a part of a few weights by its own name: `weight`, `bias`
    vote(true);
  auto best = std::max_element(votes.begin(), votes.end(), [](auto &a, auto &b) { return a.second < b.second; });
  if (best == votes.end() || best->second < 2 || best->first.first == best->first.second)
    return "";
  return fmt::format("rename {{ \"{}*\" -> \"{}*\" }}", best->first.first, best->first.second);
}

} // namespace vcc::runtime
