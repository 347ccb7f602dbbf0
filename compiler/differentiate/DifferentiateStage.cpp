// SPDX-License-Identifier: Apache-2.0
//
// Reverse accumulation over each forward function of a stage. Cotangents travel in reverse program order, so each value's
// is complete when its defining operation is reached; a weight's gradient is written as soon as the first of its users has
// been passed, not at the end, so that it need not live longer.
#include "compiler/differentiate/Activity.h"
#include "compiler/differentiate/Passes.h"
#include "dialects/tg/Build.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::differentiate;

namespace vcc::differentiate {
#define GEN_PASS_DEF_DIFFERENTIATEPASS
#include "compiler/differentiate/Passes.h.inc"
} // namespace vcc::differentiate

static constexpr StringLiteral ForwardPrefix = "forward_", MicroPrefix = "micro_", GradientPrefix = "gradient:";

namespace {

class Reverse {
public:
  Reverse(func::FuncOp Function, tg::LossOp Loss, SymbolTable &Symbols, const Activity &Active, bool Accumulate)
      : Function(Function), Loss(Loss), Symbols(Symbols), Active(Active), Accumulate(Accumulate),
        B(Function.getBody().front().getTerminator()) {
    for (const auto &[Path, Use] : Active.weights())
      if (Use.First)
        Completes[Use.First].push_back(Path);
  }

  LogicalResult run();

private:
  LogicalResult passOver(Operation *Op);
  void add(Value V, Value Cotangent, Location Loc);
  Value cotangentOf(Value V);
  void writeGradient(StringRef Path);
  void ensureGradientState(StringRef Path, RankedTensorType Type);
  Value seed();

  func::FuncOp Function;
  tg::LossOp Loss;
  SymbolTable &Symbols;
  const Activity &Active;
  bool Accumulate;
  OpBuilder B;
  llvm::DenseMap<Value, Value> Cotangents;
  llvm::DenseMap<Operation *, SmallVector<StringRef, 1>> Completes;
};

} // namespace

// The border of a segment only marks: what comes back to its value is summed in the order it would be without it, so that computing
// a segment again changes no bit.
static Value behindBorders(Value V) {
  for (auto Barrier = V.getDefiningOp<tg::BarrierOp>(); Barrier && Barrier.getBorder();
       Barrier = V.getDefiningOp<tg::BarrierOp>())
    V = Barrier.getInputs()[0];
  return V;
}

// Cotangents of bf16 and f16 are summed in f32, and the sum is rounded once.
static Value widened(OpBuilder &B, Value X, Location Loc) {
  auto Type = tg::tensorType(X);
  if (!Type.getElementType().isBF16() && !Type.getElementType().isF16())
    return X;
  return B.create<tg::CastOp>(Loc, Type.clone(B.getF32Type()), X);
}

void Reverse::add(Value V, Value Cotangent, Location Loc) {
  Value &Sum = Cotangents[behindBorders(V)];
  Sum = Sum ? B.create<tg::AddOp>(Loc, widened(B, Sum, Loc), widened(B, Cotangent, Loc)).getResult() : Cotangent;
}

/// What has arrived at a value, in the value's own type; null where nothing has.
Value Reverse::cotangentOf(Value V) {
  Value Sum = Cotangents.lookup(V);
  return Sum && Sum.getType() != V.getType() ? B.create<tg::CastOp>(V.getLoc(), V.getType(), Sum).getResult() : Sum;
}

// The state is declared by whoever lays out the stage; a bare module gets one beside the weight.
void Reverse::ensureGradientState(StringRef Path, RankedTensorType Type) {
  std::string Name = (GradientPrefix + Path).str();
  if (Symbols.lookup(Name))
    return;
  Operation *Weight = Symbols.lookup(Path);
  OpBuilder Declarations(Weight->getContext());
  auto State = Declarations.create<tg::StateOp>(Weight->getLoc(), Name, tg::StateKind::Gradient, Type,
                                                /*trainable=*/false, /*storage=*/FlatSymbolRefAttr(),
                                                /*offset=*/IntegerAttr());
  Symbols.insert(State, std::next(Weight->getIterator()));
}

void Reverse::writeGradient(StringRef Path) {
  Value Gradient;
  Location Loc = Function.getLoc();
  for (Value Read : Active.weights().find(Path)->second.Reads) {
    Loc = Read.getLoc();
    if (Value Part = cotangentOf(Read))
      Gradient = Gradient ? B.create<tg::AddOp>(Loc, Gradient, Part).getResult() : Part;
  }
  if (!Gradient)
    return;
  ensureGradientState(Path, tg::tensorType(Gradient));
  B.create<tg::WriteOp>(Loc, (GradientPrefix + Path).str(), Gradient, Accumulate);
}

LogicalResult Reverse::passOver(Operation *Op) {
  SmallVector<Value> Arrived;
  for (Value Result : Op->getResults())
    Arrived.push_back(cotangentOf(Result));
  if (llvm::none_of(Arrived, [](Value V) { return static_cast<bool>(V); }))
    return success();
  SmallVector<bool> Needed;
  for (Value Operand : Op->getOperands())
    Needed.push_back(Active.isActive(Operand));
  if (llvm::is_contained(Needed, true)) {
    auto Differentiable = dyn_cast<tg::DifferentiableOpInterface>(Op);
    if (!Differentiable)
      return Op->emitOpError("has no gradient, but a trainable weight reaches the loss through it");
    SmallVector<Value> Sent(Op->getNumOperands());
    if (failed(Differentiable.gradient(B, Arrived, Needed, Sent)))
      return failure();
    for (auto [I, Cotangent] : llvm::enumerate(Sent))
      if (Cotangent && Needed[I])
        add(Op->getOperand(I), Cotangent, Op->getLoc());
  }
  return success();
}

/// The gradient of the loss: 1, or the stage's scale where it has one, which whoever reads the gradients takes out again.
Value Reverse::seed() {
  RankedTensorType Type = tg::tensorType(Loss.getValue());
  auto Scale = Function->getParentOfType<ModuleOp>()->getAttrOfType<FlatSymbolRefAttr>("tg.loss_scale");
  if (!Scale)
    return tg::buildSplat(B, Loss.getLoc(), Type, 1.0);
  Value Read = B.create<tg::ReadOp>(Loss.getLoc(), Type.clone({1}, Type.getElementType()), Scale);
  return B.create<tg::ReshapeOp>(Loss.getLoc(), Type, Read);
}

LogicalResult Reverse::run() {
  Block &Body = Function.getBody().front();
  Operation *End = Body.getTerminator();
  Loss->moveBefore(End);
  if (!Active.isActive(Loss.getValue()))
    return success();
  SmallVector<Operation *> Forward;
  for (Operation &Op : Body.without_terminator())
    Forward.push_back(&Op);
  add(Loss.getValue(), seed(), Loss.getLoc());
  for (Operation *Op : llvm::reverse(Forward)) {
    if (failed(passOver(Op)))
      return failure();
    auto Complete = Completes.find(Op);
    if (Complete != Completes.end())
      for (StringRef Path : Complete->second)
        writeGradient(Path);
  }
  // A weight that is itself the loss has no user that could complete it.
  for (const auto &[Path, Use] : Active.weights())
    if (!Use.First)
      writeGradient(Path);
  return success();
}

static SmallVector<func::FuncOp> forwardFunctions(ModuleOp Stage) {
  SmallVector<func::FuncOp> Functions;
  for (auto Function : Stage.getOps<func::FuncOp>())
    if (Function.getSymName().starts_with(ForwardPrefix) && !Function.getBody().empty())
      Functions.push_back(Function);
  return Functions;
}

SmallVector<std::string> vcc::differentiate::findUnreachedWeights(ModuleOp Stage) {
  SymbolTable Symbols(Stage);
  llvm::StringSet<> Settled;
  if (auto Idle = Stage->getAttrOfType<ArrayAttr>("tg.idle"))
    for (Attribute Path : Idle)
      if (auto Text = dyn_cast<StringAttr>(Path))
        Settled.insert(Text.getValue());
  for (func::FuncOp Function : forwardFunctions(Stage))
    for (StringRef Path : Activity(Function, Symbols).reachedFrom(lossesOf(Function)))
      Settled.insert(Path);
  SmallVector<std::string> Unreached;
  for (auto State : Stage.getOps<tg::StateOp>())
    if (State.getTrainable() && !Settled.contains(State.getSymName()))
      Unreached.push_back(State.getSymName().str());
  return Unreached;
}

static void removeStopGradients(ModuleOp Stage) {
  Stage.walk([](tg::StopGradientOp Op) {
    Op.getResult().replaceAllUsesWith(Op.getX());
    Op.erase();
  });
}

LogicalResult vcc::differentiate::differentiateStage(ModuleOp Stage, SmallVectorImpl<std::string> &UnreachedWeights) {
  llvm::append_range(UnreachedWeights, findUnreachedWeights(Stage));
  auto Steps = Stage->getAttrOfType<IntegerAttr>("tg.accumulate");
  bool Accumulate = !Steps || Steps.getInt() != 1;
  SymbolTable Symbols(Stage);
  for (func::FuncOp Function : forwardFunctions(Stage)) {
    SmallVector<tg::LossOp> Losses = lossesOf(Function);
    if (Losses.size() != 1)
      return Function.emitError("has ") << Losses.size() << " losses, but differentiation starts from exactly one";
    Activity Active(Function, Symbols);
    if (failed(Reverse(Function, Losses.front(), Symbols, Active, Accumulate).run()))
      return failure();
    std::string Name = (MicroPrefix + Function.getSymName().drop_front(ForwardPrefix.size())).str();
    if (Symbols.lookup(Name))
      return Function.emitError("would become `") << Name << "`, which exists already";
    if (failed(Symbols.rename(Function, Name)))
      return failure();
  }
  removeStopGradients(Stage);
  return success();
}

namespace {

struct DifferentiatePass : vcc::differentiate::impl::DifferentiatePassBase<DifferentiatePass> {
  void runOnOperation() override {
    SmallVector<ModuleOp> Stages;
    getOperation()->walk([&](ModuleOp Stage) { Stages.push_back(Stage); });
    for (ModuleOp Stage : Stages)
      if (failed(runOnStage(Stage)))
        return signalPassFailure();
  }

  static LogicalResult runOnStage(ModuleOp Stage) {
    if (forwardFunctions(Stage).empty())
      return success();
    SmallVector<std::string> Unreached;
    if (failed(differentiateStage(Stage, Unreached)))
      return failure();
    for (const std::string &Path : Unreached)
      SymbolTable::lookupSymbolIn(Stage, Path)->emitError("trainable weight `")
          << Path << "` has no path to the loss and is not listed in `tg.idle`";
    return failure(!Unreached.empty());
  }
};

} // namespace
