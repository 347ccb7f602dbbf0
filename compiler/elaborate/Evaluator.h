// SPDX-License-Identifier: Apache-2.0
//
// Evaluates the expressions of the vcs dialect. Everything of the language happens at compile time;
// what touches tensors leaves operations in the function being traced. Layers are checked where
// they are instantiated and called, with their real sizes.
#ifndef VCC_COMPILER_ELABORATE_EVALUATOR_H
#define VCC_COMPILER_ELABORATE_EVALUATOR_H

#include "compiler/elaborate/FunctionBuilder.h"
#include "compiler/elaborate/Parts.h"
#include "compiler/elaborate/Values.h"
#include "dialects/vcs/Vcs.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

namespace vcc::elaborate {

using llvm::LogicalResult;

/// What `vcs.part` and `vcs.input` mean where an expression stands.
class Environment {
public:
  virtual ~Environment() = default;
  virtual FailureOr<Value> part(StringRef name, mlir::Location loc) = 0;
  virtual FailureOr<Value> input(StringRef name, mlir::Location loc) = 0;
};

/// The locals of one activation.
struct Frame {
  llvm::DenseMap<mlir::Value, Value> values;
  /// Parameters of the callee, then the sizes that its signature has bound.
  llvm::StringMap<Value> arguments;
  llvm::StringMap<DimOrigin> bound;
  /// Where the callee's arguments are written, as far as that is known.
  llvm::StringMap<mlir::Location> places;
  /// Whether `origins` of the arguments are wanted.
  bool keepsOrigins = false;
  llvm::StringMap<Origin> origins;
  /// The call that the frame is of; null where nobody traces values through it.
  std::shared_ptr<const Activation> activation;
  Part *self = nullptr;
  /// The part's path, for the names of operations and of random draws.
  mlir::StringAttr path;
};

/// Arguments as they stand at a call.
struct CallArguments {
  std::vector<Value> values;
  std::vector<std::string> names; // "" for a positional one
  /// Where each value is written; empty where the call stands in no source text.
  std::vector<mlir::Location> places;
  /// The operations that give the values; empty or shorter where there are none.
  std::vector<mlir::Value> expressions = {};
  /// The call in which the expressions stand.
  std::shared_ptr<const Activation> within = nullptr;
};

/// A key of a block of options, or a parameter: what it is in effect, and why.
struct Setting {
  std::string name;
  Value value;
  Origin origin;
};

/// A call that stands in a loss, with its arguments.
struct LossCall {
  vcs::FnOp callee;
  Part *self;
  mlir::Location loc;
  std::vector<Setting> arguments;
};

class Evaluator {
public:
  Evaluator(mlir::ModuleOp recipe, FaultSink &faults);

  PartArena arena;
  Environment *environment = nullptr;
  /// The function that tensor operations go to; null where there may be none.
  FunctionBuilder *function = nullptr;
  /// Stages of another precision are a fault.
  bool f32Only = false;
  /// What each block of options says in effect, by the operation that it belongs to.
  llvm::DenseMap<mlir::Operation *, std::vector<Setting>> settings;
  /// Gets the calls that stand in the region being run itself; null where nobody asks.
  std::vector<LossCall> *lossCalls = nullptr;

  /// Runs a region of one block; returns what its terminator gives.
  FailureOr<std::vector<Value>> run(mlir::Region &region, Frame &frame,
                                    ArrayRef<Value> arguments = {});
  /// A region that yields one value, in a fresh frame.
  FailureOr<Value> evaluate(mlir::Region &region);

  FailureOr<Value> call(const Value &callee, const CallArguments &arguments, mlir::Location loc);
  FailureOr<Value> callMethod(Part &self, StringRef name, const CallArguments &arguments,
                              mlir::Location loc);
  /// The method `name` of the part's declaration, or null.
  static vcs::FnOp findMethod(const Part &part, StringRef name);
  FailureOr<Part *> instantiate(mlir::Operation *declaration, const CallArguments &arguments,
                                mlir::Location loc);
  FailureOr<Value> get(const Value &object, StringRef name, mlir::Location loc);
  FailureOr<Value> declaration(mlir::SymbolRefAttr symbol, mlir::Location loc);
  /// The declaration @module::@name, or null.
  mlir::Operation *lookup(StringRef module, StringRef name);
  /// How many ranks the function being traced is compiled for.
  FailureOr<int64_t> ranks(mlir::Location loc);
  /// Gives what is not yet placed in `value` its place under `parent`.
  void place(const Value &value, Part *parent, StringRef name);

  FailureOr<Tensor> toTensor(const Value &value, mlir::Location loc, mlir::Type numbers = {});
  FailureOr<std::vector<Value>> elements(const Value &sequence, mlir::Location loc);
  FailureOr<bool> condition(const Value &value, mlir::Location loc);
  FailureOr<int64_t> integer(const Value &value, StringRef what, mlir::Location loc);
  FailureOr<double> number(const Value &value, StringRef what, mlir::Location loc);
  FailureOr<std::vector<int64_t>> integers(const Value &value, StringRef what, mlir::Location loc);

  FailureOr<Value> binary(vcs::Binary kind, const Value &a, const Value &b, mlir::Location loc);
  FailureOr<Value> index(const Value &object, ArrayRef<Value> items, mlir::Location loc);

  Fault fault(FaultKind kind, mlir::Location loc, std::string message) {
    return Fault(sink, kind, loc, std::move(message));
  }
  FaultSink &faults() { return sink; }

  struct Call {
    mlir::Location loc;
    std::string callee;
  };
  ArrayRef<Call> calls() const { return stack; }
  /// Path of the part whose method is running; empty outside parts.
  StringRef currentPath() const {
    return pathStack.empty() ? StringRef() : pathStack.back().getValue();
  }
  mlir::MLIRContext *context() { return recipe.getContext(); }

private:
  mlir::ModuleOp recipe;
  FaultSink &sink;
  std::vector<Call> stack;
  std::vector<mlir::StringAttr> pathStack;
  llvm::DenseMap<mlir::Operation *, Value> constants;
  llvm::DenseSet<mlir::Operation *> running;
  int64_t fuel, elementsLeft;

  struct CallScope;

  LogicalResult step(mlir::Operation &op, Frame &frame);
  /// Guards against values that grow without bound.
  LogicalResult checkSize(const Value &value, mlir::Location loc);
  FailureOr<Value> expression(mlir::Operation &op, Frame &frame);
  FailureOr<Value> literal(vcs::LiteralOp op);
  FailureOr<Value> argument(vcs::ArgumentOp op, Frame &frame);
  FailureOr<Value> slice(vcs::SliceOp op, Frame &frame);
  FailureOr<Value> unary(vcs::UnaryOp op, Frame &frame);
  FailureOr<Value> logical(vcs::LogicalOp op, Frame &frame);
  FailureOr<Value> comprehension(vcs::ComprehensionOp op, Frame &frame);
  FailureOr<Value> callOp(vcs::CallOp op, Frame &frame);
  LogicalResult ifOp(vcs::IfOp op, Frame &frame);
  LogicalResult forOp(vcs::ForOp op, Frame &frame);
  FailureOr<std::vector<Value>> targets(const Value &item, unsigned count, mlir::Location loc);

  FailureOr<Value> numbers(vcs::Binary kind, const Value &a, const Value &b, mlir::Location loc);
  FailureOr<Value> tensors(vcs::Binary kind, const Value &a, const Value &b, mlir::Location loc);
  FailureOr<Value> repeat(const Value &value, int64_t count, mlir::Location loc);

  /// Binds `arguments` to the vcs.param ops of `params`, defaults included, then checks their types
  /// in order. `traced`: the declaration, where values are to be traced through the call.
  LogicalResult bind(mlir::Block &params, const CallArguments &arguments, Frame &frame,
                     StringRef callee, mlir::Location loc, mlir::Operation *traced = nullptr);
  LogicalResult checkParam(vcs::ParamOp param, Frame &frame, StringRef callee, mlir::Location loc);
  FailureOr<Value> conform(mlir::Attribute type, mlir::Region &dims, Value value, Frame &frame,
                           const std::string &subject, mlir::Location declared, mlir::Location loc);
  FailureOr<Value> conformTensor(vcs::TensorTypeAttr type, mlir::Region &dims, const Value &value,
                                 Frame &frame, const std::string &subject, mlir::Location declared,
                                 mlir::Location loc);
  LogicalResult unify(const Tensor &tensor, int64_t axis, vcs::DimAttr dim,
                      ArrayRef<Value> expressions, Frame &frame, const std::string &subject,
                      mlir::Location declared, mlir::Location loc);

  FailureOr<Value> callPart(Part &part, const CallArguments &arguments, mlir::Location loc);
  FailureOr<Value> callFunction(vcs::FnOp fn, Part *self, const CallArguments &arguments,
                                mlir::Location loc);
  FailureOr<Value> callDeclaration(const Callable &callable, const CallArguments &arguments,
                                   mlir::Location loc);
  FailureOr<Value> callOperation(vcs::OpOp op, const CallArguments &arguments, mlir::Location loc);
  FailureOr<Value> callBuiltin(const BuiltinName &builtin, const CallArguments &arguments,
                               mlir::Location loc);
  FailureOr<Value> record(mlir::Operation *declaration, mlir::Block &params,
                          const CallArguments &arguments, mlir::Location loc);

  LogicalResult declareFields(Part &part, mlir::Block &block, Frame &frame);
  FailureOr<Value> field(Part &part, Field &field);
  FailureOr<Value> weight(Part &part, vcs::WeightOp op, Frame &frame);
  FailureOr<Value> partMember(Part &part, StringRef name, mlir::Location loc);
  FailureOr<Value> textMember(TextField &field, StringRef name, mlir::Location loc);

  FailureOr<Value> indexTensor(const Tensor &x, ArrayRef<Value> items, mlir::Location loc);
  FailureOr<Value> indexSequence(const std::vector<Value> &items, bool tuple, const Value &index,
                                 mlir::Location loc);
};

/// The name under which a declaration is known.
std::string symbolName(mlir::Operation *declaration);

} // namespace vcc::elaborate

#endif
