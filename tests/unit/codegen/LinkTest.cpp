// SPDX-License-Identifier: Apache-2.0
//
// From a plan and its kernels to an ELF program that runs: tables, constants, failures of the linker, equal bytes.
#include "compiler/codegen/cpu/LowerKernels.h"
#include "compiler/codegen/cpu/Object.h"
#include "compiler/link/Link.h"
#include "dialects/exec/Exec.h"
#include "runtime/program/Abi.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "mlir/Parser/Parser.h"
#include <gtest/gtest.h>

using namespace vcc;

namespace {

const char *StageText = R"(
module {
  tg.kernel @flat_scale(%x: tensor<f32>, %s: tensor<f32>) attributes {kernel_class = #tg.kernel_class<flat>, columns = 1 : i64,
      params = [#tg.param<scalar>, #tg.param<uniform>], results = [#tg.result<scalar>]} {
    %y = tg.mul %x, %s : tensor<f32>
    tg.yield %y : tensor<f32>
  }
  exec.module @only sizes {weights = 0, state = 0, arena = 1024, io = 64, constant = 64} {
    exec.buffer @c constant at 0 size 32 : tensor<8xf32> = dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]> : tensor<8xf32> why "a constant"
    exec.buffer @y arena at 0 size 32 : tensor<8xf32> live 0 to 0 in @init why "the result"
    exec.function @init {
      exec.launch @flat_scale reads [@c] writes [@y] dims [8] access [#tg.access<0, [1]>, #tg.access<0, [1]>]
          uniforms [1073741824] units 8 init "twice the \22constant\22" flops 8 bytes 64
      exec.fill @y size 32 init "zeros" flops 0 bytes 32
    }
  }
}
)";

class Linked : public ::testing::Test {
protected:
  void SetUp() override {
    Context.loadDialect<tg::TgDialect, exec::ExecDialect>();
    Stage = mlir::parseSourceString<mlir::ModuleOp>(StageText, &Context);
    ASSERT_TRUE(Stage);
    llvm::SmallString<128> Name;
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("link-test", Name));
    Folder = std::string(Name);
  }
  void TearDown() override { llvm::sys::fs::remove_directories(Folder); }

  std::vector<std::string> objects(bool WithKernels = true) {
    std::vector<std::string> Objects;
    if (WithKernels) {
      auto Target = llvm::cantFail(cpu::resolveCpu("x86-64-v2"));
      auto Kernels = cpu::lowerKernels({*Stage}, Target);
      Objects = llvm::cantFail(cpu::compileKernels(*Kernels, Target, 1));
    }
    llvm::LLVMContext LLVM;
    auto Program = llvm::cantFail(link::buildProgram({*Stage}, R"({"format":1})", LLVM));
    Objects.push_back(llvm::cantFail(link::emitProgramObject(*Program)));
    return Objects;
  }
  link::LinkOptions options(const std::string &Name) {
    link::LinkOptions Options;
    Options.Output = Folder + "/" + Name;
    Options.RuntimeLibrary = VCC_TABLE_WALKER;
    return Options;
  }
  std::string contents(const std::string &Path) {
    auto Buffer = llvm::MemoryBuffer::getFile(Path);
    return Buffer ? (*Buffer)->getBuffer().str() : "missing";
  }

  mlir::MLIRContext Context;
  mlir::OwningOpRef<mlir::ModuleOp> Stage;
  std::string Folder;
};

TEST_F(Linked, ProgramWalksItsTables) {
  link::LinkOptions Options = options("train.bin");
  llvm::Error Error = link::linkProgram(objects(), Options);
  ASSERT_FALSE(Error) << llvm::toString(std::move(Error));
  std::string Out = Folder + "/out";
  std::optional<llvm::StringRef> Redirects[] = {std::nullopt, llvm::StringRef(Out), std::nullopt};
  EXPECT_EQ(llvm::sys::ExecuteAndWait(Options.Output, {Options.Output, "--help"}, std::nullopt, Redirects), 7);
  EXPECT_EQ(contents(Out), "arguments 2 magic a434356 version " + std::to_string(VCC_ABI_VERSION) + " manifest {\"format\":1}\n"
                           "kernel flat_scale is there\n"
                           "stage only weights 0 state 0 arena 1024 io 64 constants 64\n"
                           "function init launches 2\n"
                           "launch kind 1 phase 4 name twice the \"constant\" buffers 2 ints 7 units 8 flops 8 bytes 64\n"
                           "launch kind 5 phase 4 name zeros buffers 1 ints 1 units 0 flops 0 bytes 32\n"
                           "2 4 6 8 10 12 14 16 0 0 \n");
}

TEST_F(Linked, EqualInputsGiveEqualBytes) {
  ASSERT_FALSE(bool(link::linkProgram(objects(), options("a"))));
  ASSERT_FALSE(bool(link::linkProgram(objects(), options("b"))));
  EXPECT_TRUE(contents(Folder + "/a") == contents(Folder + "/b"));
  EXPECT_EQ(contents(Folder + "/a").find(Folder), std::string::npos) << "a path is in the program";
}

TEST_F(Linked, FailuresAreSaidAndLeaveNothing) {
  std::string Missing = llvm::toString(link::linkProgram(objects(/*WithKernels=*/false), options("train.bin")));
  EXPECT_NE(Missing.find("linking failed"), std::string::npos) << Missing;
  EXPECT_NE(Missing.find("flat_scale"), std::string::npos) << Missing;
  link::LinkOptions NoLinker = options("train.bin");
  NoLinker.Linker = "no-such-linker";
  EXPECT_EQ(llvm::toString(link::linkProgram(objects(), NoLinker)), "cannot find the linker `no-such-linker`");
  link::LinkOptions NoRuntime = options("train.bin");
  NoRuntime.RuntimeLibrary = Folder + "/none.a";
  EXPECT_NE(llvm::toString(link::linkProgram(objects(), NoRuntime)).find("cannot find the runtime library"), std::string::npos);
  std::error_code Code;
  EXPECT_EQ(llvm::sys::fs::directory_iterator(Folder, Code), llvm::sys::fs::directory_iterator()) << "something was left behind";
}

} // namespace
