// SPDX-License-Identifier: Apache-2.0
//
// Writing and reading summaries.
#include "runtime/loop/Summary.h"

#include "runtime/device/cpu/Features.h"
#include "runtime/loop/StageProgram.h"
#include "runtime/program/Failure.h"
#include "runtime/program/Json.h"
#include "runtime/weights/Files.h"

#include <algorithm>
#include <cmath>

namespace vcc::runtime {

/// To the microsecond.
static double rounded(double seconds) { return std::round(seconds * 1e6) / 1e6; }

static void writeLosses(JsonWriter &writer, const report::History &history, bool first) {
  writer.beginObject();
  for (const auto &[name, column] : history.values)
    if (isLoss(name))
      writer.member(name, first ? history.first(name) : history.last(name));
  writer.endObject();
}

static void writeEvaluations(JsonWriter &writer, const report::History &history) {
  std::map<std::string, std::string> latest;
  for (const std::string &json : history.evaluations) {
    JsonDocument document(json);
    latest[document.root().at("name").string()] = json;
  }
  writer.key("evaluations").beginObject();
  for (const auto &[name, json] : latest)
    writer.key(name).raw(json);
  writer.endObject();
}

void writeSummary(const std::string &path, const std::string &recipe, const manifest::Stage &stage,
                  const StageSummary &summary, const report::History &history) {
  JsonWriter writer;
  writer.beginObject().member("recipe", std::string_view(recipe));
  writer.member("stage", std::string_view(stage.name)).member("number", stage.number);
  writer.member("steps", summary.steps).member("total", summary.total);
  writer.member("seconds", rounded(history.seconds)).member("data_wait", rounded(history.dataWait));
  writer.member("data_wait_share", history.seconds > 0 ? rounded(history.dataWait / history.seconds) : 0.0);
  writer.member("samples", history.samples).member("tokens", history.tokens);
  writer.member("replaced", history.replaced);
  if (auto skipped = history.values.find("skipped"); stage.lossScale && skipped != history.values.end())
    writer.member("skipped", int64_t(std::count(skipped->second.begin(), skipped->second.end(), 1.0)));
  writer.key("first");
  writeLosses(writer, history, true);
  writer.key("last");
  writeLosses(writer, history, false);
  writeEvaluations(writer, history);
  writer.key("frozen").beginObject();
  writer.member("before", std::string_view(summary.frozenBefore));
  writer.member("after", std::string_view(summary.frozenAfter)).endObject();
  writer.member("seed", summary.seed).member("threads", summary.threads).member("ranks", summary.ranks);
  writer.member("cpu", std::string_view(cpuName()));
  writer.member("memory_bytes", summary.memoryBytes).member("packed_bytes", summary.packedBytes);
  writer.member("program", std::string_view(summary.program));
  writer.key("stages").beginObject();
  for (const auto &[name, identity] : summary.stages)
    writer.member(name, std::string_view(identity));
  writer.endObject();
  writer.member("checkpoint", std::string_view(summary.checkpoint));
  writer.member("weights", std::string_view(summary.weights));
  writer.member("log", std::string_view(summary.log));
  writeWhole(path, writer.endObject().text() + "\n");
}

std::optional<StageSummary> readSummary(const std::string &path) {
  if (!exists(path))
    return std::nullopt;
  try {
    JsonDocument document(readWhole(path));
    JsonNode root = document.root();
    StageSummary summary;
    summary.program = root.at("program").string();
    summary.seed = root.at("seed").unsignedInteger();
    summary.steps = root.at("steps").integer(), summary.total = root.at("total").integer();
    for (const auto &[name, identity] : root.at("stages").members())
      summary.stages[name] = identity.string();
    if (auto evaluations = root.find("evaluations"))
      for (const auto &[name, result] : evaluations->members())
        summary.evaluations.insert(name);
    return summary;
  } catch (const JsonError &) {
    return std::nullopt; // the stage is then taken up from its checkpoint
  }
}

} // namespace vcc::runtime
