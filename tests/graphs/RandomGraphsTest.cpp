// SPDX-License-Identifier: Apache-2.0
//
// Random graphs over the whole registry against the interpreter: after every pass, as plans, and as machine code in this process.
//   VCC_SEED=n    the first graph's number (else drawn and printed); graph i has the number n + i
//   VCC_GRAPHS=n  how many (2000); VCC_NATIVE=0 leaves out machine code; VCC_TABLE=1 prints what was counted
//   VCC_GRAPH=f   checks the one graph of a file instead, as a failure prints it
//   VCC_PRINT=1   prints every graph before it is checked: for one that ends the process
#include "tests/Seed.h"
#include "tests/graphs/Check.h"
#include "tests/graphs/PassList.h"
#include "tests/graphs/Shrink.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>
#include <unistd.h>

using namespace vcc;
using namespace vcc::graphs;

namespace {

constexpr uint64_t DefaultGraphs = 2000, LeastCount = 20;
/// Graphs of one program: equal kernels are compiled once.
constexpr uint64_t BatchSize = 250;

uint64_t setting(const char *name, uint64_t otherwise) {
  const char *given = std::getenv(name);
  if (!given)
    return otherwise;
  uint64_t number = 0;
  if (llvm::StringRef(given).getAsInteger(10, number)) {
    std::fprintf(stderr, "%s must be a whole number from 0 but is `%s`\n", name, given);
    std::exit(2);
  }
  return number;
}

thread_local uint64_t current = 0;

/// A graph that ends the process is named on the way out.
void nameCurrent(int signal) {
  char text[128];
  int size = std::snprintf(text, sizeof text, "signal %d in a random graph: VCC_SEED=%llu VCC_GRAPHS=1 VCC_PRINT=1\n", signal,
                           static_cast<unsigned long long>(current));
  (void)!write(2, text, static_cast<size_t>(size));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

struct Session {
  uint64_t seed = 0, count = 0;
  bool native = true;
  std::atomic<uint64_t> next = 0;
  std::mutex lock;
  Counts counts;
  std::vector<std::string> failures;
};

std::string failureText(const Fault &fault, const Graph &graph, uint64_t number) {
  return "graph " + std::to_string(number) + ", " + fault.where + ": " + fault.what + "\n  repeat: VCC_SEED=" +
         std::to_string(number) + " VCC_GRAPHS=1 graphs_test\n  shrunk (VCC_GRAPH=<file with this text>):\n" + printGraph(graph);
}

void report(Session &run, const Fault &fault, const Graph &graph, uint64_t number) {
  {
    std::lock_guard guard(run.lock);
    run.failures.push_back("graph " + std::to_string(number) + ", " + fault.where + ": " + fault.what);
    if (run.failures.size() > 3)
      return;
  }
  Checker fresh; // counts of shrinking are not the run's
  bool native = fault.where == "native" || fault.where == "code generation";
  Graph small = shrink(graph, fresh.context(), [&](const Graph &candidate) {
    auto found = fresh.check(candidate, native);
    return found && found->where == fault.where;
  });
  auto found = fresh.check(small, native);
  std::string text = failureText(found ? *found : fault, small, number);
  std::lock_guard guard(run.lock);
  run.failures.push_back(text);
}

/// Takes batches until there are none, or enough has failed.
void work(Session &run) {
  Checker checker;
  for (uint64_t first; (first = run.next.fetch_add(BatchSize)) < run.count;) {
    std::vector<Prepared> batch;
    for (uint64_t i = first; i < std::min(first + BatchSize, run.count); ++i) {
      current = run.seed + i;
      Graph graph = makeGraph(current, checker.context());
      if (setting("VCC_PRINT", 0))
        std::printf("%s\n", printGraph(graph).c_str()), std::fflush(stdout);
      Prepared prepared;
      prepared.number = current;
      if (auto fault = checker.checkPasses(graph, prepared)) {
        if (fault->where == "too large")
          checker.counts.add("graphs left out");
        else
          report(run, *fault, graph, current);
        continue;
      }
      checker.counts.add("graphs");
      batch.push_back(std::move(prepared));
    }
    if (run.native)
      for (auto &[place, fault] : checker.checkNative(batch))
        report(run, fault, batch[place].graph, batch[place].number);
    std::lock_guard guard(run.lock);
    if (run.failures.size() > 20)
      break;
  }
  std::lock_guard guard(run.lock);
  run.counts.merge(checker.counts);
}

bool contains(const Graph &graph, const std::string &operation) {
  return graph.text.find(operation + " ") != std::string::npos;
}

} // namespace

TEST(Graphs, MeanTheSameAtEveryLevel) {
  for (int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL})
    std::signal(signal, nameCurrent);
  if (const char *file = std::getenv("VCC_GRAPH")) {
    std::stringstream text;
    text << std::ifstream(file).rdbuf();
    auto fault = Checker().check(readGraph(text.str()), setting("VCC_NATIVE", 1));
    EXPECT_FALSE(fault) << fault->where << ": " << fault->what;
    return;
  }
  Session run;
  run.seed = setting("VCC_SEED", vcc::test::chosenSeed());
  run.count = setting("VCC_GRAPHS", DefaultGraphs);
  run.native = setting("VCC_NATIVE", 1);
  std::printf("VCC_SEED=%llu VCC_GRAPHS=%llu\n", static_cast<unsigned long long>(run.seed),
              static_cast<unsigned long long>(run.count));
  std::fflush(stdout);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::min(std::thread::hardware_concurrency(), 2u); ++i)
    threads.emplace_back([&] { work(run); });
  for (std::thread &thread : threads)
    thread.join();
  SCOPED_TRACE("VCC_SEED=" + std::to_string(run.seed) + " VCC_GRAPHS=" + std::to_string(run.count));
  for (const std::string &failure : run.failures)
    ADD_FAILURE() << failure;
  Checker any;
  std::vector<std::string> names = Counts::expected(any.context());
  llvm::append_range(names, passesThatChange());
  if (setting("VCC_TABLE", 0))
    std::printf("%s", run.counts.table(names).c_str());
  std::printf("%llu graphs, %llu left out (a value or gradient above 1e6, or not finite in f32)\n",
              static_cast<unsigned long long>(run.counts.of("graphs")), static_cast<unsigned long long>(run.counts.of("graphs left out")));
  uint64_t beyond = run.counts.of("graphs beyond one run in f32"), wide = run.counts.of("graphs beyond the tolerance");
  std::printf("%llu of them in f64 further apart than 1e-12, though not than what a run in f32 is off, scaled\n", static_cast<unsigned long long>(wide));
  if (run.native)
    std::printf("%llu of them natively further from f64 than 4 times one run in f32, though not than 4 times the largest of five\n",
                static_cast<unsigned long long>(beyond));
  if (run.count < DefaultGraphs)
    return;
  EXPECT_LE(beyond, run.count / 100) << "the largest of five runs must not be what most graphs need";
  EXPECT_LE(wide, run.count / 100) << "the tolerance is what graphs are held to";
  EXPECT_GE(run.counts.of("graphs"), run.count - run.count / 100) << "too many graphs were left out";
  for (const std::string &name : names)
    EXPECT_GE(run.counts.of(name), LeastCount) << name << " occurred too rarely";
}

// The shrinker leaves of a graph what a broken check complains of, and nothing else.
TEST(Graphs, ShrinkToWhatFails) {
  auto context = makeContext();
  for (std::string operation : {"tg.attention", "tg.erf", "tg.concat", "tg.scatter_add"}) {
    uint64_t seed = 1;
    Graph graph = makeGraph(seed, *context);
    while (!contains(graph, operation) || countOperations(graph, *context) < 20)
      graph = makeGraph(++seed, *context);
    Graph small = shrink(graph, *context, [&](const Graph &candidate) { return contains(candidate, operation); });
    EXPECT_TRUE(contains(small, operation));
    EXPECT_LE(countOperations(small, *context), 8) << printGraph(small);
    EXPECT_LT(small.text.size(), graph.text.size() / 2);
    // What is printed is the graph.
    Graph again = readGraph(printGraph(small));
    EXPECT_EQ(again.states, small.states);
    EXPECT_EQ(again.inputs, small.inputs);
    EXPECT_FALSE(Checker().check(again, false)) << printGraph(small);
  }
}
