// SPDX-License-Identifier: Apache-2.0
//
// A folder for one test, removed with it.
#ifndef VCC_TESTS_RUNTIME_SCRATCH_H
#define VCC_TESTS_RUNTIME_SCRATCH_H

#include <string>
#include <string_view>

namespace vcc::runtime::test {

class Scratch {
public:
  Scratch();
  ~Scratch();
  std::string path(const std::string &name) const { return Root + "/" + name; }
  const std::string &root() const { return Root; }
  std::string write(const std::string &name, std::string_view content) const;

private:
  std::string Root;
};

std::string readFile(const std::string &path);

} // namespace vcc::runtime::test
#endif
