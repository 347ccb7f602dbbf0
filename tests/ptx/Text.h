// SPDX-License-Identifier: Apache-2.0
//
// PTX as LLVM writes it, read: kernels, their registers, memory of blocks, statements. Nothing is interpreted here.
#ifndef VCC_TESTS_PTX_TEXT_H
#define VCC_TESTS_PTX_TEXT_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vcc::ptx {

/// `%r1`, `0f3F800000`, `[%rd1+8]`, `{%r1, %r2}`.
struct Operand {
  enum { Word, Address, Group } kind = Word;
  std::vector<std::string> words; ///< one, or those of a group
  int64_t offset = 0;             ///< of an address
};

/// A label, a brace or an instruction: `@!%p1 add.rn.f32 %f1, %f2, %f3;`.
struct Statement {
  enum { Instruction, Label, Open, Close, Registers } kind = Instruction;
  std::string label, guard;         ///< of an instruction: the predicate that it hangs on
  bool negated = false;
  std::vector<std::string> opcode;  ///< cut at its points; of registers the type
  std::vector<Operand> operands;
  std::string text;                 ///< for what is said of it
};

struct Variable {
  std::string name;
  uint64_t align = 1, bytes = 0;
  std::vector<std::string> values; ///< bytes that it begins with, for a table
};

struct Function {
  std::string name;
  std::vector<std::string> parameters;
  uint32_t threads = 1024;
  std::vector<Variable> shared;
  std::vector<Statement> body;
};

struct Module {
  std::vector<Variable> tables; ///< .global and .const
  std::vector<Function> functions;
};

/// Throws std::runtime_error that says what was not understood.
Module read(std::string_view text);

} // namespace vcc::ptx
#endif
