// SPDX-License-Identifier: Apache-2.0
//
// Making the files of the data tests.
#include "tests/runtime_data/Scratch.h"
#include "runtime/program/Failure.h"

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sentencepiece_trainer.h>

namespace vcc::runtime::test {

Scratch::Scratch() {
  std::string pattern = (std::filesystem::temp_directory_path() / "vcc-data-XXXXXX").string();
  Dir = ::mkdtemp(pattern.data());
}

Scratch::~Scratch() { std::filesystem::remove_all(Dir); }

std::string Scratch::write(const std::string &name, const std::string &content) const {
  std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
  std::ofstream(path(name), std::ios::binary) << content;
  return path(name);
}

std::string Scratch::clip(const std::string &name, int frames, int base, int width,
                          int height) const {
  std::string raw;
  for (int i = 0; i < frames; ++i)
    for (int p = 0; p < width * height; ++p) {
      raw += static_cast<char>(base + 10 * i);
      raw += static_cast<char>(40);
      raw += static_cast<char>(90);
    }
  std::string from = write(name + ".raw", raw);
  std::string codec = name.ends_with(".mp4")    ? "-c:v libx264 -crf 4 -pix_fmt yuv444p"
                      : name.ends_with(".webm") ? "-c:v libvpx-vp9 -lossless 1 -pix_fmt yuv444p"
                                                : "";
  std::string command = fmt::format("ffmpeg -v error -y -f rawvideo -pix_fmt rgb24 -s {}x{} -r 8 "
                                    "-i {} {} {}",
                                    width, height, from, codec, path(name));
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  std::filesystem::remove(from);
  return path(name);
}

std::string Scratch::words(const std::string &name, const std::vector<std::string> &words) const {
  std::string corpus;
  for (size_t i = 0; i < words.size(); ++i)
    for (size_t times = 0; times < words.size() - i + 1; ++times)
      corpus += words[i] + "\n";
  std::string from = write(name + ".txt", corpus);
  auto status = sentencepiece::SentencePieceTrainer::Train(
      fmt::format("--input={} --model_prefix={} --model_type=word --vocab_size={} --minloglevel=3 "
                  "--normalization_rule_name=identity",
                  from, path(name), words.size() + 3));
  EXPECT_TRUE(status.ok()) << status.ToString();
  return name + ".model";
}

std::string failure(const std::function<void()> &act, Exit code) {
  try {
    act();
  } catch (const Failure &failure) {
    EXPECT_EQ(static_cast<int>(failure.code()), static_cast<int>(code)) << failure.what();
    return failure.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

Tensors::Tensors(const manifest::Batch &batch) {
  if (batch.media)
    add(batch.media->name + ".pixels", DType::U8,
        {batch.rows, batch.media->frames, 3, batch.media->height, batch.media->width});
  for (const manifest::Field &field : batch.fields) {
    if (!field.isText()) {
      add(field.name, DType::I32, {batch.rows});
      continue;
    }
    int64_t rows = batch.rows / field.pack;
    for (const char *part : {".ids", ".labels", ".at"})
      add(field.name + part, DType::I32, {rows, field.rowLength()});
    add(field.name + ".length", DType::I32, {rows});
    if (field.pack > 1) {
      add(field.name + ".starts", DType::I32, {rows, field.rowLength()});
      add(field.name + ".targets", DType::I32, {rows, field.rowTokens()});
    }
    add(field.name + ".supervised", DType::F32, {});
  }
  add("batch.samples", DType::F32, {});
  add("batch.ids", DType::I32, {batch.rows});
  add("batch.local_ids", DType::I32, {batch.rows});
}

void Tensors::add(const std::string &name, DType type, Shape shape) {
  size_t bytes = elementsOf(shape) * bytesOf(type);
  // What is not written must be seen.
  Memory.push_back(std::make_unique<std::vector<char>>(bytes, char(0x5a)));
  All[name] = {type, std::move(shape), Memory.back()->data()};
}

} // namespace vcc::runtime::test
