// SPDX-License-Identifier: Apache-2.0
//
// Faults found while a recipe is evaluated. A fault names its kind (dsl/diag/Kinds.def), the place
// where it was noticed, the far ends as notes, and a help. The recipe author reads about the
// nearest line of their own file: where the place lies inside the standard library, the call that
// led there becomes the primary label and the library's line a note.
#ifndef VCC_COMPILER_ELABORATE_FAULTS_H
#define VCC_COMPILER_ELABORATE_FAULTS_H

#include "dsl/diag/Engine.h"
#include "mlir/IR/Location.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/LogicalResult.h"

#include <memory>
#include <string>
#include <vector>

namespace vcc::elaborate {

enum class FaultKind {
  NotSupported,
  UnknownKey,
  MissingKey,
  UnknownField,
  LoraSiteMatchesNothing,
  SelectorMatchesNothing,
  TrainedAndFrozen,
  NeitherTrainedNorFrozen,
  NoPathToLoss,
  StageDoesNotProduce,
  StartIncomplete,
  IdleHasLoss,
  NotInUse,
  NothingToRecompute,
  GradientsWithoutLimit, // a warning
  ShapeMismatch,
  TypeMismatch,
  MissingArgument,
  UnknownArgument,
  UnitMismatch,
  DivisionByZero,
  IndexOutOfRange,
  PrecisionUnsupported,
  NotCompileTime,
  DuplicateArgument,
  TooManyArguments,
  NumberTooLarge,
  EvaluationTooLong,
  BadValue,
  IdOutOfRange,
  TooDeep,
};

struct FaultNote {
  mlir::Location loc;
  std::string text;
};

struct FaultRecord {
  FaultKind kind;
  mlir::Location loc;
  std::string message;
  std::string label;
  std::vector<FaultNote> notes;
  std::string help;
};

class FaultSink {
public:
  virtual ~FaultSink() = default;
  virtual void report(FaultRecord record) = 0;
  /// Whether a place lies in the standard library, which is not the author's to change.
  virtual bool inLibrary(mlir::Location) const { return false; }
};

class Evaluator;

/// Hands faults to the diagnostics engine. A fault inside the standard library is told from the
/// recipe's call that led there.
class EngineSink : public FaultSink {
public:
  EngineSink(diag::Engine &engine, std::string stdlibDir)
      : engine(engine), stdlibDir(std::move(stdlibDir)) {}
  void report(FaultRecord record) override;
  /// Where calls are looked up while a fault is reported.
  const Evaluator *evaluator = nullptr;
  unsigned count = 0;
  bool inLibrary(mlir::Location loc) const override;

private:
  diag::Engine &engine;
  std::string stdlibDir;
};

/// A fault being described; reported when it goes out of scope. Converts to failure.
class Fault {
public:
  Fault(FaultSink &sink, FaultKind kind, mlir::Location loc, std::string message)
      : sink(&sink), record(new FaultRecord{kind, loc, std::move(message), "", {}, ""}) {}
  Fault(Fault &&) = default;
  ~Fault() {
    if (record)
      sink->report(std::move(*record));
  }
  /// What stands beside the caret.
  Fault &&label(std::string text) && {
    record->label = std::move(text);
    return std::move(*this);
  }
  Fault &&note(mlir::Location loc, std::string text) && {
    record->notes.push_back({loc, std::move(text)});
    return std::move(*this);
  }
  Fault &&help(std::string text) && {
    if (!text.empty())
      record->help = std::move(text);
    return std::move(*this);
  }
  operator llvm::LogicalResult() && { return llvm::failure(); }
  template <typename T>
  operator llvm::FailureOr<T>() && {
    return llvm::failure();
  }

private:
  FaultSink *sink;
  std::unique_ptr<FaultRecord> record;
};

/// "did you mean `x`?" for the nearest of `known`, or a list of them if there are at most five;
/// else nothing.
std::string suggest(llvm::StringRef wanted, const std::vector<std::string> &known);

} // namespace vcc::elaborate

#endif
