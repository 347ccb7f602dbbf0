// SPDX-License-Identifier: Apache-2.0
//
// Look-up in the table of prelude operations, and access to their arguments.
#include "compiler/elaborate/Operations.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

const Operation *findOperation(StringRef name) {
  static const llvm::StringMap<Operation> table = [] {
    llvm::StringMap<Operation> all;
    for (ArrayRef<Operation> part :
         {elementwiseOperations(), tensorOperations(), compileTimeOperations()})
      for (const Operation &operation : part)
        all.insert({operation.name, operation});
    return all;
  }();
  auto found = table.find(name);
  return found == table.end() ? nullptr : &found->second;
}

LogicalResult OperationCall::needGraph() const {
  if (evaluator.function)
    return success();
  return fault(FaultKind::BadValue, "`" + name.str() +
                                        "` makes a tensor, which has no place here: the model is "
                                        "being put together, not run")
      .help("move it into `forward` or into the stage's `loss`");
}

FailureOr<Tensor> OperationCall::tensor(StringRef argument, mlir::Type numbers) const {
  return evaluator.toTensor(at(argument), loc, numbers);
}

static std::string subject(const OperationCall &call, StringRef argument) {
  return "`" + argument.str() + "` of `" + call.name.str() + "`";
}

FailureOr<int64_t> OperationCall::integer(StringRef argument) const {
  return evaluator.integer(at(argument), subject(*this, argument), loc);
}

FailureOr<double> OperationCall::number(StringRef argument) const {
  return evaluator.number(at(argument), subject(*this, argument), loc);
}

FailureOr<bool> OperationCall::flag(StringRef argument) const {
  if (auto *b = at(argument).asBool())
    return *b;
  return fault(FaultKind::TypeMismatch,
               subject(*this, argument) + " must be a bool but is " + at(argument).describe());
}

FailureOr<std::vector<int64_t>> OperationCall::integers(StringRef argument) const {
  return evaluator.integers(at(argument), subject(*this, argument), loc);
}

FailureOr<std::vector<int64_t>> OperationCall::shape(StringRef argument) const {
  auto sizes = integers(argument);
  if (failed(sizes))
    return failure();
  int64_t elements = 1;
  for (int64_t size : *sizes)
    if (size < 1 || __builtin_mul_overflow(elements, size, &elements) ||
        elements > (int64_t(1) << 40))
      return fault(FaultKind::ShapeMismatch, formatShape(*sizes) + " is not a shape");
  return sizes;
}

} // namespace vcc::elaborate
