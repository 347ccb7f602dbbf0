// SPDX-License-Identifier: Apache-2.0
//
// Listing and ordering a folder's pictures, and reading them one by one.
#include "runtime/data/media/FrameFolder.h"
#include "runtime/data/SampleError.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fmt/format.h>

namespace vcc::runtime::data {
namespace {

namespace fs = std::filesystem;

constexpr size_t MostFrames = 1'000'000;
constexpr size_t MostDigits = 18;

/// A picture's name in the folder: what stands before the number at its end, and the number.
struct Numbered {
  std::string Name, Letters;
  uint64_t Number = 0;
  bool HasNumber = false;
};

bool isPicture(const fs::path &path) {
  std::string kind = path.extension().string();
  std::transform(kind.begin(), kind.end(), kind.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return kind == ".jpg" || kind == ".jpeg" || kind == ".png";
}

Numbered numbered(const fs::path &path) {
  Numbered made{path.filename().string(), path.stem().string()};
  size_t digits = 0;
  while (digits < made.Letters.size() && std::isdigit(static_cast<unsigned char>(made.Letters[made.Letters.size() - 1 - digits])))
    ++digits;
  made.HasNumber = digits > 0 && digits <= MostDigits;
  if (!made.HasNumber)
    return made;
  made.Number = std::stoull(made.Letters.substr(made.Letters.size() - digits));
  made.Letters.resize(made.Letters.size() - digits);
  return made;
}

/// In order of numbers where all have one behind the same letters; none may be missing then, and none stand there twice.
void order(const std::string &path, std::vector<Numbered> &frames) {
  bool byNumber = std::all_of(frames.begin(), frames.end(),
                              [&](const Numbered &f) { return f.HasNumber && f.Letters == frames.front().Letters; });
  std::sort(frames.begin(), frames.end(), [&](const Numbered &a, const Numbered &b) {
    return byNumber && a.Number != b.Number ? a.Number < b.Number : a.Name < b.Name;
  });
  for (size_t i = 1; byNumber && i < frames.size(); ++i) {
    const Numbered &before = frames[i - 1], &after = frames[i];
    if (after.Number == before.Number)
      throw SampleError(fmt::format("{}: frame {} is there twice, as `{}` and `{}`", path, after.Number, before.Name, after.Name));
    if (after.Number != before.Number + 1)
      throw SampleError(fmt::format("{}: frame {} is missing: `{}` is followed by `{}`", path, before.Number + 1, before.Name, after.Name));
  }
}

} // namespace

FrameFolder::FrameFolder(std::string path, double rate) : Path(std::move(path)), Rate(rate) {
  std::error_code error;
  fs::file_status status = fs::status(Path, error);
  if (!fs::exists(status))
    throw SampleError(fmt::format("{}: does not exist", Path));
  if (!fs::is_directory(status))
    throw SampleError(fmt::format("{}: is no folder, but its dataset says `frames: folder`", Path));
  std::vector<Numbered> frames;
  for (fs::directory_iterator entry(Path, error), end; !error && entry != end; entry.increment(error))
    if (std::string name = entry->path().filename().string(); name.front() != '.' && isPicture(entry->path()))
      frames.push_back(numbered(entry->path()));
  if (error)
    throw SampleError(fmt::format("{}: cannot be listed: {}", Path, error.message()));
  if (frames.empty())
    throw SampleError(fmt::format("{}: holds no frame (`.jpg` or `.png`)", Path));
  if (frames.size() > MostFrames)
    throw SampleError(fmt::format("{}: holds {} frames, more than {}", Path, frames.size(), MostFrames));
  order(Path, frames);
  for (Numbered &frame : frames)
    Names.push_back(std::move(frame.Name));
}

bool FrameFolder::skip() {
  Current.reset();
  if (Behind == Names.size())
    return false;
  ++Behind;
  return true;
}

bool FrameFolder::next() {
  if (!skip())
    return false;
  std::string file = (fs::path(Path) / Names[Behind - 1]).string();
  Current = std::make_unique<MediaFile>(file);
  Bytes += Current->bytes();
  if (!Current->isImage() || !Current->next())
    throw SampleError(fmt::format("{}: is no picture", file));
  if (Width == 0)
    Width = Current->width(), Height = Current->height();
  if (Current->width() != Width || Current->height() != Height)
    throw SampleError(fmt::format("{}: is {} by {} pixels, but other frames of the folder are {} by {}", file, Current->width(),
                                  Current->height(), Width, Height));
  return true;
}

std::unique_ptr<FrameStream> openFrames(const ClipSource &source) {
  if (source.IsFolder)
    return std::make_unique<FrameFolder>(source.Path, source.Rate);
  return std::make_unique<MediaFile>(source.Path);
}

} // namespace vcc::runtime::data
