// SPDX-License-Identifier: Apache-2.0
#include "compiler/fuse/RowProducts.h"
#include "dialects/tg/Build.h"

using namespace mlir;
using namespace vcc;

bool fuse::multipliesRows(tg::DotGeneralOp dot, int64_t axis) {
  int64_t last = tg::tensorType(dot.getA()).getRank() - 1;
  return dot.getBatchA().empty() && tg::tensorType(dot.getB()).getRank() == 2 && dot.getContractA() == ArrayRef<int64_t>{last} &&
         dot.getContractB() == ArrayRef<int64_t>{axis};
}

Value fuse::multiplyRows(OpBuilder &builder, Location loc, Type type, Value rows, Value matrix, int64_t axis) {
  return builder.create<tg::DotGeneralOp>(loc, type, rows, matrix, ArrayRef<int64_t>(), ArrayRef<int64_t>(),
                                          ArrayRef<int64_t>{tg::tensorType(rows).getRank() - 1}, ArrayRef<int64_t>{axis});
}

StringRef fuse::stateBehind(Value value) {
  if (auto cast = value.getDefiningOp<tg::CastOp>())
    value = cast.getX();
  auto read = value.getDefiningOp<tg::ReadOp>();
  return read ? read.getState() : StringRef();
}

StringRef fuse::storageOf(tg::StateOp state) { return state.getStorage() ? *state.getStorage() : state.getSymName(); }

llvm::StringSet<> fuse::storagesWritten(func::FuncOp function, const llvm::StringMap<tg::StateOp> &states) {
  llvm::StringSet<> written;
  for (auto write : function.getOps<tg::WriteOp>())
    if (tg::StateOp state = states.lookup(write.getState()))
      written.insert(storageOf(state));
  return written;
}
