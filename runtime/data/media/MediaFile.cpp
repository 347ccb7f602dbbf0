// SPDX-License-Identifier: Apache-2.0
//
// MediaFile over libavformat, libavcodec and libswscale.
#include "runtime/data/media/MediaFile.h"
#include "runtime/data/SampleError.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace vcc::runtime::data {
namespace {

// Demuxers by FFmpeg's names. Those that follow references to other files (hls, dash, concat,
// image2) are left out.
constexpr const char *Containers = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,gif,avi,mpegts,mpeg,flv,"
                                   "ogg,asf,png_pipe,jpeg_pipe,jpegls_pipe,bmp_pipe,"
                                   "webp_pipe,tiff_pipe,ppm_pipe,pgm_pipe,pbm_pipe,apng";
// A frame of 8K video has 33 million pixels; a header that claims more would only cost memory.
constexpr int64_t LargestFrame = 40'000'000;
constexpr int IoBytes = 32 << 10;
constexpr int ScaleFlags =
    SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT;
// libswscale writes whole vectors: rows and the end of the picture get room for one.
constexpr int RowAlign = 64;

int readBytes(void *opaque, uint8_t *into, int size) {
  ssize_t got = ::read(static_cast<int>(reinterpret_cast<intptr_t>(opaque)), into, size);
  if (got < 0)
    return AVERROR(errno);
  return got == 0 ? AVERROR_EOF : static_cast<int>(got);
}

int64_t seekBytes(void *opaque, int64_t offset, int whence) {
  int file = static_cast<int>(reinterpret_cast<intptr_t>(opaque));
  if (whence & AVSEEK_SIZE) {
    struct stat status;
    return ::fstat(file, &status) == 0 ? status.st_size : AVERROR(errno);
  }
  off_t at = ::lseek(file, offset, whence & ~AVSEEK_FORCE);
  return at < 0 ? AVERROR(errno) : at;
}

int rowBytes(int width) { return (width * 3 + RowAlign - 1) / RowAlign * RowAlign; }

void unpadRows(const std::vector<uint8_t> &padded, int width, int height, uint8_t *rgb) {
  for (int y = 0; y < height; ++y)
    std::memcpy(rgb + size_t(y) * width * 3, padded.data() + size_t(y) * rowBytes(width),
                size_t(width) * 3);
}

} // namespace

MediaFile::MediaFile(std::string path) : Av(libAv()), Path(std::move(path)) {
  try {
    openInput();
    openDecoder();
  } catch (...) {
    close();
    throw;
  }
}

MediaFile::~MediaFile() { close(); }

void MediaFile::fail(const std::string &why) const {
  throw SampleError(fmt::format("{}: {}", Path, why));
}

void MediaFile::openInput() {
  File = ::open(Path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (File < 0)
    fail(errno == ENOENT ? std::string("does not exist")
                         : fmt::format("cannot be opened: {}", std::strerror(errno)));
  struct stat status;
  bool known = ::fstat(File, &status) == 0;
  if (known && S_ISDIR(status.st_mode))
    fail("is not a regular file but a folder; where a dataset says `frames: folder`, the pictures in it are read as a video");
  if (!known || !S_ISREG(status.st_mode))
    fail("is not a regular file");
  Size = static_cast<uint64_t>(status.st_size);
  if (status.st_size == 0)
    fail("is empty");

  auto *buffer = static_cast<uint8_t *>(Av.av_malloc(IoBytes));
  Format = Av.avformat_alloc_context();
  if (buffer)
    Io = Av.avio_alloc_context(buffer, IoBytes, 0,
                               reinterpret_cast<void *>(static_cast<intptr_t>(File)), readBytes,
                               nullptr, seekBytes);
  if (!Io)
    Av.av_freep(&buffer);
  if (!Format || !Io)
    fail("no memory to open it");
  Format->pb = Io;
  Format->max_streams = 64;
  AVDictionary *options = nullptr;
  Av.av_dict_set(&options, "format_whitelist", Containers, 0);
  Av.av_dict_set(&options, "protocol_whitelist", "", 0);
  // On failure avformat_open_input frees the context; the I/O context stays ours.
  int code = Av.avformat_open_input(&Format, nullptr, nullptr, &options);
  Av.av_dict_free(&options);
  if (code < 0)
    fail(fmt::format("is not a video or image that can be read: {}", Av.error(code)));
}

void MediaFile::openDecoder() {
  // Containers with a complete header need no look into the stream, which would decode its first
  // frames twice.
  Stream = Av.av_find_best_stream(Format, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  if (Stream < 0 || Format->streams[Stream]->codecpar->width <= 0 ||
      Format->iformat->flags & AVFMT_NOTIMESTAMPS) {
    if (int code = Av.avformat_find_stream_info(Format, nullptr); code < 0)
      fail(fmt::format("its streams cannot be read: {}", Av.error(code)));
    Stream = Av.av_find_best_stream(Format, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  }
  if (Stream < 0)
    fail("has no video stream and is no image");
  for (unsigned i = 0; i < Format->nb_streams; ++i)
    if (static_cast<int>(i) != Stream)
      Format->streams[i]->discard = AVDISCARD_ALL;
  const AVCodecParameters *parameters = Format->streams[Stream]->codecpar;
  const AVCodec *decoder = Av.avcodec_find_decoder(parameters->codec_id);
  if (!decoder)
    fail("its codec has no decoder in the installed FFmpeg");
  Codec = Av.avcodec_alloc_context3(decoder);
  Packet = Av.av_packet_alloc();
  Frame = Av.av_frame_alloc();
  if (!Codec || !Packet || !Frame)
    fail("no memory to decode it");
  if (int code = Av.avcodec_parameters_to_context(Codec, parameters); code < 0)
    fail(fmt::format("its stream header is broken: {}", Av.error(code)));
  Codec->thread_count = 1;
  Codec->max_pixels = LargestFrame;
  // Decoders conceal damage unless they are told to stop; a concealed frame would be trained on as if it were the clip.
  Codec->err_recognition = AV_EF_CRCCHECK | AV_EF_EXPLODE;
  if (int code = Av.avcodec_open2(Codec, decoder, nullptr); code < 0)
    fail(fmt::format("its decoder does not open: {}", Av.error(code)));
}

void MediaFile::close() {
  if (!Format && !Io && File < 0)
    return;
  Av.sws_freeContext(Scaler);
  Scaler = nullptr;
  Av.av_frame_free(&Frame);
  Av.av_packet_free(&Packet);
  Av.avcodec_free_context(&Codec);
  Av.avformat_close_input(&Format);
  if (Io) {
    Av.av_freep(&Io->buffer);
    Av.avio_context_free(&Io);
  }
  if (File >= 0)
    ::close(File);
  File = -1;
}

uint32_t MediaFile::declaredFrames() const {
  int64_t frames = Format->streams[Stream]->nb_frames;
  return frames > 0 && frames < UINT32_MAX ? static_cast<uint32_t>(frames) : 0;
}

double MediaFile::rate() const {
  AVRational rate = Format->streams[Stream]->avg_frame_rate;
  return rate.num > 0 && rate.den > 0 ? static_cast<double>(rate.num) / rate.den : 0;
}

bool MediaFile::isImage() const {
  std::string_view name = Format->iformat->name;
  return name.find("_pipe") != std::string_view::npos || name.find("image2") != std::string_view::npos;
}

/// Sends the next packet of the stream, or the end, to the decoder.
bool MediaFile::feed() {
  for (;;) {
    int code = Av.av_read_frame(Format, Packet);
    if (code == AVERROR_EOF) {
      Draining = true;
      Av.avcodec_send_packet(Codec, nullptr);
      return true;
    }
    if (code < 0)
      fail(fmt::format("cannot be read to its end: {}", Av.error(code)));
    bool ours = Packet->stream_index == Stream;
    bool cut = Packet->flags & AV_PKT_FLAG_CORRUPT;
    code = ours && !cut ? Av.avcodec_send_packet(Codec, Packet) : 0;
    Av.av_packet_unref(Packet);
    if (!ours)
      continue;
    if (cut)
      fail("is cut off or damaged: a packet of its video stream is incomplete");
    if (code < 0)
      fail(fmt::format("its video stream is broken: {}", Av.error(code)));
    return true;
  }
}

bool MediaFile::next() {
  for (;;) {
    int code = Av.avcodec_receive_frame(Codec, Frame);
    if (code == 0) {
      if (Frame->decode_error_flags || Frame->flags & AV_FRAME_FLAG_CORRUPT)
        fail("is damaged: a frame of its video stream was made up by the decoder");
      if (Frame->width <= 0 || Frame->height <= 0)
        fail("a frame has no size");
      return true;
    }
    if (code == AVERROR_EOF)
      return false;
    if (code != AVERROR(EAGAIN))
      fail(fmt::format("its video stream is broken: {}", Av.error(code)));
    if (Draining)
      return false;
    feed();
  }
}

void MediaFile::convert(int width, int height, uint8_t *rgb) {
  auto format = static_cast<AVPixelFormat>(Frame->format);
  Scaler = Av.sws_getCachedContext(Scaler, Frame->width, Frame->height, format, width, height,
                                   AV_PIX_FMT_RGB24, ScaleFlags, nullptr, nullptr, nullptr);
  if (!Scaler)
    fail("its pixel format cannot be turned into RGB");
  int matrix = Frame->colorspace == AVCOL_SPC_UNSPECIFIED || Frame->colorspace == AVCOL_SPC_RGB
                   ? SWS_CS_DEFAULT
                   : static_cast<int>(Frame->colorspace);
  const int *coefficients = Av.sws_getCoefficients(matrix);
  int full = Frame->color_range == AVCOL_RANGE_JPEG || format == AV_PIX_FMT_YUVJ420P ||
             format == AV_PIX_FMT_YUVJ422P || format == AV_PIX_FMT_YUVJ444P ||
             format == AV_PIX_FMT_YUVJ440P;
  Av.sws_setColorspaceDetails(Scaler, coefficients, full, coefficients, 1, 0, 1 << 16, 1 << 16);
  Padded.resize(size_t(rowBytes(width)) * height + RowAlign);
  uint8_t *planes[4] = {Padded.data()};
  int strides[4] = {rowBytes(width)};
  if (Av.sws_scale(Scaler, Frame->data, Frame->linesize, 0, Frame->height, planes, strides) !=
      height)
    fail("a frame cannot be scaled");
  unpadRows(Padded, width, height, rgb);
}

void scaleRgb(const uint8_t *rgb, int width, int left, int top, int cutWidth, int cutHeight,
              uint8_t *out, int outWidth, int outHeight) {
  const LibAv &av = libAv();
  // libswscale reads whole vectors as well, so the cut is copied to rows with room behind them.
  std::vector<uint8_t> cut(size_t(rowBytes(cutWidth)) * cutHeight + RowAlign);
  for (int y = 0; y < cutHeight; ++y)
    std::memcpy(cut.data() + size_t(y) * rowBytes(cutWidth),
                rgb + (size_t(top + y) * width + left) * 3, size_t(cutWidth) * 3);
  std::vector<uint8_t> padded(size_t(rowBytes(outWidth)) * outHeight + RowAlign);
  // Contexts are costly next to a small frame, so each worker keeps its last one.
  thread_local struct Kept {
    SwsContext *Scaler = nullptr;
    ~Kept() {
      if (Scaler)
        libAv().sws_freeContext(Scaler);
    }
  } kept;
  kept.Scaler =
      av.sws_getCachedContext(kept.Scaler, cutWidth, cutHeight, AV_PIX_FMT_RGB24, outWidth,
                              outHeight, AV_PIX_FMT_RGB24, ScaleFlags, nullptr, nullptr, nullptr);
  if (!kept.Scaler)
    throw SampleError(fmt::format("a cut of {}x{} pixels cannot be scaled to {}x{}", cutWidth,
                                  cutHeight, outWidth, outHeight));
  const uint8_t *from[4] = {cut.data()};
  int fromStrides[4] = {rowBytes(cutWidth)};
  uint8_t *to[4] = {padded.data()};
  int toStrides[4] = {rowBytes(outWidth)};
  av.sws_scale(kept.Scaler, from, fromStrides, 0, cutHeight, to, toStrides);
  unpadRows(padded, outWidth, outHeight, out);
}

} // namespace vcc::runtime::data
