// SPDX-License-Identifier: Apache-2.0
//
// FFmpeg's libraries, loaded when the first media file is read. The sonames are pinned to Debian
// 12's FFmpeg 5.1, whose headers this was compiled with: structures are read directly, so another
// major version must not be used.
#ifndef VCC_RUNTIME_DATA_MEDIA_LIBAV_H
#define VCC_RUNTIME_DATA_MEDIA_LIBAV_H

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libswscale/swscale.h>
}

#include <string>

namespace vcc::runtime::data {

#define VCC_LIBAV_FUNCTIONS(X)                                                                     \
  X(Format, avformat_version)                                                                      \
  X(Format, avformat_alloc_context)                                                                \
  X(Format, avformat_open_input)                                                                   \
  X(Format, avformat_close_input)                                                                  \
  X(Format, avformat_find_stream_info)                                                             \
  X(Format, av_find_best_stream)                                                                   \
  X(Format, av_read_frame)                                                                         \
  X(Format, avio_alloc_context)                                                                    \
  X(Format, avio_context_free)                                                                     \
  X(Codec, avcodec_version)                                                                        \
  X(Codec, avcodec_find_decoder)                                                                   \
  X(Codec, avcodec_alloc_context3)                                                                 \
  X(Codec, avcodec_free_context)                                                                   \
  X(Codec, avcodec_parameters_to_context)                                                          \
  X(Codec, avcodec_open2)                                                                          \
  X(Codec, avcodec_send_packet)                                                                    \
  X(Codec, avcodec_receive_frame)                                                                  \
  X(Codec, av_packet_alloc)                                                                        \
  X(Codec, av_packet_free)                                                                         \
  X(Codec, av_packet_unref)                                                                        \
  X(Util, avutil_version)                                                                          \
  X(Util, av_frame_alloc)                                                                          \
  X(Util, av_frame_free)                                                                           \
  X(Util, av_frame_unref)                                                                          \
  X(Util, av_malloc)                                                                               \
  X(Util, av_freep)                                                                                \
  X(Util, av_dict_set)                                                                             \
  X(Util, av_dict_free)                                                                            \
  X(Util, av_strerror)                                                                             \
  X(Util, av_log_set_level)                                                                        \
  X(Scale, swscale_version)                                                                        \
  X(Scale, sws_getCachedContext)                                                                   \
  X(Scale, sws_freeContext)                                                                        \
  X(Scale, sws_getCoefficients)                                                                    \
  X(Scale, sws_setColorspaceDetails)                                                               \
  X(Scale, sws_scale)

struct LibAvNames {
  std::string Util = "libavutil.so.57";
  std::string Codec = "libavcodec.so.59";
  std::string Format = "libavformat.so.59";
  std::string Scale = "libswscale.so.6";
};

struct LibAv {
#define VCC_DECLARE(LIBRARY, NAME) decltype(&::NAME) NAME = nullptr;
  VCC_LIBAV_FUNCTIONS(VCC_DECLARE)
#undef VCC_DECLARE

  std::string error(int code) const;
};

/// Loads the four libraries; throws a Failure (exit 6) naming the package where one is missing or
/// of another version.
LibAv loadLibAv(const LibAvNames &names);
/// The process's one copy, loaded at the first call.
const LibAv &libAv();

} // namespace vcc::runtime::data
#endif
