// SPDX-License-Identifier: Apache-2.0
//
// Runs a plan (exec.module) in doubles over simulated regions, launch by launch: what the plan means, without a runtime.
// The arena is full of NaN at the start of each function, so a value that is read after its place was given away shows.
#ifndef VCC_TESTS_UNIT_FUSE_PLANRUNNER_H
#define VCC_TESTS_UNIT_FUSE_PLANRUNNER_H

#include "compiler/schedule/Passes.h"

#include <map>

namespace vcc::test {

class PlanRunner : public tg::MeaningContext {
public:
  explicit PlanRunner(mlir::ModuleOp stage);
  ~PlanRunner() override;

  /// The elements of a buffer by name.
  void set(llvm::StringRef buffer, llvm::ArrayRef<double> elements);
  std::vector<double> get(llvm::StringRef buffer);
  bool has(llvm::StringRef buffer);

  llvm::LogicalResult run(llvm::StringRef function);

  mlir::Operation *lookupKernel(llvm::StringRef name) override;

private:
  double &element(exec::BufferOp buffer, int64_t number);
  tg::HostTensor load(llvm::StringRef buffer, mlir::RankedTensorType type);
  void store(llvm::StringRef buffer, const tg::HostTensor &value);
  exec::BufferOp bufferOf(llvm::StringRef name);
  mlir::Value dummy(mlir::Type type);

  void runGemm(exec::GemmOp op);
  void runAttention(exec::AttentionOp op);
  void runAttentionGrad(exec::AttentionGradOp op);
  llvm::LogicalResult runKernel(exec::LaunchKernelOp op);
  void storeResult(exec::LaunchKernelOp op, tg::KernelOp kernel, unsigned result, const tg::HostTensor &value);

  mlir::ModuleOp stage;
  exec::ModuleOp plan;
  mlir::SymbolTable kernels, buffers;
  std::map<exec::Region, std::vector<double>> memory; ///< by byte; an element stands at its first byte
  mlir::Block scratch;
};

/// Two buffers without a view that live at one time and overlap, in words; empty when there are none.
std::string findOverlap(exec::ModuleOp plan);

} // namespace vcc::test

#endif
