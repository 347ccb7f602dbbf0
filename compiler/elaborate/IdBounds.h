// SPDX-License-Identifier: Apache-2.0
//
// What is known of the whole numbers in a tensor: that all are below a limit, and where that was
// decided. Ids of a text field are below its tokenizer's vocabulary, labels below the number of
// their values. Checked where ids choose rows of a table and where labels choose classes, since
// one too large would train on silently.
#ifndef VCC_COMPILER_ELABORATE_IDBOUNDS_H
#define VCC_COMPILER_ELABORATE_IDBOUNDS_H

#include "compiler/elaborate/GraphBuilder.h"

namespace vcc::elaborate {

/// The limit of `ids`, or nothing where an operation on the way leaves it open.
std::optional<IdBound> idBound(const GraphBuilder &graph, mlir::Value ids);

/// A fault where `ids` may reach the size of `axis` of `table` or beyond. `what` says what the
/// axis counts: "rows", "classes".
llvm::LogicalResult requireIdsWithin(const GraphBuilder &graph, const Tensor &ids,
                                     const Tensor &table, int64_t axis, StringRef what);

} // namespace vcc::elaborate

#endif
