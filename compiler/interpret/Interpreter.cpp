// SPDX-License-Identifier: Apache-2.0
//
// The reference interpreter: one pass over a function's operations, each value freed after its last use.
#include "compiler/interpret/Interpreter.h"

#include "llvm/ADT/DenseMap.h"

#include <algorithm>

using namespace mlir;
using namespace vcc;
using namespace vcc::interpret;
using tg::HostTensor;

// The values of one running function.
struct Interpreter::Frame {
  llvm::DenseMap<Value, HostTensor> Values;
  llvm::DenseMap<Value, unsigned> UsesLeft;

  void release(Value V) {
    auto Left = UsesLeft.find(V);
    if (--Left->second == 0)
      Values.erase(V);
  }
};

Interpreter::Interpreter(ModuleOp Module, tg::Precision P) : MeaningContext(P), Module(Module) {
  for (Operation &Op : *Module.getBody()) {
    if (auto State = dyn_cast<tg::StateOp>(Op))
      declare(State);
    else if (auto Kernel = dyn_cast<tg::KernelOp>(Op))
      Kernels[Kernel.getSymName()] = &Op;
    else if (auto Function = dyn_cast<func::FuncOp>(Op))
      Functions[Function.getSymName()] = &Op;
  }
}

Interpreter::~Interpreter() = default;

void Interpreter::declare(tg::StateOp Op) {
  State S{Op.getTensorType(), Op.getSymName().str(), 0};
  if (Op.getStorage()) {
    S.Storage = Op.getStorage()->str();
    S.Offset = static_cast<int64_t>(*Op.getOffset());
  } else {
    Storage[S.Storage].assign(S.Type.getNumElements(), 0.0);
  }
  States[Op.getSymName()] = std::move(S);
}

// The elements a state lives in, or null when they do not reach far enough.
std::vector<double> *Interpreter::storageOf(const State &S) {
  auto Found = Storage.find(S.Storage);
  if (Found == Storage.end() || S.Offset < 0 ||
      S.Offset + S.Type.getNumElements() > static_cast<int64_t>(Found->second.size()))
    return nullptr;
  return &Found->second;
}

LogicalResult Interpreter::setState(StringRef Path, ArrayRef<double> Elements) {
  auto Found = States.find(Path);
  if (Found == States.end() || Found->second.Type.getNumElements() != static_cast<int64_t>(Elements.size()))
    return failure();
  std::vector<double> *Flat = storageOf(Found->second);
  if (!Flat)
    return failure();
  llvm::copy(Elements, Flat->begin() + Found->second.Offset);
  return success();
}

void Interpreter::setInput(StringRef Name, HostTensor Value) { Inputs[Name] = std::move(Value); }

std::optional<HostTensor> Interpreter::state(StringRef Path) const {
  auto Found = States.find(Path);
  if (Found == States.end())
    return std::nullopt;
  std::vector<double> *Flat = const_cast<Interpreter *>(this)->storageOf(Found->second);
  if (!Flat)
    return std::nullopt;
  HostTensor Value(Found->second.Type);
  std::copy_n(Flat->begin() + Found->second.Offset, Value.size(), Value.Data.begin());
  return Value;
}

const HostTensor *Interpreter::output(StringRef Name) const {
  auto Found = Outputs.find(Name);
  return Found == Outputs.end() ? nullptr : &Found->second;
}

template <typename MapT> static std::vector<std::string> sortedKeys(const MapT &Map) {
  std::vector<std::string> Keys;
  for (const auto &Entry : Map)
    Keys.push_back(Entry.first().str());
  llvm::sort(Keys);
  return Keys;
}
std::vector<std::string> Interpreter::statePaths() const { return sortedKeys(States); }
std::vector<std::string> Interpreter::outputNames() const { return sortedKeys(Outputs); }

std::vector<std::pair<std::string, RankedTensorType>> Interpreter::inputsOf(StringRef Function) const {
  std::vector<std::pair<std::string, RankedTensorType>> Taken;
  if (Operation *Op = Functions.lookup(Function))
    Op->walk([&](tg::InputOp Input) {
      bool Known = llvm::any_of(Taken, [&](const auto &Entry) { return Entry.first == Input.getName(); });
      if (!Known)
        Taken.emplace_back(Input.getName().str(), cast<RankedTensorType>(Input.getType()));
    });
  return Taken;
}

double *Interpreter::placeOf(StringRef Path, int64_t Elements) {
  auto Found = States.find(Path);
  if (Found == States.end() || Found->second.Type.getNumElements() != Elements)
    return nullptr;
  std::vector<double> *Flat = storageOf(Found->second);
  return Flat ? Flat->data() + Found->second.Offset : nullptr;
}

LogicalResult Interpreter::readState(StringRef Path, HostTensor &Value) {
  const double *From = placeOf(Path, Value.size());
  if (!From)
    return failure();
  std::copy_n(From, Value.size(), Value.Data.begin());
  return success();
}

LogicalResult Interpreter::writeState(StringRef Path, const HostTensor &Value, bool Accumulate) {
  double *To = placeOf(Path, Value.size());
  if (!To)
    return failure();
  bool Single = precision() == tg::Precision::F32 && isa<FloatType>(Value.ElementType);
  for (int64_t I = 0; I < Value.size(); ++I) {
    double Element = Accumulate ? To[I] + Value.Data[I] : Value.Data[I];
    if (precision() == tg::Precision::Own)
      Element = tg::roundToElement(Element, Value.ElementType);
    To[I] = Single ? static_cast<float>(Element) : Element;
  }
  return success();
}

LogicalResult Interpreter::readInput(StringRef Name, HostTensor &Value) {
  auto Found = Inputs.find(Name);
  if (Found == Inputs.end() || Found->second.size() != Value.size())
    return failure();
  Value.Data = Found->second.Data;
  return success();
}

LogicalResult Interpreter::writeOutput(StringRef Name, const HostTensor &Value) {
  Outputs[Name] = Value;
  return success();
}

Operation *Interpreter::lookupKernel(StringRef Name) { return Kernels.lookup(Name); }

LogicalResult Interpreter::runOp(Operation &Op, Frame &F) {
  SmallVector<const HostTensor *> Operands;
  SmallVector<HostTensor> Results;
  for (Value Operand : Op.getOperands())
    Operands.push_back(&F.Values.find(Operand)->second);
  for (Type T : Op.getResultTypes())
    Results.emplace_back(cast<RankedTensorType>(T));
  if (failed(tg::evaluateOp(&Op, *this, Operands, Results)))
    return failure();
  for (Value Operand : Op.getOperands())
    F.release(Operand);
  for (auto [Result, Tensor] : llvm::zip_equal(Op.getResults(), Results)) {
    if (Result.use_empty())
      continue;
    F.UsesLeft[Result] = static_cast<unsigned>(std::distance(Result.use_begin(), Result.use_end()));
    F.Values[Result] = std::move(Tensor);
  }
  return success();
}

func::FuncOp Interpreter::find(StringRef Name) {
  auto Function = dyn_cast_if_present<func::FuncOp>(Functions.lookup(Name));
  if (!Function || Function.getBody().empty()) {
    Module.emitError("the module has no function `") << Name << "` to run";
    return {};
  }
  if (Function.getNumArguments() != 0 || Function.getNumResults() != 0 || !llvm::hasSingleElement(Function.getBody())) {
    Function.emitError("only functions of one block without arguments and results can be run");
    return {};
  }
  return Function;
}

LogicalResult Interpreter::run(StringRef Name) { return runTogether(this, Name); }

LogicalResult Interpreter::runTogether(ArrayRef<Interpreter *> Ranks, StringRef Name) {
  func::FuncOp Function = Ranks.front()->find(Name);
  if (!Function)
    return failure();
  std::vector<Frame> Frames(Ranks.size());
  for (auto [Number, Run] : llvm::enumerate(Ranks)) {
    Run->Outputs.clear();
    Run->Rank = static_cast<int64_t>(Number);
  }
  for (Operation &Op : Function.getBody().front().without_terminator()) {
    std::vector<HostTensor> Peers;
    if (Ranks.size() > 1 && isa<tg::AllGatherOp, tg::ReduceScatterOp>(Op))
      for (Frame &F : Frames)
        Peers.push_back(F.Values.find(Op.getOperand(0))->second);
    for (auto [Run, F] : llvm::zip_equal(Ranks, Frames)) {
      Run->Peers = Peers;
      LogicalResult Done = Run->runOp(Op, F);
      Run->Peers = {};
      if (failed(Done))
        return failure();
    }
  }
  return success();
}
