// SPDX-License-Identifier: Apache-2.0
#include "tests/ptx/Machine.h"

#include "tests/ptx/Translate.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>

namespace vcc::ptx {

namespace fs = std::filesystem;

static constexpr uint32_t WarpSize = 32;

Machine::Machine() {
  std::string pattern = (fs::temp_directory_path() / "vcc-ptx-XXXXXX").string();
  if (!mkdtemp(pattern.data()))
    throw std::runtime_error("no folder can be made under " + fs::temp_directory_path().string());
  Folder = pattern;
}
Machine::~Machine() {
  std::error_code code;
  fs::remove_all(Folder, code);
}

/// The shared object of it, compiled into a folder unless it is there.
static std::string compiled(const std::string &folder, const std::string &text) {
  std::string base = fmt::format("{}/{:016x}", folder, std::hash<std::string>()(text));
  if (fs::exists(base + ".so"))
    return base + ".so";
  std::string own = fmt::format("{}.{}", base, getpid()); // processes may share the folder
  std::ofstream(own + ".cpp") << text;
  // Nothing is contracted, and what is written as fused is.
  std::string command = fmt::format("{} -std=c++20 -O1 -march=native -ffp-contract=off -fPIC -shared -w -I '{}' -o '{}.so' '{}.cpp' 2> '{}.log'", VCC_PTX_COMPILER,
                                    VCC_PTX_INCLUDE, own, own, own);
  if (std::system(command.c_str()) != 0) {
    std::stringstream log;
    log << std::ifstream(own + ".log").rdbuf();
    throw std::runtime_error("what was made of PTX does not compile: " + log.str().substr(0, 2000));
  }
  fs::rename(own + ".so", base + ".so");
  fs::remove(own + ".cpp");
  fs::remove(own + ".log");
  return base + ".so";
}

std::vector<const Entry *> Machine::load(const std::string &ptx) {
  const char *kept = std::getenv("VCC_PTX_CACHE");
  std::string path = compiled(kept && *kept ? kept : Folder, translate(read(ptx)));
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw std::runtime_error(dlerror());
  for (auto *table = static_cast<const Table *>(dlsym(library, "vcc_ptx_tables")); table->begin; ++table)
    Tables.push_back({reinterpret_cast<uint64_t>(table->begin), reinterpret_cast<uint64_t>(table->begin + table->bytes)});
  std::vector<const Entry *> entries;
  for (auto *entry = static_cast<const Entry *>(dlsym(library, "vcc_ptx_entries")); entry->name; ++entry)
    entries.push_back(entry);
  return entries;
}

/// A warp goes on until all of it waits for the block or has ended; in a shuffle it takes part whole.
static void advance(Block &block, uint32_t first) {
  using Lane = Block::Lane;
  Lane *lanes = &block.lanes[first];
  uint32_t count = std::min(WarpSize, block.threads - first);
  for (;;) {
    uint32_t shuffling = 0;
    for (uint32_t i = 0; i < count; ++i) {
      if (lanes[i].state == Lane::Ready)
        lanes[i].handle.resume();
      shuffling += lanes[i].state == Lane::AtShuffle;
    }
    if (!shuffling)
      return;
    if (shuffling != WarpSize)
      throw Fault{Fault::Failed, fmt::format("a shuffle of {} threads of a warp, where all 32 were named", shuffling)};
    uint32_t values[WarpSize];
    for (uint32_t i = 0; i < WarpSize; ++i)
      values[i] = lanes[i].value;
    for (uint32_t i = 0; i < WarpSize; ++i) {
      if (lanes[i].partner != lanes[0].partner || lanes[i].partner >= WarpSize)
        throw Fault{Fault::Failed, "a shuffle whose threads ask for different partners"};
      lanes[i].value = values[i ^ lanes[i].partner];
      lanes[i].state = Lane::Ready;
    }
  }
}

void Machine::meet(const Entry &entry, Block &block) {
  using Lane = Block::Lane;
  block.lanes.assign(block.threads, {});
  std::vector<Thread> threads;
  threads.reserve(block.threads);
  for (uint32_t thread = 0; thread < block.threads; ++thread)
    threads.push_back(entry.waiting(block, thread));
  for (;;) {
    for (uint32_t first = 0; first < block.threads; first += WarpSize)
      advance(block, first);
    auto ended = std::count_if(block.lanes.begin(), block.lanes.end(), [](const Lane &lane) { return lane.state == Lane::Ended; });
    if (size_t(ended) == block.lanes.size())
      return;
    for (Lane &lane : block.lanes) {
      if (lane.state != Lane::AtBarrier || lane.barrier != block.lanes[0].barrier)
        throw Fault{Fault::Failed, fmt::format("a barrier that {} threads of {} never reach", ended, block.threads)};
      lane.state = Lane::Ready;
    }
  }
}

void Machine::run(const Entry &entry, uint32_t blocks, uint32_t threads, const uint64_t *parameters, const std::vector<Span> &memory) {
  if (threads > entry.threads || threads > 1024 || entry.sharedBytes > 48 * 1024)
    throw Fault{Fault::Failed, fmt::format("`{}` is launched with {} threads and {} bytes of a block's memory", entry.name, threads, entry.sharedBytes)};
  std::vector<Span> all = memory;
  all.insert(all.end(), Tables.begin(), Tables.end());
  Shared.resize(entry.sharedBytes + 16);
  uint64_t begin = (reinterpret_cast<uint64_t>(Shared.data()) + 15) / 16 * 16;
  Block block{0, blocks, threads, parameters, &all, {begin, begin + entry.sharedBytes}};
  try {
    for (; block.number < blocks; ++block.number) {
      std::fill(Shared.begin(), Shared.end(), '\xa5'); // nobody may rely on what another block left
      if (entry.waiting)
        meet(entry, block);
      else
        for (uint32_t thread = 0; thread < threads; ++thread)
          entry.straight(block, thread);
    }
  } catch (Fault &fault) {
    fault.why = fmt::format("{}, block {} of {}: {}", entry.name, block.number, blocks, fault.why);
    throw;
  }
}

} // namespace vcc::ptx
