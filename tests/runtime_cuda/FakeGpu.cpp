// SPDX-License-Identifier: Apache-2.0
//
// The driver. A call that was made to fail does nothing, but that what it should give back is given back.
#include "tests/runtime_cuda/FakeGpu.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <sys/mman.h>

namespace vcc::runtime::cuda {

FakeGpu *FakeGpu::Now = nullptr;

namespace {

template <auto Method> struct DriverStub;
template <typename... A, Result (FakeGpu::*Method)(A...)>
struct DriverStub<Method> {
  static inline const char *Name = nullptr;
  static Result call(A... arguments) {
    Result fault = FakeGpu::Now->enter(Name);
    Result result = Success;
    bool givesBack = std::strstr(Name, "destroy") || std::strstr(Name, "free") || std::strstr(Name, "release") || std::strstr(Name, "unload");
    if (fault == Success || givesBack)
      result = (FakeGpu::Now->*Method)(arguments...);
    return fault == Success ? result : fault;
  }
};

template <auto Method> struct CollectiveStub;
template <typename... A, CollectiveResult (FakeGpu::*Method)(A...)>
struct CollectiveStub<Method> {
  static inline const char *Name = nullptr;
  static CollectiveResult call(A... arguments) {
    Result fault = FakeGpu::Now->enter(Name);
    CollectiveResult result = CollectiveSuccess;
    if (fault == Success || std::strstr(Name, "destroy") || std::strstr(Name, "abort") || std::strstr(Name, "endGroup"))
      result = (FakeGpu::Now->*Method)(arguments...);
    return fault == Success ? result : CollectiveSystemError;
  }
};

template <auto Method> struct ProductStub;
template <typename... A, ProductResult (FakeGpu::*Method)(A...)>
struct ProductStub<Method> {
  static inline const char *Name = nullptr;
  static ProductResult call(A... arguments) {
    Result fault = FakeGpu::Now->enter(Name);
    ProductResult result = ProductSuccess;
    if (fault == Success || std::strstr(Name, "destroy"))
      result = (FakeGpu::Now->*Method)(arguments...);
    return fault == Success ? result : ProductResult(14); // an internal error
  }
};

constexpr size_t Small = 1 << 16;

template <typename T>
uint64_t key(T handle) {
  return reinterpret_cast<uint64_t>(handle);
}

} // namespace

FakeGpu::FakeGpu() {
  Now = this;
#define VCC_STUB(MEMBER, SYMBOL, PARAMETERS)                                                                                    \
  DriverStub<&FakeGpu::MEMBER>::Name = #MEMBER;                                                                                 \
  Driver.MEMBER = DriverStub<&FakeGpu::MEMBER>::call;
  VCC_DRIVER_CALLS(VCC_STUB)
#undef VCC_STUB
#define VCC_STUB(MEMBER, SYMBOL, PARAMETERS)                                                                                    \
  ProductStub<&FakeGpu::product_##MEMBER>::Name = "product_" #MEMBER;                                                           \
  Library.MEMBER = ProductStub<&FakeGpu::product_##MEMBER>::call;
  VCC_PRODUCT_CALLS(VCC_STUB)
#undef VCC_STUB
  Library.version = [] { return size_t(130100); };
#define VCC_STUB(MEMBER, SYMBOL, PARAMETERS)                                                                                    \
  CollectiveStub<&FakeGpu::collective_##MEMBER>::Name = "collective_" #MEMBER;                                                  \
  Joiner.MEMBER = CollectiveStub<&FakeGpu::collective_##MEMBER>::call;
  VCC_COLLECTIVE_CALLS(VCC_STUB)
#undef VCC_STUB
  Joiner.version = [](int *version) { return *version = Now->collectiveVersion, CollectiveSuccess; };
  Joiner.errorText = [](CollectiveResult) { return "made to fail"; };
  Joiner.lastError = [](Communicator) { return "by the fake"; };
}

FakeGpu::~FakeGpu() { Now = nullptr; }

Result FakeGpu::enter(const char *call) {
  if (std::string(call).rfind("error", 0) == 0) // naming a fault is none
    return Success;
  calls.emplace_back(call);
  int64_t number = int64_t(calls.size()) - 1;
  if (number == failAt)
    failed = call;
  return failAt >= 0 && (number == failAt || (stays && number > failAt)) ? failWith : Success;
}

int64_t FakeGpu::countOf(const std::string &call) const { return std::count(calls.begin(), calls.end(), call); }

Result FakeGpu::drop(bool known) {
  Live -= known;
  return known ? Success : Result(400); // CUDA_ERROR_INVALID_HANDLE
}

Result FakeGpu::init(unsigned) { return count ? Success : NoDevice; }
Result FakeGpu::driverVersion(int *out) { return *out = version, Success; }
Result FakeGpu::deviceCount(int *out) { return *out = count, Success; }
Result FakeGpu::device(Ordinal *out, int ordinal) { return *out = opened = ordinal, ordinal < count ? Success : Result(101); }
Result FakeGpu::deviceName(char *name, int length, Ordinal) {
  return std::strncpy(name, this->name.c_str(), size_t(length)), Success;
}
Result FakeGpu::deviceAttribute(int *value, int attribute, Ordinal) {
  return *value = attribute == ComputeCapabilityMajor ? major : minor, Success;
}
Result FakeGpu::retainContext(Context *context, Ordinal) { return *context = handle<Context>(), Success; }
Result FakeGpu::releaseContext(Ordinal) { return drop(true); }
Result FakeGpu::setContext(Context) { return Success; }
Result FakeGpu::memoryInfo(size_t *left, size_t *total) { return *left = memory - Used, *total = memory, Success; }

Result FakeGpu::allocate(Address *address, size_t bytes) {
  if (bytes > memory - Used)
    return OutOfMemory;
  void *block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memset(block, 0xa5, std::min(bytes, Small)); // nobody may rely on zeros
  *address = reinterpret_cast<Address>(block);
  Blocks[*address] = bytes, Used += bytes, ++Live;
  return Success;
}
Result FakeGpu::free(Address address) {
  auto block = Blocks.find(address);
  if (block == Blocks.end())
    return drop(false);
  Used -= block->second;
  munmap(reinterpret_cast<void *>(address), block->second);
  Blocks.erase(block);
  return drop(true);
}
Result FakeGpu::allocateHost(void **pointer, size_t bytes, unsigned) {
  *pointer = std::malloc(bytes);
  Pinned[key(*pointer)] = bytes, ++Live;
  return Success;
}
Result FakeGpu::freeHost(void *pointer) {
  bool known = Pinned.erase(key(pointer));
  if (known)
    std::free(pointer);
  return drop(known);
}

/// Does what a stream was given, up to a number of things, and what these wait for.
void FakeGpu::advance(uint64_t stream, size_t count) {
  for (Line &line = Lines[stream]; line.done < count;) {
    Work work = std::exchange(line.work[line.done], {nullptr, {}, line.work[line.done].milliseconds});
    ++line.done;
    if (work.after.stream)
      advance(work.after.stream, work.after.count);
    if (work.act)
      work.act();
  }
}

Result FakeGpu::put(Stream stream, std::function<void()> act, double milliseconds) {
  auto found = Lines.find(key(stream));
  if (found == Lines.end())
    return Result(400);
  if (Line &line = found->second; line.capturing) {
    Capturing.nodes.push_back({std::move(act), milliseconds, key(stream), line.last});
    line.last = {Capturing.nodes.size() - 1};
    return Success;
  }
  found->second.work.push_back({std::move(act), {}, milliseconds});
  if (found->second.eager)
    advance(key(stream), found->second.work.size());
  return Success;
}

Result FakeGpu::copyToDevice(Address to, const void *from, size_t bytes, Stream stream) {
  return put(stream, [=] { std::memcpy(reinterpret_cast<void *>(to), from, bytes); });
}
Result FakeGpu::copyToHost(void *to, Address from, size_t bytes, Stream stream) {
  return put(stream, [=] { std::memcpy(to, reinterpret_cast<const void *>(from), bytes); });
}
Result FakeGpu::copyOnDevice(Address to, Address from, size_t bytes, Stream stream) {
  return put(stream, [=] { std::memcpy(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes); });
}
Result FakeGpu::fill(Address to, unsigned char byte, size_t bytes, Stream stream) {
  return put(stream, [=] {
    auto *begin = reinterpret_cast<char *>(to);
    size_t front = std::min(bytes, Small);
    std::memset(begin, byte, front);
    if (bytes == front)
      return;
    // Of a large block most is never used: its pages are given back, which clears them.
    auto *page = reinterpret_cast<char *>((key(begin + front) + 4095) / 4096 * 4096), *end = begin + bytes;
    auto *last = reinterpret_cast<char *>(key(end) / 4096 * 4096);
    std::memset(begin + front, byte, size_t(std::min(page, end) - begin - std::ptrdiff_t(front)));
    if (page < last && byte == 0 && madvise(page, size_t(last - page), MADV_DONTNEED) == 0)
      page = last;
    if (page < end)
      std::memset(page, byte, size_t(end - page));
  });
}

Result FakeGpu::createStream(Stream *stream, unsigned flags) {
  if (flags != StreamNonBlocking)
    return Result(1); // else it would wait for the legacy stream
  *stream = handle<Stream>();
  size_t number = std::min<size_t>(Lines.size(), 2);
  Lines[key(*stream)].eager = eager[number];
  return Success;
}
Result FakeGpu::destroyStream(Stream stream) { return drop(Lines.erase(key(stream))); }
Result FakeGpu::synchronizeStream(Stream stream) {
  auto found = Lines.find(key(stream));
  if (found == Lines.end() || found->second.capturing)
    return Result(found == Lines.end() ? 400 : 900);
  advance(key(stream), found->second.work.size());
  return Success;
}
Result FakeGpu::waitEvent(Stream stream, Event event, unsigned) {
  Line &line = Lines.at(key(stream));
  const Done &done = Events.at(key(event));
  if (done.captured != Capturing.origin && (done.captured || line.capturing))
    return Result(905); // CUDA_ERROR_STREAM_CAPTURE_ISOLATION
  if (done.captured) {
    line.capturing = true; // joins the capture
    line.last.insert(line.last.end(), done.nodes.begin(), done.nodes.end());
    return Success;
  }
  line.work.push_back({nullptr, done, 0});
  if (line.eager)
    advance(key(stream), line.work.size());
  return Success;
}
Result FakeGpu::createEvent(Event *event, unsigned flags) {
  *event = handle<Event>();
  Events[key(*event)];
  if (!(flags & EventDisableTiming))
    Timed.insert(key(*event));
  return Success;
}
Result FakeGpu::destroyEvent(Event event) { return drop(Events.erase(key(event))); }
Result FakeGpu::recordEvent(Event event, Stream stream) {
  const Line &line = Lines.at(key(stream));
  Done &done = Events.at(key(event));
  if (line.capturing)
    done = {key(stream), 0, Capturing.origin, line.last};
  else
    done = {key(stream), line.work.size()};
  return Success;
}
Result FakeGpu::recordTimer(Event event, Stream stream, unsigned flags) {
  Line &line = Lines.at(key(stream));
  if (line.capturing != (flags == EventRecordExternal) || !Timed.count(key(event)))
    return Result(1); // said to be captured where nothing is, or only ordering where it is
  if (!line.capturing)
    return recordEvent(event, stream);
  Capturing.nodes.push_back({[] {}, 0, key(stream), line.last, key(event)});
  line.last = {Capturing.nodes.size() - 1};
  return Success;
}
Result FakeGpu::synchronizeEvent(Event event) {
  Done done = Events.at(key(event));
  idle.push_back(!done.stream || Lines.at(done.stream).work.size() == done.count);
  if (done.stream)
    advance(done.stream, done.count);
  return Success;
}


/// A stream's clock is what its own work takes: waiting takes no time.
double FakeGpu::timeOf(const Done &done) {
  if (done.time >= 0)
    return done.time;
  const Line &line = Lines.at(done.stream);
  double sum = 0;
  for (size_t i = 0; i < done.count; ++i)
    sum += line.work[i].milliseconds;
  return sum;
}
Result FakeGpu::elapsed(float *milliseconds, Event begin, Event end) {
  Done first = Events.at(key(begin)), last = Events.at(key(end));
  if (!first.stream || first.stream != last.stream || !Timed.count(key(begin)) || !Timed.count(key(end)))
    return Result(400);
  if (Lines.at(last.stream).done < last.count)
    return NotReady;
  return *milliseconds = float(timeOf(last) - timeOf(first)), Success;
}

Result FakeGpu::loadModule(Module *module, const void *image, unsigned count, int *options, void **values) {
  const char *text = static_cast<const char *>(image);
  if (cubins != Success && (std::strcmp(text, "cubin") == 0 || std::strncmp(text, "\x7f" "ELF", 4) == 0))
    return cubins;
  char *log = nullptr;
  size_t bytes = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (options[i] == JitErrorLog)
      log = static_cast<char *>(values[i]);
    if (options[i] == JitErrorLogBytes)
      bytes = size_t(values[i]);
  }
  if (Result result = load ? load(text, log, bytes) : Success; result != Success)
    return result;
  return *module = handle<Module>(), Success;
}
Result FakeGpu::unloadModule(Module) { return drop(true); }
Result FakeGpu::kernel(Kernel *out, Module, const char *name) {
  auto found = kernels.find(name);
  if (found == kernels.end())
    return Result(500); // CUDA_ERROR_NOT_FOUND
  uint64_t number = Next++ << 8;
  Found[number] = &found->second;
  *out = reinterpret_cast<Kernel>(number);
  return Success;
}
Result FakeGpu::launch(Kernel kernel, unsigned gridX, unsigned, unsigned, unsigned blockX, unsigned, unsigned, unsigned, Stream stream,
                       void **parameters, void **) {
  if (!gridX || !blockX)
    return Result(1);
  const FakeKernel *called = Found.at(key(kernel));
  std::vector<uint64_t> words;
  for (size_t i = 0; i < called->words; ++i)
    words.push_back(*static_cast<uint64_t *>(parameters[i]));
  return put(stream, [called, words, gridX, blockX] { called->run(words.data(), gridX, blockX); });
}

Result FakeGpu::beginCapture(Stream stream, int) {
  Lines.at(key(stream)).capturing = true;
  Capturing = {key(stream), {}, false};
  return Success;
}
Result FakeGpu::endCapture(Stream stream, Graph *graph) {
  // What other streams were given must lie before what this one ends with.
  std::vector<bool> joined(Capturing.nodes.size());
  std::vector<size_t> open = Lines.at(key(stream)).last;
  while (!open.empty()) {
    size_t node = open.back();
    open.pop_back();
    if (joined[node])
      continue;
    joined[node] = true;
    open.insert(open.end(), Capturing.nodes[node].after.begin(), Capturing.nodes[node].after.end());
  }
  for (auto &[number, line] : Lines)
    line.capturing = false, line.last.clear();
  Captured whole = std::exchange(Capturing, {});
  if (whole.origin != key(stream) || std::count(joined.begin(), joined.end(), false))
    return Result(904); // CUDA_ERROR_STREAM_CAPTURE_UNJOINED
  *graph = handle<Graph>();
  Graphs[key(*graph)] = std::move(whole);
  return Success;
}
Result FakeGpu::instantiate(GraphExec *exec, Graph graph, unsigned long long) {
  *exec = handle<GraphExec>();
  Execs[key(*exec)] = Graphs.at(key(graph));
  return Success;
}
Result FakeGpu::destroyGraph(Graph graph) { return drop(Graphs.erase(key(graph))); }

/// In an order that the graph allows: what other streams gave as early as may be, or as late.
void FakeGpu::replay(const Captured &graph, bool early, Done at, double clock) {
  std::vector<bool> done(graph.nodes.size());
  auto isReady = [&](size_t node) {
    return !done[node] && std::all_of(graph.nodes[node].after.begin(), graph.nodes[node].after.end(), [&](size_t before) { return done[before]; });
  };
  for (size_t count = 0; count < graph.nodes.size(); ++count) {
    size_t chosen = graph.nodes.size();
    for (size_t node = 0; node < graph.nodes.size(); ++node) {
      bool wanted = (graph.nodes[node].stream != graph.origin) == early;
      if (isReady(node) && (chosen == graph.nodes.size() || (wanted && (graph.nodes[chosen].stream != graph.origin) != early)))
        chosen = node;
    }
    graph.nodes[chosen].act();
    clock += graph.nodes[chosen].milliseconds;
    if (at.time = clock; graph.nodes[chosen].timer)
      Events.at(graph.nodes[chosen].timer) = at;
    done[chosen] = true;
  }
}
Result FakeGpu::launchGraph(GraphExec exec, Stream stream) {
  const Captured &graph = Execs.at(key(exec));
  double milliseconds = 0;
  for (const Node &node : graph.nodes)
    milliseconds += node.milliseconds;
  Done here{key(stream), Lines.at(key(stream)).work.size()};
  double before = timeOf(here);
  ++here.count;
  return put(stream, [this, graph, here, before] { replay(graph, eager[2], here, before); }, milliseconds);
}
Result FakeGpu::destroyExec(GraphExec exec) { return drop(Execs.erase(key(exec))); }
Result FakeGpu::errorName(Result, const char **name) { return *name = "CUDA_ERROR_FAKE", Success; }
Result FakeGpu::errorText(Result, const char **text) { return *text = "made to fail", Success; }

} // namespace vcc::runtime::cuda
