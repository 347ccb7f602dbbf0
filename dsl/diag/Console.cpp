// SPDX-License-Identifier: Apache-2.0
//
// Diagnostics for a terminal: code, sentence, place, the line with carets, other places, notes, help.
#include "dsl/diag/Engine.h"

#include <algorithm>
#include <map>

namespace vcc::diag {
namespace {

// A longer line is cut around the carets.
constexpr unsigned WidestLine = 160;

bool startsCharacter(char C) { return (static_cast<unsigned char>(C) & 0xC0) != 0x80; }

unsigned charactersIn(llvm::StringRef Text) {
  return std::count_if(Text.begin(), Text.end(), startsCharacter);
}

/// The characters [First, First + Length) of a UTF-8 line; bytes that a terminal might obey are replaced.
std::string cut(llvm::StringRef Line, unsigned First, unsigned Length) {
  std::string Text;
  unsigned At = 0;
  for (char C : Line) {
    if (startsCharacter(C))
      ++At;
    if (At <= First)
      continue;
    if (At > First + Length)
      break;
    bool Control = static_cast<unsigned char>(C) < 0x20 || C == 0x7F;
    Text += C == '\t' ? ' ' : Control ? '?' : C;
  }
  return Text;
}

/// One line of source with everything that is pointed at in it.
struct Mark {
  unsigned Column, Length;
  bool Primary;
  std::string Text;
};

class ConsoleWriter {
public:
  ConsoleWriter(llvm::raw_ostream &OS, const SourceTexts &Sources, bool Colors)
      : OS(OS), Sources(Sources), Colors(Colors) {}

  void write(const Diagnostic &D) {
    bool Error = D.Kind->Level == Severity::Error;
    paint(Error ? "1;31" : "1;33", std::string(Error ? "error" : "warning") + "[" + D.Kind->Code + "]");
    OS << ": ";
    paint("1", D.Message);
    if (D.Times > 1)
      OS << " (" << D.Times << " times)";
    OS << '\n';
    Gutter = gutterOf(D);
    place(D.Primary.Range, "-->");
    snippets(D);
    for (const Note &Note : D.Notes)
      trailer("note", (Note.Range.isKnown() ? Note.Range.File + ":" + std::to_string(Note.Range.Line) + " " : "") +
                          Note.Text);
    for (const std::string &Help : D.Help)
      trailer("help", Help);
  }

private:
  static unsigned gutterOf(const Diagnostic &D) {
    unsigned Line = D.Primary.Range.Line;
    for (const Label &Label : D.Secondary)
      Line = std::max(Line, Label.Range.Line);
    return std::to_string(Line).size();
  }

  void paint(llvm::StringRef Code, const llvm::Twine &Text) {
    if (Colors)
      OS << "\x1b[" << Code << 'm' << Text << "\x1b[0m";
    else
      OS << Text;
  }

  void place(const SourceRange &Range, llvm::StringRef Arrow) {
    if (!Range.isKnown() && Range.File.empty())
      return;
    OS.indent(Gutter);
    paint("1;34", Arrow);
    OS << ' ' << Range.File;
    if (Range.isKnown())
      OS << ':' << Range.Line << ':' << Range.Column;
    OS << '\n';
  }

  void bar(llvm::StringRef Number = "") {
    OS.indent(Gutter - Number.size());
    paint("1;34", Number + " |");
  }

  Mark markOf(const Label &Label, bool Primary, unsigned LineLength) {
    const SourceRange &Range = Label.Range;
    unsigned End = Range.EndLine == Range.Line ? Range.EndColumn : LineLength + 1;
    unsigned Length = End > Range.Column ? End - Range.Column : 1;
    return {Range.Column, Length, Primary, Label.Text};
  }

  void snippets(const Diagnostic &D) {
    if (!D.Primary.Range.isKnown())
      return;
    // Lines of the primary's file first, in order; then each other file under its own place.
    std::map<std::pair<bool, std::string>, std::map<unsigned, std::vector<Mark>>> Files;
    auto Add = [&](const Label &Label, bool Primary) {
      const std::string &File = Label.Range.File;
      unsigned Length = charactersIn(Sources.line(File, Label.Range.Line));
      Files[{File != D.Primary.Range.File, File}][Label.Range.Line].push_back(markOf(Label, Primary, Length));
    };
    Add(D.Primary, true);
    for (const Label &Label : D.Secondary)
      Add(Label, false);
    for (auto &[Key, Lines] : Files) {
      if (Key.first)
        place({Key.second, Lines.begin()->first, Lines.begin()->second.front().Column}, ":::");
      bar();
      OS << '\n';
      unsigned Before = 0;
      for (auto &[Number, Marks] : Lines) {
        if (Before != 0 && Number > Before + 1)
          OS << "...\n";
        Before = Number;
        line(Key.second, Number, Marks);
      }
    }
    bar();
    OS << '\n';
  }

  void line(const std::string &File, unsigned Number, std::vector<Mark> &Marks) {
    llvm::StringRef Text = Sources.line(File, Number);
    std::partition(Marks.begin(), Marks.end(), [](const Mark &Mark) { return Mark.Primary; });
    unsigned Length = charactersIn(Text), First = 0;
    if (Length > WidestLine && Marks.front().Column > WidestLine / 2)
      First = std::min(Marks.front().Column - WidestLine / 2, Length);
    bar(std::to_string(Number));
    OS << ' ' << cut(Text, First, WidestLine) << '\n';
    for (const Mark &Mark : Marks)
      underline(Mark, First);
  }

  void underline(const Mark &Mark, unsigned First) {
    unsigned Column = Mark.Column > First ? Mark.Column - First : 1;
    if (Column > WidestLine)
      return;
    bar();
    OS.indent(Column);
    std::string Carets(std::min(Mark.Length, WidestLine - Column + 1), Mark.Primary ? '^' : '-');
    paint(Mark.Primary ? "1;31" : "1;34", Carets + (Mark.Text.empty() ? "" : " " + Mark.Text));
    OS << '\n';
  }

  void trailer(llvm::StringRef What, const std::string &Text) {
    OS.indent(Gutter);
    paint("1;34", " = ");
    OS << What << ": " << Text << '\n';
  }

  llvm::raw_ostream &OS;
  const SourceTexts &Sources;
  bool Colors;
  unsigned Gutter = 1;
};

} // namespace

void Engine::printConsole(llvm::raw_ostream &OS, bool Colors) const {
  ConsoleWriter Writer(OS, Sources, Colors);
  for (const Diagnostic &D : Diagnostics) {
    Writer.write(D);
    OS << '\n';
  }
  if (Dropped)
    OS << "and " << plural(Dropped, "diagnostic") << " more\n";
}

} // namespace vcc::diag
