// SPDX-License-Identifier: Apache-2.0
//
// Temporary folders by mkdtemp.
#include "tests/runtime/Scratch.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace vcc::runtime::test {

Scratch::Scratch() {
  std::string pattern = (std::filesystem::temp_directory_path() / "vcc-runtime-XXXXXX").string();
  if (!mkdtemp(pattern.data()))
    throw std::runtime_error("cannot make a temporary folder");
  Root = pattern;
}

Scratch::~Scratch() {
  std::error_code error;
  std::filesystem::remove_all(Root, error);
}

std::string Scratch::write(const std::string &name, std::string_view content) const {
  std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
  std::ofstream(path(name), std::ios::binary) << content;
  return path(name);
}

std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

} // namespace vcc::runtime::test
