// SPDX-License-Identifier: Apache-2.0
//
// Reading logs.
#include "runtime/report/History.h"

#include "runtime/program/Failure.h"
#include "runtime/program/Json.h"
#include "runtime/weights/Files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace vcc::runtime::report {

double History::first(const std::string &name) const {
  auto it = values.find(name);
  return it == values.end() || it->second.empty() ? std::nan("") : it->second.front();
}

double History::last(const std::string &name) const {
  auto it = values.find(name);
  if (it == values.end() || it->second.empty())
    return std::nan("");
  size_t count = std::clamp<size_t>(it->second.size() / 10, 1, 10);
  double sum = 0;
  for (size_t i = it->second.size() - count; i < it->second.size(); ++i)
    sum += it->second[i];
  return sum / double(count);
}

static bool isCounter(const std::string &key) {
  return key == "step" || key == "samples" || key == "tokens" || key == "supervised" || key == "empty_clips" ||
         key == "seconds" || key == "data_wait" || key == "replaced" || key == "variants";
}

static void addStep(History &history, const JsonNode &node) {
  size_t index = history.steps.size();
  history.steps.push_back(node.at("step").integer());
  for (const auto &[key, value] : node.members()) {
    if (isCounter(key))
      continue;
    auto &column = history.values[key];
    column.resize(index, std::nan(""));
    column.push_back(value.isString() ? std::nan("") : value.number());
  }
  for (auto &[key, column] : history.values)
    column.resize(index + 1, std::nan(""));
  history.seconds += node.numberOr("seconds", 0);
  history.dataWait += node.numberOr("data_wait", 0);
  history.samples += node.integerOr("samples", 0);
  history.tokens += node.integerOr("tokens", 0);
  if (auto replaced = node.find("replaced"))
    history.replaced += int64_t(replaced->items().size());
}

History readHistory(const std::string &path) {
  History history;
  if (!exists(path))
    return history;
  std::string text = readWhole(path);
  size_t line = 0;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string::npos)
      break; // a line that was being written when the run was killed
    std::string_view row(text.data() + begin, end - begin);
    ++line;
    begin = end + 1;
    try {
      JsonDocument document(row);
      JsonNode root = document.root();
      auto event = root.find("event");
      if (!event)
        addStep(history, root);
      else if (event->string() == "evaluation")
        history.evaluations.emplace_back(row);
    } catch (const JsonError &error) {
      throw Failure(Exit::Data, fmt::format("`{}` line {} {}", path, line, error.what()));
    }
  }
  return history;
}

} // namespace vcc::runtime::report
