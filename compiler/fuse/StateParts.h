// SPDX-License-Identifier: Apache-2.0
//
// Which elements of which storage a state is, and what functions write.
#ifndef VCC_COMPILER_FUSE_STATEPARTS_H
#define VCC_COMPILER_FUSE_STATEPARTS_H

#include "dialects/tg/Tg.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringSet.h"

namespace vcc::fuse {

/// Elements `begin` to before `end` of a storage: the flat state that a view lies in, else the state itself.
struct StatePart {
  llvm::StringRef storage;
  int64_t begin, end;

  bool overlaps(const StatePart &other) const { return storage == other.storage && begin < other.end && other.begin < end; }
};

inline StatePart partOf(tg::StateOp state) {
  int64_t begin = state.getOffset() ? static_cast<int64_t>(*state.getOffset()) : 0;
  return {state.getStorage() ? *state.getStorage() : state.getSymName(), begin, begin + state.getTensorType().getNumElements()};
}

/// The storages that a function writes into.
inline llvm::StringSet<> storagesWritten(mlir::func::FuncOp function, const mlir::SymbolTable &states) {
  llvm::StringSet<> written;
  for (auto write : function.getOps<tg::WriteOp>())
    written.insert(partOf(states.lookup<tg::StateOp>(write.getState())).storage);
  return written;
}

} // namespace vcc::fuse

#endif
