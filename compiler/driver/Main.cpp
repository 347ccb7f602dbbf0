// SPDX-License-Identifier: Apache-2.0
//
// vcc: the command line. The rest of the program knows options as structs only.
#include "compiler/driver/Commands.h"
#include "compiler/driver/ExitCodes.h"
#include "dsl/diag/Engine.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

static int unknownCommand(CLI::App &app, const std::string &name) {
  using namespace vcc;
  std::vector<std::string> known;
  for (const CLI::App *command : app.get_subcommands({}))
    known.push_back(command->get_name());
  std::string near = diag::nearest(name, known);
  llvm::errs() << "error: no command `" << name << "`" << (near.empty() ? "" : "; did you mean `" + near + "`?") << "\n"
               << "  there are " << llvm::join(known, ", ") << "\n";
  return driver::kUsage;
}

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
    if (argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty()) // none was recognised
      return unknownCommand(app, argv[1]);
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  try {
    return action();
  } catch (const std::exception &error) {
    llvm::errs() << "internal error: " << error.what() << "\n";
    return kInternal;
  }
}
