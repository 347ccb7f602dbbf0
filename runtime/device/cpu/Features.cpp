// SPDX-License-Identifier: Apache-2.0
//
// CPU features by CPUID and XCR0. A feature whose registers the operating system does not save counts as missing.
#include "runtime/device/cpu/Features.h"

#include "runtime/program/Failure.h"

#include <fmt/format.h>

#include <cpuid.h>
#include <string.h>

namespace vcc::runtime {

namespace {

enum Register { Eax, Ebx, Ecx, Edx };
enum Saved { Always, Avx, Avx512, Amx }; // what the operating system has to save

struct Feature {
  const char *name;
  unsigned leaf, subleaf;
  Register reg;
  unsigned bit;
  Saved saved;
};

// Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E. Names as LLVM 19 spells them.
constexpr Feature Table[] = {
    {"cx8", 1, 0, Edx, 8, Always},
    {"cmov", 1, 0, Edx, 15, Always},
    {"mmx", 1, 0, Edx, 23, Always},
    {"fxsr", 1, 0, Edx, 24, Always},
    {"sse", 1, 0, Edx, 25, Always},
    {"sse2", 1, 0, Edx, 26, Always},
    {"sse3", 1, 0, Ecx, 0, Always},
    {"pclmul", 1, 0, Ecx, 1, Always},
    {"ssse3", 1, 0, Ecx, 9, Always},
    {"fma", 1, 0, Ecx, 12, Avx},
    {"cx16", 1, 0, Ecx, 13, Always},
    {"sse4.1", 1, 0, Ecx, 19, Always},
    {"sse4.2", 1, 0, Ecx, 20, Always},
    {"crc32", 1, 0, Ecx, 20, Always},
    {"movbe", 1, 0, Ecx, 22, Always},
    {"popcnt", 1, 0, Ecx, 23, Always},
    {"aes", 1, 0, Ecx, 25, Always},
    {"xsave", 1, 0, Ecx, 27, Always},
    {"avx", 1, 0, Ecx, 28, Avx},
    {"f16c", 1, 0, Ecx, 29, Avx},
    {"rdrnd", 1, 0, Ecx, 30, Always},
    {"fsgsbase", 7, 0, Ebx, 0, Always},
    {"sgx", 7, 0, Ebx, 2, Always},
    {"bmi", 7, 0, Ebx, 3, Always},
    {"rtm", 7, 0, Ebx, 11, Always},
    {"avx2", 7, 0, Ebx, 5, Avx},
    {"bmi2", 7, 0, Ebx, 8, Always},
    {"invpcid", 7, 0, Ebx, 10, Always},
    {"avx512f", 7, 0, Ebx, 16, Avx512},
    {"avx512dq", 7, 0, Ebx, 17, Avx512},
    {"rdseed", 7, 0, Ebx, 18, Always},
    {"adx", 7, 0, Ebx, 19, Always},
    {"avx512ifma", 7, 0, Ebx, 21, Avx512},
    {"clflushopt", 7, 0, Ebx, 23, Always},
    {"clwb", 7, 0, Ebx, 24, Always},
    {"avx512cd", 7, 0, Ebx, 28, Avx512},
    {"sha", 7, 0, Ebx, 29, Always},
    {"avx512bw", 7, 0, Ebx, 30, Avx512},
    {"avx512vl", 7, 0, Ebx, 31, Avx512},
    {"avx512vbmi", 7, 0, Ecx, 1, Avx512},
    {"pku", 7, 0, Ecx, 4, Always},
    {"waitpkg", 7, 0, Ecx, 5, Always},
    {"avx512vbmi2", 7, 0, Ecx, 6, Avx512},
    {"shstk", 7, 0, Ecx, 7, Always},
    {"gfni", 7, 0, Ecx, 8, Always},
    {"vaes", 7, 0, Ecx, 9, Avx},
    {"vpclmulqdq", 7, 0, Ecx, 10, Avx},
    {"avx512vnni", 7, 0, Ecx, 11, Avx512},
    {"avx512bitalg", 7, 0, Ecx, 12, Avx512},
    {"avx512vpopcntdq", 7, 0, Ecx, 14, Avx512},
    {"rdpid", 7, 0, Ecx, 22, Always},
    {"kl", 7, 0, Ecx, 23, Always},
    {"cldemote", 7, 0, Ecx, 25, Always},
    {"movdiri", 7, 0, Ecx, 27, Always},
    {"movdir64b", 7, 0, Ecx, 28, Always},
    {"enqcmd", 7, 0, Ecx, 29, Always},
    {"uintr", 7, 0, Edx, 5, Always},
    {"avx512vp2intersect", 7, 0, Edx, 8, Avx512},
    {"serialize", 7, 0, Edx, 14, Always},
    {"tsxldtrk", 7, 0, Edx, 16, Always},
    {"pconfig", 7, 0, Edx, 18, Always},
    {"amx-bf16", 7, 0, Edx, 22, Amx},
    {"avx512fp16", 7, 0, Edx, 23, Avx512},
    {"amx-tile", 7, 0, Edx, 24, Amx},
    {"amx-int8", 7, 0, Edx, 25, Amx},
    {"sha512", 7, 1, Eax, 0, Avx},
    {"sm3", 7, 1, Eax, 1, Avx},
    {"sm4", 7, 1, Eax, 2, Avx},
    {"raoint", 7, 1, Eax, 3, Always},
    {"avxvnni", 7, 1, Eax, 4, Avx},
    {"avx512bf16", 7, 1, Eax, 5, Avx512},
    {"cmpccxadd", 7, 1, Eax, 7, Always},
    {"amx-fp16", 7, 1, Eax, 21, Amx},
    {"hreset", 7, 1, Eax, 22, Always},
    {"avxifma", 7, 1, Eax, 23, Avx},
    {"avxvnniint8", 7, 1, Edx, 4, Avx},
    {"avxneconvert", 7, 1, Edx, 5, Avx},
    {"amx-complex", 7, 1, Edx, 8, Amx},
    {"avxvnniint16", 7, 1, Edx, 10, Avx},
    {"prefetchi", 7, 1, Edx, 14, Always},
    {"usermsr", 7, 1, Edx, 15, Always},
    {"xsaveopt", 0xd, 1, Eax, 0, Always},
    {"xsavec", 0xd, 1, Eax, 1, Always},
    {"xsaves", 0xd, 1, Eax, 3, Always},
    {"ptwrite", 0x14, 0, Ebx, 4, Always},
    {"sahf", 0x80000001, 0, Ecx, 0, Always},
    {"lzcnt", 0x80000001, 0, Ecx, 5, Always},
    {"sse4a", 0x80000001, 0, Ecx, 6, Always},
    {"prfchw", 0x80000001, 0, Ecx, 8, Always},
    {"xop", 0x80000001, 0, Ecx, 11, Avx},
    {"lwp", 0x80000001, 0, Ecx, 15, Always},
    {"fma4", 0x80000001, 0, Ecx, 16, Avx},
    {"tbm", 0x80000001, 0, Ecx, 21, Always},
    {"mwaitx", 0x80000001, 0, Ecx, 29, Always},
    {"64bit", 0x80000001, 0, Edx, 29, Always},
    {"clzero", 0x80000008, 0, Ebx, 0, Always},
    {"rdpru", 0x80000008, 0, Ebx, 4, Always},
    {"wbnoinvd", 0x80000008, 0, Ebx, 9, Always},
};

bool bitOf(unsigned leaf, unsigned subleaf, Register reg, unsigned bit) {
  unsigned values[4] = {};
  if (__get_cpuid_max(leaf & 0x80000000u, nullptr) < leaf)
    return false;
  __cpuid_count(leaf, subleaf, values[0], values[1], values[2], values[3]);
  return values[reg] >> bit & 1;
}

/// What the operating system saves on a context switch (XCR0).
uint64_t savedState() {
  constexpr unsigned OsXsave = 27;
  if (!bitOf(1, 0, Ecx, OsXsave))
    return 0;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

bool isSaved(Saved saved, uint64_t state) {
  uint64_t needed = saved == Avx ? 0x6 : saved == Avx512 ? 0xe6 : saved == Amx ? 0x60000 : 0;
  return (state & needed) == needed;
}

enum class Answer { Present, Missing, Unknown };

Answer ask(const std::string &name, uint64_t state) {
  if (name == "x87" || name == "evex512") // the former is in every x86-64, the latter says how, not what
    return Answer::Present;
  for (const Feature &feature : Table)
    if (name == feature.name)
      return bitOf(feature.leaf, feature.subleaf, feature.reg, feature.bit) &&
                     isSaved(feature.saved, state)
                 ? Answer::Present
                 : Answer::Missing;
  return Answer::Unknown;
}

} // namespace

void checkFeatures(const std::vector<std::string> &features, const std::string &compiledFor) {
  uint64_t state = savedState();
  std::string missing, unknown;
  for (const std::string &given : features) {
    if (!given.empty() && given[0] == '-')
      continue;
    std::string name = !given.empty() && given[0] == '+' ? given.substr(1) : given;
    Answer answer = ask(name, state);
    if (answer == Answer::Missing)
      missing += (missing.empty() ? "" : ", ") + name;
    else if (answer == Answer::Unknown)
      unknown += (unknown.empty() ? "" : ", ") + name;
  }
  if (missing.empty() && unknown.empty())
    return;
  std::string what = missing.empty() ? fmt::format("may lack {}, which this program cannot check", unknown)
                                     : fmt::format("lacks {}", missing);
  throw Failure(Exit::Machine,
                fmt::format("this program was compiled for `{}`, and this CPU ({}) {}",
                            compiledFor, cpuName(), what),
                "compile the recipe again with --cpu=native on this machine, or with --cpu=x86-64-v3");
}

std::string cpuName() {
  if (__get_cpuid_max(0x80000000u, nullptr) < 0x80000004u)
    return "unnamed x86-64";
  unsigned words[12];
  for (unsigned leaf = 0; leaf < 3; ++leaf)
    __cpuid(0x80000002u + leaf, words[leaf * 4], words[leaf * 4 + 1], words[leaf * 4 + 2],
            words[leaf * 4 + 3]);
  std::string name(reinterpret_cast<const char *>(words),
                   strnlen(reinterpret_cast<const char *>(words), sizeof words));
  while (!name.empty() && name.back() == ' ')
    name.pop_back();
  return name;
}

} // namespace vcc::runtime
