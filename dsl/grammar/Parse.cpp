// SPDX-License-Identifier: Apache-2.0
//
// Runs lexer and parser over a text, after checks that keep hostile input from exhausting stack or time.
#include "dsl/grammar/Parse.h"

#include "dsl/grammar/Builder.h"
#include "dsl/grammar/SyntaxErrors.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/ConvertUTF.h"

namespace vcc::grammar {

static constexpr uint64_t LargestModule = 1000000;

/// Whether `Text` is small enough and UTF-8.
static bool checkText(llvm::StringRef File, llvm::StringRef Text, diag::Engine &Engine) {
  diag::SourceRange Nowhere{File.str()};
  if (Text.size() > LargestModule) {
    Engine.report(diag::kinds::FileTooLarge, Nowhere, File, Text.size(), LargestModule);
    return false;
  }
  const auto *First = reinterpret_cast<const llvm::UTF8 *>(Text.begin()), *At = First;
  bool Good = llvm::isLegalUTF8String(&At, reinterpret_cast<const llvm::UTF8 *>(Text.end()));
  if (Good && Text.find('\0') == llvm::StringRef::npos)
    return true;
  size_t Byte = Good ? Text.find('\0') : At - First;
  Engine.report(diag::kinds::NotText, Nowhere, File).note("byte " + llvm::Twine(Byte) + " begins no character");
  return false;
}

/// `Text` with every `//` that divides (an operand, at most one space, `//`) written as one marker and a space, so that the lexer need not
/// look back; a comment after code stands two spaces or more behind it. No character changes its column.
static std::string markDivisions(llvm::StringRef Text) {
  std::string Marked;
  Marked.reserve(Text.size());
  auto Operand = [](char C) { return llvm::isAlnum(C) || C == '_' || C == ')' || C == ']'; };
  bool String = false, Comment = false;
  for (size_t I = 0; I < Text.size(); ++I) {
    char C = Text[I];
    if (C == '\n')
      String = Comment = false;
    else if (String && C == '\\' && I + 1 < Text.size() && Text[I + 1] != '\n')
      Marked += Text[I++];
    else if (C == '"' && !Comment)
      String = !String;
    if (String || Comment || !Text.substr(I).starts_with("//")) {
      Marked += Text[I];
      continue;
    }
    bool Divides = I > 0 && (Operand(Text[I - 1]) || (I > 1 && Text[I - 1] == ' ' && Operand(Text[I - 2])));
    if (Divides) {
      Marked += "\uE000 ";
      ++I;
    } else {
      Comment = true;
      Marked += C;
    }
  }
  return Marked;
}

/// The parser recurses at brackets, prefix operators and what groups to the right; none may pile up without end.
static bool checkNesting(antlr4::CommonTokenStream &Tokens, llvm::StringRef File, diag::Engine &Engine) {
  unsigned Depth = 0, Chain = 0;
  for (antlr4::Token *Token : Tokens.getTokens()) {
    if (Token->getChannel() != antlr4::Token::DEFAULT_CHANNEL)
      continue;
    std::string Text = Token->getText();
    if (Text == "(" || Text == "[" || Text == "{") {
      ++Depth;
      Chain = 0;
    } else if (Text == ")" || Text == "]" || Text == "}") {
      Depth -= Depth != 0;
      Chain = 0;
    } else if (Text == "-" || Text == "not" || Text == "**" || Text == "else" || Text == "if") {
      ++Chain;
    } else if (Text == "," || Text == ";" || Text == ":" || Text == "=") {
      Chain = 0;
    }
    if (Depth > DeepestNesting / 2 || Chain > 2 * DeepestNesting) {
      unsigned Line = Token->getLine(), Column = Token->getCharPositionInLine() + 1;
      Engine
          .report(diag::kinds::NestedTooDeep, {File.str(), Line, Column, Line, Column + 1},
                  Depth > DeepestNesting / 2 ? DeepestNesting / 2 : 2 * DeepestNesting)
          .help("give parts of the expression names with `let`");
      return false;
    }
  }
  return true;
}

/// Parses `Text` from the rule `Start` and hands the result to `Build`.
template <class Result, class StartFn, class BuildFn>
static Result parse(llvm::StringRef File, llvm::StringRef Text, diag::Engine &Engine, const PlacesOfKey &Places, StartFn Start, BuildFn Build) {
  Engine.sources().add(File, Text);
  if (!checkText(File, Text, Engine))
    return nullptr;
  antlr4::ANTLRInputStream Input(markDivisions(Text));
  VcsLexer Lexer(&Input);
  Lexer.removeErrorListeners();
  antlr4::CommonTokenStream Tokens(&Lexer);
  Tokens.fill();
  if (!checkNesting(Tokens, File, Engine))
    return nullptr;
  VcsParser Parser(&Tokens);
  ErrorCollector Collector(File.str(), Engine, Places);
  Parser.removeErrorListeners();
  // Nearly every file needs no full-context prediction, which is the slow part; one that fails without it is read again with it.
  auto *Prediction = Parser.getInterpreter<antlr4::atn::ParserATNSimulator>();
  Prediction->setPredictionMode(antlr4::atn::PredictionMode::SLL);
  Parser.setErrorHandler(std::make_shared<antlr4::BailErrorStrategy>());
  decltype(Start(Parser)) Tree = nullptr;
  try {
    Tree = Start(Parser);
  } catch (const antlr4::ParseCancellationException &) {
    Tokens.seek(0);
    Parser.reset();
    Prediction->setPredictionMode(antlr4::atn::PredictionMode::LL);
    Parser.addErrorListener(&Collector);
    Parser.setErrorHandler(std::make_shared<ErrorWording>());
    Tree = Start(Parser);
  }
  if (Collector.any())
    return nullptr;
  unsigned Before = Engine.errorCount();
  Builder Builder(File.str(), Tokens, Engine);
  Result Made = Build(Builder, Tree);
  return Engine.errorCount() == Before ? std::move(Made) : nullptr;
}

std::unique_ptr<syntax::Module> parseModule(llvm::StringRef File, llvm::StringRef Text, diag::Engine &Engine, const PlacesOfKey &Places) {
  return parse<std::unique_ptr<syntax::Module>>(
      File, Text, Engine, Places, [](VcsParser &Parser) { return Parser.file(); },
      [](Builder &Builder, VcsParser::FileContext *Tree) { return Builder.module(Tree); });
}

syntax::ExprPtr parseExpression(llvm::StringRef File, llvm::StringRef Text, diag::Engine &Engine) {
  return parse<syntax::ExprPtr>(
      File, Text, Engine, {}, [](VcsParser &Parser) { return Parser.expressionOnly(); },
      [](Builder &Builder, VcsParser::ExpressionOnlyContext *Tree) { return Builder.expr(Tree->expr()); });
}

} // namespace vcc::grammar
