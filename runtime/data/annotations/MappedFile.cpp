// SPDX-License-Identifier: Apache-2.0
//
// MappedFile by open, fstat and mmap.
#include "runtime/data/annotations/MappedFile.h"
#include "runtime/data/SampleError.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vcc::runtime::data {

MappedFile::MappedFile(const std::string &path) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0)
    throw Failure(Exit::Data, fmt::format("{}: cannot be opened: {}", path, std::strerror(errno)));
  struct stat status;
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(file);
    throw Failure(Exit::Data, fmt::format("{}: is not a regular file", path));
  }
  Size = static_cast<size_t>(status.st_size);
  if (Size != 0) {
    void *mapped = ::mmap(nullptr, Size, PROT_READ, MAP_PRIVATE, file, 0);
    int reason = errno;
    if (mapped == MAP_FAILED) {
      ::close(file);
      throw Failure(Exit::Data,
                    fmt::format("{}: cannot be mapped: {}", path, std::strerror(reason)));
    }
    Data = static_cast<const char *>(mapped);
  }
  ::close(file);
}

MappedFile::~MappedFile() {
  if (Data)
    ::munmap(const_cast<char *>(Data), Size);
}

} // namespace vcc::runtime::data
