// SPDX-License-Identifier: Apache-2.0
//
// The reference interpreter: runs the functions of one stage's tg module over named states and inputs by the meanings of
// the operations. It is the oracle of compiler tests and runs a module after every pass on tg, kernels and matrix products
// included. A state that is a view shares the elements of its flat storage.
//
//   Interpreter Run(Module);                        // Precision::F64
//   Run.setState("head.weight", Tensor);            // untouched states are zero
//   Run.setInput("rng", Tensor);
//   if (failed(Run.run("micro_main"))) ...          // the error has been emitted at the operation
//   const HostTensor *Loss = Run.output("loss");
#ifndef VCC_COMPILER_INTERPRET_INTERPRETER_H
#define VCC_COMPILER_INTERPRET_INTERPRETER_H

#include "dialects/tg/Tg.h"

#include "llvm/ADT/StringMap.h"

#include <optional>

namespace vcc::interpret {

class Interpreter : public tg::MeaningContext {
public:
  /// `Module` must stay unchanged while the interpreter lives.
  explicit Interpreter(mlir::ModuleOp Module, tg::Precision P = tg::Precision::F64);
  ~Interpreter() override;

  /// Sets a state, or an input of the functions run from now on. Failure: no such state, or another number of elements.
  llvm::LogicalResult setState(llvm::StringRef Path, llvm::ArrayRef<double> Elements);
  void setInput(llvm::StringRef Name, tg::HostTensor Value);

  /// Runs a function. Outputs of earlier runs are forgotten; states stay.
  llvm::LogicalResult run(llvm::StringRef Function);
  /// Runs a function on several ranks, operation by operation, so that collectives see all of them: one interpreter a
  /// rank, in order, of the same module, each with states and inputs of its own.
  static llvm::LogicalResult runTogether(llvm::ArrayRef<Interpreter *> Ranks, llvm::StringRef Function);

  /// The value of a state now; nothing when there is no such state.
  std::optional<tg::HostTensor> state(llvm::StringRef Path) const;
  /// An output of the last run; null when it gave none of this name.
  const tg::HostTensor *output(llvm::StringRef Name) const;

  /// All states of the module, and the outputs of the last run, by name in a fixed order.
  std::vector<std::string> statePaths() const;
  std::vector<std::string> outputNames() const;
  /// The inputs that a function takes: name and type, in order of first use.
  std::vector<std::pair<std::string, mlir::RankedTensorType>> inputsOf(llvm::StringRef Function) const;

  llvm::LogicalResult readState(llvm::StringRef Path, tg::HostTensor &Value) override;
  llvm::LogicalResult writeState(llvm::StringRef Path, const tg::HostTensor &Value, bool Accumulate) override;
  llvm::LogicalResult readInput(llvm::StringRef Name, tg::HostTensor &Value) override;
  llvm::LogicalResult writeOutput(llvm::StringRef Name, const tg::HostTensor &Value) override;
  mlir::Operation *lookupKernel(llvm::StringRef Name) override;
  llvm::ArrayRef<tg::HostTensor> peers() const override { return Peers; }
  int64_t rank() const override { return Rank; }

private:
  struct State {
    mlir::RankedTensorType Type;
    std::string Storage; // itself, or the flat state it is a view of
    int64_t Offset = 0;
  };
  struct Frame;

  void declare(tg::StateOp Op);
  std::vector<double> *storageOf(const State &S);
  /// Where a state of so many elements lies; null where there is none.
  double *placeOf(llvm::StringRef Path, int64_t Elements);
  mlir::func::FuncOp find(llvm::StringRef Function);
  llvm::LogicalResult runOp(mlir::Operation &Op, Frame &F);

  mlir::ModuleOp Module;
  llvm::StringMap<State> States;
  llvm::StringMap<std::vector<double>> Storage;
  llvm::StringMap<tg::HostTensor> Inputs, Outputs;
  llvm::StringMap<mlir::Operation *> Kernels, Functions;
  llvm::ArrayRef<tg::HostTensor> Peers;
  int64_t Rank = 0;
};

} // namespace vcc::interpret

#endif
