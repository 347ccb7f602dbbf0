// SPDX-License-Identifier: Apache-2.0
//
// Text of the attributes whose form the declarative syntax cannot say: paths and selectors (as a recipe writes them), shapes, moments.
#include "dialects/vcs/Vcs.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;

#define GET_ATTRDEF_CLASSES
#include "dialects/vcs/VcsAttrs.cpp.inc"

namespace vcc::vcs {

void VcsDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/vcs/VcsAttrs.cpp.inc"
      >();
}

static constexpr int64_t Open = std::numeric_limits<int64_t>::max();

//===------------------------------------------------------------------------------------------------------------------------------===//
// Paths and selectors
//===------------------------------------------------------------------------------------------------------------------------------===//

std::string PathAttr::str() const {
  std::string Text;
  llvm::raw_string_ostream OS(Text);
  for (SegmentAttr Segment : getSegments()) {
    bool Named = Segment.getKind() == SegmentKind::Name || Segment.getKind() == SegmentKind::Any;
    if (Named && !Text.empty())
      OS << '.';
    switch (Segment.getKind()) {
    case SegmentKind::Name: OS << Segment.getName().getValue(); break;
    case SegmentKind::Any: OS << '*'; break;
    case SegmentKind::Index: OS << '[' << Segment.getFirst() << ']'; break;
    case SegmentKind::AllIndices: OS << "[*]"; break;
    case SegmentKind::Range:
      OS << '[' << Segment.getFirst() << "..";
      if (Segment.getLast() != Open)
        OS << Segment.getLast();
      OS << ']';
      break;
    }
  }
  return Text;
}

std::string SelectorAttr::str() const {
  std::string Text = llvm::join(
      llvm::map_range(getAlternatives(), [](PathAttr Path) { return Path.str(); }), ", ");
  if (!getExcept().empty())
    Text += " except " + llvm::join(llvm::map_range(getExcept(), [](PathAttr P) { return P.str(); }), ", ");
  return Text;
}

static void printPath(AsmPrinter &Printer, PathAttr Path) {
  Printer.printString(Path.str());
  bool Placed = llvm::any_of(Path.getSegments(), [](SegmentAttr S) { return S.getLine() != 0; });
  if (!Placed)
    return;
  Printer << " at [";
  llvm::interleaveComma(Path.getSegments(), Printer, [&](SegmentAttr S) {
    Printer << S.getLine() << ':' << S.getColumn() << ':' << S.getLength();
  });
  Printer << ']';
}

namespace {
struct Place {
  unsigned Line = 0, Column = 0, Length = 0;
};

/// Reads the text of a path, one segment after the other.
class PathReader {
public:
  PathReader(MLIRContext *Context, StringRef Text) : Context(Context), Rest(Text) {}

  /// False at a malformed segment.
  bool read(SmallVectorImpl<SegmentAttr> &Segments, ArrayRef<Place> Places) {
    for (size_t I = 0; !Rest.empty(); ++I) {
      Place At = I < Places.size() ? Places[I] : Place();
      if (I != 0 && Rest.front() != '[' && !Rest.consume_front("."))
        return false;
      std::optional<SegmentAttr> Segment = Rest.consume_front("[") ? bracket(At) : name(At);
      if (!Segment)
        return false;
      Segments.push_back(*Segment);
    }
    return true;
  }

private:
  std::optional<SegmentAttr> make(SegmentKind Kind, StringRef Name, int64_t First, int64_t Last, Place At) {
    return SegmentAttr::get(Context, Kind, StringAttr::get(Context, Name), First, Last, At.Line, At.Column,
                            At.Length);
  }
  std::optional<SegmentAttr> name(Place At) {
    if (Rest.consume_front("*"))
      return make(SegmentKind::Any, "", 0, 0, At);
    StringRef Name = Rest.take_while([](char C) { return llvm::isAlnum(C) || C == '_'; });
    Rest = Rest.drop_front(Name.size());
    if (Name.empty())
      return std::nullopt;
    return make(SegmentKind::Name, Name, 0, 0, At);
  }
  std::optional<SegmentAttr> bracket(Place At) {
    if (Rest.consume_front("*]"))
      return make(SegmentKind::AllIndices, "", 0, 0, At);
    int64_t First = 0, Last = Open;
    if (Rest.consumeInteger(10, First))
      return std::nullopt;
    if (Rest.consume_front("]"))
      return make(SegmentKind::Index, "", First, First, At);
    if (!Rest.consume_front(".."))
      return std::nullopt;
    if (Rest.consume_front("]"))
      return make(SegmentKind::Range, "", First, Open, At);
    if (Rest.consumeInteger(10, Last) || !Rest.consume_front("]"))
      return std::nullopt;
    return make(SegmentKind::Range, "", First, Last, At);
  }

  MLIRContext *Context;
  StringRef Rest;
};
} // namespace

static PathAttr parsePath(AsmParser &Parser) {
  std::string Text;
  SMLoc At = Parser.getCurrentLocation();
  if (Parser.parseString(&Text))
    return {};
  SmallVector<Place> Places;
  auto ParsePlace = [&]() -> ParseResult {
    Place P;
    if (Parser.parseInteger(P.Line) || Parser.parseColon() || Parser.parseInteger(P.Column) ||
        Parser.parseColon() || Parser.parseInteger(P.Length))
      return failure();
    Places.push_back(P);
    return success();
  };
  if (succeeded(Parser.parseOptionalKeyword("at")) &&
      Parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, ParsePlace))
    return {};
  SmallVector<SegmentAttr> Segments;
  if (!PathReader(Parser.getContext(), Text).read(Segments, Places)) {
    Parser.emitError(At, "`") << Text << "` is not a path of names, `*` and [indices]";
    return {};
  }
  return PathAttr::get(Parser.getContext(), Segments);
}

void PathAttr::print(AsmPrinter &Printer) const {
  Printer << '<';
  printPath(Printer, *this);
  Printer << '>';
}

Attribute PathAttr::parse(AsmParser &Parser, Type) {
  if (Parser.parseLess())
    return {};
  PathAttr Path = parsePath(Parser);
  if (!Path || Parser.parseGreater())
    return {};
  return Path;
}

static void printPaths(AsmPrinter &Printer, ArrayRef<PathAttr> Paths) {
  Printer << '[';
  llvm::interleaveComma(Paths, Printer, [&](PathAttr Path) { printPath(Printer, Path); });
  Printer << ']';
}

static ParseResult parsePaths(AsmParser &Parser, SmallVectorImpl<PathAttr> &Paths) {
  return Parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&]() -> ParseResult {
    PathAttr Path = parsePath(Parser);
    if (!Path)
      return failure();
    Paths.push_back(Path);
    return success();
  });
}

void SelectorAttr::print(AsmPrinter &Printer) const {
  Printer << '<';
  printPaths(Printer, getAlternatives());
  if (!getExcept().empty()) {
    Printer << " except ";
    printPaths(Printer, getExcept());
  }
  Printer << '>';
}

Attribute SelectorAttr::parse(AsmParser &Parser, Type) {
  SmallVector<PathAttr> Alternatives, Except;
  if (Parser.parseLess() || parsePaths(Parser, Alternatives))
    return {};
  if (succeeded(Parser.parseOptionalKeyword("except")) && parsePaths(Parser, Except))
    return {};
  if (Parser.parseGreater())
    return {};
  return SelectorAttr::get(Parser.getContext(), Alternatives, Except);
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Shapes
//===------------------------------------------------------------------------------------------------------------------------------===//

unsigned TensorTypeAttr::getNumExpressions() const {
  return llvm::count_if(getDims(), [](DimAttr D) { return D.getKind() == DimKind::Expression; });
}

static void printDim(AsmPrinter &Printer, DimAttr Dim) {
  switch (Dim.getKind()) {
  case DimKind::Ellipsis:
    Printer << "...";
    break;
  case DimKind::Symbol:
    Printer.printString(Dim.getSymbol().getValue());
    break;
  case DimKind::Number:
    Printer << Dim.getNumber();
    break;
  case DimKind::Expression:
    Printer << "value " << Dim.getNumber();
    break;
  }
}

static ParseResult parseDim(AsmParser &Parser, SmallVectorImpl<DimAttr> &Dims) {
  auto Add = [&](DimKind Kind, StringRef Symbol, int64_t Number) {
    Dims.push_back(
        DimAttr::get(Parser.getContext(), Kind, StringAttr::get(Parser.getContext(), Symbol), Number));
    return success();
  };
  std::string Symbol;
  int64_t Number = 0;
  if (succeeded(Parser.parseOptionalEllipsis()))
    return Add(DimKind::Ellipsis, "", 0);
  if (succeeded(Parser.parseOptionalString(&Symbol)))
    return Add(DimKind::Symbol, Symbol, 0);
  if (succeeded(Parser.parseOptionalKeyword("value")))
    return Parser.parseInteger(Number) ? failure() : Add(DimKind::Expression, "", Number);
  return Parser.parseInteger(Number) ? failure() : Add(DimKind::Number, "", Number);
}

void TensorTypeAttr::print(AsmPrinter &Printer) const {
  Printer << '<' << (getParam() ? "param " : "") << stringifyDtype(getDtype()) << ", [";
  llvm::interleaveComma(getDims(), Printer, [&](DimAttr Dim) { printDim(Printer, Dim); });
  Printer << "]>";
}

Attribute TensorTypeAttr::parse(AsmParser &Parser, Type) {
  if (Parser.parseLess())
    return {};
  bool Param = succeeded(Parser.parseOptionalKeyword("param"));
  SMLoc At = Parser.getCurrentLocation();
  StringRef Word;
  if (Parser.parseKeyword(&Word) || Parser.parseComma())
    return {};
  std::optional<Dtype> Element = symbolizeDtype(Word);
  if (!Element) {
    Parser.emitError(At, "`") << Word << "` is no element type";
    return {};
  }
  SmallVector<DimAttr> Dims;
  if (Parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] { return parseDim(Parser, Dims); }) ||
      Parser.parseGreater())
    return {};
  return TensorTypeAttr::get(Parser.getContext(), *Element, Dims, Param);
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Moments
//===------------------------------------------------------------------------------------------------------------------------------===//

MomentAttr MomentAttr::atEnd(MLIRContext *Context) {
  return get(Context, MomentKind::End, FloatAttr::get(Float64Type::get(Context), 0.0), Unit::Steps);
}

MomentAttr MomentAttr::every(MLIRContext *Context, double Amount, Unit Unit) {
  return get(Context, MomentKind::Every, FloatAttr::get(Float64Type::get(Context), Amount), Unit);
}

void MomentAttr::print(AsmPrinter &Printer) const {
  Printer << '<' << stringifyMomentKind(getKind());
  if (getKind() == MomentKind::Every) {
    Printer << ' ';
    Printer.printAttributeWithoutType(getEvery());
    Printer << ' ' << stringifyUnit(getUnit());
  }
  Printer << '>';
}

Attribute MomentAttr::parse(AsmParser &Parser, Type) {
  if (Parser.parseLess())
    return {};
  if (succeeded(Parser.parseOptionalKeyword("end")))
    return Parser.parseGreater() ? Attribute()
                                 : Attribute(MomentAttr::atEnd(Parser.getContext()));
  double Amount = 0;
  StringRef Word;
  if (Parser.parseKeyword("every") || Parser.parseFloat(Amount))
    return {};
  SMLoc At = Parser.getCurrentLocation();
  if (Parser.parseKeyword(&Word) || Parser.parseGreater())
    return {};
  std::optional<Unit> Unit = symbolizeUnit(Word);
  if (!Unit) {
    Parser.emitError(At, "`") << Word << "` is no unit";
    return {};
  }
  return MomentAttr::every(Parser.getContext(), Amount, *Unit);
}

} // namespace vcc::vcs
