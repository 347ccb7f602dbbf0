// SPDX-License-Identifier: Apache-2.0
//
// The plan as a table for people (`vcc compile --emit=plan`).
#include "compiler/schedule/ArenaPacking.h"
#include "compiler/schedule/Passes.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::schedule;

namespace {

std::string human(int64_t bytes) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (bytes < 10 * 1024)
    stream << bytes << " B";
  else if (bytes < 10 * 1024 * 1024)
    stream << llvm::format("%.1f kB", static_cast<double>(bytes) / 1024);
  else
    stream << llvm::format("%.1f MB", static_cast<double>(bytes) / (1024 * 1024));
  return text;
}

SmallVector<Lifetime> livesOf(exec::ModuleOp plan, exec::FunctionOp function) {
  SmallVector<Lifetime> lives;
  for (auto buffer : plan.getBody().getOps<exec::BufferOp>())
    if (buffer.getFunction() && *buffer.getFunction() == function.getSymName() && buffer.getFirst())
      lives.push_back({static_cast<int64_t>(buffer.getSize()), static_cast<int>(*buffer.getFirst()),
                       static_cast<int>(*buffer.getLast()), static_cast<int64_t>(buffer.getOffset())});
  return lives;
}

int64_t peakOf(ArrayRef<Lifetime> lives) {
  int64_t peak = 0;
  for (const Lifetime &life : lives)
    peak = std::max(peak, life.offset + static_cast<int64_t>(llvm::alignTo(life.size, exec::BufferAlignment)));
  return peak;
}

void printBuffers(exec::ModuleOp plan, llvm::raw_ostream &out) {
  out << "\nbuffers\n  region          offset        bytes  type                     live          name"
         "                                     why\n";
  for (auto buffer : plan.getBody().getOps<exec::BufferOp>()) {
    std::string type, live;
    llvm::raw_string_ostream(type) << buffer.getType();
    if (buffer.getFirst())
      live = std::to_string(*buffer.getFirst()) + ".." + std::to_string(*buffer.getLast());
    out << llvm::format("  %-9s %12lld %12lld  %-24s ", exec::stringifyRegion(buffer.getRegion()).str().c_str(),
                        static_cast<long long>(buffer.getOffset()), static_cast<long long>(buffer.getSize()),
                        type.c_str())
        << llvm::format("%-13s %-40s %s", live.c_str(), buffer.getSymName().str().c_str(),
                        buffer.getWhy().str().c_str());
    if (buffer.getView())
      out << " (in " << *buffer.getView() << ")";
    out << "\n";
  }
}

/// Frozen matrices that the library may keep a copy of in its own layout; each way of reading one is a copy. Its size is the
/// library's, never much more than the matrix itself.
void printPackedCopies(exec::ModuleOp plan, llvm::raw_ostream &out) {
  llvm::MapVector<std::pair<StringRef, ArrayRef<int64_t>>, exec::GemmOp> copies;
  int64_t total = 0;
  plan.walk([&](exec::GemmOp gemm) {
    if (gemm.getPack() && copies.insert({{gemm.getB(), gemm.getBStrides()}, gemm}).second)
      total += static_cast<int64_t>(gemm.getK() * gemm.getN()) * 4;
  });
  if (copies.empty())
    return;
  out << "\npacked copies of frozen weights, beside the regions: " << copies.size() << ", about " << human(total) << "\n";
  for (auto &[key, gemm] : copies)
    out << llvm::format("  %6lld x %-6lld ", static_cast<long long>(gemm.getK()), static_cast<long long>(gemm.getN()))
        << key.first << "\n";
}

void printFunction(exec::ModuleOp plan, exec::FunctionOp function, llvm::raw_ostream &out) {
  SmallVector<Lifetime> lives = livesOf(plan, function);
  out << "\nfunction " << function.getSymName() << ": peak " << human(peakOf(lives)) << " of the arena, at most "
      << human(largestLiveSum(lives, exec::BufferAlignment)) << " live at once\n";
  for (auto [number, op] : llvm::enumerate(function.getBody().front())) {
    auto launch = cast<exec::LaunchOpInterface>(op);
    out << llvm::format("  %5d %-9s ", static_cast<int>(number), exec::stringifyPhase(launch.getPhase()).str().c_str());
    if (auto kernel = dyn_cast<exec::LaunchKernelOp>(op))
      out << llvm::format("%-20s", kernel.getKernel().str().c_str());
    else
      out << llvm::format("%-20s", op.getName().stripDialect().str().c_str());
    out << llvm::format(" %-32s", launch.getLabel().str().c_str());
    auto writes = launch.abiWrites();
    for (bool written : {true, false}) {
      out << (written ? " " : " <-");
      for (auto [name, flag] : llvm::zip(launch.abiBuffers(), writes))
        if (name && flag == written)
          out << " " << name.getValue();
    }
    out << "\n";
  }
}

} // namespace

int64_t schedule::liveBytes(exec::ModuleOp plan, exec::FunctionOp function) {
  return largestLiveSum(livesOf(plan, function), exec::BufferAlignment);
}

void schedule::printPlan(exec::ModuleOp plan, llvm::raw_ostream &out) {
  out << "stage " << plan.getSymName() << "\n\nregions\n";
  int64_t total = 0;
  for (auto region : {exec::Region::Weights, exec::Region::State, exec::Region::Arena, exec::Region::Io,
                      exec::Region::Constant}) {
    int64_t bytes = plan.regionBytes(region);
    total += bytes;
    out << llvm::format("  %-9s %14lld  %s\n", exec::stringifyRegion(region).str().c_str(),
                        static_cast<long long>(bytes), human(bytes).c_str());
  }
  out << llvm::format("  peak      %14lld  ", static_cast<long long>(total)) << human(total) << "\n";
  printBuffers(plan, out);
  printPackedCopies(plan, out);
  for (auto function : plan.getBody().getOps<exec::FunctionOp>())
    printFunction(plan, function, out);
}
