// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime_cuda/FakeAttention.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <set>

namespace vcc::runtime::cuda {

FakeAttention *FakeAttention::Now = nullptr;
size_t FakeAttention::version = 91900;

/// A part: what was set, as it was given.
struct FakeAttention::Piece {
  struct Given {
    ValueKind kind;
    int64_t count;
    std::vector<char> bytes;
  };
  PartKind kind;
  bool finished = false;
  std::map<PartAttribute, Given> given;
  std::vector<std::shared_ptr<Piece>> parts; // that are named, so that they outlive their handles
  FakeEngine engine;                         // of engines, choices and plans

  bool has(PartAttribute attribute) const { return given.count(attribute); }
  template <typename T> T get(PartAttribute attribute, size_t at = 0) const {
    T value{};
    const Given &found = given.at(attribute);
    if (found.bytes.size() >= (at + 1) * sizeof(T))
      std::memcpy(&value, found.bytes.data() + at * sizeof(T), sizeof(T));
    return value;
  }
  template <typename T> T get(PartAttribute attribute, T otherwise) const { return has(attribute) ? get<T>(attribute, size_t(0)) : otherwise; }
};

namespace {

using Piece = FakeAttention::Piece;
using Sizes = std::array<int64_t, 4>;

constexpr AttentionResult Bad = AttentionResult(2000);

template <auto Method> struct Stub;
template <typename... A, AttentionResult (FakeAttention::*Method)(A...)>
struct Stub<Method> {
  static inline std::string Name;
  static AttentionResult call(A... arguments) {
    FakeAttention &fake = *FakeAttention::Now;
    bool fails = fake.Gpu.enter(Name.c_str()) != Success;
    AttentionResult result = AttentionSuccess;
    if (!fails || Name.find("destroy") != std::string::npos)
      result = (fake.*Method)(arguments...);
    return fails ? fake.failWith : result;
  }
};

size_t bytesOf(ValueKind kind) {
  switch (kind) {
  case ValueHandle:
  case ValueInt64:
  case ValuePointer:
  case ValuePart:
    return 8;
  case ValueBool:
  case ValueChar:
    return 1;
  default:
    return 4;
  }
}

/// What each kind of part must have been told before it is finished.
const std::map<PartKind, std::vector<std::pair<PartAttribute, ValueKind>>> Needed = {
    {PartPointwise, {{PointwiseMode, ValuePointwise}, {PointwisePrecision, ValueType}}},
    {PartPointwiseStep, {{PointwiseStepHow, ValuePart}, {PointwiseStepX, ValuePart}, {PointwiseStepY, ValuePart}}},
    {PartReduction, {{ReductionOperator, ValueReduction}, {ReductionPrecision, ValueType}}},
    {PartReductionStep, {{ReductionStepHow, ValuePart}, {ReductionStepX, ValuePart}, {ReductionStepY, ValuePart}}},
    {PartProduct, {{ProductPrecision, ValueType}}},
    {PartProductStep, {{ProductStepHow, ValuePart}, {ProductStepA, ValuePart}, {ProductStepB, ValuePart}, {ProductStepC, ValuePart}}},
    {PartReshapeStep, {{ReshapeStepX, ValuePart}, {ReshapeStepY, ValuePart}}},
    {PartTensor, {{TensorType, ValueType}, {TensorSizes, ValueInt64}, {TensorStrides, ValueInt64}, {TensorName, ValueInt64}, {TensorAlignment, ValueInt64}}},
    {PartGraph, {{GraphSteps, ValuePart}, {GraphHandle, ValueHandle}}},
    {PartHeuristic, {{HeuristicGraph, ValuePart}, {HeuristicMode, ValueHeuristic}}},
    {PartPlan, {{PlanChoice, ValuePart}, {PlanHandle, ValueHandle}}},
    {PartOperands, {{OperandNames, ValueInt64}, {OperandPointers, ValuePointer}, {OperandWorkspace, ValuePointer}}}};

/// A tensor while a plan runs: in memory, or made here.
struct Tensor {
  Sizes sizes, strides;
  TensorElement element;
  char *memory = nullptr;
  std::shared_ptr<std::vector<double>> own;

  int64_t place(const Sizes &at, const Sizes &of) const {
    int64_t place = 0;
    for (int i = 0; i < 4; ++i)
      place += at[size_t(i)] * sizes[size_t(i)] / of[size_t(i)] * strides[size_t(i)]; // repeated, or heads that share
    return place;
  }
  double read(const Sizes &at, const Sizes &of) const {
    int64_t from = place(at, of);
    if (own)
      return (*own)[size_t(from)];
    if (element == TensorI32)
      return reinterpret_cast<const int32_t *>(memory)[from];
    if (element == TensorF32)
      return double(reinterpret_cast<const float *>(memory)[from]);
    if (element == TensorF16)
      return double(reinterpret_cast<const _Float16 *>(memory)[from]);
    return double(std::bit_cast<float>(uint32_t(reinterpret_cast<const uint16_t *>(memory)[from]) << 16));
  }
  static uint16_t narrow(double value) {
    auto bits = std::bit_cast<uint32_t>(float(value));
    return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
  void write(const Sizes &at, double value) const {
    int64_t to = place(at, sizes);
    if (own)
      (*own)[size_t(to)] = element == TensorBf16  ? double(std::bit_cast<float>(uint32_t(narrow(value)) << 16))
                           : element == TensorF16 ? double(_Float16(float(value)))
                                                  : double(float(value));
    else if (element == TensorF32)
      reinterpret_cast<float *>(memory)[to] = float(value);
    else if (element == TensorF16)
      reinterpret_cast<_Float16 *>(memory)[to] = _Float16(float(value));
    else
      reinterpret_cast<uint16_t *>(memory)[to] = narrow(value);
  }
};

template <typename F> void each(const Sizes &sizes, F &&act) {
  Sizes at{};
  for (at[0] = 0; at[0] < sizes[0]; ++at[0])
    for (at[1] = 0; at[1] < sizes[1]; ++at[1])
      for (at[2] = 0; at[2] < sizes[2]; ++at[2])
        for (at[3] = 0; at[3] < sizes[3]; ++at[3])
          act(at);
}

Sizes sizesOf(const Piece &tensor, PartAttribute attribute) {
  return {tensor.get<int64_t>(attribute, 0), tensor.get<int64_t>(attribute, 1), tensor.get<int64_t>(attribute, 2), tensor.get<int64_t>(attribute, 3)};
}

bool good(const Piece &piece) {
  for (auto [attribute, kind] : Needed.count(piece.kind) ? Needed.at(piece.kind) : decltype(Needed.begin()->second){})
    if (!piece.has(attribute) || piece.given.at(attribute).kind != kind)
      return false;
  for (const auto &part : piece.parts)
    if (part->kind != PartEngineChoice && !part->finished)
      return false;
  if (piece.kind == PartTensor)
    for (PartAttribute attribute : {TensorSizes, TensorStrides})
      for (int64_t size : sizesOf(piece, attribute))
        if (piece.given.at(attribute).count != 4 || size < 1)
          return false;
  if (piece.kind == PartOperands)
    return piece.given.at(OperandNames).count == piece.given.at(OperandPointers).count;
  return true;
}

/// One run of a plan.
class Walk {
public:
  Walk(const Piece &graph, const Piece &operands) : Graph(graph) {
    for (int64_t i = 0; i < operands.given.at(OperandNames).count; ++i)
      Memory[operands.get<int64_t>(OperandNames, size_t(i))] = operands.get<char *>(OperandPointers, size_t(i));
    // Numbers that are handed over by value are read now, and places in memory must be aligned as was said.
    for (const auto &step : graph.parts)
      for (const auto &part : step->parts)
        if (part->kind == PartTensor && !part->get<bool>(TensorVirtual, false))
          add(*part);
  }
  bool complete() const { return Complete && Needs.size() == Memory.size(); }

  void run() {
    for (const auto &step : Graph.parts)
      switch (step->kind) {
      case PartPointwiseStep:
        pointwise(*step);
        break;
      case PartReductionStep:
        reduce(*step);
        break;
      case PartProductStep:
        multiply(*step);
        break;
      default: { // another view of what lies in memory
        Tensor x = at(*step, ReshapeStepX), &y = at(*step, ReshapeStepY);
        y.memory = x.memory, y.own = x.own;
      }
      }
  }

private:
  void add(const Piece &tensor) {
    auto name = tensor.get<int64_t>(TensorName, 0);
    if (!Needs.insert(name).second)
      return;
    auto found = Memory.find(name);
    Complete &= found != Memory.end() && found->second;
    if (!Complete)
      return;
    if (tensor.get<bool>(TensorByValue, false)) {
      auto element = tensor.get<TensorElement>(TensorType, 0);
      double value = element == TensorI32 ? *reinterpret_cast<int32_t *>(found->second) : double(*reinterpret_cast<float *>(found->second));
      Tensors[name] = {{1, 1, 1, 1}, {1, 1, 1, 1}, element, nullptr, std::make_shared<std::vector<double>>(1, value)};
      return;
    }
    Complete &= reinterpret_cast<uint64_t>(found->second) % uint64_t(tensor.get<int64_t>(TensorAlignment, 0)) == 0;
    Tensors[name] = {sizesOf(tensor, TensorSizes), sizesOf(tensor, TensorStrides), tensor.get<TensorElement>(TensorType, 0), found->second, nullptr};
  }

  Tensor &at(const Piece &step, PartAttribute attribute) {
    auto handle = step.get<GraphPart>(attribute, 0);
    const Piece *tensor = nullptr;
    for (const auto &part : step.parts)
      if (part.get() == handle)
        tensor = part.get();
    auto [known, added] = Tensors.try_emplace(tensor->get<int64_t>(TensorName, 0));
    if (added) {
      Tensor &made = known->second;
      made = {sizesOf(*tensor, TensorSizes), sizesOf(*tensor, TensorStrides), tensor->get<TensorElement>(TensorType, 0), nullptr, nullptr};
      int64_t last = 0;
      for (size_t i = 0; i < 4; ++i)
        last += (made.sizes[i] - 1) * made.strides[i];
      made.own = std::make_shared<std::vector<double>>(size_t(last + 1), std::nan(""));
    }
    return known->second;
  }
  static const Piece &how(const Piece &step, PartAttribute attribute) { return *static_cast<const Piece *>(step.get<GraphPart>(attribute, 0)); }

  void pointwise(const Piece &step) {
    const Piece &described = how(step, PointwiseStepHow);
    auto kind = described.get<PointwiseKind>(PointwiseMode, 0);
    auto axis = described.get<int64_t>(PointwiseAxis, int64_t(0));
    Tensor &to = at(step, PointwiseStepY), &x = at(step, PointwiseStepX);
    Tensor b = step.has(PointwiseStepB) ? at(step, PointwiseStepB) : x, t = step.has(PointwiseStepT) ? at(step, PointwiseStepT) : x;
    each(to.sizes, [&](const Sizes &place) {
      double left = x.read(place, to.sizes), right = b.read(place, to.sizes);
      switch (kind) {
      case PointwiseAdd:
        return to.write(place, left + right);
      case PointwiseMultiply:
        return to.write(place, left * right);
      case PointwiseDivide:
        return to.write(place, left / right);
      case PointwiseSubtract:
        return to.write(place, left - right);
      case PointwiseExp:
        return to.write(place, std::exp(left));
      case PointwiseLog:
        return to.write(place, std::log(left));
      case PointwiseAtLeast:
        return to.write(place, left >= right);
      case PointwiseBelow:
        return to.write(place, left < right);
      case PointwiseAnd:
        return to.write(place, left != 0 && right != 0);
      case PointwiseIndex:
        return to.write(place, double(place[size_t(axis)]));
      case PointwiseSelect:
        return to.write(place, t.read(place, to.sizes) != 0 ? left : right);
      }
    });
  }

  void reduce(const Piece &step) {
    auto kind = how(step, ReductionStepHow).get<ReductionKind>(ReductionOperator, 0);
    Tensor &x = at(step, ReductionStepX), &to = at(step, ReductionStepY);
    std::map<Sizes, double> sums;
    each(x.sizes, [&](const Sizes &place) {
      Sizes into{};
      for (size_t i = 0; i < 4; ++i)
        into[i] = place[i] * to.sizes[i] / x.sizes[i];
      double value = x.read(place, x.sizes);
      auto [sum, first] = sums.try_emplace(into, value);
      if (!first)
        sum->second = kind == ReductionSum ? sum->second + value : std::max(sum->second, value);
    });
    for (const auto &[place, value] : sums)
      to.write(place, value);
  }

  /// Rows and columns beyond those that count are padded with zeros, but in memory nobody says that they are written.
  void multiply(const Piece &step) {
    Tensor &a = at(step, ProductStepA), &b = at(step, ProductStepB), &to = at(step, ProductStepC);
    auto counts = [&](PartAttribute attribute, int64_t sample, int64_t all) {
      return step.has(attribute) ? int64_t(at(step, attribute).read({sample, 0, 0, 0}, {to.sizes[0], 1, 1, 1})) : all;
    };
    Sizes ofA = {to.sizes[0], to.sizes[1], to.sizes[2], a.sizes[3]}, ofB = {to.sizes[0], to.sizes[1], a.sizes[3], to.sizes[3]};
    each(to.sizes, [&](const Sizes &place) {
      if (place[2] >= counts(ProductStepM, place[0], to.sizes[2]) || place[3] >= counts(ProductStepN, place[0], to.sizes[3]))
        return void(to.own ? to.write(place, 0) : void());
      double sum = 0;
      for (int64_t k = 0; k < counts(ProductStepK, place[0], a.sizes[3]); ++k)
        sum += a.read({place[0], place[1], place[2], k}, ofA) * b.read({place[0], place[1], k, place[3]}, ofB);
      to.write(place, sum);
    });
  }

  const Piece &Graph;
  std::map<int64_t, char *> Memory;
  std::map<int64_t, Tensor> Tensors;
  std::set<int64_t> Needs;
  bool Complete = true;
};

} // namespace

FakeAttention::FakeAttention(FakeGpu &gpu) : Gpu(gpu) {
  Now = this;
#define VCC_STUB(MEMBER, SYMBOL, PARAMETERS)                                                                                    \
  Stub<&FakeAttention::MEMBER>::Name = "attention_" #MEMBER;                                                                    \
  Table.MEMBER = Stub<&FakeAttention::MEMBER>::call;
  VCC_ATTENTION_CALLS(VCC_STUB)
#undef VCC_STUB
  Table.version = [] { return version; };
  Table.resultText = [](AttentionResult) { return "FAKE_STATUS"; };
  Table.lastError = [](char *text, size_t bytes) { std::strncpy(text, "made to fail\n", bytes); };
}
FakeAttention::~FakeAttention() { Now = nullptr; }

AttentionResult FakeAttention::create(AttentionHandle *handle) {
  ++Live;
  return *handle = reinterpret_cast<AttentionHandle>(this), AttentionSuccess;
}
AttentionResult FakeAttention::destroy(AttentionHandle) { return --Live, AttentionSuccess; }
AttentionResult FakeAttention::setStream(AttentionHandle, Stream stream) { return Where = stream, AttentionSuccess; }

AttentionResult FakeAttention::createPart(PartKind kind, GraphPart *part) {
  auto piece = std::make_shared<Piece>();
  piece->kind = kind;
  *part = piece.get();
  Pieces[*part] = piece, ++Live;
  return AttentionSuccess;
}
AttentionResult FakeAttention::destroyPart(GraphPart part) {
  if (!Pieces.erase(part))
    return Bad;
  return --Live, AttentionSuccess;
}

AttentionResult FakeAttention::setPart(GraphPart part, PartAttribute attribute, ValueKind kind, int64_t count, const void *values) {
  auto found = Pieces.find(part);
  if (found == Pieces.end() || found->second->finished || count < 1 || !values)
    return Bad;
  const char *bytes = static_cast<const char *>(values);
  found->second->given[attribute] = {kind, count, std::vector<char>(bytes, bytes + size_t(count) * bytesOf(kind))};
  for (int64_t i = 0; kind == ValuePart && i < count; ++i) {
    auto named = Pieces.find(static_cast<const GraphPart *>(values)[i]);
    if (named == Pieces.end())
      return Bad;
    found->second->parts.push_back(named->second);
    if (named->second->kind == PartEngineChoice)
      found->second->engine = named->second->engine;
  }
  return AttentionSuccess;
}

AttentionResult FakeAttention::finishPart(GraphPart part) {
  auto found = Pieces.find(part);
  if (found == Pieces.end() || found->second->finished || !good(*found->second))
    return Bad;
  if (found->second->kind == PartPlan && found->second->engine.plans != AttentionSuccess)
    return found->second->engine.plans;
  found->second->finished = true;
  return AttentionSuccess;
}

AttentionResult FakeAttention::getPart(GraphPart part, PartAttribute attribute, ValueKind, int64_t wanted, int64_t *count, void *values) {
  Piece &from = *Pieces.at(part);
  switch (attribute) {
  case HeuristicResults: {
    const std::vector<FakeEngine> &engines = from.get<HeuristicKind>(HeuristicMode, 0) == HeuristicBest ? best : fallback;
    *count = std::min<int64_t>(wanted, int64_t(engines.size()));
    for (int64_t i = 0; i < *count; ++i) {
      Piece &choice = *Pieces.at(static_cast<GraphPart *>(values)[i]);
      choice.engine = engines[size_t(i)], choice.parts = {from.parts.at(0)};
    }
    return AttentionSuccess;
  }
  case ChoiceEngine:
    Pieces.at(*static_cast<GraphPart *>(values))->engine = from.engine;
    return *count = 1, AttentionSuccess;
  case EngineNotes:
    *static_cast<EngineNote *>(values) = from.engine.deterministic ? EngineNote(0) : NoteNotDeterministic;
    return *count = 1, AttentionSuccess;
  case PlanWorkspace:
    *static_cast<int64_t *>(values) = from.engine.workspace;
    return *count = 1, AttentionSuccess;
  default:
    return Bad;
  }
}

AttentionResult FakeAttention::execute(AttentionHandle handle, GraphPart plan, GraphPart operands) {
  auto made = Pieces.at(plan), given = Pieces.at(operands);
  if (reinterpret_cast<FakeAttention *>(handle) != this || !Where || !made->finished || !given->finished)
    return Bad;
  std::shared_ptr<Piece> graph = made->parts.at(0)->parts.at(0);
  auto walk = std::make_shared<Walk>(*graph, *given);
  if (!walk->complete())
    return Bad;
  return Gpu.put(Where, [graph, walk] { walk->run(); }) == Success ? AttentionSuccess : Bad;
}

} // namespace vcc::runtime::cuda
