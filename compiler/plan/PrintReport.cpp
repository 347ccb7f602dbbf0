// SPDX-License-Identifier: Apache-2.0
//
// The report for people.
#include "compiler/plan/Report.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"

#include <iterator>

namespace vcc::plan {

namespace {

/// "395,301,376".
std::string grouped(int64_t number) {
  std::string digits = std::to_string(number), text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i && (digits.size() - i) % 3 == 0)
      text += ',';
    text += digits[i];
  }
  return text;
}

/// Three digits and a letter: "12.3 T".
std::string scaled(double number, const char *unit) {
  static constexpr const char *kLetters[] = {"", "k", "M", "G", "T", "P", "E"};
  size_t letter = 0;
  while (number >= 999.5 && letter + 1 < std::size(kLetters)) {
    number /= 1000;
    ++letter;
  }
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format(number >= 99.95 ? "%.0f" : number >= 9.995 ? "%.1f" : "%.2f", number) << " "
                                 << kLetters[letter] << unit;
  return text;
}

std::string gibibytes(int64_t bytes) {
  std::string text;
  bool large = bytes >= int64_t(1) << 30;
  llvm::raw_string_ostream(text) << llvm::format(
      large ? "%.2f GiB" : "%.2f MiB", static_cast<double>(bytes) / static_cast<double>(int64_t(1) << (large ? 30 : 20)));
  return text;
}

std::string duration(double seconds) {
  std::string text;
  llvm::raw_string_ostream out(text);
  if (seconds <= 0)
    out << "-";
  else if (seconds < 1e-3)
    out << llvm::format("%.1f us", seconds * 1e6);
  else if (seconds < 1)
    out << llvm::format("%.2f ms", seconds * 1e3);
  else
    out << llvm::format("%.2f s", seconds);
  return text;
}

class Printer {
public:
  Printer(const ReportOptions &options, llvm::raw_ostream &out) : options(options), out(out) {}

  void head() {
    const Device &device = options.device;
    out << "plan of " << options.recipe << " on " << options.count << " x " << device.title << " (" << gibibytes(device.memory)
        << ", " << scaled(device.bandwidth, "B/s") << "; f32 " << scaled(device.f32, "FLOP/s");
    if (device.tf32 > 0)
      out << ", tf32 " << scaled(device.tf32, "FLOP/s");
    if (device.bf16 > 0)
      out << ", bf16 and fp16 " << scaled(device.bf16, "FLOP/s");
    out << ")\n";
  }

  void stage(const StageReport &stage) {
    out << "\nstage ";
    if (stage.number)
      out << *stage.number << " ";
    out << "\"" << stage.name << "\", " << stage.precision;
    if (stage.length)
      out << ", " << grouped(*stage.length) << (*stage.length == 1 ? " step" : " steps");
    if (stage.epochs)
      out << ", " << llvm::format("%g", *stage.epochs) << (*stage.epochs == 1 ? " epoch" : " epochs");
    out << "\n";
    for (const auto &[field, count] : stage.sequences)
      out << "  attention over rows of `" << field << "` is counted as over " << count << " samples of one length that fill them\n";
    for (const StepReport &step : stage.steps)
      work(stage, step);
    memory(stage);
    functions(stage);
  }

private:
  static constexpr unsigned kNames = 18, kLines = 32;

  void cells(llvm::StringRef first, unsigned width, llvm::ArrayRef<std::string> rest, unsigned each) {
    out << "  " << llvm::left_justify(first, width);
    for (const std::string &cell : rest)
      out << llvm::right_justify(cell, each);
    out << "\n";
  }

  void work(const StageReport &stage, const StepReport &step) {
    out << "\n  a step of " << step.micros << (step.micros == 1 ? " micro-batch" : " micro-batches");
    if (stage.steps.size() > 1 || step.variants.size() > 1)
      out << " of " << llvm::join(step.variants, ", ");
    out << ", " << step.samples << " samples on a device, " << grouped(step.samples * options.count) << " in all\n";
    cells("component", kNames, {"parameters", "trainable", "forward", "backward", "update"}, 18);
    for (const auto &[name, done] : step.work.rows)
      row(name, component(stage, name), done);
    row("sum", stage.total(), step.work.total());
    Work total = step.work.total();
    out << "  " << scaled(double(total.sum()), "FLOP") << " on a device, "
        << scaled(double(total.sum()) * double(options.count), "FLOP") << " in all\n";
    cells("a step takes at least", kLines, {"f32", "tf32", stage.narrow()}, 18);
    bounds("its arithmetic at the peak", step.seconds, &Bounds::arithmetic);
    bounds("launch by launch", step.seconds, &Bounds::launches);
  }

  static ComponentReport component(const StageReport &stage, llvm::StringRef name) {
    for (const ComponentReport &component : stage.components)
      if (component.name == name)
        return component;
    return {};
  }

  void row(llvm::StringRef name, const ComponentReport &component, const Work &work) {
    auto flops = [](int64_t number) { return number ? scaled(double(number), "FLOP") : std::string("-"); };
    auto count = [](int64_t number) { return number ? grouped(number) : std::string("-"); };
    cells(name, kNames,
          {count(component.parameters), count(component.trainable), flops(work.forward), flops(work.backward), flops(work.update)},
          18);
  }

  void bounds(const char *what, const Seconds &seconds, double Bounds::*member) {
    cells(what, kLines, {duration(seconds.f32.*member), duration(seconds.tf32.*member), duration(seconds.bf16.*member)}, 18);
  }

  void memory(const StageReport &stage) {
    out << "\n";
    cells("bytes on a device", kLines, {"f32", stage.narrow()}, 18);
    line("frozen weights", stage.f32.frozen, stage.bf16.frozen);
    line("trained weights", stage.f32.trained, stage.bf16.trained);
    line("gradients", stage.f32.gradients, stage.bf16.gradients);
    line("optimizer", stage.f32.optimizer, stage.bf16.optimizer);
    line("padding of these", stage.f32.padding, stage.bf16.padding);
    line("activations and scratch", stage.f32.activations, stage.bf16.activations);
    line("inputs and outputs", stage.f32.io, stage.bf16.io);
    line("constants", stage.f32.constants, stage.bf16.constants);
    line("sum", stage.f32.sum(), stage.bf16.sum());
    bool fits = stage.memory().sum() <= options.device.memory;
    out << "  " << stage.precision << " " << (fits ? "fits" : "does not fit") << ": " << gibibytes(stage.memory().sum()) << " of "
        << gibibytes(options.device.memory) << "\n";
    if (stage.packed && options.device.name == "cpu")
      out << "  beside it the library's copies of frozen matrices: about " << grouped(stage.packed) << "\n";
    if (options.count > 1)
      out << "  gradients that the devices add up in each step: " << grouped(stage.f32.gradients) << " bytes on each\n";
  }

  void line(const char *what, int64_t wide, int64_t narrow) {
    if (wide || narrow)
      cells(what, kLines, {grouped(wide), grouped(narrow)}, 18);
  }

  void functions(const StageReport &stage) {
    out << "\n";
    cells("function, once", kLines, {"operations", "arena, f32", std::string("arena, ") + stage.narrow(), "alive at once", "scratch"}, 18);
    for (const FunctionReport &function : stage.functions)
      cells(function.name, kLines,
            {scaled(double(function.work.total().sum()), "FLOP"), grouped(function.arena), grouped(function.arenaBf16),
             grouped(function.live), grouped(function.scratch)},
            18);
  }

  const ReportOptions &options;
  llvm::raw_ostream &out;
};

} // namespace

void print(llvm::ArrayRef<StageReport> stages, const ReportOptions &options, llvm::raw_ostream &out) {
  Printer printer(options, out);
  printer.head();
  for (const StageReport &stage : stages)
    printer.stage(stage);
  out << "\nTimes are bounds from below: no device reaches its peaks. Bytes are the plans' own; in two bytes copies of trained\n"
         "weights are among the activations.\n";
}

} // namespace vcc::plan
