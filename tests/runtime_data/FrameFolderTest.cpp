// SPDX-License-Identifier: Apache-2.0
//
// Folders of frames: their order, what is chosen by count and by seconds, and folders that are no clip.
#include "runtime/data/media/ClipReader.h"
#include "runtime/data/media/FrameFolder.h"
#include "tests/runtime_data/Scratch.h"

#include <filesystem>
#include <gmock/gmock.h>

using namespace vcc::runtime;
using namespace vcc::runtime::data;
using namespace vcc::runtime::test;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

namespace fs = std::filesystem;

struct Folders : testing::Test {
  Scratch Files;
  ClipSpec Spec{4, 16, 24, FrameMode::Middle, Crop::None, false, 1 << 20};

  /// Frames 0, 1, .. as ffmpeg numbers files by this pattern, from 1 on; each has ten more red than the one before.
  std::string folder(const std::string &name, int frames, const std::string &pattern = "%05d.png") {
    fs::create_directories(Files.path(name));
    Files.clip(name + "/" + pattern, frames);
    return Files.path(name);
  }
  std::vector<int> read(const ClipSource &source, const std::optional<TimeSpan> &span = std::nullopt) {
    ClipReader reader(Spec);
    std::vector<uint8_t> pixels(reader.bytes());
    reader.read(source, {1, 0, 0}, pixels.data(), span);
    std::vector<int> seen;
    size_t size = size_t(3) * Spec.Width * Spec.Height;
    for (size_t t = 0; t < Spec.Frames; ++t)
      seen.push_back((pixels[t * size] + 5) / 10);
    return seen;
  }
  std::string refused(const ClipSource &source, const std::optional<TimeSpan> &span = std::nullopt) {
    ClipReader reader(Spec);
    std::vector<uint8_t> pixels(reader.bytes());
    std::string reading = failure([&] { reader.read(source, {1, 0, 0}, pixels.data(), span); });
    EXPECT_EQ(failure([&] { reader.check(source, span); }), reading) << "ranks judge a clip alike";
    return reading;
  }
};

TEST_F(Folders, areReadAsAVideo) {
  for (uint64_t cache : {uint64_t(1) << 20, uint64_t(0)}) {
    Spec.CacheBytes = cache;
    // Twelve frames without leading zeros: by number, 2 before 10.
    int number = 0;
    for (const char *pattern : {"%05d.png", "frame_%d.png", "%03d.jpg"}) {
      ClipSource source(folder("video" + std::to_string(cache) + "_" + std::to_string(number++), 12, pattern), true);
      for (int times = 0; times < 2; ++times)
        EXPECT_THAT(read(source), ElementsAre(1, 4, 7, 10)) << pattern;
    }
  }
  Spec.Kind = MediaKind::Image;
  EXPECT_THAT(refused({folder("film", 3), true}), HasSubstr("film: is a video, but the batch takes images here"));
}

TEST_F(Folders, withoutNumbersByName) {
  std::string path = folder("named", 4, "%d.png");
  const char *names[] = {"night.png", "dawn.png", "noon.png", "dusk.png"};
  for (int i = 0; i < 4; ++i)
    fs::rename(path + "/" + std::to_string(i + 1) + ".png", path + "/" + names[i]);
  Files.write("named/notes.txt", "no frame");
  Files.write("named/.hidden.png", "no frame");
  EXPECT_THAT(read({path, true}), ElementsAre(1, 3, 0, 2));
}

TEST_F(Folders, aRecordMayMeanSecondsOfThem) {
  std::string path = folder("seconds", 20);
  // Three frames a second: from frame 3 on, 8 of them.
  EXPECT_THAT(read({path, true, 3}, TimeSpan{1.2, 4}), ElementsAre(3, 5, 7, 9));
  // Another dataset may say another rate of the same folder.
  EXPECT_THAT(read({path, true, 2}, TimeSpan{1.5, 3.5}), ElementsAre(3, 4, 5, 6));
  ClipReader reader(Spec);
  EXPECT_THAT(reader.times({path, true, 3}, {1, 0, 0}, TimeSpan{1.2, 4}), ElementsAre(1.0, 5 / 3.0, 7 / 3.0, 3.0));
  EXPECT_THAT(refused({path, true}, TimeSpan{1, 2}), HasSubstr("does not say how many frames a second it has"));
  EXPECT_THAT(refused({path, true, 3}, TimeSpan{7, 8}), HasSubstr("seconds: has 6.66667 seconds, but its record means 7 to 8"));
}

TEST_F(Folders, faultsAreNamed) {
  EXPECT_THAT(refused({Files.path("nowhere"), true}), HasSubstr("nowhere: does not exist"));
  EXPECT_THAT(refused({Files.clip("a.mp4", 3), true}), HasSubstr("a.mp4: is no folder, but its dataset says `frames: folder`"));
  std::string path = folder("gap", 9);
  EXPECT_THAT(refused(ClipSource(path)), HasSubstr("gap: is not a regular file but a folder; where a dataset says `frames: folder`"));
  fs::remove(path + "/00004.png");
  EXPECT_THAT(refused({path, true}), HasSubstr("gap: frame 4 is missing: `00003.png` is followed by `00005.png`"));
  fs::copy(path + "/00003.png", path + "/4.png");
  fs::copy(path + "/00003.png", path + "/004.png");
  EXPECT_THAT(refused({path, true}), HasSubstr("gap: frame 4 is there twice, as `004.png` and `4.png`"));
  fs::create_directories(Files.path("empty"));
  Files.write("empty/readme.txt", "none");
  EXPECT_THAT(refused({Files.path("empty"), true}), HasSubstr("empty: holds no frame (`.jpg` or `.png`)"));
  // Also one that is not among those chosen.
  std::string broken = folder("broken", 9);
  Files.write("broken/00009.png", "\x89PNG");
  EXPECT_THAT(refused({broken, true}), HasSubstr("00009.png: "));
  std::string sizes = folder("sizes", 5);
  fs::copy(Files.clip("large.png", 1, 0, 32, 32), sizes + "/00003.png", fs::copy_options::overwrite_existing);
  EXPECT_THAT(refused({sizes, true}), HasSubstr("00003.png: is 32 by 32 pixels, but other frames of the folder are"));
  std::string film = folder("film", 3);
  fs::copy(Files.clip("b.mp4", 3), film + "/00002.png", fs::copy_options::overwrite_existing);
  EXPECT_THAT(refused({film, true}), HasSubstr("00002.png: is no picture"));
}

} // namespace
