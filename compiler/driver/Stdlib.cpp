// SPDX-License-Identifier: Apache-2.0
//
// The first folder that holds a prelude.
#include "compiler/driver/Stdlib.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

namespace vcc::driver {

std::optional<std::string> findStdlib(const std::string &given, const char *executable) {
  static int anchor;
  std::string self = llvm::sys::fs::getMainExecutable(executable, &anchor);
  llvm::SmallString<256> bin(llvm::sys::path::parent_path(self));
  std::vector<std::string> candidates;
  if (!given.empty()) {
    candidates = {given};
  } else {
    candidates = {(bin + "/../../stdlib").str(), (bin + "/../share/vcc/stdlib").str(),
                  VCC_STDLIB_DIR};
  }
  for (const std::string &candidate : candidates) {
    llvm::SmallString<256> folder(candidate);
    llvm::sys::path::remove_dots(folder, /*remove_dot_dot=*/true);
    if (llvm::sys::fs::exists(folder + "/prelude.vcs"))
      return folder.str().str();
  }
  return std::nullopt;
}

} // namespace vcc::driver
