// SPDX-License-Identifier: Apache-2.0
//
// Which micro-batches make up a step. Every branch of the batch gives floor(samples / places) of them
// an epoch; a list of the branches' names, shuffled for each epoch by the seed alone, says in which
// order, and so does for every rank. Any step is known without the steps before it.
#ifndef VCC_RUNTIME_DATA_BATCHES_STEPORDER_H
#define VCC_RUNTIME_DATA_BATCHES_STEPORDER_H

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace vcc::runtime::data {

enum class Across { Mixed, OneModality, EveryModality };

/// What a step holds of its branches, and what becomes of an epoch's rest.
struct StepRule {
  int64_t accumulate = 1;
  Across across = Across::Mixed;
  bool carry = false; // the rest goes into the next epoch; else it is a shorter step
};

struct MicroBatch {
  int branch = 0;
  int64_t epoch = 0, index = 0; // the micro-batch `index` of that epoch of the branch
  int64_t first = 0;            // places of the step before it
};

struct StepPlan {
  std::vector<MicroBatch> micros;
  int64_t places = 0;
  /// The micro-batch that a place of the step lies in.
  int64_t microOf(int64_t place) const;
};

class StepOrder {
public:
  struct Branch {
    int64_t batches; // micro-batches an epoch, at least one
    int64_t places;  // samples of a micro-batch, over all ranks
  };
  StepOrder(std::vector<Branch> branches, StepRule rule, uint64_t seed);

  std::shared_ptr<const StepPlan> plan(int64_t step) const;
  /// Steps that are over when `epochs` epochs are; within an epoch in proportion.
  int64_t stepAt(double epochs) const;

private:
  /// One entry of an epoch's list: a branch and its number there, of a micro-batch or of a run.
  struct Entry {
    uint32_t branch, number;
  };
  using List = std::vector<Entry>;

  int64_t stepsBefore(int64_t epoch) const;
  int64_t runsBefore(int branch, int64_t epoch) const;
  std::shared_ptr<const List> list(int64_t epoch) const;
  Entry entry(int64_t epoch, int64_t position) const;
  void add(StepPlan &plan, int branch, int64_t epoch, int64_t index) const;
  void mixed(StepPlan &plan, int64_t step) const;
  void oneModality(StepPlan &plan, int64_t step) const;
  void everyModality(StepPlan &plan, int64_t step) const;

  const std::vector<Branch> Branches;
  const StepRule Rule;
  const uint64_t Seed;
  int64_t All = 0, Least; // micro-batches an epoch: of all branches, of the shortest
  mutable std::mutex Mutex;
  mutable std::map<int64_t, std::shared_ptr<const List>> Lists;
  mutable std::map<int64_t, std::shared_ptr<const StepPlan>> Plans;
};

} // namespace vcc::runtime::data
#endif
