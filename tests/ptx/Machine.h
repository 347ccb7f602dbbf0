// SPDX-License-Identifier: Apache-2.0
//
// Runs kernels given as PTX on this machine: each module is translated to C++, compiled and loaded; the threads of a block take turns.
// VCC_PTX_CACHE names a folder in which what was compiled is kept; without it nothing is.
#ifndef VCC_TESTS_PTX_MACHINE_H
#define VCC_TESTS_PTX_MACHINE_H

#include "tests/ptx/Thread.h"

#include <string>

namespace vcc::ptx {

class Machine {
public:
  Machine();
  ~Machine();
  Machine(const Machine &) = delete;

  /// Its kernels, by their names, in its order. Throws std::runtime_error for what is not PTX as it is known here.
  std::vector<const Entry *> load(const std::string &ptx);
  /// Throws Fault.
  void run(const Entry &entry, uint32_t blocks, uint32_t threads, const uint64_t *parameters, const std::vector<Span> &memory);

private:
  void meet(const Entry &entry, Block &block);
  std::string Folder;
  std::vector<Span> Tables;
  std::vector<char> Shared;
};

} // namespace vcc::ptx
#endif
