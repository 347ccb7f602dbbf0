// SPDX-License-Identifier: Apache-2.0
//
// What a stage costs, read off its plan and its part of the manifest: parameters, operations, memory, and how long a step takes at least.
#ifndef VCC_COMPILER_PLAN_REPORT_H
#define VCC_COMPILER_PLAN_REPORT_H

#include "compiler/plan/Devices.h"
#include "dialects/exec/Exec.h"
#include "llvm/ADT/StringMap.h"

#include <map>
#include <nlohmann/json.hpp>

namespace vcc::plan {

using Json = nlohmann::ordered_json;

/// Floating-point operations of one component.
struct Work {
  int64_t forward = 0, backward = 0, update = 0;
  int64_t sum() const { return forward + backward + update; }
  void add(const Work &other, int64_t times);
};

/// Work by component, in the recipe's order. What belongs to none is the `loss`'s or the `optimizer`'s.
struct WorkTable {
  std::vector<std::pair<std::string, Work>> rows;
  Work &at(llvm::StringRef name);
  Work total() const;
  void add(const WorkTable &other, int64_t times);
};

/// The least that running something takes, in seconds; 0 where the device has no such units.
struct Bounds {
  double arithmetic = 0; ///< products at the peak of the matrix units, all else beside them at that of the plain ones
  double launches = 0;   ///< launch after launch, each at its arithmetic or at moving what it reads and writes
  void add(const Bounds &other, int64_t times);
};

/// By what matrix products are computed in.
struct Seconds {
  Bounds f32, tf32, bf16;
  void add(const Seconds &other, int64_t times);
};

/// A component of the model under its name in the recipe.
struct ComponentReport {
  std::string name, role;
  int64_t parameters = 0, trainable = 0;
};

/// A function of the plan, run once.
struct FunctionReport {
  std::string name, role, variant, branch; ///< role: micro, update, init, evaluate; branch: of the batch, that the variant is of
  int64_t rows = 0;                ///< samples of a micro-batch
  WorkTable work;
  int64_t products = 0, others = 0; ///< operations of library calls, which matrix units do, and of generated kernels
  int64_t arena = 0, live = 0;      ///< bytes: taken, and the largest sum alive at one time
  int64_t arenaBf16 = 0;            ///< taken by the plan in bf16
  int64_t scratch = 0;              ///< bytes of the arena that blocks of attention take, at their largest
  Seconds seconds;
};

/// Bytes on one device. `padding` is what lies between buffers, which begin at multiples of 64 bytes.
struct Memory {
  int64_t frozen = 0, trained = 0, gradients = 0, optimizer = 0, padding = 0;
  int64_t activations = 0, io = 0, constants = 0;
  int64_t sum() const;
};

/// A step of the optimizer: micro-batches of one variant, or as many of each branch, and the update.
struct StepReport {
  std::vector<std::string> variants; ///< of each branch the one with the most work
  int64_t micros = 0, samples = 0;
  WorkTable work;
  Seconds seconds;
};

struct StageReport {
  std::string name, precision;
  std::optional<int64_t> number, length; ///< length: in steps
  std::optional<double> epochs;
  int64_t accumulate = 1;
  std::string across;
  std::vector<ComponentReport> components;
  std::vector<FunctionReport> functions;
  std::vector<StepReport> steps;
  std::map<std::string, int64_t> sequences; ///< by packed field: how many samples of one length a row counts as in attention
  Memory f32, bf16;   ///< what the plans say, to the byte; of a stage in fp16 `bf16` is that type, here and in its functions
  int64_t packed = 0; ///< bytes of frozen matrices that the CPU's library may hold a second time, beside the regions

  ComponentReport total() const;
  const Memory &memory() const { return precision == "bf16" || precision == "fp16" ? bf16 : f32; }
  /// What the type of two bytes is called that the stage is planned in.
  const char *narrow() const { return precision == "fp16" ? "fp16" : "bf16"; }
};

/// `plan` and `narrow` are the stage's in f32 and in bf16 or fp16; `manifest` is its own object in the manifest, its functions included.
StageReport reportStage(exec::ModuleOp plan, exec::ModuleOp narrow, const Json &manifest, const Device &device);

/// The component that a launch's label begins with, or nothing.
llvm::StringRef componentOf(llvm::StringRef label, const std::vector<ComponentReport> &components);

struct ReportOptions {
  std::string recipe;
  Device device;
  int64_t count = 1; ///< of devices; each takes its share of the samples and holds all weights
};

Json toJson(llvm::ArrayRef<StageReport> stages, const ReportOptions &options);
void print(llvm::ArrayRef<StageReport> stages, const ReportOptions &options, llvm::raw_ostream &out);

} // namespace vcc::plan

#endif
