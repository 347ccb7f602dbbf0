// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/cuda/AttentionPlan.h"

#include <fmt/format.h>

#include <algorithm>

namespace vcc::runtime::cuda {

namespace {

/// How many engines are looked at of what each way of asking gives.
constexpr int64_t MostEngines = 16;

/// What the library recommends, best first. There may be nothing.
std::vector<Part> recommended(const AttentionApi &api, const Part &graph, const AttentionPlace &place, HeuristicKind kind) {
  Part ask(api, PartHeuristic);
  ask.set(HeuristicGraph, graph).set(HeuristicMode, ValueHeuristic, kind);
  if (place.device)
    ask.set(HeuristicDevice, *place.device);
  ask.finish();
  std::vector<Part> choices;
  std::vector<GraphPart> values;
  for (int64_t i = 0; i < MostEngines; ++i)
    values.push_back(choices.emplace_back(api, PartEngineChoice).get());
  int64_t count = 0;
  checkAttention(api, api.getPart(ask.get(), HeuristicResults, ValuePart, MostEngines, &count, values.data()), "ask for engines");
  choices.erase(choices.begin() + std::clamp<int64_t>(count, 0, MostEngines), choices.end());
  return choices;
}

bool deterministic(const AttentionApi &api, const Part &choice) {
  Part engine(api, PartEngine);
  GraphPart value = engine.get();
  int64_t count = 0;
  checkAttention(api, api.getPart(choice.get(), ChoiceEngine, ValuePart, 1, &count, &value), "ask for an engine");
  EngineNote notes[NoteCount] = {};
  checkAttention(api, api.getPart(engine.get(), EngineNotes, ValueNote, NoteCount, &count, notes), "ask for an engine's notes");
  return std::none_of(notes, notes + std::clamp<int64_t>(count, 0, NoteCount), [](EngineNote note) { return note == NoteNotDeterministic; });
}

} // namespace

AttentionPlan::AttentionPlan(const AttentionApi &api, const AttentionShape &shape, const AttentionPlace &place, uint64_t mostWorkspace)
    : Graph(api, shape, place.handle), Chosen(api, PartPlan) {
  choose(api, place, mostWorkspace);
}

void AttentionPlan::choose(const AttentionApi &api, const AttentionPlace &place, uint64_t mostWorkspace) {
  int64_t offered = 0, changing = 0;
  uint64_t least = 0; // workspace of those that need too much
  std::string refused;
  AttentionResult reason = AttentionNotSupported;
  // What a machine lacks is told rather than that there was no engine.
  auto note = [&](const AttentionFault &fault) {
    if (fault.result / 1000 != AttentionNotSupported / 1000)
      throw fault;
    refused = fault.detail;
    if (fault.result == AttentionNoPrerequisite || fault.result == AttentionOldDriver || fault.result == AttentionOldRuntime)
      reason = fault.result;
  };
  for (HeuristicKind kind : {HeuristicBest, HeuristicFallback}) {
    std::vector<Part> choices;
    try {
      choices = recommended(api, Graph.graph(), place, kind);
    } catch (const AttentionFault &fault) {
      note(fault);
    }
    for (const Part &choice : choices) {
      ++offered;
      if (!deterministic(api, choice)) {
        ++changing;
        continue;
      }
      try {
        Part plan(api, PartPlan);
        plan.set(PlanChoice, choice);
        place.device ? plan.set(PlanDevice, *place.device) : plan.set(PlanHandle, ValueHandle, place.handle);
        plan.finish();
        int64_t count = 0, bytes = 0;
        checkAttention(api, api.getPart(plan.get(), PlanWorkspace, ValueInt64, 1, &count, &bytes), "ask for a plan's workspace");
        if (uint64_t(bytes) <= mostWorkspace) {
          Chosen = std::move(plan), Workspace = uint64_t(bytes);
          return;
        }
        least = least ? std::min(least, uint64_t(bytes)) : uint64_t(bytes);
      } catch (const AttentionFault &fault) {
        note(fault);
      }
    }
  }
  std::string why = offered ? fmt::format("of {} engines {} would not give the same bits every time", offered, changing) : "it has no engine for it";
  if (least)
    why += fmt::format(", and the least workspace of the others is {} bytes where the call may have {}", least, mostWorkspace);
  throw AttentionFault{reason, "find an engine", refused.empty() ? why : why + "; " + refused};
}

} // namespace vcc::runtime::cuda
