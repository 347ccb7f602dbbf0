// SPDX-License-Identifier: Apache-2.0
//
// World over MPI's collectives. Only the thread that made it calls MPI. Faults of MPI itself end all ranks, which is its
// default.
#include "runtime/collectives/mpi/Mpi.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>
#define OMPI_SKIP_MPICXX 1 // MPI's old C++ interface would need a library of its own
#include <mpi.h>

#include <climits>
#include <cstdlib>

namespace vcc::runtime {

namespace {

class Mpi final : public World {
public:
  Mpi() {
    MPI_Comm_rank(MPI_COMM_WORLD, &Rank);
    MPI_Comm_size(MPI_COMM_WORLD, &Size);
  }
  ~Mpi() override { MPI_Finalize(); }
  int rank() const override { return Rank; }
  int size() const override { return Size; }
  void gather(const void *mine, void *all, size_t bytes) override {
    MPI_Allgather(mine, counted(bytes), MPI_BYTE, all, counted(bytes), MPI_BYTE, MPI_COMM_WORLD);
  }
  void exchange(const void *parts, void *received, size_t bytes) override {
    MPI_Alltoall(parts, counted(bytes), MPI_BYTE, received, counted(bytes), MPI_BYTE, MPI_COMM_WORLD);
  }
  void broadcast(void *data, size_t bytes) override { MPI_Bcast(data, counted(bytes), MPI_BYTE, 0, MPI_COMM_WORLD); }
  void barrier() override { MPI_Barrier(MPI_COMM_WORLD); }
  [[noreturn]] void abort(int code) override {
    MPI_Abort(MPI_COMM_WORLD, code);
    std::_Exit(code);
  }

private:
  static int counted(size_t bytes) {
    if (bytes > INT_MAX)
      throw Failure(Exit::Internal, fmt::format("{} bytes of a rank are more than MPI counts", bytes));
    return int(bytes);
  }
  int Rank = 0, Size = 1;
};

} // namespace

std::unique_ptr<World> makeMpiWorld() {
  Launched launched = launchedRanks();
  if (!launched.byMpi && launched.size > 1)
    throw Failure(Exit::Usage, fmt::format("{} ranks were started without MPI, by which programs for the CPU find each other", launched.size),
                  "start them by mpirun, or by srun with `--mpi=pmix`");
  if (!launched.byMpi)
    return makeSingleWorld();
  int given = MPI_THREAD_SINGLE;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &given);
  auto world = std::make_unique<Mpi>();
  if (given < MPI_THREAD_FUNNELED)
    throw Failure(Exit::Machine, "this MPI library does not allow threads beside the one that calls it");
  return world;
}

} // namespace vcc::runtime
