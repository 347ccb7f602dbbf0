// SPDX-License-Identifier: Apache-2.0
//
// Batches with branches: which samples a step has on one rank and on several, datasets drawn by weight, lengths of texts.
#include "runtime/program/Failure.h"
#include "tests/runtime_data/Scratch.h"

#include <algorithm>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <map>
#include <set>

using namespace vcc::runtime;
using namespace vcc::runtime::test;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

struct Branches : testing::Test {
  Scratch Files;
  manifest::Manifest Program;
  manifest::Stage Stage;
  DataOptions Options;
  report::Log Log;

  Branches() {
    Options.dir = Files.dir();
    Program.tokenizers["pieces"] = {"pieces", "sentencepiece", Files.words("lm", {"a", "b"}), 5, false, {}, false};
    dataset("stills", 7);
    dataset("films", 12);
    Stage.batch["still"] = batch("still", {"stills"});
    Stage.batch["film"] = batch("film", {"films"});
  }

  /// Texts of 1 to 5 words; those of odd records are short.
  void dataset(const std::string &name, int count) {
    std::string json;
    for (int i = 0; i < count; ++i) {
      std::string text = "a";
      for (int w = 0; w < (i % 2 ? 0 : 1 + i % 4); ++w)
        text += " b";
      json += fmt::format("{}{{\"label\": \"{}\"}}", i ? "," : "[", text);
    }
    Files.write(name + ".json", json + "]");
    manifest::Dataset &made = Program.datasets[name];
    made.name = name;
    made.file = name + ".json";
  }

  static manifest::Batch batch(const std::string &branch, std::vector<std::string> datasets, int64_t tokens = 6,
                               const std::string &side = "right") {
    manifest::Batch made;
    made.variant = made.branch = branch;
    made.rows = 2;
    made.datasets = std::move(datasets);
    manifest::Field text;
    text.name = "text";
    text.tokenizer = "pieces";
    text.from = "label";
    text.supervise = "all";
    text.maxTokens = text.length = tokens;
    text.side = side;
    made.fields = {text};
    return made;
  }

  std::unique_ptr<BatchSource> open() { return openBatchSource(Program, Stage, Options, Log); }

  struct Filled {
    BatchSource::Micro Place;
    std::vector<int32_t> Ids, LocalIds, Text, Lengths;
    float Supervised, Samples;
  };
  Filled fill(BatchSource &source, int64_t step, int micro) {
    Filled out;
    out.Place = source.micro(step, micro);
    Tensors tensors(Stage.batch.at(out.Place.variant));
    HostTensors needed = tensors.all();
    needed.erase("text.at");
    BatchReport report;
    source.fill(step, micro, needed, report);
    out.Ids = tensors.get<int32_t>("batch.ids");
    out.LocalIds = tensors.get<int32_t>("batch.local_ids");
    out.Text = tensors.get<int32_t>("text.ids");
    out.Lengths = tensors.get<int32_t>("text.length");
    out.Supervised = tensors.get<float>("text.supervised")[0];
    out.Samples = tensors.get<float>("batch.samples")[0];
    return out;
  }
};

// Three micro-batches of stills, six of films: each once an epoch, and a sample at most once.
TEST_F(Branches, eachBatchOnceAnEpoch) {
  auto source = open();
  EXPECT_EQ(source->stepAt(1), 9);
  EXPECT_THAT(source->account(), HasSubstr("film: 6 micro-batches of 2 an epoch"));
  EXPECT_THAT(source->account(), HasSubstr("still: 3 micro-batches of 2 an epoch, 1 of 7 samples left out in turn"));
  std::vector<std::string> first;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::multiset<std::string> names;
    std::set<int32_t> ids;
    std::vector<std::string> order;
    for (int step = 0; step < 9; ++step) {
      ASSERT_EQ(source->micros(9 * epoch + step), 1);
      Filled filled = fill(*source, 9 * epoch + step, 0);
      names.insert(filled.Place.variant);
      order.push_back(filled.Place.variant);
      ids.insert(filled.Ids.begin(), filled.Ids.end());
      for (int32_t id : filled.Ids)
        EXPECT_EQ(filled.Place.variant, id < 12 ? "film" : "still"); // branches are numbered by name
    }
    EXPECT_EQ(names.count("still"), 3u);
    EXPECT_EQ(ids.size(), 18u);
    if (epoch == 0)
      first = order;
    else
      EXPECT_NE(order, first) << "of epoch " << epoch;
  }
}

// What ranks see of a step is what one rank sees of the joined batch, whatever the step is made of.
TEST_F(Branches, ranksShareEveryMicroBatch) {
  dataset("stills", 9);
  for (const char *across : {"mixed", "one_modality", "every_modality"}) {
    Stage.accumulate = 2, Stage.across = across, Stage.rest = "carry";
    auto load = [&](int rank, int world, int64_t rows) {
      Options.rank = rank, Options.world = world;
      for (auto &[name, batch] : Stage.batch)
        batch.rows = rows;
      return open();
    };
    auto single = load(0, 1, 4);
    std::vector<std::vector<Filled>> whole;
    for (int step = 0; step < 4; ++step) {
      whole.emplace_back();
      for (int micro = 0; micro < single->micros(step); ++micro)
        whole.back().push_back(fill(*single, step, micro));
    }
    auto first = load(0, 2, 2), second = load(1, 2, 2);
    for (int step = 0; step < 4; ++step) {
      ASSERT_EQ(first->micros(step), int(whole[size_t(step)].size()));
      for (int micro = 0; micro < first->micros(step); ++micro) {
        Filled a = fill(*first, step, micro), b = fill(*second, step, micro);
        const Filled &joined = whole[size_t(step)][size_t(micro)];
        EXPECT_EQ(a.Place.variant, joined.Place.variant);
        EXPECT_EQ(b.Place.variant, joined.Place.variant);
        EXPECT_EQ(a.Place.first, joined.Place.first);
        a.Ids.insert(a.Ids.end(), b.Ids.begin(), b.Ids.end());
        EXPECT_EQ(a.Ids, joined.Ids);
        EXPECT_EQ(a.Supervised, joined.Supervised);
        EXPECT_EQ(b.Supervised, joined.Supervised);
        EXPECT_EQ(a.Samples, joined.Samples);
      }
    }
  }
}

// Two shares to one: in every epoch exactly, and no record twice before all of its dataset came.
TEST_F(Branches, weightsAreShares) {
  Stage.batch.erase("still");
  Stage.batch["film"].datasets = {"films", "stills"}; // 19 samples: 9 micro-batches of 2
  Stage.batch["film"].weights = {1, 2};
  dataset("stills", 8); // 20 samples: 10 micro-batches, 7 of the films and 13 of the stills an epoch
  auto source = open();
  std::map<int32_t, int> seen;
  for (int epoch = 0; epoch < 8; ++epoch) {
    int films = 0;
    for (int step = 0; step < 10; ++step)
      for (int32_t id : fill(*source, 10 * epoch + step, 0).Ids) {
        films += id < 12;
        ++seen[id];
      }
    EXPECT_EQ(films, 7);
  }
  for (const auto &[id, times] : seen) // 56 of 12 films, 104 of 8 stills
    if (id < 12)
      EXPECT_TRUE(times == 4 || times == 5) << id << " " << times;
    else
      EXPECT_EQ(times, 13) << id;
}

// A micro-batch takes the shortest variant that holds its texts, on all ranks the same, and its rows are those of the longest.
TEST_F(Branches, textsDecideOnTheVariant) {
  for (const char *side : {"right", "left"}) {
    Stage.batch.clear();
    Stage.batch["film.6"] = batch("film", {"films"}, 6, side);
    Stage.batch["film.6"].variant = "film.6";
    Options.rank = 0, Options.world = 1;
    auto plain = open();
    std::vector<Filled> whole;
    for (int step = 0; step < 6; ++step)
      whole.push_back(fill(*plain, step, 0));
    for (int64_t length : {2, 4}) {
      std::string name = fmt::format("film.{}", length);
      Stage.batch[name] = batch("film", {"films"}, length, side);
      Stage.batch[name].variant = name;
    }
    auto source = open();
    std::set<std::string> used;
    for (int step = 0; step < 6; ++step) {
      Filled filled = fill(*source, step, 0);
      const Filled &same = whole[size_t(step)];
      used.insert(filled.Place.variant);
      int64_t length = Stage.batch.at(filled.Place.variant).fields[0].length, longest = *std::max_element(same.Lengths.begin(), same.Lengths.end());
      EXPECT_LE(longest, length);
      EXPECT_TRUE(length == 2 || longest > length - 2) << longest << " in " << length;
      EXPECT_EQ(filled.Lengths, same.Lengths);
      EXPECT_EQ(filled.Supervised, same.Supervised);
      for (int64_t r = 0; r < 2; ++r)
        for (int64_t i = 0; i < length; ++i) {
          int64_t skip = std::string(side) == "left" ? 6 - length : 0;
          EXPECT_EQ(filled.Text[size_t(r * length + i)], same.Text[size_t(r * 6 + skip + i)]);
        }
    }
    EXPECT_GT(used.size(), 1u);
    // Of two ranks with one row each, the one with the short text takes the longer variant too.
    for (auto &[variant, made] : Stage.batch)
      made.rows = 1;
    Options.world = 2;
    auto first = open();
    Options.rank = 1;
    auto second = open();
    for (int step = 0; step < 6; ++step) {
      Filled a = fill(*first, step, 0), b = fill(*second, step, 0);
      EXPECT_EQ(a.Place.variant, b.Place.variant);
      EXPECT_GE(Stage.batch.at(a.Place.variant).fields[0].length, std::max(a.Lengths[0], b.Lengths[0]));
      EXPECT_THAT(a.Lengths, ElementsAre(whole[size_t(step)].Lengths[0]));
      EXPECT_THAT(b.Lengths, ElementsAre(whole[size_t(step)].Lengths[1]));
    }
  }
}

// Fewer samples than a micro-batch has rows: all of them in the epoch's only one, in another order every time round.
TEST_F(Branches, fewSamplesComeRoundSeveralTimes) {
  Stage.batch.erase("film");
  Stage.batch["still"].rows = 17;
  auto source = open();
  EXPECT_EQ(source->stepAt(3), 3);
  EXPECT_THAT(source->account(), HasSubstr("still: 1 micro-batches of 17 an epoch, in which 7 samples come round several times"));
  std::vector<int32_t> ids = fill(*source, 1, 0).Ids;
  std::vector<int32_t> first(ids.begin(), ids.begin() + 7), second(ids.begin() + 7, ids.begin() + 14);
  EXPECT_NE(first, second);
  EXPECT_EQ(std::set<int32_t>(first.begin(), first.end()).size(), 7u);
  EXPECT_EQ(std::set<int32_t>(second.begin(), second.end()).size(), 7u);
}

TEST_F(Branches, faults) {
  Files.write("stills.json", "[]");
  EXPECT_THAT(failure([&] { open(); }), HasSubstr("dataset `stills` has no records"));
}

} // namespace
