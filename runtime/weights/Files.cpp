// SPDX-License-Identifier: Apache-2.0
//
// Durable files by POSIX calls; every failure names the file and the system's reason.
#include "runtime/weights/Files.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vcc::runtime {

[[noreturn]] static void fail(const char *verb, const std::string &path) {
  throw Failure(Exit::Data, fmt::format("cannot {} `{}`: {}", verb, path, std::strerror(errno)));
}

/// Opened for reading, with what is known of it. Its descriptor is the caller's.
static int openRegular(const std::string &path, struct stat &status) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0)
    fail("open", path);
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(file);
    throw Failure(Exit::Data, fmt::format("`{}` is not a regular file", path));
  }
  return file;
}

MappedFile::MappedFile(const std::string &path) {
  struct stat status;
  int file = openRegular(path, status);
  Size = size_t(status.st_size);
  void *data = Size ? mmap(nullptr, Size, PROT_READ, MAP_PRIVATE, file, 0) : nullptr;
  close(file);
  if (data == MAP_FAILED)
    fail("read", path);
  Data = static_cast<const std::byte *>(data);
}

MappedFile::~MappedFile() {
  if (Data)
    munmap(const_cast<std::byte *>(Data), Size);
}

void MappedFile::release(const std::byte *begin, size_t bytes) const {
  auto page = uintptr_t(sysconf(_SC_PAGESIZE)), first = (uintptr_t(begin) + page - 1) / page * page;
  uintptr_t last = (uintptr_t(begin) + bytes) / page * page;
  if (first < last)
    madvise(reinterpret_cast<void *>(first), last - first, MADV_DONTNEED);
}

static int64_t writtenAt(const struct stat &status) { return int64_t(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec; }

OpenFile::OpenFile(const std::string &path) : Path(path) {
  struct stat status;
  File = openRegular(path, status);
  Size = size_t(status.st_size), Written = writtenAt(status);
}
OpenFile::~OpenFile() { close(File); }

void OpenFile::read(uint64_t offset, char *to, size_t bytes) const {
  size_t done = 0;
  while (done < bytes) {
    ssize_t part = pread(File, to + done, bytes - done, off_t(offset + done));
    if (part < 0 && errno == EINTR)
      continue;
    if (part < 0)
      fail("read", Path);
    if (part == 0)
      break;
    done += size_t(part);
  }
  struct stat status;
  if (done < bytes || fstat(File, &status) != 0 || size_t(status.st_size) != Size || writtenAt(status) != Written)
    throw Failure(Exit::Data, fmt::format("`{}` was written to while it was in use", Path), "write another file and rename it: whoever reads the old one goes on with it");
}

FileWriter::FileWriter(const std::string &path)
    : Path(path), File(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
  if (File < 0)
    fail("write", path);
}

FileWriter::~FileWriter() {
  if (File < 0)
    return;
  close(File);
  unlink(Path.c_str());
}

static constexpr size_t BufferBytes = 1 << 20;

void FileWriter::write(const void *data, size_t bytes) {
  Content.update(data, bytes);
  Bytes += int64_t(bytes);
  auto *from = static_cast<const char *>(data);
  while (bytes) {
    size_t taken = std::min(bytes, BufferBytes - Buffer.size());
    Buffer.insert(Buffer.end(), from, from + taken);
    from += taken, bytes -= taken;
    if (Buffer.size() == BufferBytes)
      flush();
  }
}

void FileWriter::flush() {
  for (size_t done = 0; done < Buffer.size();) {
    ssize_t written = ::write(File, Buffer.data() + done, Buffer.size() - done);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      fail("write", Path);
    done += size_t(written);
  }
  Buffer.clear();
}

void FileWriter::finish() {
  flush();
  if (fsync(File) != 0)
    fail("write", Path);
  if (close(File) != 0)
    fail("write", Path);
  File = -1;
}

static void syncFolder(const std::string &path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  int file = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0)
    return;
  fsync(file);
  close(file);
}

void renameDurably(const std::string &from, const std::string &to) {
  if (rename(from.c_str(), to.c_str()) != 0)
    fail("rename to", to);
  syncFolder(to);
}

void writeWhole(const std::string &path, std::string_view text) {
  std::string beside = path + ".partial";
  FileWriter writer(beside);
  writer.write(text.data(), text.size());
  writer.finish();
  renameDurably(beside, path);
}

void makeFolders(const std::string &path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    throw Failure(Exit::Data, fmt::format("cannot make folder `{}`: {}", path, error.message()));
}

void removeFile(const std::string &path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    fail("remove", path);
}

bool exists(const std::string &path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

std::string readWhole(const std::string &path) { return std::string(MappedFile(path).text()); }

} // namespace vcc::runtime
