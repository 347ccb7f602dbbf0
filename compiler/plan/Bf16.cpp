// SPDX-License-Identifier: Apache-2.0
//
// The arena as it would be in bf16: the same tensors with the same lives, most of them half as large, packed again.
#include "compiler/plan/Report.h"

#include "compiler/schedule/ArenaPacking.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::plan;

namespace {

class Halving {
public:
  Halving(exec::ModuleOp plan, const std::vector<ComponentReport> &components) : plan(plan), components(components) {
    for (auto buffer : plan.getBody().front().getOps<exec::BufferOp>())
      buffers[buffer.getSymName()] = buffer;
    if (auto stage = plan->getParentOfType<ModuleOp>())
      for (auto kernel : stage.getOps<tg::KernelOp>())
        kernels[kernel.getSymName()] = kernel;
    for (auto function : plan.getBody().front().getOps<exec::FunctionOp>())
      for (Operation &op : function.getBody().front())
        readLaunch(cast<exec::LaunchOpInterface>(op));
  }

  llvm::StringMap<int64_t> run() {
    llvm::StringMap<SmallVector<schedule::Lifetime>> lives;
    for (auto buffer : plan.getBody().front().getOps<exec::BufferOp>())
      if (buffer.getFunction() && buffer.getFirst())
        lives[*buffer.getFunction()].push_back({halved(buffer), static_cast<int>(*buffer.getFirst()),
                                                static_cast<int>(*buffer.getLast()), 0});
    llvm::StringMap<int64_t> sizes;
    for (auto &entry : lives)
      sizes[entry.getKey()] = schedule::packArena(entry.getValue(), exec::BufferAlignment);
    return sizes;
  }

private:
  int64_t halved(exec::BufferOp buffer) {
    auto size = static_cast<int64_t>(buffer.getSize());
    bool keeps = !buffer.tensorType().getElementType().isF32() || wide.contains(buffer) || !ofComponents.contains(buffer);
    return keeps ? size : llvm::divideCeil(size, 2);
  }

  Operation *root(FlatSymbolRefAttr name) {
    exec::BufferOp buffer = buffers.lookup(name.getValue());
    while (buffer && buffer.getView())
      buffer = buffers.lookup(*buffer.getView());
    return buffer;
  }

  void readLaunch(exec::LaunchOpInterface launch) {
    bool ofComponent = !componentOf(launch.getLabel(), components).empty();
    for (FlatSymbolRefAttr name : launch.abiBuffers())
      if (name && ofComponent)
        ofComponents.insert(root(name));
    if (auto attention = dyn_cast<exec::AttentionOp>(launch.getOperation())) {
      wide.insert(root(attention.getLseAttr()));
      wide.insert(root(attention.getWorkspaceAttr()));
    }
    if (auto attention = dyn_cast<exec::AttentionGradOp>(launch.getOperation()))
      wide.insert(root(attention.getWorkspaceAttr()));
    auto generated = dyn_cast<exec::LaunchKernelOp>(launch.getOperation());
    tg::KernelOp kernel = generated ? kernels.lookup(generated.getKernel()) : tg::KernelOp();
    if (!kernel)
      return;
    for (auto [i, name] : llvm::enumerate(generated.getWrites().getAsRange<FlatSymbolRefAttr>()))
      if (kernel.getResultKind(static_cast<unsigned>(i)).getKind() != tg::ResultKind::Row)
        wide.insert(root(name));
  }

  exec::ModuleOp plan;
  const std::vector<ComponentReport> &components;
  llvm::StringMap<exec::BufferOp> buffers;
  llvm::StringMap<tg::KernelOp> kernels;
  llvm::DenseSet<Operation *> wide, ofComponents;
};

} // namespace

llvm::StringMap<int64_t> plan::arenasInBf16(exec::ModuleOp plan, const std::vector<ComponentReport> &components) {
  return Halving(plan, components).run();
}
