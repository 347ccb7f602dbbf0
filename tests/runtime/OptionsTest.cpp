// SPDX-License-Identifier: Apache-2.0
//
// The command line.
#include "runtime/loop/Options.h"
#include "runtime/program/Failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vcc::runtime {
namespace {

using testing::HasSubstr;

std::string errorOf(const std::vector<std::string> &arguments) {
  try {
    parseOptions(arguments);
    return "";
  } catch (const Failure &failure) {
    EXPECT_EQ(failure.code(), Exit::Usage);
    return failure.what();
  }
}

TEST(Options, AreRead) {
  EXPECT_EQ(parseOptions({}).action, Options::Action::Overview);
  Options options = parseOptions({"--stage=3", "--data", "d", "--weights", "w", "--out=o", "--max-steps", "40", "--seed",
                                  "18446744073709551615", "--resume", "never", "--threads", "2", "--dump", "0,1,17"});
  EXPECT_EQ(options.action, Options::Action::Train);
  EXPECT_EQ(options.stage, "3");
  EXPECT_EQ(options.out, "o");
  EXPECT_EQ(options.maxSteps, 40);
  EXPECT_EQ(options.seed, ~0ull);
  EXPECT_FALSE(options.resume);
  EXPECT_EQ(options.dump, (std::set<int64_t>{0, 1, 17}));
  EXPECT_EQ(parseOptions({"--manifest"}).action, Options::Action::Manifest);
  EXPECT_EQ(parseOptions({"--stage", "1", "-h"}).action, Options::Action::Help);
  EXPECT_TRUE(parseOptions({"--stage", "1", "--synthetic"}).synthetic);
  EXPECT_THAT(errorOf({"--evaluate", "all", "--synthetic"}), HasSubstr("--synthetic has nothing to evaluate"));
  EXPECT_THAT(helpText("x"), HasSubstr("--max-steps N"));
  EXPECT_THAT(helpText("x"), HasSubstr("--profile[=FILE]"));
}

TEST(Options, ProfileTakesAFileOnlyByEquals) {
  Options options = parseOptions({"--profile", "--stage", "1"});
  EXPECT_TRUE(options.profile);
  EXPECT_EQ(options.profileFile, "");
  EXPECT_EQ(options.profileSteps, 10);
  options = parseOptions({"--stage", "1", "--profile=a.json", "--profile-steps", "4"});
  EXPECT_EQ(options.profileFile, "a.json");
  EXPECT_EQ(options.profileSteps, 4);
  EXPECT_FALSE(parseOptions({"--stage", "1"}).profile);
}

TEST(Options, AreRefusedInWords) {
  EXPECT_THAT(errorOf({"--stag", "1"}), HasSubstr("did you mean `--stage`?"));
  EXPECT_THAT(errorOf({"--seed"}), HasSubstr("needs a value"));
  EXPECT_THAT(errorOf({"--seed", "-1"}), HasSubstr("not `-1`"));
  EXPECT_THAT(errorOf({"--threads", "0"}), HasSubstr("at least 1"));
  EXPECT_THAT(errorOf({"--dump", "1,,2"}), HasSubstr("--dump"));
  EXPECT_THAT(errorOf({"--resume", "maybe"}), HasSubstr("`auto`, `never` or `changed-data`"));
  EXPECT_THAT(errorOf({"--manifest=x"}), HasSubstr("takes no value"));
  EXPECT_THAT(errorOf({"train"}), HasSubstr("unexpected argument"));
  EXPECT_THAT(errorOf({"--stage", "1", "--profile", "a.json"}), HasSubstr("unexpected argument `a.json`"));
  EXPECT_THAT(errorOf({"--stage", "1", "--profile="}), HasSubstr("names no file"));
  EXPECT_THAT(errorOf({"--stage", "1", "--profile-steps", "0"}), HasSubstr("at least 1"));
  EXPECT_THAT(errorOf({"--profile"}), HasSubstr("none is named"));
  EXPECT_THAT(errorOf({"--stage", "1", "--evaluate", "all", "--profile"}), HasSubstr("while it trains"));
}

} // namespace
} // namespace vcc::runtime
