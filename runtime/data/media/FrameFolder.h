// SPDX-License-Identifier: Apache-2.0
//
// A folder of pictures (jpg, png) as a video: in order of the numbers that end their names, of which none may be missing, or, where not
// all end in numbers behind the same letters, in order of names. Pictures are of one size. What else lies in the folder is passed over.
#ifndef VCC_RUNTIME_DATA_MEDIA_FRAMEFOLDER_H
#define VCC_RUNTIME_DATA_MEDIA_FRAMEFOLDER_H

#include "runtime/data/media/MediaFile.h"

#include <vector>

namespace vcc::runtime::data {

class FrameFolder : public FrameStream {
public:
  FrameFolder(std::string path, double rate);

  uint32_t declaredFrames() const override { return static_cast<uint32_t>(Names.size()); }
  double rate() const override { return Rate; }
  bool isImage() const override { return false; }
  bool next() override;
  bool skip() override;
  int width() const override { return Current->width(); }
  int height() const override { return Current->height(); }
  void convert(int width, int height, uint8_t *rgb) override { Current->convert(width, height, rgb); }
  uint64_t bytes() const override { return Bytes; }

private:
  std::string Path;
  double Rate;
  std::vector<std::string> Names; // in order
  size_t Behind = 0;              // how many have been passed
  std::unique_ptr<MediaFile> Current;
  int Width = 0, Height = 0; // of the first that was decoded
  uint64_t Bytes = 0;
};

} // namespace vcc::runtime::data
#endif
