// SPDX-License-Identifier: Apache-2.0
//
// The ranks of a run. Everything that differs by rank, or is summed over ranks, goes through this. Every rank calls the
// same collectives in the same order; sums are made in the order of ranks, so that neither who comes first nor how a
// library cuts its messages changes a bit, and all ranks hold the same result.
#ifndef VCC_RUNTIME_COLLECTIVES_WORLD_H
#define VCC_RUNTIME_COLLECTIVES_WORLD_H

#include "runtime/collectives/Launched.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace vcc::runtime {

class World {
public:
  virtual ~World() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// `bytes` bytes of every rank under each other in `all`, rank 0 first.
  virtual void gather(const void *mine, void *all, size_t bytes) = 0;
  /// Part r of `parts` goes to rank r; part r of `received` comes from rank r. Each part has `bytes` bytes.
  virtual void exchange(const void *parts, void *received, size_t bytes) = 0;
  /// What rank 0 has.
  virtual void broadcast(void *data, size_t bytes) = 0;
  virtual void barrier() = 0;
  /// Ends all ranks with this exit code, whatever they are doing.
  [[noreturn]] virtual void abort(int code) = 0;

  bool isFirst() const { return rank() == 0; }
  /// Whether a launcher started ranks, be it one: devices then join them by a library of theirs.
  virtual bool isJoined() const { return size() > 1; }

  double sum(double value);
  void sum(double *values, int64_t count);
  void sum(float *values, int64_t count);
  /// Part `rank()` of the sum of all ranks' `parts`, each of `count` elements.
  void sumParts(const float *parts, float *mine, int64_t count);
  std::vector<std::string> gather(const std::string &mine);
  std::string broadcast(std::string text);

private:
  std::vector<float> Parts, Received, Part;
};

/// The world of one process.
std::unique_ptr<World> makeSingleWorld();

} // namespace vcc::runtime
#endif
