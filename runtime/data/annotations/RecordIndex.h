// SPDX-License-Identifier: Apache-2.0
//
// Where each record of an annotation file begins and ends. One pass over the bytes finds the
// top-level objects of a JSON array, or of JSON lines; what is inside a record is checked when it
// is read.
#ifndef VCC_RUNTIME_DATA_ANNOTATIONS_RECORDINDEX_H
#define VCC_RUNTIME_DATA_ANNOTATIONS_RECORDINDEX_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vcc::runtime::data {

struct RecordSpan {
  uint64_t Begin;
  uint32_t Size;
};

/// Throws a Failure naming `path`, the record and the byte where the file stops being a list of
/// objects.
std::vector<RecordSpan> indexRecords(std::string_view bytes, const std::string &path);

} // namespace vcc::runtime::data
#endif
