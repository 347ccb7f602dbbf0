// SPDX-License-Identifier: Apache-2.0
//
// What is made of an assembler's report, by assemblers that are scripts.
#include "compiler/codegen/cuda/Assemble.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <algorithm>
#include <fstream>

namespace vcc::cuda {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char *Text = ".visible .entry first(\n\t.param .u64 a\n)\n.maxntid 128, 1, 1\n{\n\tret;\n}\n"
                             ".visible .entry second(\n\t.param .u64 a\n)\n.maxntid 128, 1, 1\n{\n\tret;\n}\n";

TEST(Assemble, GivesOneKernelMoreRegisters) {
  std::string once = withRegisters(Text, "second", 96);
  EXPECT_THAT(once, HasSubstr("second(\n\t.param .u64 a\n)\n.maxntid 128, 1, 1\n.maxnreg 96\n{\n"));
  EXPECT_THAT(once.substr(0, once.find("second")), Not(HasSubstr("maxnreg")));
  std::string twice = withRegisters(once, "second", 128);
  EXPECT_THAT(twice, HasSubstr(".maxntid 128, 1, 1\n.maxnreg 128\n{\n"));
  EXPECT_THAT(twice, Not(HasSubstr("96")));
  EXPECT_EQ(withRegisters(Text, "seco", 96), Text);
}

/// A ptxas that spills `first` for sm_80 unless its limit is the one given.
llvm::Expected<DeviceCode> assembledBy(const std::string &Limit, std::string &Calls) {
  llvm::SmallString<128> Folder;
  EXPECT_FALSE(llvm::sys::fs::createUniqueDirectory("vcc-assemble", Folder));
  auto Remove = llvm::make_scope_exit([&] { llvm::sys::fs::remove_directories(Folder); });
  std::string Path = (Folder + "/ptxas").str(), Log = (Folder + "/calls").str();
  {
    std::ofstream Script(Path);
    // Arguments: -v -arch=sm_N -O3 SOURCE -o RESULT
    Script << "#!/bin/sh\necho call >> " << Log << "\necho \"cubin $2\" > $6\n"
           << "bytes=0\nregisters=40\n"
           << "case $2 in *80) grep -q 'maxnreg " << Limit << "$' $4 || bytes=8;; esac\n"
           << "for kernel in first second; do\n"
           << "  echo \"ptxas info    : Compiling entry function '$kernel' for 'sm'\"\n"
           << "  echo \"    $bytes bytes stack frame, $bytes bytes spill stores, $bytes bytes spill loads\"\n"
           << "  echo \"ptxas info    : Used $registers registers, used 0 barriers\"\n  bytes=0\ndone\n";
  }
  EXPECT_FALSE(llvm::sys::fs::setPermissions(Path, llvm::sys::fs::all_all));
  std::string Whole = Text;
  auto Code = assemble({Whole}, Path, 1);
  std::ifstream Calling(Log);
  for (std::string Line; std::getline(Calling, Line);)
    Calls += Line[0];
  return Code;
}

TEST(Assemble, RaisesLimitsUntilNothingIsSpilled) {
  std::string Calls;
  auto Code = assembledBy("56", Calls);
  ASSERT_TRUE(bool(Code)) << llvm::toString(Code.takeError());
  EXPECT_EQ(Calls, "cccccc") << "both chips as it stands, with 48 registers, with 56";
  ASSERT_EQ(Code->Modules.size(), 1u);
  EXPECT_THAT(Code->Modules[0].Ptx, HasSubstr("first(\n\t.param .u64 a\n)\n.maxntid 128, 1, 1\n.maxnreg 56\n{"));
  EXPECT_EQ(Code->Modules[0].Ptx.find("maxnreg"), Code->Modules[0].Ptx.rfind("maxnreg")) << "of one kernel alone";
  EXPECT_EQ(Code->Modules[0].Cubins, (std::vector<std::string>{"cubin -arch=sm_80\n", "cubin -arch=sm_90\n"}));
  ASSERT_EQ(Code->Resources.size(), 4u);
  EXPECT_TRUE(std::all_of(Code->Resources.begin(), Code->Resources.end(), [](const KernelResources &R) { return R.LocalBytes == 0; }));
}

TEST(Assemble, EndsWhereNoLimitHelps) {
  std::string Calls;
  auto Code = assembledBy("none", Calls);
  ASSERT_TRUE(bool(Code)) << llvm::toString(Code.takeError());
  EXPECT_THAT(Code->Modules[0].Ptx, HasSubstr(".maxnreg 255\n"));
  EXPECT_EQ(Code->Resources[0].LocalBytes, 24) << "it is told";
}

} // namespace
} // namespace vcc::cuda
