// SPDX-License-Identifier: Apache-2.0
//
// Processes of one machine that tell each other what they hold, through memory that they share.
#ifndef VCC_TESTS_PTX_MEETING_H
#define VCC_TESTS_PTX_MEETING_H

#include <cstddef>
#include <string>
#include <vector>

namespace vcc::ptx {

class Meeting {
public:
  /// All of them by the same name; whoever comes last takes the name away. Throws std::runtime_error.
  Meeting(const std::string &name, int ranks, int rank);
  ~Meeting();
  Meeting(const Meeting &) = delete;

  /// What each holds, in the order of ranks; as many bytes from all. Throws std::runtime_error where another does not come for five minutes.
  std::vector<std::string> exchange(const void *mine, size_t bytes);

private:
  struct Board;
  void wait();
  char *desk(int rank) const;
  int Ranks, Rank;
  Board *Shared = nullptr;
};

} // namespace vcc::ptx
#endif
