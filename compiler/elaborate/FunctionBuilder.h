// SPDX-License-Identifier: Apache-2.0
//
// One function of a stage while its body is being traced: the graph builder, and what the function
// reads from outside, each read once: weights, inputs and the random state.
#ifndef VCC_COMPILER_ELABORATE_FUNCTIONBUILDER_H
#define VCC_COMPILER_ELABORATE_FUNCTIONBUILDER_H

#include "compiler/elaborate/GraphBuilder.h"
#include "compiler/elaborate/Parts.h"
#include "compiler/elaborate/Segments.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"

#include <functional>

namespace vcc::elaborate {

class FunctionBuilder {
public:
  /// An empty function `name` at the end of `stage`.
  FunctionBuilder(mlir::ModuleOp stage, StringRef name, mlir::Location loc, bool training,
                  FaultSink &faults);

  GraphBuilder graph;
  mlir::func::FuncOp function;
  /// Samples in a call of the function; 0 where it takes none.
  int64_t rows = 0;
  /// Clips in a call, 0 where it takes none; `tiled`: a sample has one or more, `clipsOfRow` at most.
  int64_t clips = 0, clipsOfRow = 1;
  bool tiled = false;
  int64_t clipsOfSample = 1; // of any sample, in any variant
  /// How many ranks run the function together on samples of their own; none where any number may, each by itself.
  std::optional<int64_t> ranks = 1;
  /// False in evaluation functions: no dropout.
  bool training;
  /// The step variant and the branch of the batch that it is of; empty where the stage has one.
  std::string variant, branch;
  /// Names of the adapters in force.
  llvm::SmallVector<std::string> adapters;
  /// Says (by a fault) whether a weight may be read here.
  std::function<llvm::LogicalResult(Weight &, mlir::Location)> admit;
  /// Whether the stage uses a weight; an optional field that it leaves out reads as `none`.
  std::function<bool(Weight &)> uses;
  /// What was put out so far in this step, and where: all of a step's numbers share one line of the
  /// log.
  llvm::StringMap<mlir::Location> outputs;
  /// What is to be computed again for the backward.
  Segments segments;

  FailureOr<Tensor> read(Weight &weight);
  /// States that are no weights: f32 in one dimension.
  Tensor readState(StringRef path, int64_t size);
  void writeState(StringRef path, mlir::Value value);
  Tensor input(StringRef name, ArrayRef<int64_t> shape, mlir::Type element,
               ArrayRef<DimOrigin> origins);
  mlir::Value rng();
  /// The same for operations whose axis 0 is `first` long: where that is more than the samples, a sample has as many places as it
  /// may have rows there, so that no two micro-batches draw the same.
  mlir::Value rngOf(int64_t first);
  /// `batch.clip_rows` or `batch.clip_places`, i32 [clips], numbers below `count`: which row each clip is of, and its place
  /// where every row had as many clips as one may have.
  Tensor clipInput(StringRef what, int64_t count);
  /// A name for the next random draw of `path`, unique within the function.
  tg::SiteAttr site(StringRef path);
  llvm::LogicalResult output(StringRef name, const Tensor &value);
  /// Ends the body.
  void finish();

  const llvm::MapVector<Weight *, Tensor> &weights() const { return reads; }

private:
  llvm::MapVector<Weight *, Tensor> reads;
  llvm::StringMap<Tensor> inputs;
  llvm::StringMap<int> sites;
};

} // namespace vcc::elaborate

#endif
