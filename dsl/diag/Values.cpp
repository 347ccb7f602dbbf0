// SPDX-License-Identifier: Apache-2.0
//
// How values are written in diagnostics, and spelling guesses.
#include "dsl/diag/Values.h"

#include "llvm/ADT/StringExtras.h"

#include <algorithm>

namespace vcc::diag {

std::string format(const Name &Value) { return "`" + Value.Text + "`"; }
std::string format(const Words &Value) { return Value.Text; }
std::string format(const Count &Value) { return std::to_string(Value.Value); }
std::string format(const Shape &Value) { return "[" + llvm::join(Value.Axes, ", ") + "]"; }

std::string format(const Bytes &Value) {
  static constexpr const char *Units[] = {"bytes", "kB", "MB", "GB", "TB"};
  double Amount = static_cast<double>(Value.Value);
  size_t Unit = 0;
  while (Amount >= 1000 && Unit + 1 < std::size(Units)) {
    Amount /= 1000;
    ++Unit;
  }
  char Text[32];
  std::snprintf(Text, sizeof(Text), Amount == static_cast<uint64_t>(Amount) ? "%.0f %s" : "%.1f %s", Amount,
                Units[Unit]);
  return Text;
}

std::string plural(int64_t Value, llvm::StringRef Noun) {
  return std::to_string(Value) + " " + Noun.str() + (Value == 1 ? "" : "s");
}

std::string withArticle(llvm::StringRef Noun) {
  bool Vowel = !Noun.empty() && llvm::StringRef("aeiou").contains(Noun.front());
  return (Vowel ? "an " : "a ") + Noun.str();
}

std::string list(const std::vector<std::string> &Names, size_t Most) {
  std::string Text;
  size_t Shown = std::min(Most, Names.size());
  bool Rest = Shown < Names.size();
  for (size_t I = 0; I < Shown; ++I) {
    if (I != 0)
      Text += !Rest && I + 1 == Shown ? " and " : ", ";
    Text += "`" + Names[I] + "`";
  }
  if (Rest)
    Text += " and " + std::to_string(Names.size() - Shown) + " more";
  return Text;
}

/// Whether two neighbouring letters changed places: one slip of the fingers, though two letters differ.
static bool isSwap(llvm::StringRef Written, llvm::StringRef Meant) {
  if (Written.size() != Meant.size())
    return false;
  size_t At = 0;
  while (At < Written.size() && Written[At] == Meant[At])
    ++At;
  return At + 1 < Written.size() && Written[At] == Meant[At + 1] && Written[At + 1] == Meant[At] && Written.substr(At + 2) == Meant.substr(At + 2);
}

std::string nearest(llvm::StringRef Written, const std::vector<std::string> &Candidates) {
  // A third of the letters may differ; more is another word.
  unsigned Allowed = std::max<unsigned>(1, Written.size() / 3);
  std::string Best;
  for (const std::string &Candidate : Candidates) {
    if (Written == Candidate)
      continue;
    if (Written.equals_insensitive(Candidate))
      return Candidate;
    unsigned Distance = isSwap(Written, Candidate) ? 1 : Written.edit_distance(Candidate, /*AllowReplacements=*/true, Allowed);
    if (Distance > Allowed || Distance >= Candidate.size())
      continue;
    Best = Candidate;
    if (Distance == 0)
      break;
    Allowed = Distance - 1;
  }
  return Best;
}

} // namespace vcc::diag
