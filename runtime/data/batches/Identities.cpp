// SPDX-License-Identifier: Apache-2.0
//
// Identities: one walk over the records of each dataset whose values are asked for.
#include "runtime/data/batches/Identities.h"
#include "runtime/data/SampleError.h"

#include <fmt/format.h>
#include <limits>

namespace vcc::runtime::data {

void Identities::add(const Datasets &data, const manifest::Batch &batch) {
  for (const std::string &dataset : batch.datasets) {
    if (First.try_emplace(dataset, Total).second)
      Total += static_cast<int64_t>(data.sizeOf(dataset));
    for (const manifest::Field &field : batch.fields)
      if (field.kind == manifest::Field::Kind::Identity &&
          Scanned.insert({field.from, dataset}).second)
        scan(data, field.from, dataset);
  }
  if (Total > std::numeric_limits<int32_t>::max())
    throw Failure(Exit::Data, fmt::format("a stage of {} samples is more than can be numbered", Total));
}

void Identities::scan(const Datasets &data, const std::string &field, const std::string &dataset) {
  Numbers &numbers = Values[field];
  Record record;
  uint64_t begin = data.beginOf(dataset), end = begin + data.sizeOf(dataset);
  for (uint64_t index = begin; index < end; ++index)
    try {
      data.read(index, record);
      Conversation conversation(record, TurnChoice::All, Draws(0, Purpose::Turn, 0, 0));
      for (size_t turn = 0; turn <= conversation.lastTurn(); ++turn)
        numbers.try_emplace(conversation.value(field, turn), static_cast<int32_t>(numbers.size()));
    } catch (const SampleError &) {
      // Said, counted and replaced where the sample is to be used.
    }
}

int32_t Identities::of(const Datasets &data, uint64_t index) const {
  auto [dataset, record] = data.place(index);
  return static_cast<int32_t>(First.at(dataset) + static_cast<int64_t>(record));
}

int32_t Identities::of(const std::string &field, const Conversation &conversation) const {
  std::string value = conversation.value(field, conversation.lastTurn());
  const Numbers &numbers = Values.at(field);
  auto found = numbers.find(value);
  if (found == numbers.end()) // a caption among several, which the walk did not draw
    conversation.record().fail(field, fmt::format("`{}`", value),
                               "a value that is the same in each reading of the record");
  return found->second;
}

} // namespace vcc::runtime::data
