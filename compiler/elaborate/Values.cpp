// SPDX-License-Identifier: Apache-2.0
//
// Values of the language: access, equality and their printed forms.
#include "compiler/elaborate/Values.h"

#include "compiler/elaborate/Parts.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>

namespace vcc::elaborate {

template <typename T, typename Variant>
static const T *shared(const Variant &storage) {
  auto *pointer = std::get_if<std::shared_ptr<const T>>(&storage);
  return pointer ? pointer->get() : nullptr;
}

const Value *StructValue::find(llvm::StringRef name) const {
  for (const auto &[key, value] : fields)
    if (key.getValue() == name)
      return &value;
  return nullptr;
}

static unsigned deepest(const std::vector<Value> &items) {
  unsigned depth = 0;
  for (const Value &item : items)
    depth = std::max(depth, item.nesting());
  return depth;
}

Value::Value(StructValue v) {
  for (const auto &[name, field] : v.fields)
    depth = std::max(depth, field.nesting());
  ++depth;
  storage = std::make_shared<const StructValue>(std::move(v));
}

Value Value::list(std::vector<Value> items) {
  Value v;
  v.depth = 1 + deepest(items);
  v.storage = List(std::make_shared<const std::vector<Value>>(std::move(items)));
  return v;
}

Value Value::tuple(std::vector<Value> items) {
  Value v;
  v.depth = 1 + deepest(items);
  v.storage = TupleTag{std::make_shared<const std::vector<Value>>(std::move(items))};
  return v;
}

const std::string *Value::asString() const { return shared<std::string>(storage); }
const Tensor *Value::asTensor() const { return shared<Tensor>(storage); }
const Initializer *Value::asInitializer() const { return shared<Initializer>(storage); }
const StructValue *Value::asStruct() const { return shared<StructValue>(storage); }

Part *Value::asPart() const {
  auto *part = std::get_if<Part *>(&storage);
  return part ? *part : nullptr;
}

Weight *Value::asWeight() const {
  auto *weight = std::get_if<Weight *>(&storage);
  return weight ? *weight : nullptr;
}

std::shared_ptr<TextField> Value::asTextField() const {
  auto *field = std::get_if<std::shared_ptr<TextField>>(&storage);
  return field ? *field : nullptr;
}

const std::vector<Value> *Value::asSequence() const {
  if (auto *list = std::get_if<List>(&storage))
    return list->get();
  if (auto *tuple = std::get_if<TupleTag>(&storage))
    return tuple->items.get();
  return nullptr;
}

std::optional<double> Value::asNumber() const {
  if (auto *i = asInt())
    return static_cast<double>(*i);
  if (auto *d = std::get_if<double>(&storage))
    return *d;
  return std::nullopt;
}

std::string formatShape(llvm::ArrayRef<int64_t> shape) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << '[';
  llvm::interleaveComma(shape, os);
  os << ']';
  return text;
}

std::string formatElement(mlir::Type type) {
  if (type.isInteger(1))
    return "bool";
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

std::string formatType(mlir::RankedTensorType type) {
  return formatElement(type.getElementType()) + formatShape(type.getShape());
}

static std::string declarationName(mlir::Operation *op) {
  if (auto name = op->getAttrOfType<mlir::StringAttr>(mlir::SymbolTable::getSymbolAttrName()))
    return name.getValue().str();
  return op->getName().getStringRef().str();
}

std::string Value::describe() const {
  if (isNone())
    return "`none`";
  if (asBool())
    return "a bool";
  if (asInt())
    return "an int";
  if (std::holds_alternative<double>(storage))
    return "a float";
  if (asString())
    return "a string";
  if (auto *tensor = asTensor())
    return "a tensor " + formatType(tensor->type());
  if (asQuantity())
    return "`" + print() + "`";
  if (asRange())
    return "a range";
  if (asInitializer())
    return "an initialiser";
  if (auto *record = asStruct())
    return "a `" + declarationName(record->declaration) + "`";
  if (auto *callable = asCallable())
    return "`" + declarationName(callable->declaration) + "`";
  if (auto *part = asPart())
    return "a `" + part->layerName() + "`";
  if (auto *weight = asWeight())
    return "the weight `" + weight->path() + "`";
  if (asTextField())
    return "a text field";
  if (isBatch())
    return "the batch";
  if (auto *builtin = asBuiltin())
    return "`" + builtin->name.str() + "`";
  if (auto *word = asWord())
    return "the word `" + word->text.str() + "`";
  if (isEllipsis())
    return "`..`";
  if (asSlice())
    return "a slice";
  return isTuple() ? "a tuple" : "a list";
}

static std::string printNumber(double v) {
  char buffer[40];
  snprintf(buffer, sizeof buffer, "%.9g", v);
  std::string text = buffer;
  if (text.find_first_of(".en") == std::string::npos)
    text += ".0";
  return text;
}

std::string Value::print() const {
  if (auto *b = asBool())
    return *b ? "true" : "false";
  if (auto *i = asInt())
    return std::to_string(*i);
  if (auto *d = std::get_if<double>(&storage))
    return printNumber(*d);
  if (auto *s = asString())
    return *s;
  if (auto *q = asQuantity()) {
    char number[40];
    snprintf(number, sizeof number, "%g ", q->amount);
    return number + vcs::stringifyUnit(q->unit).str();
  }
  if (auto *r = asRange())
    return std::to_string(r->begin) + ".." + std::to_string(r->end);
  if (auto *items = asSequence()) {
    std::string text = isTuple() ? "(" : "[";
    for (size_t i = 0; i < items->size(); ++i)
      text += (i ? ", " : "") + (*items)[i].print();
    return text + (isTuple() ? ")" : "]");
  }
  if (isNone())
    return "none";
  if (auto *word = asWord())
    return word->text.str();
  return describe();
}

bool Value::equals(const Value &other) const {
  if (auto a = asNumber(), b = other.asNumber(); a && b)
    return *a == *b;
  if (storage.index() != other.storage.index())
    return false;
  if (isNone() || isBatch())
    return true;
  if (auto *b = asBool())
    return *b == *other.asBool();
  if (auto *s = asString())
    return *s == *other.asString();
  if (auto *q = asQuantity())
    return q->amount == other.asQuantity()->amount && q->unit == other.asQuantity()->unit;
  if (auto *r = asRange())
    return r->begin == other.asRange()->begin && r->end == other.asRange()->end;
  if (auto *items = asSequence()) {
    auto *others = other.asSequence();
    return items->size() == others->size() &&
           std::equal(items->begin(), items->end(), others->begin(),
                      [](const Value &a, const Value &b) { return a.equals(b); });
  }
  if (auto *record = asStruct()) {
    auto *o = other.asStruct();
    return record->declaration == o->declaration && record->fields.size() == o->fields.size() &&
           std::equal(record->fields.begin(), record->fields.end(), o->fields.begin(),
                      [](const auto &a, const auto &b) { return a.second.equals(b.second); });
  }
  if (auto *callable = asCallable())
    return callable->declaration == other.asCallable()->declaration &&
           callable->self == other.asCallable()->self;
  if (auto *builtin = asBuiltin())
    return builtin->name == other.asBuiltin()->name;
  if (auto *word = asWord())
    return word->text == other.asWord()->text;
  if (auto *tensor = asTensor())
    return tensor->value == other.asTensor()->value;
  return asPart() == other.asPart() && asWeight() == other.asWeight() &&
         asTextField() == other.asTextField() && asInitializer() == other.asInitializer();
}

} // namespace vcc::elaborate
