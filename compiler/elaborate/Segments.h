// SPDX-License-Identifier: Apache-2.0
//
// Segments: what one call of a part computes that `recompute` names. Operations are made one after
// the other, so a segment is a run of them; of calls inside each other the outermost counts.
#ifndef VCC_COMPILER_ELABORATE_SEGMENTS_H
#define VCC_COMPILER_ELABORATE_SEGMENTS_H

#include "compiler/elaborate/Parts.h"
#include "dialects/tg/Tg.h"
#include "llvm/ADT/DenseSet.h"

namespace vcc::elaborate {

class Segments {
public:
  /// The parts whose calls are segments.
  llvm::DenseSet<const Part *> parts;

  /// Begins a segment at the end of `block` if `part` is one of the parts and no segment is open.
  bool open(const Part *part, mlir::Block &block);
  void close(mlir::Block &block);

  /// The parts of which a call computes something that a gradient passes through, given that it
  /// passes through the reads of `trainable`.
  llvm::DenseSet<const Part *> reached(mlir::Block &block,
                                       const llvm::DenseSet<mlir::Value> &trainable) const;
  bool ran(const Part *part) const;

  /// Puts a border around each segment: a barrier for each value that enters it and each that
  /// leaves it. Reads and inputs are there all the time and need none.
  void drawBorders();

private:
  struct Segment {
    const Part *part;
    mlir::Operation *before; // null where the segment begins the block
    llvm::SmallVector<mlir::Operation *> ops;
  };
  std::vector<Segment> segments;
  bool running = false;

  static void drawBorder(const Segment &segment, int64_t number);
};

} // namespace vcc::elaborate

#endif
