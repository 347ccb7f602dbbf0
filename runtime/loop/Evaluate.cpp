// SPDX-License-Identifier: Apache-2.0
//
// Scores, one batch while the next is being read, and their argmax by record.
#include "runtime/loop/Evaluate.h"

#include "runtime/loop/Prefetch.h"
#include "runtime/program/Failure.h"
#include "runtime/program/Json.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <future>
#include <limits>

namespace vcc::runtime {

namespace {

struct Best {
  double score = -std::numeric_limits<double>::infinity();
  int64_t candidate = -1;
  int64_t seen = 0;
};

struct EvaluationBatch {
  Slot slot;
  std::vector<EvaluationRow> rows;
};

const manifest::Function &functionOf(StageProgram &program, const manifest::Evaluation &evaluation) {
  auto *function = program.stage().find(manifest::Function::Role::Evaluate, evaluation.function);
  const manifest::Port *score = function ? program.output(*function, "score") : nullptr;
  if (!score || score->dtype != DType::F32)
    throw Failure(Exit::Internal, fmt::format("evaluation `{}` has no function with a `score` output",
                                              evaluation.name));
  return *function;
}

void addScores(const std::vector<EvaluationRow> &rows, const float *scores, int64_t count,
               EvaluationSource &source, const std::string &name, std::vector<Best> &best) {
  if (int64_t(rows.size()) > count)
    throw Failure(Exit::Internal, fmt::format("evaluation `{}` has {} rows, but {} scores", name,
                                              rows.size(), count));
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].record < 0)
      continue;
    if (!std::isfinite(scores[i]))
      throw Failure(Exit::Policy, fmt::format("evaluation `{}`: the score of candidate {} of {} is {}",
                                              name, rows[i].candidate,
                                              source.record(rows[i].record).name, scores[i]));
    Best &current = best.at(size_t(rows[i].record));
    ++current.seen;
    if (scores[i] > current.score)
      current.score = scores[i], current.candidate = rows[i].candidate;
  }
}

/// The best of all ranks. Of equal scores the first candidate's counts, as on one rank.
void join(World &world, std::vector<Best> &best) {
  if (world.size() == 1 || best.empty())
    return;
  std::vector<Best> all(best.size() * size_t(world.size()));
  world.gather(best.data(), all.data(), best.size() * sizeof(Best));
  for (size_t i = 0; i < best.size(); ++i) {
    Best joined;
    for (size_t at = i; at < all.size(); at += best.size()) {
      const Best &other = all[at];
      joined.seen += other.seen;
      if (other.candidate >= 0 && (joined.candidate < 0 || other.score > joined.score ||
                                   (other.score == joined.score && other.candidate < joined.candidate)))
        joined.score = other.score, joined.candidate = other.candidate;
    }
    best[i] = joined;
  }
}

void add(Accuracy &accuracy, const EvaluationRecord &record, int64_t chosen) {
  ++accuracy.records;
  accuracy.right += chosen == record.answer;
  accuracy.chance += 1.0 / double(std::max<int64_t>(record.candidates, 1));
}

} // namespace

EvaluationResult evaluate(StageProgram &program, const manifest::Evaluation &evaluation,
                          EvaluationSource &source, World &world, uint64_t seed, int64_t step) {
  auto start = std::chrono::steady_clock::now();
  const manifest::Function &function = functionOf(program, evaluation);
  const manifest::Port &score = *program.output(function, "score");
  HostTensors inputs = program.dataInputs(function);
  std::vector<Best> best(size_t(source.records()));
  EvaluationBatch batches[2];
  auto fill = [&](int64_t batch) {
    EvaluationBatch &next = batches[batch % 2];
    next.slot.assign(inputs);
    next.rows.clear();
    source.fill(batch, next.slot.tensors, next.rows);
  };
  std::future<void> pending;
  int64_t first = source.batches() * world.rank() / world.size(), last = source.batches() * (world.rank() + 1) / world.size();
  for (int64_t batch = first; batch < last; ++batch) {
    if (batch == first)
      fill(first);
    else
      pending.get();
    if (batch + 1 < last)
      pending = std::async(std::launch::async, fill, batch + 1);
    const EvaluationBatch &current = batches[batch % 2];
    for (const auto &[name, tensor] : current.slot.tensors)
      std::memcpy(inputs.at(name).data, tensor.data,
                  size_t(elementsOf(tensor.shape) * bytesOf(tensor.dtype)));
    program.run(function, {seed, step, batch * evaluation.batch.rows, 1, 1});
    addScores(current.rows, reinterpret_cast<const float *>(program.at(score)),
              elementsOf(score.shape), source, evaluation.name, best);
  }
  join(world, best);
  EvaluationResult result;
  result.name = evaluation.name, result.step = step;
  for (int64_t i = 0; i < source.records(); ++i) {
    const EvaluationRecord &record = source.record(i);
    if (best[size_t(i)].seen != record.candidates)
      throw Failure(Exit::Internal, fmt::format("evaluation `{}` saw {} of {} candidates of {}",
                                                evaluation.name, best[size_t(i)].seen,
                                                record.candidates, record.name));
    add(result.all, record, best[size_t(i)].candidate);
    if (!record.group.empty())
      add(result.groups[record.group], record, best[size_t(i)].candidate);
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

static void writeAccuracy(JsonWriter &writer, const Accuracy &accuracy) {
  writer.member("accuracy", accuracy.accuracy()).member("records", accuracy.records);
  writer.member("chance", accuracy.meanChance());
}

std::string jsonOf(const EvaluationResult &result) {
  JsonWriter writer;
  writer.beginObject().member("event", "evaluation");
  writer.member("name", std::string_view(result.name)).member("step", result.step);
  writeAccuracy(writer, result.all);
  writer.key("groups").beginObject();
  for (const auto &[group, accuracy] : result.groups) {
    writer.key(group).beginObject();
    writeAccuracy(writer, accuracy);
    writer.endObject();
  }
  writer.endObject().member("seconds", std::round(result.seconds * 1e3) / 1e3);
  return writer.endObject().text();
}

std::string textOf(const EvaluationResult &result) {
  std::string text = fmt::format("{}: {:.1f} % of {} (chance {:.0f} %)", result.name,
                                 100 * result.all.accuracy(), result.all.records,
                                 100 * result.all.meanChance());
  const char *separator = "; ";
  for (const auto &[group, accuracy] : result.groups) {
    text += fmt::format("{}{} {:.1f} %", separator, group, 100 * accuracy.accuracy());
    separator = ", ";
  }
  return text;
}

} // namespace vcc::runtime
