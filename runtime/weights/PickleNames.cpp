// SPDX-License-Identifier: Apache-2.0
//
// The names that a pickle of tensors may use, and what is built where it calls them. A name that is not listed ends the
// reading: nothing of a file is imported, called or executed, so that a listed one is only ever a word that we know.
#include "runtime/weights/Pickle.h"

#include <fmt/format.h>

#include <algorithm>

namespace vcc::runtime::pickle {

static constexpr auto None = std::nullopt;

static constexpr Name Names[] = {
    {"collections", "OrderedDict", Role::Dictionary, None},
    {"torch._utils", "_rebuild_tensor", Role::RebuildTensor, None},
    {"torch._utils", "_rebuild_tensor_v2", Role::RebuildTensor, None},
    {"torch._utils", "_rebuild_tensor_v3", Role::RebuildTyped, None},
    {"torch._utils", "_rebuild_parameter", Role::RebuildParameter, None},
    {"torch._utils", "_rebuild_parameter_with_state", Role::RebuildParameter, None},
    {"torch._tensor", "_rebuild_from_type_v2", Role::RebuildFromType, None},
    {"torch", "DoubleStorage", Role::TypedStorage, DType::F64},
    {"torch", "FloatStorage", Role::TypedStorage, DType::F32},
    {"torch", "HalfStorage", Role::TypedStorage, DType::F16},
    {"torch", "BFloat16Storage", Role::TypedStorage, DType::BF16},
    {"torch", "LongStorage", Role::TypedStorage, DType::I64},
    {"torch", "IntStorage", Role::TypedStorage, DType::I32},
    {"torch", "ShortStorage", Role::TypedStorage, DType::I16},
    {"torch", "CharStorage", Role::TypedStorage, DType::I8},
    {"torch", "ByteStorage", Role::TypedStorage, DType::U8},
    {"torch", "BoolStorage", Role::TypedStorage, DType::Bool},
    {"torch.storage", "UntypedStorage", Role::UntypedStorage, None},
    {"torch", "UntypedStorage", Role::UntypedStorage, None},
    {"torch", "float64", Role::ElementType, DType::F64},
    {"torch", "float32", Role::ElementType, DType::F32},
    {"torch", "float16", Role::ElementType, DType::F16},
    {"torch", "bfloat16", Role::ElementType, DType::BF16},
    {"torch", "int64", Role::ElementType, DType::I64},
    {"torch", "int32", Role::ElementType, DType::I32},
    {"torch", "int16", Role::ElementType, DType::I16},
    {"torch", "int8", Role::ElementType, DType::I8},
    {"torch", "uint8", Role::ElementType, DType::U8},
    {"torch", "bool", Role::ElementType, DType::Bool},
    {"torch", "Tensor", Role::TensorType, None},
    {"torch.nn.parameter", "Parameter", Role::TensorType, None},
    {"torch.nn.parameter", "Buffer", Role::TensorType, None},
    {"torch", "Size", Role::Size, None},
    // What stands beside the weights of a training run's file: settings and counters.
    {"torch", "device", Role::Data, None},
    {"argparse", "Namespace", Role::Data, None},
    {"easydict", "EasyDict", Role::Data, None},
    {"utils.easydict", "EasyDict", Role::Data, None},
    {"numpy.core.multiarray", "scalar", Role::Data, None},
    {"numpy._core.multiarray", "scalar", Role::Data, None},
    {"numpy", "dtype", Role::Data, None},
    {"_codecs", "encode", Role::Data, None},
};

const Name *findName(std::string_view module, std::string_view name) {
  for (const Name &entry : Names)
    if (entry.module == module && entry.name == name)
      return &entry;
  return nullptr;
}

static std::string shownName(const Name &name) {
  return fmt::format("`{}.{}`", name.module, name.name);
}

void Pickle::name(std::string_view module, std::string_view name) {
  const Name *found = findName(module, name);
  if (!found)
    fail(fmt::format("uses {}, which is not among the names of tensor files and is refused",
                     shown(std::string(module) + "." + std::string(name))));
  push({Kind::Name, 0, {}, {}, found});
}

const std::vector<Id> &Pickle::itemsOf(Id id, const char *what) const {
  const Value &value = Values[id];
  if (value.kind != Kind::Tuple && value.kind != Kind::List)
    fail(fmt::format("{} is {}, but a tuple is needed", what, describe(value.kind)));
  return value.items;
}

int64_t Pickle::integerOf(Id id, const char *what) const {
  const Value &value = Values[id];
  if (value.kind != Kind::Integer || value.integer < 0)
    fail(fmt::format("{} is {}, but an integer that is not negative is needed", what,
                     value.kind == Kind::Integer ? "negative" : describe(value.kind)));
  return value.integer;
}

Shape Pickle::integersOf(Id id, const char *what) const {
  constexpr size_t MostAxes = 64;
  const std::vector<Id> &items = itemsOf(id, what);
  if (items.size() > MostAxes)
    fail(fmt::format("{} has {} axes", what, items.size()));
  Shape made;
  for (Id item : items)
    made.push_back(integerOf(item, what));
  return made;
}

Id Pickle::dictionaryOf(const std::vector<Id> &arguments) {
  Value made{Kind::Dictionary};
  if (arguments.size() > 1)
    fail(fmt::format("a dictionary is made of {} arguments", arguments.size()));
  if (arguments.size() == 1) // Python 2 writes the pairs as an argument
    for (Id pair : itemsOf(arguments[0], "what a dictionary is made of")) {
      const std::vector<Id> &items = itemsOf(pair, "an entry of a dictionary");
      if (items.size() != 2)
        fail(fmt::format("an entry of a dictionary has {} parts", items.size()));
      made.items.insert(made.items.end(), items.begin(), items.end());
      countItems(2);
    }
  return add(std::move(made));
}

Id Pickle::call(Id function, Id arguments) {
  if (Values[function].kind != Kind::Name)
    fail(fmt::format("{} is called", describe(Values[function].kind)));
  const Name &name = *Values[function].name;
  std::vector<Id> items = itemsOf(arguments, "the list of arguments");
  auto need = [&](size_t least) {
    if (items.size() < least)
      fail(fmt::format("{} is called with {} arguments", shownName(name), items.size()));
  };
  switch (name.role) {
  case Role::Dictionary:
    return dictionaryOf(items);
  case Role::RebuildTensor:
    need(4);
    return tensorOf(name, items);
  case Role::RebuildTyped:
    need(7);
    return tensorOf(name, items);
  case Role::RebuildParameter:
    need(1);
    if (Values[items[0]].kind != Kind::Tensor)
      fail(fmt::format("a parameter is made of {}", describe(Values[items[0]].kind)));
    return items[0];
  case Role::RebuildFromType: {
    need(3);
    const Value &type = Values[items[1]];
    if (type.kind != Kind::Name || type.name->role != Role::TensorType)
      fail(fmt::format("a tensor is made with {} for its type", describe(type.kind)));
    const Value &inner = Values[items[0]];
    if (inner.kind != Kind::Name || inner.name->role == Role::RebuildFromType)
      fail("a tensor is made by no function that is known");
    return call(items[0], items[2]);
  }
  case Role::Size:
    need(1);
    integersOf(items[0], "a size");
    return items[0];
  case Role::Data:
    return add({Kind::Data});
  case Role::TypedStorage:
  case Role::UntypedStorage:
  case Role::ElementType:
  case Role::TensorType:
    break;
  }
  fail(fmt::format("{} is called, which no tensor file does and is refused", shownName(name)));
}

Id Pickle::construct(Id type, Id arguments) {
  const Value &value = Values[type];
  if (value.kind != Kind::Name || (value.name->role != Role::Dictionary && value.name->role != Role::Data))
    fail(fmt::format("an object of {} is made, which no tensor file does and is refused",
                     value.kind == Kind::Name ? shownName(*value.name) : std::string(describe(value.kind))));
  if (value.name->role == Role::Data)
    return add({Kind::Data});
  return dictionaryOf(itemsOf(arguments, "the list of arguments"));
}

/// The state of a dictionary (`_metadata`) or of an object beside the weights means nothing to a weight.
void Pickle::build(Id object, Id) {
  Kind kind = Values[object].kind;
  if (kind != Kind::Dictionary && kind != Kind::Data)
    fail(fmt::format("the state of {} is set, which no tensor file does and is refused", describe(kind)));
}

/// ("storage", type, key, device, elements[, view]): the one thing that lies outside of a pickle.
Id Pickle::persistent(Id id) {
  const std::vector<Id> &items = itemsOf(id, "a persistent id");
  if (items.size() < 5 || Values[items[0]].kind != Kind::Text || Values[items[0]].text != "storage")
    fail("a persistent id that is no storage");
  const Value &type = Values[items[1]], &key = Values[items[2]];
  bool isStorage = type.kind == Kind::Name && (type.name->role == Role::TypedStorage || type.name->role == Role::UntypedStorage);
  if (!isStorage || key.kind != Kind::Text)
    fail(fmt::format("a storage whose type is {} and whose key is {}", describe(type.kind), describe(key.kind)));
  Storage made{key.text, integerOf(items[4], "the size of a storage"), type.name->dtype, key.text, 0};
  int64_t width = made.dtype ? bytesOf(*made.dtype) : 1;
  if (__builtin_mul_overflow(made.bytes, width, &made.bytes))
    fail("a storage larger than any file");
  if (items.size() > 5 && Values[items[5]].kind != Kind::None) {
    const std::vector<Id> &view = itemsOf(items[5], "the view of a storage");
    if (view.size() != 3 || Values[view[0]].kind != Kind::Text)
      fail("the view of a storage is no key, place and size");
    int64_t offset = integerOf(view[1], "the place of a view"), size = integerOf(view[2], "the size of a view"), end;
    if (__builtin_mul_overflow(offset, width, &offset) || __builtin_mul_overflow(size, width, &size) ||
        __builtin_add_overflow(offset, size, &end) || end > made.bytes)
      fail("the view of a storage lies outside of it");
    // The size that stands in the id is the whole storage's.
    made.key = Values[view[0]].text;
    made.rootOffset = offset;
    made.rootBytes = made.bytes;
    made.bytes = size;
  } else {
    made.rootBytes = made.bytes;
  }
  Storages.push_back(made);
  return add({Kind::Storage, int64_t(Storages.size() - 1)});
}

Id Pickle::tensorOf(const Name &function, const std::vector<Id> &arguments) {
  const Value &value = Values[arguments[0]];
  if (value.kind != Kind::Storage)
    fail(fmt::format("a tensor is made of {}, but a storage is needed", describe(value.kind)));
  const Storage &storage = Storages[size_t(value.integer)];
  Tensor made;
  made.storage = uint32_t(value.integer);
  std::optional<DType> type = storage.dtype;
  if (function.role == Role::RebuildTyped) {
    const Value &given = Values[arguments[6]];
    if (given.kind != Kind::Name || given.name->role != Role::ElementType)
      fail(fmt::format("the element type of a tensor is {}", describe(given.kind)));
    type = given.name->dtype;
  }
  if (!type)
    fail("a tensor without an element type");
  made.dtype = *type;
  int64_t width = bytesOf(*type), offset = integerOf(arguments[1], "the place of a tensor");
  made.shape = integersOf(arguments[2], "the shape of a tensor");
  made.strides = integersOf(arguments[3], "the strides of a tensor");
  if (made.strides.size() != made.shape.size())
    fail(fmt::format("a tensor of {} axes has {} strides", made.shape.size(), made.strides.size()));
  // The last element must lie inside, and the elements must be countable in bytes.
  int64_t last = offset, count = width;
  bool empty = std::find(made.shape.begin(), made.shape.end(), 0) != made.shape.end(), tooMany = false;
  for (size_t axis = 0; axis < made.shape.size(); ++axis) {
    int64_t reach;
    tooMany |= __builtin_mul_overflow(count, made.shape[axis], &count);
    tooMany |= !empty && (__builtin_mul_overflow(made.shape[axis] - 1, made.strides[axis], &reach) ||
                          __builtin_add_overflow(last, reach, &last));
  }
  if (tooMany)
    fail(fmt::format("a tensor {} of more elements than can be counted", textOf(made.shape)));
  if (last > storage.bytes / width || (!empty && last >= storage.bytes / width))
    fail(fmt::format("a tensor {} ends at element {} of a storage of {}", textOf(made.shape), last, storage.bytes / width));
  made.offset = offset * width;
  Tensors.push_back(std::move(made));
  return add({Kind::Tensor, int64_t(Tensors.size() - 1)});
}

} // namespace vcc::runtime::pickle
