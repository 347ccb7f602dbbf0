// SPDX-License-Identifier: Apache-2.0
//
// One video or image file, frame by frame. Bytes come from the file alone: the demuxer may open
// nothing else, and only container formats of plain media are allowed, so that a playlist posing as
// a clip reads no other file.
#ifndef VCC_RUNTIME_DATA_MEDIA_MEDIAFILE_H
#define VCC_RUNTIME_DATA_MEDIA_MEDIAFILE_H

#include "runtime/data/media/FrameStream.h"
#include "runtime/data/media/LibAv.h"

#include <cstdint>
#include <string>
#include <vector>

namespace vcc::runtime::data {

class MediaFile : public FrameStream {
public:
  /// Opens the file and its decoder; throws SampleError naming the file and the reason.
  explicit MediaFile(std::string path);
  ~MediaFile() override;
  MediaFile(const MediaFile &) = delete;
  MediaFile &operator=(const MediaFile &) = delete;

  uint32_t declaredFrames() const override;
  double rate() const override;
  /// A picture is what a demuxer of pictures reads.
  bool isImage() const override;
  bool next() override;
  int width() const override { return Frame->width; }
  int height() const override { return Frame->height; }
  void convert(int width, int height, uint8_t *rgb) override;
  uint64_t bytes() const override { return Size; }

private:
  [[noreturn]] void fail(const std::string &why) const;
  void openInput();
  void openDecoder();
  bool feed();
  void close();

  const LibAv &Av;
  std::string Path;
  int File = -1;
  AVIOContext *Io = nullptr;
  AVFormatContext *Format = nullptr;
  AVCodecContext *Codec = nullptr;
  AVPacket *Packet = nullptr;
  AVFrame *Frame = nullptr;
  SwsContext *Scaler = nullptr;
  int Stream = -1;
  bool Draining = false;
  uint64_t Size = 0;
  std::vector<uint8_t> Padded;
};

/// Packed RGB of one size cut at (left, top) and scaled bicubically to another.
void scaleRgb(const uint8_t *rgb, int width, int left, int top, int cutWidth, int cutHeight,
              uint8_t *out, int outWidth, int outHeight);

} // namespace vcc::runtime::data
#endif
