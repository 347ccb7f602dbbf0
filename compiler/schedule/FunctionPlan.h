// SPDX-License-Identifier: Apache-2.0
//
// What a fused function does in memory: which values share storage, which results are written straight into states and
// outputs, what has to be copied, and how long each storage lives.
#ifndef VCC_COMPILER_SCHEDULE_FUNCTIONPLAN_H
#define VCC_COMPILER_SCHEDULE_FUNCTIONPLAN_H

#include "compiler/schedule/ArenaPacking.h"
#include "compiler/schedule/RegionLayout.h"
#include "compiler/schedule/StateAccess.h"
#include "llvm/ADT/MapVector.h"

namespace vcc::schedule {

/// Memory of one or several values.
struct Storage {
  bool fixed = false; ///< a state, input, output or constant
  Place place;        ///< when fixed; for the arena filled in after packing
  mlir::RankedTensorType type;
  std::string why;
  Lifetime life{0, -1, -1, 0};
  int mergedInto = -1; ///< the storage whose place it takes over
};

/// Where a value is: all of a storage, or a strided window of it.
struct Spot {
  int storage = -1;
  bool window = false;
  int64_t offset = 0; ///< elements; windows only
  llvm::SmallVector<int64_t> shape, strides;
};

/// One launch to come.
struct Step {
  enum Kind { Compute, Copy, Fill } kind = Compute;
  mlir::Operation *op = nullptr; ///< where it comes from
  int source = -1, destination = -1; ///< of copies and fills
  int workspace = -1;                ///< of attention
};

/// Who computes attention: generated code on so many threads, or a library on a GPU.
struct AttentionTarget {
  int64_t threads;
  bool device;
};

class FunctionPlan {
public:
  /// Fails with a diagnostic for what has no place in a plan.
  static mlir::FailureOr<FunctionPlan> make(mlir::func::FuncOp function, RegionLayout &layout,
                                            const mlir::SymbolTable &kernels, const AttentionTarget &attention);

  llvm::ArrayRef<Step> steps() const { return theSteps; }
  llvm::MutableArrayRef<Storage> storages() { return all; }
  const Spot &spotOf(mlir::Value value) const;
  /// The storage whose place a storage has.
  int placeOf(int storage) const;
  Storage &at(int storage) { return all[placeOf(storage)]; }
  /// The launch after which the backward begins; the number of steps when there is none.
  int firstBackward() const { return backward; }

  static mlir::Value rootOf(mlir::Value value);

private:
  FunctionPlan(mlir::func::FuncOp function, RegionLayout &layout, const mlir::SymbolTable &kernels, const AttentionTarget &attention)
      : function(function), layout(&layout), kernels(&kernels), attention(attention) {}

  mlir::LogicalResult check();
  void number();
  void findWindows();
  void chooseTargets();
  bool mayWriteStraight(mlir::Value value, const StateAccess &write);
  bool readsInStep(mlir::Operation *op, mlir::Value state, mlir::Value result);
  int startOf(mlir::Value value);
  void chooseSnapshots();
  void buildSteps();
  void addStep(Step step, llvm::ArrayRef<int> touched);
  int storageOf(mlir::Value value);
  Spot makeSpot(mlir::Value value);
  int fixedStorage(const Place &place, mlir::RankedTensorType type);
  int arenaStorage(mlir::RankedTensorType type, llvm::StringRef why);
  int workspaceOf(mlir::Operation *op);
  void shareInPlace();
  void shareOf(int step, mlir::Value result, mlir::Value operand);
  void describe();

  mlir::func::FuncOp function;
  RegionLayout *layout;
  const mlir::SymbolTable *kernels;
  AttentionTarget attention;
  llvm::DenseMap<mlir::Operation *, int> position;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<int, 4>> uses; ///< of roots, by position
  llvm::MapVector<mlir::Value, mlir::OpOperand *> windowUse;   ///< parts of concatenations
  StateAccesses reads, writes;
  llvm::DenseMap<mlir::Value, Place> target;       ///< values that are made where they are written
  llvm::DenseSet<mlir::Operation *> straight;      ///< writes that need no copy
  llvm::DenseSet<mlir::Operation *> snapshots;     ///< reads whose state changes before they are used
  llvm::SmallVector<Storage> all;
  llvm::StringMap<int> fixedStorages;
  llvm::DenseMap<mlir::Value, Spot> spots;
  llvm::SmallVector<Step> theSteps;
  int backward = 0;
};

/// What one launch's operand and result accesses are about.
bool sameAccess(tg::LaunchOp launch, tg::KernelOp kernel, unsigned input, unsigned output);

/// The parameter number of each input of a launch (uniforms have none).
llvm::SmallVector<unsigned> inputParams(tg::KernelOp kernel);

/// Rows of queries that attention takes at a time, its scratch per thread in bytes, and the threads that have one. On a GPU all of
/// it is one workspace, which no engine of the library may exceed.
struct AttentionScratch {
  int64_t rows, bytesPerThread, threads;
};
AttentionScratch scratchOf(mlir::Operation *attention, const AttentionTarget &target);

} // namespace vcc::schedule

#endif
