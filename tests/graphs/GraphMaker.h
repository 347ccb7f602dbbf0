// SPDX-License-Identifier: Apache-2.0
//
// Grows random graphs operation by operation. Each operation is evaluated in f64 as soon as it is made, so that what comes next
// can be chosen by values: nothing overflows, logarithms and quotients stay away from their poles, and nothing with a jump or a
// kink (compare, floor, max, abs, conversion to whole numbers) is applied near it, unless both sides are exact in any precision.
#ifndef VCC_TESTS_GRAPHS_GRAPHMAKER_H
#define VCC_TESTS_GRAPHS_GRAPHMAKER_H

#include "tests/graphs/Graph.h"

#include "dialects/tg/Build.h"

#include "llvm/ADT/DenseMap.h"

namespace vcc::graphs {

using Sizes = llvm::SmallVector<int64_t, 6>;

class GraphMaker : public tg::MeaningContext {
public:
  GraphMaker(uint64_t seed, mlir::MLIRContext &context);

  Graph make();

private:
  /// Thrown where a step finds that it cannot be taken; what it made is taken back.
  struct Refused {};
  struct Known {
    tg::HostTensor data;
    bool exact = false;  ///< the same bits in f32 and f64, after any pass
    bool active = false; ///< depends on a trainable weight
  };

  // Chance.
  bool oneIn(uint64_t n) { return random() % n == 0; }
  int64_t between(int64_t low, int64_t high);
  int64_t size();
  Sizes someShape(int64_t rank);
  double number() { return static_cast<double>(between(-1024, 1024)) / 1024; }

  // Functions of the stage.
  void beginFunction(llvm::StringRef name);
  void endFunction();
  void makeInit();
  void makeForward();
  void makeEvaluation();
  void makeUpdate();
  void updateState(const std::string &weight, const std::string &gradient, mlir::RankedTensorType type);
  void steps(int64_t count, bool withLeaf = true);
  bool step();
  void finishValues(bool trained);
  void addToLoss(mlir::Value value);
  void groupWeights();
  mlir::Operation *declareState(const std::string &name, tg::StateKind kind, mlir::RankedTensorType type, bool trainable);

  // Values.
  mlir::Value keep(mlir::Operation *op, unsigned result = 0);
  template <typename Op, typename... Args> mlir::Value make(mlir::Type type, Args &&...args) {
    return keep(ops.create<Op>(loc, type, std::forward<Args>(args)...));
  }
  template <typename Op> mlir::Value same(mlir::Value x) { return make<Op>(x.getType(), x); }
  template <typename Op> mlir::Value same(mlir::Value x, mlir::Value y) { return make<Op>(x.getType(), x, y); }
  void offer(mlir::Value value) { pool.push_back(value); }
  mlir::Value take(llvm::function_ref<bool(mlir::Value)> fits);
  mlir::Value takeFloat(int64_t leastRank = 0, int64_t mostElements = 1 << 20);
  mlir::Value takeWhole();
  mlir::Value takeTruth();
  /// A value of this type: one of the pool or a new leaf.
  mlir::Value takeLike(mlir::Type type);
  mlir::Value leaf(llvm::ArrayRef<int64_t> shape);
  mlir::Value weight(llvm::ArrayRef<int64_t> shape, bool trainable);
  mlir::Value input(mlir::Type type, llvm::function_ref<double()> sample);
  mlir::Value indices(llvm::ArrayRef<int64_t> shape, int64_t low, int64_t high);
  mlir::Value splat(mlir::Value like, double value);
  mlir::Value rng();
  tg::SiteAttr site();
  const Known &known(mlir::Value value) { return values[value]; }
  mlir::RankedTensorType floats(llvm::ArrayRef<int64_t> shape) { return mlir::RankedTensorType::get(shape, f32); }
  mlir::RankedTensorType wholes(llvm::ArrayRef<int64_t> shape) { return mlir::RankedTensorType::get(shape, i32); }
  static llvm::ArrayRef<int64_t> shapeOf(mlir::Value value) { return tg::tensorType(value).getShape(); }
  static int64_t rankOf(mlir::Value value) { return tg::tensorType(value).getRank(); }

  // What may be applied to the values.
  void refuse(bool condition) {
    if (condition)
      throw Refused{};
  }
  double least(mlir::Value value);
  double largest(mlir::Value value);
  bool apartFrom(mlir::Value x, mlir::Value y);
  bool awayFromZero(mlir::Value x, double distance);
  bool awayFromWhole(mlir::Value x);
  bool extremesApart(mlir::Value x, llvm::ArrayRef<int64_t> axes);
  mlir::Value positive(mlir::Value x);
  mlir::Value passive(mlir::Value x);

  struct PackedRows {
    mlir::Value lengths, starts;
    mlir::DenseI64ArrayAttr samples;
  };
  PackedRows packedRows(int64_t b, int64_t s);

  // Steps, by family.
  void unary();
  void binary();
  void power();
  void whole();
  void truth();
  void select();
  void convert();
  void reduce();
  void broadcast();
  void reshape();
  void transpose();
  void slice();
  void concat();
  void pad();
  void collective();
  void halves();
  void gather();
  void scatter();
  void source();
  void product();
  void linear();
  void gatedLinear();
  void matmul();
  void normalise();
  void gainAndBias();
  void softmax();
  void attention();
  void crossEntropy();
  void dropout();
  void fence();
  void segment();
  void stateChange();
  mlir::Value border(mlir::Value value, tg::BorderSide side, int64_t number);
  mlir::Value affine(mlir::Value x, bool trainable);
  mlir::Value sumOver(mlir::Value x, llvm::ArrayRef<int64_t> axes, tg::ReduceKind kind);
  mlir::Value spreadRows(mlir::Value rows, mlir::Value like);
  mlir::Value turned(mlir::Value x, llvm::ArrayRef<int64_t> permutation);
  mlir::Value part(mlir::Value x, llvm::ArrayRef<int64_t> offsets, llvm::ArrayRef<int64_t> sizes,
                   llvm::ArrayRef<int64_t> strides);
  mlir::Value heads(const Sizes &shape);

  // What operations see while they are evaluated.
  llvm::LogicalResult readState(llvm::StringRef path, tg::HostTensor &value) override;
  llvm::LogicalResult writeState(llvm::StringRef path, const tg::HostTensor &value, bool accumulate) override;
  llvm::LogicalResult readInput(llvm::StringRef name, tg::HostTensor &value) override;
  llvm::LogicalResult writeOutput(llvm::StringRef, const tg::HostTensor &) override { return mlir::success(); }

  std::mt19937_64 random;
  mlir::OpBuilder ops;
  mlir::Location loc;
  mlir::Type f32, i32, i1;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp function;
  Graph graph;
  Named current; ///< states as the functions so far have left them
  llvm::DenseMap<mlir::Value, Known> values;
  std::vector<mlir::Value> pool;
  std::vector<std::string> trainable;
  mlir::Value loss, randomState;
  bool training = false, large = false, inSegment = false;
  int names = 0, segments = 0;
  double bound = 0; ///< of the values of a step
};

} // namespace vcc::graphs

#endif
