// SPDX-License-Identifier: Apache-2.0
//
// What can be said about stages without evaluating anything: their clauses, the stages that they start from, the components that their
// selectors begin with.
#ifndef VCC_DSL_TYPES_STAGES_H
#define VCC_DSL_TYPES_STAGES_H

#include "dsl/diag/Engine.h"
#include "dsl/names/Program.h"
#include "dsl/syntax/Declarations.h"

namespace vcc::types {

/// The stage that `Ref` means among those before `Before` (all, if null); null with a diagnostic.
const syntax::StageDecl *resolveStage(const syntax::StageRef &Ref, const std::vector<const syntax::StageDecl *> &Stages,
                                      const syntax::StageDecl *Before, diag::Engine &Engine);

void checkStage(const syntax::StageDecl &Stage, const syntax::ModelDecl &Model, diag::Engine &Engine);

/// The keys of a `start` line that are about files.
void checkStart(const syntax::StartClause &Start, diag::Engine &Engine);

/// The stages of a module in order, what they are `like` found for each; numbers must differ.
std::vector<const syntax::StageDecl *> stagesOf(const names::ModuleInfo &Module, diag::Engine &Engine);

} // namespace vcc::types

#endif
