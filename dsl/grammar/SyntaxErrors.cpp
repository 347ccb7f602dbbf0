// SPDX-License-Identifier: Apache-2.0
//
// Wording of syntax errors.
#include "dsl/grammar/SyntaxErrors.h"

#include "VcsLexer.h"

namespace vcc::grammar {

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

void ErrorCollector::syntaxError(antlr4::Recognizer *, antlr4::Token *Offending, size_t Line, size_t Column,
                                 const std::string &Message, std::exception_ptr) {
  static constexpr unsigned Most = 5;
  if (Line == LastLine || Count == Most)
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
}

} // namespace vcc::grammar
