// SPDX-License-Identifier: Apache-2.0
//
// Places in source files. Lines and columns count from 1; a column counts characters (code points), not bytes.
#ifndef VCC_DSL_DIAG_SOURCE_H
#define VCC_DSL_DIAG_SOURCE_H

#include "llvm/ADT/StringRef.h"

#include <map>
#include <string>

namespace vcc::diag {

struct SourceRange {
  std::string File;
  unsigned Line = 0, Column = 0;       // line 0: unknown
  unsigned EndLine = 0, EndColumn = 0; // the character after the last one

  bool isKnown() const { return Line != 0; }
  friend bool operator==(const SourceRange &, const SourceRange &) = default;
};

/// From the start of `First` to the end of `Last`, which stand in one file.
inline SourceRange join(const SourceRange &First, const SourceRange &Last) {
  return {First.File, First.Line, First.Column, Last.EndLine, Last.EndColumn};
}

/// The texts of the files that diagnostics quote.
class SourceTexts {
public:
  void add(llvm::StringRef File, llvm::StringRef Text) { Texts.insert_or_assign(File.str(), Text.str()); }

  /// Line `Line` of `File` without its end, or nothing where the file or line is not known.
  llvm::StringRef line(llvm::StringRef File, unsigned Line) const;

private:
  std::map<std::string, std::string, std::less<>> Texts;
};

} // namespace vcc::diag

#endif
