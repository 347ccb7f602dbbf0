// SPDX-License-Identifier: Apache-2.0
//
// ClipReader: decoding through the cache, and the geometry of a sample.
#include "runtime/data/media/ClipReader.h"
#include "runtime/data/SampleError.h"
#include "runtime/data/media/MediaFile.h"
#include "runtime/data/media/Resize.h"
#include "runtime/data/media/Tiles.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>

namespace vcc::runtime::data {
namespace {

/// Ten tries for an area that fits, then the middle within the allowed ratios; the usual random
/// resized crop.
Rect randomRect(int width, int height, const ClipSpec &spec, Draws draws) {
  const double Narrowest = spec.LeastRatio, Widest = spec.MostRatio;
  for (int attempt = 0; attempt < 10; ++attempt) {
    double share = spec.LeastScale + (spec.MostScale - spec.LeastScale) * draws.unit();
    double area = double(width) * height * share;
    double ratio =
        std::exp(std::log(Narrowest) + (std::log(Widest) - std::log(Narrowest)) * draws.unit());
    int w = static_cast<int>(std::lround(std::sqrt(area * ratio)));
    int h = static_cast<int>(std::lround(std::sqrt(area / ratio)));
    if (w > 0 && h > 0 && w <= width && h <= height)
      return {static_cast<int>(draws.below(width - w + 1)),
              static_cast<int>(draws.below(height - h + 1)), w, h};
  }
  double ratio = double(width) / height;
  int w = width, h = height;
  if (ratio < Narrowest)
    h = static_cast<int>(std::lround(w / Narrowest));
  else if (ratio > Widest)
    w = static_cast<int>(std::lround(h * Widest));
  w = std::clamp(w, 1, width), h = std::clamp(h, 1, height);
  return {(width - w) / 2, (height - h) / 2, w, h};
}

Rect centerRect(int width, int height, int targetWidth, int targetHeight) {
  int w = width, h = height;
  if (int64_t(width) * targetHeight > int64_t(height) * targetWidth)
    w = static_cast<int>(int64_t(height) * targetWidth / targetHeight);
  else
    h = static_cast<int>(int64_t(width) * targetHeight / targetWidth);
  w = std::max(w, 1), h = std::max(h, 1);
  return {(width - w) / 2, (height - h) / 2, w, h};
}

/// The size to which a cut is resized so that the target fits into it: its shorter side exactly, in proportion.
std::pair<int, int> coveringSize(const Rect &cut, int width, int height) {
  if (int64_t(cut.Width) * height > int64_t(cut.Height) * width)
    return {std::max(width, static_cast<int>(int64_t(cut.Width) * height / cut.Height)), height};
  return {width, std::max(height, static_cast<int>(int64_t(cut.Height) * width / cut.Width))};
}

void toPlanes(const uint8_t *rgb, int width, int height, bool mirrored, uint8_t *planes) {
  size_t plane = size_t(width) * height;
  for (int y = 0; y < height; ++y)
    for (int c = 0; c < 3; ++c) {
      const uint8_t *from = rgb + size_t(y) * width * 3 + c;
      uint8_t *to = planes + c * plane + size_t(y) * width;
      if (mirrored)
        for (int x = 0; x < width; ++x)
          to[x] = from[size_t(width - 1 - x) * 3];
      else
        for (int x = 0; x < width; ++x)
          to[x] = from[size_t(x) * 3];
    }
}

/// What is known of a clip; how fast the pictures of a folder follow is said by each dataset for itself.
std::optional<FileFacts> factsOf(const ClipSource &from) {
  std::optional<FileFacts> facts = frameCache().facts(from.Path);
  if (facts && from.IsFolder)
    facts->Rate = from.Rate;
  return facts;
}

} // namespace

Crop cropMode(const std::string &word) {
  if (word.empty() || word == "none")
    return Crop::None;
  if (word == "random")
    return Crop::Random;
  if (word == "center")
    return Crop::Center;
  throw Failure(Exit::Recipe,
                fmt::format("`crop: {}` is unknown; it is one of none, random, center", word));
}

ClipReader::ClipReader(ClipSpec spec) : Spec(spec) {
  // What is cut differently each time is kept at its own size, the rest at the size of the tensor.
  if (Spec.Cut == Crop::None && Spec.Antialias && !Spec.ShortSide && !Spec.Tiles)
    Kept = {Spec.Width, Spec.Height};
  frameCache().attach(Kept, Spec.CacheBytes);
}

ClipReader::~ClipReader() { frameCache().detach(Kept); }

/// The first frame of a span and how many it has, by whole frames before its ends.
static std::pair<uint32_t, uint32_t> framesOf(const ClipSource &from, const FileFacts &facts, const TimeSpan &span) {
  if (facts.Rate <= 0)
    throw SampleError(fmt::format("{}: does not say how many frames a second it has, but its record means {:g} to {:g} seconds",
                                  from.Path, span.Start, span.End));
  double first = std::floor(span.Start * facts.Rate), count = std::max(1.0, std::floor((span.End - span.Start) * facts.Rate));
  if (!(span.Start >= 0) || !(span.End > span.Start) || first >= double(facts.Frames))
    throw SampleError(fmt::format("{}: has {:g} seconds, but its record means {:g} to {:g}", from.Path, facts.Frames / facts.Rate,
                                  span.Start, span.End));
  return {static_cast<uint32_t>(first), static_cast<uint32_t>(std::min(count, double(facts.Frames) - first))};
}

std::vector<uint32_t> ClipReader::choose(const ClipSource &from, const FileFacts &facts, const DrawKey &key,
                                         const std::optional<TimeSpan> &span) const {
  auto [first, count] = span ? framesOf(from, facts, *span) : std::pair<uint32_t, uint32_t>(0, facts.Frames);
  std::vector<uint32_t> frames = chooseFrames(count, Spec.Frames, Spec.Mode, key.draws(Purpose::Frames));
  for (uint32_t &frame : frames)
    frame += first;
  return frames;
}

std::vector<double> ClipReader::times(const ClipSource &from, const DrawKey &key,
                                      const std::optional<TimeSpan> &span) const {
  FileFacts facts = factsOf(from).value();
  if (!(facts.Rate > 0))
    throw SampleError(fmt::format("{}: does not say how many frames a second has, which the text of the sample "
                                  "needs",
                                  from.Path));
  std::vector<double> seconds;
  for (uint32_t frame : choose(from, facts, key, span))
    seconds.push_back(frame / facts.Rate);
  return seconds;
}

/// A film is no picture and a picture no film; known once the file has been decoded.
void ClipReader::checkKind(const ClipSource &from) const {
  auto facts = factsOf(from);
  if (!facts || Spec.Kind == MediaKind::Any || facts->Image == (Spec.Kind == MediaKind::Image))
    return;
  throw SampleError(fmt::format("{}: is {}, but the batch takes {} here", from.Path, facts->Image ? "an image" : "a video",
                                facts->Image ? "videos" : "images"));
}

/// All frames, or null where they do not fit into the cache; the frame count is known afterwards
/// either way.
std::shared_ptr<DecodedClip> ClipReader::decodeWhole(const ClipSource &from, uint64_t &read) const {
  std::unique_ptr<FrameStream> opened = openFrames(from);
  FrameStream &file = *opened;
  uint64_t room = frameCache().room();
  auto clip = std::make_shared<DecodedClip>();
  uint32_t count = 0;
  FrameFormat own;
  while (file.next()) {
    if (count == 0) {
      own = {file.width(), file.height()};
      clip->Width = Kept.Width ? Kept.Width : file.width();
      clip->Height = Kept.Height ? Kept.Height : file.height();
      // No frame takes less than some bytes of its file; a header that claims more is not believed.
      uint64_t frames = std::min<uint64_t>(file.declaredFrames(), file.bytes() / 8);
      if (clip->frameBytes() * frames <= room)
        clip->Rgb.reserve(clip->frameBytes() * frames);
    }
    ++count;
    if (clip && clip->frameBytes() * count > room)
      clip.reset();
    if (!clip)
      continue;
    clip->Rgb.resize(clip->frameBytes() * count);
    file.convert(clip->Width, clip->Height, clip->Rgb.data() + clip->frameBytes() * (count - 1));
  }
  read += file.bytes();
  if (count == 0)
    throw SampleError(fmt::format("{}: has no frame that can be decoded", from.Path));
  frameCache().setFacts(from.Path, {count, file.rate(), file.isImage(), own.Width, own.Height});
  if (!clip)
    return nullptr;
  clip->Rgb.shrink_to_fit();
  clip->Frames = count;
  frameCache().admit(from.Path, Kept, clip);
  return clip;
}

/// Only the frames that the sample sees, in their order. The container's word for the number of
/// frames saves a pass where it is right; what counts is how many the decoder gives.
DecodedClip ClipReader::decodeChosen(const ClipSource &from, const DrawKey &key,
                                     const std::optional<TimeSpan> &span,
                                     std::vector<uint32_t> &chosen, uint64_t &read) const {
  std::optional<FileFacts> facts = factsOf(from);
  std::optional<uint32_t> known = facts ? std::optional<uint32_t>(facts->Frames) : std::nullopt;
  uint32_t assumed = known.value_or(0);
  for (;;) {
    std::unique_ptr<FrameStream> opened = openFrames(from);
    FrameStream &file = *opened;
    if (assumed == 0)
      assumed = std::max(file.declaredFrames(), 1u);
    // The container may say fewer frames than it has; a span is cut by what the decoder gives.
    bool guess = !known && span;
    chosen = guess ? std::vector<uint32_t>() : choose(from, {assumed, file.rate(), file.isImage()}, key, span);
    DecodedClip clip;
    FrameFormat own;
    uint32_t count = 0;
    size_t next = 0;
    for (; !known || next < chosen.size(); ++count) {
      bool wanted = next < chosen.size() && chosen[next] == count;
      // What is met for the first time is decoded to its end, so that all ranks judge it alike.
      if (!(wanted || !known ? file.next() : file.skip()))
        break;
      if (count == 0 && !known)
        own = {file.width(), file.height()};
      if (!wanted)
        continue;
      if (clip.Frames == 0) {
        clip.Width = Kept.Width ? Kept.Width : file.width();
        clip.Height = Kept.Height ? Kept.Height : file.height();
      }
      clip.Rgb.resize(clip.frameBytes() * (clip.Frames + 1));
      file.convert(clip.Width, clip.Height, clip.Rgb.data() + clip.frameBytes() * clip.Frames);
      for (; next < chosen.size() && chosen[next] == count; ++next)
        chosen[next] = clip.Frames;
      ++clip.Frames;
    }
    if (count == 0)
      throw SampleError(fmt::format("{}: has no frame that can be decoded", from.Path));
    if (known && next < chosen.size())
      throw SampleError(fmt::format("{}: has fewer frames than before", from.Path));
    if (!known)
      frameCache().setFacts(from.Path, {count, file.rate(), file.isImage(), own.Width, own.Height});
    if (known || (count == assumed && !guess)) {
      read += file.bytes();
      return clip;
    }
    known = assumed = count;
  }
}

uint32_t ClipReader::clips(const ClipSource &from) const {
  if (!Spec.Tiles)
    return 1;
  FileFacts facts = factsOf(from).value();
  return static_cast<uint32_t>(chooseGrid(facts.Width, facts.Height, Spec.Height, static_cast<int>(Spec.Tiles)).tiles()) + Spec.Global;
}

void ClipReader::placeTiles(const DecodedClip &clip, const std::vector<uint32_t> &frames, uint8_t *pixels) const {
  Grid grid = chooseGrid(clip.Width, clip.Height, Spec.Height, static_cast<int>(Spec.Tiles));
  size_t clips = static_cast<size_t>(grid.tiles()) + Spec.Global, frameSize = size_t(3) * Spec.Height * Spec.Width;
  std::vector<float> squares(clips * frameSize);
  for (size_t t = 0; t < frames.size(); ++t) {
    // A clip that is too short repeats its last frame.
    if (t == 0 || frames[t] != frames[t - 1])
      cutTiles(clip.frame(frames[t]), clip.Width, clip.Height, Spec.Height, grid, Spec.Global, squares.data(), static_cast<int64_t>(frameSize));
    for (size_t k = 0; k < clips; ++k)
      std::memcpy(pixels + k * clipBytes() + t * frameSize * sizeof(float), squares.data() + k * frameSize, frameSize * sizeof(float));
  }
}

void ClipReader::place(const DecodedClip &clip, const std::vector<uint32_t> &frames,
                       const DrawKey &key, uint8_t *pixels) const {
  if (Spec.Tiles)
    return placeTiles(clip, frames, pixels);
  bool mirrored = Spec.Flip && key.draws(Purpose::Flip).below(2) == 1;
  size_t frameSize = size_t(3) * Spec.Width * Spec.Height;
  Rect rect{0, 0, clip.Width, clip.Height};
  if (Spec.Cut == Crop::Random)
    rect = randomRect(clip.Width, clip.Height, Spec, key.draws(Purpose::Crop));
  else if (Spec.Cut == Crop::Center)
    rect = centerRect(clip.Width, clip.Height, Spec.Width, Spec.Height);
  bool asKept = Kept.Width != 0;
  auto [width, height] = Spec.ShortSide ? coveringSize(rect, Spec.Width, Spec.Height) : std::pair(Spec.Width, Spec.Height);
  // Half of an odd rest goes to the even side, as Python rounds.
  Rect part{static_cast<int>(std::nearbyint((width - Spec.Width) / 2.0)), static_cast<int>(std::nearbyint((height - Spec.Height) / 2.0)),
            Spec.Width, Spec.Height};
  std::vector<uint8_t> whole(asKept || !Spec.Antialias ? 0 : size_t(3) * width * height), scaled(asKept ? 0 : frameSize);
  for (size_t t = 0; t < frames.size(); ++t) {
    const uint8_t *rgb = clip.frame(frames[t]);
    if (!asKept && !Spec.Antialias) {
      resizeBicubic(rgb, clip.Width, rect, width, height, part, scaled.data());
      rgb = scaled.data();
    } else if (!asKept) {
      scaleRgb(rgb, clip.Width, rect.Left, rect.Top, rect.Width, rect.Height, whole.data(), width, height);
      for (int y = 0; y < part.Height; ++y)
        std::copy_n(whole.data() + (size_t(part.Top + y) * width + part.Left) * 3, size_t(part.Width) * 3,
                    scaled.data() + size_t(y) * part.Width * 3);
      rgb = scaled.data();
    }
    toPlanes(rgb, Spec.Width, Spec.Height, mirrored, pixels + t * frameSize);
  }
}

bool ClipReader::mayFit(const ClipSource &from) const {
  uint64_t room = frameCache().room();
  std::optional<FileFacts> facts = factsOf(from);
  return room > 0 && (!facts || uint64_t(Kept.Width) * Kept.Height * 3 * facts->Frames <= room);
}

uint64_t ClipReader::read(const ClipSource &from, const DrawKey &key, uint8_t *pixels,
                          const std::optional<TimeSpan> &span) const {
  checkKind(from);
  FrameCache &cache = frameCache();
  std::shared_ptr<const DecodedClip> clip = cache.find(from.Path, Kept);
  uint64_t read = 0;
  if (!clip && mayFit(from))
    clip = decodeWhole(from, read);
  if (clip) {
    checkKind(from);
    place(*clip, choose(from, *factsOf(from), key, span), key, pixels);
    return read;
  }
  std::vector<uint32_t> chosen;
  DecodedClip some = decodeChosen(from, key, span, chosen, read);
  checkKind(from);
  place(some, chosen, key, pixels);
  return read;
}

void ClipReader::check(const ClipSource &from, const std::optional<TimeSpan> &span) const {
  uint64_t read = 0;
  if (!factsOf(from))
    decodeWhole(from, read);
  checkKind(from);
  if (span)
    framesOf(from, *factsOf(from), *span);
  // What is known may have been learnt at another size, or without any frame made RGB because the cache is full.
  if (frameCache().converts(from.Path, Kept))
    return;
  std::unique_ptr<FrameStream> opened = openFrames(from);
  FrameStream &file = *opened;
  if (!file.next())
    throw SampleError(fmt::format("{}: has no frame that can be decoded", from.Path));
  int width = Kept.Width ? Kept.Width : file.width(), height = Kept.Height ? Kept.Height : file.height();
  std::vector<uint8_t> rgb(size_t(3) * width * height);
  file.convert(width, height, rgb.data());
  frameCache().setConverts(from.Path, Kept);
}

} // namespace vcc::runtime::data
