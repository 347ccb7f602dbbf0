// SPDX-License-Identifier: Apache-2.0
//
// Where LoRA's second product is added to a frozen matrix's: y = x W + h B, with h of few columns. What may share the columns behind x.
#ifndef VCC_COMPILER_FUSE_LOWRANKSITES_H
#define VCC_COMPILER_FUSE_LOWRANKSITES_H

#include "dialects/tg/Tg.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"

namespace vcc::fuse {

/// sum = (base + ..) + thin, where base = x W and thin = h B. Values are asked for: another site's change may have replaced them.
struct LowRankSite {
  mlir::Operation *sum, *base, *thin;
  bool thinIsLeft;
  llvm::StringRef weight, factor;

  mlir::Value x() const { return base->getOperand(0); }
  mlir::Value h() const { return thin->getOperand(0); }
  /// What is added to `thin`.
  mlir::Value rest() const { return sum->getOperand(thinIsLeft); }
};

/// The rows behind a frozen matrix, the same for all that share an x.
struct LowRankTail {
  struct Factor {
    llvm::StringRef weight, path;
    int64_t rank, begin;
  };
  llvm::SmallVector<Factor, 2> factors;
  int64_t rows = 0;

  const Factor *of(llvm::StringRef weight) const;
  bool operator==(const LowRankTail &other) const;
};

/// All that can be joined in a stage.
class LowRankSites {
public:
  using Group = llvm::SmallVector<LowRankSite, 2>;
  using Groups = llvm::MapVector<mlir::Value, Group>; ///< by x, as it is before any change

  explicit LowRankSites(mlir::ModuleOp stage);

  const Groups &of(mlir::func::FuncOp function) const;
  /// By frozen matrix.
  const llvm::MapVector<llvm::StringRef, LowRankTail> &tails() const { return tailOf; }
  tg::StateOp state(llvm::StringRef path) const { return states.lookup<tg::StateOp>(path); }

private:
  void findFrozen(mlir::ModuleOp stage);
  tg::DotGeneralOp baseOf(mlir::Value value) const;
  std::optional<LowRankSite> siteOf(tg::AddOp sum) const;
  Groups groupsIn(mlir::func::FuncOp function) const;
  void agreeOnTails();
  bool agree(llvm::ArrayRef<LowRankSite> sites, const llvm::StringSet<> &refused);
  bool isPart(llvm::ArrayRef<LowRankSite> sites) const;

  mlir::SymbolTable states;
  llvm::StringSet<> frozen;
  llvm::MapVector<mlir::Operation *, Groups> groupsOf;
  llvm::MapVector<llvm::StringRef, LowRankTail> tailOf;
};

/// The last of what makes a group's x and all h.
mlir::Operation *lastMakerOf(llvm::ArrayRef<LowRankSite> group);

/// Calls `visit` for all that `value` is made of and that stands behind the maker of `x`, until it gives false; whether it never did.
bool walkBetween(mlir::Value x, mlir::Value value, llvm::function_ref<bool(mlir::Operation *)> visit);

} // namespace vcc::fuse

#endif
