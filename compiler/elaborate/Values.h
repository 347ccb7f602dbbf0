// SPDX-License-Identifier: Apache-2.0
//
// What an expression of the language evaluates to: a compile-time value (number, string, list,
// part, function, ...) or a tensor, which is a value of the training graph together with the place
// where each of its sizes was decided. Values are cheap to copy: whatever is large is shared and
// immutable.
#ifndef VCC_COMPILER_ELABORATE_VALUES_H
#define VCC_COMPILER_ELABORATE_VALUES_H

#include "dialects/vcs/Vcs.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Location.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/SmallVector.h"

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace vcc::elaborate {

struct Part;
struct Weight;
struct TextField;
class Value;

/// Where a size of a tensor was decided, in words and as a place: the far end of a shape mismatch.
struct DimOrigin {
  mlir::Location loc;
  mlir::StringAttr what; // "`max_tokens` of `question`"; may be null
};

/// A tensor of the graph under construction.
struct Tensor {
  mlir::Value value;
  llvm::SmallVector<DimOrigin, 4> origins;

  mlir::RankedTensorType type() const {
    return llvm::cast<mlir::RankedTensorType>(value.getType());
  }
  int64_t rank() const { return type().getRank(); }
  int64_t dim(int64_t axis) const { return type().getDimSize(axis); }
  mlir::Type element() const { return type().getElementType(); }
};

/// What a call was given, in expressions of the caller: through it a value that an expression takes from a parameter is traced
/// to where it was decided.
struct Activation {
  struct Argument {
    mlir::StringAttr name;
    mlir::Location loc;
    mlir::Value expression;
  };
  mlir::Operation *callee;
  std::vector<Argument> arguments; // as written, without defaults
  std::shared_ptr<const Activation> caller;
};

/// Where a value was decided: as written, or as the default of a parameter; the language's own defaults stand nowhere.
struct Origin {
  enum class Kind { Written, Default, Language };
  Kind kind;
  mlir::Location loc;
  mlir::Value expression = {}; // what was written, as far as that is known
  /// The call in which the expression stands; null outside of functions.
  std::shared_ptr<const Activation> within = nullptr;
};

struct NoneValue {};

/// A number with a unit: `0.2 epochs`, `1 GB`.
struct Quantity {
  double amount;
  vcs::Unit unit;
};

struct RangeValue {
  int64_t begin, end;
};

/// How a weight starts: `normal(0.0, 0.02)`. `parameters` are numbers; `table` holds explicit
/// elements in row-major order.
struct Initializer {
  enum class Kind { Zeros, Ones, Constant, Normal, TruncatedNormal, Uniform, XavierUniform, Table };
  Kind kind;
  double first = 0, second = 0, third = 0;
  std::shared_ptr<const std::vector<float>> table;
  std::vector<int64_t> tableShape;
};

/// A value of a struct: its declaration and one value per field, in order of declaration.
struct StructValue {
  mlir::Operation *declaration;
  std::vector<std::pair<mlir::StringAttr, Value>> fields;
  std::vector<Origin> origins = {}; // of the fields, as far as they are known
  const Value *find(llvm::StringRef name) const;
};

/// Something that can be called or named: a declaration, or a method bound to its part.
struct Callable {
  mlir::Operation *declaration;
  Part *self = nullptr;
};

/// A name that the language itself provides: `f32`, `wordpiece`.
struct BuiltinName {
  mlir::StringAttr name;
};

/// `..` or a bare word that only an option or an index understands.
struct Word {
  mlir::StringAttr text;
};
struct EllipsisValue {};
/// `a:b:c` in an index; an open end is none.
struct SliceValue {
  std::optional<int64_t> start, stop, step;
};

/// A dictionary-like view on what the batch of a step is: `batch.samples`.
struct BatchValue {};

class Value {
public:
  using List = std::shared_ptr<const std::vector<Value>>;
  struct TupleTag {
    List items;
  };

  Value() : storage(NoneValue{}) {}
  Value(bool v) : storage(v) {}
  Value(int64_t v) : storage(v) {}
  Value(double v) : storage(v) {}
  Value(std::string v) : storage(std::make_shared<const std::string>(std::move(v))) {}
  Value(Tensor v) : storage(std::make_shared<const Tensor>(std::move(v))) {}
  Value(Quantity v) : storage(v) {}
  Value(RangeValue v) : storage(v) {}
  Value(Initializer v) : storage(std::make_shared<const Initializer>(std::move(v))) {}
  Value(StructValue v);
  Value(Callable v) : storage(v) {}
  Value(Part *v) : storage(v) {}
  Value(Weight *v) : storage(v) {}
  Value(std::shared_ptr<TextField> v) : storage(std::move(v)) {}
  Value(BatchValue v) : storage(v) {}
  Value(BuiltinName v) : storage(v) {}
  Value(Word v) : storage(v) {}
  Value(EllipsisValue v) : storage(v) {}
  Value(SliceValue v) : storage(v) {}
  Value(const char *) = delete;
  template <typename T>
    requires(std::is_pointer_v<T> && !std::is_same_v<T, Part *> && !std::is_same_v<T, Weight *>)
  Value(T) = delete;

  static Value list(std::vector<Value> items);
  static Value tuple(std::vector<Value> items);

  bool isNone() const { return std::holds_alternative<NoneValue>(storage); }
  const bool *asBool() const { return std::get_if<bool>(&storage); }
  const int64_t *asInt() const { return std::get_if<int64_t>(&storage); }
  const std::string *asString() const;
  const Tensor *asTensor() const;
  const Quantity *asQuantity() const { return std::get_if<Quantity>(&storage); }
  const RangeValue *asRange() const { return std::get_if<RangeValue>(&storage); }
  const Initializer *asInitializer() const;
  const StructValue *asStruct() const;
  const Callable *asCallable() const { return std::get_if<Callable>(&storage); }
  const BuiltinName *asBuiltin() const { return std::get_if<BuiltinName>(&storage); }
  const Word *asWord() const { return std::get_if<Word>(&storage); }
  const SliceValue *asSlice() const { return std::get_if<SliceValue>(&storage); }
  bool isEllipsis() const { return std::holds_alternative<EllipsisValue>(storage); }
  Part *asPart() const;
  Weight *asWeight() const;
  std::shared_ptr<TextField> asTextField() const;
  bool isBatch() const { return std::holds_alternative<BatchValue>(storage); }
  /// The items of a list or a tuple, else null.
  const std::vector<Value> *asSequence() const;
  bool isTuple() const { return std::holds_alternative<TupleTag>(storage); }

  /// An int or a float as a double.
  std::optional<double> asNumber() const;
  bool isNumber() const { return asNumber().has_value(); }

  /// How many lists, tuples and structs stand inside each other in this value.
  unsigned nesting() const { return depth; }

  /// What kind of value this is, for messages: "a list", "a tensor f32[2, 3]".
  std::string describe() const;
  /// The value as it would be written in the language, for `str(...)` and messages.
  std::string print() const;
  /// Equality of compile-time values; tensors, parts and callables compare by identity.
  bool equals(const Value &other) const;

private:
  unsigned depth = 0;
  std::variant<NoneValue, bool, int64_t, double, std::shared_ptr<const std::string>,
               std::shared_ptr<const Tensor>, Quantity, RangeValue,
               std::shared_ptr<const Initializer>, std::shared_ptr<const StructValue>, Callable,
               Part *, Weight *, std::shared_ptr<TextField>, BatchValue, List, TupleTag,
               BuiltinName, Word, EllipsisValue, SliceValue>
      storage;
};

/// "f32[2, 3]": a tensor type in the words of the language.
std::string formatType(mlir::RankedTensorType type);
/// "[2, 3]".
std::string formatShape(llvm::ArrayRef<int64_t> shape);
/// "f32", "i32", "bool".
std::string formatElement(mlir::Type type);

} // namespace vcc::elaborate

#endif
