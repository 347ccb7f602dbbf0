// SPDX-License-Identifier: Apache-2.0
//
// Binding of arguments to parameters, and the check of types and shapes: symbolic sizes are bound
// by the first tensor that has them and must agree after that.
#include "compiler/elaborate/Evaluator.h"

#include "llvm/Support/FormatVariadic.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

LogicalResult Evaluator::bind(mlir::Block &block, const CallArguments &arguments, Frame &frame,
                              StringRef callee, mlir::Location loc, mlir::Operation *traced) {
  llvm::SmallVector<vcs::ParamOp> params(block.getOps<vcs::ParamOp>());
  std::shared_ptr<Activation> activation;
  if (traced)
    activation = std::make_shared<Activation>(Activation{traced, {}, arguments.within});
  frame.activation = activation;
  std::vector<std::string> names;
  for (auto param : params)
    names.push_back(param.getName().str());
  for (auto [i, value] : llvm::enumerate(arguments.values)) {
    std::string name = arguments.names[i];
    if (name.empty()) {
      if (i >= params.size())
        return fault(FaultKind::TooManyArguments, loc,
                     "`" + callee.str() + "` takes " + std::to_string(params.size()) +
                         " arguments but gets " + std::to_string(arguments.values.size()));
      name = names[i];
    } else if (!llvm::is_contained(names, name)) {
      return fault(FaultKind::UnknownArgument, loc,
                   "`" + callee.str() + "` has no parameter `" + name + "`")
          .help(suggest(name, names));
    }
    if (!frame.arguments.try_emplace(name, value).second)
      return fault(FaultKind::DuplicateArgument, loc,
                   "`" + name + "` is given twice to `" + callee.str() + "`");
    mlir::Location place = i < arguments.places.size() ? arguments.places[i] : loc;
    mlir::Value expression = i < arguments.expressions.size() ? arguments.expressions[i] : mlir::Value();
    if (i < arguments.places.size())
      frame.places.try_emplace(name, place);
    // A parameter handed on has the place of its own declaration.
    mlir::Location written = llvm::isa_and_nonnull<mlir::BlockArgument>(expression) ? loc : place;
    if (frame.keepsOrigins)
      frame.origins.try_emplace(name, Origin{Origin::Kind::Written, written, expression, arguments.within});
    if (activation && expression)
      activation->arguments.push_back({mlir::StringAttr::get(context(), name), written, expression});
  }
  for (auto param : params) {
    if (frame.arguments.contains(param.getName()))
      continue;
    if (param.getDefault().empty())
      return fault(FaultKind::MissingArgument, loc,
                   "`" + callee.str() + "` needs `" + param.getName().str() + "`")
          .note(param.getLoc(), "declared here");
    auto value = run(param.getDefault(), frame);
    if (failed(value))
      return failure();
    frame.arguments[param.getName()] = value->front();
    if (frame.keepsOrigins)
      frame.origins.try_emplace(param.getName(), Origin{Origin::Kind::Default, param.getLoc(),
                                                        param.getDefault().front().getTerminator()->getOperand(0), frame.activation});
  }
  for (auto param : params)
    if (failed(checkParam(param, frame, callee, loc)))
      return failure();
  return success();
}

LogicalResult Evaluator::checkParam(vcs::ParamOp param, Frame &frame, StringRef callee,
                                    mlir::Location loc) {
  // The graph's operations are named after the call, so tensors keep its place.
  auto place = frame.places.find(param.getName());
  if (place != frame.places.end() && !llvm::isa_and_nonnull<vcs::TensorTypeAttr>(param.getType()))
    loc = place->second;
  auto value =
      conform(param.getType(), param.getDims(), frame.arguments.lookup(param.getName()), frame,
              "`" + param.getName().str() + "` of `" + callee.str() + "`", param.getLoc(), loc);
  if (failed(value))
    return failure();
  frame.arguments[param.getName()] = std::move(*value);
  return success();
}

/// Whether `value` is of a type named by one word; ints become floats where floats are asked for.
static bool conformNamed(vcs::BuiltinType type, Value &value) {
  switch (type) {
  case vcs::BuiltinType::Any:
    return true;
  case vcs::BuiltinType::Int:
    return value.asInt();
  case vcs::BuiltinType::Float:
    if (auto *i = value.asInt())
      value = Value(static_cast<double>(*i));
    return value.isNumber();
  case vcs::BuiltinType::Bool:
    return value.asBool();
  case vcs::BuiltinType::String:
  case vcs::BuiltinType::Path:
    return value.asString();
  case vcs::BuiltinType::Text:
    return value.asTextField() != nullptr;
  case vcs::BuiltinType::Media:
    return value.asTensor();
  case vcs::BuiltinType::Duration:
    return value.asQuantity() && (value.asQuantity()->unit == vcs::Unit::Steps ||
                                  value.asQuantity()->unit == vcs::Unit::Epochs);
  case vcs::BuiltinType::Param:
    return value.asWeight();
  case vcs::BuiltinType::List:
    return value.asSequence() || value.asRange();
  }
  return false;
}

/// How a duration is written that was given without the unit, a list that was given as one value.
static std::string helpFor(vcs::BuiltinType type, const Value &value) {
  if (type == vcs::BuiltinType::List)
    return "write all its values, as in `(" + value.print() + ", " + value.print() + ")`";
  if (type != vcs::BuiltinType::Duration)
    return "";
  if (value.isNumber())
    return "write `" + value.print() + " steps` or `" + value.print() + " epochs`";
  auto *quantity = value.asQuantity();
  if (!quantity || quantity->unit != vcs::Unit::Percent)
    return "";
  return "write it in steps or epochs: " + llvm::formatv("{0:f0}% of 1000 steps are `{1:f0} steps`", quantity->amount, quantity->amount * 10).str();
}

FailureOr<Value> Evaluator::conform(mlir::Attribute type, mlir::Region &dims, Value value,
                                    Frame &frame, const std::string &subject,
                                    mlir::Location declared, mlir::Location loc) {
  if (auto named = llvm::dyn_cast<vcs::NamedTypeAttr>(type)) {
    if (conformNamed(named.getValue(), value))
      return value;
    return fault(FaultKind::TypeMismatch, loc,
                 subject + " is " + value.describe() + " but must be a `" +
                     vcs::stringifyBuiltinType(named.getValue()).str() + "`")
        .note(declared, "declared here")
        .help(helpFor(named.getValue(), value));
  }
  if (auto shape = llvm::dyn_cast<vcs::TensorTypeAttr>(type))
    return conformTensor(shape, dims, value, frame, subject, declared, loc);
  if (auto named = llvm::dyn_cast<vcs::DeclaredTypeAttr>(type)) {
    mlir::Operation *wanted = vcs::findDeclaration(recipe, named.getSymbol());
    Part *part = value.asPart();
    auto *record = value.asStruct();
    if ((part && part->layer == wanted) || (record && record->declaration == wanted))
      return value;
    return fault(FaultKind::TypeMismatch, loc,
                 subject + " is " + value.describe() + " but must be a `" +
                     named.getSymbol().getLeafReference().str() + "`")
        .note(declared, "declared here");
  }
  return value;
}

static mlir::Type elementType(vcs::Dtype dtype, mlir::MLIRContext *context) {
  switch (dtype) {
  case vcs::Dtype::F32:
    return mlir::Float32Type::get(context);
  case vcs::Dtype::I32:
    return mlir::IntegerType::get(context, 32);
  case vcs::Dtype::Bool:
    return mlir::IntegerType::get(context, 1);
  case vcs::Dtype::Any:
    return {};
  }
  return {};
}

static std::string printDims(ArrayRef<vcs::DimAttr> dims, ArrayRef<Value> expressions) {
  std::string text = "[";
  for (auto [i, dim] : llvm::enumerate(dims)) {
    text += i ? ", " : "";
    switch (dim.getKind()) {
    case vcs::DimKind::Ellipsis:
      text += "..";
      break;
    case vcs::DimKind::Symbol:
      text += dim.getSymbol().str();
      break;
    case vcs::DimKind::Number:
      text += std::to_string(dim.getNumber());
      break;
    case vcs::DimKind::Expression:
      text += expressions[dim.getNumber()].print();
    }
  }
  return text + "]";
}

LogicalResult Evaluator::unify(const Tensor &tensor, int64_t axis, vcs::DimAttr dim,
                               ArrayRef<Value> expressions, Frame &frame,
                               const std::string &subject, mlir::Location declared,
                               mlir::Location loc) {
  int64_t size = tensor.dim(axis), wanted = dim.getNumber();
  DimOrigin origin{declared, nullptr};
  if (dim.getKind() == vcs::DimKind::Symbol) {
    if (frame.self && frame.self->arguments.count(dim.getSymbol()))
      frame.arguments.try_emplace(dim.getSymbol().getValue(),
                                  frame.self->arguments.lookup(dim.getSymbol()));
    auto [entry, isNew] = frame.arguments.try_emplace(dim.getSymbol().getValue(), Value(size));
    if (isNew) {
      frame.bound.insert({dim.getSymbol().getValue(), tensor.origins[axis]});
      return success();
    }
    auto *known = entry->second.asInt();
    if (!known)
      return fault(FaultKind::TypeMismatch, loc,
                   "`" + dim.getSymbol().str() + "` is a size here but is " +
                       entry->second.describe());
    wanted = *known;
    auto bound = frame.bound.find(dim.getSymbol().getValue());
    origin = bound != frame.bound.end() ? bound->second : origin;
    if (!origin.what)
      origin.what = mlir::StringAttr::get(context(), "`" + dim.getSymbol().str() + "`");
  } else if (dim.getKind() == vcs::DimKind::Expression) {
    auto value = integer(expressions[dim.getNumber()], "a size", declared);
    if (failed(value))
      return failure();
    wanted = *value;
  }
  if (size == wanted)
    return success();
  return fault(FaultKind::ShapeMismatch, loc,
               "axis " + std::to_string(axis) + " of " + subject + " is " + std::to_string(size) +
                   " but must be " + std::to_string(wanted))
      .label(formatType(tensor.type()) + " goes in")
      .note(tensor.origins[axis].loc, describeOrigin(tensor.origins[axis], size))
      .note(origin.loc, origin.what ? describeOrigin(origin, wanted)
                                    : std::to_string(wanted) + " is asked for here");
}

FailureOr<Value> Evaluator::conformTensor(vcs::TensorTypeAttr type, mlir::Region &dims,
                                          const Value &value, Frame &frame,
                                          const std::string &subject, mlir::Location declared,
                                          mlir::Location loc) {
  std::vector<Value> expressions;
  if (type.getNumExpressions() > 0) {
    auto results = run(dims, frame);
    if (failed(results))
      return failure();
    expressions = std::move(*results);
    if (function)
      function->graph.loc = loc;
  }
  auto expected = [&] { return printDims(type.getDims(), expressions); };
  if (type.getParam() && !value.asWeight())
    return fault(FaultKind::TypeMismatch, loc,
                 subject + " is " + value.describe() + " but must be a weight")
        .note(declared, "declared here");
  if (!value.asTensor() && !value.asWeight() && !value.isNumber())
    return fault(FaultKind::TypeMismatch, loc,
                 subject + " is " + value.describe() + " but must be a tensor " + expected())
        .note(declared, "declared here");
  if (value.isNumber() && !function)
    return value;
  mlir::Type element = elementType(type.getDtype(), context());
  Tensor tensor;
  if (Weight *weight = value.asWeight(); weight && type.getParam()) {
    // Shared weights are checked by their declared shape; nothing is read.
    if (weight->shape.size() != type.getDims().size() &&
        llvm::none_of(type.getDims(),
                      [](vcs::DimAttr d) { return d.getKind() == vcs::DimKind::Ellipsis; }))
      return fault(FaultKind::ShapeMismatch, loc,
                   subject + " is " + formatShape(weight->shape) + " but must be " + expected())
          .note(declared, "declared here");
    return value;
  }
  // A number keeps being a number where any tensor will do: the operation makes it a constant of
  // the right type.
  bool anyShape =
      type.getDims().size() == 1 && type.getDims()[0].getKind() == vcs::DimKind::Ellipsis;
  if (value.isNumber() && anyShape)
    return value;
  auto made = toTensor(value, loc, element);
  if (failed(made))
    return failure();
  tensor = std::move(*made);
  if (element && tensor.element() != element)
    return fault(FaultKind::TypeMismatch, loc,
                 subject + " is " + formatType(tensor.type()) + " but must be " +
                     formatElement(element) + expected())
        .note(declared, "declared here")
        .help("write `cast(x, " + formatElement(element) + ")`");
  int64_t count = type.getDims().size(), ellipsis = -1;
  for (auto [i, dim] : llvm::enumerate(type.getDims()))
    if (dim.getKind() == vcs::DimKind::Ellipsis)
      ellipsis = i;
  if (ellipsis < 0 ? tensor.rank() != count : tensor.rank() < count - 1)
    return fault(FaultKind::ShapeMismatch, loc,
                 subject + " is " + formatType(tensor.type()) + " but must be " + expected())
        .label(formatType(tensor.type()) + " goes in")
        .note(declared, "declared here");
  for (auto [i, dim] : llvm::enumerate(type.getDims())) {
    if (dim.getKind() == vcs::DimKind::Ellipsis)
      continue;
    int64_t axis =
        ellipsis >= 0 && static_cast<int64_t>(i) > ellipsis ? tensor.rank() - (count - i) : i;
    if (failed(unify(tensor, axis, dim, expressions, frame, subject, declared, loc)))
      return failure();
  }
  return Value(std::move(tensor));
}

} // namespace vcc::elaborate
