// SPDX-License-Identifier: Apache-2.0
//
// From a media file, or a folder of frames, to the pixels of one sample: frames chosen, cut, resized, flipped, as planar
// RGB [T, 3, H, W]. Goes through the frame cache; a clip that does not fit there is decoded again,
// frame by frame, without holding it whole.
#ifndef VCC_RUNTIME_DATA_MEDIA_CLIPREADER_H
#define VCC_RUNTIME_DATA_MEDIA_CLIPREADER_H

#include "runtime/data/media/FrameCache.h"
#include "runtime/data/media/FrameChoice.h"
#include "runtime/data/media/FrameStream.h"

namespace vcc::runtime::data {

enum class Crop {
  None,   ///< the whole frame, resized to the exact size
  Random, ///< a random area, one for all frames
  Center  ///< the largest middle part of the target's aspect ratio
};
Crop cropMode(const std::string &word);

/// What files a branch takes.
enum class MediaKind { Any, Image, Video };

/// The seconds of a file that a record means.
struct TimeSpan {
  double Start, End;
};

struct ClipSpec {
  uint32_t Frames = 1;
  int Height = 0, Width = 0;
  FrameMode Mode = FrameMode::Middle;
  Crop Cut = Crop::None;
  bool Flip = false; ///< half of the clips, mirrored left to right
  uint64_t CacheBytes = 0;
  /// Of a random cut: its share of the area, and its width over its height.
  double LeastScale = 0.5, MostScale = 1, LeastRatio = 3.0 / 4, MostRatio = 4.0 / 3;
  MediaKind Kind = MediaKind::Any;
  bool ShortSide = false; ///< resized until the target fits into it, of which the middle is taken
  bool Antialias = true;  ///< false: as PyTorch's `interpolate` without it
  /// Cut into so many tiles at most, of Height = Width, and where `Global` one clip of the whole; 0: one clip as it is.
  uint32_t Tiles = 0;
  bool Global = false;
};

/// What names a sample's draws: the seed and two numbers.
struct DrawKey {
  uint64_t Seed, First, Second;
  Draws draws(Purpose purpose) const { return Draws(Seed, purpose, First, Second); }
};

class ClipReader {
public:
  explicit ClipReader(ClipSpec spec);
  ~ClipReader();
  ClipReader(const ClipReader &) = delete;
  ClipReader &operator=(const ClipReader &) = delete;

  const ClipSpec &spec() const { return Spec; }
  /// Of a clip: bytes, or with tiles as many floats.
  size_t clipBytes() const { return size_t(Spec.Frames) * 3 * Spec.Height * Spec.Width * (Spec.Tiles ? sizeof(float) : 1); }
  /// Of a sample, at most.
  size_t bytes() const { return clipBytes() * (Spec.Tiles ? Spec.Tiles + Spec.Global : 1); }
  /// How many clips a file becomes; after read() or check().
  uint32_t clips(const ClipSource &from) const;
  /// Writes the pixels of the sample's clips, each [T, 3, H, W]; returns the bytes read from files. Throws SampleError. Safe from
  /// several threads.
  /// `span`: only frames of these seconds.
  uint64_t read(const ClipSource &from, const DrawKey &key, uint8_t *pixels,
                const std::optional<TimeSpan> &span = std::nullopt) const;
  /// Decodes the file to its end and makes a frame RGB if that has not been done yet; throws
  /// SampleError where read() would.
  void check(const ClipSource &from, const std::optional<TimeSpan> &span = std::nullopt) const;
  /// When the frames that read() takes stand in the file, in seconds; after read() or check(). Throws
  /// SampleError where the file does not say how fast its frames follow.
  std::vector<double> times(const ClipSource &from, const DrawKey &key,
                            const std::optional<TimeSpan> &span = std::nullopt) const;

private:
  bool mayFit(const ClipSource &from) const;
  std::shared_ptr<DecodedClip> decodeWhole(const ClipSource &from, uint64_t &read) const;
  DecodedClip decodeChosen(const ClipSource &from, const DrawKey &key,
                           const std::optional<TimeSpan> &span, std::vector<uint32_t> &chosen, uint64_t &read) const;
  void placeTiles(const DecodedClip &clip, const std::vector<uint32_t> &frames, uint8_t *pixels) const;
  void place(const DecodedClip &clip, const std::vector<uint32_t> &frames, const DrawKey &key,
             uint8_t *pixels) const;
  std::vector<uint32_t> choose(const ClipSource &from, const FileFacts &facts, const DrawKey &key,
                               const std::optional<TimeSpan> &span) const;
  void checkKind(const ClipSource &from) const;

  ClipSpec Spec;
  FrameFormat Kept;
};

} // namespace vcc::runtime::data
#endif
