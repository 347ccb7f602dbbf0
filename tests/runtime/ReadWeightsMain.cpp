// SPDX-License-Identifier: Apache-2.0
//
// Reads files of weights as a program does, for tests that make thousands of them:
//   read_weights [--to FOLDER] FILE[::INSIDE]...
// One line per file: `ok TENSORS` or `refused SENTENCE`. With --to, what was read lies in FOLDER/<place>.safetensors, floats
// as f32. Anything but a Failure of exit code 3 ends the program.
#include "runtime/program/Failure.h"
#include "runtime/weights/WeightsFile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

using namespace vcc::runtime;

static size_t readAll(const std::string &argument, const std::string &to) {
  size_t mark = argument.find("::");
  WeightsFile file(argument.substr(0, mark), mark == argument.npos ? "" : argument.substr(mark + 2));
  constexpr int64_t Most = 1 << 28; // what is larger is refused by its shape before it is read
  std::vector<std::vector<std::byte>> contents;
  std::vector<NamedTensor> tensors;
  for (const auto &[name, tensor] : file.tensors()) {
    DType wanted = isReadable(tensor.dtype, DType::F32) ? DType::F32 : tensor.dtype;
    if (elementsOf(tensor.shape) > Most)
      continue;
    if (to.empty())
      contents.clear(); // one tensor at a time, as a program that reads into its own memory
    contents.emplace_back(size_t(elementsOf(tensor.shape) * bytesOf(wanted)));
    if (auto lost = file.read(name, wanted, contents.back().data()))
      throw Failure(Exit::Data, fmt::format("`{}` has at element {} a number that f32 cannot hold", name, *lost));
    if (!to.empty())
      tensors.push_back({name, {wanted, tensor.shape, contents.back().data()}});
  }
  if (!to.empty())
    writeSafetensors(to, tensors, {});
  return file.tensors().size();
}

int main(int count, char **words) {
  std::string to;
  int place = 0;
  for (int i = 1; i < count; ++i) {
    if (words[i] == std::string("--to") && i + 1 < count) {
      to = words[++i];
      continue;
    }
    try {
      size_t tensors = readAll(words[i], to.empty() ? "" : fmt::format("{}/{}.safetensors", to, place));
      fmt::print("ok {}\n", tensors);
    } catch (const Failure &failure) {
      if (failure.code() != Exit::Data)
        throw;
      std::string text = failure.what();
      std::replace(text.begin(), text.end(), '\n', ' ');
      fmt::print("refused {}\n", text);
    }
    ++place;
  }
  return 0;
}
