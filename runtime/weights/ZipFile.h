// SPDX-License-Identifier: Apache-2.0
//
// A zip file whose entries are stored as they are, as PyTorch writes them: where each lies. Nothing is unpacked, and no
// name of an entry ever becomes a path.
#ifndef VCC_RUNTIME_WEIGHTS_ZIPFILE_H
#define VCC_RUNTIME_WEIGHTS_ZIPFILE_H

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace vcc::runtime {

struct ZipEntry {
  std::string_view content; // inside the file
  uint32_t crc = 0;
};

/// The entries by name. Throws Failure(Exit::Data) that names `path` where the directory is broken, entries overlap, are
/// compressed or encrypted, or have names that lead elsewhere.
std::map<std::string, ZipEntry> readZip(const std::string &path, std::string_view file);

/// Whether the content has the checksum that the directory says.
bool isIntact(const ZipEntry &entry);

} // namespace vcc::runtime
#endif
