// SPDX-License-Identifier: Apache-2.0
//
// Merging of dimensions, the choice of vectors and of threads per row, and the numbers of a launch.
#include "compiler/codegen/cuda/GridWalk.h"

#include "compiler/codegen/body/Buffers.h"
#include "compiler/codegen/body/Pointwise.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace vcc::cuda {
namespace {

constexpr int64_t AccessBytes = 16;       // of one access, the most there is
constexpr int64_t ThreadElements = 16;    // of a row that a thread should have
constexpr int64_t MostThreadElements = 32;
constexpr int64_t LongRowThreads = 512;    // the most for a row that stays in registers
constexpr int64_t MostThreadWork = 1024;   // instructions for all elements of a thread, which are written one behind the other
constexpr int64_t LoopThreads = 256;       // for a row that does not
constexpr int64_t BlockRegisters = 65536, OwnRegisters = 72;
constexpr int64_t LaneColumns = 4;        // rows this short have one thread each
constexpr int64_t StridedColumns = 1024;  // and rows up to this whose columns lie apart, since their neighbours lie beside them

/// A buffer of the kernel: a parameter that is not uniform, or a result.
struct Operand {
  Type Element;
  int64_t InnerStride;
  bool Row, Table, Sum;
};

SmallVector<Operand> operandsOf(tg::KernelOp Kernel) {
  SmallVector<Operand> Found;
  Block &Body = Kernel.getBody().front();
  auto Add = [&](Value V, int64_t Stride, bool Table, bool Sum) {
    Found.push_back({getElementTypeOrSelf(V.getType()), Stride, codegen::isRow(V), Table, Sum});
  };
  for (auto [I, Argument] : llvm::enumerate(Body.getArguments()))
    if (tg::ParamAttr Param = Kernel.getParam(I); Param.getKind() != tg::ParamKind::Uniform)
      Add(Argument, Param.getStride(), Param.getKind() == tg::ParamKind::Indexed, false);
  for (auto [I, Result] : llvm::enumerate(Body.getTerminator()->getOperands())) {
    tg::ResultAttr Attr = Kernel.getResultKind(I);
    Add(Result, Attr.getStride(), Attr.getKind() == tg::ResultKind::Scatter, codegen::isSum(Attr.getKind()));
  }
  return Found;
}

/// The outer dimensions with those of one element left out and neighbours that every operand steps through as one made one.
struct MergedWalk {
  SmallVector<int64_t> Dims;
  SmallVector<SmallVector<int64_t>> Strides; // per operand; of a sum empty
};

MergedWalk merge(ArrayRef<Operand> Operands, const LaunchShape &Shape) {
  MergedWalk Walk;
  Walk.Strides.resize(Operands.size());
  for (size_t D = 0; D < Shape.Dims.size(); ++D) {
    if (Shape.Dims[D] == 1)
      continue;
    bool Joins = !Walk.Dims.empty();
    for (size_t I = 0; I < Operands.size() && Joins; ++I)
      if (!Operands[I].Sum)
        Joins = Walk.Strides[I].back() == Shape.Accesses[I].getStrides()[D] * Shape.Dims[D];
    if (Joins)
      Walk.Dims.back() *= Shape.Dims[D];
    else
      Walk.Dims.push_back(Shape.Dims[D]);
    for (size_t I = 0; I < Operands.size(); ++I)
      if (!Operands[I].Sum) {
        int64_t Stride = Shape.Accesses[I].getStrides()[D];
        if (Joins)
          Walk.Strides[I].back() = Stride;
        else
          Walk.Strides[I].push_back(Stride);
      }
  }
  if (Walk.Dims.empty()) {
    Walk.Dims.push_back(1);
    for (size_t I = 0; I < Operands.size(); ++I)
      if (!Operands[I].Sum)
        Walk.Strides[I].push_back(0);
  }
  return Walk;
}

/// Whether an operand allows accesses of `Vector` elements along a row (flat: along the innermost dimension).
bool allows(const Operand &O, ArrayRef<int64_t> Strides, const LaunchShape &Shape, size_t I, bool Flat, int64_t Vector) {
  if (O.Sum)
    return true;
  int64_t Bytes = storedBytes(O.Element);
  ArrayRef<int64_t> Outer = Strides;
  if (Flat) {
    if (O.Table)
      return false;
    if (llvm::all_of(Strides, [](int64_t Stride) { return Stride == 0; }))
      return true;
    if (Strides.back() != 1)
      return false;
    Outer = Strides.drop_back();
  } else {
    if (!O.Row || O.InnerStride != 1)
      return true; // element by element in any case
    if (O.Table && Shape.Accesses[I].getStrides().drop_back().back() % Vector != 0)
      return false;
  }
  if (llvm::any_of(Outer, [&](int64_t Stride) { return Stride % Vector != 0; }))
    return false;
  return (Shape.ByteOffsets[I] + Shape.Accesses[I].getOffset() * Bytes) % (Vector * Bytes) == 0;
}

unsigned chooseVector(tg::KernelOp Kernel, ArrayRef<Operand> Operands, const MergedWalk &Walk, const LaunchShape &Shape) {
  bool Flat = Kernel.getKernelClass() == tg::KernelClass::Flat;
  int64_t Least = 8;
  bool Contiguous = false;
  for (auto [I, O] : llvm::enumerate(Operands)) {
    bool Moves = Flat ? !O.Sum && llvm::any_of(Walk.Strides[I], [](int64_t S) { return S != 0; }) : O.Row && O.InnerStride == 1;
    Contiguous |= Moves;
    if (Moves && storedBytes(O.Element) > 1)
      Least = std::min(Least, storedBytes(O.Element));
  }
  if (!Contiguous)
    return 1;
  for (int64_t Vector = AccessBytes / Least; Vector > 1; Vector /= 2) {
    bool Fits = Flat ? Walk.Dims.size() == 1 || Walk.Dims.back() % Vector == 0
                     : static_cast<int64_t>(Kernel.getColumns()) % Vector == 0;
    if (Flat && hasSums(Kernel))
      Fits &= Shape.RowsPerChunk % Vector == 0;
    for (auto [I, O] : llvm::enumerate(Operands))
      Fits = Fits && allows(O, Walk.Strides[I], Shape, I, Flat, Vector);
    if (Fits)
      return static_cast<unsigned>(Vector);
  }
  return 1;
}

} // namespace

int64_t storedBytes(Type Element) { return llvm::divideCeil(Element.getIntOrFloatBitWidth(), 8); }

bool hasSums(tg::KernelOp Kernel) {
  return llvm::any_of(Kernel.getResults().getAsRange<tg::ResultAttr>(),
                      [](tg::ResultAttr Result) { return codegen::isSum(Result.getKind()); });
}

std::string GridWalk::suffix() const {
  std::string Text = "_r" + std::to_string(Rank) + "v" + std::to_string(Vector) + "_";
  for (Motion M : Motions)
    Text += static_cast<char>(M);
  return Text;
}

/// How many elements of one column a thread holds from one pass over a row to the next: values that a later pass uses, and sums.
static int64_t heldPerColumn(tg::KernelOp Kernel) {
  Block &Body = Kernel.getBody().front();
  codegen::BodyLevels Levels(Body);
  llvm::DenseMap<Value, unsigned> First; // the pass that makes a value
  auto Visit = [&](Value V, unsigned Pass) {
    SmallVector<Value> Todo{V};
    while (!Todo.empty()) {
      Value Next = Todo.pop_back_val();
      if (!codegen::isRow(Next) || !First.try_emplace(Next, Pass).second)
        continue;
      if (Operation *Op = Next.getDefiningOp())
        llvm::append_range(Todo, Op->getOperands());
    }
  };
  for (unsigned Pass = 0; Pass <= Levels.last(); ++Pass) {
    for (tg::ReduceOp Op : Levels.reductionsOf(Pass))
      Visit(Op.getX(), Pass);
    if (Pass == Levels.last())
      for (Value Result : Body.getTerminator()->getOperands())
        Visit(Result, Pass);
  }
  int64_t Held = 0;
  for (auto [V, Pass] : First) {
    if (Operation *Op = V.getDefiningOp(); Op && isa<tg::BroadcastOp, tg::ConstantOp, tg::IotaOp>(Op))
      continue;
    unsigned Made = Pass;
    Held += llvm::any_of(V.getUsers(), [&](Operation *User) {
      if (auto Reduce = dyn_cast<tg::ReduceOp>(User))
        return Levels.of(Reduce.getX()) > Made;
      return User == Body.getTerminator() ? Levels.last() > Made : First.lookup(User->getResult(0)) > Made;
    });
  }
  // Not taken apart yet: the row and its exponentials.
  for (Operation &Op : Body)
    Held += isa<tg::SoftmaxOp, tg::LogSoftmaxOp>(Op) ? 2 : 0;
  for (auto [I, Result] : llvm::enumerate(Body.getTerminator()->getOperands()))
    Held += codegen::isRow(Result) && codegen::isSum(Kernel.getResultKind(I).getKind());
  return Held;
}

/// About how many instructions a column takes.
static int64_t workPerColumn(tg::KernelOp Kernel) {
  constexpr int64_t Plain = 1, Expensive = 20, Draw = 80; // a polynomial; the rounds of Philox
  int64_t Work = 0;
  for (Operation &Op : Kernel.getBody().front())
    if (Op.getNumResults() == 1 && codegen::isRow(Op.getResult(0)))
      Work += isa<tg::DrawUniformOp, tg::DrawNormalOp>(Op) ? Draw : codegen::Pointwise::isExpensive(&Op) ? Expensive : Plain;
  return Work;
}

Geometry geometryOf(tg::KernelOp Kernel, unsigned Vector) {
  Geometry Shape;
  if (Kernel.getKernelClass() == tg::KernelClass::Flat)
    return Shape;
  int64_t Columns = Kernel.getColumns(), Vectors = llvm::divideCeil(Columns, int64_t(Vector));
  int64_t Buffers = Kernel.getBody().front().getNumArguments() + Kernel.getResults().size();
  int64_t PerThread = std::max<int64_t>(1, ThreadElements / Vector), Most = std::max<int64_t>(1, MostThreadElements / Vector);
  int64_t Held = heldPerColumn(Kernel) * Vector, Work = workPerColumn(Kernel) * Vector;
  // Addresses take two registers; a pass needs some for itself. Much work is for more threads: more of them then fit on the chip, and
  // the code for one stays short.
  auto Fits = [&](int64_t Threads, int64_t Chunks) {
    int64_t Registers = std::min<int64_t>(255, BlockRegisters / Threads) - OwnRegisters - 4 * Buffers;
    bool Short = Chunks == 1 || Chunks * Work <= MostThreadWork;
    return Short && Chunks <= Most && Chunks * Held <= std::max<int64_t>(Registers, 8 * Vector);
  };
  auto Take = [&](int64_t Threads, int64_t Group, bool InRegisters) {
    return Geometry{Threads, Group, static_cast<int64_t>(llvm::divideCeil(Vectors, Group)), InRegisters};
  };
  // The threads of a row of a table agree on whether to add to it, so they are whole warps.
  if (Kernel.getKernelClass() == tg::KernelClass::Scatter)
    return Vectors > WarpThreads * Most ? Take(LoopThreads, LoopThreads, false) : Take(128, WarpThreads, false);
  int64_t Threads = hasSums(Kernel) ? 256 : 128, Group = 1;
  SmallVector<Operand> Operands = operandsOf(Kernel);
  bool Apart = llvm::none_of(Operands, [](const Operand &O) { return O.Row && O.InnerStride == 1; }) &&
               llvm::any_of(Operands, [](const Operand &O) { return O.Row; });
  if (Apart && Columns > LaneColumns && Columns <= StridedColumns && !hasSums(Kernel))
    return Take(Threads, 1, false);
  if (Columns > LaneColumns)
    while (Group < WarpThreads && Group * (Columns <= 16 ? 1 : PerThread) < Vectors)
      Group *= 2;
  for (; Group <= WarpThreads; Group *= 2)
    if (Fits(Threads, llvm::divideCeil(Vectors, Group)))
      return Take(Threads, Group, true);
  for (Threads = 128; Threads <= LongRowThreads; Threads *= 2)
    if (Threads * (Threads < LongRowThreads ? PerThread : Most) >= Vectors && Fits(Threads, llvm::divideCeil(Vectors, Threads)))
      return Take(Threads, Threads, true);
  return Take(LoopThreads, LoopThreads, false);
}

FailureOr<GridLaunch> planGridLaunch(tg::KernelOp Kernel, const LaunchShape &Shape) {
  SmallVector<Operand> Operands = operandsOf(Kernel);
  assert(Operands.size() == Shape.Accesses.size() && Operands.size() == Shape.ByteOffsets.size());
  MergedWalk Walk = merge(Operands, Shape);
  bool Flat = Kernel.getKernelClass() == tg::KernelClass::Flat;
  int64_t Rows = 1;
  for (int64_t Dim : Walk.Dims)
    Rows *= Dim;
  GridLaunch Launch;
  Launch.Walk.Rank = Walk.Dims.size();
  Launch.Walk.Vector = chooseVector(Kernel, Operands, Walk, Shape);
  Launch.Shape = geometryOf(Kernel, Launch.Walk.Vector);
  // Rows are taken apart by 32-bit divisions.
  if (Launch.Walk.Rank > 1 && Rows > std::numeric_limits<int32_t>::max())
    return Kernel.emitOpError("is launched over ") << Rows << " rows in " << Launch.Walk.Rank
                                                   << " dimensions, but CUDA kernels count to 2147483647 there";
  Launch.Words.push_back(Rows);
  llvm::append_range(Launch.Words, ArrayRef<int64_t>(Walk.Dims).drop_front());
  for (auto [I, O] : llvm::enumerate(Operands)) {
    Launch.Offsets.push_back(Shape.Accesses[I].getOffset());
    Motion M = Motion::Fixed;
    ArrayRef<int64_t> Strides = Walk.Strides[I];
    if (llvm::any_of(Strides, [](int64_t Stride) { return Stride != 0; }))
      M = Flat && Strides.back() == 1 ? Motion::Unit : Motion::Any;
    if (M != Motion::Fixed)
      llvm::append_range(Launch.Words, M == Motion::Unit ? Strides.drop_back() : Strides);
    if (O.Table)
      llvm::append_range(Launch.Words, Shape.Accesses[I].getStrides().take_back(2));
    Launch.Walk.Motions.push_back(M);
  }
  llvm::append_range(Launch.Words, Shape.Uniforms);
  int64_t PerBlock = Flat ? Launch.Shape.Threads * Launch.Walk.Vector : Launch.Shape.rowsPerBlock();
  if (hasSums(Kernel)) {
    Launch.Words.push_back(Shape.RowsPerChunk);
    Launch.Blocks = Shape.Units;
  } else {
    Launch.Blocks = llvm::divideCeil(Kernel.getKernelClass() == tg::KernelClass::Scatter ? Shape.Units : Rows, PerBlock);
  }
  if (Launch.Blocks > std::numeric_limits<int32_t>::max())
    return Kernel.emitOpError("would be launched by ") << Launch.Blocks << " blocks, but a grid has no more than 2147483647";
  return Launch;
}

} // namespace vcc::cuda
