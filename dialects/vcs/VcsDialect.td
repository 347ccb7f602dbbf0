// SPDX-License-Identifier: Apache-2.0
// The `vcs` dialect: what a recipe says, name-resolved, one op per declaration. Base classes of its ops.
//
// Shape of the dialect (the whole of it rests on these six rules):
//  1. builtin.module { vcs.module @"a.b" { declarations } ... }; the recipe's own module carries `main`.
//  2. Every expression-valued thing is a region of one block that ends in `vcs.yield %v`.
//     Expressions are ops on the one type `!vcs.value`; evaluation is in the order of the ops.
//  3. Parameters of a callable (struct, layer, fn, op, dataset format, optimizer, schedule) are `vcs.param` ops in order, then at
//     most one `vcs.result`. A `vcs.fn` has two regions: `params` (those) and `body`, whose block arguments are
//     [self, if it is a method] followed by one per parameter, ending in `vcs.return %v`.
//  4. In a layer: `vcs.argument "n"` reads a parameter of the instance being built or called (or an already bound parameter, in a
//     default), `vcs.self` is that instance, `vcs.get %self "f"` reads a field. A field may bear the name of a parameter.
//  5. In a model and in a stage: `vcs.part "vision"` is a component of the model; `vcs.input "clip"` something the batch provides.
//  6. Weights are named by `#vcs.selector`. In a stage each comma-separated selector is an op of its own; `except` paths are
//     relative to what the selector selects. Ranges, here as everywhere in the language, exclude their end.
// Locations: see Locations.h (`spanOf(loc)` gives file, line, column and end of any op).
#ifndef VCC_DIALECTS_VCS_DIALECT
#define VCC_DIALECTS_VCS_DIALECT

include "mlir/IR/OpBase.td"

def Vcs_Dialect : Dialect {
  let name = "vcs";
  let cppNamespace = "::vcc::vcs";
  let summary = "what a training recipe says, with names resolved";
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let extraClassDeclaration = [{
    void registerTypes();
    void registerAttributes();
  }];
}

class Vcs_Op<string mnemonic, list<Trait> traits = []> : Op<Vcs_Dialect, mnemonic, traits>;

#endif
