// SPDX-License-Identifier: Apache-2.0
//
// SentencePieces over libsentencepiece.
#include "runtime/data/text/SentencePieces.h"
#include "runtime/data/SampleError.h"
#include "runtime/weights/Files.h"

#include <fmt/format.h>

namespace vcc::runtime::data {

SentencePieces::SentencePieces(const std::string &path, const std::vector<std::string> &added,
                               bool takeSpace)
    : Added(static_cast<int64_t>(added.size())), TakeSpace(takeSpace) {
  MappedFile file(path);
  auto status = Processor.LoadFromSerializedProto(
      absl::string_view(file.text().data(), file.text().size()));
  if (!status.ok() || Processor.GetPieceSize() <= 0)
    throw Failure(Exit::Data,
                  fmt::format("{}: is not a SentencePiece model ({})", path, status.ToString()));
  for (int id = 0; id < Processor.GetPieceSize(); ++id)
    if (Processor.IsControl(id) && !Processor.IdToPiece(id).empty())
      Controls.emplace_back(Processor.IdToPiece(id), id);
  for (size_t i = 0; i < added.size(); ++i)
    Controls.emplace_back(added[i], Processor.GetPieceSize() + static_cast<int32_t>(i));
  for (int id : {Processor.pad_id(), Processor.eos_id(), 0})
    if (id >= 0) {
      Padding = id;
      break;
    }
}

void SentencePieces::encode(std::string_view text, std::vector<int32_t> &ids) const {
  std::vector<int> pieces;
  auto status = Processor.Encode(absl::string_view(text.data(), text.size()), &pieces);
  if (!status.ok())
    throw SampleError(
        fmt::format("a text of {} bytes cannot be tokenised: {}", text.size(), status.ToString()));
  ids.insert(ids.end(), pieces.begin(), pieces.end());
}

} // namespace vcc::runtime::data
