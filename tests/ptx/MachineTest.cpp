// SPDX-License-Identifier: Apache-2.0
//
// What the ISA's text says of instructions, threads and memory, case by case.
#include "tests/ptx/Machine.h"
#include "tests/ptx/Translate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

using namespace vcc::ptx;
using ::testing::HasSubstr;

namespace {

/// A kernel of two addresses, `%rd0` to read and `%rd1` to write, and plenty of registers; `%r0` is the thread.
std::string kernel(const std::string &name, const std::string &body, const std::string &shared = "") {
  return ".visible .entry " + name + "(\n.param .u64 " + name + "_param_0,\n.param .u64 " + name + "_param_1\n)\n.maxntid 128, 1, 1\n{\n" + shared +
         ".reg .pred %p<9>; .reg .b16 %rs<9>; .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .f32 %f<9>; .reg .f64 %fd<9>;\n"
         "ld.param.u64 %rd0, [" + name + "_param_0]; ld.param.u64 %rd1, [" + name + "_param_1]; mov.u32 %r0, %tid.x;\n" + body + "\nret;\n}\n";
}
std::string module(const std::string &kernels) { return "// a comment\n.version 8.0\n.target sm_80\n.address_size 64\n" + kernels; }

class Ptx : public ::testing::Test {
protected:
  void run(const Entry &entry, uint32_t blocks, uint32_t threads) {
    std::vector<uint64_t> words = {address(In), address(Out)};
    Computer.run(entry, blocks, threads, words.data(), {{address(In), address(In) + 8 * In.size()}, {address(Out), address(Out) + 8 * Out.size()}});
  }
  static uint64_t address(const std::vector<uint64_t> &of) { return reinterpret_cast<uint64_t>(of.data()); }

  /// The fault that running a kernel of this body makes.
  Fault faultOf(const std::string &body, uint32_t threads, const std::string &shared = "") {
    const Entry *entry = Computer.load(module(kernel("k", body, shared))).at(0);
    try {
      run(*entry, 2, threads);
    } catch (const Fault &fault) {
      return fault;
    }
    return {0, ""};
  }

  Machine Computer;
  std::vector<uint64_t> In = std::vector<uint64_t>(256), Out = std::vector<uint64_t>(256);
};

struct Case {
  const char *body; // leaves its result in %rd8
  uint64_t in, result;
};

constexpr uint64_t One = 0x3f800000, NotANumber = 0x7fc00001, MinusZero = 0x80000000;

// in: read into %rd2 whole, %r2 and %f2 as its lower half, %r3 and %f3 as its upper one.
const Case Cases[] = {
    {"shl.b32 %r8, %r2, %r3; cvt.u64.u32 %rd8, %r8;", 1 | 31ull << 32, 0x80000000},
    {"shl.b32 %r8, %r2, %r3; cvt.u64.u32 %rd8, %r8;", 1 | 32ull << 32, 0},
    {"shr.s32 %r8, %r2, %r3; cvt.s64.s32 %rd8, %r8;", 0xfffffff8 | 40ull << 32, ~0ull},
    {"shr.u32 %r8, %r2, %r3; cvt.u64.u32 %rd8, %r8;", 0xfffffff8 | 40ull << 32, 0},
    {"shr.u64 %rd8, %rd2, 60;", 0xf000000000000001, 0xf},
    {"bfe.u32 %r8, %r2, 8, 12; cvt.u64.u32 %rd8, %r8;", 0xabcd1234, 0xd12},
    {"bfi.b32 %r8, %r2, %r3, 8, 4; cvt.u64.u32 %rd8, %r8;", 0x1f | 0xaaaaaaaaull << 32, 0xaaaaafaa},
    {"mul.hi.u32 %r8, %r2, %r3; cvt.u64.u32 %rd8, %r8;", 0xffffffff | 0xffffffffull << 32, 0xfffffffe},
    {"mul.wide.u32 %rd8, %r2, %r3;", 0xffffffff | 2ull << 32, 0x1fffffffe},
    {"mul.wide.s32 %rd8, %r2, %r3;", 0xffffffff | 2ull << 32, ~1ull},
    {"mul.lo.s32 %r8, %r2, %r3; cvt.u64.u32 %rd8, %r8;", 0x10001 | 0x10001ull << 32, 0x20001},
    {"mad.lo.s32 %r8, %r2, %r3, 5; cvt.s64.s32 %rd8, %r8;", 0xffffffff | 7ull << 32, ~1ull},
    {"div.s32 %r8, %r2, %r3; cvt.s64.s32 %rd8, %r8;", uint32_t(-7) | 2ull << 32, uint64_t(-3)},
    {"div.u32 %r8, %r2, %r3; cvt.u64.u32 %rd8, %r8;", 0xfffffff9 | 2ull << 32, 0x7ffffffc},
    {"rem.s32 %r8, %r2, %r3; cvt.s64.s32 %rd8, %r8;", uint32_t(-7) | 2ull << 32, ~0ull},
    {"sub.s32 %r8, %r2, %r3; cvt.s64.s32 %rd8, %r8;", 0x80000000 | 1ull << 32, 0x7fffffff},
    {"min.s32 %r8, %r2, %r3; cvt.s64.s32 %rd8, %r8;", 0xffffffff | 1ull << 32, ~0ull},
    {"min.u32 %r8, %r2, %r3; cvt.u64.u32 %rd8, %r8;", 0xffffffff | 1ull << 32, 1},
    {"not.b64 %rd8, %rd2;", 1, ~1ull},
    // Floating point: results are the bits.
    {"min.f32 %f8, %f2, %f3; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", NotANumber | One << 32, One},
    {"max.f32 %f8, %f2, %f3; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", MinusZero, 0},
    {"neg.f32 %f8, %f2; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", 0, MinusZero},
    {"abs.f32 %f8, %f2; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", MinusZero | One, One},
    // (1 + 2^-23)(1 - 2^-23) - 1 is -2^-46 in one rounding, and 0 in two.
    {"fma.rn.f32 %f8, %f2, %f3, 0fBF800000; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", 0x3f800001 | 0x3f7ffffeull << 32, 0xa8800000},
    {"mul.rn.f32 %f7, %f2, %f3; add.rn.f32 %f8, %f7, 0fBF800000; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", 0x3f800001 | 0x3f7ffffeull << 32, 0},
    {"mul.rn.f32 %f8, %f2, %f2; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", 0x1f000000, 0x00080000}, // 2^-65 squared: subnormal, not flushed
    {"rcp.rn.f32 %f8, %f2; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", 0x40400000, 0x3eaaaaab},
    {"sqrt.rn.f32 %f8, %f2; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", 0x40000000, 0x3fb504f3},
    {"setp.gt.f32 %p1, %f2, %f3; selp.b64 %rd8, 1, 0, %p1;", NotANumber, 0},
    {"setp.gtu.f32 %p1, %f2, %f3; selp.b64 %rd8, 1, 0, %p1;", NotANumber, 1},
    {"setp.ne.f32 %p1, %f2, %f3; selp.b64 %rd8, 1, 0, %p1;", NotANumber, 0},
    {"setp.neu.f32 %p1, %f2, %f3; selp.b64 %rd8, 1, 0, %p1;", NotANumber, 1},
    {"setp.nan.f32 %p1, %f2, %f3; selp.b64 %rd8, 1, 0, %p1;", NotANumber, 1},
    {"setp.ne.s32 %p1, %r2, %r3; not.pred %p2, %p1; or.pred %p3, %p1, %p2; xor.pred %p4, %p3, %p1; selp.b64 %rd8, 3, 4, %p4;", 1, 4},
    {"setp.lt.s64 %p1, %rd2, 0; setp.lt.u64 %p2, %rd2, 1; and.pred %p3, %p1, %p2; selp.u32 %r8, 1, 2, %p3; cvt.u64.u32 %rd8, %r8;", ~0ull, 2},
    // Conversions: ties to even, what is too large, what is no number.
    {"cvt.rn.bf16.f32 %rs1, %f2; cvt.u32.u16 %r8, %rs1; cvt.u64.u32 %rd8, %r8;", 0x3f808000, 0x3f80},
    {"cvt.rn.bf16.f32 %rs1, %f2; cvt.u32.u16 %r8, %rs1; cvt.u64.u32 %rd8, %r8;", 0x3f818000, 0x3f82},
    {"cvt.rn.bf16.f32 %rs1, %f2; cvt.u32.u16 %r8, %rs1; cvt.u64.u32 %rd8, %r8;", NotANumber, 0x7fff},
    {"cvt.rn.f16.f32 %rs1, %f2; cvt.u32.u16 %r8, %rs1; cvt.u64.u32 %rd8, %r8;", 0x477ff000, 0x7c00},
    {"cvt.rn.f16.f32 %rs1, %f2; cvt.u32.u16 %r8, %rs1; cvt.u64.u32 %rd8, %r8;", 0x33800000, 0x0001},
    {"mov.b16 %rs1, 0xC000; cvt.f32.f16 %f8, %rs1; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", 0, 0xc0000000},
    {"cvt.rn.f32.s32 %f8, %r2; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", 16777217, 0x4b800000},
    {"cvt.rn.f32.u32 %f8, %r2; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", 0xffffffff, 0x4f800000},
    {"cvt.rzi.s32.f32 %r8, %f2; cvt.s64.s32 %rd8, %r8;", 0xc02ccccd, uint64_t(-2)},
    {"cvt.rzi.s32.f32 %r8, %f2; cvt.s64.s32 %rd8, %r8;", 0x4f32d05e, 0x7fffffff},
    {"cvt.rni.s32.f32 %r8, %f2; cvt.s64.s32 %rd8, %r8;", 0x40200000, 2},
    {"cvt.rzi.u32.f32 %r8, %f2; cvt.u64.u32 %rd8, %r8;", NotANumber, 0},
    {"cvt.f64.f32 %fd1, %f2; cvt.rmi.f64.f64 %fd2, %fd1; cvt.rn.f32.f64 %f8, %fd2; mov.b32 %r8, %f8; cvt.u64.u32 %rd8, %r8;", 0xbfc00000, 0xc0000000},
    {"mov.b64 %fd1, %rd2; add.rn.f64 %fd2, %fd1, 0d3FF0000000000000; mov.b64 %rd8, %fd2;", 0x3ff0000000000000, 0x4000000000000000},
    // 1 + 2^-11 is a tie and stays 1; -2 times 3; 65504 + 65504 is too large.
    {"add.rn.f16x2 %r8, %r2, %r3; cvt.u64.u32 %rd8, %r8;", 0x7bff3c00 | 0x7bff1000ull << 32, 0x7c003c00},
    {"mul.rn.f16x2 %r8, %r2, %r3; cvt.u64.u32 %rd8, %r8;", 0x3c00c000 | 0x38004200ull << 32, 0x3800c600},
    {"mov.b32 {%rs1, %rs2}, %r2; sub.rn.f16 %rs3, %rs1, %rs2; cvt.u32.u16 %r8, %rs3; cvt.u64.u32 %rd8, %r8;", 0x3c003c01, 0x1400},
    // Registers in parts, loads that extend, what hangs on a predicate.
    {"mov.b32 {%rs1, %rs2}, %r2; mov.b32 %r8, {%rs2, %rs1}; cvt.u64.u32 %rd8, %r8;", 0x12345678, 0x56781234},
    {"{ .reg .b32 tmp; mov.b64 {tmp, %r8}, %rd2; } cvt.u64.u32 %rd8, %r8;", 0x1234567800000000, 0x12345678},
    {"ld.global.s32 %rd8, [%rd0];", 0x80000000, 0xffffffff80000000},
    {"ld.global.u8 %rs1, [%rd0+1]; cvt.u32.u16 %r8, %rs1; cvt.u64.u32 %rd8, %r8;", 0xabcd, 0xab},
    {"ld.global.v2.b32 {%r7, %r8}, [%rd0]; cvt.u64.u32 %rd8, %r8;", 7ull << 32, 7},
    {"setp.eq.s32 %p1, %r2, 1; mov.u64 %rd8, 5; @%p1 mov.u64 %rd8, 6; @!%p1 bra $L1; bra.uni $L2;\n$L1:\nmov.u64 %rd8, 7;\n$L2:", 1, 6},
    {"setp.eq.s32 %p1, %r2, 1; mov.u64 %rd8, 5; @%p1 mov.u64 %rd8, 6; @!%p1 bra $L1; bra.uni $L2;\n$L1:\nmov.u64 %rd8, 7;\n$L2:", 2, 7},
};

TEST_F(Ptx, InstructionsMeanWhatTheIsaSays) {
  std::string text;
  for (size_t i = 0; i < std::size(Cases); ++i)
    text += kernel("k" + std::to_string(i), "ld.global.u64 %rd2, [%rd0]; ld.global.v2.u32 {%r2, %r3}, [%rd0]; mov.b32 %f2, %r2; mov.b32 %f3, %r3;\n" +
                                                std::string(Cases[i].body) + "\nst.global.u64 [%rd1], %rd8;");
  std::vector<const Entry *> entries = Computer.load(module(text));
  ASSERT_EQ(entries.size(), std::size(Cases));
  for (size_t i = 0; i < std::size(Cases); ++i) {
    In[0] = Cases[i].in, Out[0] = 0xdead;
    run(*entries[i], 1, 1);
    EXPECT_EQ(Out[0], Cases[i].result) << Cases[i].body;
  }
}

constexpr const char *Reversed = "mul.wide.u32 %rd2, %r0, 8; mov.u64 %rd3, memory; add.s64 %rd4, %rd3, %rd2; add.s64 %rd5, %rd0, %rd2; ld.global.u64 %rd6, [%rd5];\n"
                                 "st.shared.u64 [%rd4], %rd6; bar.sync 0; sub.s64 %rd7, %rd3, %rd2; ld.shared.u64 %rd6, [%rd7+504];\n"
                                 "mov.u32 %r1, %ctaid.x; mul.wide.u32 %rd8, %r1, 512; add.s64 %rd8, %rd8, %rd1; add.s64 %rd8, %rd8, %rd2; st.global.u64 [%rd8], %rd6;";

TEST_F(Ptx, ThreadsMeetAtBarriers) {
  const Entry *entry = Computer.load(module(kernel("reversed", Reversed, ".shared .align 8 .b8 memory[512];\n"))).at(0);
  for (size_t i = 0; i < 64; ++i)
    In[i] = i * i;
  run(*entry, 3, 64);
  for (size_t i = 0; i < 192; ++i)
    EXPECT_EQ(Out[i], (63 - i % 64) * (63 - i % 64));
}

TEST_F(Ptx, AWarpAddsUpByShuffles) {
  std::string body = "cvt.rn.f32.u32 %f1, %r0;\n";
  for (int bits : {16, 8, 4, 2, 1})
    body += "shfl.sync.bfly.b32 %f2, %f1, " + std::to_string(bits) + ", 31, -1; add.rn.f32 %f1, %f1, %f2;\n";
  const Entry *entry = Computer.load(module(kernel("sum", body + "mul.wide.u32 %rd2, %r0, 4; add.s64 %rd3, %rd1, %rd2; st.global.f32 [%rd3], %f1;"))).at(0);
  run(*entry, 1, 64);
  auto *sums = reinterpret_cast<const float *>(Out.data());
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(sums[i], i < 32 ? 496 : 1520);
}

TEST_F(Ptx, TablesOfAModuleCanBeRead) {
  std::string table = ".global .align 4 .b8 table[8] = {1, 2, 3, 4, 5, 6, 7, 8};\n";
  const Entry *entry = Computer.load(module(table + kernel("k", "mov.u64 %rd2, table; ld.global.u32 %r1, [%rd2+4]; st.global.u32 [%rd1], %r1;"))).at(0);
  run(*entry, 1, 1);
  EXPECT_EQ(Out[0], 0x08070605u);
}

TEST_F(Ptx, FaultsStopAKernelAndAreNamed) {
  Fault stray = faultOf("mul.wide.u32 %rd2, %r0, 8; add.s64 %rd3, %rd1, %rd2; st.global.u64 [%rd3+1984], %rd0;", 16);
  EXPECT_EQ(stray.result, Fault::Stray);
  EXPECT_THAT(stray.why, HasSubstr("k, block 0 of 2: 8 bytes at"));
  EXPECT_EQ(faultOf("ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%rd0+8];", 1).result, Fault::Misaligned);
  EXPECT_EQ(faultOf("mov.u64 %rd2, memory; st.shared.u32 [%rd2+64], %r0;", 1, ".shared .align 8 .b8 memory[64];\n").result, Fault::Stray);
  // Half of the threads are never at the barrier, or in the shuffle.
  const char *half = "setp.lt.u32 %p1, %r0, 16; @%p1 bra $L1;\n";
  EXPECT_THAT(faultOf(std::string(half) + "bar.sync 0;\n$L1:", 64).why, HasSubstr("a barrier that 16 threads of 64 never reach"));
  EXPECT_THAT(faultOf(std::string(half) + "shfl.sync.bfly.b32 %r1, %r0, 1, 31, -1;\n$L1:", 64).why, HasSubstr("a shuffle of 16 threads"));
  EXPECT_THAT(faultOf("mov.u32 %r1, %r0;", 256).why, HasSubstr("launched with 256 threads"));
}

TEST_F(Ptx, WhatIsNotKnownIsRefusedByItsText) {
  auto refusal = [](const std::string &body) -> std::string {
    try {
      return translate(read(module(kernel("k", body))));
    } catch (const std::runtime_error &error) {
      return error.what();
    }
  };
  for (const char *body : {"atom.global.add.f32 %f1, [%rd1], %f2;", "add.rn.ftz.f32 %f1, %f2, %f3;", "add.f32 %f1, %f2, %f3;", "ex2.approx.f32 %f1, %f2;",
                           "shfl.sync.bfly.b32 %r1, %r2, 1, 15, -1;", "shfl.sync.down.b32 %r1, %r2, 1, 31, -1;", "cvt.rz.f32.f64 %f1, %fd1;",
                           "add.rn.bf16 %rs1, %rs2, %rs3;", "fma.rn.f16 %rs1, %rs2, %rs3, %rs4;", "ld.local.u32 %r1, [%rd1];", "bar.sync 1, 64;", "membar.gl;"})
    EXPECT_THAT(refusal(body), HasSubstr("is not known here")) << body;
  EXPECT_THROW(read(module(".func f()")), std::runtime_error);
  EXPECT_THROW(read(".visible .entry k("), std::runtime_error);
}

} // namespace
