// SPDX-License-Identifier: Apache-2.0
//
// The directory of a zip file, zip64 included. The libraries at hand do not fit: libzip does not tell where an entry lies,
// Debian's minizip misreads zip64 entries, which every checkpoint above 4 GB has.
#include "runtime/weights/ZipFile.h"

#include "runtime/program/Failure.h"
#include "runtime/weights/Pickle.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace vcc::runtime {

namespace {

constexpr uint64_t MostEntries = 4u << 20;
constexpr uint64_t LongestName = 1024;
constexpr uint32_t LocalMark = 0x04034b50, CentralMark = 0x02014b50, EndMark = 0x06054b50, WideEndMark = 0x06064b50, LocatorMark = 0x07064b50;
constexpr uint64_t LocalBytes = 30, CentralBytes = 46, EndBytes = 22, WideEndBytes = 56, LocatorBytes = 20;
constexpr uint32_t Wide = 0xffffffff; // the number stands in the zip64 part

class Reader {
public:
  Reader(const std::string &path, std::string_view text) : Path(path), Text(text) {}

  std::map<std::string, ZipEntry> entries() {
    findDirectory();
    std::map<std::string, ZipEntry> made;
    uint64_t place = Begin;
    for (uint64_t i = 0; i < Count; ++i) {
      auto [name, entry] = read(place);
      if (!made.emplace(name, entry).second)
        fail(fmt::format("holds the entry {} twice", pickle::shown(name)));
    }
    if (place != End)
      broken();
    checkDisjoint(made);
    return made;
  }

private:
  [[noreturn]] void fail(const std::string &what) const { throw Failure(Exit::Data, fmt::format("`{}` {}", Path, what)); }
  [[noreturn]] void broken() const { fail("has a broken directory of its zip entries"); }

  /// A little-endian number of a record that lies inside the file.
  template <class T> T at(uint64_t place, uint64_t offset) const {
    T value;
    if (place > Text.size() || Text.size() - place < offset + sizeof value)
      broken();
    std::memcpy(&value, Text.data() + place + offset, sizeof value);
    return value;
  }
  std::string_view text(uint64_t place, uint64_t bytes) const {
    if (place > Text.size() || Text.size() - place < bytes)
      broken();
    return Text.substr(place, bytes);
  }

  /// The directory's end is the file's: PyTorch writes no comment there, and nothing may hide behind it.
  void findDirectory() {
    if (Text.size() < EndBytes || at<uint32_t>(Text.size() - EndBytes, 0) != EndMark)
      fail("has no directory of zip entries at its end: it was not written or copied to its end");
    End = Text.size() - EndBytes;
    Count = at<uint16_t>(End, 10);
    uint64_t bytes = at<uint32_t>(End, 12);
    Begin = at<uint32_t>(End, 16);
    // PyTorch writes the zip64 records into every file; they count, and the short ones must not say otherwise.
    if (End >= LocatorBytes && at<uint32_t>(End - LocatorBytes, 0) == LocatorMark) {
      uint64_t locator = End - LocatorBytes, shortCount = Count, shortBytes = bytes, shortBegin = Begin;
      End = at<uint64_t>(locator, 8);
      if (End > locator || locator - End != WideEndBytes || at<uint32_t>(End, 0) != WideEndMark)
        broken();
      Count = at<uint64_t>(End, 32), bytes = at<uint64_t>(End, 40), Begin = at<uint64_t>(End, 48);
      if ((shortCount != 0xffff && shortCount != Count) || (shortBytes != Wide && shortBytes != bytes) || (shortBegin != Wide && shortBegin != Begin))
        broken();
    }
    if (Begin > End || End - Begin != bytes || Count > MostEntries)
      broken();
  }

  static bool isPlain(std::string_view name) {
    bool leadsAway = name.empty() || name.front() == '/' || name.find('\\') != name.npos || name.find('\0') != name.npos;
    for (size_t begin = 0; begin <= name.size() && !leadsAway;) {
      size_t end = std::min(name.find('/', begin), name.size());
      leadsAway |= name.substr(begin, end - begin) == "..";
      begin = end + 1;
    }
    return !leadsAway;
  }

  struct Sizes {
    uint64_t whole, stored, place;
  };

  /// Numbers beyond 32 bits stand in a part of the entry's extra field, in this order.
  void widen(Sizes &sizes, std::string_view extra) const {
    constexpr uint16_t ZipWide = 1;
    bool wanted = sizes.whole == Wide || sizes.stored == Wide || sizes.place == Wide;
    while (wanted && extra.size() >= 4) {
      uint16_t kind, bytes;
      std::memcpy(&kind, extra.data(), 2), std::memcpy(&bytes, extra.data() + 2, 2);
      if (bytes > extra.size() - 4)
        broken();
      std::string_view part = extra.substr(4, bytes);
      extra.remove_prefix(4u + bytes);
      if (kind != ZipWide)
        continue;
      for (uint64_t *number : {&sizes.whole, &sizes.stored, &sizes.place})
        if (*number == Wide) {
          if (part.size() < sizeof *number)
            broken();
          std::memcpy(number, part.data(), sizeof *number);
          part.remove_prefix(sizeof *number);
        }
      return;
    }
  }

  /// Reads the entry of the directory at `place`, and moves on to the next.
  std::pair<std::string, ZipEntry> read(uint64_t &place) const {
    if (place > End || End - place < CentralBytes || at<uint32_t>(place, 0) != CentralMark)
      broken();
    uint16_t flags = at<uint16_t>(place, 8), method = at<uint16_t>(place, 10);
    uint64_t nameBytes = at<uint16_t>(place, 28), extraBytes = at<uint16_t>(place, 30), commentBytes = at<uint16_t>(place, 32);
    Sizes sizes{at<uint32_t>(place, 24), at<uint32_t>(place, 20), at<uint32_t>(place, 42)};
    auto crc = at<uint32_t>(place, 16);
    if (End - place - CentralBytes < nameBytes + extraBytes + commentBytes)
      broken();
    std::string name(text(place + CentralBytes, nameBytes));
    widen(sizes, text(place + CentralBytes + nameBytes, extraBytes));
    place += CentralBytes + nameBytes + extraBytes + commentBytes;
    if (name.size() > LongestName)
      fail(fmt::format("has an entry whose name has {} bytes", name.size()));
    if (!isPlain(name))
      fail(fmt::format("has an entry {}, a name that leads out of the file", pickle::shown(name)));
    if (flags & 1)
      fail(fmt::format("has an encrypted entry, {}", pickle::shown(name)));
    if (method != 0 || sizes.whole != sizes.stored)
      fail(fmt::format("has a compressed entry, {}; PyTorch stores them as they are", pickle::shown(name)));
    return {name, {contentOf(name, sizes), crc}};
  }

  /// The bytes behind the entry's own header, whose sizes may be left to a record behind them, and are not used.
  std::string_view contentOf(const std::string &name, const Sizes &sizes) const {
    if (sizes.place > Begin || Begin - sizes.place < LocalBytes || at<uint32_t>(sizes.place, 0) != LocalMark ||
        at<uint16_t>(sizes.place, 8) != 0 || text(sizes.place + LocalBytes, at<uint16_t>(sizes.place, 26)) != name)
      fail(fmt::format("has an entry {} whose header is not what the directory says", pickle::shown(name)));
    uint64_t begin = sizes.place + LocalBytes + at<uint16_t>(sizes.place, 26) + at<uint16_t>(sizes.place, 28);
    if (begin > Begin || sizes.whole > Begin - begin)
      fail(fmt::format("has an entry {} of {} bytes, more than lie before the directory", pickle::shown(name), sizes.whole));
    return Text.substr(begin, sizes.whole);
  }

  void checkDisjoint(const std::map<std::string, ZipEntry> &entries) const {
    std::vector<std::string_view> ranges;
    for (const auto &[name, entry] : entries)
      if (!entry.content.empty())
        ranges.push_back(entry.content);
    std::sort(ranges.begin(), ranges.end(), [](auto a, auto b) { return a.data() < b.data(); });
    for (size_t i = 1; i < ranges.size(); ++i)
      if (ranges[i].data() < ranges[i - 1].data() + ranges[i - 1].size())
        fail("has entries that overlap");
  }

  const std::string &Path;
  std::string_view Text;
  uint64_t Begin = 0, End = 0, Count = 0; // the directory
};

} // namespace

std::map<std::string, ZipEntry> readZip(const std::string &path, std::string_view file) {
  return Reader(path, file).entries();
}

bool isIntact(const ZipEntry &entry) {
  // crc32_z takes any size, crc32 only what an unsigned int counts.
  return uint32_t(crc32_z(crc32_z(0, nullptr, 0), reinterpret_cast<const Bytef *>(entry.content.data()), entry.content.size())) == entry.crc;
}

} // namespace vcc::runtime
