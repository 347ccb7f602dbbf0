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
#include <sys/stat.h>

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

uint64_t fileBytes(const std::string &path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
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
static std::pair<uint32_t, uint32_t> framesOf(const std::string &path, const FileFacts &facts, const TimeSpan &span) {
  if (facts.Rate <= 0)
    throw SampleError(fmt::format("{}: does not say how many frames a second it has, but its record means {:g} to {:g} seconds",
                                  path, span.Start, span.End));
  double first = std::floor(span.Start * facts.Rate), count = std::max(1.0, std::floor((span.End - span.Start) * facts.Rate));
  if (!(span.Start >= 0) || !(span.End > span.Start) || first >= double(facts.Frames))
    throw SampleError(fmt::format("{}: has {:g} seconds, but its record means {:g} to {:g}", path, facts.Frames / facts.Rate,
                                  span.Start, span.End));
  return {static_cast<uint32_t>(first), static_cast<uint32_t>(std::min(count, double(facts.Frames) - first))};
}

std::vector<uint32_t> ClipReader::choose(const std::string &path, const FileFacts &facts, const DrawKey &key,
                                         const std::optional<TimeSpan> &span) const {
  auto [first, count] = span ? framesOf(path, facts, *span) : std::pair<uint32_t, uint32_t>(0, facts.Frames);
  std::vector<uint32_t> frames = chooseFrames(count, Spec.Frames, Spec.Mode, key.draws(Purpose::Frames));
  for (uint32_t &frame : frames)
    frame += first;
  return frames;
}

std::vector<double> ClipReader::times(const std::string &path, const DrawKey &key,
                                      const std::optional<TimeSpan> &span) const {
  FileFacts facts = frameCache().facts(path).value();
  if (!(facts.Rate > 0))
    throw SampleError(fmt::format("{}: does not say how many frames a second has, which the text of the sample "
                                  "needs",
                                  path));
  std::vector<double> seconds;
  for (uint32_t frame : choose(path, facts, key, span))
    seconds.push_back(frame / facts.Rate);
  return seconds;
}

/// A film is no picture and a picture no film; known once the file has been decoded.
void ClipReader::checkKind(const std::string &path) const {
  auto facts = frameCache().facts(path);
  if (!facts || Spec.Kind == MediaKind::Any || facts->Image == (Spec.Kind == MediaKind::Image))
    return;
  throw SampleError(fmt::format("{}: is {}, but the batch takes {} here", path, facts->Image ? "an image" : "a video",
                                facts->Image ? "videos" : "images"));
}

/// All frames, or null where they do not fit into the cache; the frame count is known afterwards
/// either way.
std::shared_ptr<DecodedClip> ClipReader::decodeWhole(const std::string &path) const {
  MediaFile file(path);
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
      uint64_t frames = std::min<uint64_t>(file.declaredFrames(), fileBytes(path) / 8);
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
  if (count == 0)
    throw SampleError(fmt::format("{}: has no frame that can be decoded", path));
  frameCache().setFacts(path, {count, file.rate(), file.isImage(), own.Width, own.Height});
  if (!clip)
    return nullptr;
  clip->Rgb.shrink_to_fit();
  clip->Frames = count;
  frameCache().admit(path, Kept, clip);
  return clip;
}

/// Only the frames that the sample sees, in their order. The container's word for the number of
/// frames saves a pass where it is right; what counts is how many the decoder gives.
DecodedClip ClipReader::decodeChosen(const std::string &path, const DrawKey &key,
                                     const std::optional<TimeSpan> &span,
                                     std::vector<uint32_t> &chosen) const {
  std::optional<FileFacts> facts = frameCache().facts(path);
  std::optional<uint32_t> known = facts ? std::optional<uint32_t>(facts->Frames) : std::nullopt;
  uint32_t assumed = known.value_or(0);
  for (;;) {
    MediaFile file(path);
    if (assumed == 0)
      assumed = std::max(file.declaredFrames(), 1u);
    // The container may say fewer frames than it has; a span is cut by what the decoder gives.
    bool guess = !known && span;
    chosen = guess ? std::vector<uint32_t>() : choose(path, {assumed, file.rate(), file.isImage()}, key, span);
    DecodedClip clip;
    FrameFormat own;
    uint32_t count = 0;
    size_t next = 0;
    for (; (!known || next < chosen.size()) && file.next(); ++count) {
      if (count == 0) {
        own = {file.width(), file.height()};
        clip.Width = Kept.Width ? Kept.Width : file.width();
        clip.Height = Kept.Height ? Kept.Height : file.height();
      }
      if (next == chosen.size() || chosen[next] != count)
        continue;
      clip.Rgb.resize(clip.frameBytes() * (clip.Frames + 1));
      file.convert(clip.Width, clip.Height, clip.Rgb.data() + clip.frameBytes() * clip.Frames);
      for (; next < chosen.size() && chosen[next] == count; ++next)
        chosen[next] = clip.Frames;
      ++clip.Frames;
    }
    if (count == 0)
      throw SampleError(fmt::format("{}: has no frame that can be decoded", path));
    if (known && next < chosen.size())
      throw SampleError(fmt::format("{}: has fewer frames than before", path));
    if (!known)
      frameCache().setFacts(path, {count, file.rate(), file.isImage(), own.Width, own.Height});
    if (known || (count == assumed && !guess))
      return clip;
    known = assumed = count;
  }
}

uint32_t ClipReader::clips(const std::string &path) const {
  if (!Spec.Tiles)
    return 1;
  FileFacts facts = frameCache().facts(path).value();
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

bool ClipReader::mayFit(const std::string &path) const {
  uint64_t room = frameCache().room();
  std::optional<FileFacts> facts = frameCache().facts(path);
  return room > 0 && (!facts || uint64_t(Kept.Width) * Kept.Height * 3 * facts->Frames <= room);
}

uint64_t ClipReader::read(const std::string &path, const DrawKey &key, uint8_t *pixels,
                          const std::optional<TimeSpan> &span) const {
  checkKind(path);
  FrameCache &cache = frameCache();
  std::shared_ptr<const DecodedClip> clip = cache.find(path, Kept);
  uint64_t read = 0;
  if (!clip && mayFit(path)) {
    read += fileBytes(path);
    clip = decodeWhole(path);
  }
  if (clip) {
    checkKind(path);
    place(*clip, choose(path, *cache.facts(path), key, span), key, pixels);
    return read;
  }
  std::vector<uint32_t> chosen;
  DecodedClip some = decodeChosen(path, key, span, chosen);
  checkKind(path);
  place(some, chosen, key, pixels);
  return read + fileBytes(path);
}

void ClipReader::check(const std::string &path, const std::optional<TimeSpan> &span) const {
  if (!frameCache().facts(path))
    decodeWhole(path);
  checkKind(path);
  if (span)
    framesOf(path, *frameCache().facts(path), *span);
  // What is known may have been learnt at another size, or without any frame made RGB because the cache is full.
  if (frameCache().converts(path, Kept))
    return;
  MediaFile file(path);
  if (!file.next())
    throw SampleError(fmt::format("{}: has no frame that can be decoded", path));
  int width = Kept.Width ? Kept.Width : file.width(), height = Kept.Height ? Kept.Height : file.height();
  std::vector<uint8_t> rgb(size_t(3) * width * height);
  file.convert(width, height, rgb.data());
  frameCache().setConverts(path, Kept);
}

} // namespace vcc::runtime::data
