// SPDX-License-Identifier: Apache-2.0
//
// What a text field says about its text, apart from where it comes from and how long it is.
#include "compiler/elaborate/Batches.h"

namespace vcc::elaborate {

using llvm::failed;
using llvm::failure;
using llvm::success;

LogicalResult readTextChoices(Evaluator &evaluator, const Options &options, TextSpec &text) {
  auto supervise = options.choice("supervise", text.templ ? "assistant" : "all",
                          {"assistant", "answer", "roles", "all", "none"});
  auto cut = options.choice("cut", "right", {"right", "left"});
  auto spaces = options.choice("spaces", "trimmed", {"trimmed", "kept"});
  auto prompt = options.choice("prompt", "sample", {"sample", "batch"});
  auto answerTokens = options.integer("answer_tokens", 0);
  if (failed(supervise) || failed(cut) || failed(spaces) || failed(prompt) || failed(answerTokens))
    return failure();
  if (!text.templ)
    for (const char *name : {"spaces", "prompt", "answer_tokens"})
      if (options.find(name))
        return evaluator.fault(FaultKind::BadValue, options.loc(name),
                               "`" + std::string(name) + "` is for fields with a template");
  if (options.find("answer_tokens") && *answerTokens < 1)
    return evaluator.fault(FaultKind::BadValue, options.loc("answer_tokens"),
                           "`answer_tokens` must be at least 1");
  text.supervise = *supervise;
  text.cut = *cut;
  text.spaces = *spaces;
  text.prompt = *prompt;
  text.answerTokens = *answerTokens;
  return success();
}

} // namespace vcc::elaborate
