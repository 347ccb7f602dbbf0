// SPDX-License-Identifier: Apache-2.0
//
// The stack machine: opcodes of protocols 2 to 5, of which numbers, strings and containers are known.
#include "runtime/weights/Pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace vcc::runtime::pickle {

// Limits far above any checkpoint: one of 200,000 tensors needs a tenth of the first two, and a file of a
// gigabyte of opcodes ends here with some hundred megabytes held.
static constexpr size_t MostValues = 4u << 20;
static constexpr size_t MostItems = 16u << 20;
static constexpr size_t DeepestStack = 1u << 20;
static constexpr size_t LongestText = 256u << 20;
static constexpr size_t LongestString = 64u << 10;
static constexpr size_t LongestBytes = 1u << 20;
static constexpr size_t LongestLine = 256;
static constexpr Id NoValue = ~Id(0);

std::string shown(std::string_view text) {
  constexpr size_t Most = 80;
  std::string made = "`";
  for (char c : text.substr(0, Most))
    made += c >= ' ' && c != '\x7f' && c != '`' ? c : '?';
  return made + (text.size() > Most ? "...`" : "`");
}

std::string_view describe(Kind kind) {
  switch (kind) {
  case Kind::None: return "None";
  case Kind::Boolean: return "a boolean";
  case Kind::Integer:
  case Kind::LongInteger: return "an integer";
  case Kind::Float: return "a number";
  case Kind::Text: return "a string";
  case Kind::Bytes: return "bytes";
  case Kind::Tuple: return "a tuple";
  case Kind::List: return "a list";
  case Kind::Dictionary: return "a dictionary";
  case Kind::Name: return "a name";
  case Kind::Storage: return "a storage";
  case Kind::Tensor: return "a tensor";
  case Kind::Data: return "an object";
  case Kind::Mark: return "a mark";
  }
  return "a value";
}

namespace {

struct Opcode {
  uint8_t code;
  const char *name;
};

/// Names of the opcodes that are refused; those that are read need none.
constexpr Opcode Refused[] = {
    {'I', "INT"}, {'L', "LONG"}, {'F', "FLOAT"}, {'S', "STRING"}, {'V', "UNICODE"}, {'P', "PERSID"},
    {'i', "INST"}, {'o', "OBJ"}, {'p', "PUT"}, {'g', "GET"}, {'d', "DICT"}, {'l', "LIST"}, {'2', "DUP"},
    {0x82, "EXT1"}, {0x83, "EXT2"}, {0x84, "EXT4"}, {0x8f, "EMPTY_SET"}, {0x90, "ADDITEMS"},
    {0x91, "FROZENSET"}, {0x92, "NEWOBJ_EX"}, {0x96, "BYTEARRAY8"}, {0x97, "NEXT_BUFFER"},
    {0x98, "READONLY_BUFFER"}};

std::string nameOf(uint8_t code) {
  for (const Opcode &opcode : Refused)
    if (opcode.code == code)
      return fmt::format("the opcode {}, which no checkpoint needs and is refused", opcode.name);
  return fmt::format("0x{:02x}, which is no opcode", code);
}

} // namespace

Pickle::Pickle(std::string_view text) : Text(text) {
  if (text.size() > LongestText)
    Text = text.substr(0, LongestText);
  run();
}

void Pickle::fail(const std::string &what) const {
  throw PickleError(fmt::format("byte {}: {}", Start, what));
}

void Pickle::run() {
  for (bool more = true; more;) {
    Start = Place;
    uint8_t opcode = uint8_t(unsignedOf(1));
    if (opcode == '.') {
      Root = pop();
      if (!Stack.empty())
        fail("the pickle ends with more than one value");
      more = false;
    } else if (!step(opcode)) {
      fail("holds " + nameOf(opcode));
    }
  }
}

bool Pickle::step(uint8_t opcode) {
  return number(opcode) || string(opcode) || container(opcode) || memo(opcode) || object(opcode);
}

std::string_view Pickle::take(uint64_t bytes) {
  if (bytes > Text.size() - Place) {
    if (Text.size() == LongestText)
      fail(fmt::format("the pickle is longer than {} bytes", LongestText));
    fail(fmt::format("the pickle breaks off: {} bytes are needed, {} are left", bytes, Text.size() - Place));
  }
  std::string_view taken = Text.substr(Place, bytes);
  Place += bytes;
  return taken;
}

std::string_view Pickle::line() {
  size_t end = Text.substr(Place, LongestLine + 1).find('\n');
  if (end == std::string_view::npos)
    fail("a name without an end");
  std::string_view taken = take(end);
  take(1);
  return taken;
}

uint64_t Pickle::unsignedOf(int bytes) {
  uint64_t value = 0;
  std::memcpy(&value, take(uint64_t(bytes)).data(), size_t(bytes));
  return value;
}

int64_t Pickle::signedOf(int bytes) {
  uint64_t value = unsignedOf(bytes);
  int shift = 64 - 8 * bytes;
  return shift == 64 ? 0 : int64_t(value << shift) >> shift;
}

Id Pickle::add(Value value) {
  if (Values.size() == MostValues)
    fail(fmt::format("more than {} values", MostValues));
  Values.push_back(std::move(value));
  return Id(Values.size() - 1);
}

void Pickle::push(Id id) {
  if (Stack.size() == DeepestStack)
    fail(fmt::format("more than {} values on the stack", DeepestStack));
  Stack.push_back(id);
}

Id Pickle::pop() {
  Id id = top();
  Stack.pop_back();
  return id;
}

Id Pickle::top() const {
  if (Stack.empty() || Values[Stack.back()].kind == Kind::Mark)
    fail("a value is taken from an empty stack");
  return Stack.back();
}

std::vector<Id> Pickle::popToMark() {
  size_t at = Stack.size();
  while (at > 0 && Values[Stack[at - 1]].kind != Kind::Mark)
    --at;
  if (at == 0)
    fail("a mark is missing");
  std::vector<Id> items(Stack.begin() + ptrdiff_t(at), Stack.end());
  Stack.resize(at - 1);
  return items;
}

void Pickle::countItems(size_t count) {
  Items += count;
  if (Items > MostItems)
    fail(fmt::format("more than {} entries of containers", MostItems));
}

void Pickle::append(Id list, std::vector<Id> items) {
  Kind kind = Values[list].kind;
  if (kind == Kind::Data)
    return;
  if (kind != Kind::List)
    fail(fmt::format("an entry is added to {}", describe(kind)));
  countItems(items.size());
  Values[list].items.insert(Values[list].items.end(), items.begin(), items.end());
}

void Pickle::setItems(Id dictionary, std::vector<Id> items) {
  Kind kind = Values[dictionary].kind;
  if (items.size() % 2)
    fail("a key without a value");
  if (kind == Kind::Data)
    return;
  if (kind != Kind::Dictionary)
    fail(fmt::format("a key is set in {}", describe(kind)));
  countItems(items.size());
  Values[dictionary].items.insert(Values[dictionary].items.end(), items.begin(), items.end());
}

void Pickle::tuple(size_t size) {
  Value made{Kind::Tuple};
  for (size_t i = 0; i < size; ++i)
    made.items.push_back(pop());
  std::reverse(made.items.begin(), made.items.end());
  countItems(size);
  push(std::move(made));
}

bool Pickle::number(uint8_t opcode) {
  auto integer = [&](int64_t value) { push({Kind::Integer, value}); };
  auto longInteger = [&](uint64_t bytes) {
    std::string_view text = take(bytes);
    if (bytes > LongestLine)
      fail(fmt::format("an integer of {} bytes", bytes));
    uint64_t value = 0;
    if (bytes > sizeof value)
      return push({Kind::LongInteger, 0, text});
    std::memcpy(&value, text.data(), text.size());
    int shift = 64 - 8 * int(bytes);
    integer(bytes == 0 ? 0 : int64_t(value << shift) >> shift);
  };
  switch (opcode) {
  case 0x80: // PROTO
    if (uint64_t version = unsignedOf(1); version < 2 || version > 5)
      fail(fmt::format("protocol {} of pickles is not read; 2 to 5 are", version));
    return true;
  case 0x95: // FRAME
    if (uint64_t bytes = unsignedOf(8); bytes > Text.size() - Place)
      fail(fmt::format("the pickle breaks off: a frame of {} bytes, {} are left", bytes, Text.size() - Place));
    return true;
  case 'N': push(Value{}); return true;
  case 0x88: push({Kind::Boolean, 1}); return true;
  case 0x89: push({Kind::Boolean, 0}); return true;
  case 'K': integer(int64_t(unsignedOf(1))); return true;
  case 'M': integer(int64_t(unsignedOf(2))); return true;
  case 'J': integer(signedOf(4)); return true;
  case 0x8a: longInteger(unsignedOf(1)); return true;
  case 0x8b: longInteger(unsignedOf(4)); return true;
  case 'G': take(8); push({Kind::Float}); return true; // no number of a checkpoint is a weight
  default: return false;
  }
}

bool Pickle::string(uint8_t opcode) {
  auto add = [&](Kind kind, uint64_t bytes, size_t most) {
    if (bytes > most)
      fail(fmt::format("a string of {} bytes, more than the {} that are read", bytes, most));
    push({kind, 0, take(bytes)});
  };
  switch (opcode) {
  case 0x8c: add(Kind::Text, unsignedOf(1), LongestString); return true;
  case 'X': add(Kind::Text, unsignedOf(4), LongestString); return true;
  case 0x8d: add(Kind::Text, unsignedOf(8), LongestString); return true;
  case 'U': add(Kind::Text, unsignedOf(1), LongestString); return true; // Python 2's
  case 'T': add(Kind::Text, unsignedOf(4), LongestString); return true;
  case 'C': add(Kind::Bytes, unsignedOf(1), LongestBytes); return true;
  case 'B': add(Kind::Bytes, unsignedOf(4), LongestBytes); return true;
  case 0x8e: add(Kind::Bytes, unsignedOf(8), LongestBytes); return true;
  default: return false;
  }
}

bool Pickle::container(uint8_t opcode) {
  switch (opcode) {
  case '(': push({Kind::Mark}); return true;
  case ')': tuple(0); return true;
  case 0x85: tuple(1); return true;
  case 0x86: tuple(2); return true;
  case 0x87: tuple(3); return true;
  case 't': {
    Value made{Kind::Tuple};
    made.items = popToMark();
    countItems(made.items.size());
    push(std::move(made));
    return true;
  }
  case ']': push({Kind::List}); return true;
  case '}': push({Kind::Dictionary}); return true;
  case 'a': {
    Id item = pop();
    append(top(), {item});
    return true;
  }
  case 'e': {
    std::vector<Id> items = popToMark();
    append(top(), std::move(items));
    return true;
  }
  case 's': {
    Id value = pop(), key = pop();
    setItems(top(), {key, value});
    return true;
  }
  case 'u': {
    std::vector<Id> items = popToMark();
    setItems(top(), std::move(items));
    return true;
  }
  default: return false;
  }
}

bool Pickle::memo(uint8_t opcode) {
  auto put = [&](uint64_t index) {
    if (index >= MostValues)
      fail(fmt::format("memo place {}, more than the {} that are kept", index, MostValues));
    if (index >= Memo.size())
      Memo.resize(index + 1, NoValue);
    Memo[index] = top();
  };
  auto get = [&](uint64_t index) {
    if (index >= Memo.size() || Memo[index] == NoValue)
      fail(fmt::format("memo place {} is empty", index));
    push(Memo[index]);
  };
  switch (opcode) {
  case 'q': put(unsignedOf(1)); return true;
  case 'r': put(unsignedOf(4)); return true;
  case 0x94: put(Memo.size()); return true;
  case 'h': get(unsignedOf(1)); return true;
  case 'j': get(unsignedOf(4)); return true;
  case '0': pop(); return true;
  case '1': popToMark(); return true;
  default: return false;
  }
}

bool Pickle::object(uint8_t opcode) {
  switch (opcode) {
  case 'c': {
    std::string_view module = line();
    name(module, line());
    return true;
  }
  case 0x93: {
    Id own = pop(), module = pop();
    if (Values[own].kind != Kind::Text || Values[module].kind != Kind::Text)
      fail("a name that is no string");
    name(Values[module].text, Values[own].text);
    return true;
  }
  case 'R': {
    Id arguments = pop(), function = pop();
    push(call(function, arguments));
    return true;
  }
  case 0x81: {
    Id arguments = pop(), type = pop();
    push(construct(type, arguments));
    return true;
  }
  case 'b': {
    Id state = pop();
    build(top(), state);
    return true;
  }
  case 'Q': push(persistent(pop())); return true;
  default: return false;
  }
}

} // namespace vcc::runtime::pickle
