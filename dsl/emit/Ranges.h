// SPDX-License-Identifier: Apache-2.0
//
// From locations of the vcs dialect to places in diagnostics and back.
#ifndef VCC_DSL_EMIT_RANGES_H
#define VCC_DSL_EMIT_RANGES_H

#include "dialects/vcs/Locations.h"
#include "dsl/diag/Source.h"

namespace vcc::dsl {

inline diag::SourceRange rangeOf(mlir::Location Loc) {
  vcs::SourceSpan Span = vcs::spanOf(Loc);
  return {Span.File.str(), Span.Line, Span.Column, Span.EndLine, Span.EndColumn};
}

inline mlir::Location locationOf(mlir::MLIRContext *Context, const diag::SourceRange &Range) {
  return vcs::locationOf(Context, {Range.File, Range.Line, Range.Column, Range.EndLine, Range.EndColumn});
}

} // namespace vcc::dsl

#endif
