// SPDX-License-Identifier: Apache-2.0
//
// Decoded clips kept in memory, one cache for the process, bounded by the largest budget that a
// batch declares. A clip is admitted until the budget is full and then stays: an epoch visits every
// clip once, so a cache that replaced the oldest would always have just dropped what is needed
// next. Also keeps the exact frame count of every clip seen.
#ifndef VCC_RUNTIME_DATA_MEDIA_FRAMECACHE_H
#define VCC_RUNTIME_DATA_MEDIA_FRAMECACHE_H

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace vcc::runtime::data {

/// All frames of a clip, packed RGB, frame after frame.
struct DecodedClip {
  int Width = 0, Height = 0;
  uint32_t Frames = 0;
  std::vector<uint8_t> Rgb;
  size_t frameBytes() const { return size_t(Width) * Height * 3; }
  const uint8_t *frame(uint32_t index) const { return Rgb.data() + frameBytes() * index; }
};

/// The form clips are kept in: a size, or 0 x 0 for each clip's own size.
struct FrameFormat {
  int Width = 0, Height = 0;
  bool operator==(const FrameFormat &) const = default;
};

/// What decoding a file to its end has told.
struct FileFacts {
  uint32_t Frames = 0;
  double Rate = 0;    // frames a second; 0 where the file does not say it
  bool Image = false; // a picture, not a film
  int Width = 0, Height = 0;
};

class FrameCache {
public:
  /// A reader of one format; while one lives, clips of that format are not dropped for others.
  void attach(FrameFormat format, uint64_t budget);
  void detach(FrameFormat format);

  std::shared_ptr<const DecodedClip> find(const std::string &path, FrameFormat format) const;
  /// Bytes that a new clip may take.
  uint64_t room() const;
  void admit(const std::string &path, FrameFormat format, std::shared_ptr<const DecodedClip> clip);

  std::optional<FileFacts> facts(const std::string &path) const;
  void setFacts(const std::string &path, FileFacts facts);

  /// Whether a frame of the file is known to come out in this format, be it kept or not.
  bool converts(const std::string &path, FrameFormat format) const;
  void setConverts(const std::string &path, FrameFormat format);

  uint64_t bytes() const;

private:
  struct Shelf {
    FrameFormat Format;
    int Readers = 0;
    uint64_t Bytes = 0;
    std::unordered_map<std::string, std::shared_ptr<const DecodedClip>> Clips;
    std::unordered_set<std::string> Converts;
  };
  Shelf *shelf(FrameFormat format);

  mutable std::mutex Mutex;
  uint64_t Budget = 0;
  uint64_t Used = 0;
  std::vector<std::unique_ptr<Shelf>> Shelves;
  std::unordered_map<std::string, FileFacts> Facts;
};

/// The process's one cache.
FrameCache &frameCache();

} // namespace vcc::runtime::data
#endif
