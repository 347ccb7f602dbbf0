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

/// Sub-folders of site-packages in which NVIDIA's packages of CUDA 13 and 12 keep their libraries.
void addPackages(std::vector<std::string> &folders, const fs::path &environment) {
  std::error_code code;
  std::vector<std::string> found;
  for (const auto &python : fs::directory_iterator(environment / "lib", code))
    for (const auto &package : fs::directory_iterator(python.path() / "site-packages" / "nvidia", code))
      if (fs::is_directory(package.path() / "lib", code))
        found.push_back((package.path() / "lib").string());
  std::sort(found.begin(), found.end());
  folders.insert(folders.end(), found.begin(), found.end());
}

ProductApi openProducts(const std::string &folder) {
  std::string tried;
  for (const std::string &place : libraryFolders(folder))
    for (const char *name : {"libcublasLt.so.13", "libcublasLt.so.12"}) {
      std::string path = place.empty() ? name : place + "/" + name;
      void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (!library) {
        tried += fmt::format("\n  {}", dlerror());
        continue;
      }
      ProductApi api;
      const char *help = "cuBLASLt 12 or 13 is needed";
#define VCC_RESOLVE(MEMBER, SYMBOL, PARAMETERS) resolve(library, path, #SYMBOL, api.MEMBER, help);
      VCC_PRODUCT_CALLS(VCC_RESOLVE)
#undef VCC_RESOLVE
      resolve(library, path, "cublasLtGetVersion", api.version, help);
      return api;
    }
  throw Failure(Exit::Machine, "matrix products need libcublasLt.so.13 or .12, which cannot be loaded:" + tried,
                "pip install nvidia-cublas, or install the CUDA toolkit, and name the folder with the library by --cuda-libs or set CUDA_HOME");
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
  if (!folder.empty())
    return {folder};
  std::vector<std::string> folders;
  if (const char *home = std::getenv("CUDA_HOME"); home && *home)
    for (const char *lib : {"lib64", "lib"})
      folders.push_back((fs::path(home) / lib).string());
  folders.emplace_back();
  folders.emplace_back("/usr/local/cuda/lib64");
  for (const char *variable : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const char *environment = std::getenv(variable); environment && *environment)
      addPackages(folders, environment);
  return folders;
}

const DriverApi &loadDriver() {
  static const DriverApi api = openDriver();
  return api;
}

const ProductApi &loadProducts(const std::string &folder) {
  static const ProductApi api = openProducts(folder);
  return api;
}

} // namespace vcc::runtime::cuda
