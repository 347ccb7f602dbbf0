// SPDX-License-Identifier: Apache-2.0
//
// Annotation records by number. A RecordFile is an annotation file and the schema that the recipe
// declares for it; a Record is one parsed record with the roles (media, turns, caption, text) and
// any other field by dotted path. Every failure names the file, the record and the field, with what
// is there and what is needed.
#ifndef VCC_RUNTIME_DATA_ANNOTATIONS_RECORDS_H
#define VCC_RUNTIME_DATA_ANNOTATIONS_RECORDS_H

#include "runtime/weights/Files.h"
#include "runtime/data/annotations/RecordIndex.h"

#include <map>
#include <optional>
#include <simdjson.h>
#include <string>
#include <vector>

namespace vcc::runtime::data {

/// Which keys of a record play which role. An empty key: the format has no such role.
struct RecordSchema {
  std::vector<std::string> MediaKeys;
  std::string TurnsKey;
  std::map<std::string, std::string> TurnFields; ///< canonical i, q, a -> key inside a turn
  std::string CaptionKey;
  std::string TextKey;
  std::map<std::string, std::string> Fields; ///< any other name -> dotted path
};

struct Turn {
  std::string Instruction, Question, Answer;
};

class RecordFile;

/// One parsed record. Reuse one object for many records: its memory is kept. Not shared between
/// threads.
class Record {
public:
  uint64_t number() const { return Number; }
  const std::string &file() const;

  /// The media file as written in the record; none if the format has no media role.
  std::optional<std::string> media() const;
  /// The seconds of the file that are meant: what the format calls `start` and `end`; none where it or the record has neither.
  std::optional<std::pair<double, double>> span() const;
  /// All turns; empty if the format has no turns or the record has none of them.
  std::vector<Turn> turns() const;
  /// The caption, or the choices of one if it is a list; empty if the format or the record has
  /// none.
  std::vector<std::string> captions() const;
  std::optional<std::string> text() const;

  /// A plain field by its declared name or dotted path; a string, number or boolean, as text.
  /// `turn`: where a path is not in the record, that turn is searched too.
  std::string field(const std::string &name, std::optional<size_t> turn = std::nullopt) const;
  /// The same for a list of strings.
  std::vector<std::string> fields(const std::string &name,
                                  std::optional<size_t> turn = std::nullopt) const;

  [[noreturn]] void fail(const std::string &field, const std::string &found,
                         const std::string &needed, const std::string &more = {}) const;

private:
  friend class RecordFile;
  using Element = simdjson::dom::element;
  std::optional<Element> find(std::string_view path) const;
  Element require(const std::string &name, std::optional<size_t> turn) const;
  std::string scalar(Element value, const std::string &field) const;
  std::string string(Element value, const std::string &field) const;

  const RecordFile *File = nullptr;
  uint64_t Number = 0;
  simdjson::dom::parser Parser;
  std::string Text; // of the record, and what the parser may read beyond it
  Element Root;
};

class RecordFile {
public:
  /// Indexes the file; throws a Failure where it is not a list of objects.
  RecordFile(std::string path, RecordSchema schema);

  uint64_t size() const { return Spans.size(); }
  const std::string &path() const { return Path; }
  /// Size and hash of the file: equal only where the records are. One more walk over its bytes.
  std::string content() const;
  const RecordSchema &schema() const { return Schema; }
  /// Parses record `number`; throws SampleError if its JSON is broken, a Failure where the file was written to since. Safe from several threads.
  void read(uint64_t number, Record &into) const;

private:
  std::string Path;
  RecordSchema Schema;
  OpenFile File;
  std::vector<RecordSpan> Spans;
};

} // namespace vcc::runtime::data
#endif
