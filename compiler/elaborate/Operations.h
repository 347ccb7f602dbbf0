// SPDX-License-Identifier: Apache-2.0
//
// The table of prelude operations: name -> what builds it. The signatures stand in
// stdlib/prelude.vcs; this is their meaning.
#ifndef VCC_COMPILER_ELABORATE_OPERATIONS_H
#define VCC_COMPILER_ELABORATE_OPERATIONS_H

#include "compiler/elaborate/Evaluator.h"

namespace vcc::elaborate {

/// One call of a prelude operation with its arguments bound by name.
struct OperationCall {
  Evaluator &evaluator;
  StringRef name;
  mlir::Location loc;
  llvm::StringMap<Value> arguments;
  std::vector<Value> positional; // of max and min over several numbers

  /// Lives as long as the call does: what is asked of it may be a place inside it.
  const Value &at(StringRef argument) const {
    static const Value absent;
    auto found = arguments.find(argument);
    return found == arguments.end() ? absent : found->second;
  }
  FailureOr<Tensor> tensor(StringRef argument, mlir::Type numbers = {}) const;
  FailureOr<int64_t> integer(StringRef argument) const;
  FailureOr<double> number(StringRef argument) const;
  FailureOr<bool> flag(StringRef argument) const;
  FailureOr<std::vector<int64_t>> integers(StringRef argument) const;
  /// A shape: a list of sizes above zero.
  FailureOr<std::vector<int64_t>> shape(StringRef argument) const;
  GraphBuilder &graph() const { return evaluator.function->graph; }
  Fault fault(FaultKind kind, std::string message) const {
    return evaluator.fault(kind, loc, std::move(message));
  }
  /// Success where tensor operations may be built.
  LogicalResult needGraph() const;
};

struct Operation {
  StringRef name;
  FailureOr<Value> (*build)(OperationCall &call);
};

const Operation *findOperation(StringRef name);

/// Parts of the table, one per file.
ArrayRef<Operation> elementwiseOperations();
ArrayRef<Operation> tensorOperations();
ArrayRef<Operation> compileTimeOperations();

} // namespace vcc::elaborate

#endif
