// SPDX-License-Identifier: Apache-2.0
//
// vcc: the command line. The rest of the program knows options as structs only.
#include "compiler/driver/Commands.h"
#include "compiler/driver/ExitCodes.h"

#include "llvm/Support/raw_ostream.h"

int main(int argc, char **argv) {
  using namespace vcc::driver;
  CLI::App app("A compiler for training recipes of video-language models.", "vcc");
  app.set_version_flag("--version", std::string("vcc ") + VCC_VERSION);
  app.require_subcommand(1);
  Action action;
  addCompile(app, action, argv[0]);
  addCheck(app, action, argv[0]);
  addPlan(app, action, argv[0]);
  addShow(app, action, argv[0]);
  addExplain(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  try {
    return action();
  } catch (const std::exception &error) {
    llvm::errs() << "internal error: " << error.what() << "\n";
    return kInternal;
  }
}
