// SPDX-License-Identifier: Apache-2.0
//
// Resizing without antialiasing against PyTorch 2.15: interpolate(x.float(), size, mode="bicubic", align_corners=False),
// rounded and clamped; and what the options of media make of a file.
#include "runtime/data/SampleError.h"
#include "runtime/data/media/ClipReader.h"
#include "runtime/data/media/MediaFile.h"
#include "runtime/data/media/Resize.h"
#include "tests/runtime_data/Scratch.h"

#include <gmock/gmock.h>

using namespace vcc::runtime;
using namespace vcc::runtime::data;
using namespace vcc::runtime::test;
using testing::ElementsAre;

namespace {

std::vector<uint8_t> image(int width, int height) {
  std::vector<uint8_t> rgb;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        rgb.push_back(static_cast<uint8_t>(37 * x * x + 91 * y + 53 * c * (x + y)));
  return rgb;
}

std::vector<uint8_t> resized(const std::vector<uint8_t> &rgb, int width, Rect from, int w, int h, Rect part) {
  std::vector<uint8_t> out(size_t(3) * part.Width * part.Height);
  resizeBicubic(rgb.data(), width, from, w, h, part, out.data());
  return out;
}

std::vector<int> channel(const std::vector<uint8_t> &rgb, int c, size_t first, size_t count) {
  std::vector<int> out;
  for (size_t i = first; i < first + count; ++i)
    out.push_back(rgb[i * 3 + size_t(c)]);
  return out;
}

TEST(Resize, bicubicGolden) {
  auto small = image(17, 11);
  auto less = resized(small, 17, {0, 0, 17, 11}, 5, 4, {0, 0, 5, 4});
  EXPECT_THAT(channel(less, 0, 0, 20), ElementsAre(140, 234, 139, 145, 232, 86, 105, 146, 176, 240, 91, 151, 152, 203, 128, 108, 186, 131, 90, 181));
  EXPECT_THAT(channel(less, 2, 0, 20), ElementsAre(75, 162, 95, 185, 155, 211, 133, 205, 55, 112, 104, 72, 114, 115, 74, 93, 190, 115, 237, 134));
  // A cut is interpolated by itself: its border repeats, not what lies beside it.
  auto more = resized(small, 17, {3, 2, 9, 7}, 10, 8, {0, 0, 10, 8});
  EXPECT_THAT(channel(more, 1, 30, 10), ElementsAre(127, 177, 199, 135, 117, 130, 131, 143, 124, 87));
  // The size of a training clip. The reference adds in another order, so that some values are rounded to the other side.
  auto large = resized(image(340, 256), 340, {0, 0, 340, 256}, 224, 224, {0, 0, 224, 224});
  const int golden[] = {9, 88, 53, 40, 179, 150, 98, 160, 230, 145, 130, 73, 31, 201, 156, 150, 101, 185, 124, 150, 153, 123, 220, 190, 22, 99, 159, 39, 114, 196, 5, 104, 183, 148, 99, 136, 110, 33, 129, 159, 221, 130, 51, 177, 226, 101, 213, 101, 139, 102, 58, 159, 255, 104, 142, 201, 59, 23, 71, 211, 194, 102, 231, 153};
  int64_t sum = 0;
  size_t at = 0, i = 0;
  for (int c = 0; c < 3; ++c)
    for (int value : channel(large, c, 0, 224 * 224)) {
      sum += value;
      if (at++ % 2357 == 0)
        EXPECT_NEAR(value, golden[i++], 1) << at;
    }
  EXPECT_EQ(i, std::size(golden));
  EXPECT_NEAR(double(sum), 19156700, 100);
}

struct MediaOptions : testing::Test {
  Scratch Files;
  std::string Path;

  MediaOptions() {
    std::string ppm = "P6\n17 11\n255\n";
    for (uint8_t byte : image(17, 11))
      ppm += char(byte);
    Path = Files.write("image.ppm", ppm);
  }
  std::vector<uint8_t> read(const ClipSpec &spec, uint64_t key = 0) {
    ClipReader reader(spec);
    std::vector<uint8_t> pixels(reader.bytes());
    reader.read(Path, {1, key, 0}, pixels.data());
    return pixels;
  }
};

TEST_F(MediaOptions, exactSizeWithoutAntialias) {
  for (uint64_t cache : {0, 1 << 20}) {
    ClipSpec spec{1, 4, 5, FrameMode::Middle, Crop::None, false, cache};
    spec.Antialias = false;
    auto pixels = read(spec);
    EXPECT_EQ(std::vector<int>(pixels.begin(), pixels.begin() + 5), (std::vector<int>{140, 234, 139, 145, 232}));
  }
}

// The shorter side to six, nine the longer, of which the middle six are from the third on.
TEST_F(MediaOptions, middleOfTheShortSideResized) {
  ClipSpec spec{1, 6, 6, FrameMode::Middle, Crop::None, false, 1 << 20};
  spec.ShortSide = true, spec.Antialias = false;
  auto pixels = read(spec);
  EXPECT_EQ(std::vector<int>(pixels.begin(), pixels.begin() + 6), (std::vector<int>{149, 71, 94, 160, 140, 137}));
  EXPECT_EQ(std::vector<int>(pixels.begin() + 72 + 30, pixels.begin() + 72 + 36), (std::vector<int>{204, 127, 86, 81, 162, 133}));
  spec.Antialias = true;
  EXPECT_NE(read(spec), pixels);
}

std::string refusal(ClipReader &reader, const std::string &path, std::optional<TimeSpan> span = std::nullopt) {
  std::vector<uint8_t> pixels(reader.bytes());
  std::string said;
  for (int again = 0; again < 2; ++again) // known or not, of this rank or another
    try {
      if (again)
        reader.check(path, span);
      else
        reader.read(path, {1, 0, 0}, pixels.data(), span);
      return "";
    } catch (const SampleError &error) {
      EXPECT_TRUE(said.empty() || said == error.what()) << said << " " << error.what();
      said = error.what();
    }
  return said;
}

// What a branch takes: pictures are told from films by what they are, not by their names.
TEST_F(MediaOptions, kindsOfFiles) {
  std::string film = Files.clip("film.mp4", 10);
  for (uint64_t cache : {0, 1 << 20}) {
    ClipSpec spec{2, 4, 4, FrameMode::Middle, Crop::None, false, cache};
    spec.Kind = MediaKind::Video;
    ClipReader videos(spec);
    EXPECT_THAT(refusal(videos, Path), testing::HasSubstr("image.ppm: is an image, but the batch takes videos here"));
    EXPECT_EQ(refusal(videos, film), "");
    spec.Kind = MediaKind::Image;
    ClipReader images(spec);
    EXPECT_THAT(refusal(images, film), testing::HasSubstr("film.mp4: is a video, but the batch takes images here"));
    EXPECT_EQ(refusal(images, Path), "");
  }
}

// Frame i of a clip of 25 frames a second has the red value 10 i: a quarter of a second from 0.2 on is frames 5 to 10.
TEST_F(MediaOptions, secondsOfARecord) {
  for (uint64_t cache : {0, 1 << 20}) {
    std::string film = Files.clip(cache ? "a.mp4" : "b.mp4", 20);
    double rate = MediaFile(film).rate();
    ASSERT_GT(rate, 0);
    ClipReader reader(ClipSpec{3, 8, 8, FrameMode::Middle, Crop::None, false, cache});
    std::vector<uint8_t> pixels(reader.bytes());
    reader.read(film, {1, 0, 0}, pixels.data(), TimeSpan{5.1 / rate, 11.2 / rate});
    std::vector<int> frames;
    for (int t = 0; t < 3; ++t)
      frames.push_back((pixels[size_t(t) * 192] + 5) / 10);
    EXPECT_THAT(frames, ElementsAre(5, 7, 9)); // the middles of 5-6, 7-8, 9-10
    EXPECT_THAT(refusal(reader, film, TimeSpan{20.5 / rate, 30 / rate}), testing::HasSubstr("seconds, but its record means"));
    EXPECT_THAT(refusal(reader, film, TimeSpan{0.4, 0.4}), testing::HasSubstr("but its record means 0.4 to 0.4"));
    reader.read(film, {1, 0, 0}, pixels.data(), TimeSpan{18.1 / rate, 60 / rate}); // cut by the file's end
    EXPECT_EQ((pixels[0] + 5) / 10, 18);
    EXPECT_EQ((pixels[2 * 192] + 5) / 10, 19);
  }
}

// One area for all frames, of the share that is asked for.
TEST_F(MediaOptions, areaOfARandomCut) {
  std::string ppm = "P6\n200 200\n255\n";
  for (int y = 0; y < 200; ++y)
    for (int x = 0; x < 200; ++x)
      ppm += std::string({char(x), char(y), char(0)});
  Path = Files.write("ramp.ppm", ppm);
  ClipSpec spec{3, 50, 50, FrameMode::Random, Crop::Random, false, 1 << 20};
  spec.Antialias = false;
  spec.LeastScale = 0.16, spec.MostScale = 0.36, spec.LeastRatio = spec.MostRatio = 1;
  int least = 1000, most = 0;
  for (uint64_t key = 0; key < 100; ++key) {
    auto pixels = read(spec, key);
    int wide = pixels[49] - pixels[0], high = pixels[2500 + 49 * 50] - pixels[2500];
    EXPECT_NEAR(wide, high, 3);
    least = std::min(least, wide), most = std::max(most, wide);
    EXPECT_TRUE(std::equal(pixels.begin(), pixels.begin() + 7500, pixels.begin() + 15000));
  }
  EXPECT_NEAR(least, 80 * 49 / 50, 6);
  EXPECT_NEAR(most, 120 * 49 / 50, 6);
}

} // namespace
