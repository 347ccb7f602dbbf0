// SPDX-License-Identifier: Apache-2.0
//
// Files that are whole or not there: written beside, brought to the disk, renamed. And files mapped for reading.
#ifndef VCC_RUNTIME_WEIGHTS_FILES_H
#define VCC_RUNTIME_WEIGHTS_FILES_H

#include "runtime/weights/Hash.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vcc::runtime {

/// A file mapped read-only. Throws Failure(Exit::Data) where it cannot be opened or is no regular file.
class MappedFile {
public:
  explicit MappedFile(const std::string &path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;
  const std::byte *data() const { return Data; }
  size_t size() const { return Size; }
  std::string_view text() const { return {reinterpret_cast<const char *>(Data), Size}; }
  /// Gives back the memory of whole pages in this range, which were read and are not wanted soon; they stay readable.
  void release(const std::byte *begin, size_t bytes) const;

private:
  const std::byte *Data = nullptr;
  size_t Size = 0;
};

/// A file of which parts are read as long as it lives. A mapping of it would end the process where somebody cuts it off meanwhile.
class OpenFile {
public:
  /// Throws Failure(Exit::Data) where it cannot be opened or is no regular file.
  explicit OpenFile(const std::string &path);
  ~OpenFile();
  OpenFile(const OpenFile &) = delete;
  OpenFile &operator=(const OpenFile &) = delete;
  size_t size() const { return Size; }
  /// Safe from several threads. Throws Failure(Exit::Data) where the file was written to since it was opened.
  void read(uint64_t offset, char *to, size_t bytes) const;

private:
  std::string Path;
  int File = -1;
  size_t Size = 0;
  int64_t Written = 0; // when, in nanoseconds
};

/// Writes a new file; finish() brings it to the disk. Destroyed without finish(), it removes what it wrote.
class FileWriter {
public:
  explicit FileWriter(const std::string &path);
  ~FileWriter();
  FileWriter(const FileWriter &) = delete;
  FileWriter &operator=(const FileWriter &) = delete;
  void write(const void *data, size_t bytes);
  void finish();
  int64_t bytes() const { return Bytes; }
  uint64_t digest() const { return Content.digest(); }

private:
  void flush();
  std::string Path;
  int File = -1;
  int64_t Bytes = 0;
  Hash Content;
  std::vector<char> Buffer;
};

/// Replaces `path` by `text` in one step.
void writeWhole(const std::string &path, std::string_view text);
/// Renames and brings the folder's entry to the disk.
void renameDurably(const std::string &from, const std::string &to);
void makeFolders(const std::string &path);
/// Removes a file that need not be there.
void removeFile(const std::string &path);
bool exists(const std::string &path);
std::string readWhole(const std::string &path);

} // namespace vcc::runtime
#endif
