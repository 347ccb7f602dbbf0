// SPDX-License-Identifier: Apache-2.0
//
// Loading FFmpeg by dlopen, and checking that what was loaded is what the headers describe.
#include "runtime/data/media/LibAv.h"
#include "runtime/data/SampleError.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace vcc::runtime::data {
namespace {

struct Library {
  void *Handle;
  std::string Name;
  const char *Package;
};

Library open(const std::string &name, const char *package) {
  void *handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    throw Failure(
        Exit::Machine,
        fmt::format("reading media needs {} of the package {}, which cannot be loaded: {}", name,
                    package, ::dlerror()),
        fmt::format("on Debian 12: apt-get install {}", package));
  return {handle, name, package};
}

template <typename F>
void resolve(const Library &library, const char *name, F &function) {
  function = reinterpret_cast<F>(::dlsym(library.Handle, name));
  if (!function)
    throw Failure(Exit::Machine,
                  fmt::format("{} has no `{}`: it is not the FFmpeg 5.1 of Debian 12's package {}",
                              library.Name, name, library.Package));
}

void checkVersion(const Library &library, unsigned found, unsigned needed) {
  if (found >> 16 != needed >> 16)
    throw Failure(
        Exit::Machine,
        fmt::format(
            "{} is version {}.{} but this program was built for {}.{} (Debian 12's package {})",
            library.Name, found >> 16, (found >> 8) & 0xff, needed >> 16, (needed >> 8) & 0xff,
            library.Package));
}

} // namespace

LibAv loadLibAv(const LibAvNames &names) {
  Library Util = open(names.Util, "libavutil57");
  Library Codec = open(names.Codec, "libavcodec59");
  Library Format = open(names.Format, "libavformat59");
  Library Scale = open(names.Scale, "libswscale6");
  LibAv av;
#define VCC_RESOLVE(LIBRARY, NAME) resolve(LIBRARY, #NAME, av.NAME);
  VCC_LIBAV_FUNCTIONS(VCC_RESOLVE)
#undef VCC_RESOLVE
  checkVersion(Util, av.avutil_version(), LIBAVUTIL_VERSION_INT);
  checkVersion(Codec, av.avcodec_version(), LIBAVCODEC_VERSION_INT);
  checkVersion(Format, av.avformat_version(), LIBAVFORMAT_VERSION_INT);
  checkVersion(Scale, av.swscale_version(), LIBSWSCALE_VERSION_INT);
  // What a broken file is, is said once by this program, not line by line by the decoder.
  av.av_log_set_level(AV_LOG_QUIET);
  return av;
}

const LibAv &libAv() {
  static const LibAv av = loadLibAv({});
  return av;
}

std::string LibAv::error(int code) const {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  if (av_strerror(code, text, sizeof text) < 0)
    return fmt::format("error {}", code);
  return text;
}

} // namespace vcc::runtime::data
