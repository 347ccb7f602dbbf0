// SPDX-License-Identifier: Apache-2.0
//
// The ranks of a run. Everything that differs by rank, or is summed over ranks, goes through this.
#ifndef VCC_RUNTIME_COLLECTIVES_WORLD_H
#define VCC_RUNTIME_COLLECTIVES_WORLD_H

#include <memory>

namespace vcc::runtime {

class World {
public:
  virtual ~World() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Adds a number of every rank; the same result on all, whatever their order of arrival.
  virtual double sum(double value) = 0;
  virtual void barrier() = 0;
};

/// The world of one process.
std::unique_ptr<World> makeSingleWorld();

} // namespace vcc::runtime
#endif
