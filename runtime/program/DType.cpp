// SPDX-License-Identifier: Apache-2.0
//
// Names of element types.
#include "runtime/program/DType.h"

#include <utility>

namespace vcc::runtime {

static constexpr std::pair<std::string_view, DType> Names[] = {
    {"f64", DType::F64},   {"f32", DType::F32}, {"f16", DType::F16}, {"bf16", DType::BF16},
    {"i64", DType::I64},   {"i32", DType::I32}, {"i16", DType::I16}, {"i8", DType::I8},
    {"u8", DType::U8},     {"bool", DType::Bool}, {"ui8", DType::U8}, {"i1", DType::Bool}};

std::string_view nameOf(DType type) {
  for (const auto &[name, candidate] : Names)
    if (candidate == type)
      return name;
  return "unknown";
}

std::optional<DType> dtypeOf(std::string_view name) {
  for (const auto &[candidate, type] : Names)
    if (candidate == name)
      return type;
  return std::nullopt;
}

std::string textOf(const Shape &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

} // namespace vcc::runtime
