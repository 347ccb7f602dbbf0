// SPDX-License-Identifier: Apache-2.0
//
// The frames of a clip one after another, whatever they lie in: a file, or a folder of pictures.
#ifndef VCC_RUNTIME_DATA_MEDIA_FRAMESTREAM_H
#define VCC_RUNTIME_DATA_MEDIA_FRAMESTREAM_H

#include <cstdint>
#include <memory>
#include <string>

namespace vcc::runtime::data {

/// Where a record's clip lies.
struct ClipSource {
  std::string Path;
  bool IsFolder = false; ///< its frames are pictures in this folder
  double Rate = 0;       ///< of a folder: frames a second, 0 where nobody says it

  ClipSource(std::string path, bool isFolder = false, double rate = 0)
      : Path(std::move(path)), IsFolder(isFolder), Rate(rate) {}
};

class FrameStream {
public:
  virtual ~FrameStream() = default;
  /// The number of frames by the container's word; 0 where it has none. A hint only.
  virtual uint32_t declaredFrames() const = 0;
  /// Frames a second; 0 where nothing says it.
  virtual double rate() const = 0;
  /// Whether this is one picture.
  virtual bool isImage() const = 0;
  /// Decodes the next frame; false at the end. Throws SampleError where it is broken.
  virtual bool next() = 0;
  /// Goes past the next frame, decoding only what the ones behind it need; false at the end.
  virtual bool skip() { return next(); }
  virtual int width() const = 0;
  virtual int height() const = 0;
  /// The current frame as packed RGB of exactly width x height, bicubic where the size differs.
  virtual void convert(int width, int height, uint8_t *rgb) = 0;
  /// Bytes of files opened so far.
  virtual uint64_t bytes() const = 0;
};

/// Throws SampleError naming the source and the reason.
std::unique_ptr<FrameStream> openFrames(const ClipSource &source);

} // namespace vcc::runtime::data
#endif
