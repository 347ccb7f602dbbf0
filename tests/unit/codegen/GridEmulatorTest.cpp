// SPDX-License-Identifier: Apache-2.0
//
// What the emulator refuses: every fault that it is there to find, in a kernel that has it.
#include "tests/unit/codegen/GridEmulator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Parser/Parser.h"
#include <gmock/gmock.h>

using namespace mlir;

namespace {

/// Runs a body of 64 threads over 64 numbers, 4 * thread; two blocks. Gives the error, and the numbers through `Data`.
std::string run(const std::string &Body, std::vector<float> &Data) {
  MLIRContext Context;
  Context.loadDialect<gpu::GPUDialect, arith::ArithDialect, scf::SCFDialect, memref::MemRefDialect, LLVM::LLVMDialect>();
  std::string Text = R"(module attributes {gpu.container_module} { gpu.module @kernels {
    gpu.func @k(%p: !llvm.ptr<1>, %n: i64) workgroup(%m : memref<64xf32, #gpu.address_space<workgroup>>)
        kernel attributes {known_block_size = array<i32: 64, 1, 1>} {
      %ti = gpu.thread_id x
      %bi = gpu.block_id x
      %t = arith.index_cast %ti : index to i64
      %b = arith.index_cast %bi : index to i64
      %c1 = arith.constant 1 : i64
      %c64 = arith.constant 64 : i64
      %first = arith.muli %b, %c64 : i64
      %e = arith.addi %first, %t : i64
      %a = llvm.getelementptr %p[%e] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, f32
      %x = llvm.load %a {alignment = 4 : i64} : !llvm.ptr<1> -> f32
      %half = arith.constant 32 : i64
      %few = arith.cmpi slt, %t, %n : i64
      %w = arith.constant 32 : i32
      %o = arith.constant 1 : i32
)" + Body + "\n gpu.return } } }";
  OwningOpRef<ModuleOp> Module = parseSourceString<ModuleOp>(Text, &Context);
  if (!Module)
    return "does not parse";
  Data.resize(128);
  for (size_t I = 0; I < Data.size(); ++I)
    Data[I] = float(I);
  return vcc::test::emulate(*Module, "k", 2, {Data.data()}, {20}, {{reinterpret_cast<char *>(Data.data()), Data.size() * 4}});
}

std::string fault(const std::string &Body) {
  std::vector<float> Data;
  return run(Body, Data);
}

const char *Reverse = R"(
  memref.store %x, %m[%ti] : memref<64xf32, #gpu.address_space<workgroup>>
  $BARRIER
  %r = arith.subi %c64, %t : i64
  %q = arith.subi %r, %c1 : i64
  %qi = arith.index_cast %q : i64 to index
  %y = memref.load %m[%qi] : memref<64xf32, #gpu.address_space<workgroup>>
  llvm.store %y, %a {alignment = 4 : i64} : f32, !llvm.ptr<1>)";

std::string reverse(const std::string &Barrier) {
  std::string Text = Reverse;
  return Text.replace(Text.find("$BARRIER"), 8, Barrier);
}

using ::testing::HasSubstr;

TEST(GridEmulator, RunsBlocksShufflesAndBarriers) {
  std::vector<float> Data;
  EXPECT_EQ(run(reverse("gpu.barrier"), Data), "");
  for (int I = 0; I < 128; ++I)
    EXPECT_EQ(Data[I], I / 64 * 64 + 63 - I % 64);
  EXPECT_EQ(run(R"(%y, %v = gpu.shuffle xor %x, %o, %w : f32
      llvm.store %y, %a {alignment = 4 : i64} : f32, !llvm.ptr<1>)", Data), "");
  for (int I = 0; I < 128; ++I)
    EXPECT_EQ(Data[I], I ^ 1);
}

TEST(GridEmulator, FindsWhatABarrierWouldOrder) {
  EXPECT_THAT(fault(reverse("")), HasSubstr("races in the memory of the block"));
  EXPECT_THAT(fault(R"(%n2 = arith.addi %e, %c1 : i64
      %last = arith.cmpi slt, %n2, %c64 : i64
      scf.if %last {
        %a2 = llvm.getelementptr %p[%n2] : (!llvm.ptr<1>, i64) -> !llvm.ptr<1>, f32
        llvm.store %x, %a2 {alignment = 4 : i64} : f32, !llvm.ptr<1>
      })"), HasSubstr("races at byte"));
  EXPECT_THAT(fault("gpu.barrier\n llvm.store %x, %p {alignment = 4 : i64} : f32, !llvm.ptr<1>"), HasSubstr("races at byte"));
}

TEST(GridEmulator, FindsDivergence) {
  EXPECT_THAT(fault("scf.if %few { gpu.barrier }"), HasSubstr("a barrier is not reached by every thread"));
  EXPECT_THAT(fault("scf.if %few { %y, %v = gpu.shuffle xor %x, %o, %w : f32 }"), HasSubstr("without all of its threads"));
}

TEST(GridEmulator, FindsWrongAddresses) {
  EXPECT_THAT(fault(R"(%far = llvm.getelementptr %a[128] : (!llvm.ptr<1>) -> !llvm.ptr<1>, f32
      llvm.store %x, %far {alignment = 4 : i64} : f32, !llvm.ptr<1>)"), HasSubstr("leaves the memory that the kernel was given"));
  EXPECT_THAT(fault("%y = llvm.load %a {alignment = 16 : i64} : !llvm.ptr<1> -> f32"), HasSubstr("not aligned to 16"));
  EXPECT_THAT(fault("%y = memref.load %m[%ti] : memref<64xf32, #gpu.address_space<workgroup>>"), HasSubstr("never written"));
}

} // namespace
