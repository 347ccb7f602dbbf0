// SPDX-License-Identifier: Apache-2.0
//
// Which operations become one kernel. A group has a domain of `count` elements in rows of `columns`; every value inside
// is a row (one element per element of the domain) or a scalar (one per row). Groups have levels: whatever a group
// reads from outside has a lower level, so no cycle between groups can arise, and one walk over the program suffices.
#ifndef VCC_COMPILER_FUSE_KERNELGROUPS_H
#define VCC_COMPILER_FUSE_KERNELGROUPS_H

#include "compiler/fuse/ReductionForms.h"
#include "compiler/fuse/StridedViews.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

namespace vcc::fuse {

/// What a value is inside a group. `Sum`: a sum over rows, known only after the kernel.
enum class Role { Row, Scalar, Sum };

/// How a member reads an operand.
enum class Reach {
  Row,      ///< a row of the group
  Scalar,   ///< a scalar of the group, read by a scalar
  Spread,   ///< a scalar of the group, read by a row
  Source,   ///< made on the spot
  Outside,  ///< from memory, through a view
  Conflict  ///< of the group, but in another order or not known yet
};

struct Group {
  int64_t count = 0;
  int64_t columns = 0; ///< 0: any that the borders allow
  int level = 0;
  /// Where the strides of what is read (and written into concatenations) change, in elements.
  llvm::SmallVector<int64_t, 8> borders;
  llvm::MapVector<mlir::Operation *, Role> members;
  /// What is read from memory.
  llvm::SetVector<mlir::Value> reads;

  int64_t rows() const { return columns ? count / columns : 0; }
};

/// Whether an operation can be part of a kernel (sources and views are not members: they are part of their readers).
bool isMember(mlir::Operation *op);

/// The role in which a member of the group reads its operands.
Role operandRole(const Group &group, mlir::Operation *op, Role result);

Reach classifyReach(const Group &group, const StridedView &view, Role reader);

/// Elements of one table row of a gather.
int64_t gatherRow(tg::GatherOp op);

/// The view of a gather's ids over its result.
StridedView gatherIds(tg::GatherOp op);

/// The window that a value has in the concatenation that reads it, if one does: strides of the whole, offset.
std::optional<StridedView> windowInConcat(mlir::Value value);

/// The group with one more member, or nothing when it does not fit.
std::optional<Group> withMember(const Group &group, mlir::Operation *op, llvm::function_ref<int(mlir::Value)> levelOf);

class KernelGroups {
public:
  explicit KernelGroups(mlir::func::FuncOp function);

  llvm::ArrayRef<Group> groups() const { return all; }
  llvm::MutableArrayRef<Group> groups() { return all; }
  /// The group that provides a member's result to others; -1 for what is no member.
  int homeOf(mlir::Operation *op) const;
  int levelOf(mlir::Value base) const;
  /// Of an operation of its own.
  int ownLevelOf(mlir::Operation *op) const { return levels.lookup(op); }
  /// Place in the program.
  int indexOf(mlir::Operation *op) const { return index.lookup(op); }

  /// Drops members that nothing reads any more.
  void dropUnread();
  /// The values of a group's home members that are read by other groups or operations.
  bool isReadOutside(mlir::Value value) const { return readOutside.contains(value); }

  /// A step of the kernelised function: a group or an operation of its own.
  struct Node {
    int group = -1;
    mlir::Operation *op = nullptr;
  };
  /// All nodes, dependencies first, otherwise in program order.
  llvm::SmallVector<Node> order() const;

  /// Bases that an operation of its own reads.
  static llvm::SmallVector<mlir::Value> basesOf(mlir::Operation *op);

  /// Whether `op` writes a state that a later operation reads or writes.
  bool isTouchedLater(mlir::Operation *op) const;
  /// Makes the group, which has the new operation among its members, the one that provides it.
  void adopt(mlir::Operation *op, int id, Group group);
  /// Of groups, and of operations of their own.
  struct Levels {
    llvm::SmallMapVector<int, int, 8> groups;
    llvm::SmallMapVector<mlir::Operation *, int, 8> own;
  };
  void setLevels(const Levels &then);

private:
  void place(mlir::Operation *op);
  void placeMember(mlir::Operation *op);
  bool joinGroupsOf(mlir::Operation *op, llvm::ArrayRef<mlir::Value> bases, int level);
  bool joinSibling(mlir::Operation *op, int level);
  bool joinWaiting(mlir::Operation *op, llvm::ArrayRef<mlir::Value> bases, int level);
  std::optional<Levels> levelsAfter(int id, int level) const;
  llvm::SmallVector<mlir::Value> madeWith(mlir::Value value) const;
  void assign(int id, Group group);
  void findTouched();

  mutable mlir::func::FuncOp function;
  llvm::SmallVector<Group> all;
  llvm::DenseMap<mlir::Operation *, int> index, home;
  llvm::DenseMap<mlir::Operation *, int> levels; ///< of operations of their own
  llvm::DenseMap<mlir::Value, llvm::SmallVector<int, 2>> readersOf;
  /// What a read or write touches: the state itself, or its storage where states that overlap are touched.
  llvm::DenseMap<mlir::Operation *, llvm::StringRef> touched;
  llvm::StringMap<int> lastTouch, writeLevel;
  llvm::DenseSet<mlir::Value> readOutside;
};

} // namespace vcc::fuse

#endif
