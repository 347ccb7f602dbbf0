// SPDX-License-Identifier: Apache-2.0
//
// Safetensors: what is written reads back; what is hostile is refused by name.
#include "runtime/program/Failure.h"
#include "runtime/weights/WeightsFile.h"
#include "tests/Seed.h"
#include "tests/runtime/Scratch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace vcc::runtime {
namespace {

using test::Scratch;
using testing::HasSubstr;

std::string fileOf(std::string_view header, std::string_view data, uint64_t length = ~0ull) {
  if (length == ~0ull)
    length = header.size();
  std::string text(reinterpret_cast<const char *>(&length), sizeof length);
  return text + std::string(header) + std::string(data);
}

std::string errorOf(const Scratch &scratch, std::string_view content) {
  try {
    Safetensors file(scratch.write("x.safetensors", content));
    return "";
  } catch (const Failure &failure) {
    EXPECT_EQ(failure.code(), Exit::Data);
    return failure.what();
  }
}

TEST(Hash, AgreesWithPublishedValues) {
  EXPECT_EQ(hexOf(hashOf("", 0)), "ef46db3751d8e999");
  EXPECT_EQ(hexOf(hashOf("abc", 3)), "44bc2cf5ad770999");
  std::string text = "The quick brown fox jumps over the lazy dog, twice or more.";
  Hash pieces;
  for (char c : text)
    pieces.update(&c, 1);
  EXPECT_EQ(pieces.digest(), hashOf(text.data(), text.size()));
}

TEST(Safetensors, RoundTrip) {
  Scratch scratch;
  std::mt19937 random(vcc::test::chosenSeed());
  std::vector<float> a(6);
  for (float &value : a)
    value = std::normal_distribution<float>()(random);
  std::vector<uint8_t> b = {1, 2, 3};
  int64_t scalar = -7;
  auto bytes = [](const auto &x) { return reinterpret_cast<const std::byte *>(x); };
  std::string path = scratch.path("a.safetensors");
  Written written = writeSafetensors(path,
                                     {{"b", {DType::U8, {3}, bytes(b.data())}},
                                      {"a.\"quoted\"", {DType::F32, {2, 3}, bytes(a.data())}},
                                      {"scalar", {DType::I64, {}, bytes(&scalar)}},
                                      {"empty", {DType::F32, {0, 4}, nullptr}}},
                                     {{"key", "value"}});
  Safetensors file(path);
  EXPECT_EQ(file.tensors().size(), 4u);
  EXPECT_EQ(file.metadata().at("key"), "value");
  const TensorView *view = file.find("a.\"quoted\"");
  ASSERT_TRUE(view);
  EXPECT_EQ(view->shape, (Shape{2, 3}));
  EXPECT_EQ(std::memcmp(view->data, a.data(), view->bytes()), 0);
  EXPECT_EQ(std::memcmp(file.find("scalar")->data, &scalar, 8), 0);
  EXPECT_EQ(file.find("missing"), nullptr);
  MappedFile raw(path);
  EXPECT_EQ(written.bytes, int64_t(raw.size()));
  EXPECT_EQ(written.hash, hashOf(raw.data(), raw.size()));
}

TEST(Safetensors, ReadsShards) {
  Scratch scratch;
  float one = 1, two = 2;
  auto bytes = [](const float *x) { return reinterpret_cast<const std::byte *>(x); };
  writeSafetensors(scratch.path("m-1.safetensors"), {{"one", {DType::F32, {1}, bytes(&one)}}}, {});
  writeSafetensors(scratch.path("m-2.safetensors"), {{"two", {DType::F32, {1}, bytes(&two)}}}, {});
  std::string index = scratch.write("m.safetensors.index.json",
                                    R"({"weight_map":{"one":"m-1.safetensors","two":"m-2.safetensors"}})");
  EXPECT_EQ(WeightsFile(index).tensors().size(), 2u);
  EXPECT_EQ(WeightsFile(scratch.root()).tensors().size(), 2u);
  scratch.write("m.safetensors.index.json", R"({"weight_map":{"one":"m-2.safetensors"}})");
  EXPECT_THROW(WeightsFile{index}, Failure);
  scratch.write("m.safetensors.index.json", R"({"weight_map":{"one":"../x.safetensors"}})");
  EXPECT_THROW(WeightsFile{index}, Failure);
}

TEST(Safetensors, RefusesHostileHeaders) {
  Scratch scratch;
  EXPECT_THAT(errorOf(scratch, ""), HasSubstr("too short"));
  EXPECT_THAT(errorOf(scratch, "abc"), HasSubstr("too short"));
  EXPECT_THAT(errorOf(scratch, fileOf("{}", "", 1ull << 62)), HasSubstr("header of"));
  EXPECT_THAT(errorOf(scratch, fileOf("{}", "", 3)), HasSubstr("header of"));
  EXPECT_THAT(errorOf(scratch, fileOf("{\"a\":", "")), HasSubstr("not JSON"));
  EXPECT_THAT(errorOf(scratch, fileOf("[]", "")), HasSubstr("object is needed"));
  auto tensor = [](std::string_view body) { return "{\"a\":" + std::string(body) + "}"; };
  EXPECT_THAT(errorOf(scratch, fileOf(tensor("3"), "")), HasSubstr("`a`"));
  EXPECT_THAT(errorOf(scratch, fileOf(tensor(R"({"dtype":"F31","shape":[],"data_offsets":[0,4]})"), "0000")),
              HasSubstr("F31"));
  EXPECT_THAT(errorOf(scratch, fileOf(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})"), "0000")),
              HasSubstr("the file holds 4"));
  EXPECT_THAT(errorOf(scratch, fileOf(tensor(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})"), "0000")),
              HasSubstr("lies at"));
  EXPECT_THAT(errorOf(scratch, fileOf(tensor(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"), "0000")),
              HasSubstr("at least 0"));
  EXPECT_THAT(errorOf(scratch, fileOf(tensor(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})"), "")),
              HasSubstr("more elements"));
  EXPECT_THAT(errorOf(scratch, fileOf(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"), "0000")),
              HasSubstr("another number"));
  EXPECT_THAT(errorOf(scratch, fileOf(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})", "0000")),
              HasSubstr("overlap"));
  std::string deep(3000, '[');
  EXPECT_THAT(errorOf(scratch, fileOf("{\"a\":" + deep, "")), HasSubstr("not JSON"));
}

TEST(Safetensors, SurvivesDamagedBytes) {
  Scratch scratch;
  float values[4] = {1, 2, 3, 4};
  std::string path = scratch.path("a.safetensors");
  writeSafetensors(path, {{"a", {DType::F32, {4}, reinterpret_cast<const std::byte *>(values)}}}, {{"k", "v"}});
  std::string good = test::readFile(path);
  std::mt19937 random(vcc::test::chosenSeed());
  for (int i = 0; i < 2000; ++i) {
    std::string bad = good;
    for (int k = 0; k < 3; ++k)
      bad[random() % bad.size()] = char(random());
    if (random() % 4 == 0)
      bad.resize(random() % bad.size());
    try {
      Safetensors file(scratch.write("b.safetensors", bad));
      for (const auto &[name, view] : file.tensors())
        hashOf(view.data, view.bytes());
    } catch (const Failure &failure) {
      EXPECT_EQ(failure.code(), Exit::Data);
    }
  }
}

TEST(FileWriter, LeavesNothingHalfWritten) {
  Scratch scratch;
  std::string path = scratch.path("x");
  { FileWriter(path).write("abc", 3); }
  EXPECT_FALSE(exists(path));
  writeWhole(path, "whole");
  EXPECT_EQ(readWhole(path), "whole");
  EXPECT_FALSE(exists(path + ".partial"));
  EXPECT_THROW(writeWhole(scratch.path("no/such/folder"), "x"), Failure);
}

} // namespace
} // namespace vcc::runtime
