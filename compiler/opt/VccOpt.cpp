// SPDX-License-Identifier: Apache-2.0
//
// vcc-opt: reads a module at any level, runs the passes named on the command line, prints the
// result.
#include "compiler/opt/Register.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  vcc::opt::registerDialects(registry);
  vcc::opt::registerPasses();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "the optimiser driver of vcc\n", registry));
}
