// SPDX-License-Identifier: Apache-2.0
//
// The regions that outlive a function: states, inputs and outputs, constants.
#ifndef VCC_COMPILER_SCHEDULE_REGIONLAYOUT_H
#define VCC_COMPILER_SCHEDULE_REGIONLAYOUT_H

#include "dialects/exec/Exec.h"
#include "llvm/ADT/StringMap.h"

namespace vcc::schedule {

/// A place in memory, fixed for the whole stage or (arena) for one function.
struct Place {
  std::string buffer;
  exec::Region region = exec::Region::Arena;
  int64_t offset = 0, bytes = 0; ///< of the buffer in its region
  bool frozen = false;           ///< a weight that no step changes
};

/// Lays out states at construction, inputs, outputs and constants as they are asked for, and declares each buffer.
class RegionLayout {
public:
  /// `builder` stands where buffers are to be declared.
  RegionLayout(mlir::ModuleOp stage, mlir::OpBuilder &builder);

  const Place &state(llvm::StringRef path) const;
  const Place &input(llvm::StringRef function, tg::InputOp op);
  const Place &output(llvm::StringRef function, llvm::StringRef name, mlir::Value value);
  Place constant(mlir::ElementsAttr value, mlir::Location loc);

  int64_t size(exec::Region region) const { return sizes.lookup(static_cast<int>(region)); }

private:
  Place place(exec::Region region, std::string name, mlir::RankedTensorType type, llvm::StringRef why,
              mlir::Location loc, mlir::ElementsAttr value = {});
  void layOutStates(mlir::ModuleOp stage);

  mlir::OpBuilder &builder;
  llvm::DenseMap<int, int64_t> sizes;
  llvm::StringMap<Place> states, channels;
  llvm::DenseMap<mlir::Attribute, Place> constants;
};

} // namespace vcc::schedule

#endif
