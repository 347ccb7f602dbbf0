// SPDX-License-Identifier: Apache-2.0
//
// The types of a diagnostic's parameters. How each is written (back-ticks, plural, units) is decided here and nowhere else.
#ifndef VCC_DSL_DIAG_VALUES_H
#define VCC_DSL_DIAG_VALUES_H

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"

#include <cstdint>
#include <string>
#include <vector>

namespace vcc::diag {

/// Something the user named: a key, a path, a file. Written in back-ticks.
struct Name {
  Name(const llvm::Twine &Text) : Text(Text.str()) {}
  Name(llvm::StringRef Text) : Text(Text) {}
  Name(const std::string &Text) : Text(Text) {}
  Name(const char *Text) : Text(Text) {}
  std::string Text;
};

/// Words of the sentence itself, written as they are.
struct Words {
  Words(const llvm::Twine &Text) : Text(Text.str()) {}
  Words(llvm::StringRef Text) : Text(Text) {}
  Words(const std::string &Text) : Text(Text) {}
  Words(const char *Text) : Text(Text) {}
  std::string Text;
};

struct Count {
  Count(int64_t Value) : Value(Value) {}
  int64_t Value;
};

struct Bytes {
  Bytes(uint64_t Value) : Value(Value) {}
  uint64_t Value;
};

/// Sizes, symbols and `..`, written `[B, 16, ..]`.
struct Shape {
  Shape(std::vector<std::string> Axes) : Axes(std::move(Axes)) {}
  template <class Sizes> static Shape of(const Sizes &Values) {
    std::vector<std::string> Axes;
    for (auto Value : Values)
      Axes.push_back(std::to_string(Value));
    return Shape(std::move(Axes));
  }
  std::vector<std::string> Axes;
};

std::string format(const Name &);
std::string format(const Words &);
std::string format(const Count &);
std::string format(const Bytes &);
std::string format(const Shape &);

/// `1 step`, `3 steps`.
std::string plural(int64_t Value, llvm::StringRef Noun);

/// `a layer`, `an optimizer`.
std::string withArticle(llvm::StringRef Noun);

/// "`a`, `b` and `c`"; of more than `Most` only the first ones, followed by how many there are besides.
std::string list(const std::vector<std::string> &Names, size_t Most = 5);

/// The one of `Candidates` that `Written` was probably meant to be, or nothing.
std::string nearest(llvm::StringRef Written, const std::vector<std::string> &Candidates);

} // namespace vcc::diag

#endif
