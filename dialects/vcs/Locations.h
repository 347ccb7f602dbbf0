// SPDX-License-Identifier: Apache-2.0
//
// Where a piece of a recipe stands, as MLIR locations. A span is a fused location of its first character and the character after its
// last one; a lone FileLineColLoc is a span of one character.
#ifndef VCC_DIALECTS_VCS_LOCATIONS_H
#define VCC_DIALECTS_VCS_LOCATIONS_H

#include "mlir/IR/Location.h"

namespace vcc::vcs {

struct SourceSpan {
  llvm::StringRef File;
  unsigned Line = 0, Column = 0;       // counted from 1; line 0: unknown
  unsigned EndLine = 0, EndColumn = 0; // the character after the last one
  bool isKnown() const { return Line != 0; }
};

mlir::Location locationOf(mlir::MLIRContext *Context, const SourceSpan &Span);

/// The span of any location that `locationOf` made, also through names and call sites (the callee's place is taken).
SourceSpan spanOf(mlir::Location Loc);

} // namespace vcc::vcs

#endif
