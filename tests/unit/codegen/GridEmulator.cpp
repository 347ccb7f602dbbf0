// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/codegen/GridEmulator.h"

#include "llvm/ADT/TypeSwitch.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "tests/unit/codegen/LaneArithmetic.h"
#include <map>

using namespace mlir;

namespace vcc::test {
namespace {

using Mask = std::vector<uint8_t>;

/// A value of every thread: `Width` elements each, as bits.
struct Register {
  unsigned Width = 1;
  Type Element;
  std::vector<uint64_t> Bits;
};

/// Who touched a byte last. A thread is its number in the grid; a block's barriers are counted.
struct Touch {
  static constexpr int64_t None = -1, Several = -2;
  int64_t Writer = None, Reader = None, ReaderBlock = None;
  int WriterRound = 0, ReaderRound = 0;
};

struct Area {
  char *Data;
  size_t Bytes;
  std::vector<Touch> Touches;
};

class Emulation {
public:
  Emulation(gpu::GPUFuncOp Function, gpu::GPUModuleOp Module, const std::vector<DeviceMemory> &Memory) : Function(Function) {
    for (const DeviceMemory &M : Memory)
      Areas[M.Data] = {M.Data, M.Bytes, std::vector<Touch>(M.Bytes)};
    for (auto Global : Module.getOps<LLVM::GlobalOp>())
      addTable(Global);
    Threads = (*Function.getKnownBlockSize())[0];
  }

  std::string run(int64_t Blocks, const std::vector<void *> &Pointers, ArrayRef<int64_t> Words) {
    auto Arguments = Function.getArguments().drop_back(Function.getNumWorkgroupAttributions());
    if (Arguments.size() != Pointers.size() + Words.size())
      return "the kernel takes " + std::to_string(Arguments.size()) + " arguments but gets " +
             std::to_string(Pointers.size() + Words.size());
    for (BlockNumber = 0; BlockNumber < Blocks && Error.empty(); ++BlockNumber) {
      Round = 0;
      for (auto [I, Argument] : llvm::enumerate(Arguments)) {
        uint64_t Bits = I < Pointers.size() ? reinterpret_cast<uint64_t>(Pointers[I]) : uint64_t(Words[I - Pointers.size()]);
        fresh(Argument).Bits.assign(Threads, Bits);
      }
      openBlockMemory();
      runBlock(Function.getBody().front(), Mask(Threads, 1));
    }
    return Error;
  }

private:
  void fail(Operation *Op, const std::string &Why) {
    if (!Error.empty())
      return;
    llvm::raw_string_ostream Stream(Error);
    Stream << Why << "\n  in block " << BlockNumber << " at ";
    Op->print(Stream, OpPrintingFlags().useLocalScope().skipRegions());
  }

  Register &fresh(Value V) {
    std::unique_ptr<Register> &Known = Registers[V];
    if (!Known)
      Known = std::make_unique<Register>();
    Register &R = *Known;
    R.Element = getElementTypeOrSelf(V.getType());
    R.Width = isa<VectorType>(V.getType()) ? mlir::cast<VectorType>(V.getType()).getNumElements() : 1;
    R.Bits.resize(size_t(Threads) * R.Width);
    return R;
  }
  Register &get(Value V) { return *Registers.find(V)->second; }

  void addTable(LLVM::GlobalOp Global) {
    auto Dense = mlir::cast<DenseElementsAttr>(*Global.getValue());
    std::vector<char> &Bytes = Tables[Global.getSymName().str()];
    ArrayRef<char> Raw = Dense.getRawData();
    size_t Size = Dense.getNumElements() * (Dense.getElementType().getIntOrFloatBitWidth() / 8);
    Bytes.resize(Size + 16);
    char *Start = reinterpret_cast<char *>((reinterpret_cast<uint64_t>(Bytes.data()) + 15) / 16 * 16);
    for (size_t I = 0; I < Size; ++I)
      Start[I] = Raw[Dense.isSplat() ? I % Raw.size() : I];
    TableStarts[Global.getSymName().str()] = Start;
    Areas[Start] = {Start, Size, std::vector<Touch>(Size)};
  }

  void openBlockMemory() {
    BlockMemories.clear();
    for (BlockArgument Attribution : Function.getWorkgroupAttributions()) {
      auto Type = mlir::cast<MemRefType>(Attribution.getType());
      BlockMemories[Attribution].resize(Type.getNumElements());
    }
  }

  /// The area that holds [Address, Address + Bytes), or null.
  Area *areaOf(uint64_t Address, size_t Bytes) {
    auto Next = Areas.upper_bound(reinterpret_cast<char *>(Address));
    if (Next == Areas.begin())
      return nullptr;
    Area &Found = std::prev(Next)->second;
    return Address + Bytes <= reinterpret_cast<uint64_t>(Found.Data) + Found.Bytes ? &Found : nullptr;
  }

  bool touch(Touch &T, int64_t Thread, bool Writes) {
    auto Ordered = [&](int64_t BlockOfOther, int Then) { return BlockOfOther == BlockNumber && Then < Round; };
    bool Fine = T.Writer == Touch::None || T.Writer == Thread || Ordered(T.Writer / Threads, T.WriterRound);
    if (Writes && T.Reader != Touch::None && T.Reader != Thread)
      Fine &= Ordered(T.ReaderBlock, T.ReaderRound);
    if (Writes) {
      T.Writer = Thread;
      T.WriterRound = Round;
    } else {
      T.ReaderBlock = T.Reader == Touch::None || T.ReaderBlock == BlockNumber ? BlockNumber : Touch::Several;
      T.Reader = T.Reader == Touch::None || T.Reader == Thread ? Thread : Touch::Several;
      T.ReaderRound = Round;
    }
    return Fine;
  }

  /// Checks an access of one thread and gives its place, or null after an error.
  char *access(Operation *Op, uint64_t Address, size_t Bytes, unsigned Alignment, unsigned Thread, bool Writes) {
    Area *Found = areaOf(Address, Bytes);
    if (!Found) {
      fail(Op, "thread " + std::to_string(Thread) + " leaves the memory that the kernel was given");
      return nullptr;
    }
    if (Alignment && Address % Alignment) {
      fail(Op, "thread " + std::to_string(Thread) + " has an address that is not aligned to " + std::to_string(Alignment));
      return nullptr;
    }
    size_t First = Address - reinterpret_cast<uint64_t>(Found->Data);
    for (size_t I = 0; I < Bytes; ++I)
      if (!touch(Found->Touches[First + I], BlockNumber * Threads + Thread, Writes)) {
        fail(Op, "thread " + std::to_string(Thread) + " races at byte " + std::to_string(First + I));
        return nullptr;
      }
    return Found->Data + First;
  }

  void runBlock(mlir::Block &Body, const Mask &Active) {
    for (Operation &Op : Body) {
      if (!Error.empty())
        return;
      runOp(Op, Active);
    }
  }

  void copy(ValueRange From, ValueRange To, const Mask &Active) {
    // All are read before any is written: a loop may yield its arguments in another order.
    std::vector<Register> Read;
    for (Value V : From)
      Read.push_back(get(V));
    for (auto [R, Target] : llvm::zip(Read, To)) {
      Register &Out = fresh(Target);
      for (unsigned T = 0; T < Threads; ++T)
        if (Active[T])
          std::copy_n(&R.Bits[T * R.Width], R.Width, &Out.Bits[T * R.Width]);
    }
  }

  static bool any(const Mask &M) { return llvm::is_contained(M, 1); }

  void runIf(scf::IfOp If, const Mask &Active) {
    Mask Then(Threads), Else(Threads);
    Register &Condition = get(If.getCondition());
    for (unsigned T = 0; T < Threads; ++T)
      (Condition.Bits[T] ? Then : Else)[T] = Active[T];
    for (auto [Taken, Region] : {std::pair(&Then, &If.getThenRegion()), std::pair(&Else, &If.getElseRegion())}) {
      if (Region->empty() || !any(*Taken))
        continue;
      runBlock(Region->front(), *Taken);
      if (!Error.empty())
        return;
      copy(Region->front().getTerminator()->getOperands(), If.getResults(), *Taken);
    }
  }

  void runFor(scf::ForOp For, Mask Active) {
    const Mask Entered = Active;
    Register &Place = fresh(For.getInductionVar());
    Register From = get(For.getLowerBound()), To = get(For.getUpperBound()), Step = get(For.getStep());
    Place.Bits = From.Bits;
    copy(For.getInitArgs(), For.getRegionIterArgs(), Active);
    while (true) {
      Register &Now = get(For.getInductionVar());
      for (unsigned T = 0; T < Threads; ++T)
        Active[T] = Active[T] && int64_t(Now.Bits[T]) < int64_t(To.Bits[T]);
      if (!any(Active))
        break;
      runBlock(*For.getBody(), Active);
      if (!Error.empty())
        return;
      copy(For.getBody()->getTerminator()->getOperands(), For.getRegionIterArgs(), Active);
      Register &Next = get(For.getInductionVar());
      for (unsigned T = 0; T < Threads; ++T)
        Next.Bits[T] += Active[T] ? Step.Bits[T] : 0;
    }
    copy(For.getRegionIterArgs(), For.getResults(), Entered);
  }

  void runShuffle(gpu::ShuffleOp Op, const Mask &Active) {
    Register In = get(Op.getValue()), Offset = get(Op.getOffset()), Width = get(Op.getWidth());
    Register &Out = fresh(Op.getShuffleResult());
    Register &Valid = fresh(Op.getValid());
    if (Op.getMode() != gpu::ShuffleMode::XOR)
      return fail(Op, "only shuffles by xor are known");
    for (unsigned T = 0; T < Threads; ++T) {
      if (Active[T] != Active[T / 32 * 32])
        return fail(Op, "a warp shuffles without all of its threads");
      if (!Active[T])
        continue;
      if (Width.Bits[T] != 32 || Offset.Bits[T] >= 32)
        return fail(Op, "a shuffle is not over a warp");
      Out.Bits[T] = In.Bits[T / 32 * 32 + (T % 32 ^ Offset.Bits[T])];
      Valid.Bits[T] = 1;
    }
  }

  void runMemory(Operation &Op, const Mask &Active) {
    auto Load = dyn_cast<LLVM::LoadOp>(Op);
    auto Store = dyn_cast<LLVM::StoreOp>(Op);
    Register &Address = get(Load ? Load.getAddr() : Store.getAddr());
    Register &Data = Load ? fresh(Load.getResult()) : get(Store.getValue());
    unsigned Bytes = Data.Element.getIntOrFloatBitWidth() / 8;
    unsigned Alignment = Load ? Load.getAlignment().value_or(0) : Store.getAlignment().value_or(0);
    for (unsigned T = 0; T < Threads; ++T) {
      if (!Active[T])
        continue;
      char *Place = access(&Op, Address.Bits[T], size_t(Bytes) * Data.Width, Alignment, T, bool(Store));
      if (!Place)
        return;
      for (unsigned I = 0; I < Data.Width; ++I) {
        uint64_t &Bits = Data.Bits[T * Data.Width + I];
        if (Load) {
          Bits = 0;
          std::memcpy(&Bits, Place + I * Bytes, Bytes);
        } else {
          std::memcpy(Place + I * Bytes, &Bits, Bytes);
        }
      }
    }
  }

  void runBlockMemory(Operation &Op, const Mask &Active) {
    auto Load = dyn_cast<memref::LoadOp>(Op);
    auto Store = dyn_cast<memref::StoreOp>(Op);
    auto &Memory = BlockMemories.find(Load ? Load.getMemref() : Store.getMemref())->second;
    Register &Index = get(Load ? Load.getIndices()[0] : Store.getIndices()[0]);
    Register &Data = Load ? fresh(Load.getResult()) : get(Store.getValue());
    for (unsigned T = 0; T < Threads; ++T) {
      if (!Active[T])
        continue;
      if (Index.Bits[T] >= Memory.size())
        return fail(&Op, "thread " + std::to_string(T) + " leaves the memory of the block");
      auto &[Bits, Touched] = Memory[Index.Bits[T]];
      if (Load && Touched.Writer == Touch::None)
        return fail(&Op, "thread " + std::to_string(T) + " reads memory of the block that was never written");
      if (!touch(Touched, BlockNumber * Threads + T, bool(Store)))
        return fail(&Op, "thread " + std::to_string(T) + " races in the memory of the block");
      (Load ? Data.Bits[T] : Bits) = Load ? Bits : Data.Bits[T];
    }
  }

  void runOp(Operation &Op, const Mask &Active) {
    if (isa<scf::YieldOp, gpu::ReturnOp>(Op))
      return;
    if (auto If = dyn_cast<scf::IfOp>(Op))
      return runIf(If, Active);
    if (auto For = dyn_cast<scf::ForOp>(Op))
      return runFor(For, Active);
    if (auto Shuffle = dyn_cast<gpu::ShuffleOp>(Op))
      return runShuffle(Shuffle, Active);
    if (isa<LLVM::LoadOp, LLVM::StoreOp>(Op))
      return runMemory(Op, Active);
    if (isa<memref::LoadOp, memref::StoreOp>(Op))
      return runBlockMemory(Op, Active);
    if (isa<gpu::BarrierOp>(Op)) {
      if (llvm::is_contained(Active, 0))
        fail(&Op, "a barrier is not reached by every thread");
      ++Round;
      return;
    }
    runEach(Op, Active);
  }

  /// Operations of a thread alone.
  void runEach(Operation &Op, const Mask &Active) {
    if (isa<gpu::ThreadIdOp, gpu::BlockIdOp>(Op)) {
      Register &Out = fresh(Op.getResult(0));
      for (unsigned T = 0; T < Threads; ++T)
        Out.Bits[T] = isa<gpu::ThreadIdOp>(Op) ? T : uint64_t(BlockNumber);
      return;
    }
    if (auto Address = dyn_cast<LLVM::AddressOfOp>(Op)) {
      fresh(Address.getResult()).Bits.assign(Threads, reinterpret_cast<uint64_t>(TableStarts.at(Address.getGlobalName().str())));
      return;
    }
    if (auto Place = dyn_cast<LLVM::GEPOp>(Op)) {
      Register Base = get(Place.getBase());
      auto Index = Place.getIndices()[0];
      Register *Moves = isa<Value>(Index) ? &get(mlir::cast<Value>(Index)) : nullptr;
      Register &Out = fresh(Place.getResult());
      int64_t Bytes = Place.getElemType().getIntOrFloatBitWidth() / 8;
      for (unsigned T = 0; T < Threads; ++T)
        Out.Bits[T] = Base.Bits[T] + uint64_t(Bytes * (Moves ? int64_t(Moves->Bits[T]) : mlir::cast<IntegerAttr>(Index).getInt()));
      return;
    }
    std::vector<Register *> In;
    for (Value V : Op.getOperands())
      In.push_back(&get(V));
    std::vector<Register *> Out;
    for (Value V : Op.getResults())
      Out.push_back(&fresh(V));
    std::vector<Lane> Operands(In.size()), Results(Out.size());
    std::string Why;
    for (unsigned T = 0; T < Threads; ++T) {
      if (!Active[T])
        continue;
      for (size_t I = 0; I < In.size(); ++I)
        Operands[I] = {In[I]->Element, {&In[I]->Bits[T * In[I]->Width], In[I]->Width}};
      for (size_t I = 0; I < Out.size(); ++I)
        Results[I] = {Out[I]->Element, {&Out[I]->Bits[T * Out[I]->Width], Out[I]->Width}};
      if (!computeLane(Op, Operands, Results))
        return fail(&Op, "the emulator does not know this operation");
    }
  }

  gpu::GPUFuncOp Function;
  unsigned Threads;
  int64_t BlockNumber = 0;
  int Round = 0; // barriers of this block so far
  std::string Error;
  std::map<char *, Area> Areas;
  std::map<std::string, std::vector<char>> Tables;
  std::map<std::string, char *> TableStarts;
  llvm::DenseMap<Value, std::unique_ptr<Register>> Registers;
  llvm::DenseMap<Value, std::vector<std::pair<uint64_t, Touch>>> BlockMemories;
};

} // namespace

std::string emulate(ModuleOp Kernels, StringRef Name, int64_t Blocks, const std::vector<void *> &Pointers,
                    ArrayRef<int64_t> Words, const std::vector<DeviceMemory> &Memory) {
  for (auto Module : Kernels.getOps<gpu::GPUModuleOp>())
    for (auto Function : Module.getOps<gpu::GPUFuncOp>())
      if (Function.getName() == Name)
        return Emulation(Function, Module, Memory).run(Blocks, Pointers, Words);
  return "there is no kernel " + Name.str();
}

} // namespace vcc::test
