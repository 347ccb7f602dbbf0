// SPDX-License-Identifier: Apache-2.0
#include "runtime/collectives/Launched.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <initializer_list>

#include <unistd.h>

namespace vcc::runtime {

static bool readNumber(const char *name, int &number) {
  const char *text = std::getenv(name);
  if (!text || !*text)
    return false;
  char *end = nullptr;
  long value = std::strtol(text, &end, 10);
  if (*end || value < 0 || value > 1 << 24)
    return false;
  number = int(value);
  return true;
}

static std::string textOf(const char *name) {
  const char *text = std::getenv(name);
  return text ? text : "";
}

static void readLocal(Launched &found) {
  for (const char *name : {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID", "LOCAL_RANK"})
    if (readNumber(name, found.local))
      return;
}

/// RANK or WORLD_SIZE alone, where it says that others are meant: a run of its own would be a quiet mistake.
static void refuseHalf(const char *rank, const char *size) {
  int number = 0;
  bool several = readNumber(size, number) && number > 1;
  if (!several && !(readNumber(rank, number) && number > 0))
    return;
  const char *given = several ? size : rank, *missing = several ? rank : size;
  throw Failure(Exit::Usage, fmt::format("{} is {}, but {} {}", given, number, missing, std::getenv(missing) ? "is no number" : "is not set"),
                fmt::format("start all ranks by one launcher, or take {} out of the environment for a single one", given));
}

Launched launchedRanks() {
  Launched found;
  // Open MPI's mpirun; MPICH's and srun with PMI; srun with PMIx, which tells no size.
  for (auto [rank, size] : {std::pair{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, std::pair{"PMI_RANK", "PMI_SIZE"},
                            std::pair{"PMIX_RANK", "SLURM_STEP_NUM_TASKS"}})
    if (readNumber(rank, found.rank)) {
      found.byLauncher = found.byMpi = true;
      readNumber(size, found.size);
      readLocal(found);
      return found;
    }
  // srun alone; torchrun. A batch script has a rank as well, but no step that several tasks belong to.
  for (auto [rank, size] : {std::pair{"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}, std::pair{"RANK", "WORLD_SIZE"}}) {
    Launched other;
    if (readNumber(rank, other.rank) && readNumber(size, other.size)) {
      if (other.rank >= other.size) // alone it would train as if nobody else were meant
        throw Failure(Exit::Usage, fmt::format("{} is {}, but {} is {}: ranks count from 0", rank, other.rank, size, other.size),
                      fmt::format("start all ranks by one launcher, or take {} and {} out of the environment for a single one", rank, size));
      other.byLauncher = true;
      readLocal(other);
      return other;
    }
  }
  refuseHalf("RANK", "WORLD_SIZE");
  return found;
}

std::string firstOfNodes(const std::string &list) {
  size_t end = list.find_first_of(",[");
  std::string name = list.substr(0, end);
  if (end == std::string::npos || list[end] == ',')
    return name;
  size_t number = list.find_first_of(",-]", end);
  return number == std::string::npos ? name : name + list.substr(end + 1, number - end - 1);
}

/// Of the ports that nobody is given by chance, one that another run on this machine hardly takes.
static int portOf(const std::string &run) {
  uint32_t hash = 2166136261u;
  for (char letter : run)
    hash = (hash ^ uint32_t(static_cast<unsigned char>(letter))) * 16777619u;
  return int(20000 + hash % 12000);
}

Meeting meetingPlace() {
  Meeting place;
  place.host = textOf("MASTER_ADDR");
  std::string nodes = textOf("SLURM_STEP_NODELIST"), run = textOf("SLURM_JOB_ID") + "." + textOf("SLURM_STEP_ID");
  int size = launchedRanks().size, here = 0;
  bool together = size == 1;
  for (const char *name : {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "LOCAL_WORLD_SIZE"})
    together |= readNumber(name, here) && here == size;
  if (nodes.empty())
    run = std::to_string(getppid()); // all ranks of a machine are its launcher's
  if (place.host.empty() && together)
    place.host = "127.0.0.1";
  if (place.host.empty())
    place.host = firstOfNodes(nodes);
  if (place.host.empty())
    throw Failure(Exit::Usage, "nothing says which machine rank 0 runs on, where the ranks meet",
                  "set MASTER_ADDR to its name, and MASTER_PORT to a free port, for all ranks (mpirun: `-x MASTER_ADDR=.. -x MASTER_PORT=..`)");
  if (!readNumber("MASTER_PORT", place.port)) {
    if (!together && nodes.empty())
      throw Failure(Exit::Usage, "MASTER_ADDR says where the ranks meet, but nothing at which port", "set MASTER_PORT to a port that is free there");
    place.port = portOf(run);
  } else if (!textOf("TORCHELASTIC_RUN_ID").empty()) {
    ++place.port; // torchrun itself listens at this one
  }
  return place;
}

} // namespace vcc::runtime
