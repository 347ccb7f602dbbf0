// SPDX-License-Identifier: Apache-2.0
//
// Pickles of tensors, read without executing anything of them. A pickle is a program for a stack machine; this one knows
// containers, numbers, strings and the few names by which PyTorch writes tensors (PickleNames.cpp), and refuses every
// other opcode and name by its place. No function of a pickle is ever called: what a known name stands for is built here.
#ifndef VCC_RUNTIME_WEIGHTS_PICKLE_H
#define VCC_RUNTIME_WEIGHTS_PICKLE_H

#include "runtime/program/DType.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace vcc::runtime::pickle {

/// What is wrong and at which byte; the file's reader adds the file's name.
class PickleError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// What a name of the list stands for.
enum class Role {
  Dictionary,
  RebuildTensor,      // (storage, offset, size, stride, ...)
  RebuildTyped,       // the same with an element type of its own at the end
  RebuildParameter,   // (tensor, ...)
  RebuildFromType,    // (function, type, arguments, state)
  TypedStorage,       // elements of `dtype`
  UntypedStorage,     // bytes
  ElementType,        // torch.float32
  TensorType,         // torch.Tensor, only as an argument
  Size,               // a tuple
  Data,               // a value that is no tensor and no container of tensors: kept as nothing
};

struct Name {
  std::string_view module, name;
  Role role;
  std::optional<DType> dtype;
};

/// The entry of the list, or null.
const Name *findName(std::string_view module, std::string_view name);

enum class Kind : uint8_t {
  None, Boolean, Integer, LongInteger, Float, Text, Bytes, Tuple, List, Dictionary, Name, Storage, Tensor, Data, Mark
};

/// A word for messages: `a tuple`.
std::string_view describe(Kind kind);

using Id = uint32_t;

struct Value {
  Kind kind = Kind::None;
  int64_t integer = 0;      // Integer, Boolean; Storage: elements; Tensor, Storage: index into their list
  std::string_view text;    // Text, Bytes, LongInteger (little-endian): inside the pickle
  std::vector<Id> items;    // Tuple, List; Dictionary: key, value, key, value, ...
  const Name *name = nullptr;
};

/// A storage, by the key that the file keeps it under; in legacy files it may be a part of what lies there.
struct Storage {
  std::string_view key;      // its own
  int64_t bytes = 0;         // its own
  std::optional<DType> dtype; // none: untyped
  std::string_view root;     // the key in the file
  int64_t rootOffset = 0;    // where it begins there
  int64_t rootBytes = 0;     // what the file must hold under `root`
};

/// A view of a storage; checked to lie inside of it.
struct Tensor {
  uint32_t storage = 0;
  DType dtype = DType::F32;
  int64_t offset = 0; // bytes
  Shape shape;
  Shape strides; // elements
};

/// One pickle of a text, read to its STOP.
class Pickle {
public:
  /// Throws PickleError.
  explicit Pickle(std::string_view text);

  const Value &root() const { return Values[Root]; }
  const Value &at(Id id) const { return Values[id]; }
  const std::vector<Storage> &storages() const { return Storages; }
  const std::vector<Tensor> &tensors() const { return Tensors; }
  size_t length() const { return Place; } // bytes up to and with STOP

private:
  void run();
  bool step(uint8_t opcode);
  bool number(uint8_t opcode);
  bool string(uint8_t opcode);
  bool container(uint8_t opcode);
  bool memo(uint8_t opcode);
  bool object(uint8_t opcode);

  // the text
  std::string_view take(uint64_t bytes);
  std::string_view line();
  uint64_t unsignedOf(int bytes);
  int64_t signedOf(int bytes);

  // the stack
  Id add(Value value);
  void push(Id id);
  void push(Value value) { push(add(std::move(value))); }
  Id pop();
  Id top() const;
  std::vector<Id> popToMark();
  void append(Id list, std::vector<Id> items);
  void setItems(Id dictionary, std::vector<Id> items);
  void tuple(size_t size);
  void countItems(size_t count);

  // names and what is made of them (PickleNames.cpp)
  void name(std::string_view module, std::string_view name);
  Id call(Id function, Id arguments);
  Id construct(Id type, Id arguments);
  void build(Id object, Id state);
  Id persistent(Id id);
  Id dictionaryOf(const std::vector<Id> &arguments);
  Id tensorOf(const Name &function, const std::vector<Id> &arguments);
  int64_t integerOf(Id id, const char *what) const;
  Shape integersOf(Id id, const char *what) const;
  const std::vector<Id> &itemsOf(Id id, const char *what) const;
  [[noreturn]] void fail(const std::string &what) const;

  std::string_view Text;
  size_t Place = 0;
  size_t Start = 0; // of the opcode being read
  std::vector<Value> Values;
  std::vector<Id> Stack, Memo;
  std::vector<Storage> Storages;
  std::vector<Tensor> Tensors;
  size_t Items = 0;
  Id Root = 0;
};

/// The text in quotes, shortened, control characters replaced.
std::string shown(std::string_view text);

} // namespace vcc::runtime::pickle
#endif
