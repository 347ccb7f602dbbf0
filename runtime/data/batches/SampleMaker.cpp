// SPDX-License-Identifier: Apache-2.0
//
// SampleMaker: the fields of a batch, opened once.
#include "runtime/data/batches/SampleMaker.h"
#include "runtime/data/media/LibAv.h"
#include "runtime/program/Failure.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace vcc::runtime::data {
namespace {

ClipSpec specOf(const manifest::Media &media, bool evaluating, bool still) {
  ClipSpec spec;
  spec.Frames = static_cast<uint32_t>(media.frames);
  spec.Height = static_cast<int>(media.height);
  spec.Width = static_cast<int>(media.width);
  spec.Mode = frameMode(media.sample);
  spec.Cut = cropMode(media.crop);
  spec.Flip = media.flip;
  spec.LeastScale = media.leastScale, spec.MostScale = media.mostScale;
  spec.LeastRatio = media.leastRatio, spec.MostRatio = media.mostRatio;
  spec.Kind = media.kind == "image" ? MediaKind::Image : media.kind == "video" ? MediaKind::Video : MediaKind::Any;
  spec.ShortSide = media.resize == "short_side";
  spec.Antialias = media.antialias;
  if (media.tiles) {
    spec.Tiles = static_cast<uint32_t>(media.tiles->most);
    spec.Global = media.tiles->global;
  }
  spec.CacheBytes = static_cast<uint64_t>(media.cacheBytes);
  if (evaluating) {
    spec.Mode = still ? FrameMode::Still : FrameMode::Middle;
    spec.Flip = false;
    if (spec.Cut == Crop::Random)
      spec.Cut = Crop::Center;
  }
  return spec;
}

} // namespace

SampleMaker::SampleMaker(const manifest::Manifest &manifest, const manifest::Batch &batch,
                         const std::string &dir, bool evaluating, bool still)
    : Batch(batch),
      Choice(evaluating              ? TurnChoice::All
             : batch.turn == "random"  ? TurnChoice::One
             : batch.turn == "shuffle" ? TurnChoice::Shuffled
                                       : TurnChoice::All) {
  for (const manifest::Field &field : batch.fields) {
    if (!field.isText()) {
      Labels.push_back({&field});
      continue;
    }
    auto &tokenizer = Tokenizers[field.tokenizer];
    if (!tokenizer)
      tokenizer = openTokenizer(manifest.tokenizers.at(field.tokenizer), dir);
    const manifest::Template *pattern = field.kind == manifest::Field::Kind::Template
                                            ? &manifest.templates.at(field.templateName)
                                            : nullptr;
    Shown shown = batch.textOnly ? Shown::Nothing : batch.media && batch.media->frames == 1 ? Shown::Image : Shown::Video;
    Texts.push_back(std::make_unique<TextField>(field, pattern, *tokenizer, shown));
  }
  if (batch.media) {
    libAv();
    Clips = std::make_unique<ClipReader>(specOf(*batch.media, evaluating, still));
  }
  if (namesTimes() && !Clips)
    throw Failure(Exit::Recipe, "a template says `{frames}` or `{seconds}`, but its batch has no clips");
}

std::optional<TimeSpan> spanOf(const Record &record) {
  auto span = record.span();
  return span ? std::optional<TimeSpan>({span->first, span->second}) : std::nullopt;
}

bool SampleMaker::namesTimes() const {
  return std::any_of(Texts.begin(), Texts.end(), [](const auto &text) { return text->namesTimes(); });
}

bool SampleMaker::clipFirst() const { return namesTimes() || (Clips && Clips->spec().Tiles); }

size_t SampleMaker::textOf(const std::string &field) const {
  for (size_t i = 0; i < Texts.size(); ++i)
    if (Texts[i]->declared().name == field)
      return i;
  throw Failure(Exit::Internal, fmt::format("text field `{}` is not one of the batch", field));
}

int32_t SampleMaker::Label::number(const Conversation &conversation,
                                   const Identities &identities) const {
  if (Declared->kind == manifest::Field::Kind::Identity)
    return identities.of(Declared->from, conversation);
  std::string value = conversation.value(Declared->from, conversation.lastTurn());
  auto found = std::find(Declared->of.begin(), Declared->of.end(), value);
  if (found == Declared->of.end())
    conversation.record().fail(Declared->from, fmt::format("`{}`", value),
                               fmt::format("one of {}", fmt::join(Declared->of, ", ")));
  return static_cast<int32_t>(found - Declared->of.begin());
}

RowTexts SampleMaker::texts(const Conversation &conversation, const DrawKey &key, uint64_t first,
                            const Datasets &data, uint64_t index,
                            const Identities &identities, uint32_t clips) const {
  RowTexts out;
  // What the rows of one micro-batch share is drawn by the place of its first.
  DrawKey shared{key.Seed, key.First, first};
  for (const auto &field : Texts)
    out.Texts.push_back(field->row(
        conversation, (field->declared().prompt == "batch" ? shared : key).draws(Purpose::Prompt), clips));
  for (const Label &label : Labels)
    out.Labels.push_back(label.number(conversation, identities));
  out.Id = identities.of(data, index);
  out.LocalId = static_cast<int32_t>(data.place(index).second);
  return out;
}

} // namespace vcc::runtime::data
