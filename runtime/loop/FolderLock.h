// SPDX-License-Identifier: Apache-2.0
//
// A stage's folder for one run alone.
#ifndef VCC_RUNTIME_LOOP_FOLDERLOCK_H
#define VCC_RUNTIME_LOOP_FOLDERLOCK_H

#include <string>
#include <vector>

namespace vcc::runtime {

/// Makes the folder, and keeps other runs out of it as long as this lives. Where nothing but the lock was put there, as by a run
/// that fails before it has trained anything, the lock goes again, and with it the folders that were made for it.
class FolderLock {
public:
  /// Throws Failure where the folder cannot be made or written to, or another run has it.
  explicit FolderLock(const std::string &folder);
  ~FolderLock();
  FolderLock(const FolderLock &) = delete;
  FolderLock &operator=(const FolderLock &) = delete;

private:
  void make();
  bool isStillThere() const;
  std::string Folder, File;
  std::vector<std::string> Made; // the innermost first
  int Descriptor = -1;
};

} // namespace vcc::runtime
#endif
