// SPDX-License-Identifier: Apache-2.0
//
// Operations of the prelude that leave nothing in the graph: lists, conversions, initialisers.
#include "compiler/elaborate/Operations.h"

#include <cmath>

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;

static FailureOr<Value> length(OperationCall &call) {
  Value x = call.at("x");
  if (auto *text = x.asString())
    return Value(static_cast<int64_t>(text->size()));
  if (auto *range = x.asRange())
    return Value(std::max<int64_t>(0, range->end - range->begin));
  if (auto *tensor = x.asTensor(); tensor && tensor->rank() > 0)
    return Value(tensor->dim(0));
  auto items = call.evaluator.elements(x, call.loc);
  if (failed(items))
    return failure();
  return Value(static_cast<int64_t>(items->size()));
}

static FailureOr<Value> range(OperationCall &call) {
  auto start = call.integer("start"), stop = call.integer("stop");
  if (failed(start) || failed(stop))
    return failure();
  return Value(RangeValue{*start, *stop});
}

static FailureOr<double> parseNumber(OperationCall &call) {
  Value x = call.at("x");
  if (auto number = x.asNumber())
    return *number;
  double value = 0;
  if (auto *text = x.asString(); text && !StringRef(*text).getAsDouble(value))
    return value;
  return call.fault(FaultKind::TypeMismatch, "`" + call.name.str() + "` of " + x.describe());
}

static FailureOr<Value> toInt(OperationCall &call) {
  if (call.at("x").asInt())
    return call.at("x");
  auto value = parseNumber(call);
  if (failed(value))
    return failure();
  if (!(std::fabs(*value) < 9e18))
    return call.fault(FaultKind::NumberTooLarge,
                      "`int` of " + call.at("x").print() + " is too large");
  return Value(static_cast<int64_t>(*value));
}

static FailureOr<Value> toFloat(OperationCall &call) {
  auto value = parseNumber(call);
  if (failed(value))
    return failure();
  return Value(*value);
}

static FailureOr<Value> toString(OperationCall &call) { return Value(call.at("x").print()); }

static FailureOr<Value> zip(OperationCall &call) {
  auto a = call.evaluator.elements(call.at("a"), call.loc),
       b = call.evaluator.elements(call.at("b"), call.loc);
  if (failed(a) || failed(b))
    return failure();
  if (a->size() != b->size())
    return call.fault(FaultKind::BadValue, "`zip` of " + std::to_string(a->size()) + " and " +
                                               std::to_string(b->size()) + " elements");
  std::vector<Value> pairs;
  for (size_t i = 0; i < a->size(); ++i)
    pairs.push_back(Value::tuple({(*a)[i], (*b)[i]}));
  return Value::list(std::move(pairs));
}

static FailureOr<Value> enumerate(OperationCall &call) {
  auto items = call.evaluator.elements(call.at("xs"), call.loc);
  if (failed(items))
    return failure();
  std::vector<Value> pairs;
  for (size_t i = 0; i < items->size(); ++i)
    pairs.push_back(Value::tuple({Value(static_cast<int64_t>(i)), (*items)[i]}));
  return Value::list(std::move(pairs));
}

static FailureOr<Value> constant(OperationCall &call) {
  auto value = call.number("value");
  if (failed(value))
    return failure();
  return Value(Initializer{Initializer::Kind::Constant, *value});
}

static FailureOr<Value> normal(OperationCall &call) {
  auto mean = call.number("mean"), std = call.number("std");
  if (failed(mean) || failed(std))
    return failure();
  return Value(Initializer{Initializer::Kind::Normal, *mean, *std});
}

static FailureOr<Value> truncatedNormal(OperationCall &call) {
  auto mean = call.number("mean"), std = call.number("std"), bound = call.number("bound");
  if (failed(mean) || failed(std) || failed(bound))
    return failure();
  if (!(*std > 0) || !(*bound > 0))
    return call.fault(FaultKind::BadValue, "`truncated_normal` needs `std` and `bound` above zero");
  return Value(Initializer{Initializer::Kind::TruncatedNormal, *mean, *std, *bound});
}

static FailureOr<Value> uniformInit(OperationCall &call) {
  auto a = call.number("a"), b = call.number("b");
  if (failed(a) || failed(b))
    return failure();
  return Value(Initializer{Initializer::Kind::Uniform, *a, *b});
}

static FailureOr<Value> xavierUniform(OperationCall &) {
  return Value(Initializer{Initializer::Kind::XavierUniform});
}

/// Reads a nested list of numbers in row-major order; every list of one depth must be equally long.
static LogicalResult flatten(OperationCall &call, const Value &value, size_t depth,
                             std::vector<int64_t> &shape, std::vector<float> &into) {
  auto *items = value.asSequence();
  if (!items) {
    if (!value.isNumber() || depth != shape.size())
      return call.fault(FaultKind::BadValue,
                        "`table` needs nested lists of numbers of equal lengths");
    into.push_back(static_cast<float>(*value.asNumber()));
    return llvm::success();
  }
  if (depth == shape.size() && into.empty())
    shape.push_back(items->size());
  if (depth >= shape.size() || shape[depth] != static_cast<int64_t>(items->size()))
    return call.fault(FaultKind::BadValue,
                      "`table` needs nested lists of numbers of equal lengths");
  for (const Value &item : *items)
    if (failed(flatten(call, item, depth + 1, shape, into)))
      return failure();
  return llvm::success();
}

static FailureOr<Value> table(OperationCall &call) {
  Initializer initializer{Initializer::Kind::Table};
  std::vector<float> numbers;
  if (failed(flatten(call, call.at("values"), 0, initializer.tableShape, numbers)))
    return failure();
  initializer.table = std::make_shared<const std::vector<float>>(std::move(numbers));
  return Value(std::move(initializer));
}

/// An error in a library's words unless a condition holds.
static FailureOr<Value> require(OperationCall &call) {
  auto condition = call.flag("condition");
  auto *message = call.at("message").asString(), *help = call.at("help").asString();
  if (failed(condition))
    return failure();
  if (!message || !help)
    return call.fault(FaultKind::TypeMismatch, "`require` needs its message and its help as text");
  if (*condition)
    return Value();
  return call.fault(FaultKind::BadValue, *message).help(*help);
}

ArrayRef<Operation> compileTimeOperations() {
  static const Operation operations[] = {
      {"len", length},
      {"range", range},
      {"int", toInt},
      {"float", toFloat},
      {"str", toString},
      {"zip", zip},
      {"enumerate", enumerate},
      {"constant", constant},
      {"normal", normal},
      {"truncated_normal", truncatedNormal},
      {"uniform_init", uniformInit},
      {"xavier_uniform", xavierUniform},
      {"table", table},
      {"require", require},
  };
  return operations;
}

} // namespace vcc::elaborate
