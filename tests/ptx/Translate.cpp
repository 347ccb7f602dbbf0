// SPDX-License-Identifier: Apache-2.0
#include "tests/ptx/Translate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>

namespace vcc::ptx {

namespace {

/// C++'s name of a type of PTX; bits are unsigned.
const std::map<std::string, std::string> Types = {
    {"pred", "bool"},     {"b8", "uint8_t"},   {"b16", "uint16_t"}, {"b32", "uint32_t"}, {"b64", "uint64_t"}, {"u8", "uint8_t"},
    {"u16", "uint16_t"},  {"u32", "uint32_t"}, {"u64", "uint64_t"}, {"s8", "int8_t"},    {"s16", "int16_t"},  {"s32", "int32_t"},
    {"s64", "int64_t"},   {"f32", "float"},    {"f64", "double"},   {"bf16", "Bf16"},    {"f16", "F16"},
    {"f16x2", "TwoF16"}};
const std::map<std::string, std::string> TwiceAsWide = {{"s16", "int32_t"}, {"u16", "uint32_t"}, {"s32", "int64_t"}, {"u32", "uint64_t"}};

/// What computes {0}, {1} and {2}, all of the instruction's type.
const std::map<std::string, std::string> Plain = {
    {"add", "{0} + {1}"},        {"sub", "{0} - {1}"},          {"mul", "{0} * {1}"},      {"and", "{0} & {1}"},
    {"or", "{0} | {1}"},         {"xor", "{0} ^ {1}"},          {"not", "~{0}"},           {"neg", "-{0}"},
    {"min", "lesser({0}, {1})"}, {"max", "greater({0}, {1})"},  {"sqrt", "std::sqrt({0})"}, {"abs", "std::abs({0})"},
    {"rcp", "1 / {0}"},          {"fma", "std::fma({0}, {1}, {2})"}, {"mad", "{0} * {1} + {2}"}};
// The first of each pair for numbers that are comparable, the second also for what is no number.
const std::map<std::string, std::string> Comparisons = {
    {"eq", "{0} == {1}"},   {"ne", "({0} < {1} || {0} > {1})"},   {"lt", "{0} < {1}"},     {"le", "{0} <= {1}"},
    {"gt", "{0} > {1}"},    {"ge", "{0} >= {1}"},                 {"equ", "!({0} < {1} || {0} > {1})"}, {"neu", "{0} != {1}"},
    {"ltu", "!({0} >= {1})"}, {"leu", "!({0} > {1})"},            {"gtu", "!({0} <= {1})"}, {"geu", "!({0} < {1})"},
    {"nan", "({0} != {0} || {1} != {1})"}, {"num", "({0} == {0} && {1} == {1})"}};
const std::map<std::string, std::string> Roundings = {{"rn", "Nearest"}, {"rni", "Nearest"}, {"rz", "Zero"},  {"rzi", "Zero"},
                                                      {"rm", "Down"},    {"rmi", "Down"},    {"rp", "Up"},    {"rpi", "Up"}};

std::string identifier(const std::string &word) {
  std::string name;
  for (char letter : word)
    name += std::isalnum(static_cast<unsigned char>(letter)) ? std::string(1, letter) : "_";
  return "v" + name;
}

class Body {
public:
  explicit Body(const Function &function, const std::set<std::string> &tables) : From(function), Tables(tables) {
    for (const Statement &statement : From.body)
      Waits |= statement.kind == Statement::Instruction && (statement.opcode[0] == "bar" || statement.opcode[0] == "shfl");
    for (const Variable &variable : From.shared) {
      SharedBytes = (SharedBytes + variable.align - 1) / variable.align * variable.align;
      Shared[variable.name] = SharedBytes;
      SharedBytes += variable.bytes;
    }
    for (const std::string &name : From.parameters)
      Parameters.emplace(name, Parameters.size());
  }

  bool waits() const { return Waits; }
  uint64_t sharedBytes() const { return SharedBytes; }

  std::string run(const std::string &name) {
    std::string out = fmt::format("static {} {}([[maybe_unused]] Block &block, [[maybe_unused]] uint32_t thread) {{\n", Waits ? "Thread" : "void", name);
    for (const Statement &statement : From.body)
      out += line(statement);
    return out + fmt::format("  {};\n}}\n", Waits ? "co_return" : "return");
  }

private:
  [[noreturn]] static void fail(const Statement &statement) { throw std::runtime_error("PTX: `" + statement.text + "` is not known here"); }

  std::string line(const Statement &statement) {
    switch (statement.kind) {
    case Statement::Open:
      return "{\n";
    case Statement::Close:
      return "}\n";
    case Statement::Label:
      return identifier(statement.label) + ":;\n";
    case Statement::Registers:
      return registers(statement);
    case Statement::Instruction:
      break;
    }
    std::string made = instruction(statement);
    if (!statement.guard.empty())
      made = fmt::format("if ({}{}) {{ {} }}", statement.negated ? "!" : "", identifier(statement.guard), made);
    return "  " + made + "\n";
  }

  static std::string registers(const Statement &statement) {
    std::string out = "  " + Types.at(statement.opcode[0]) + " ";
    std::vector<std::string> names;
    for (const Operand &operand : statement.operands) {
      if (operand.offset < 0)
        names.push_back(identifier(operand.words[0]) + "{}");
      for (int64_t i = 0; i < operand.offset; ++i)
        names.push_back(identifier(operand.words[0] + std::to_string(i)) + "{}");
    }
    return out + fmt::format("{}", fmt::join(names, ", ")) + ";\n";
  }

  /// A register, a number or an address as a value of C++; of the type that it has.
  std::string raw(const std::string &word) const {
    if (word == "%tid.x")
      return "thread";
    if (word == "%ctaid.x")
      return "block.number";
    if (word == "%ntid.x")
      return "block.threads";
    if (word == "%nctaid.x")
      return "block.blocks";
    if (word == "%laneid")
      return "(thread % 32)";
    if (word[0] == '%' || !std::isdigit(static_cast<unsigned char>(word[word[0] == '-' ? 1 : 0]))) {
      if (auto shared = Shared.find(word); shared != Shared.end())
        return fmt::format("(block.shared.begin + {}u)", shared->second);
      if (Tables.count(word))
        return fmt::format("reinterpret_cast<uint64_t>({})", identifier(word));
      return identifier(word);
    }
    return word;
  }

  /// As a value of the type.
  std::string value(const std::string &word, const std::string &type) const {
    std::string name = Types.at(type);
    if (word.rfind("0f", 0) == 0)
      return fmt::format("as<{}>(std::bit_cast<float>(0x{}u))", name, word.substr(2));
    if (word.rfind("0d", 0) == 0)
      return fmt::format("as<{}>(std::bit_cast<double>(uint64_t(0x{})))", name, word.substr(2));
    bool number = std::isdigit(static_cast<unsigned char>(word[word[0] == '-' ? 1 : 0]));
    if (number && (type == "f16" || type == "f16x2"))
      return fmt::format("{}{{{}}}", name, word);
    if (number)
      return type == "pred" ? (word == "0" ? "false" : "true") : fmt::format("{}({}{})", name, word, word[0] == '-' ? "ll" : "ull");
    return fmt::format("as<{}>({})", name, raw(word));
  }

  static std::string set(const Operand &to, const std::string &value) { return fmt::format("put({}, {});", identifier(to.words[0]), value); }

  /// The formula with operands from the second on as values of the type, rounded to it.
  std::string formula(const Statement &statement, const std::string &formula, const std::string &type, const std::string &made) const {
    std::vector<std::string> values;
    for (size_t i = 1; i < statement.operands.size(); ++i)
      values.push_back(value(statement.operands[i].words[0], type));
    values.resize(std::max<size_t>(values.size(), 3));
    return set(statement.operands.at(0), fmt::format("{}({})", made, fmt::format(fmt::runtime(formula), values[0], values[1], values[2])));
  }

  std::string address(const Operand &operand) const {
    std::string base = value(operand.words[0], "b64");
    return operand.offset ? fmt::format("{} + uint64_t({}ll)", base, operand.offset) : base;
  }

  std::string instruction(const Statement &statement) {
    const std::vector<std::string> &opcode = statement.opcode;
    const std::string &name = opcode[0], type = opcode.back();
    const std::vector<Operand> &operands = statement.operands;
    // Of halves sums and products of two are known: LLVM makes them where what it was given is the same, widened and rounded again.
    bool ofHalves = type == "f16" || type == "f16x2", known = ofHalves && (name == "add" || name == "sub" || name == "mul");
    bool simple = Types.count(type) && type != "bf16" && (!ofHalves || known);
    if (name == "bra")
      return fmt::format("goto {};", identifier(operands.at(0).words[0]));
    if (name == "ret")
      return Waits ? "co_return;" : "return;";
    if (name == "bar" && opcode.size() == 2 && opcode[1] == "sync" && operands.size() == 1)
      return fmt::format("co_await Barrier{{block.lanes[thread], {}}};", operands[0].words[0]);
    if (name == "shfl")
      return shuffle(statement);
    if (name == "mov")
      return move(statement);
    if (name == "cvt")
      return convert(statement);
    if (!simple || operands.empty())
      fail(statement);
    if (name == "ld" || name == "st")
      return access(statement);
    if (name == "setp" && opcode.size() == 3 && Comparisons.count(opcode[1]))
      return formula(statement, type[0] == 'f' ? Comparisons.at(opcode[1]) : Comparisons.at(opcode[1] == "ne" ? "neu" : opcode[1]), type, "bool");
    if (name == "selp")
      return set(operands[0], fmt::format("{} ? {} : {}", value(operands.at(3).words[0], "pred"), value(operands[1].words[0], type), value(operands[2].words[0], type)));
    const std::string &made = Types.at(type);
    bool floats = type[0] == 'f';
    std::string middle = opcode.size() > 2 ? opcode[1] : "";
    if (name == "shl" || name == "shr")
      return set(operands[0], fmt::format("{}({}, {})", name == "shl" ? "shiftLeft" : "shiftRight", value(operands[1].words[0], type), value(operands.at(2).words[0], "u32")));
    if (name == "bfi")
      return set(operands[0], fmt::format("insertBits({}, {}, {}, {})", value(operands[1].words[0], type), value(operands.at(2).words[0], type),
                                          value(operands.at(3).words[0], "u32"), value(operands.at(4).words[0], "u32")));
    if (name == "bfe" && type[0] == 'u')
      return set(operands[0], fmt::format("extractBits({}, {}, {})", value(operands[1].words[0], type), value(operands.at(2).words[0], "u32"), value(operands.at(3).words[0], "u32")));
    if (!floats && name == "mul" && middle == "wide" && TwiceAsWide.count(type))
      return set(operands[0], fmt::format("{0}({1}) * {0}({2})", TwiceAsWide.at(type), value(operands[1].words[0], type), value(operands.at(2).words[0], type)));
    if (!floats && name == "mul" && middle == "hi")
      return formula(statement, "highHalf({0}, {1})", type, made);
    if (name == "div" || name == "rem")
      return formula(statement, floats ? "{0} / {1}" : name == "div" ? "quotient({0}, {1})" : "remainder({0}, {1})", type, made);
    // Of what is left only the plain forms: whole numbers or correctly rounded ones, nothing flushed to zero.
    // Without a rounding sums and products of floating point may be contracted, and halves of products of whole numbers must be named.
    bool rounds = floats && name != "neg" && name != "abs" && name != "min" && name != "max", halves = !floats && (name == "mul" || name == "mad");
    bool isPlain = rounds ? opcode.size() == 3 && middle == "rn" : halves ? opcode.size() == 3 && middle == "lo" : opcode.size() == 2;
    if (!Plain.count(name) || !isPlain || (name == "mad" && floats))
      fail(statement);
    if (type == "pred") // C++'s `~` of a bool is not its negation
      return formula(statement, name == "not" ? "!{0}" : Plain.at(name), type, made);
    if (!floats && (name == "add" || name == "sub" || name == "mul" || name == "mad" || name == "neg")) // what is too large wraps round
      return formula(statement, Plain.at(name), "b" + type.substr(1), Types.at("b" + type.substr(1)));
    return formula(statement, Plain.at(name), type, made);
  }

  /// `shfl.sync.bfly.b32 to, from, bits, 31, -1`: the whole warp.
  std::string shuffle(const Statement &statement) const {
    const auto &operands = statement.operands;
    if (statement.opcode != std::vector<std::string>{"shfl", "sync", "bfly", "b32"} || operands.size() != 5 || operands[3].words[0] != "31" ||
        operands[4].words[0] != "-1" || operands[0].words[0].find('|') != std::string::npos)
      fail(statement);
    return set(operands[0], fmt::format("co_await Butterfly{{block.lanes[thread], {}, {}}}", value(operands[1].words[0], "b32"), value(operands[2].words[0], "u32")));
  }

  /// Also taking a register apart, and putting one together.
  std::string move(const Statement &statement) const {
    const Operand &to = statement.operands.at(0), &from = statement.operands.at(1);
    const std::string &type = statement.opcode.back();
    if (statement.opcode.size() != 2 || !Types.count(type))
      fail(statement);
    if (to.kind == Operand::Word && from.kind == Operand::Word)
      return set(to, value(from.words[0], type));
    const Operand &group = to.kind == Operand::Group ? to : from;
    if (type == "pred" || group.words.empty())
      fail(statement);
    int bits = std::stoi(type.substr(1)) / int(group.words.size());
    std::string part = "b" + std::to_string(bits), whole = Types.at(type);
    if (to.kind == Operand::Group) {
      std::string out;
      for (size_t i = 0; i < group.words.size(); ++i)
        if (group.words[i] != "_")
          out += fmt::format("put({}, {}({} >> {})); ", identifier(group.words[i]), Types.at(part), value(from.words[0], type), size_t(bits) * i);
      return out;
    }
    std::vector<std::string> parts;
    for (size_t i = 0; i < group.words.size(); ++i)
      parts.push_back(fmt::format("{}({}({}) << {})", whole, whole, value(group.words[i], part), size_t(bits) * i));
    return set(to, fmt::format("{}({})", whole, fmt::join(parts, " | ")));
  }

  /// `cvt.rn.bf16.f32`, `cvt.u64.u32`.
  std::string convert(const Statement &statement) const {
    const auto &opcode = statement.opcode;
    bool rounds = opcode.size() == 4 && Roundings.count(opcode[1]);
    if ((opcode.size() != 3 && !rounds) || statement.operands.size() != 2)
      fail(statement);
    const std::string &to = opcode[opcode.size() - 2], &from = opcode.back();
    if (!Types.count(to) || !Types.count(from))
      fail(statement);
    // Only to the nearest where floating point becomes narrower, or whole numbers become floating point.
    bool whole = to[0] != 'f' && to != "bf16", toWhole = whole || to == from;
    if (rounds && !toWhole && opcode[1] != "rn")
      fail(statement);
    bool halves = from == "bf16" || from == "f16";
    std::string taken = halves ? fmt::format("{}{{as<uint16_t>({})}}", Types.at(from), raw(statement.operands[1].words[0])) : value(statement.operands[1].words[0], from);
    return set(statement.operands[0],
               fmt::format("converted<{}>({}, Rounding::{})", Types.at(to), taken, rounds ? Roundings.at(opcode[1]) : "None"));
  }

  /// Of one to four neighbours, which one access takes.
  std::string access(const Statement &statement) const {
    const auto &opcode = statement.opcode;
    bool loads = opcode[0] == "ld";
    const Operand &place = statement.operands.at(loads ? 1 : 0), &data = statement.operands.at(loads ? 0 : 1);
    const std::string &space = opcode.at(1), &type = opcode.back();
    size_t count = data.words.size();
    std::string vector = count > 1 ? "v" + std::to_string(count) : "";
    if (opcode.size() != (count > 1 ? 4 : 3) || (count > 1 && opcode[2] != vector) || place.kind != Operand::Address)
      fail(statement);
    std::string from;
    if (space == "param" && loads && Parameters.count(place.words[0]))
      from = fmt::format("reinterpret_cast<const char *>(block.parameters + {}) + {}", Parameters.at(place.words[0]), place.offset);
    else if (space == "global" || space == "shared")
      from = fmt::format("{}(block, {}, {} * sizeof({}))", space, address(place), count, Types.at(type));
    else
      fail(statement);
    std::string out = fmt::format("{{ {}char *at = {}; ", space == "param" ? "const " : "", from);
    for (size_t i = 0; i < count; ++i)
      out += loads ? fmt::format("put({}, load<{}>(at, {})); ", identifier(data.words[i]), Types.at(type), i)
                   : fmt::format("store<{}>(at, {}, {}); ", Types.at(type), i, stored(data.words[i], type));
    return out + "}";
  }

  /// The lowest bits of a register that is wider.
  std::string stored(const std::string &word, const std::string &type) const {
    return type == "f32" || type == "f64" ? value(word, type) : fmt::format("as<{}>({})", Types.at(type), std::isdigit(static_cast<unsigned char>(word[0])) || word[0] == '-' ? value(word, type) : raw(word));
  }

  const Function &From;
  const std::set<std::string> &Tables;
  bool Waits = false;
  uint64_t SharedBytes = 0;
  std::map<std::string, uint64_t> Shared;
  std::map<std::string, size_t> Parameters;
};

} // namespace

std::string translate(const Module &module) {
  std::string out = "#include \"tests/ptx/Thread.h\"\nusing namespace vcc::ptx;\nnamespace {\n", entries;
  std::set<std::string> tables;
  for (const Variable &table : module.tables) {
    tables.insert(table.name);
    std::vector<std::string> values = table.values;
    out += fmt::format("alignas({}) const unsigned char {}[{}] = {{{}}};\n", table.align, identifier(table.name), table.bytes, fmt::join(values, ", "));
  }
  out += "} // namespace\n";
  for (size_t i = 0; i < module.functions.size(); ++i) {
    const Function &function = module.functions[i];
    Body body(function, tables);
    std::string name = "kernel" + std::to_string(i);
    out += body.run(name);
    entries += fmt::format("  {{\"{}\", {}, {}, {}, {}, {}}},\n", function.name, function.parameters.size(), function.threads, body.sharedBytes(),
                           body.waits() ? "nullptr" : name, body.waits() ? name : "nullptr");
  }
  std::vector<std::string> spans;
  for (const Variable &table : module.tables)
    spans.push_back(fmt::format("{{{}, {}}}", identifier(table.name), table.bytes));
  return out + fmt::format("extern \"C\" const Entry vcc_ptx_entries[] = {{\n{}  {{}}}};\nextern \"C\" const Table vcc_ptx_tables[] = {{{}{}{{}}}};\n", entries,
                           fmt::join(spans, ", "), spans.empty() ? "" : ", ");
}

} // namespace vcc::ptx
