// SPDX-License-Identifier: Apache-2.0
//
// exec-schedule: lays out the regions, plans each function, packs its arena and writes the exec.module.
#include "compiler/schedule/EmitLaunches.h"
#include "compiler/schedule/Passes.h"
#include "mlir/Pass/PassRegistry.h"

namespace vcc::schedule {
#define GEN_PASS_DEF_SCHEDULESTAGEPASS
#include "compiler/schedule/Passes.h.inc"
} // namespace vcc::schedule

using namespace mlir;
using namespace vcc;
using namespace vcc::schedule;

namespace {

/// Offsets of the arena buffers of one function; the bytes that it needs.
int64_t packFunction(FunctionPlan &plan) {
  SmallVector<Lifetime> lives;
  SmallVector<Storage *> packed;
  for (Storage &storage : plan.storages())
    if (!storage.fixed && storage.mergedInto < 0 && storage.life.first >= 0) {
      lives.push_back(storage.life);
      packed.push_back(&storage);
    }
  int64_t size = packArena(lives, exec::BufferAlignment);
  for (auto [storage, life] : llvm::zip(packed, lives))
    storage->life.offset = life.offset;
  return size;
}

struct ScheduleStage : schedule::impl::ScheduleStagePassBase<ScheduleStage> {
  using ScheduleStagePassBase::ScheduleStagePassBase;

  void runOnOperation() override {
    ModuleOp stage = getOperation();
    if (stage.getOps<func::FuncOp>().empty())
      return;
    auto name = stage->getAttrOfType<StringAttr>("tg.stage");
    OpBuilder builder = OpBuilder::atBlockEnd(stage.getBody());
    auto plan = builder.create<exec::ModuleOp>(stage.getLoc(), name ? name.getValue() : "stage", 0, 0, 0, 0, 0);
    Block *body = &plan.getBody().emplaceBlock();
    if (failed(fill(stage, plan, body))) {
      plan->erase();
      return signalPassFailure();
    }
    eraseFused(stage);
  }

  LogicalResult fill(ModuleOp stage, exec::ModuleOp plan, Block *body) {
    SymbolTable symbols(stage);
    OpBuilder buffers(&getContext()), functions(&getContext());
    buffers.setInsertionPointToStart(body);
    functions.setInsertionPointToEnd(body);
    RegionLayout layout(stage, buffers);
    llvm::StringSet<> views;
    int64_t arena = 0;
    AttentionTarget attention{threads, device};
    for (auto function : stage.getOps<func::FuncOp>()) {
      FailureOr<FunctionPlan> planned = FunctionPlan::make(function, layout, symbols, attention);
      if (failed(planned))
        return failure();
      arena = std::max(arena, packFunction(*planned));
      auto op = functions.create<exec::FunctionOp>(function.getLoc(), function.getSymName());
      // Buffers are declared before the first function.
      if (buffers.getInsertionPoint() == body->end())
        buffers.setInsertionPoint(op);
      OpBuilder launches(&getContext());
      launches.setInsertionPointToEnd(&op.getBody().emplaceBlock());
      emitLaunches(*planned, {buffers, launches, symbols, views, op.getSymName(), attention});
    }
    auto bytes = [&](exec::Region region) { return layout.size(region); };
    plan.setWeightsBytes(bytes(exec::Region::Weights));
    plan.setStateBytes(bytes(exec::Region::State));
    plan.setArenaBytes(arena);
    plan.setIoBytes(bytes(exec::Region::Io));
    plan.setConstantBytes(bytes(exec::Region::Constant));
    return success();
  }

  static void eraseFused(ModuleOp stage) {
    llvm::DenseSet<StringAttr> launched;
    stage.walk([&](exec::LaunchKernelOp op) { launched.insert(op.getKernelAttr().getAttr()); });
    for (Operation &op : llvm::make_early_inc_range(*stage.getBody())) {
      auto kernel = dyn_cast<tg::KernelOp>(op);
      if (isa<func::FuncOp, tg::StateOp>(op) || (kernel && !launched.contains(kernel.getSymNameAttr())))
        op.erase();
    }
  }
};

} // namespace

exec::ModuleOp schedule::planOf(ModuleOp stage) {
  auto plans = stage.getOps<exec::ModuleOp>();
  return plans.empty() ? exec::ModuleOp() : *plans.begin();
}

void schedule::buildSchedulePipeline(OpPassManager &manager, const ScheduleStagePassOptions &options) {
  manager.addPass(createScheduleStagePass(options));
}

void schedule::registerSchedule() {
  registerschedulePasses();
  PassPipelineRegistration<>("vcc-schedule", "from fused functions to a plan",
                             [](OpPassManager &manager) { buildSchedulePipeline(manager); });
}
