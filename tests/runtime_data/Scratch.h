// SPDX-License-Identifier: Apache-2.0
//
// Files that the data tests need: a folder that goes away, small clips whose frames tell their
// number, a tokenizer whose pieces are whole words, and a manifest over them.
#ifndef VCC_TESTS_RUNTIME_DATA_SCRATCH_H
#define VCC_TESTS_RUNTIME_DATA_SCRATCH_H

#include "runtime/loop/BatchSource.h"
#include "runtime/program/Failure.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace vcc::runtime::test {

class Scratch {
public:
  Scratch();
  ~Scratch();
  const std::string &dir() const { return Dir; }
  std::string path(const std::string &name) const { return Dir + "/" + name; }
  std::string write(const std::string &name, const std::string &content) const;
  /// A clip of solid frames; frame i has the red value base + 10 i. The extension decides the
  /// format.
  std::string clip(const std::string &name, int frames, int base = 0, int width = 64,
                   int height = 48) const;
  /// A SentencePiece model of whole words: <unk> <s> </s>, then the words.
  std::string words(const std::string &name, const std::vector<std::string> &words) const;

private:
  std::string Dir;
};

/// The message of the Failure that `act` throws; a test failure where it throws none.
std::string failure(const std::function<void()> &act, Exit code = Exit::Data);

/// The tensors of a batch, owned.
class Tensors {
public:
  explicit Tensors(const manifest::Batch &batch);
  const HostTensors &all() const { return All; }
  template <typename T>
  std::vector<T> get(const std::string &name) const {
    const HostTensor &tensor = All.at(name);
    const T *data = static_cast<const T *>(tensor.data);
    return std::vector<T>(data, data + elementsOf(tensor.shape));
  }

private:
  void add(const std::string &name, DType type, Shape shape);
  HostTensors All;
  std::vector<std::unique_ptr<std::vector<char>>> Memory;
};

} // namespace vcc::runtime::test
#endif
