// SPDX-License-Identifier: Apache-2.0
//
// Rows of several samples: where each lies, and what is written there.
#include "runtime/data/batches/PackedRows.h"
#include "runtime/data/batches/SampleMaker.h"
#include "tests/runtime_data/Scratch.h"

#include <gmock/gmock.h>
#include <random>

using namespace vcc::runtime;
using namespace vcc::runtime::data;
using namespace vcc::runtime::test;
using testing::ElementsAre;

namespace {

manifest::Field packedField(int64_t maxTokens, int64_t visual, int64_t pack, int64_t rowTokens) {
  manifest::Field field;
  field.name = "text";
  field.maxTokens = maxTokens;
  field.visual = visual;
  field.length = maxTokens + visual;
  field.pack = pack;
  field.packedTokens = rowTokens;
  return field;
}

/// `text` tokens that count from `first`, all of them supervised, with visual positions before the second.
TextRow sampleOf(const manifest::Field &field, int64_t text, int32_t first) {
  TextRow row;
  row.Ids.assign(field.length, 0);
  row.Labels.assign(field.length, TextField::Unsupervised);
  row.Tokens = text;
  row.Length = static_cast<int32_t>(text + field.visual);
  row.VisualAt = field.visual ? std::min<int64_t>(1, text) : -1;
  for (int64_t i = 0; i < text; ++i) {
    int64_t at = i + (i ? field.visual : 0);
    row.Ids[at] = row.Labels[at] = first + static_cast<int32_t>(i);
  }
  return row;
}

TEST(PackedRows, LieBesideEachOtherAndWithinTheirRow) {
  std::random_device seeds;
  unsigned seed = seeds();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  auto below = [&](int64_t count) { return static_cast<int64_t>(random() % static_cast<uint64_t>(count)); };
  for (int round = 0; round < 300; ++round) {
    int64_t pack = 2 + below(4), rows = 1 + below(4), most = 1 + below(20), visual = below(2) ? 0 : below(6);
    int64_t room = below(2) ? pack * most : 1 + below(pack * most);
    manifest::Field field = packedField(most, visual, pack, room);
    std::vector<TextRow> samples;
    for (int64_t i = 0; i < rows * pack; ++i)
      samples.push_back(sampleOf(field, 1 + below(most), 0));
    std::vector<const TextRow *> pointers;
    for (const TextRow &sample : samples)
      pointers.push_back(&sample);
    auto places = packedPlaces(field, pointers);
    if (!places) {
      EXPECT_LT(room, pack * most) << "rows of whole samples hold any";
      continue;
    }
    std::vector<int64_t> next(static_cast<size_t>(rows)), tokens(static_cast<size_t>(rows));
    for (size_t i = 0; i < samples.size(); ++i) {
      ASSERT_LT((*places)[i].Row, rows);
      auto row = static_cast<size_t>((*places)[i].Row);
      EXPECT_EQ((*places)[i].First, next[row]);
      next[row] += samples[i].Length, tokens[row] += samples[i].Tokens;
    }
    for (int64_t row = 0; row < rows; ++row) {
      EXPECT_LE(next[static_cast<size_t>(row)], field.rowLength());
      EXPECT_LE(tokens[static_cast<size_t>(row)], room);
    }
  }
}

TEST(PackedRows, LongOnesGoWhereShortOnesLeaveRoom) {
  manifest::Field field = packedField(8, 0, 2, 9);
  std::vector<TextRow> samples{sampleOf(field, 1, 0), sampleOf(field, 2, 0), sampleOf(field, 7, 0), sampleOf(field, 8, 0)};
  auto places = packedPlaces(field, {&samples[0], &samples[1], &samples[2], &samples[3]});
  ASSERT_TRUE(places);
  EXPECT_EQ((*places)[0].Row, (*places)[3].Row);
  EXPECT_EQ((*places)[1].Row, (*places)[2].Row);
  samples[0] = sampleOf(field, 2, 0);
  EXPECT_FALSE(packedPlaces(field, {&samples[0], &samples[1], &samples[2], &samples[3]}));
}

TEST(PackedRows, AreWritten) {
  manifest::Batch batch;
  batch.rows = 3;
  batch.fields = {packedField(4, 2, 3, 8)};
  RowTexts samples[3];
  for (int i = 0; i < 3; ++i) {
    samples[i].Texts = {sampleOf(batch.fields[0], i == 1 ? 1 : 3, 10 * (i + 1))};
    samples[i].Texts[0].Padding = 9;
    samples[i].Id = i;
  }
  Tensors tensors(batch);
  BatchWriter writer(batch, tensors.all());
  writer.packedTexts({&samples[0], &samples[1], &samples[2]});
  for (int64_t i = 0; i < 3; ++i)
    writer.row(i, samples[i], nullptr);
  constexpr int N = -100;
  EXPECT_THAT(tensors.get<int32_t>("text.ids"), ElementsAre(10, 0, 0, 11, 12, 20, 0, 0, 30, 0, 0, 31, 32, 9));
  EXPECT_THAT(tensors.get<int32_t>("text.labels"), ElementsAre(N, N, N, 11, 12, N, N, N, N, N, N, 31, 32, N));
  EXPECT_THAT(tensors.get<int32_t>("text.at"), ElementsAre(-1, 0, 1, -1, -1, -1, 2, 3, -1, 4, 5, -1, -1, -1));
  EXPECT_THAT(tensors.get<int32_t>("text.starts"), ElementsAre(0, 0, 0, 0, 0, 5, 5, 5, 8, 8, 8, 8, 8, 13));
  EXPECT_THAT(tensors.get<int32_t>("text.targets"), ElementsAre(2, 3, 10, 11, -1, -1, -1, -1));
  EXPECT_THAT(tensors.get<int32_t>("text.length"), ElementsAre(13));
  EXPECT_THAT(tensors.get<int32_t>("batch.ids"), ElementsAre(0, 1, 2));
}

} // namespace
