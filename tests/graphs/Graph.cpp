// SPDX-License-Identifier: Apache-2.0
//
// Graphs between text, modules and files.
#include "tests/graphs/Graph.h"

#include "dialects/exec/Exec.h"

#include "mlir/Parser/Parser.h"

#include <cstdio>
#include <regex>
#include <sstream>

using namespace mlir;
using namespace vcc;
using namespace vcc::graphs;

std::unique_ptr<MLIRContext> graphs::makeContext() {
  auto context = std::make_unique<MLIRContext>(MLIRContext::Threading::DISABLED);
  context->loadDialect<tg::TgDialect, exec::ExecDialect, func::FuncDialect>();
  return context;
}

OwningOpRef<ModuleOp> graphs::parseGraph(const Graph &graph, MLIRContext &context, bool wide) {
  if (!wide)
    return parseSourceString<ModuleOp>(graph.text, &context);
  return parseSourceString<ModuleOp>(std::regex_replace(graph.text, std::regex("(x|<)f32>"), "$1f64>"), &context);
}

std::vector<std::string> graphs::runOrder(ModuleOp stage) {
  std::vector<std::string> first, middle, last;
  auto steps = stage->getAttrOfType<IntegerAttr>("tg.accumulate");
  bool accumulates = !steps || steps.getInt() != 1;
  for (auto function : stage.getOps<func::FuncOp>()) {
    StringRef name = function.getSymName();
    (name == "init" ? first : name == "update" ? last : middle).push_back(name.str());
    if (accumulates && (name.starts_with("forward_") || name.starts_with("micro_")))
      middle.push_back(name.str());
  }
  first.insert(first.end(), middle.begin(), middle.end());
  first.insert(first.end(), last.begin(), last.end());
  return first;
}

bool graphs::movesOnly(Operation *op) {
  return isa<tg::ReshapeOp, tg::TransposeOp, tg::SliceOp, tg::ConcatOp, tg::PadOp, tg::BroadcastOp, tg::GatherOp, tg::NegOp,
             tg::AbsOp, tg::MaxOp, tg::MinOp, tg::SelectOp, tg::StopGradientOp, tg::BarrierOp, tg::FloorOp, tg::ConstantOp,
             tg::RandomUniformOp, tg::IotaOp, tg::CastOp>(op) ||
         (isa<tg::ReduceOp>(op) && cast<tg::ReduceOp>(op).getKind() != tg::ReduceKind::Sum);
}

static void printValues(std::string &text, const char *kind, const Named &values) {
  char number[40];
  for (const auto &[name, numbers] : values) {
    text += std::string("// ") + kind + " " + name + " =";
    for (double value : numbers) {
      std::snprintf(number, sizeof number, " %.17g", value);
      text += number;
    }
    text += "\n";
  }
}

std::string graphs::printGraph(const Graph &graph) {
  std::string text = graph.exact ? "" : "// inexact\n";
  printValues(text, "state", graph.states);
  printValues(text, "input", graph.inputs);
  return text + graph.text;
}

Graph graphs::readGraph(const std::string &printed) {
  Graph graph;
  graph.text = printed;
  std::istringstream lines(printed);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string slashes, kind, name, equals;
    words >> slashes >> kind >> name >> equals;
    if (slashes == "//" && kind == "inexact")
      graph.exact = false;
    if (slashes != "//" || equals != "=")
      continue;
    Numbers &numbers = (kind == "state" ? graph.states : graph.inputs)[name];
    for (double value; words >> value;)
      numbers.push_back(value);
  }
  return graph;
}
