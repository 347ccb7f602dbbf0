// SPDX-License-Identifier: Apache-2.0
//
// A program as the compiler would emit it, written by hand: linear regression in two stages, with kernels of the ABI's
// signature. `fit` trains weight and bias over two micro-batches a step; `tune` starts from it, freezes the weight and
// trains the bias with gradients in the arena, and evaluates.
#ifndef VCC_TESTS_RUNTIME_TOYPROGRAM_H
#define VCC_TESTS_RUNTIME_TOYPROGRAM_H

#include "runtime/loop/StageRun.h"
#include "runtime/program/Abi.h"

namespace vcc::runtime::test {

inline constexpr int64_t ToyRows = 8, ToyWidth = 4;

/// Valid as long as the process lives.
const VccProgram &toyProgram();

/// `fit` alone, whose loss is scaled as under fp16: gradients of the residuals beyond 65504 are infinities, and a step with one
/// changes nothing but the scale (65536 at first, twice that after 5 good steps, half of it after a bad one).
const VccProgram &scaledToyProgram();

/// Batches made from the seed. TOY_NAN_AT=step makes a target NaN there, TOY_HUGE_AT=step,step,.. makes one far too large (`all`: each
/// step's); TOY_FAIL_AT=step throws; TOY_SLEEP=ms delays.
Sources toySources();

} // namespace vcc::runtime::test
#endif
