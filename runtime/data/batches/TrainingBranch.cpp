// SPDX-License-Identifier: Apache-2.0
//
// TrainingBranch: samples, replacements, variants.
#include "runtime/data/batches/TrainingBranch.h"
#include "runtime/data/SampleError.h"
#include "runtime/data/batches/PackedRows.h"
#include "runtime/program/Failure.h"

#include <algorithm>
#include <fmt/format.h>

namespace vcc::runtime::data {
namespace {

constexpr int Attempts = 1000;
constexpr int PlaceShift = 24; // a step has fewer places

/// That it is the clip which cannot be used.
class ClipError : public SampleError {
  using SampleError::SampleError;
};

/// A variant may read less than another; what any of them reads is made.
manifest::Batch joined(const Variants &variants) {
  manifest::Batch all = *variants.back();
  for (const manifest::Batch *variant : variants) {
    if (!all.media)
      all.media = variant->media;
    for (const manifest::Field &field : variant->fields) {
      auto same = std::find_if(all.fields.begin(), all.fields.end(),
                               [&](const manifest::Field &other) { return other.name == field.name; });
      if (same == all.fields.end())
        all.fields.push_back(field);
      else if (std::pair(same->maxTokens, same->visual) < std::pair(field.maxTokens, field.visual))
        *same = field;
    }
  }
  return all;
}

} // namespace

TrainingBranch::TrainingBranch(const manifest::Manifest &manifest,
                               Variants variants, const DataOptions &options, uint64_t number)
    : Ordered(std::move(variants)), Whole(joined(Ordered)), Options(options),
      Maker(manifest, Whole, options.dir, /*evaluating=*/false),
      Data(manifest, Whole.datasets, options.dir), Stream(Data, Whole.weights, options.seed, number) {}

std::unique_ptr<Sample> TrainingBranch::make(int64_t step, const MicroBatch &micro, int64_t within,
                                             bool mine, const Identities &identities) {
  auto sample = std::make_unique<Sample>();
  int64_t place = micro.first + within;
  DrawKey key{Options.seed, static_cast<uint64_t>(step), static_cast<uint64_t>(place)};
  // Samples that are too few for a micro-batch come round several times in the epoch's only one.
  int64_t samples = static_cast<int64_t>(Data.size()), rounds = (places() + samples - 1) / samples;
  int64_t index = micro.index * places() + within;
  uint64_t record = samples < places()
                        ? Stream.at(static_cast<uint64_t>(micro.epoch * rounds + index / samples), static_cast<uint64_t>(index % samples))
                        : Stream.at(static_cast<uint64_t>(micro.epoch), static_cast<uint64_t>(index));
  uint64_t shown = record; // whose clip is seen
  for (int attempt = 0; attempt < Attempts; ++attempt) {
    uint64_t refused = record;
    bool clipAlone = false;
    auto refuse = [&](const SampleError &error) {
      Data.refuse(refused, error.what());
      sample->Replaced.push_back({Data.name(refused), error.what()});
    };
    try {
      use(record, shown, key, static_cast<uint64_t>(micro.first), mine, *sample, identities);
      return sample;
    } catch (const ClipError &error) {
      refused = shown;
      clipAlone = Whole.media->fallback == "media";
      refuse(error);
    } catch (const SampleError &error) {
      refuse(error);
    }
    shown = Stream.replacement(
        refused, Draws(Options.seed, Purpose::Replacement,
                       (static_cast<uint64_t>(step) << PlaceShift) + static_cast<uint64_t>(place),
                       static_cast<uint64_t>(attempt)));
    if (!clipAlone)
      record = shown;
  }
  throw Failure(Exit::Data, fmt::format("{} samples in a row cannot be used; the last: {}", Attempts,
                                        sample->Replaced.back().reason));
}

void TrainingBranch::use(uint64_t record, uint64_t shown, const DrawKey &key, uint64_t first, bool mine,
                         Sample &sample, const Identities &identities) {
  thread_local Record read, other;
  Data.read(record, read);
  Conversation conversation(read, Maker.turnChoice(), key.draws(Purpose::Turn));
  auto clip = [&]() -> const Record & {
    if (shown != record)
      Data.read(shown, other);
    return shown == record ? read : other;
  };
  auto show = [&] {
    try {
      readClip(shown, clip(), key, mine, sample);
    } catch (const SampleError &error) {
      throw ClipError(error.what());
    }
  };
  bool clipFirst = Maker.clipFirst();
  if (clipFirst)
    show();
  if (Maker.namesTimes()) {
    const Record &seen = clip();
    conversation.times(Maker.clips()->times(Data.media(shown, seen), key, spanOf(seen)));
  }
  {
    report::Timed spent(Options.spans, "data", "tokenize");
    sample.Texts = Maker.texts(conversation, key, first, Data, record, identities, sample.Clips);
  }
  if (Maker.clips() && !clipFirst)
    show();
}

void TrainingBranch::readClip(uint64_t record, const Record &read, const DrawKey &key, bool mine,
                              Sample &sample) {
  report::Timed timed(Options.spans, "data", "decode");
  ClipSource source = Data.media(record, read);
  // Whether another rank replaces this sample decides its text, so its file must be known to be good
  // here too.
  const ClipReader &clips = *Maker.clips();
  if (mine) {
    sample.Pixels.resize(clips.bytes());
    sample.BytesRead = static_cast<int64_t>(clips.read(source, key, sample.Pixels.data(), spanOf(read)));
  } else {
    clips.check(source, spanOf(read));
  }
  sample.Clips = clips.clips(source);
  if (mine)
    sample.Pixels.resize(sample.Clips * clips.clipBytes());
}

/// The most clips that the rows of a rank have.
int64_t TrainingBranch::clipsOf(const std::unique_ptr<Sample> *samples) const {
  int64_t most = 0;
  for (int64_t rank = 0; rank < Options.world; ++rank) {
    int64_t clips = 0;
    for (int64_t row = 0; row < Whole.rows; ++row)
      clips += samples[rank * Whole.rows + row]->Clips;
    most = std::max(most, clips);
  }
  return most;
}

const manifest::Batch &TrainingBranch::variantOf(const std::unique_ptr<Sample> *samples) const {
  for (const manifest::Batch *variant : Ordered) {
    bool holds = !variant->media || !variant->media->tiles || clipsOf(samples) <= variant->media->tiles->clips;
    for (const manifest::Field &field : variant->fields) {
      if (!field.isText())
        continue;
      size_t text = Maker.textOf(field.name);
      std::vector<const TextRow *> own;
      for (int64_t i = 0; holds && i < places(); ++i) {
        own.push_back(&samples[i]->Texts.Texts[text]);
        holds &= own.back()->Tokens <= field.maxTokens;
        if (static_cast<int64_t>(own.size()) < variant->rows)
          continue;
        // Each rank packs its own.
        holds &= field.pack == 1 || packedPlaces(field, own).has_value();
        own.clear();
      }
    }
    if (holds)
      return *variant;
  }
  return *Ordered.back();
}

} // namespace vcc::runtime::data
