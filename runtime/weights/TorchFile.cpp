// SPDX-License-Identifier: Apache-2.0
//
// The two layouts of torch.save, and the choice of the dictionary that holds the weights.
#include "runtime/weights/TorchFile.h"

#include "runtime/program/Failure.h"
#include "runtime/program/Suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace vcc::runtime {

using pickle::Kind;
using pickle::Pickle;
using pickle::PickleError;
using pickle::Value;

static constexpr std::string_view ZipStart = "PK\x03\x04";
// The number that is the first pickle of a file of the old layout, behind PROTO and perhaps FRAME.
static constexpr std::string_view LegacyMagic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
static constexpr int64_t LegacyVersion = 1001;
static constexpr const char *Wrappers[] = {"model", "state_dict", "module", "model_state_dict"};

static bool isLegacy(std::string_view content) {
  constexpr size_t Head = 32;
  return content.starts_with('\x80') && content.substr(0, Head).find(LegacyMagic) != content.npos;
}

bool TorchFile::recognises(std::string_view content) { return content.starts_with(ZipStart) || isLegacy(content); }

TorchFile::TorchFile(const std::string &path, const std::string &inside) : Path(path), Wanted(inside), File(path) {
  try {
    if (File.text().starts_with(ZipStart))
      readZipLayout();
    else if (isLegacy(File.text()))
      readLegacyLayout();
    else
      fail("is not what torch.save writes");
  } catch (const PickleError &error) {
    fail(error.what(), "only files of tensors are read, and nothing in them is executed; `torch.save(model.state_dict(), ...)` "
                       "writes such a file");
  }
}

void TorchFile::fail(const std::string &what, const std::string &help) const {
  throw Failure(Exit::Data, fmt::format("`{}` {}", Path, what), help);
}

std::string_view TorchFile::checked(const ZipEntry &entry, const std::string &name) {
  if (Checked.insert(entry.content.data()).second && !isIntact(entry))
    fail(fmt::format("is damaged: its entry {} does not have the checksum it was written with", pickle::shown(name)));
  return entry.content;
}

void TorchFile::readZipLayout() {
  Entries = readZip(Path, File.text());
  for (const auto &[name, entry] : Entries)
    if (!entry.content.empty())
      EntryAt[entry.content.data()] = name;
  constexpr std::string_view Program = "/data.pkl";
  for (const auto &[name, entry] : Entries) {
    if (!name.ends_with(Program) || name.find('/') != name.size() - Program.size())
      continue;
    if (!Folder.empty())
      fail("holds two `data.pkl`");
    Folder = name.substr(0, name.size() - Program.size());
  }
  if (Folder.empty())
    fail("is a zip file, but holds no `data.pkl` of torch.save");
  if (auto order = Entries.find(Folder + "/byteorder"); order != Entries.end()) {
    std::string_view text = checked(order->second, order->first);
    if (text != "little" && text != "big")
      fail(fmt::format("has the byte order {}", pickle::shown(text)));
    Swapped = text == "big";
  }
  std::string name = Folder + std::string(Program);
  Pickle pickle(checked(Entries.at(name), name));
  if (pickle.length() != Entries.at(name).content.size())
    fail("has bytes behind the end of its pickle");
  choose(pickle);
}

void TorchFile::readLegacyLayout() {
  std::string_view text = File.text();
  size_t place = 0;
  auto next = [&] {
    try {
      Pickle read(text.substr(place));
      place += read.length();
      return read;
    } catch (const PickleError &error) {
      throw PickleError(fmt::format("{}{}", place ? fmt::format("from byte {} on, ", place) : "", error.what()));
    }
  };
  next(); // the magic number
  Pickle version = next();
  if (version.root().kind != Kind::Integer || version.root().integer != LegacyVersion)
    fail(fmt::format("is of another version of torch.save's old layout than {}", LegacyVersion));
  next(); // the writer's sizes of types; its tensors are little-endian on every machine
  Pickle pickle = next(), keys = next();
  if (keys.root().kind != Kind::List)
    fail("has no list of storages");
  std::map<std::string_view, const pickle::Storage *> known;
  for (const pickle::Storage &storage : pickle.storages())
    known[storage.root] = &storage;
  for (pickle::Id id : keys.root().items) {
    const Value &key = keys.at(id);
    auto storage = known.find(key.text);
    if (key.kind != Kind::Text || storage == known.end())
      fail(fmt::format("lists a storage {}, which no tensor uses", pickle::shown(key.text)));
    int64_t elements;
    if (text.size() - place < sizeof elements)
      fail("breaks off before the last of its storages");
    std::memcpy(&elements, text.data() + place, sizeof elements);
    place += sizeof elements;
    int64_t width = storage->second->dtype ? bytesOf(*storage->second->dtype) : 1, bytes = storage->second->rootBytes;
    if (elements != bytes / width)
      fail(fmt::format("has a storage {} of {} elements, but its tensors need {}", pickle::shown(key.text), elements, bytes / width));
    if (uint64_t(bytes) > text.size() - place)
      fail(fmt::format("breaks off: its storage {} needs {} bytes, {} are left", pickle::shown(key.text), bytes, text.size() - place));
    if (!Storages.emplace(key.text, text.substr(place, size_t(bytes))).second)
      fail(fmt::format("lists the storage {} twice", pickle::shown(key.text)));
    place += size_t(bytes);
  }
  if (place != text.size())
    fail(fmt::format("has {} bytes behind its last storage", text.size() - place));
  choose(pickle);
}

/// The bytes of a whole storage, and that they are as many as its tensors were checked against.
std::string_view TorchFile::contentOf(const pickle::Storage &storage) {
  std::string_view content;
  if (Folder.empty()) {
    auto it = Storages.find(storage.root);
    if (it == Storages.end())
      fail(fmt::format("has no storage {}, which a tensor uses", pickle::shown(storage.root)));
    content = it->second;
  } else {
    auto it = Entries.find(Folder + "/data/" + std::string(storage.root));
    if (it == Entries.end())
      fail(fmt::format("has no storage {}, which a tensor uses", pickle::shown(storage.root)));
    content = it->second.content;
  }
  int64_t width = storage.dtype ? bytesOf(*storage.dtype) : 1;
  if (int64_t(content.size()) / width * width != storage.rootBytes)
    fail(fmt::format("has a storage {} of {} bytes, but its tensors need {}", pickle::shown(storage.root), content.size(), storage.rootBytes));
  return content;
}

/// Keys of a dictionary for a message.
static std::string keysOf(const Pickle &pickle, const Value &dictionary) {
  constexpr size_t Most = 12;
  std::string text;
  size_t count = dictionary.items.size() / 2;
  for (size_t i = 0; i < std::min(count, Most); ++i) {
    const Value &key = pickle.at(dictionary.items[2 * i]), &value = pickle.at(dictionary.items[2 * i + 1]);
    text += (i ? ", " : "") + (key.kind == Kind::Text ? pickle::shown(key.text) : std::string(describe(key.kind)));
    text += fmt::format(" ({})", describe(value.kind));
  }
  return text + (count > Most ? fmt::format(" and {} more", count - Most) : "");
}

bool TorchFile::holdsTensors(const Pickle &pickle, pickle::Id id) {
  std::vector<pickle::Id> open = {id};
  std::set<pickle::Id> seen;
  while (!open.empty()) {
    pickle::Id next = open.back();
    open.pop_back();
    const Value &value = pickle.at(next);
    if (value.kind == Kind::Tensor)
      return true;
    if (!value.items.empty() && !WithoutTensors.count(next) && seen.insert(next).second)
      open.insert(open.end(), value.items.begin(), value.items.end());
  }
  WithoutTensors.merge(seen);
  return false;
}

void TorchFile::descend(const Pickle &pickle, const Value *&at, const std::string &key) {
  for (size_t i = 0; i + 1 < at->items.size(); i += 2) {
    const Value &name = pickle.at(at->items[i]), &value = pickle.at(at->items[i + 1]);
    if (name.kind != Kind::Text || name.text != key || value.kind != Kind::Dictionary)
      continue;
    Inside += (Inside.empty() ? "" : ".") + key;
    at = &value;
    return;
  }
  fail(fmt::format("has no dictionary {}{}; {}", pickle::shown(key), Inside.empty() ? "" : " in " + pickle::shown(Inside),
                   at->items.empty() ? "it is empty" : "there are " + keysOf(pickle, *at)));
}

void TorchFile::choose(const Pickle &pickle) {
  const Value *at = &pickle.root();
  if (at->kind != Kind::Dictionary)
    fail(fmt::format("holds {}, but a dictionary of tensors is needed", describe(at->kind)));
  for (size_t begin = 0; begin < Wanted.size();) {
    size_t end = std::min(Wanted.find('.', begin), Wanted.size());
    descend(pickle, at, Wanted.substr(begin, end - begin));
    begin = end + 1;
  }
  constexpr int Deepest = 8;
  for (int depth = 0; Wanted.empty() && depth < Deepest; ++depth) {
    std::vector<std::string> inner;
    bool tensors = false;
    for (size_t i = 0; i + 1 < at->items.size(); i += 2) {
      const Value &name = pickle.at(at->items[i]), &value = pickle.at(at->items[i + 1]);
      tensors |= value.kind == Kind::Tensor;
      bool wraps = name.kind == Kind::Text && value.kind == Kind::Dictionary &&
                   std::find(std::begin(Wrappers), std::end(Wrappers), name.text) != std::end(Wrappers);
      if (wraps && holdsTensors(pickle, at->items[i + 1]))
        inner.emplace_back(name.text);
    }
    if (tensors)
      break;
    if (inner.size() == 1) {
      descend(pickle, at, inner[0]);
      continue;
    }
    fail(fmt::format("has no tensor at the top of {}, and {}; there are {}", Inside.empty() ? "its dictionary" : pickle::shown(Inside),
                     inner.empty() ? "no dictionary that is known to hold weights" : "several dictionaries that may hold its weights",
                     at->items.empty() ? "no entries" : keysOf(pickle, *at)),
         "name the one that is meant in the recipe: `start ... from \"file\" { inside: \"name\" }`");
  }
  collect(pickle, *at, "", 0);
}

void TorchFile::collect(const Pickle &pickle, const Value &dictionary, const std::string &prefix, int depth) {
  constexpr int Deepest = 16;
  constexpr size_t MostVisits = 4u << 20; // of dictionaries that stand in several others
  constexpr size_t LongestName = 1024;
  if (depth > Deepest)
    fail(fmt::format("has dictionaries nested more than {} deep", Deepest));
  for (size_t i = 0; i + 1 < dictionary.items.size(); i += 2) {
    if (++Visited > MostVisits)
      fail(fmt::format("has more than {} entries", MostVisits));
    const Value &key = pickle.at(dictionary.items[i]), &value = pickle.at(dictionary.items[i + 1]);
    bool inner = value.kind == Kind::Dictionary && !value.items.empty();
    if (value.kind != Kind::Tensor && !inner) {
      if (holdsTensors(pickle, dictionary.items[i + 1]))
        fail(fmt::format("keeps tensors in {} under {}, where they have no keys", describe(value.kind), pickle::shown(prefix + std::string(key.text))));
      continue;
    }
    if (key.kind != Kind::Text && key.kind != Kind::Integer)
      fail(fmt::format("has {} for the key of {}", describe(key.kind), describe(value.kind)));
    std::string name = prefix + (key.kind == Kind::Text ? std::string(key.text) : std::to_string(key.integer));
    if (name.size() > LongestName)
      fail(fmt::format("has a key of {} bytes, {}", name.size(), pickle::shown(name)));
    if (inner)
      collect(pickle, value, name + ".", depth + 1);
    else
      add(pickle, name, pickle.tensors()[size_t(value.integer)]);
  }
}

void TorchFile::add(const Pickle &pickle, const std::string &name, const pickle::Tensor &tensor) {
  const pickle::Storage &storage = pickle.storages()[tensor.storage];
  std::string_view content = contentOf(storage);
  StoredTensor made{tensor.dtype, tensor.shape, tensor.strides, nullptr, Swapped && bytesOf(tensor.dtype) > 1};
  made.data = reinterpret_cast<const std::byte *>(content.data()) + storage.rootOffset + tensor.offset;
  if (!Tensors.emplace(name, std::move(made)).second)
    fail(fmt::format("names {} twice", pickle::shown(name)));
}

void TorchFile::check(const StoredTensor &tensor) {
  auto after = EntryAt.upper_bound(reinterpret_cast<const char *>(tensor.data));
  if (after == EntryAt.begin() || tensor.extent() == 0)
    return;
  const std::string &name = std::prev(after)->second;
  checked(Entries.at(name), name);
}

} // namespace vcc::runtime
