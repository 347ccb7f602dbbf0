// SPDX-License-Identifier: Apache-2.0
//
// Source spans to MLIR locations and back.
#include "dialects/vcs/Locations.h"

using namespace mlir;

namespace vcc::vcs {

Location locationOf(MLIRContext *Context, const SourceSpan &Span) {
  if (!Span.isKnown())
    return UnknownLoc::get(Context);
  Location First = FileLineColLoc::get(Context, Span.File, Span.Line, Span.Column);
  if (Span.EndLine == 0)
    return First;
  Location End = FileLineColLoc::get(Context, Span.File, Span.EndLine, Span.EndColumn);
  return First == End ? First : FusedLoc::get(Context, {First, End});
}

SourceSpan spanOf(Location Loc) {
  if (auto File = dyn_cast<FileLineColLoc>(Loc))
    return {File.getFilename().getValue(), File.getLine(), File.getColumn(), File.getLine(),
            File.getColumn() + 1};
  if (auto Name = dyn_cast<NameLoc>(Loc))
    return spanOf(Name.getChildLoc());
  if (auto Call = dyn_cast<CallSiteLoc>(Loc))
    return spanOf(Call.getCallee());
  if (auto Fused = dyn_cast<FusedLoc>(Loc)) {
    ArrayRef<Location> Parts = Fused.getLocations();
    SourceSpan Span = spanOf(Parts.front());
    if (Parts.size() == 2)
      if (auto End = dyn_cast<FileLineColLoc>(Parts[1])) {
        Span.EndLine = End.getLine();
        Span.EndColumn = End.getColumn();
      }
    return Span;
  }
  return {};
}

} // namespace vcc::vcs
