// SPDX-License-Identifier: Apache-2.0
//
// `vcc explain CODE`: the long form of a diagnostic.
#include "compiler/driver/Commands.h"
#include "compiler/driver/ExitCodes.h"
#include "dsl/diag/Engine.h"

#include "llvm/Support/raw_ostream.h"

namespace vcc::driver {

void addExplain(CLI::App &app, Action &action) {
  auto code = std::make_shared<std::string>();
  CLI::App *command = app.add_subcommand(
      "explain", "explain a diagnostic, by code (V0301) or name (shape-mismatch)");
  command->add_option("CODE", *code, "what stands in the brackets of the message")->required();
  command->callback([code, &action] {
    action = [code]() -> int {
      const diag::KindInfo *kind = diag::findKind(*code);
      if (!kind) {
        std::vector<std::string> known;
        for (const diag::KindInfo *each : diag::allKinds()) {
          known.push_back(each->Code);
          known.push_back(each->Name);
        }
        std::string near = diag::nearest(*code, known);
        llvm::errs() << "error: no diagnostic `" << *code << "`"
                     << (near.empty() ? "" : "; did you mean `" + near + "`?") << "\n";
        return kUsage;
      }
      llvm::outs() << kind->Code << " " << kind->Name << "\n\n" << diag::explain(*kind) << "\n";
      return kDone;
    };
  });
}

} // namespace vcc::driver
