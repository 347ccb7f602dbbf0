// SPDX-License-Identifier: Apache-2.0
//
// Patterns are watched by MLIR's actions: one is dispatched around each application. Whether the pattern did something is read
// from the list of operations: all of ours put something before their root or take it away.
#include "tests/graphs/Counts.h"

#include "compiler/schedule/Passes.h"
#include "dialects/exec/Exec.h"

#include "mlir/IR/Action.h"
#include "mlir/Rewrite/PatternApplicator.h"

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

using namespace mlir;
using namespace vcc;
using namespace vcc::graphs;

void Counts::merge(const Counts &other) {
  for (const auto &[name, times] : other.counts)
    counts[name] += times;
}

uint64_t Counts::of(const std::string &name) const {
  auto found = counts.find(name);
  return found == counts.end() ? 0 : found->second;
}

static std::string patternName(const tracing::Action &action, const std::string &root) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  action.print(stream);
  StringRef name = StringRef(text).rsplit(' ').second;
  if (name.empty()) // an operation's own canonicalize method has no name
    return "canonicalize " + root;
  return (name.contains("::") ? name.rsplit("::").second : name).str();
}

void Counts::watchPatterns(MLIRContext &context) {
  context.registerActionHandler([this](llvm::function_ref<void()> apply, const tracing::Action &action) {
    Operation *root = nullptr;
    if (action.getTag() == ApplyPatternAction::tag)
      for (IRUnit unit : action.getContextIRUnits())
        if (auto *op = dyn_cast_if_present<Operation *>(unit))
          root = op;
    if (!root || !root->getBlock())
      return apply();
    Block *block = root->getBlock();
    Operation *before = root->getPrevNode();
    std::string name = root->getName().getStringRef().str();
    apply();
    Operation *now = before ? before->getNextNode() : block->empty() ? nullptr : &block->front();
    if (now != root)
      add("pattern " + patternName(action, name));
  });
}

void Counts::addOperations(ModuleOp module, std::set<std::string> &seen) {
  module.walk([&](Operation *op) {
    if (op->getName().getDialectNamespace() == "tg" && seen.insert(op->getName().getStringRef().str()).second)
      add("operation " + op->getName().getStringRef().str());
  });
}

static void addKernel(Counts &counts, tg::KernelOp kernel, exec::LaunchKernelOp launch) {
  std::string kind = tg::stringifyKernelClass(kernel.getKernelClass()).str();
  counts.add("kernel " + kind);
  if (kind == "row")
    counts.add(kernel.getColumns() <= 4 ? "kernel row by lanes" : "kernel row by columns");
  std::set<std::string> ways;
  for (unsigned i = 0; i < kernel.getParams().size(); ++i)
    ways.insert("reads " + tg::stringifyParamKind(kernel.getParam(i).getKind()).str());
  for (unsigned i = 0; i < kernel.getResults().size(); ++i)
    ways.insert("gives " + tg::stringifyResultKind(kernel.getResultKind(i).getKind()).str());
  int64_t rows = tg::elementCount(launch.getDims());
  if (launch.getChunk() && static_cast<int64_t>(launch.getChunk()) < rows)
    ways.insert("partial sums");
  if (launch.getDims().size() > 1)
    ways.insert("outer dimensions");
  for (const std::string &way : ways)
    counts.add("kernel " + way);
}

static void addGemm(Counts &counts, exec::GemmOp gemm) {
  auto size = [&](int i) { return gemm.getBatch()[i] > 1; };
  counts.add("gemm batch of " + std::to_string(size(0) + size(1)));
  counts.add(gemm.getActivation() == tg::Activation::None ? "gemm plain"
                                                           : "gemm " + tg::stringifyActivation(gemm.getActivation()).str());
  if (gemm.getBias())
    counts.add("gemm bias");
  if (gemm.getAddend())
    counts.add("gemm addend");
  if (gemm.getBias() && gemm.getAddend())
    counts.add("gemm bias and addend");
  if (gemm.getAccumulate())
    counts.add("gemm accumulate");
  if (gemm.getPack())
    counts.add("gemm packed");
  if (gemm.getAStrides()[3] != 1)
    counts.add("gemm a turned");
  if (gemm.getBStrides()[3] != 1)
    counts.add("gemm b turned");
}

template <typename Op> static void addAttention(Counts &counts, Op op, const std::string &name) {
  counts.add(name);
  if (op.getCausal())
    counts.add(name + " causal");
  if (op.getLengths())
    counts.add(name + " with lengths");
  if (op.getStarts())
    counts.add(name + " with starts");
  if (op.getSizes()[3] != op.getSizes()[4])
    counts.add(name + " of shared heads");
}

void Counts::addPlan(ModuleOp planned) {
  SymbolTable kernels(planned);
  planned.walk([&](Operation *op) {
    if (auto launch = dyn_cast<exec::LaunchKernelOp>(op))
      addKernel(*this, kernels.lookup<tg::KernelOp>(launch.getKernel()), launch);
    else if (auto gemm = dyn_cast<exec::GemmOp>(op))
      addGemm(*this, gemm);
    else if (auto attention = dyn_cast<exec::AttentionOp>(op))
      addAttention(*this, attention, "attention");
    else if (auto gradient = dyn_cast<exec::AttentionGradOp>(op))
      addAttention(*this, gradient, "attention gradient");
    else if (isa<exec::FillOp>(op))
      add("fill");
    else if (isa<exec::CopyOp>(op))
      add("copy");
  });
}

// The patterns that the sources of fusion declare, so that a new one is missed at once.
static void addDeclaredPatterns(std::vector<std::string> &names) {
  std::regex declaration("struct (\\w+) : OpRewritePattern<");
  std::set<std::string> found;
  for (const char *folder : {"fuse", "differentiate", "recompute", "schedule"})
    for (const auto &entry : std::filesystem::directory_iterator(VCC_COMPILER_FOLDER + std::string("/") + folder)) {
      if (entry.path().extension() != ".cpp")
        continue;
      std::stringstream text;
      text << std::ifstream(entry.path()).rdbuf();
      std::string source = text.str();
      for (std::sregex_iterator match(source.begin(), source.end(), declaration), end; match != end; ++match)
        found.insert("pattern " + (*match)[1].str());
    }
  names.insert(names.end(), found.begin(), found.end());
}

std::vector<std::string> Counts::expected(MLIRContext &context) {
  std::vector<std::string> names;
  for (RegisteredOperationName name : context.getRegisteredOperations()) {
    if (name.getDialectNamespace() != "tg")
      continue;
    names.push_back("operation " + name.getStringRef().str());
    RewritePatternSet patterns(&context);
    name.getCanonicalizationPatterns(patterns, &context);
    if (!patterns.getNativePatterns().empty())
      names.push_back("pattern canonicalize " + name.getStringRef().str());
  }
  addDeclaredPatterns(names);
  for (const char *kind : {"row", "flat", "scatter", "row by lanes", "row by columns", "partial sums", "outer dimensions"})
    names.push_back(std::string("kernel ") + kind);
  for (unsigned kind = 0; auto known = tg::symbolizeParamKind(kind); ++kind)
    names.push_back("kernel reads " + tg::stringifyParamKind(*known).str());
  for (unsigned kind = 0; auto known = tg::symbolizeResultKind(kind); ++kind)
    names.push_back("kernel gives " + tg::stringifyResultKind(*known).str());
  for (const char *form : {"batch of 0", "batch of 1", "batch of 2", "plain", "gelu", "silu", "bias", "addend", "bias and addend",
                           "accumulate", "packed", "a turned", "b turned"})
    names.push_back(std::string("gemm ") + form);
  for (const char *name : {"attention", "attention gradient"})
    for (const char *form : {"", " causal", " with lengths", " with starts", " of shared heads"})
      names.push_back(std::string(name) + form);
  names.insert(names.end(), {"fill", "copy", "segment computed again"});
  return names;
}

std::string Counts::table(const std::vector<std::string> &names) const {
  std::map<std::string, uint64_t> rows = counts;
  for (const std::string &name : names)
    rows.try_emplace(name, 0);
  std::string text;
  for (const auto &[name, times] : rows)
    text += name + std::string(name.size() < 44 ? 44 - name.size() : 1, ' ') + std::to_string(times) + "\n";
  return text;
}
