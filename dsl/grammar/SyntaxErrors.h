// SPDX-License-Identifier: Apache-2.0
//
// The parser's faults in the words of the language.
#ifndef VCC_DSL_GRAMMAR_SYNTAXERRORS_H
#define VCC_DSL_GRAMMAR_SYNTAXERRORS_H

#include "dsl/diag/Engine.h"
#include "dsl/grammar/Parse.h"

#include "antlr4-runtime.h"

namespace vcc::grammar {

/// Words the errors; recovery stays the default one.
class ErrorWording : public antlr4::DefaultErrorStrategy {
protected:
  void reportNoViableAlternative(antlr4::Parser *Parser, const antlr4::NoViableAltException &Fault) override;
  void reportInputMismatch(antlr4::Parser *Parser, const antlr4::InputMismatchException &Fault) override;
  void reportFailedPredicate(antlr4::Parser *Parser, const antlr4::FailedPredicateException &Fault) override;
  void reportUnwantedToken(antlr4::Parser *Parser) override;
  void reportMissingToken(antlr4::Parser *Parser) override;
};

/// Hands errors to the engine: one a line, a handful a file, since what follows a syntax error is often its echo; nothing behind a
/// word that begins neither a clause nor a declaration, since what belongs to it is not known.
class ErrorCollector : public antlr4::BaseErrorListener {
public:
  ErrorCollector(std::string File, diag::Engine &Engine, PlacesOfKey Places) : File(std::move(File)), Engine(Engine), Places(std::move(Places)) {}
  void syntaxError(antlr4::Recognizer *Recognizer, antlr4::Token *Offending, size_t Line, size_t Column,
                   const std::string &Message, std::exception_ptr Fault) override;
  bool any() const { return Count != 0; }

private:
  void helpWith(antlr4::Parser &Parser, antlr4::Token &Offending, diag::Builder &Made);

  std::string File;
  diag::Engine &Engine;
  PlacesOfKey Places;
  unsigned Count = 0;
  size_t LastLine = 0;
};

} // namespace vcc::grammar

#endif
