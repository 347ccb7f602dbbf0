// SPDX-License-Identifier: Apache-2.0
//
// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011), pure functions of seed, step, site and element.
include "dialects/tg/TgInterfaces.td"

class Tg_Random<string mnemonic> : Tg_PlainOp<mnemonic, "Source", "a draw depends on no weight", [Pure]> {
  let description = [{
    rng = (seed_lo, seed_hi, step, first_sample). key = (seed_lo, seed_hi); counter = (inner index within the sample,
    first_sample + index along dim 0, step, site hash). u(w) = (w >> 8) * 2^-24.
  }];
  let arguments = (ins Tg_Rng:$rng, Tg_SiteAttr:$site);
  let results = (outs Tg_FloatTensor:$result);
  let assemblyFormat = "$rng attr-dict `:` functional-type($rng, $result)";
  let hasVerifier = 1;
}
def Tg_RandomUniformOp : Tg_Random<"random_uniform"> { let summary = "u(word 0), in [0, 1)"; }
def Tg_RandomNormalOp : Tg_Random<"random_normal"> {
  let summary = "sqrt(-2 log(1 - u(word 0))) * cos(2 pi u(word 1))";
}

class Tg_Draw<string mnemonic> : Tg_PlainOp<mnemonic, "Pointwise", "a draw depends on no weight",
    [Pure, SameOperandsAndResultShape, AllTypesMatch<["key_low", "key_high", "inner", "sample", "step", "site"]>]> {
  let description = [{
    The same draw with every word of key and counter given as i32 of the result's shape (in a kernel: scalars of the
    row, broadcast): first_sample is added to `sample` by whoever builds it.
  }];
  let arguments = (ins Tg_Rng:$key_low, Tg_Rng:$key_high, Tg_Rng:$inner, Tg_Rng:$sample, Tg_Rng:$step, Tg_Rng:$site);
  let results = (outs Tg_FloatTensor:$result);
  let assemblyFormat = [{
    `key` `(` $key_low `,` $key_high `)` `counter` `(` $inner `,` $sample `,` $step `,` $site `)` attr-dict
    `:` type($inner) `->` type($result)
  }];
}
def Tg_DrawUniformOp : Tg_Draw<"draw_uniform"> { let summary = "one uniform draw per element from explicit counters"; }
def Tg_DrawNormalOp : Tg_Draw<"draw_normal"> { let summary = "one normal draw per element from explicit counters"; }
