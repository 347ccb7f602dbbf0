// SPDX-License-Identifier: Apache-2.0
//
// The start rules: every fault names both sides.
#include "runtime/program/Failure.h"
#include "runtime/weights/Safetensors.h"
#include "runtime/weights/Start.h"
#include "tests/runtime/Scratch.h"
#include "tests/runtime/ToyProgram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace vcc::runtime {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class StartRules : public testing::Test {
protected:
  StartRules() {
    const VccProgram &program = test::toyProgram();
    Manifest = manifest::parseManifest({program.manifest, program.manifest_bytes});
  }
  void writeFit(std::vector<std::string> names, int64_t width = 4) {
    std::vector<NamedTensor> tensors;
    for (const std::string &name : names)
      tensors.push_back({name, {DType::F32, {name == "model.weight" ? width : 1}, reinterpret_cast<std::byte *>(Values)}});
    makeFolders(Scratch.path("out/fit"));
    writeSafetensors(Scratch.path("out/fit/weights.safetensors"), tensors, {{IdentityKey, "x"}});
  }
  std::string start(bool trained = true) {
    try {
      Result = startWeights(Manifest, Manifest.stages[1], {Scratch.path("out"), Scratch.path("weights"), trained},
                            [this](const manifest::State &state) {
                              return reinterpret_cast<std::byte *>(state.path == "model.weight" ? Weight : Other);
                            });
      return "";
    } catch (const Failure &failure) {
      EXPECT_EQ(failure.code(), Exit::Data);
      Help = failure.help();
      return failure.what();
    }
  }
  test::Scratch Scratch;
  manifest::Manifest Manifest;
  Provenance Result;
  std::string Help;
  float Values[8] = {1, 2, 3, 4, 5, 6, 7, 8}, Weight[8] = {}, Other[8] = {};
};

TEST_F(StartRules, ReadsFromAStage) {
  writeFit({"model.weight", "model.bias", "shift.offset"});
  EXPECT_EQ(start(), "");
  EXPECT_EQ(Weight[3], 4);
  EXPECT_EQ(Result.stages.at("fit"), "x");
  EXPECT_THAT(Result.file.at("model.bias").file, HasSubstr("fit/weights.safetensors"));
  EXPECT_EQ(start(false), "");
  EXPECT_EQ(Result.file.count("model.bias"), 0u); // trained weights come from a checkpoint
}

TEST_F(StartRules, PrefersTheFirstSourceThatExists) {
  writeFit({"model.weight", "model.bias", "shift.offset"});
  makeFolders(Scratch.path("weights"));
  float bias = 42;
  writeSafetensors(Scratch.path("weights/bias.safetensors"), {{"model.bias", {DType::F32, {1}, reinterpret_cast<std::byte *>(&bias)}}}, {});
  EXPECT_EQ(start(), "");
  EXPECT_THAT(Result.file.at("model.bias").file, HasSubstr("bias.safetensors"));
}

TEST_F(StartRules, NamesMissingTensors) {
  writeFit({"model.weights", "model.bias", "shift.offset"});
  EXPECT_THAT(start(), AllOf(HasSubstr("`model.weight` [4] is not in"), HasSubstr("did you mean `model.weights`?"),
                             HasSubstr("holds `model.weights` [1], which no part of the recipe has")));
}

TEST_F(StartRules, NamesBothShapes) {
  writeFit({"model.weight", "model.bias", "shift.offset"}, 3);
  EXPECT_THAT(start(), AllOf(HasSubstr("`model.weight` is [3] in"), HasSubstr("needs [4]")));
}

TEST_F(StartRules, NamesMissingFiles) {
  EXPECT_THAT(start(), AllOf(HasSubstr("2 weights (`model.weight`, ...)"), HasSubstr("bias.safetensors")));
}

TEST_F(StartRules, RefusesWhatF16CannotHold) {
  for (manifest::State &state : Manifest.stages[1].states)
    if (state.path == "model.weight")
      state.dtype = DType::F16, state.bytes = 8;
  Values[2] = 65519;
  writeFit({"model.weight", "model.bias", "shift.offset"});
  EXPECT_EQ(start(), "");
  uint16_t read[4];
  std::memcpy(read, Weight, sizeof read);
  EXPECT_EQ(read[0], 0x3c00);
  EXPECT_EQ(read[2], 0x7bff);
  Values[2] = 70000;
  writeFit({"model.weight", "model.bias", "shift.offset"});
  EXPECT_THAT(start(), AllOf(HasSubstr("`model.weight` has at element 2 in"), HasSubstr("a number that f16 cannot hold")));
  EXPECT_THAT(Help, HasSubstr("`precision bf16` has the range of f32"));
}

TEST_F(StartRules, FollowsReferencesAndChecksThem) {
  writeFit({"model.bias", "shift.offset"});
  float weight[4] = {9, 8, 7, 6};
  auto *bytes = reinterpret_cast<std::byte *>(weight);
  makeFolders(Scratch.path("out/older"));
  writeSafetensors(Scratch.path("out/older/weights.safetensors"), {{"model.weight", {DType::F32, {4}, bytes}}}, {});
  auto refer = [&](const std::string &hash) {
    std::string references = R"({"model.weight":{"file":"../older/weights.safetensors","hash":")" + hash + "\"}}";
    writeSafetensors(Scratch.path("out/fit/weights.safetensors"),
                     {{"model.bias", {DType::F32, {1}, bytes}}, {"shift.offset", {DType::F32, {1}, bytes}}},
                     {{IdentityKey, "x"}, {ReferencesKey, references}});
  };
  refer(hexOf(hashOf(weight, sizeof weight)));
  EXPECT_EQ(start(), "");
  EXPECT_EQ(Weight[0], 9);
  EXPECT_THAT(Result.file.at("model.weight").file, HasSubstr("older/weights.safetensors"));
  // A stage in bf16 keeps what it does not train in bf16.
  uint16_t narrow[4] = {0x4110, 0x4100, 0x40e0, 0x40c0};
  refer(hexOf(hashOf(narrow, sizeof narrow)));
  EXPECT_EQ(start(), "");
  EXPECT_EQ(Weight[0], 9);
  // One in fp16 in f16.
  uint16_t halves[4] = {0x4880, 0x4800, 0x4700, 0x4600};
  refer(hexOf(hashOf(halves, sizeof halves)));
  EXPECT_EQ(start(), "");
  EXPECT_EQ(Weight[0], 9);
  refer("0000000000000000");
  EXPECT_THAT(start(), HasSubstr("is not what"));
}

TEST_F(StartRules, FollowsReferencesToOtherKeysAndTypes) {
  uint16_t halves[4] = {0x3c00, 0xc000, 0x0001, 0x7bff};
  float weight[4] = {1, -2, 0x1p-24f, 65504};
  auto *bytes = reinterpret_cast<std::byte *>(Values);
  makeFolders(Scratch.path("out/fit"));
  writeSafetensors(Scratch.path("theirs.safetensors"), {{"theirs", {DType::F16, {4}, reinterpret_cast<std::byte *>(halves)}}}, {});
  std::string references = R"({"model.weight":{"file":"../../theirs.safetensors","key":"theirs","hash":")" +
                           hexOf(hashOf(weight, sizeof weight)) + "\"}}";
  writeSafetensors(Scratch.path("out/fit/weights.safetensors"),
                   {{"model.bias", {DType::F32, {1}, bytes}}, {"shift.offset", {DType::F32, {1}, bytes}}},
                   {{IdentityKey, "x"}, {ReferencesKey, references}});
  EXPECT_EQ(start(), "");
  EXPECT_EQ(std::memcmp(Weight, weight, sizeof weight), 0);
  EXPECT_EQ(Result.file.at("model.weight").key, "theirs");
}

} // namespace
} // namespace vcc::runtime
