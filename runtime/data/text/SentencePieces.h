// SPDX-License-Identifier: Apache-2.0
//
// A SentencePiece model (`.model`) as a Tokenizer.
#ifndef VCC_RUNTIME_DATA_TEXT_SENTENCEPIECES_H
#define VCC_RUNTIME_DATA_TEXT_SENTENCEPIECES_H

#include "runtime/data/text/Tokenizer.h"

#include <sentencepiece_processor.h>

namespace vcc::runtime::data {

class SentencePieces : public Tokenizer {
public:
  /// `added`: control tokens that stand after the model's own, as a tokenizer's configuration adds them; `takeSpace`: white
  /// space after those is part of them.
  SentencePieces(const std::string &path, const std::vector<std::string> &added, bool takeSpace);

  void encode(std::string_view text, std::vector<int32_t> &ids) const override;
  int64_t vocabulary() const override { return Processor.GetPieceSize() + Added; }
  bool controlsTakeSpace() const override { return TakeSpace; }
  int32_t begin() const override { return Processor.bos_id(); }
  int32_t padding() const override { return Padding; }

private:
  sentencepiece::SentencePieceProcessor Processor;
  int32_t Padding = 0;
  int64_t Added = 0;
  bool TakeSpace = false;
};

} // namespace vcc::runtime::data
#endif
