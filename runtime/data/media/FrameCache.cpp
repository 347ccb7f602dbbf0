// SPDX-License-Identifier: Apache-2.0
//
// FrameCache: one shelf per format under one lock; clips are shared, never copied.
#include "runtime/data/media/FrameCache.h"

#include <algorithm>

namespace vcc::runtime::data {

FrameCache &frameCache() {
  static FrameCache cache;
  return cache;
}

FrameCache::Shelf *FrameCache::shelf(FrameFormat format) {
  for (auto &shelf : Shelves)
    if (shelf->Format == format)
      return shelf.get();
  Shelves.push_back(std::make_unique<Shelf>());
  Shelves.back()->Format = format;
  return Shelves.back().get();
}

void FrameCache::attach(FrameFormat format, uint64_t budget) {
  std::lock_guard lock(Mutex);
  ++shelf(format)->Readers;
  Budget = std::max(Budget, budget);
  if (Used < Budget)
    return;
  // Nobody reads these sizes any more; the new stage may want the room.
  for (auto &other : Shelves)
    if (other->Readers == 0) {
      Used -= other->Bytes;
      other->Bytes = 0;
      other->Clips.clear();
    }
}

void FrameCache::detach(FrameFormat format) {
  std::lock_guard lock(Mutex);
  --shelf(format)->Readers;
}

std::shared_ptr<const DecodedClip> FrameCache::find(const std::string &path,
                                                    FrameFormat format) const {
  std::lock_guard lock(Mutex);
  for (const auto &shelf : Shelves)
    if (shelf->Format == format) {
      auto found = shelf->Clips.find(path);
      return found == shelf->Clips.end() ? nullptr : found->second;
    }
  return nullptr;
}

uint64_t FrameCache::room() const {
  std::lock_guard lock(Mutex);
  // The last sixteenth is left empty, or every further clip would be decoded whole only to be
  // refused.
  return Used < Budget - Budget / 16 ? Budget - Used : 0;
}

void FrameCache::admit(const std::string &path, FrameFormat format,
                       std::shared_ptr<const DecodedClip> clip) {
  std::lock_guard lock(Mutex);
  uint64_t size = clip->Rgb.capacity();
  Shelf *place = shelf(format);
  if (Used + size > Budget || !place->Clips.emplace(path, std::move(clip)).second)
    return;
  place->Bytes += size;
  Used += size;
}

std::optional<FileFacts> FrameCache::facts(const std::string &path) const {
  std::lock_guard lock(Mutex);
  auto found = Facts.find(path);
  return found == Facts.end() ? std::nullopt : std::optional<FileFacts>(found->second);
}

void FrameCache::setFacts(const std::string &path, FileFacts facts) {
  std::lock_guard lock(Mutex);
  Facts[path] = facts;
}

bool FrameCache::converts(const std::string &path, FrameFormat format) const {
  std::lock_guard lock(Mutex);
  for (const auto &shelf : Shelves)
    if (shelf->Format == format)
      return shelf->Clips.contains(path) || shelf->Converts.contains(path);
  return false;
}

void FrameCache::setConverts(const std::string &path, FrameFormat format) {
  std::lock_guard lock(Mutex);
  shelf(format)->Converts.insert(path);
}

uint64_t FrameCache::bytes() const {
  std::lock_guard lock(Mutex);
  return Used;
}

} // namespace vcc::runtime::data
