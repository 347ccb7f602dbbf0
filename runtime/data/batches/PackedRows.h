// SPDX-License-Identifier: Apache-2.0
//
// Rows that hold several samples of a text field one after another (`pack`): which sample lies where. A function of the samples of
// one rank's micro-batch alone.
#ifndef VCC_RUNTIME_DATA_BATCHES_PACKEDROWS_H
#define VCC_RUNTIME_DATA_BATCHES_PACKEDROWS_H

#include "runtime/data/text/TextField.h"

namespace vcc::runtime::data {

struct PackedPlace {
  int64_t Row = 0, First = 0; ///< the row, and the sample's first position in it
};

/// The places of the samples in the rows of a packed field: the longest first, each into the fullest row that has room for it; in a row
/// samples lie in their order. Nothing where they do not fit; rows of `pack` whole samples hold any samples: while one is left to be
/// placed, some row has fewer than `pack`.
std::optional<std::vector<PackedPlace>> packedPlaces(const manifest::Field &field, const std::vector<const TextRow *> &samples);

} // namespace vcc::runtime::data
#endif
