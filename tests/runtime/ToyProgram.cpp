// SPDX-License-Identifier: Apache-2.0
//
// Tables and kernels of the toy.
#include "tests/runtime/ToyProgram.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <limits>
#include <thread>

namespace vcc::runtime::test {

namespace {

constexpr int64_t R = ToyRows, W = ToyWidth;

uint32_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return uint32_t(x >> 32);
}
float uniform(uint64_t key) { return float(mix(key) >> 8) * 0x1p-24f - 0.5f; }

template <typename T>
T *as(void *pointer) {
  return static_cast<T *>(pointer);
}

// pred, y, bias, offset, rng -> residual; a little noise, so that a resumed run must draw the same numbers
void residual(void *const *b, const int64_t *, int64_t begin, int64_t end) {
  auto *rng = as<int32_t>(b[4]);
  for (int64_t i = begin; i < end; ++i) {
    uint64_t key = uint64_t(uint32_t(rng[0])) << 40 ^ uint64_t(rng[2]) << 16 ^ uint64_t(rng[3] + i);
    as<float>(b[5])[i] = as<float>(b[0])[i] + as<float>(b[2])[0] + as<float>(b[3])[0] - as<float>(b[1])[i] + 0.01f * uniform(key);
  }
}

// residual (becomes its gradient), ints: accumulate count -> loss, bias gradient
void squares(void *const *b, const int64_t *ints, int64_t, int64_t) {
  float share = 1.0f / float(R * ints[0]), loss = 0, gradient = 0;
  for (int64_t i = 0; i < R; ++i) {
    float &r = as<float>(b[0])[i];
    loss += r * r * share;
    r *= 2 * share;
    gradient += r;
  }
  as<float>(b[1])[0] = loss, as<float>(b[2])[0] = loss;
  as<float>(b[3])[0] = ints[0] > 1 ? as<float>(b[3])[0] + gradient : gradient;
}

// weight, gradient, moment, step index -> lr, grad_norm; ints: elements, whether gradients are zeroed
void update(void *const *b, const int64_t *ints, int64_t, int64_t) {
  float lr = 0.05f / (1 + 0.01f * as<float>(b[3])[0]), norm = 0;
  for (int64_t i = 0; i < ints[0]; ++i) {
    float &g = as<float>(b[1])[i];
    norm += g * g;
    as<float>(b[2])[i] = 0.9f * as<float>(b[2])[i] + g;
    as<float>(b[0])[i] -= lr * as<float>(b[2])[i];
    if (ints[1])
      g = 0;
  }
  as<float>(b[4])[0] = lr, as<float>(b[5])[0] = std::sqrt(norm);
}

// as squares, and the scale, by which the gradients are multiplied; they are rounded to what f16 can hold at most
void scaledSquares(void *const *b, const int64_t *ints, int64_t, int64_t) {
  float share = 1.0f / float(R * ints[0]), loss = 0, gradient = 0;
  for (int64_t i = 0; i < R; ++i) {
    float &r = as<float>(b[0])[i];
    loss += r * r * share;
    r *= 2 * share * as<float>(b[4])[0];
    if (std::abs(r) > 65504)
      r = std::copysign(std::numeric_limits<float>::infinity(), r);
    gradient += r;
  }
  as<float>(b[1])[0] = loss, as<float>(b[2])[0] = loss;
  as<float>(b[3])[0] += gradient;
}

// as update, and scale, good steps, scale as it was, whether the step was skipped; ints: elements
void scaledUpdate(void *const *b, const int64_t *ints, int64_t, int64_t) {
  float &scale = as<float>(b[6])[0], &good = as<float>(b[7])[0], inverse = 1 / scale;
  auto *gradients = as<float>(b[1]);
  bool finite = std::all_of(gradients, gradients + ints[0], [](float g) { return std::isfinite(g); });
  float lr = 0.05f / (1 + 0.01f * as<float>(b[3])[0]), norm = 0;
  for (int64_t i = 0; i < ints[0]; ++i) {
    float g = gradients[i] * inverse;
    norm += g * g;
    gradients[i] = 0;
    if (!finite)
      continue;
    as<float>(b[2])[i] = 0.9f * as<float>(b[2])[i] + g;
    as<float>(b[0])[i] -= lr * as<float>(b[2])[i];
  }
  as<float>(b[4])[0] = lr, as<float>(b[5])[0] = std::sqrt(norm);
  as<float>(b[8])[0] = scale, as<float>(b[9])[0] = finite ? 0 : 1;
  good = finite ? good + 1 : 0;
  scale *= finite ? good == 5 ? 2.0f : 1.0f : 0.5f;
  good = good == 5 ? 0 : good;
}

// -> scale
void startScale(void *const *b, const int64_t *, int64_t, int64_t) { as<float>(b[0])[0] = 65536; }

// rng -> weight; ints: elements, site
void start(void *const *b, const int64_t *ints, int64_t, int64_t) {
  for (int64_t i = 0; i < ints[0]; ++i)
    as<float>(b[1])[i] = uniform(uint64_t(as<uint32_t>(b[0])[0]) << 32 ^ uint64_t(ints[1]) << 8 ^ uint64_t(i));
}

// residual -> score
void score(void *const *b, const int64_t *, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i)
    as<float>(b[1])[i] = -as<float>(b[0])[i] * as<float>(b[0])[i];
}

// Offsets in io, 64-byte aligned.
enum Io : uint64_t { X = 0, Y = 128, Rng = 192, Index = 256, Loss = 320, Term = 384, Lr = 448, Norm = 512, Score = 576, IoBytes = 640, Scale = 640, Skipped = 704, ScaledIoBytes = 768 };
enum Arena : uint64_t { Pred = 0, Residual = 64, Gradient = 128, ArenaBytes = 192 };

struct StageTables {
  std::deque<std::vector<VccBuffer>> buffers;
  std::deque<std::vector<int64_t>> ints;
  std::deque<std::vector<VccLaunch>> launches;
  std::vector<VccFunction> functions;

  VccLaunch launch(uint32_t kind, const char *name, std::vector<VccBuffer> operands, std::vector<int64_t> numbers,
                   VccKernel kernel = nullptr, int64_t units = 1) {
    buffers.push_back(std::move(operands));
    ints.push_back(std::move(numbers));
    VccLaunch result{};
    result.kind = kind, result.name = name, result.kernel = kernel, result.units = units;
    result.buffers = buffers.back().data(), result.buffer_count = buffers.back().size();
    result.ints = ints.back().data(), result.int_count = ints.back().size();
    return result;
  }
  void function(const char *name, std::vector<VccLaunch> list) {
    launches.push_back(std::move(list));
    functions.push_back({name, launches.back().data(), launches.back().size()});
  }
};

VccBuffer io(uint64_t offset) { return {VCC_REGION_IO, 4, offset}; }
VccBuffer arena(uint64_t offset) { return {VCC_REGION_ARENA, 4, offset}; }
VccBuffer state(uint64_t offset) { return {VCC_REGION_STATE, 4, offset}; }
VccBuffer frozen(uint64_t offset) { return {VCC_REGION_WEIGHTS, 4, offset}; }

/// Where a stage keeps what.
struct Layout {
  VccBuffer weight, bias, offset, gradientW, gradientB, group, gradients, moments;
  int64_t elements, accumulate;
  bool trainsWeight;
};

std::vector<VccLaunch> forward(StageTables &t, const Layout &l) {
  return {t.launch(VCC_LAUNCH_GEMM, "model.predict", {io(X), l.weight, arena(Pred)},
                   {1, 1, R, 1, W, 0, 0, W, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, !l.trainsWeight}),
          t.launch(VCC_LAUNCH_KERNEL, "model.residual", {arena(Pred), io(Y), l.bias, l.offset, io(Rng), arena(Residual)}, {}, residual, R)};
}

void build(StageTables &t, const Layout &l) {
  auto micro = forward(t, l);
  micro.push_back(t.launch(VCC_LAUNCH_KERNEL, "loss", {arena(Residual), io(Loss), io(Term), l.gradientB}, {l.accumulate}, squares));
  if (l.trainsWeight)
    micro.push_back(t.launch(VCC_LAUNCH_GEMM, "model.weight", {io(X), arena(Residual), l.gradientW},
                             {1, 1, W, 1, R, 0, 0, 1, W, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0}));
  t.function("micro_main", micro);
  t.function("update", {t.launch(VCC_LAUNCH_KERNEL, "update", {l.group, l.gradients, l.moments, io(Index), io(Lr), io(Norm)},
                                 {l.elements, l.accumulate > 1}, update)});
  t.function("init", {t.launch(VCC_LAUNCH_KERNEL, "init", {io(Rng), l.weight}, {W, 1}, start),
                      t.launch(VCC_LAUNCH_KERNEL, "init", {io(Rng), l.bias}, {1, 2}, start),
                      t.launch(VCC_LAUNCH_KERNEL, "init", {io(Rng), l.offset}, {1, 3}, start)});
  auto evaluate = forward(t, l);
  evaluate.push_back(t.launch(VCC_LAUNCH_KERNEL, "score", {arena(Residual), io(Score)}, {}, score, R));
  t.function("evaluate_held", evaluate);
}

constexpr const char *Functions = R"([
 {"name":"micro_main","role":"micro","variant":"main","index":0,
  "inputs":[{"name":"x","dtype":"f32","shape":[8,4],"offset":0},{"name":"y","dtype":"f32","shape":[8],"offset":128},{"name":"rng","dtype":"i32","shape":[4],"offset":192}],
  "outputs":[{"name":"loss","dtype":"f32","shape":[],"offset":320},{"name":"loss.squares","dtype":"f32","shape":[],"offset":384}]},
 {"name":"update","role":"update","index":1,"inputs":[{"name":"step.index","dtype":"f32","shape":[],"offset":256}],
  "outputs":[{"name":"lr","dtype":"f32","shape":[],"offset":448},{"name":"grad_norm","dtype":"f32","shape":[],"offset":512}]},
 {"name":"init","role":"init","index":2,"inputs":[{"name":"rng","dtype":"i32","shape":[4],"offset":192}]},
 {"name":"evaluate_held","role":"evaluate","index":3,
  "inputs":[{"name":"x","dtype":"f32","shape":[8,4],"offset":0},{"name":"y","dtype":"f32","shape":[8],"offset":128},{"name":"rng","dtype":"i32","shape":[4],"offset":192}],
  "outputs":[{"name":"score","dtype":"f32","shape":[8],"offset":576}]}])";

constexpr const char *States[] = {R"([
 {"path":"model.weight","kind":"weight","shape":[4],"dtype":"f32","region":"state","offset":0,"trainable":true,"group":0,"gradient":{"region":"state","offset":128},"start":[{"init":true}]},
 {"path":"model.bias","kind":"weight","shape":[1],"dtype":"f32","region":"state","offset":64,"trainable":true,"group":0,"gradient":{"region":"state","offset":192},"start":[{"init":true}]},
 {"path":"shift.offset","kind":"weight","shape":[1],"dtype":"f32","region":"weights","offset":0,"start":[{"init":true}]},
 {"path":"group0:weight","kind":"weight","shape":[32],"dtype":"f32","region":"state","offset":0},
 {"path":"group0:gradient","kind":"gradient","shape":[32],"dtype":"f32","region":"state","offset":128},
 {"path":"group0:m","kind":"moment","shape":[32],"dtype":"f32","region":"state","offset":256}])",
                                  R"([
 {"path":"model.weight","kind":"weight","shape":[4],"dtype":"f32","region":"weights","offset":64,"start":[{"stage":"fit"}]},
 {"path":"model.bias","kind":"weight","shape":[1],"dtype":"f32","region":"state","offset":0,"trainable":true,"group":0,"gradient":{"region":"arena","offset":128},"start":[{"file":"bias.safetensors"},{"stage":"fit"}]},
 {"path":"shift.offset","kind":"weight","shape":[1],"dtype":"f32","region":"weights","offset":0,"start":[{"stage":"fit"}]},
 {"path":"group0:m","kind":"moment","shape":[16],"dtype":"f32","region":"state","offset":64}])"};

/// `text` with the first `from` replaced.
std::string with(std::string text, const std::string &from, const std::string &to) { return text.replace(text.find(from), from.size(), to); }

std::string scaledManifestText() {
  std::string states = with(States[0], "[", R"([
 {"path":"loss_scale:value","kind":"counter","shape":[1],"dtype":"f32","region":"state","offset":384},
 {"path":"loss_scale:good","kind":"counter","shape":[1],"dtype":"f32","region":"state","offset":448},)");
  std::string functions = with(Functions, R"("name":"grad_norm","dtype":"f32","shape":[],"offset":512})",
                               R"("name":"grad_norm","dtype":"f32","shape":[],"offset":512},
   {"name":"loss_scale","dtype":"f32","shape":[],"offset":640},{"name":"skipped","dtype":"f32","shape":[],"offset":704})");
  return fmt::format(R"({{"format":1,"recipe":"toy","vcc":"test","cpu":"x86-64","target":"cpu","features":["sse2"],"datasets":{{}},"stages":[
   {{"number":1,"name":"fit","precision":"fp16","loss_scale":{{"scale":65536,"growth":2,"backoff":0.5,"interval":5}},"steps":60,"accumulate":2,
    "regions":{{"weights":64,"state":512,"arena":192,"io":768}},"states":{},"functions":{},
    "batch":{{"main":{{"rows":8,"datasets":[],"fields":[]}}}},"save":{{"when":{{"steps":7}},"keep":2}},"log":{{"steps":20}}}}]}})",
                     states, functions);
}

std::string manifestText() {
  std::string batch = R"({"rows":8,"datasets":[],"fields":[]})";
  std::string text = R"({"format":1,"recipe":"toy","vcc":"test","cpu":"x86-64","target":"cpu","features":["sse2"],
    "datasets":{"held":{"file":"held.json","record":{}}},"stages":[)";
  text += fmt::format(R"({{"number":1,"name":"fit","steps":60,"accumulate":2,"regions":{{"weights":64,"state":384,"arena":192,"io":640}},
    "states":{},"functions":{},"batch":{{"main":{}}},"save":{{"when":{{"steps":7}},"keep":2}},"log":{{"steps":20}}}},)",
                      States[0], Functions, batch);
  text += fmt::format(R"({{"number":2,"name":"tune","epochs":0.5,"regions":{{"weights":128,"state":128,"arena":192,"io":640}},
    "states":{},"functions":{},"batch":{{"main":{}}},"save":{{"when":"end"}},
    "evaluate":[{{"name":"held","dataset":"held","group":"kind","batch":{}}}]}}]}})",
                      States[1], Functions, batch, batch);
  return text;
}

/// Whether a list of steps holds one.
bool environmentHas(const char *name, int64_t step) {
  const char *value = std::getenv(name);
  return value && (std::string_view(value) == "all" || fmt::format(",{},", value).find(fmt::format(",{},", step)) != std::string::npos);
}

int64_t environmentNumber(const char *name) {
  const char *value = std::getenv(name);
  return value ? std::atoll(value) : -1;
}

/// One row: inputs from the key, target from a fixed rule.
void makeRow(uint64_t key, float *x, float *y) {
  constexpr float Truth[W] = {1, -2, 3, 0.5f};
  *y = 0.7f;
  for (int64_t i = 0; i < W; ++i) {
    x[i] = 2 * uniform(key * 16 + uint64_t(i));
    *y += Truth[i] * x[i];
  }
}

class ToyBatches final : public BatchSource {
public:
  explicit ToyBatches(const DataOptions &options, int64_t accumulate) : Options(options), Accumulate(accumulate) {}
  int64_t samples() const override { return 160; }
  int64_t stepAt(double epochs) const override { return std::llround(epochs * 160 / double(R * Accumulate * Options.world)); }
  int micros(int64_t) const override { return int(Accumulate); }
  Micro micro(int64_t, int micro) override { return {"main", micro * R * Options.world, R}; }
  void fill(int64_t step, int micro, const HostTensors &destination, BatchReport &report) override {
    if (int64_t milliseconds = environmentNumber("TOY_SLEEP"); milliseconds > 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    if (step == environmentNumber("TOY_FAIL_AT"))
      throw Failure(Exit::Data, "clip `broken.mp4` of record 3 cannot be read");
    auto *x = as<float>(destination.at("x").data), *y = as<float>(destination.at("y").data);
    for (int64_t i = 0; i < R; ++i)
      makeRow(Options.seed * 1000003 + uint64_t((step * Accumulate + micro) * R + i), x + i * W, y + i);
    if (step == environmentNumber("TOY_NAN_AT"))
      y[3] = std::numeric_limits<float>::quiet_NaN();
    if (environmentHas("TOY_HUGE_AT", step))
      y[3] = 1e9f;
    report.samples = R, report.tokens = 2 * R;
  }

private:
  DataOptions Options;
  int64_t Accumulate;
};

/// Records with two candidates, the right target and one that is off by two; 9 records make a padded last batch.
class ToyEvaluation final : public EvaluationSource {
public:
  ToyEvaluation() {
    for (int64_t i = 0; i < Records; ++i)
      All.push_back({fmt::format("record {}", i), i % 2 ? "odd" : "even", 2, i % 2});
  }
  int64_t batches() const override { return (Records * 2 + R - 1) / R; }
  int64_t records() const override { return Records; }
  const EvaluationRecord &record(int64_t index) const override { return All[size_t(index)]; }
  void fill(int64_t batch, const HostTensors &destination, std::vector<EvaluationRow> &rows) override {
    for (int64_t i = 0; i < R; ++i) {
      int64_t row = batch * R + i, record = row / 2;
      rows.push_back(record < Records ? EvaluationRow{record, row % 2} : EvaluationRow{});
      auto *y = as<float>(destination.at("y").data) + i;
      makeRow(uint64_t(900000 + record), as<float>(destination.at("x").data) + i * W, y);
      if (record < Records && row % 2 != All[size_t(record)].answer)
        *y += 2;
    }
  }

private:
  static constexpr int64_t Records = 9;
  std::vector<EvaluationRecord> All;
};

} // namespace

const VccProgram &toyProgram() {
  static StageTables fit, tune;
  static std::string manifest = manifestText();
  static std::vector<VccStage> stages;
  static VccProgram program{};
  static const VccKernelName Kernels[] = {
      {residual, "residual"}, {squares, "squares"}, {update, "update"}, {start, "start"}, {score, "score"}};
  if (stages.empty()) {
    build(fit, {state(0), state(64), frozen(0), state(128), state(192), state(0), state(128), state(256), 32, 2, true});
    build(tune, {frozen(64), state(0), frozen(0), {}, arena(Gradient), state(0), arena(Gradient), state(64), 1, 1, false});
    stages.push_back({"fit", fit.functions.data(), fit.functions.size(), 64, 384, ArenaBytes, IoBytes, nullptr, 0});
    stages.push_back({"tune", tune.functions.data(), tune.functions.size(), 128, 128, ArenaBytes, IoBytes, nullptr, 0});
    program = {VCC_ABI_MAGIC, VCC_ABI_VERSION, manifest.data(), manifest.size(), stages.data(), stages.size(), Kernels, std::size(Kernels)};
  }
  return program;
}

const VccProgram &scaledToyProgram() {
  static StageTables fit;
  static std::string manifest = scaledManifestText();
  static VccStage stage{};
  static VccProgram program{};
  static const VccKernelName Kernels[] = {{residual, "residual"},         {scaledSquares, "squares"}, {scaledUpdate, "update"}, {start, "start"},
                                          {startScale, "start the scale"}, {score, "score"}};
  if (fit.functions.empty()) {
    Layout l{state(0), state(64), frozen(0), state(128), state(192), state(0), state(128), state(256), 32, 2, true};
    build(fit, l);
    std::vector<VccLaunch> &micro = fit.launches[0], &update = fit.launches[1], &init = fit.launches[2];
    micro[2] = fit.launch(VCC_LAUNCH_KERNEL, "loss", {arena(Residual), io(Loss), io(Term), l.gradientB, state(384)}, {l.accumulate}, scaledSquares);
    update[0] = fit.launch(VCC_LAUNCH_KERNEL, "update",
                           {l.group, l.gradients, l.moments, io(Index), io(Lr), io(Norm), state(384), state(448), io(Scale), io(Skipped)},
                           {l.elements}, scaledUpdate);
    init.push_back(fit.launch(VCC_LAUNCH_KERNEL, "init", {state(384)}, {}, startScale));
    fit.functions[2].launches = init.data(), fit.functions[2].launch_count = init.size();
    stage = {"fit", fit.functions.data(), fit.functions.size(), 64, 512, ArenaBytes, ScaledIoBytes, nullptr, 0};
    program = {VCC_ABI_MAGIC, VCC_ABI_VERSION, manifest.data(), manifest.size(), &stage, 1, Kernels, std::size(Kernels)};
  }
  return program;
}

Sources toySources() {
  return {[](const manifest::Manifest &, const manifest::Stage &stage, const DataOptions &options, report::Log &) {
            return std::make_unique<ToyBatches>(options, stage.accumulate);
          },
          [](const manifest::Manifest &, const manifest::Stage &, const manifest::Evaluation &, const DataOptions &,
             report::Log &) { return std::make_unique<ToyEvaluation>(); }};
}

} // namespace vcc::runtime::test
