// SPDX-License-Identifier: Apache-2.0
//
// Calls: parts (through their adapter where one is in force), functions, methods, layers, structs,
// prelude operations.
#include "compiler/elaborate/Evaluator.h"
#include "compiler/elaborate/Operations.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/TypeSwitch.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

/// Calls inside calls beyond which a recipe is taken to recurse without end; well below what the
/// stack holds.
static constexpr size_t kDeepestCall = 200;

struct Evaluator::CallScope {
  Evaluator &evaluator;
  FunctionBuilder *function;
  mlir::Location outer;
  bool hasPath;
  CallScope(Evaluator &e, mlir::Location loc, std::string callee, mlir::StringAttr path)
      : evaluator(e), function(e.function), outer(e.function ? e.function->graph.loc : loc),
        hasPath(path != nullptr) {
    e.stack.push_back({loc, std::move(callee)});
    if (hasPath)
      e.pathStack.push_back(path);
  }
  ~CallScope() {
    evaluator.stack.pop_back();
    if (hasPath)
      evaluator.pathStack.pop_back();
    if (function)
      function->graph.loc = outer;
  }
};

namespace {

/// A call of a part that `recompute` names.
struct SegmentScope {
  FunctionBuilder *function;
  SegmentScope(FunctionBuilder *f, Part *part)
      : function(f && part && f->segments.open(part, block(f)) ? f : nullptr) {}
  ~SegmentScope() {
    if (function)
      function->segments.close(block(function));
  }
  static mlir::Block &block(FunctionBuilder *f) { return f->function.getBody().front(); }
};

} // namespace

FailureOr<Value> Evaluator::callOp(vcs::CallOp op, Frame &frame) {
  CallArguments arguments;
  for (auto [operand, name] :
       llvm::zip(op.getArgs(), op.getNames().getAsValueRange<mlir::StringAttr>())) {
    arguments.values.push_back(frame.values[operand]);
    arguments.names.push_back(name.str());
    arguments.places.push_back(operand.getLoc());
    arguments.expressions.push_back(operand);
  }
  arguments.within = frame.activation;
  return call(frame.values[op.getCallee()], arguments, op.getLoc());
}

FailureOr<Value> Evaluator::call(const Value &callee, const CallArguments &arguments,
                                 mlir::Location loc) {
  if (stack.size() >= kDeepestCall)
    return fault(FaultKind::TooDeep, loc,
                 "more than " + std::to_string(kDeepestCall) + " calls stand inside each other")
        .help("does `" + stack.back().callee + "` call itself?");
  if (Part *part = callee.asPart())
    return callPart(*part, arguments, loc);
  if (auto *callable = callee.asCallable())
    return callDeclaration(*callable, arguments, loc);
  if (auto *builtin = callee.asBuiltin())
    return callBuiltin(*builtin, arguments, loc);
  return fault(FaultKind::TypeMismatch, loc, callee.describe() + " cannot be called");
}

vcs::FnOp Evaluator::findMethod(const Part &part, StringRef name) {
  return vcs::findMethod(part.layer, name);
}

FailureOr<Value> Evaluator::callMethod(Part &self, StringRef name, const CallArguments &arguments,
                                       mlir::Location loc) {
  vcs::FnOp method = findMethod(self, name);
  if (!method)
    return fault(FaultKind::UnknownField, loc,
                 "`" + self.layerName() + "` has no method `" + name.str() + "`");
  return callFunction(method, &self, arguments, loc);
}

FailureOr<Value> Evaluator::callPart(Part &part, const CallArguments &arguments,
                                     mlir::Location loc) {
  vcs::FnOp forward = findMethod(part, "forward");
  if (!forward)
    return fault(FaultKind::TypeMismatch, loc,
                 "a `" + part.layerName() + "` cannot be called: it has no `forward`");
  if (!part.adapter || !function ||
      !llvm::is_contained(function->adapters, part.adapter->root()->name))
    return callFunction(forward, &part, arguments, loc);
  // The adapter gets the bound method, not the part, so that its own call does not come back here.
  CallArguments wrapped{{Value(Callable{forward, &part})}, {""}, {loc}};
  wrapped.values.insert(wrapped.values.end(), arguments.values.begin(), arguments.values.end());
  wrapped.names.insert(wrapped.names.end(), arguments.names.begin(), arguments.names.end());
  return callMethod(*part.adapter, "forward", wrapped, loc);
}

FailureOr<Value> Evaluator::callDeclaration(const Callable &callable,
                                            const CallArguments &arguments, mlir::Location loc) {
  using Result = FailureOr<Value>;
  return llvm::TypeSwitch<mlir::Operation *, Result>(callable.declaration)
      .Case([&](vcs::FnOp fn) { return callFunction(fn, callable.self, arguments, loc); })
      .Case([&](vcs::OpOp op) { return callOperation(op, arguments, loc); })
      .Case([&](vcs::LayerOp layer) -> Result {
        auto part = instantiate(layer, arguments, loc);
        if (failed(part))
          return failure();
        return Value(*part);
      })
      .Case([&](vcs::StructOp op) { return record(op, *op.getBody(), arguments, loc); })
      .Case([&](vcs::DatasetFormatOp op) { return record(op, *op.getBody(), arguments, loc); })
      .Default([&](mlir::Operation *op) -> Result {
        return fault(FaultKind::TypeMismatch, loc, "`" + symbolName(op) + "` cannot be called");
      });
}

/// What the batch gives by its name, so that it can be said which of it a call got; all else as it is.
static Value named(const Value &value) {
  auto input = value.asTensor() ? value.asTensor()->value.getDefiningOp<tg::InputOp>() : tg::InputOp();
  return input ? Value(Word{input.getNameAttr()}) : value;
}

FailureOr<Value> Evaluator::callFunction(vcs::FnOp fn, Part *self, const CallArguments &arguments,
                                         mlir::Location loc) {
  std::string name =
      self ? self->layerName() + (fn.getSymName() == "forward" ? "" : "." + fn.getSymName().str())
           : fn.getSymName().str();
  Frame frame;
  frame.self = self;
  frame.path = self ? mlir::StringAttr::get(context(), self->path())
                    : (pathStack.empty() ? mlir::StringAttr() : pathStack.back());
  if (frame.path && frame.path.getValue().empty())
    frame.path = nullptr;
  CallScope scope(*this, loc, name, frame.path);
  SegmentScope segment(function, self);
  frame.keepsOrigins = lossCalls && stack.size() == 1;
  if (failed(bind(fn.getParams().front(), arguments, frame, name, loc, fn)))
    return failure();
  if (frame.keepsOrigins) {
    LossCall &made = lossCalls->emplace_back(LossCall{fn, self, loc, {}});
    for (auto param : fn.getParams().front().getOps<vcs::ParamOp>())
      made.arguments.push_back({param.getName().str(), named(frame.arguments.lookup(param.getName())),
                                frame.origins.find(param.getName())->second});
  }
  std::vector<Value> values;
  if (fn.getMethod())
    values.push_back(Value(self));
  for (auto param : fn.getParams().front().getOps<vcs::ParamOp>())
    values.push_back(frame.arguments.lookup(param.getName()));
  auto results = run(fn.getBody(), frame, values);
  if (failed(results))
    return failure();
  if (results->empty())
    return Value();
  vcs::ResultOp result = vcs::resultOf(fn);
  if (!result)
    return results->front();
  return conform(result.getType(), result.getDims(), results->front(), frame,
                 "the result of `" + name + "`", result.getLoc(), result.getLoc());
}

FailureOr<Value> Evaluator::record(mlir::Operation *declaration, mlir::Block &params,
                                   const CallArguments &arguments, mlir::Location loc) {
  Frame frame;
  CallScope scope(*this, loc, symbolName(declaration), nullptr);
  frame.keepsOrigins = true;
  if (failed(bind(params, arguments, frame, symbolName(declaration), loc, declaration)))
    return failure();
  StructValue value{declaration, {}};
  for (auto param : params.getOps<vcs::ParamOp>()) {
    value.fields.push_back({param.getNameAttr(), frame.arguments.lookup(param.getName())});
    value.origins.push_back(frame.origins.find(param.getName())->second);
  }
  return Value(std::move(value));
}

FailureOr<Value> Evaluator::callOperation(vcs::OpOp op, const CallArguments &arguments,
                                          mlir::Location loc) {
  StringRef name = op.getSymName();
  const Operation *operation = findOperation(name);
  if (!operation)
    return fault(FaultKind::NotSupported, loc,
                 "the operation `" + name.str() +
                     "` is declared but the compiler does not have it");
  OperationCall call{*this, name, loc, {}, {}};
  bool variadic = (name == "max" || name == "min") && arguments.values.size() > 1 &&
                  llvm::all_of(arguments.values, [](const Value &v) { return v.isNumber(); }) &&
                  llvm::all_of(arguments.names, [](const std::string &n) { return n.empty(); });
  if (variadic) {
    call.positional = arguments.values;
    return operation->build(call);
  }
  Frame frame;
  CallScope scope(*this, loc, name.str(), nullptr);
  if (failed(bind(*op.getBody(), arguments, frame, name, loc)))
    return failure();
  for (auto &entry : frame.arguments)
    call.arguments[entry.getKey()] = entry.getValue();
  // Defaults of parameters stand in the declaration, what is built belongs to the caller.
  if (function)
    function->graph.loc = scope.outer;
  return operation->build(call);
}

/// Builtins that are records: the kinds of tokenizers.
FailureOr<Value> Evaluator::callBuiltin(const BuiltinName &builtin, const CallArguments &arguments,
                                        mlir::Location loc) {
  StringRef name = builtin.name;
  if (name == "wordpiece" || name == "sentencepiece") {
    StructValue value{nullptr, {}};
    auto add = [&](StringRef key, const Value &v, mlir::Location at, mlir::Value expression) {
      value.fields.push_back({mlir::StringAttr::get(context(), key), v});
      value.origins.push_back({Origin::Kind::Written, at, expression, arguments.within});
    };
    add("kind", Value(name.str()), loc, {});
    for (auto [i, argument] : llvm::enumerate(arguments.values)) {
      if (arguments.names[i].empty() && i > 0)
        return fault(FaultKind::UnknownArgument, loc,
                     "`" + name.str() + "` takes one file; the rest has names");
      static const std::vector<std::string> pieces = {"vocab", "added", "added_take_space"},
                                            words = {"vocab", "lowercase"};
      const auto &known = name == "wordpiece" ? words : pieces;
      if (!arguments.names[i].empty() && !llvm::is_contained(known, arguments.names[i]))
        return fault(FaultKind::UnknownArgument, loc,
                     "`" + name.str() + "` has no argument `" + arguments.names[i] + "`")
            .help(suggest(arguments.names[i], known));
      add(arguments.names[i].empty() ? "file" : arguments.names[i], argument,
          i < arguments.places.size() ? arguments.places[i] : loc,
          i < arguments.expressions.size() ? arguments.expressions[i] : mlir::Value());
    }
    return Value(std::move(value));
  }
  if (mlir::Operation *op = lookup("prelude", name))
    return callDeclaration(Callable{op, nullptr}, arguments, loc);
  return fault(FaultKind::TypeMismatch, loc, "`" + name.str() + "` cannot be called");
}

} // namespace vcc::elaborate
