// SPDX-License-Identifier: Apache-2.0
//
// Training batches from real files: what is written, and that order, draws and replacements depend
// on nothing but the seed and the place in the run.
#include "runtime/program/Failure.h"
#include "tests/runtime_data/Scratch.h"

#include <filesystem>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <set>

using namespace vcc::runtime;
using namespace vcc::runtime::test;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

constexpr int Clips = 12;

struct Batches : testing::Test {
  Scratch Files;
  manifest::Manifest Program;
  manifest::Stage Stage;
  DataOptions Options;
  report::Log Log;

  Batches() {
    // The clips are made once; each test has copies, which the process's frame cache has never
    // seen.
    static const Scratch made;
    for (int i = 0; i < Clips && !std::filesystem::exists(made.path("c11.mp4")); ++i)
      made.clip(fmt::format("c{}.mp4", i), 10, 2 * i, 32, 32);
    std::filesystem::copy(made.dir(), Files.path("clips"));
    Options.dir = Files.dir();
    std::string json;
    for (int i = 0; i < Clips; ++i) {
      std::string name = fmt::format("c{}.mp4", i);
      // Answers of one to three words, so that the totals are uneven.
      std::string answer = "red";
      for (int w = 0; w < i % 3; ++w)
        answer += " red";
      json += fmt::format("{}{{\"video\": \"{}\", \"QA\": [{{\"q\": \"what\", \"a\": \"{}\"}}], "
                          "\"attributes\": {{\"number\": \"n{}\"}}}}",
                          i ? "," : "[", name, answer, i);
    }
    Files.write("train.json", json + "]");
    Program.tokenizers["pieces"] = {"pieces", "sentencepiece", Files.words("lm", {"what", "red"}),
                                    5, false};
    manifest::Dataset &train = Program.datasets["train"];
    train.name = "train";
    train.file = "train.json";
    train.media = "clips/";
    train.record.mediaKeys = {"video"};
    train.record.turnsKey = "QA";
    train.record.turnFields = {{"i", "i"}, {"q", "q"}, {"a", "a"}};
    Program.templates["tiny"] = {
        "tiny",
        {{"media", "{visual}"}, {"user", "{q}"}, {"assistant", "{a}"}, {"end", "</s>"}},
        {}};
    Stage.accumulate = 1;
    manifest::Batch &batch = Stage.batch["main"];
    batch.variant = "main";
    batch.rows = 4;
    batch.datasets = {"train"};
    batch.media = manifest::Media{"clip", 4, 8, 8, "random", false, "", 1 << 20};
    manifest::Field text, label;
    text.name = "dialogue";
    text.kind = manifest::Field::Kind::Template;
    text.templateName = "tiny";
    text.tokenizer = "pieces";
    text.maxTokens = 7;
    text.visual = 2;
    text.length = 9;
    label.name = "number";
    label.kind = manifest::Field::Kind::Label;
    label.from = "attributes.number";
    for (int i = 0; i < Clips; ++i)
      label.of.push_back(fmt::format("n{}", i));
    batch.fields = {text, label};
  }

  std::unique_ptr<BatchSource> open() { return openBatchSource(Program, Stage, Options, Log); }

  struct Filled {
    std::vector<int32_t> Numbers, Ids, Labels, At;
    std::vector<uint8_t> Pixels;
    float Supervised, Samples;
    BatchReport Report;
    bool operator==(const Filled &o) const {
      return Numbers == o.Numbers && Ids == o.Ids && Labels == o.Labels && At == o.At &&
             Pixels == o.Pixels && Supervised == o.Supervised && Samples == o.Samples;
    }
  };
  Filled fill(BatchSource &source, int64_t step, int micro = 0) {
    Tensors tensors(Stage.batch["main"]);
    Filled out;
    source.fill(step, micro, tensors.all(), out.Report);
    out.Numbers = tensors.get<int32_t>("number");
    out.Ids = tensors.get<int32_t>("dialogue.ids");
    out.Labels = tensors.get<int32_t>("dialogue.labels");
    out.At = tensors.get<int32_t>("dialogue.at");
    out.Pixels = tensors.get<uint8_t>("clip.pixels");
    out.Supervised = tensors.get<float>("dialogue.supervised")[0];
    out.Samples = tensors.get<float>("batch.samples")[0];
    return out;
  }
  std::vector<int32_t> order(int steps) {
    auto source = open();
    std::vector<int32_t> all;
    for (int step = 0; step < steps; ++step) {
      auto numbers = fill(*source, step).Numbers;
      all.insert(all.end(), numbers.begin(), numbers.end());
    }
    return all;
  }
};

TEST_F(Batches, whatIsWritten) {
  auto source = open();
  EXPECT_EQ(source->samples(), Clips);
  Filled filled = fill(*source, 0);
  float supervised = 0;
  int64_t tokens = 0;
  for (int r = 0; r < 4; ++r) {
    int number = filled.Numbers[r], words = number % 3 + 1;
    // <s> V V what red.. </s>; pieces: <unk> 0, <s> 1, </s> 2, what 3, red 4.
    std::vector<int32_t> ids = {1, 2, 2, 3}, labels = {-100, -100, -100, -100};
    for (int w = 0; w < words; ++w)
      ids.push_back(4), labels.push_back(4);
    ids.push_back(2), labels.push_back(2);
    ids.resize(9, 2), labels.resize(9, -100);
    supervised += words + 1;
    tokens += words + 3;
    auto row = [&](const std::vector<int32_t> &all) {
      return std::vector<int32_t>(all.begin() + r * 9, all.begin() + r * 9 + 9);
    };
    EXPECT_EQ(row(filled.Ids), ids);
    EXPECT_EQ(row(filled.Labels), labels);
    EXPECT_THAT(row(filled.At), ElementsAre(-1, 2 * r, 2 * r + 1, -1, -1, -1, -1, -1, -1));
    // Frame f of clip n has the red value 2 n + 10 f; segments of 10 frames: [0,1] [2,4] [5,6]
    // [7,9].
    const int first[] = {0, 2, 5, 7}, last[] = {1, 4, 6, 9};
    for (int t = 0; t < 4; ++t) {
      int red = filled.Pixels[((r * 4 + t) * 3) * 64];
      EXPECT_GE(red, 2 * number + 10 * first[t] - 4);
      EXPECT_LE(red, 2 * number + 10 * last[t] + 4);
    }
  }
  EXPECT_EQ(filled.Supervised, supervised);
  EXPECT_EQ(filled.Samples, 4);
  EXPECT_EQ(filled.Report.tokens, tokens);
  EXPECT_EQ(filled.Report.supervised, int64_t(supervised));
  EXPECT_GT(filled.Report.bytes, 0);
}

/// What a step reads no labels of it does not supervise.
TEST_F(Batches, supervisedIsOfLabelsThatAreRead) {
  Tensors tensors(Stage.batch["main"]);
  HostTensors unread = tensors.all();
  unread.erase("dialogue.labels");
  BatchReport with, without;
  open()->fill(0, 0, tensors.all(), with);
  open()->fill(0, 0, unread, without);
  EXPECT_GT(with.supervised, 0);
  EXPECT_EQ(without.supervised, 0);
  EXPECT_EQ(with.tokens, without.tokens);
}

TEST_F(Batches, everyEpochIsAnotherOrderOfAll) {
  auto all = order(6);
  std::vector<int32_t> first(all.begin(), all.begin() + Clips),
      second(all.begin() + Clips, all.end());
  EXPECT_NE(first, second);
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  EXPECT_EQ(first, second);
  EXPECT_EQ(first.back(), Clips - 1);
  EXPECT_EQ(std::unique(first.begin(), first.end()), first.end());
  Options.seed = 1;
  EXPECT_NE(order(3), std::vector<int32_t>(all.begin(), all.begin() + Clips));
}

TEST_F(Batches, workersAndJumpsChangeNothing) {
  Options.workers = 1;
  auto one = open();
  Options.workers = 4;
  auto four = open();
  std::vector<Filled> seen;
  for (int step = 0; step < 5; ++step) {
    seen.push_back(fill(*one, step));
    EXPECT_TRUE(seen.back() == fill(*four, step)) << step;
  }
  EXPECT_FALSE(seen[0] == seen[3]);
  auto resumed = open();
  EXPECT_TRUE(fill(*resumed, 3) == seen[3]);
  EXPECT_TRUE(fill(*resumed, 4) == seen[4]);
  EXPECT_TRUE(fill(*resumed, 0) == seen[0]);
}

// Places are numbered micro-batch, rank, row; so a world of W ranks sees the rows of one rank with
// W times the rows.
TEST_F(Batches, worldsJoinedAreOneWorld) {
  std::vector<Filled> whole;
  auto single = open();
  for (int step = 0; step < 3; ++step)
    whole.push_back(fill(*single, step));
  for (int world : {2, 4}) {
    Options.world = world;
    Stage.batch["main"].rows = 4 / world;
    std::vector<std::unique_ptr<BatchSource>> ranks;
    for (Options.rank = 0; Options.rank < world; ++Options.rank)
      ranks.push_back(open());
    for (int step = 0; step < 3; ++step) {
      std::vector<int32_t> numbers, ids;
      std::vector<uint8_t> pixels;
      for (auto &rank : ranks) {
        Filled part = fill(*rank, step);
        numbers.insert(numbers.end(), part.Numbers.begin(), part.Numbers.end());
        ids.insert(ids.end(), part.Ids.begin(), part.Ids.end());
        pixels.insert(pixels.end(), part.Pixels.begin(), part.Pixels.end());
        EXPECT_EQ(part.Supervised, whole[step].Supervised);
        EXPECT_EQ(part.Samples, 4);
      }
      EXPECT_EQ(numbers, whole[step].Numbers);
      EXPECT_EQ(ids, whole[step].Ids);
      EXPECT_EQ(pixels, whole[step].Pixels);
    }
  }
}

TEST_F(Batches, microBatchesShareTheStep) {
  auto single = open();
  Filled whole = fill(*single, 1);
  Stage.accumulate = 2;
  Stage.batch["main"].rows = 2;
  auto split = open();
  std::vector<int32_t> numbers;
  for (int micro : {0, 1}) {
    Filled part = fill(*split, 1, micro);
    EXPECT_EQ(part.Supervised, whole.Supervised);
    EXPECT_EQ(part.Samples, 4);
    EXPECT_LT(part.Report.supervised, int64_t(whole.Supervised));
    numbers.insert(numbers.end(), part.Numbers.begin(), part.Numbers.end());
  }
  EXPECT_EQ(numbers, whole.Numbers);
}

// Two datasets with attributes in common: samples are numbered over both, values by what they are.
TEST_F(Batches, identitiesNumberSamplesAndValues) {
  manifest::Dataset more = Program.datasets["train"];
  more.name = "more", more.file = "more.json";
  std::string json;
  for (int i = 0; i < 8; ++i)
    json += fmt::format("{}{{\"video\": \"c{}.mp4\", \"QA\": [{{\"q\": \"what\", \"a\": \"red\"}}], \"attributes\": "
                        "{{\"number\": \"n{}\"}}}}",
                        i ? "," : "[", i, i + 8);
  Files.write("more.json", json + "]");
  Program.datasets["more"] = more;
  Stage.batch["main"].datasets = {"train", "more"};
  manifest::Field &label = Stage.batch["main"].fields[1], same = label;
  for (int i = Clips; i < Clips + 8; ++i)
    label.of.push_back(fmt::format("n{}", i));
  same.name = "same", same.kind = manifest::Field::Kind::Identity;
  same.of.clear();
  Stage.batch["main"].fields.push_back(same);
  auto source = open();
  Tensors tensors(Stage.batch["main"]);
  std::set<int32_t> ids;
  for (int step = 0; step < 5; ++step) {
    BatchReport report;
    source->fill(step, 0, tensors.all(), report);
    for (int r = 0; r < 4; ++r) {
      int32_t id = tensors.get<int32_t>("batch.ids")[r], local = tensors.get<int32_t>("batch.local_ids")[r];
      int32_t number = tensors.get<int32_t>("number")[r];
      ids.insert(id);
      EXPECT_EQ(local, id < Clips ? id : id - Clips);
      EXPECT_EQ(number, id < Clips ? id : id - Clips + 8);
      // Values in order of first appearance: those of n8 to n11 are known from the first dataset.
      EXPECT_EQ(tensors.get<int32_t>("same")[r], number);
    }
  }
  EXPECT_EQ(ids.size(), 20u);
  Files.write("more.json", "[{\"video\": \"c0.mp4\", \"QA\": [{\"q\": \"what\", \"a\": \"red\"}]}]");
  auto broken = open();
  EXPECT_THAT(failure([&] {
                BatchReport report;
                for (int step = 0; step < 4; ++step)
                  broken->fill(step, 0, tensors.all(), report);
              }),
              HasSubstr("field `attributes.number` is absent"));
}

// A micro-batch is shared by the ranks: those of one rank do not follow each other in the step.
TEST_F(Batches, ranksTakeTurnsWithinMicroBatches) {
  auto single = open();
  Filled whole = fill(*single, 1);
  Options.world = 2;
  Stage.accumulate = 2;
  Stage.batch["main"].rows = 1;
  std::vector<std::unique_ptr<BatchSource>> ranks;
  for (Options.rank = 0; Options.rank < 2; ++Options.rank)
    ranks.push_back(open());
  std::vector<int32_t> numbers;
  std::vector<uint8_t> pixels;
  for (int micro : {0, 1})
    for (auto &rank : ranks) {
      Filled part = fill(*rank, 1, micro);
      numbers.insert(numbers.end(), part.Numbers.begin(), part.Numbers.end());
      pixels.insert(pixels.end(), part.Pixels.begin(), part.Pixels.end());
    }
  EXPECT_EQ(numbers, whole.Numbers);
  EXPECT_EQ(pixels, whole.Pixels);
}

TEST_F(Batches, badSamplesAreReplacedTheSameWayEverywhere) {
  auto good = order(3);
  Files.write("clips/c5.mp4", "");
  std::filesystem::remove(Files.path("clips/c7.mp4"));
  // Under another name, since the process's frame cache knows the first one.
  std::filesystem::rename(Files.path("clips"), Files.path("damaged"));
  Program.datasets["train"].media = "damaged/";
  Program.datasets["train"].skip = 0.2;
  Options.workers = 1;
  auto one = open();
  Options.workers = 4;
  auto four = open();
  std::vector<int32_t> seen;
  std::vector<std::string> reasons;
  for (int step = 0; step < 3; ++step) {
    Filled filled = fill(*one, step);
    EXPECT_TRUE(filled == fill(*four, step));
    seen.insert(seen.end(), filled.Numbers.begin(), filled.Numbers.end());
    for (const Replacement &replaced : filled.Report.replaced)
      reasons.push_back(replaced.sample + " " + replaced.reason);
  }
  ASSERT_GE(reasons.size(), 2u);
  std::sort(reasons.begin(), reasons.end());
  EXPECT_THAT(reasons.front(), HasSubstr("train.json: record 5"));
  EXPECT_THAT(reasons.front(), HasSubstr("c5.mp4: is empty"));
  EXPECT_THAT(reasons.back(), HasSubstr("c7.mp4: does not exist"));
  for (int i = 0; i < Clips; ++i) {
    EXPECT_NE(seen[i], 5);
    EXPECT_NE(seen[i], 7);
    if (good[i] != 5 && good[i] != 7)
      EXPECT_EQ(seen[i], good[i]);
  }
  // Two ranks see the same replacements, and agree on the totals.
  Options.world = 2;
  Stage.batch["main"].rows = 2;
  Options.rank = 0;
  auto first = open();
  Options.rank = 1;
  auto second = open();
  for (int step = 0; step < 3; ++step) {
    Filled a = fill(*first, step), b = fill(*second, step);
    EXPECT_EQ(a.Supervised, b.Supervised);
    a.Numbers.insert(a.Numbers.end(), b.Numbers.begin(), b.Numbers.end());
    EXPECT_EQ(a.Numbers,
              std::vector<int32_t>(seen.begin() + 4 * step, seen.begin() + 4 * step + 4));
  }
}

// `fallback: media`: what is said of a clip that cannot be read is said of another one.
TEST_F(Batches, aClipAloneIsReplaced) {
  auto good = order(3);
  Files.write("clips/c5.mp4", "");
  std::filesystem::rename(Files.path("clips"), Files.path("damaged"));
  Program.datasets["train"].media = "damaged/";
  Program.datasets["train"].skip = 0.2;
  Stage.batch["main"].media->fallback = "media";
  auto replaced = open();
  Stage.batch["main"].media->fallback = "sample";
  auto whole = open();
  std::vector<int32_t> said, clips;
  std::vector<std::string> names;
  for (int step = 0; step < 3; ++step) {
    Filled filled = fill(*replaced, step), other = fill(*whole, step);
    said.insert(said.end(), filled.Numbers.begin(), filled.Numbers.end());
    // The same other record is drawn: with its text or without.
    EXPECT_EQ(filled.Pixels, other.Pixels);
    clips.insert(clips.end(), other.Numbers.begin(), other.Numbers.end());
    for (const Replacement &each : filled.Report.replaced)
      names.push_back(each.sample);
  }
  EXPECT_EQ(said, good);
  EXPECT_NE(clips, good);
  ASSERT_FALSE(names.empty());
  EXPECT_THAT(names, Each(HasSubstr("record 5")));
}

TEST_F(Batches, overTheLimitEndsTheRun) {
  Files.write("clips/c5.mp4", "");
  Files.write("clips/c6.mp4", "");
  Program.datasets["train"].skip = 0.1;
  EXPECT_THAT(failure([&] { order(3); }),
              HasSubstr("2 of 12 samples of dataset `train` cannot be used, more than the 10%"));
  Program.datasets["train"].skip = 0;
  EXPECT_THAT(failure([&] { order(3); }), HasSubstr(".mp4: is empty"));
}

// What an earlier run has found counts towards the limit.
TEST_F(Batches, theLimitHoldsOverAResume) {
  Files.write("clips/c5.mp4", "");
  Program.datasets["train"].skip = 0.1;
  Tensors tensors(Stage.batch["main"]);
  BatchReport report;
  auto first = open();
  for (int64_t step = 0; step < 12; ++step)
    first->fill(step, 0, tensors.all(), report);
  auto found = first->unusable();
  ASSERT_EQ(found.at("train").size(), 1u);
  Files.write("clips/c6.mp4", "");
  auto second = open();
  second->noteUnusable(found);
  EXPECT_EQ(second->unusable(), found);
  auto third = open();
  found["train"] = {(found["train"][0] + 6) % 12};
  found["none"] = {1};
  found["train"].push_back(1 << 20);
  third->noteUnusable(found);
  EXPECT_EQ(third->unusable().at("train").size(), 1u);
  EXPECT_THAT(failure([&] {
                for (int64_t step = 0; step < 12; ++step)
                  third->fill(step, 0, tensors.all(), report);
              }),
              HasSubstr("more than the 10%"));
}

TEST_F(Batches, faults) {
  Stage.batch["main"].fields[1].of = {"n0"};
  EXPECT_THAT(failure([&] { order(3); }), HasSubstr("but one of n0 is needed"));
  Stage.batch["main"].fields.pop_back();
  auto source = open();
  Tensors tensors(Stage.batch["main"]);
  HostTensors all = tensors.all();
  all["surprise"] = all["batch.samples"];
  BatchReport report;
  EXPECT_THAT(failure([&] { source->fill(0, 0, all, report); }, Exit::Internal),
              HasSubstr("`surprise`"));
  Files.write("train.json", "[]");
  EXPECT_THAT(failure([&] { open(); }), HasSubstr("has no records"));
}

} // namespace
