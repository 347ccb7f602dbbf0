// SPDX-License-Identifier: Apache-2.0
//
// A file mapped read-only into memory. Only regular files; the mapping is released with the object.
#ifndef VCC_RUNTIME_DATA_ANNOTATIONS_MAPPEDFILE_H
#define VCC_RUNTIME_DATA_ANNOTATIONS_MAPPEDFILE_H

#include <string>
#include <string_view>

namespace vcc::runtime::data {

class MappedFile {
public:
  /// Throws a Failure naming the file and what the system says.
  explicit MappedFile(const std::string &path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  std::string_view bytes() const { return {Data, Size}; }

private:
  const char *Data = nullptr;
  size_t Size = 0;
};

} // namespace vcc::runtime::data
#endif
