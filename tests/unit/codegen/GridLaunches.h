// SPDX-License-Identifier: Apache-2.0
//
// tg.launches run as kernels of the CUDA target by the emulator, beside the meaning that the interpreter gives to them, on the same
// random tensors.
#ifndef VCC_TESTS_UNIT_CODEGEN_GRIDLAUNCHES_H
#define VCC_TESTS_UNIT_CODEGEN_GRIDLAUNCHES_H

#include "dialects/tg/Tg.h"
#include <random>
#include <string>

namespace vcc::test {

struct GridTrial {
  /// Floats of parameters lie in [Low, High].
  double Low = -2, High = 2;
  /// Indices and other whole numbers lie in [0, Whole).
  int64_t Whole = 5;
  /// Result and parameter that share their memory; -1: none.
  int InPlaceResult = -1, InPlaceInput = -1;
  /// Bytes by which every buffer lies beside a multiple of 64.
  int64_t Misplaced = 0;
  /// Of the norm of a result, for results of f32; halves may be one rounding apart.
  double Tolerance = 2e-6;
  /// Of a result's largest element, for results of halves, beside one rounding.
  double HalfTolerance = 1e-4;
};

/// Runs one launch of a module both ways and compares; failures are the test's. Gives the kernel's name.
std::string tryOnGrid(tg::LaunchOp Launch, std::mt19937 &Random, const GridTrial &Trial = {});

/// A module's text: one kernel, and one launch of it over parameters of these types.
struct LaunchText {
  std::string Kernel, Inputs, Dims, Accesses, Uniforms, Chunk, Outputs;
};
/// Parses kernel and launch and tries them.
std::string tryTextOnGrid(const LaunchText &Text, std::mt19937 &Random, const GridTrial &Trial = {});

} // namespace vcc::test

#endif
