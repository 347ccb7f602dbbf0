// SPDX-License-Identifier: Apache-2.0
//
// Wording of syntax errors.
#include "dsl/grammar/SyntaxErrors.h"

#include "VcsLexer.h"
#include "VcsParser.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace vcc::grammar {

static constexpr unsigned MostErrors = 5;

static std::string shown(antlr4::Token *Token) {
  if (Token->getType() == antlr4::Token::EOF)
    return "the end of the file";
  if (Token->getType() == VcsLexer::FLOORDIV)
    return "`//`";
  std::string Text = Token->getText();
  if (Token->getType() == VcsLexer::UNTERMINATED)
    return "a string that is not closed on its line";
  if (Text.size() > 40)
    Text = Text.substr(0, 37) + "...";
  return "`" + Text + "`";
}

/// What could stand here, if that can be said in a few words; empty otherwise.
static std::string wanted(antlr4::Parser *Parser) {
  antlr4::misc::IntervalSet Expected = Parser->getExpectedTokens();
  const antlr4::dfa::Vocabulary &Vocabulary = Parser->getVocabulary();
  bool Name = Expected.contains(static_cast<ssize_t>(VcsLexer::IDENT));
  std::vector<std::string> Words;
  for (ssize_t Type : Expected.toList()) {
    if (Type == static_cast<ssize_t>(VcsLexer::IDENT) || Type == static_cast<ssize_t>(antlr4::Token::EOF))
      continue;
    std::string Word = Type == static_cast<ssize_t>(VcsLexer::FLOORDIV) ? "'//'" : Vocabulary.getDisplayName(Type);
    bool Literal = Word.size() > 2 && Word.front() == '\'';
    if (Literal && std::isalpha(static_cast<unsigned char>(Word[1])) && Name)
      continue; // a soft word, which is a name too
    if (Literal)
      Word = "`" + Word.substr(1, Word.size() - 2) + "`";
    else if (Type == static_cast<ssize_t>(VcsLexer::STRING))
      Word = "a string";
    else if (Type == static_cast<ssize_t>(VcsLexer::INT) || Type == static_cast<ssize_t>(VcsLexer::FLOAT))
      Word = "a number";
    else
      continue;
    if (std::find(Words.begin(), Words.end(), Word) == Words.end())
      Words.push_back(Word);
  }
  if (Name)
    Words.insert(Words.begin(), "a name");
  if (Words.empty() || Words.size() > 4)
    return "";
  std::string Text;
  for (size_t I = 0; I < Words.size(); ++I)
    Text += (I == 0 ? "" : I + 1 == Words.size() ? " or " : ", ") + Words[I];
  return Text;
}

static void report(antlr4::Parser *Parser, antlr4::Token *At, const std::string &Message) {
  Parser->notifyErrorListeners(At, Message, nullptr);
}

static std::string unexpected(antlr4::Parser *Parser, antlr4::Token *At) {
  std::string Wanted = wanted(Parser);
  return "unexpected " + shown(At) + (Wanted.empty() ? "" : ", expected " + Wanted);
}

void ErrorWording::reportNoViableAlternative(antlr4::Parser *Parser, const antlr4::NoViableAltException &Fault) {
  report(Parser, Fault.getOffendingToken(), "unexpected " + shown(Fault.getOffendingToken()));
}

void ErrorWording::reportInputMismatch(antlr4::Parser *Parser, const antlr4::InputMismatchException &Fault) {
  report(Parser, Fault.getOffendingToken(), unexpected(Parser, Fault.getOffendingToken()));
}

void ErrorWording::reportFailedPredicate(antlr4::Parser *Parser, const antlr4::FailedPredicateException &Fault) {
  report(Parser, Fault.getOffendingToken(),
         "unexpected " + shown(Fault.getOffendingToken()) + " at the start of a line");
}

void ErrorWording::reportUnwantedToken(antlr4::Parser *Parser) {
  if (inErrorRecoveryMode(Parser))
    return;
  beginErrorCondition(Parser);
  report(Parser, Parser->getCurrentToken(), unexpected(Parser, Parser->getCurrentToken()));
}

void ErrorWording::reportMissingToken(antlr4::Parser *Parser) {
  if (inErrorRecoveryMode(Parser))
    return;
  beginErrorCondition(Parser);
  std::string Wanted = wanted(Parser);
  antlr4::Token *At = Parser->getCurrentToken();
  report(Parser, At, Wanted.empty() ? "unexpected " + shown(At) : "expected " + Wanted + " before " + shown(At));
}

static bool isWord(llvm::StringRef Text) {
  return !Text.empty() && (llvm::isAlpha(Text.front()) || Text.front() == '_') &&
         llvm::all_of(Text, [](char Letter) { return llvm::isAlnum(Letter) || Letter == '_'; });
}

/// The words of the language that could stand here; none where any name could.
static std::vector<std::string> wordsThatFit(antlr4::Parser &Parser) {
  antlr4::misc::IntervalSet Expected = Parser.getExpectedTokens();
  std::vector<std::string> Words;
  if (Expected.contains(static_cast<ssize_t>(VcsLexer::IDENT)))
    return Words;
  for (ssize_t Type : Expected.toList()) {
    llvm::StringRef Shown = Parser.getVocabulary().getLiteralName(Type);
    if (isWord(Shown.trim('\'')))
      Words.push_back(Shown.trim('\'').str());
  }
  return Words;
}

/// The few words that `wanted` finds are part of the message; the many that begin a clause or a declaration stand in a note.
void ErrorCollector::helpWith(antlr4::Parser &Parser, antlr4::Token &Offending, diag::Builder &Made) {
  static constexpr size_t Most = 20;
  std::string Text = Offending.getText();
  antlr4::Token *Before = Offending.getTokenIndex() ? Parser.getTokenStream()->get(Offending.getTokenIndex() - 1) : nullptr;
  if (Before && Parser.getContext()->getRuleIndex() == VcsParser::RuleBatchEntry)
    Made.didYouMean(Before->getText(), {"accumulate"});
  if (!isWord(Text))
    return;
  antlr4::misc::IntervalSet Expected = Parser.getExpectedTokens();
  if (Expected.contains(static_cast<ssize_t>(VcsLexer::STRING)) && !Expected.contains(static_cast<ssize_t>(VcsLexer::IDENT)))
    Made.help("a name stands in quotes here: `\"" + Text + "\"`");
  std::vector<std::string> Words = wordsThatFit(Parser);
  bool Clause = llvm::is_contained(Words, "optimize"), Declaration = llvm::is_contained(Words, "dataset");
  if (!Clause && !Declaration) {
    Made.didYouMean(Text, Words);
    return;
  }
  Count = MostErrors;
  Made.note((Clause ? "a stage says " : "a module declares ") + diag::list(Words, Most));
  if (Clause && Text == "like")
    Made.help("a stage is like another in its first line: `stage 2 \"tune\" of Model like stage 1 { .. }`");
  else if (std::vector<std::string> Keys = Places && diag::nearest(Text, Words).empty() ? Places(Text) : std::vector<std::string>(); !Keys.empty())
    Made.help("it is a key of " + llvm::join(Keys, " or "));
  Made.didYouMean(Text, Words);
}

void ErrorCollector::syntaxError(antlr4::Recognizer *Recognizer, antlr4::Token *Offending, size_t Line, size_t Column,
                                 const std::string &Message, std::exception_ptr) {
  if (Line == LastLine || Count == MostErrors)
    return;
  ++Count;
  LastLine = Line;
  unsigned Length = 1;
  if (Offending && Offending->getType() != antlr4::Token::EOF)
    Length = Offending->getStopIndex() - Offending->getStartIndex() + 1;
  unsigned First = Column + 1, Row = Line;
  auto Made = Engine.report(diag::kinds::SyntaxError, {File, Row, First, Row, First + Length}, Message);
  if (Offending && Offending->getType() == VcsLexer::FLOORDIV)
    Made.help("this `//` divides; a comment after code stands at least two spaces behind it");
  if (Offending && Offending->getType() == VcsLexer::UNTERMINATED)
    Made.help("end the string with `\"`; a line break in it is written `\\n`");
  auto *Parser = dynamic_cast<antlr4::Parser *>(Recognizer);
  if (Parser && Offending && Offending->getType() != antlr4::Token::EOF)
    helpWith(*Parser, *Offending, Made);
}

} // namespace vcc::grammar
