// SPDX-License-Identifier: Apache-2.0
//
// read_text KIND FILE VOCAB: tokens of texts, as the data path makes them. Texts come on the standard input, each behind its number of
// bytes (u32, little endian); a line of numbers goes out for each, or `error` and why.
#include "runtime/data/SampleError.h"
#include "runtime/data/text/Tokenizer.h"
#include "runtime/program/Failure.h"

#include <cstdio>
#include <iostream>

using namespace vcc::runtime;

int main(int count, char **arguments) {
  if (count != 4) {
    std::fprintf(stderr, "usage: read_text sentencepiece|wordpiece FILE VOCAB\n");
    return 2;
  }
  manifest::Tokenizer declared;
  declared.kind = arguments[1];
  declared.file = arguments[2];
  declared.lowercase = true;
  try {
    declared.vocab = std::stoll(arguments[3]);
    auto tokenizer = data::openTokenizer(declared, "");
    uint32_t size = 0;
    while (std::cin.read(reinterpret_cast<char *>(&size), sizeof size)) {
      std::string text(size, '\0');
      std::cin.read(text.data(), size);
      std::vector<int32_t> ids;
      try {
        tokenizer->encode(text, ids);
      } catch (const data::SampleError &error) {
        std::cout << "error " << error.what() << "\n";
        continue;
      }
      for (int32_t id : ids)
        std::cout << id << " ";
      std::cout << "\n";
    }
  } catch (const Failure &failure) {
    std::cerr << failure.what() << "\n";
    return 1;
  }
}
