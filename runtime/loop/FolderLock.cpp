// SPDX-License-Identifier: Apache-2.0
#include "runtime/loop/FolderLock.h"

#include "runtime/program/Failure.h"
#include "runtime/weights/Files.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vcc::runtime {

namespace fs = std::filesystem;

void FolderLock::make() {
  std::vector<std::string> missing;
  for (fs::path path = Folder; !path.empty() && !exists(path.string()); path = path.parent_path())
    missing.push_back(path.string());
  makeFolders(Folder);
  if (!missing.empty())
    Made = std::move(missing);
}

/// Another run may have removed the file between its opening and its locking here: then a third could lock a new one.
bool FolderLock::isStillThere() const {
  struct stat held = {}, named = {};
  return fstat(Descriptor, &held) == 0 && stat(File.c_str(), &named) == 0 && held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

FolderLock::FolderLock(const std::string &folder) : Folder(folder), File(folder + "/.lock") {
  for (int attempt = 0;; ++attempt) {
    make();
    Descriptor = open(File.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    bool opened = Descriptor >= 0, locked = opened && flock(Descriptor, LOCK_EX | LOCK_NB) == 0;
    int reason = errno;
    bool there = opened && isStillThere();
    if (locked && there)
      return;
    if (opened)
      close(Descriptor);
    if (there && reason == EWOULDBLOCK)
      throw Failure(Exit::Usage, fmt::format("another run is writing to `{}`", Folder), "give this one its own --out");
    // A run that leaves nothing took the file or the folder away in between.
    bool gone = opened ? !there : reason == ENOENT;
    if (!gone || attempt == 100)
      throw Failure(Exit::Data, fmt::format("cannot {} `{}`: {}", opened ? "lock" : "write", File, std::strerror(reason)),
                    "name a folder that can be written by --out");
  }
}

FolderLock::~FolderLock() {
  std::error_code code;
  bool empty = true;
  for (const auto &entry : fs::directory_iterator(Folder, code))
    empty = empty && entry.path().filename() == ".lock";
  if (empty && !code && isStillThere() && unlink(File.c_str()) == 0)
    for (const std::string &folder : Made)
      if (rmdir(folder.c_str()) != 0)
        break;
  close(Descriptor);
}

} // namespace vcc::runtime
