// SPDX-License-Identifier: Apache-2.0
//
// Manifests: a whole one is read, a broken one is refused with the place.
#include "runtime/program/Failure.h"
#include "runtime/program/Manifest.h"
#include "tests/runtime/ToyProgram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vcc::runtime::manifest {
namespace {

using testing::HasSubstr;

std::string toyText() {
  const VccProgram &program = test::toyProgram();
  return {program.manifest, program.manifest_bytes};
}

std::string errorOf(const std::string &text) {
  try {
    parseManifest(text);
    return "";
  } catch (const Failure &failure) {
    EXPECT_EQ(failure.code(), Exit::Internal);
    return failure.what();
  }
}

std::string replaced(const std::string &from, const std::string &to) {
  std::string text = toyText();
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(Manifest, ReadsStages) {
  Manifest manifest = parseManifest(toyText());
  ASSERT_EQ(manifest.stages.size(), 2u);
  EXPECT_EQ(manifest.findStage("2"), &manifest.stages[1]);
  EXPECT_EQ(manifest.findStage("fit"), &manifest.stages[0]);
  EXPECT_EQ(manifest.findStage("3"), nullptr);
  const Stage &fit = manifest.stages[0];
  EXPECT_EQ(fit.accumulate, 2);
  EXPECT_EQ(fit.save.steps, 7);
  EXPECT_EQ(fit.states[0].gradient->offset, 128);
  EXPECT_TRUE(fit.states[3].isGroup());
  EXPECT_EQ(fit.find(Function::Role::Update)->outputs[0].name, "lr");
  EXPECT_EQ(manifest.stages[1].states[1].start[0].kind, Start::Kind::File);
}

TEST(Manifest, FindsGradientsInTheirGroup) {
  Manifest manifest = parseManifest(replaced(R"(,"gradient":{"region":"state","offset":192})", ""));
  EXPECT_EQ(manifest.stages[0].states[1].gradient->offset, 192);
}

const char *const Data = R"({"format":1,"recipe":"r",
    "tokenizers":{"t":{"kind":"wordpiece","file":"v.txt","vocab":96,"lowercase":true}},
    "datasets":{"d":{"file":"a.json","media":"clips/","record":{"media":{"keys":["video","image"]},
      "turns":{"key":"QA","fields":{"q":"question"}},"fields":{"kind":"kind"},"caption":"text"},"on_error":{"skip":0.01}}},
    "templates":{"x":{"segments":[{"role":"user","text":"{q}"}],"prompts":["p"]}},
    "stages":[{"name":"s","steps":1,"regions":{"weights":0,"state":0,"arena":0,"io":0},"states":[],
      "functions":[{"role":"micro"}],
      "batch":{"main":{"rows":2,"datasets":["d"],"media":{"name":"clip","frames":8,"height":64,"width":64,"crop":null},
        "fields":[{"name":"f","kind":"template","template":"x","tokenizer":"t","max_tokens":48,"visual":8}]}}}]})";

TEST(Manifest, ReadsData) {
  Manifest manifest = parseManifest(Data);
  EXPECT_EQ(manifest.datasets["d"].record.fields["caption"], "text");
  EXPECT_EQ(manifest.datasets["d"].record.turnFields["q"], "question");
  EXPECT_EQ(manifest.stages[0].batch["main"].fields[0].length, 56);
  EXPECT_TRUE(manifest.tokenizers["t"].lowercase);
}

/// A word that is none of those meant is told by its place and with all that would do, never taken for a default.
TEST(Manifest, KnowsEveryWord) {
  auto with = [](const std::string &before, const std::string &member) {
    std::string text = Data;
    size_t at = text.find(before);
    EXPECT_NE(at, std::string::npos) << before;
    return text.insert(at, member + ",");
  };
  for (auto [before, key, meant] : {std::tuple("\"name\":\"clip\"", "sample", "`middle`, `random`, `random_exclusive` or `still`"),
                                    std::tuple("\"name\":\"clip\"", "kind", "`any`, `image` or `video`"),
                                    std::tuple("\"name\":\"clip\"", "resize", "`exact` or `short_side`"),
                                    std::tuple("\"name\":\"clip\"", "fallback", "`sample` or `media`"),
                                    std::tuple("\"name\":\"f\"", "supervise", "`assistant`, `answer`, `roles`, `all` or `none`"),
                                    std::tuple("\"name\":\"f\"", "side", "`right` or `left`"),
                                    std::tuple("\"name\":\"f\"", "cut", "`right` or `left`"),
                                    std::tuple("\"name\":\"f\"", "spaces", "`trimmed` or `kept`"),
                                    std::tuple("\"name\":\"f\"", "prompt", "`sample` or `batch`"),
                                    std::tuple("\"rows\":2", "turn", "`all`, `random` or `shuffle`")}) {
    std::string error = errorOf(with(before, "\"" + std::string(key) + "\":\"sideways\""));
    EXPECT_THAT(error, HasSubstr(std::string(key) + "`: is `sideways`, but " + meant + " is needed"));
  }
  std::string crop = Data, role = Data;
  crop.replace(crop.find("\"crop\":null"), 11, "\"crop\":\"corner\"");
  EXPECT_THAT(errorOf(crop), HasSubstr("crop`: is `corner`, but `none`, `center` or `random` is needed"));
  role.replace(role.find("\"role\":\"user\""), 13, "\"role\":\"loser\"");
  EXPECT_THAT(errorOf(role), HasSubstr("templates.x.segments[0].role`: is `loser`, but `system`, `media`"));
}

TEST(Manifest, SaysWhereItIsWrong) {
  EXPECT_THAT(errorOf("{"), HasSubstr("not JSON"));
  EXPECT_THAT(errorOf("{}"), HasSubstr("has no `format`"));
  EXPECT_THAT(errorOf(replaced("\"format\":1", "\"format\":2")), HasSubstr("`format`: is 2, but this runtime reads 1"));
  EXPECT_THAT(errorOf(replaced("\"shape\":[4]", "\"shape\":[-4]")), HasSubstr("stages[0].states[0].shape[0]"));
  EXPECT_THAT(errorOf(replaced("\"shape\":[4]", "\"shape\":[400]")), HasSubstr("its region has 384 bytes"));
  EXPECT_THAT(errorOf(replaced("\"dtype\":\"f32\"", "\"dtype\":\"f31\"")), HasSubstr("`f31`"));
  EXPECT_THAT(errorOf(replaced("\"role\":\"micro\"", "\"role\":\"macro\"")), HasSubstr("`macro`"));
  EXPECT_THAT(errorOf(replaced("\"shape\":[4]", "\"transposed\":true,\"shape\":[4]")), HasSubstr("is transposed, but no frozen matrix"));
  EXPECT_THAT(errorOf(replaced("\"shape\":[4]", "\"transposed\":true,\"shape\":[2,2]")), HasSubstr("is transposed, but no frozen matrix"));
  EXPECT_THAT(errorOf(replaced("model.bias", "model.weight")), HasSubstr("a second time"));
  EXPECT_THAT(errorOf(replaced("{\"stage\":\"fit\"}", "{\"stage\":\"fat\"}")), HasSubstr("`fat`, which is not there"));
  EXPECT_THAT(errorOf(replaced("\"steps\":60", "\"steps\":0")), HasSubstr("above zero"));
  EXPECT_THAT(errorOf(replaced("\"dataset\":\"held\"", "\"dataset\":\"hold\"")), HasSubstr("`hold`"));
  EXPECT_THAT(errorOf(replaced("\"name\":\"tune\"", "\"name\":\"../x\"")), HasSubstr("cannot name a folder"));
}

} // namespace
} // namespace vcc::runtime::manifest
