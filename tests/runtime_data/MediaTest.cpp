// SPDX-License-Identifier: Apache-2.0
//
// Media files: exact frames of every container, geometry, the cache's bound, and files that are not
// what they claim.
#include "runtime/data/SampleError.h"
#include "runtime/data/media/ClipReader.h"
#include "runtime/data/media/MediaFile.h"
#include "tests/runtime_data/Scratch.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <sstream>

using namespace vcc::runtime;
using namespace vcc::runtime::data;
using namespace vcc::runtime::test;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

struct Media : testing::Test {
  Scratch Files;
  ClipSpec Spec{8, 16, 24, FrameMode::Middle, Crop::None, false, 1 << 20};

  std::vector<uint8_t> read(const std::string &path, uint64_t key = 0) {
    ClipReader reader(Spec);
    std::vector<uint8_t> pixels(reader.bytes());
    reader.read(path, {1, key, 0}, pixels.data());
    return pixels;
  }
  /// The numbers of the frames seen, from their red value.
  std::vector<int> frames(const std::vector<uint8_t> &pixels, int base = 0) {
    std::vector<int> out;
    size_t size = size_t(3) * Spec.Width * Spec.Height;
    for (size_t t = 0; t < Spec.Frames; ++t)
      out.push_back((pixels[t * size + size / 6] - base + 5) / 10);
    return out;
  }
  std::string bytesOf(const std::string &path) {
    std::ostringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
  }
};

TEST_F(Media, everyContainerGivesItsFrames) {
  for (const char *name : {"a.mp4", "a.webm", "a.gif"})
    EXPECT_THAT(frames(read(Files.clip(name, 16))), ElementsAre(0, 2, 4, 6, 8, 10, 12, 14)) << name;
  EXPECT_THAT(frames(read(Files.clip("b.mp4", 5))), ElementsAre(0, 1, 2, 3, 4, 4, 4, 4));
  for (const char *name : {"a.png", "a.jpg", "a.bmp"})
    EXPECT_THAT(frames(read(Files.clip(name, 1, 70)), 70), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0))
        << name;
  Spec.Mode = FrameMode::Still;
  EXPECT_THAT(frames(read(Files.path("a.mp4"))), ElementsAre(8, 8, 8, 8, 8, 8, 8, 8));
}

TEST_F(Media, planesAreRedGreenBlue) {
  auto pixels = read(Files.clip("c.png", 1, 200));
  size_t plane = size_t(Spec.Width) * Spec.Height;
  EXPECT_EQ(pixels[0], 200);
  EXPECT_EQ(pixels[plane], 40);
  EXPECT_EQ(pixels[2 * plane + plane - 1], 90);
}

// Without room in the cache the chosen frames are the same, whatever the container says of their
// number.
TEST_F(Media, withoutCacheTheSameFrames) {
  for (const char *name : {"d.mp4", "d.webm", "d.gif"}) {
    std::string path = Files.clip(name, 13);
    Spec.Mode = FrameMode::Random;
    ClipReader cached(Spec);
    for (uint64_t key = 0; key < 4; ++key) {
      auto with = frames(read(path, key));
      std::string copy = Files.path("copy" + std::to_string(key) + name);
      std::filesystem::copy_file(path, copy);
      FrameCache &cache = frameCache();
      auto fill = [&] {
        for (int i = 0; cache.room() > 0; ++i) {
          auto filler = std::make_shared<DecodedClip>();
          filler->Rgb = std::vector<uint8_t>(cache.room());
          cache.admit(copy + "filler" + std::to_string(i), {9, 9}, filler);
        }
      };
      cache.attach({9, 9}, 0);
      fill();
      { ClipReader drops(Spec); } // a reader that finds no room drops the formats nobody reads
      fill();
      EXPECT_EQ(frames(read(copy, key)), with);
      EXPECT_EQ(frames(read(copy, key)), with);
      EXPECT_EQ(cache.find(copy, {24, 16}), nullptr);
      cache.detach({9, 9});
    }
  }
}

// Whether a sample can be used must not hang on whether its pixels are wanted here: of a narrow picture FFmpeg counts the frame
// but cannot scale it.
TEST_F(Media, checkKnowsWhatReadingFinds) {
  Spec.CacheBytes = 0;
  Spec.Frames = 1;
  std::string good = Files.clip("good.png", 1), narrow = Files.write("narrow.ppm", "P6\n1 1000\n255\n" + std::string(3000, 'x'));
  std::string again = Files.write("again.ppm", bytesOf(narrow));
  FrameCache &cache = frameCache();
  cache.attach({9, 9}, 0);
  for (int i = 0; cache.room() > 0; ++i) {
    auto filler = std::make_shared<DecodedClip>();
    filler->Rgb = std::vector<uint8_t>(cache.room());
    cache.admit("check filler" + std::to_string(i), {9, 9}, filler);
  }
  ClipReader reader(Spec);
  std::vector<uint8_t> pixels(reader.bytes());
  reader.check(good);
  reader.check(good);
  reader.read(good, {1, 0, 0}, pixels.data());
  for (int times = 0; times < 2; ++times)
    EXPECT_THAT(failure([&] { reader.check(narrow); }), HasSubstr("narrow.ppm: "));
  EXPECT_THAT(failure([&] { reader.read(narrow, {1, 0, 0}, pixels.data()); }), HasSubstr("narrow.ppm: "));
  // At its own size it can be read, which says nothing of other sizes.
  Spec.Cut = Crop::Center;
  ClipReader cuts(Spec);
  cuts.check(again);
  cuts.read(again, {1, 0, 0}, pixels.data());
  EXPECT_THAT(failure([&] { reader.check(again); }), HasSubstr("again.ppm: "));
  cache.detach({9, 9});
}

TEST_F(Media, cacheStaysWithinItsBudget) {
  FrameCache cache;
  cache.attach({8, 8}, 1000);
  auto clip = std::make_shared<DecodedClip>();
  clip->Rgb.resize(400);
  cache.admit("a", {8, 8}, clip);
  cache.admit("b", {8, 8}, clip);
  cache.admit("c", {8, 8}, clip);
  EXPECT_NE(cache.find("b", {8, 8}), nullptr);
  EXPECT_EQ(cache.find("c", {8, 8}), nullptr);
  EXPECT_EQ(cache.bytes(), 800u);
  EXPECT_EQ(cache.find("a", {4, 4}), nullptr);
}

// A random cut of a left-to-right ramp is still a ramp, of 50-100 % of its area; mirrored half of
// the time.
TEST_F(Media, cutAndFlip) {
  std::string ppm = "P6\n64 48\n255\n";
  for (int y = 0; y < 48; ++y)
    for (int x = 0; x < 64; ++x)
      ppm += std::string({char(4 * x), char(5 * y), char(0)});
  std::string path = Files.write("ramp.ppm", ppm);
  Spec = {1, 24, 32, FrameMode::Middle, Crop::Random, true, 1 << 20};
  int mirrored = 0;
  std::set<int> widths;
  for (uint64_t key = 0; key < 64; ++key) {
    auto pixels = read(path, key);
    int left = pixels[0], right = pixels[31];
    mirrored += left > right;
    widths.insert(std::abs(right - left));
    EXPECT_GT(std::abs(right - left), 4 * 64 * 0.5);
    EXPECT_EQ(pixels, read(path, key));
  }
  EXPECT_GT(mirrored, 16);
  EXPECT_LT(mirrored, 48);
  EXPECT_GT(widths.size(), 10u);
  Spec = {1, 48, 48, FrameMode::Middle, Crop::Center, false, 1 << 20};
  auto pixels = read(path);
  EXPECT_NEAR(pixels[0], 4 * 8, 2);
  EXPECT_NEAR(pixels[47], 4 * 55, 2);
}

TEST_F(Media, brokenFilesAreNamed) {
  auto reading = [&](const std::string &path) { return failure([&] { read(path); }); };
  EXPECT_THAT(reading(Files.path("none.mp4")), HasSubstr("none.mp4: does not exist"));
  EXPECT_THAT(reading(Files.write("empty.mp4", "")), HasSubstr("empty.mp4: is empty"));
  EXPECT_THAT(reading(Files.dir()), HasSubstr("is not a regular file"));
  EXPECT_THAT(reading(Files.write("text.mp4", "no video at all")),
              HasSubstr("text.mp4: is not a video"));
  std::string whole = bytesOf(Files.clip("whole.mp4", 16, 0, 320, 240));
  EXPECT_THAT(reading(Files.write("half.mp4", whole.substr(0, whole.size() / 2))),
              HasSubstr("half.mp4: "));
  // With the index in front, the file opens and ends in the middle of its frames.
  std::string front = Files.path("front.mp4");
  ASSERT_EQ(std::system(("ffmpeg -v error -i " + Files.path("whole.mp4") +
                         " -c copy -movflags +faststart " + front)
                            .c_str()),
            0);
  whole = bytesOf(front);
  EXPECT_THAT(reading(Files.write("cut.mp4", whole.substr(0, whole.size() - 40))),
              HasSubstr("cut.mp4: "));
  std::string png = bytesOf(Files.clip("whole.png", 1));
  EXPECT_THAT(reading(Files.write("half.png", png.substr(0, 40))), HasSubstr("half.png: "));
}

// A playlist or a concat script would make the demuxer read other files.
TEST_F(Media, noFileReadsAnother) {
  std::string other = Files.clip("other.mp4", 4);
  std::string list =
      "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n" + other + "\n#EXT-X-ENDLIST\n";
  std::string concat = "ffconcat version 1.0\nfile '" + other + "'\n";
  EXPECT_THAT(failure([&] { read(Files.write("list.mp4", list)); }), HasSubstr("is not a video"));
  EXPECT_THAT(failure([&] { read(Files.write("concat.mp4", concat)); }),
              HasSubstr("is not a video"));
}

// Damage inside the frames is not concealed: nearly every flipped byte is seen by the decoder, and what it sees is an error.
TEST_F(Media, damagedFramesAreNotConcealed) {
  std::string whole = bytesOf(Files.clip("f.mp4", 16, 0, 96, 64));
  size_t frames = whole.find("mdat");
  ASSERT_NE(frames, std::string::npos);
  frames += 4;
  size_t count = 0;
  for (int i = 0; i < 4; ++i)
    count = count << 8 | static_cast<unsigned char>(whole[frames - 8 + i]);
  count -= 8;
  Draws draws(9, Purpose::Order, 0, 0);
  int named = 0;
  constexpr int Rounds = 50;
  for (int round = 0; round < Rounds; ++round) {
    std::string damaged = whole;
    for (int i = 0; i < 4; ++i)
      damaged[frames + draws.below(count)] ^= static_cast<char>(1 + draws.below(255));
    std::string path = Files.write("flipped" + std::to_string(round) + ".mp4", damaged);
    try {
      read(path);
    } catch (const SampleError &error) {
      EXPECT_THAT(error.what(), HasSubstr("flipped" + std::to_string(round) + ".mp4: "));
      ++named;
    }
  }
  EXPECT_GE(named, Rounds * 4 / 5);
  // The same clip with a slice that is overwritten from its middle on.
  std::string damaged = whole;
  damaged.replace(frames + count / 2, count / 4, count / 4, '\x5a');
  EXPECT_THAT(failure([&] { read(Files.write("overwritten.mp4", damaged)); }), HasSubstr("overwritten.mp4: "));
}

// Damaged bytes anywhere give a clip or an error, never a crash.
TEST_F(Media, damagedBytes) {
  Spec.CacheBytes = 0;
  for (const char *name : {"e.mp4", "e.webm", "e.gif", "e.png"}) {
    std::string whole = bytesOf(Files.clip(name, std::string(name) == "e.png" ? 1 : 6));
    Draws draws(7, Purpose::Order, 0, 0);
    for (int round = 0; round < 60; ++round) {
      std::string damaged = whole;
      for (int i = 0; i < 4; ++i)
        damaged[draws.below(damaged.size())] = static_cast<char>(draws.next());
      std::string path = Files.write("damaged" + std::to_string(round) + name, damaged);
      try {
        read(path);
      } catch (const SampleError &error) {
        EXPECT_THAT(error.what(), HasSubstr("damaged"));
      }
    }
  }
}

TEST_F(Media, missingLibraryNamesItsPackage) {
  LibAvNames names;
  names.Codec = "libavcodec.so.12345";
  try {
    loadLibAv(names);
    FAIL();
  } catch (const Failure &failure) {
    EXPECT_EQ(failure.code(), Exit::Machine);
    EXPECT_THAT(failure.what(), HasSubstr("libavcodec59"));
    EXPECT_THAT(failure.help(), HasSubstr("apt-get install libavcodec59"));
  }
}

} // namespace
