// SPDX-License-Identifier: Apache-2.0
//
// StepOrder: closed forms for the number of steps, and one shuffled list an epoch.
#include "runtime/data/batches/StepOrder.h"
#include "runtime/data/batches/Draws.h"

#include <algorithm>
#include <cmath>

namespace vcc::runtime::data {

static int64_t ceilOf(int64_t count, int64_t by) { return (count + by - 1) / by; }

int64_t StepPlan::microOf(int64_t place) const {
  auto after = std::upper_bound(micros.begin(), micros.end(), place,
                                [](int64_t value, const MicroBatch &micro) { return value < micro.first; });
  return after - micros.begin() - 1;
}

StepOrder::StepOrder(std::vector<Branch> branches, StepRule rule, uint64_t seed)
    : Branches(std::move(branches)), Rule(rule), Seed(seed), Least(Branches.front().batches) {
  for (const Branch &branch : Branches) {
    All += branch.batches;
    Least = std::min(Least, branch.batches);
  }
}

int64_t StepOrder::runsBefore(int branch, int64_t epoch) const {
  int64_t count = Branches[static_cast<size_t>(branch)].batches;
  return Rule.carry ? epoch * count / Rule.accumulate : epoch * ceilOf(count, Rule.accumulate);
}

int64_t StepOrder::stepsBefore(int64_t epoch) const {
  if (Rule.across == Across::OneModality) {
    int64_t steps = 0;
    for (int b = 0; b < static_cast<int>(Branches.size()); ++b)
      steps += runsBefore(b, epoch);
    return steps;
  }
  int64_t batches = Rule.across == Across::Mixed ? All : Least;
  return Rule.carry ? epoch * batches / Rule.accumulate : epoch * ceilOf(batches, Rule.accumulate);
}

int64_t StepOrder::stepAt(double epochs) const {
  double whole = std::floor(epochs);
  int64_t epoch = static_cast<int64_t>(whole), before = stepsBefore(epoch);
  return before + std::llround((epochs - whole) * static_cast<double>(stepsBefore(epoch + 1) - before));
}

/// The names of an epoch in their order. Under OneModality an entry is a run; runs that are shorter
/// than the others come last.
std::shared_ptr<const StepOrder::List> StepOrder::list(int64_t epoch) const {
  std::lock_guard lock(Mutex);
  auto &known = Lists[epoch];
  if (known)
    return known;
  auto made = std::make_shared<List>(), late = std::make_shared<List>();
  for (uint32_t b = 0; b < Branches.size(); ++b) {
    int64_t count = Branches[b].batches;
    if (Rule.across == Across::OneModality) {
      bool shorter = !Rule.carry && count % Rule.accumulate;
      count = runsBefore(static_cast<int>(b), epoch + 1) - runsBefore(static_cast<int>(b), epoch);
      if (shorter)
        late->push_back({b, static_cast<uint32_t>(--count)});
    }
    for (int64_t i = 0; i < count; ++i)
      made->push_back({b, 0});
  }
  Draws draws(Seed, Purpose::Branches, static_cast<uint64_t>(epoch), made->size());
  for (size_t i = made->size(); i > 1; --i)
    std::swap((*made)[i - 1], (*made)[draws.below(i)]);
  std::vector<uint32_t> seen(Branches.size());
  for (Entry &entry : *made)
    entry.number = seen[entry.branch]++;
  made->insert(made->end(), late->begin(), late->end());
  constexpr size_t Kept = 3; // the epoch before, this one, the one that is being read ahead
  known = made;
  while (Lists.size() > Kept)
    Lists.erase(Lists.begin()->first == epoch ? std::prev(Lists.end()) : Lists.begin());
  return made;
}

StepOrder::Entry StepOrder::entry(int64_t epoch, int64_t position) const {
  if (Branches.size() == 1)
    return {0, static_cast<uint32_t>(position)};
  return (*list(epoch))[static_cast<size_t>(position)];
}

void StepOrder::add(StepPlan &plan, int branch, int64_t epoch, int64_t index) const {
  plan.micros.push_back({branch, epoch, index, plan.places});
  plan.places += Branches[static_cast<size_t>(branch)].places;
}

void StepOrder::mixed(StepPlan &plan, int64_t step) const {
  int64_t k = Rule.accumulate, perEpoch = ceilOf(All, k);
  for (int64_t i = 0; i < k; ++i) {
    int64_t epoch = step / perEpoch, position = step % perEpoch * k + i;
    if (Rule.carry)
      epoch = (step * k + i) / All, position = (step * k + i) % All;
    if (position >= All)
      break;
    Entry at = entry(epoch, position);
    add(plan, static_cast<int>(at.branch), epoch, at.number);
  }
}

void StepOrder::oneModality(StepPlan &plan, int64_t step) const {
  // Steps of an epoch are near step / mean; stepsBefore grows with the epoch.
  int64_t epoch = static_cast<int64_t>(static_cast<double>(step) * static_cast<double>(Rule.accumulate) / static_cast<double>(All));
  while (epoch > 0 && stepsBefore(epoch) > step)
    --epoch;
  while (stepsBefore(epoch + 1) <= step)
    ++epoch;
  Entry run = entry(epoch, step - stepsBefore(epoch));
  int branch = static_cast<int>(run.branch);
  int64_t count = Branches[run.branch].batches, k = Rule.accumulate;
  if (!Rule.carry) {
    for (int64_t index = run.number * k; index < std::min(count, (run.number + 1) * k); ++index)
      add(plan, branch, epoch, index);
    return;
  }
  int64_t first = (runsBefore(branch, epoch) + run.number) * k;
  for (int64_t number = first; number < first + k; ++number)
    add(plan, branch, number / count, number % count);
}

void StepOrder::everyModality(StepPlan &plan, int64_t step) const {
  int64_t k = Rule.accumulate, perEpoch = ceilOf(Least, k);
  for (int b = 0; b < static_cast<int>(Branches.size()); ++b)
    for (int64_t i = 0; i < k; ++i) {
      int64_t epoch = step / perEpoch, index = step % perEpoch * k + i;
      if (Rule.carry)
        epoch = (step * k + i) / Least, index = (step * k + i) % Least;
      if (index < Least)
        add(plan, b, epoch, index);
    }
}

std::shared_ptr<const StepPlan> StepOrder::plan(int64_t step) const {
  {
    std::lock_guard lock(Mutex);
    if (auto known = Plans.find(step); known != Plans.end())
      return known->second;
  }
  auto made = std::make_shared<StepPlan>();
  switch (Rule.across) {
  case Across::Mixed: mixed(*made, step); break;
  case Across::OneModality: oneModality(*made, step); break;
  case Across::EveryModality: everyModality(*made, step); break;
  }
  std::lock_guard lock(Mutex);
  constexpr size_t Kept = 16; // steps are read a few ahead of the one that is trained
  Plans[step] = made;
  while (Plans.size() > Kept)
    Plans.erase(Plans.begin()->first == step ? std::prev(Plans.end()) : Plans.begin());
  return made;
}

} // namespace vcc::runtime::data
