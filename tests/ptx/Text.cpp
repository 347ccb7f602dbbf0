// SPDX-License-Identifier: Apache-2.0
#include "tests/ptx/Text.h"

#include <cctype>
#include <stdexcept>

namespace vcc::ptx {

namespace {

std::vector<std::string> tokensOf(std::string_view text) {
  std::vector<std::string> tokens;
  for (size_t i = 0; i < text.size();) {
    auto isWord = [&](size_t at) { return at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) || std::string_view("%$_.-|").find(text[at]) != std::string_view::npos); };
    if (std::isspace(static_cast<unsigned char>(text[i]))) {
      ++i;
    } else if (text.substr(i, 2) == "//") {
      i = std::min(text.find('\n', i), text.size());
    } else if (isWord(i)) {
      size_t begin = i;
      while (isWord(i))
        ++i;
      tokens.emplace_back(text.substr(begin, i - begin));
    } else {
      tokens.emplace_back(1, text[i++]);
    }
  }
  return tokens;
}

std::vector<std::string> cut(const std::string &word) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= word.size();) {
    size_t end = std::min(word.find('.', begin), word.size());
    parts.push_back(word.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

class Reader {
public:
  explicit Reader(std::string_view text) : Tokens(tokensOf(text)) {}

  Module run() {
    Module module;
    while (!atEnd()) {
      if (take(".version") || take(".target") || take(".address_size"))
        ++At;
      else if (take(".visible"))
        ;
      else if (take(".entry"))
        module.functions.push_back(function());
      else if (take(".global") || take(".const"))
        module.tables.push_back(variable());
      else
        fail("a kernel or a table");
    }
    return module;
  }

private:
  bool atEnd() const { return At >= Tokens.size(); }
  [[noreturn]] void fail(const std::string &wanted) const {
    throw std::runtime_error("PTX: " + wanted + " was expected, not `" + (atEnd() ? "the end" : Tokens[At]) + "`");
  }
  bool take(const std::string &word) {
    bool is = !atEnd() && Tokens[At] == word;
    At += is;
    return is;
  }
  std::string next() {
    if (atEnd())
      fail("more");
    return Tokens[At++];
  }
  void expect(const std::string &word) {
    if (!take(word))
      fail("`" + word + "`");
  }
  uint64_t number() { return std::stoull(next(), nullptr, 0); }

  /// `.align 16 .b8 name[64];`, or with `= {1, 2}` before the end.
  Variable variable() {
    Variable made;
    if (take(".align"))
      made.align = number();
    if (next() != ".b8")
      throw std::runtime_error("PTX: only variables of .b8 are known");
    made.name = next();
    expect("[");
    made.bytes = number();
    expect("]");
    if (take("=")) {
      expect("{");
      while (!take("}")) {
        made.values.push_back(next());
        take(",");
      }
    }
    expect(";");
    return made;
  }

  Function function() {
    Function made;
    made.name = next();
    expect("(");
    while (!take(")")) {
      expect(".param");
      next();
      made.parameters.push_back(next());
      take(",");
    }
    while (!take("{")) {
      bool threads = take(".maxntid");
      if (!threads && !take(".maxnreg") && !take(".minnctapersm"))
        fail("a body");
      uint64_t value = number();
      while (take(","))
        value *= number();
      if (threads)
        made.threads = uint32_t(value);
    }
    for (size_t depth = 1; depth;) {
      if (take(".shared")) {
        made.shared.push_back(variable());
        continue;
      }
      made.body.push_back(statement());
      depth += made.body.back().kind == Statement::Open;
      depth -= made.body.back().kind == Statement::Close;
    }
    made.body.pop_back(); // the brace that ends it
    return made;
  }

  Statement statement() {
    Statement made;
    if (take("{"))
      return made.kind = Statement::Open, made;
    if (take("}"))
      return made.kind = Statement::Close, made;
    if (take(".reg")) {
      made.kind = Statement::Registers;
      made.opcode = {next().substr(1)};
      do {
        Operand name{Operand::Word, {next()}, -1}; // one of this name, or so many
        if (take("<")) {
          name.offset = int64_t(number());
          expect(">");
        }
        made.operands.push_back(name);
      } while (take(","));
      expect(";");
      return made;
    }
    if (At + 1 < Tokens.size() && Tokens[At + 1] == ":") {
      made.kind = Statement::Label;
      made.label = next();
      ++At;
      return made;
    }
    size_t begin = At;
    if (take("@")) {
      made.negated = take("!");
      made.guard = next();
    }
    made.opcode = cut(next());
    while (!take(";")) {
      made.operands.push_back(operand());
      take(",");
    }
    for (; begin < At; ++begin)
      made.text += (made.text.empty() ? "" : " ") + Tokens[begin];
    return made;
  }

  Operand operand() {
    Operand made;
    if (take("[")) {
      made.kind = Operand::Address;
      made.words = {next()};
      if (take("+"))
        made.offset = std::stoll(next(), nullptr, 0);
      expect("]");
    } else if (take("{")) {
      made.kind = Operand::Group;
      while (!take("}")) {
        made.words.push_back(next());
        take(",");
      }
    } else {
      made.words = {next()};
    }
    return made;
  }

  std::vector<std::string> Tokens;
  size_t At = 0;
};

} // namespace

Module read(std::string_view text) { return Reader(text).run(); }

} // namespace vcc::ptx
