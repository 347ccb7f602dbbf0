// SPDX-License-Identifier: Apache-2.0
//
// What a stage says in effect: every value, defaults included, and the line that it comes from. Behind `vcc show`.
//
// A value is JSON's own, or {"amount", "unit"}, or what it would be called.
//
//   {"name", "number", "model", "at", "sections": [section..]}
//   section: {"title", "of"?, "at"?, "values": [value..]}
//   value:   {"name", "value", "from": "written" | "default" | "language", "of"?, "at"?, "by"?: [{"const" | "argument", "at"}..], "values"?: [value..]}
//
// `of` names what has the default; `by` is where what is written has its value from: {"const"} that it names, {"argument"} "fn.parameter" that it is
// of a function, each with the place of what that says, `-D` for a const from the command line. The last section, "consts", has
// the recipe's consts that values of the stage name.
#ifndef VCC_COMPILER_ELABORATE_EFFECTIVE_H
#define VCC_COMPILER_ELABORATE_EFFECTIVE_H

#include "compiler/elaborate/Manifest.h"
#include "compiler/elaborate/Stage.h"

#include "llvm/ADT/SetVector.h"

namespace vcc::elaborate {

/// After the stage is built and its manifest written.
Json writeEffective(Evaluator &evaluator, const Stage &stage, StringRef stdlibDir);

/// The fewest selectors that name `weights` and nothing else, of equal elements of lists one.
std::vector<std::string> shortestSelectors(const PartNode &tree, const WeightSet &weights);

/// Values and places as JSON.
class EffectiveValues {
public:
  EffectiveValues(Evaluator &evaluator, StringRef stdlibDir) : evaluator(evaluator), stdlibDir(stdlibDir) {}

  /// "stdlib/schedules/schedules.vcs:12"; null where the place is not known.
  Json at(mlir::Location loc) const;
  /// `of`: whose default it is, where it is one.
  Json setting(const Setting &setting, const std::string &of = "") const;
  /// Parameters of `declaration` with their values; what only a running program knows is left out.
  Json arguments(mlir::Operation *declaration, llvm::ArrayRef<Setting> settings) const;
  Json arguments(const Part &part, llvm::ArrayRef<StringRef> without = {}) const;
  Json fields(const StructValue &record) const;
  /// "module.name", a name alone for what the recipe declares itself.
  static std::string nameOf(mlir::Operation *declaration);
  /// Said by the clause itself, with `expression` where that may name consts.
  Json written(StringRef name, Json value, mlir::Location loc, mlir::Value expression = {}) const;
  /// The recipe's consts that any of the values so far names, the library's left out.
  Json consts() const;
  /// A default of the language.
  static Json assumed(StringRef name, Json value);

private:
  Json tracesOf(const Origin &origin) const;

  Evaluator &evaluator;
  StringRef stdlibDir;
  mutable llvm::SetVector<mlir::Operation *> named;
};

} // namespace vcc::elaborate

#endif
