// SPDX-License-Identifier: Apache-2.0
//
// The manifest's part on data: tokenizers, datasets, templates, and what a stage's batches and evaluations are made of.
#ifndef VCC_RUNTIME_PROGRAM_MANIFESTDATA_H
#define VCC_RUNTIME_PROGRAM_MANIFESTDATA_H

#include "runtime/program/Json.h"
#include "runtime/program/Manifest.h"

namespace vcc::runtime::manifest {

/// `tokenizers`, `datasets` and `templates` of the document.
void parseData(const JsonNode &root, Manifest &manifest);
/// A manifest that may lack places in memory: its declarations of data, and of each stage name, batches and evaluations.
Manifest parseDataOf(std::string_view json);
/// `batch` and `evaluate` of a stage; names are checked against the declarations.
void parseStageData(const JsonNode &node, const Manifest &manifest, Stage &stage);
/// `"end"` or `{"steps": N}`.
When parseWhen(const JsonNode &node);

} // namespace vcc::runtime::manifest
#endif
