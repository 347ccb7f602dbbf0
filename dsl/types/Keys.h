// SPDX-License-Identifier: Apache-2.0
//
// The keys of every block of options: one table, read by the checks and by the emitter.
#ifndef VCC_DSL_TYPES_KEYS_H
#define VCC_DSL_TYPES_KEYS_H

#include "dsl/diag/Engine.h"
#include "dsl/syntax/Declarations.h"

#include <optional>
#include <string>
#include <vector>

namespace vcc::types {

enum class KeyKind {
  Value,  // an expression
  Word,   // one of `Words`
  Field,  // the path of a field of the record
  Paths,  // selectors (`except`)
  Renames // rules `"a.*" -> "b.*"`
};

struct Key {
  std::string Name;
  KeyKind Kind = KeyKind::Value;
  std::vector<std::string> Words;
  bool PerWeight = false; // may also be `key { selector: value, else: value }`
  std::optional<syntax::Unit> In = std::nullopt; // the unit of a number given here
};

enum class BlockKind { Rows, Text, Labels, Identity, Accumulate, Evaluate, Precision, Parallel, Save, Start, Optimize, Schedule, Dataset, Lora };

/// The keys that the language itself gives to a block.
const std::vector<Key> &keysOf(BlockKind Block);

/// Checks the keys of `Given` against the block's own and `Extra` (parameters of what the block configures): unknown, repeated,
/// and words that are none of those possible. `Owner` names the block in messages.
void checkKeys(const syntax::Options &Given, BlockKind Block, const std::vector<Key> &Extra, const std::string &Owner,
               diag::Engine &Engine);

/// The entry of that key, or null.
const syntax::Option *findOption(const syntax::Options &Given, llvm::StringRef Name);

const Key *findKey(BlockKind Block, llvm::StringRef Name);

/// How the key is written in the blocks that take it, such as `precision .. { interval: .. }`; empty where none does.
std::vector<std::string> placesOfKey(llvm::StringRef Name);

} // namespace vcc::types

#endif
