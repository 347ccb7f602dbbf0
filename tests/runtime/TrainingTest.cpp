// SPDX-License-Identifier: Apache-2.0
//
// A whole program: it learns, resumes bit for bit after kill -9, stops on NaN, obeys signals, dumps, evaluates.
#include "runtime/program/Json.h"
#include "runtime/weights/Safetensors.h"
#include "tests/Seed.h"
#include "tests/runtime/Scratch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

extern char **environ;

namespace vcc::runtime {
namespace {

using test::readFile;
using test::Scratch;
using testing::HasSubstr;

struct Outcome {
  int code = -1; // exit code, or minus the signal
  std::string output;
};

class Toy {
public:
  explicit Toy(const Scratch &scratch) : Folder(scratch) {}

  pid_t start(const std::vector<std::string> &arguments, const std::vector<std::string> &environment = {}) {
    std::string program = (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "runtime_toy").string();
    std::vector<std::string> words = {program, "--threads", "2"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char *> argv, envp;
    for (std::string &word : words)
      argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<std::string> variables = environment;
    for (char **variable = environ; *variable; ++variable)
      variables.push_back(*variable);
    for (std::string &variable : variables)
      envp.push_back(variable.data());
    envp.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, Folder.path("output").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t pid = 0;
    EXPECT_EQ(posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), envp.data()), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
  }
  Outcome wait(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), readFile(Folder.path("output"))};
  }
  Outcome run(const std::vector<std::string> &arguments, const std::vector<std::string> &environment = {}) {
    return wait(start(arguments, environment));
  }

private:
  const Scratch &Folder;
};

/// Losses by step, from the log; fails where a step stands twice or is missing.
std::vector<float> lossesOf(const std::string &log) {
  std::vector<float> losses;
  std::istringstream lines(readFile(log));
  for (std::string line; std::getline(lines, line);) {
    JsonDocument document(line);
    if (document.root().find("event"))
      continue;
    EXPECT_EQ(document.root().at("step").integer(), int64_t(losses.size()));
    losses.push_back(float(document.root().at("loss").number()));
  }
  return losses;
}

TEST(Training, LearnsAndEvaluates) {
  Scratch scratch;
  Toy toy(scratch);
  std::string out = scratch.path("out");
  Outcome outcome = toy.run({"--stage", "all", "--out", out});
  ASSERT_EQ(outcome.code, 0) << outcome.output;
  std::vector<float> losses = lossesOf(out + "/fit/log.jsonl");
  ASSERT_EQ(losses.size(), 60u);
  EXPECT_LT(losses.back(), 0.05f * losses.front());
  EXPECT_THAT(outcome.output, HasSubstr("model: 2 weights from init\nshift: 1 weight from init\n"));
  EXPECT_THAT(outcome.output, HasSubstr("model: 1 weight from " + out + "/fit/weights.safetensors, for want of "));
  EXPECT_THAT(readFile(out + "/tune/log.jsonl"), HasSubstr("{\"event\":\"source\",\"part\":\"model\",\"weights\":1,"));
  EXPECT_THAT(outcome.output, HasSubstr("held: 100.0 % of 9 (chance 50 %); even 100.0 %, odd 100.0 %"));
  EXPECT_EQ(lossesOf(out + "/tune/log.jsonl").size(), 10u); // half an epoch of 160 samples in batches of 8
  JsonDocument summary(readFile(out + "/tune/summary.json"));
  EXPECT_EQ(summary.root().at("steps").integer(), 10);
  EXPECT_EQ(summary.root().at("evaluations").at("held").at("groups").at("odd").at("accuracy").number(), 1.0);
  EXPECT_EQ(summary.root().at("frozen").at("before").string(), summary.root().at("frozen").at("after").string());
  EXPECT_THAT(readFile(out + "/report.html"), HasSubstr("loss.squares"));
  // What was frozen in `tune` is a reference to where it lies.
  Safetensors weights(out + "/tune/weights.safetensors");
  EXPECT_TRUE(weights.find("model.bias"));
  EXPECT_FALSE(weights.find("model.weight"));
  EXPECT_THAT(weights.metadata().at("vcc.references"), HasSubstr("../fit/weights.safetensors"));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(out + "/fit/checkpoints"), {}), 2); // keep: 2
  // A second call does nothing anew.
  Outcome again = toy.run({"--stage", "all", "--out", out});
  EXPECT_EQ(again.code, 0);
  EXPECT_THAT(again.output, HasSubstr("stage fit: done before"));
  EXPECT_EQ(toy.run({"--evaluate", "held", "--out", out}).code, 0);
  EXPECT_THAT(readFile(out + "/tune/evaluation-held.json"), HasSubstr("\"accuracy\":1"));
}

TEST(Training, ResumesBitForBitAfterKill) {
  Scratch scratch;
  Toy toy(scratch);
  std::string whole = scratch.path("whole"), killed = scratch.path("killed");
  ASSERT_EQ(toy.run({"--stage", "fit", "--out", whole}).code, 0);
  std::mt19937 random(vcc::test::chosenSeed());
  int kills = 0;
  for (int attempt = 0; attempt < 40; ++attempt) {
    pid_t pid = toy.start({"--stage", "fit", "--out", killed}, {"TOY_SLEEP=1"});
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 80));
    kill(pid, SIGKILL);
    Outcome outcome = toy.wait(pid);
    if (outcome.code == 0)
      break;
    ASSERT_EQ(outcome.code, -SIGKILL) << outcome.output;
    ++kills;
  }
  ASSERT_EQ(toy.run({"--stage", "fit", "--out", killed}).code, 0);
  EXPECT_GT(kills, 0);
  EXPECT_EQ(lossesOf(whole + "/fit/log.jsonl"), lossesOf(killed + "/fit/log.jsonl"));
  Safetensors a(whole + "/fit/weights.safetensors"), b(killed + "/fit/weights.safetensors");
  for (const auto &[name, view] : a.tensors())
    EXPECT_EQ(std::memcmp(view.data, b.find(name)->data, view.bytes()), 0) << name;
}

TEST(Training, GoesOnFromMaxSteps) {
  Scratch scratch;
  Toy toy(scratch);
  std::string whole = scratch.path("whole"), parts = scratch.path("parts");
  ASSERT_EQ(toy.run({"--stage", "fit", "--out", whole, "--max-steps", "40"}).code, 0);
  for (const char *steps : {"0", "5", "5", "23", "40"})
    ASSERT_EQ(toy.run({"--stage", "1", "--out", parts, "--max-steps", steps}).code, 0) << steps;
  EXPECT_EQ(lossesOf(whole + "/fit/log.jsonl"), lossesOf(parts + "/fit/log.jsonl"));
  EXPECT_EQ(lossesOf(parts + "/fit/log.jsonl").size(), 40u);
  Outcome seed = toy.run({"--stage", "fit", "--out", parts, "--seed", "9"});
  EXPECT_EQ(seed.code, 1);
  EXPECT_THAT(seed.output, HasSubstr("has seed 0, but this run has 9"));
  EXPECT_EQ(toy.run({"--stage", "fit", "--out", parts, "--seed", "9", "--resume", "never", "--max-steps", "3"}).code, 0);
  EXPECT_EQ(lossesOf(parts + "/fit/log.jsonl").size(), 3u);
}

TEST(Training, PassesOverADamagedCheckpoint) {
  Scratch scratch;
  Toy toy(scratch);
  std::string out = scratch.path("out");
  ASSERT_EQ(toy.run({"--stage", "fit", "--out", out, "--max-steps", "16"}).code, 0);
  std::vector<float> before = lossesOf(out + "/fit/log.jsonl");
  std::string file = out + "/fit/checkpoints/step-00000016/state.safetensors", content = readFile(file);
  content[content.size() - 5] ^= 1;
  scratch.write("out/fit/checkpoints/step-00000016/state.safetensors", content);
  Outcome outcome = toy.run({"--stage", "fit", "--out", out, "--max-steps", "20"});
  ASSERT_EQ(outcome.code, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("checkpoint passed over"));
  std::vector<float> after = lossesOf(out + "/fit/log.jsonl");
  ASSERT_EQ(after.size(), 20u);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), after.begin()));
}

TEST(Training, StopsOnNaN) {
  Scratch scratch;
  Toy toy(scratch);
  std::string out = scratch.path("out");
  Outcome outcome = toy.run({"--stage", "fit", "--out", out}, {"TOY_NAN_AT=17"});
  EXPECT_EQ(outcome.code, 5) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("stage `fit`, step 17: `loss.squares` is nan"));
  EXPECT_THAT(outcome.output, HasSubstr("; it arose in `model.residual` (forward, launch 2 of 4)"));
  EXPECT_THAT(outcome.output, HasSubstr("checkpoints/step-00000014"));
  EXPECT_TRUE(exists(out + "/fit/checkpoints/step-00000014/DONE"));
  EXPECT_EQ(toy.run({"--stage", "fit", "--out", out}).code, 0);
  EXPECT_EQ(lossesOf(out + "/fit/log.jsonl").size(), 60u);
}

TEST(Training, ReportsDataFaults) {
  Scratch scratch;
  Toy toy(scratch);
  Outcome outcome = toy.run({"--stage", "fit", "--out", scratch.path("out")}, {"TOY_FAIL_AT=2"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.output, HasSubstr("`broken.mp4` of record 3"));
}

TEST(Training, SavesOnSignal) {
  Scratch scratch;
  Toy toy(scratch);
  std::string out = scratch.path("out");
  pid_t pid = toy.start({"--stage", "fit", "--out", out}, {"TOY_SLEEP=20"});
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  kill(pid, SIGTERM);
  Outcome outcome = toy.wait(pid);
  EXPECT_EQ(outcome.code, 75) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("run again to go on"));
  ASSERT_EQ(toy.run({"--stage", "fit", "--out", out}).code, 0);
  EXPECT_EQ(lossesOf(out + "/fit/log.jsonl").size(), 60u);
}

TEST(Training, DumpsWithoutChangingABit) {
  Scratch scratch;
  Toy toy(scratch);
  std::string with = scratch.path("with"), without = scratch.path("without");
  ASSERT_EQ(toy.run({"--stage", "all", "--out", with, "--dump", "0,1,7"}).code, 0);
  ASSERT_EQ(toy.run({"--stage", "all", "--out", without}).code, 0);
  for (const char *stage : {"/fit", "/tune"})
    EXPECT_EQ(lossesOf(with + stage + "/log.jsonl"), lossesOf(without + stage + "/log.jsonl"));
  Safetensors zero(with + "/fit/dump/step-000000.safetensors"), one(with + "/fit/dump/step-000001.safetensors");
  auto floats = [](const Safetensors &file, const std::string &name) {
    const TensorView *view = file.find(name);
    EXPECT_TRUE(view) << name;
    return view ? std::vector<float>(reinterpret_cast<const float *>(view->data),
                                     reinterpret_cast<const float *>(view->data + view->bytes()))
                : std::vector<float>();
  };
  EXPECT_EQ(floats(zero, "after/model.weight"), floats(one, "before/model.weight"));
  EXPECT_EQ(floats(zero, "input/1/x").size(), 32u);
  // Redo the step in double: gradients are the sum over both micro-batches.
  std::vector<float> weight = floats(zero, "before/model.weight"), gradient = floats(zero, "gradient/model.weight");
  double expected[4] = {}, bias = floats(zero, "before/model.bias")[0] + floats(zero, "before/shift.offset")[0];
  for (const char *micro : {"0", "1"}) {
    std::vector<float> x = floats(zero, "input/" + std::string(micro) + "/x"), y = floats(zero, "input/" + std::string(micro) + "/y");
    for (size_t i = 0; i < 8; ++i) {
      double r = bias - y[i];
      for (size_t j = 0; j < 4; ++j)
        r += double(x[i * 4 + j]) * weight[j];
      for (size_t j = 0; j < 4; ++j)
        expected[j] += 2 * r * x[i * 4 + j] / 16;
    }
  }
  for (size_t j = 0; j < 4; ++j)
    EXPECT_NEAR(gradient[j], expected[j], 0.01); // the noise of the residual
  Outcome late = toy.run({"--stage", "fit", "--out", with, "--dump", "0"});
  EXPECT_EQ(late.code, 1);
  EXPECT_THAT(late.output, HasSubstr("--dump 0"));
}

TEST(Training, NamesWhatIsMissing) {
  Scratch scratch;
  Toy toy(scratch);
  std::string out = scratch.path("out");
  Outcome outcome = toy.run({"--stage", "tune", "--out", out});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.output, HasSubstr("fit/weights.safetensors"));
  EXPECT_THAT(outcome.output, HasSubstr("--stage fit"));
  EXPECT_EQ(toy.run({"--stage", "tine", "--out", out}).code, 1);
  EXPECT_THAT(toy.run({"--stage", "tine"}).output, HasSubstr("did you mean `tune`?"));
  Outcome overview = toy.run({"--out", out});
  EXPECT_EQ(overview.code, 0);
  EXPECT_THAT(overview.output, HasSubstr("stage 1 fit: 60 steps of 2 micro-batches\n  trains  model 5\n"));
  EXPECT_THAT(overview.output, HasSubstr("(missing)"));
}

TEST(Training, ResumeNeverDeletesNothingBeforeAllIsFound) {
  Scratch scratch;
  Toy toy(scratch);
  std::string out = scratch.path("out"), log = out + "/tune/log.jsonl";
  ASSERT_EQ(toy.run({"--stage", "all", "--out", out}).code, 0);
  std::string before = readFile(log);
  std::filesystem::rename(out + "/fit/weights.safetensors", out + "/fit/away");
  EXPECT_EQ(toy.run({"--stage", "tune", "--out", out, "--resume", "never"}).code, 3);
  EXPECT_EQ(readFile(log), before);
  EXPECT_TRUE(exists(out + "/tune/checkpoints/step-00000010/DONE"));
  EXPECT_TRUE(exists(out + "/tune/weights.safetensors"));
  std::filesystem::rename(out + "/fit/away", out + "/fit/weights.safetensors");
  EXPECT_EQ(toy.run({"--stage", "tune", "--out", out, "--resume", "never", "--dump", "99"}).code, 1);
  EXPECT_EQ(readFile(log), before);
  EXPECT_EQ(toy.run({"--stage", "tune", "--out", out, "--resume", "never"}).code, 0);
}

TEST(Training, SaysWhyItCannotWrite) {
  Scratch scratch;
  Toy toy(scratch);
  std::string out = scratch.path("out");
  ASSERT_EQ(toy.run({"--stage", "fit", "--out", out, "--max-steps", "3"}).code, 0);
  pid_t pid = toy.start({"--stage", "fit", "--out", out}, {"TOY_SLEEP=50"});
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  Scratch other;
  Toy second(other);
  Outcome outcome = second.run({"--stage", "fit", "--out", out});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.output, HasSubstr("another run is writing to"));
  kill(pid, SIGKILL);
  toy.wait(pid);
  std::filesystem::remove(out + "/fit/.lock");
  std::filesystem::create_directory(out + "/fit/.lock"); // cannot be opened for writing, whoever asks
  outcome = toy.run({"--stage", "fit", "--out", out});
  EXPECT_EQ(outcome.code, 3) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr(".lock`: Is a directory"));
  std::filesystem::remove(out + "/fit/.lock");
  std::filesystem::create_directories(out + "/fit/summary.json/x");
  outcome = toy.run({"--stage", "fit", "--out", out});
  EXPECT_EQ(outcome.code, 3) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("summary.json"));
}

TEST(Training, RefusesWeightsOfAnotherRun) {
  Scratch scratch;
  Toy toy(scratch);
  std::string out = scratch.path("out");
  ASSERT_EQ(toy.run({"--stage", "all", "--out", out}).code, 0);
  ASSERT_EQ(toy.run({"--stage", "fit", "--out", out, "--resume", "never", "--max-steps", "3"}).code, 0);
  Outcome outcome = toy.run({"--stage", "tune", "--out", out});
  EXPECT_EQ(outcome.code, 3) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("started from other weights of stage `fit`"));
  EXPECT_EQ(toy.run({"--stage", "tune", "--out", out, "--resume", "never"}).code, 0);
}

} // namespace
} // namespace vcc::runtime
