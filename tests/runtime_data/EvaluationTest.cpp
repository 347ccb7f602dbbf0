// SPDX-License-Identifier: Apache-2.0
//
// Evaluation sets: every record once with all its candidates, the shuffled and the still control,
// padding at the end.
#include "runtime/program/Failure.h"
#include "tests/runtime_data/Scratch.h"

#include <filesystem>
#include <fmt/format.h>
#include <gmock/gmock.h>

using namespace vcc::runtime;
using namespace vcc::runtime::test;
using testing::AllOf;
using testing::HasSubstr;

namespace {

constexpr int Records = 5;

struct Evaluations : testing::Test {
  Scratch Files;
  manifest::Manifest Program;
  manifest::Stage Stage;
  manifest::Evaluation Held;
  DataOptions Options;
  report::Log Log;

  Evaluations() {
    Options.dir = Files.dir();
    static const Scratch made;
    for (int i = 0; i < Records && !std::filesystem::exists(made.path("c4.mp4")); ++i)
      made.clip(fmt::format("c{}.mp4", i), 8, 16 * i, 16, 16);
    std::filesystem::copy(made.dir(), Files.path("clips"));
    std::string json;
    for (int i = 0; i < Records; ++i) {
      // Record i has 2 or 3 candidates; the right one is the second.
      json +=
          fmt::format("{{\"video\": \"c{}.mp4\", \"QA\": [{{\"q\": \"what\", \"a\": \"blue\"}}], "
                      "\"candidates\": [\"red\", \"blue\"{}], \"kind\": \"k{}\"}}\n",
                      i, i % 2 ? ", \"green\"" : "", i % 2);
    }
    Files.write("held.json", json);
    Program.tokenizers["pieces"] = {"pieces", "sentencepiece",
                                    Files.words("lm", {"what", "red", "blue", "green"}), 7, false};
    manifest::Dataset &data = Program.datasets["held"];
    data.name = "held";
    data.file = "held.json";
    data.media = "clips";
    data.record.mediaKeys = {"video"};
    data.record.turnsKey = "QA";
    data.record.turnFields = {{"q", "q"}, {"a", "a"}};
    data.record.fields = {{"candidates", "candidates"}, {"kind", "kind"}};
    Program.templates["tiny"] = {
        "tiny", {{"user", "{q}"}, {"assistant", "{a}"}, {"end", "</s>"}}, {}};
    manifest::Field text;
    text.name = "dialogue";
    text.kind = manifest::Field::Kind::Template;
    text.templateName = "tiny";
    text.tokenizer = "pieces";
    text.maxTokens = text.length = 4;
    Held.name = "held";
    Held.dataset = "held";
    Held.choices = "candidates";
    Held.answer = "a";
    Held.group = "kind";
    Held.batch.rows = 4;
    Held.batch.datasets = {"held"};
    Held.batch.media = manifest::Media{"clip", 2, 8, 8, "random", true, "", 1 << 20};
    Held.batch.fields = {text};
  }

  struct Seen {
    std::vector<EvaluationRow> Rows;
    std::vector<int32_t> Answers; // third token of each row: <s> what ANSWER </s>
    std::vector<int> Reds, Lasts; // of the first and the last frame
  };
  Seen run() {
    auto source = openEvaluationSource(Program, Stage, Held, Options, Log);
    EXPECT_EQ(source->records(), Records);
    Tensors tensors(Held.batch);
    Seen seen;
    for (int64_t b = 0; b < source->batches(); ++b) {
      std::vector<EvaluationRow> rows;
      source->fill(b, tensors.all(), rows);
      EXPECT_EQ(rows.size(), 4u);
      for (int r = 0; r < 4; ++r) {
        seen.Answers.push_back(tensors.get<int32_t>("dialogue.ids")[r * 4 + 2]);
        seen.Reds.push_back(tensors.get<uint8_t>("clip.pixels")[r * 2 * 192]);
        seen.Lasts.push_back(tensors.get<uint8_t>("clip.pixels")[r * 2 * 192 + 192]);
      }
      seen.Rows.insert(seen.Rows.end(), rows.begin(), rows.end());
    }
    return seen;
  }
};

TEST_F(Evaluations, everyRecordOnceWithAllCandidates) {
  auto source = openEvaluationSource(Program, Stage, Held, Options, Log);
  EXPECT_EQ(source->batches(), 3); // 2+3+2+3+2 = 12 rows
  EXPECT_EQ(source->record(3).candidates, 3);
  EXPECT_EQ(source->record(3).answer, 1);
  EXPECT_EQ(source->record(3).group, "k1");
  EXPECT_THAT(source->record(3).name, HasSubstr("c3.mp4"));
  Seen seen = run();
  size_t row = 0;
  for (int i = 0; i < Records; ++i)
    for (int c = 0; c < 2 + i % 2; ++c, ++row) {
      EXPECT_EQ(seen.Rows[row].record, i);
      EXPECT_EQ(seen.Rows[row].candidate, c);
      EXPECT_EQ(seen.Answers[row], 4 + c);
      EXPECT_NEAR(seen.Reds[row], 16 * i + 10, 8);  // frame 1 of 8
      EXPECT_NEAR(seen.Lasts[row], 16 * i + 50, 8); // frame 5
    }
  EXPECT_EQ(row, seen.Rows.size());
}

TEST_F(Evaluations, lastBatchIsPadded) {
  Held.batch.rows = 4;
  Files.write(
      "held.json",
      "[{\"video\": \"c0.mp4\", \"QA\": [{\"q\": \"what\", \"a\": \"red\"}], \"kind\": \"k\", "
      "\"candidates\": [\"red\", \"blue\", \"green\"]}]");
  auto source = openEvaluationSource(Program, Stage, Held, Options, Log);
  EXPECT_EQ(source->batches(), 1);
  Tensors tensors(Held.batch);
  std::vector<EvaluationRow> rows;
  source->fill(0, tensors.all(), rows);
  EXPECT_EQ(rows[2].candidate, 2);
  EXPECT_EQ(rows[3].record, -1);
  EXPECT_EQ(tensors.get<int32_t>("dialogue.labels")[3 * 4 + 2], -100);
  EXPECT_EQ(tensors.get<uint8_t>("clip.pixels")[3 * 2 * 192], 0);
  EXPECT_EQ(tensors.get<float>("batch.samples")[0], 3);
  EXPECT_EQ(tensors.get<float>("dialogue.supervised")[0], 6);
}

TEST_F(Evaluations, whatFillWouldFailOnIsFoundBefore) {
  auto check = [&] { openEvaluationSource(Program, Stage, Held, Options, Log)->check(); };
  auto failure = [&]() -> std::string {
    try {
      check();
    } catch (const Failure &fault) {
      return fault.what();
    }
    return "";
  };
  EXPECT_EQ(failure(), "");
  std::filesystem::rename(Files.path("clips/c3.mp4"), Files.path("clips/gone.mp4"));
  EXPECT_THAT(failure(), AllOf(HasSubstr("held.json: record 3: its media"), HasSubstr("clips/c3.mp4` is not there")));
  std::filesystem::rename(Files.path("clips/gone.mp4"), Files.path("clips/c3.mp4"));
  Program.templates["tiny"].segments[0].text = "{q} {place}";
  EXPECT_THAT(failure(), HasSubstr("record 0: field `place` is absent"));
  Program.templates["tiny"].segments[0].text = "{q} {kin}";
  EXPECT_THAT(failure(), HasSubstr("did you mean `kind`?"));
  Program.templates["tiny"].segments[0].text = "{q} {frames} {seconds}"; // known once a clip is decoded
  Held.batch.fields[0].cut = "left";
  EXPECT_EQ(failure(), "");
}

TEST_F(Evaluations, shuffledGivesNoRecordItsOwnClip) {
  Seen normal = run();
  for (uint64_t seed : {0, 1, 2}) {
    Options.seed = seed;
    Held.media = "shuffled";
    Seen seen = run();
    EXPECT_EQ(seen.Answers, normal.Answers);
    std::multiset<int> clips, all;
    for (size_t row = 0; row < seen.Rows.size(); ++row) {
      EXPECT_GT(std::abs(seen.Reds[row] - normal.Reds[row]), 8);
      if (seen.Rows[row].candidate == 0) {
        clips.insert(seen.Reds[row]);
        all.insert(normal.Reds[row]);
      }
    }
    EXPECT_EQ(clips, all);
    EXPECT_EQ(run().Reds, seen.Reds);
  }
}

TEST_F(Evaluations, stillRepeatsTheMiddleFrame) {
  Held.media = "still";
  Seen seen = run();
  EXPECT_EQ(seen.Reds, seen.Lasts);
  EXPECT_NEAR(seen.Reds[0], 40, 8);
}

TEST_F(Evaluations, faultsAreNotReplaced) {
  Program.datasets["held"].skip = 0.5;
  std::filesystem::rename(Files.path("clips"), Files.path("gone"));
  EXPECT_THAT(failure([&] {
                Program.datasets["held"].media = "missing";
                run();
              }),
              HasSubstr("does not exist"));
  Files.write(
      "held.json",
      "[{\"video\": \"c0.mp4\", \"QA\": [{\"a\": \"pink\"}], \"kind\": \"k\", \"candidates\": "
      "[\"red\"]}]");
  EXPECT_THAT(failure([&] { run(); }),
              HasSubstr("record 0: field `a` is `pink` but one of its candidates red is needed"));
}

} // namespace
