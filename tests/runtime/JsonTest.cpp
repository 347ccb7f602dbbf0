// SPDX-License-Identifier: Apache-2.0
//
// JSON in and out, and the log's history.
#include "runtime/program/Json.h"
#include "runtime/report/History.h"
#include "runtime/report/Progress.h"
#include "tests/runtime/Scratch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace vcc::runtime {
namespace {

using testing::HasSubstr;

TEST(Json, WritesWhatItReads) {
  JsonWriter writer;
  writer.beginObject().member("text", "a\"\\\n\x01é").member("float", 0.1f).member("double", 0.1);
  writer.key("list").beginArray().value(1).value(true).null().beginObject().endObject().endArray();
  writer.member("nan", std::nan("")).member("big", ~uint64_t(0)).endObject();
  JsonDocument document(writer.text());
  JsonNode root = document.root();
  EXPECT_EQ(root.at("text").string(), "a\"\\\n\x01é");
  EXPECT_EQ(float(root.at("float").number()), 0.1f);
  EXPECT_EQ(root.at("double").number(), 0.1);
  EXPECT_EQ(root.at("list").items().size(), 4u);
  EXPECT_EQ(root.at("nan").string(), "nan");
  EXPECT_EQ(root.at("big").unsignedInteger(), ~0ull);
  EXPECT_FALSE(root.find("none"));
  EXPECT_THROW(root.at("text").integer(), JsonError);
}

TEST(History, ReadsLogs) {
  test::Scratch scratch;
  report::StepReport step;
  std::string text = "{\"event\":\"start\",\"at\":0}\n";
  for (int i = 0; i < 3; ++i) {
    step.step = i, step.values = {{"loss", 1.0 / (i + 1)}};
    if (i == 1)
      step.values.push_back({"loss.late", 2.0}), step.replaced = {{"a.mp4", "empty"}};
    else
      step.replaced.clear();
    step.seconds = 0.5;
    text += report::jsonOf(step) + "\n";
  }
  report::History history = report::readHistory(scratch.write("log", text + "{\"step\":3,\"lo"));
  EXPECT_EQ(history.steps, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(history.first("loss"), 1.0);
  EXPECT_FLOAT_EQ(history.last("loss"), 1.0f / 3);
  EXPECT_TRUE(std::isnan(history.values["loss.late"][0]));
  EXPECT_EQ(history.values["loss.late"][1], 2.0);
  EXPECT_EQ(history.replaced, 1);
  EXPECT_DOUBLE_EQ(history.seconds, 1.5);
  EXPECT_TRUE(report::readHistory(scratch.path("none")).empty());
  report::writePage(scratch.path("page.html"), "</script><b>", {{"s", history}});
  EXPECT_THAT(test::readFile(scratch.path("page.html")), Not(HasSubstr("</script><b>")));
}

} // namespace
} // namespace vcc::runtime
