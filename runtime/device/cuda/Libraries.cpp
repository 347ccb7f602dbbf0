// SPDX-License-Identifier: Apache-2.0
//
// dlopen by pinned soname.
#include "runtime/device/cuda/Libraries.h"

#include "runtime/program/Failure.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace vcc::runtime::cuda {

namespace fs = std::filesystem;

namespace {

constexpr const char *DriverHelp = "install NVIDIA's driver (R580 or newer runs the kernels as they are compiled, R525 or newer compiles them "
                                   "when the program starts); in a container it must be passed through; `nvidia-smi` must work";

template <typename F>
void resolve(void *library, const std::string &name, const char *symbol, F &function, const char *help) {
  function = reinterpret_cast<F>(dlsym(library, symbol));
  if (!function)
    throw Failure(Exit::Machine, fmt::format("{} has no `{}`: it is too old", name, symbol), help);
}

void add(std::vector<std::string> &folders, const std::string &folder) {
  if (std::find(folders.begin(), folders.end(), folder) == folders.end())
    folders.push_back(folder);
}

/// Of `nvidia`, a folder of site-packages, those in which NVIDIA's packages of CUDA 13 and 12 keep their libraries.
void addPackages(std::vector<std::string> &folders, const fs::path &nvidia) {
  std::error_code code;
  std::vector<std::string> found;
  for (const auto &package : fs::directory_iterator(nvidia, code))
    if (fs::is_directory(package.path() / "lib", code))
      found.push_back((package.path() / "lib").string());
  std::sort(found.begin(), found.end());
  for (const std::string &folder : found)
    add(folders, folder);
}

/// A system's Python has its packages in dist-packages, some of them under `local`.
void addEnvironment(std::vector<std::string> &folders, const fs::path &environment) {
  std::error_code code;
  for (const char *part : {"lib", "local/lib"})
    for (const auto &python : fs::directory_iterator(environment / part, code))
      for (const char *packages : {"site-packages", "dist-packages"})
        addPackages(folders, python.path() / packages / "nvidia");
}

/// Of the first `python3` on the PATH, by whatever links that leads to it: one of an environment is a link to another's.
void addPython(std::vector<std::string> &folders) {
  const char *path = std::getenv("PATH");
  std::error_code code;
  for (std::string_view left = path ? path : ""; !left.empty();) {
    std::string_view place = left.substr(0, left.find(':'));
    left.remove_prefix(std::min(left.size(), place.size() + 1));
    fs::path python = fs::path(place) / "python3";
    if (place.empty() || !fs::exists(python, code))
      continue;
    for (int links = 0; links < 8; ++links) {
      fs::path folder = fs::canonical(python.parent_path(), code);
      addEnvironment(folders, folder.parent_path());
      if (!fs::is_symlink(python, code))
        return;
      python = folder / fs::read_symlink(python, code);
    }
    return;
  }
}

/// 0 where there is none.
int driverVersion() {
  int version = 0;
  try {
    loadDriver().driverVersion(&version);
  } catch (const Failure &) { // told by whoever needs it
  }
  return version;
}

/// The first of these that can be loaded; what for, and which package has it, is said where none can be.
std::pair<void *, std::string> openFirst(const std::string &folder, std::initializer_list<const char *> names, const char *needed, const char *package) {
  std::string tried;
  for (const std::string &place : libraryFolders(folder))
    for (const char *name : names) {
      std::string path = place.empty() ? name : place + "/" + name;
      if (void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL))
        return {library, path};
      tried += fmt::format("\n  {}", dlerror());
    }
  throw Failure(Exit::Machine, fmt::format("{}, which cannot be loaded:{}", needed, tried),
                fmt::format("{}, and name the folder with the library by --cuda-libs or set CUDA_HOME", package));
}

ProductApi openProducts(const std::string &folder) {
  // One of CUDA 13 can be loaded beside a driver of CUDA 12, but does not start.
  int driver = driverVersion();
  auto [library, path] = driver && driver < 13000
                             ? openFirst(folder, {"libcublasLt.so.12"}, "matrix products need libcublasLt.so.12, as the driver is of CUDA 12",
                                         "pip install nvidia-cublas-cu12, or install the CUDA toolkit")
                             : openFirst(folder, {"libcublasLt.so.13", "libcublasLt.so.12"}, "matrix products need libcublasLt.so.13 or .12",
                                         "pip install nvidia-cublas, or install the CUDA toolkit");
  ProductApi api;
  const char *help = "cuBLASLt 12 or 13 is needed";
#define VCC_RESOLVE(MEMBER, SYMBOL, PARAMETERS) resolve(library, path, #SYMBOL, api.MEMBER, help);
  VCC_PRODUCT_CALLS(VCC_RESOLVE)
#undef VCC_RESOLVE
  resolve(library, path, "cublasLtGetVersion", api.version, help);
  return api;
}

CollectiveApi openCollectives(const std::string &folder) {
  auto [library, path] = openFirst(folder, {"libnccl.so.2"}, "several ranks on GPUs need libnccl.so.2",
                                   "pip install nvidia-nccl-cu13 (nvidia-nccl-cu12 for a driver older than R580)");
  CollectiveApi api;
  const char *help = "NCCL 2.18 or newer is needed";
#define VCC_RESOLVE(MEMBER, SYMBOL, PARAMETERS) resolve(library, path, #SYMBOL, api.MEMBER, help);
  VCC_COLLECTIVE_CALLS(VCC_RESOLVE)
#undef VCC_RESOLVE
  resolve(library, path, "ncclGetVersion", api.version, help);
  resolve(library, path, "ncclGetErrorString", api.errorText, help);
  resolve(library, path, "ncclGetLastError", api.lastError, help);
  return api;
}

AttentionApi openAttention(const std::string &folder) {
  const char *help = "cuDNN 9 (9.10.2 or newer) is needed: pip install nvidia-cudnn-cu13 (for drivers of R580 or newer; nvidia-cudnn-cu12 for older ones), and name the "
                     "folder with the library by --cuda-libs or set CUDA_HOME; compiled with --attention=split the program does without";
  std::string tried;
  for (const std::string &place : libraryFolders(folder)) {
    std::string path = (place.empty() ? "" : place + "/") + "libcudnn.so.9";
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      tried += fmt::format("\n  {}", dlerror());
      continue;
    }
    AttentionApi api;
    resolve(library, path, "cudnnGetVersion", api.version, help);
    if (size_t version = api.version(); version / 10000 != 9)
      throw Failure(Exit::Machine, fmt::format("{} is cuDNN {}.{}", path, version / 10000, version / 100 % 100), help);
#define VCC_RESOLVE(MEMBER, SYMBOL, PARAMETERS) resolve(library, path, #SYMBOL, api.MEMBER, help);
    VCC_ATTENTION_CALLS(VCC_RESOLVE)
#undef VCC_RESOLVE
    resolve(library, path, "cudnnGetErrorString", api.resultText, help);
    resolve(library, path, "cudnnGetLastErrorString", api.lastError, help);
    return api;
  }
  throw Failure(Exit::Machine, "attention needs libcudnn.so.9, which cannot be loaded:" + tried, help);
}

DriverApi openDriver() {
  const std::string name = "libcuda.so.1";
  void *library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw Failure(Exit::Machine, fmt::format("this machine has no NVIDIA driver: {}", dlerror()), DriverHelp);
  DriverApi api;
#define VCC_RESOLVE(MEMBER, SYMBOL, PARAMETERS) resolve(library, name, #SYMBOL, api.MEMBER, DriverHelp);
  VCC_DRIVER_CALLS(VCC_RESOLVE)
#undef VCC_RESOLVE
  return api;
}

} // namespace

std::vector<std::string> libraryFolders(const std::string &folder) {
  std::vector<std::string> folders;
  for (std::string_view left = folder; !left.empty();) {
    std::string_view place = left.substr(0, left.find(':'));
    left.remove_prefix(std::min(left.size(), place.size() + 1));
    if (place.empty())
      continue;
    add(folders, std::string(place));
    addPackages(folders, fs::path(place));
  }
  if (!folders.empty())
    return folders;
  if (const char *home = std::getenv("CUDA_HOME"); home && *home)
    for (const char *lib : {"lib64", "lib"})
      folders.push_back((fs::path(home) / lib).string());
  folders.emplace_back();
  folders.emplace_back("/usr/local/cuda/lib64");
  for (const char *variable : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const char *environment = std::getenv(variable); environment && *environment)
      addEnvironment(folders, environment);
  addPython(folders);
  return folders;
}

const DriverApi &loadDriver() {
  static const DriverApi api = openDriver();
  return api;
}

const CollectiveApi &loadCollectives(const std::string &folder) {
  static const CollectiveApi api = openCollectives(folder);
  return api;
}

const ProductApi &loadProducts(const std::string &folder) {
  static const ProductApi api = openProducts(folder);
  return api;
}

const AttentionApi &loadAttention(const std::string &folder) {
  static const AttentionApi api = openAttention(folder);
  return api;
}

} // namespace vcc::runtime::cuda
