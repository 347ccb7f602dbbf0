// SPDX-License-Identifier: Apache-2.0
//
// The report for programs: all numbers in full.
#include "compiler/plan/Report.h"

namespace vcc::plan {

static Json toJson(const Work &work) {
  return {{"forward", work.forward}, {"backward", work.backward}, {"update", work.update}};
}

static Json toJson(const WorkTable &table) {
  Json made = Json::object();
  for (const auto &[name, work] : table.rows)
    made[name] = toJson(work);
  made["sum"] = toJson(table.total());
  return made;
}

static Json toJson(const Seconds &seconds) {
  Json made = Json::object();
  auto add = [&](const char *name, const Bounds &bounds) {
    if (bounds.arithmetic > 0 || bounds.launches > 0)
      made[name] = {{"arithmetic", bounds.arithmetic}, {"launches", bounds.launches}};
  };
  add("f32", seconds.f32);
  add("tf32", seconds.tf32);
  add("bf16", seconds.bf16);
  return made;
}

static Json toJson(const Memory &memory) {
  return {{"frozen", memory.frozen},       {"trained", memory.trained},
          {"gradients", memory.gradients}, {"optimizer", memory.optimizer}, {"padding", memory.padding},
          {"activations", memory.activations}, {"io", memory.io},           {"constants", memory.constants},
          {"sum", memory.sum()}};
}

static Json toJson(const FunctionReport &function) {
  Json made = {{"name", function.name}, {"role", function.role}};
  if (function.role == "micro") {
    made["variant"] = function.variant;
    made["branch"] = function.branch;
    made["rows"] = function.rows;
  }
  made["flops"] = toJson(function.work);
  made["products"] = function.products;
  made["others"] = function.others;
  made["arena"] = {{"f32", function.arena}, {"bf16", function.arenaBf16}, {"live", function.live}, {"scratch", function.scratch}};
  made["seconds"] = toJson(function.seconds);
  return made;
}

static Json toJson(const StepReport &step) {
  return {{"variants", step.variants},
          {"micros", step.micros},
          {"samples", step.samples},
          {"flops", toJson(step.work)},
          {"seconds", toJson(step.seconds)}};
}

static Json toJson(const StageReport &stage, const ReportOptions &options) {
  ComponentReport total = stage.total();
  Json made = {{"name", stage.name},
               {"number", stage.number ? Json(*stage.number) : Json(nullptr)},
               {"precision", stage.precision},
               {"length", stage.length ? Json(*stage.length) : Json(nullptr)},
               {"epochs", stage.epochs ? Json(*stage.epochs) : Json(nullptr)},
               {"accumulate", stage.accumulate},
               {"across", stage.across},
               {"parameters", total.parameters},
               {"trainable", total.trainable},
               {"components", Json::array()},
               {"functions", Json::array()},
               {"steps", Json::array()},
               {"memory", {{"f32", toJson(stage.f32)}, {"bf16", toJson(stage.bf16)}}},
               {"packed", stage.packed},
               {"sequences", stage.sequences},
               {"fits", stage.memory().sum() <= options.device.memory}};
  for (const ComponentReport &component : stage.components)
    made["components"].push_back({{"name", component.name},
                                  {"role", component.role},
                                  {"parameters", component.parameters},
                                  {"trainable", component.trainable}});
  for (const FunctionReport &function : stage.functions)
    made["functions"].push_back(toJson(function));
  for (const StepReport &step : stage.steps)
    made["steps"].push_back(toJson(step));
  return made;
}

Json toJson(llvm::ArrayRef<StageReport> stages, const ReportOptions &options) {
  const Device &device = options.device;
  Json made = {{"recipe", options.recipe},
               {"device",
                {{"name", device.name},
                 {"title", device.title},
                 {"memory", device.memory},
                 {"bandwidth", device.bandwidth},
                 {"f32", device.f32},
                 {"tf32", device.tf32},
                 {"bf16", device.bf16}}},
               {"count", options.count},
               {"stages", Json::array()}};
  for (const StageReport &stage : stages)
    made["stages"].push_back(toJson(stage, options));
  return made;
}

} // namespace vcc::plan
