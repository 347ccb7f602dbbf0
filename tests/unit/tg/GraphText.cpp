// SPDX-License-Identifier: Apache-2.0
//
// The text of one stage around operations under test.
#include "GraphText.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/Parser/Parser.h"

using namespace mlir;
using namespace vcc;
using namespace vcc::test;

Sampler test::between(double Low, double High) {
  return [=](Random &R) { return std::uniform_real_distribution<double>(Low, High)(R); };
}
Sampler test::signedBetween(double Low, double High) {
  return [=](Random &R) { return (R() % 2 ? 1.0 : -1.0) * std::uniform_real_distribution<double>(Low, High)(R); };
}
Sampler test::apart(Random &Source) {
  auto Places = std::make_shared<std::vector<int>>();
  for (int I = -200; I < 200; ++I)
    Places->push_back(I);
  std::shuffle(Places->begin(), Places->end(), Source);
  return [Places](Random &) {
    double Place = 0.05 * Places->back();
    Places->pop_back();
    return Place;
  };
}

std::string test::tensorText(const Shape &Sizes, llvm::StringRef Element) {
  std::string Text = "tensor<";
  for (int64_t Size : Sizes)
    Text += std::to_string(Size) + "x";
  return Text + Element.str() + ">";
}
int64_t test::pickSize(Random &Source, int64_t Low, int64_t High) {
  return Low + static_cast<int64_t>(Source() % static_cast<uint64_t>(High - Low + 1));
}
Shape test::pickShape(Random &Source, int64_t Rank, int64_t Low, int64_t High) {
  Shape Sizes;
  for (int64_t Axis = 0; Axis < Rank; ++Axis)
    Sizes.push_back(pickSize(Source, Low, High));
  return Sizes;
}

MLIRContext &test::context() {
  static MLIRContext *Context = [] {
    auto *C = new MLIRContext(MLIRContext::Threading::DISABLED);
    C->loadDialect<tg::TgDialect, func::FuncDialect>();
    return C;
  }();
  return *Context;
}

OwningOpRef<ModuleOp> test::parse(llvm::StringRef Text) { return parseSourceString<ModuleOp>(Text, &context()); }

std::string GraphText::weight(const Shape &Sizes, const Sampler &Sample) {
  std::string Name = "w" + std::to_string(Weights.size()), Type = tensorText(Sizes);
  States += "  tg.state @" + Name + " weight trainable : " + Type + "\n";
  Body += "    %" + Name + " = tg.read @" + Name + " : " + Type + "\n";
  std::vector<double> Values(tg::elementCount(Sizes));
  for (double &V : Values)
    V = Sample(Source);
  Weights.emplace_back(Name, std::move(Values));
  return "%" + Name;
}

std::string GraphText::input(const Shape &Sizes, llvm::StringRef Element, const Sampler &Sample) {
  std::string Name = "i" + std::to_string(Inputs.size()), Type = tensorText(Sizes, Element);
  Body += "    %" + Name + " = tg.input \"" + Name + "\" : " + Type + "\n";
  tg::HostTensor Value(cast<RankedTensorType>(parseType(Type, &context())));
  for (double &V : Value.Data)
    V = Sample(Source);
  Inputs.emplace_back(Name, std::move(Value));
  return "%" + Name;
}

void GraphText::result(const std::string &Name, const Shape &Sizes, llvm::StringRef Element) {
  std::string Type = tensorText(Sizes, Element), Cotangent = input(Sizes, Element, signedBetween(0.5, 1.5));
  std::string Term = "%term" + std::to_string(Terms), Scalar = tensorText({}, Element), Axes;
  for (size_t Axis = 0; Axis < Sizes.size(); ++Axis)
    Axes += (Axis == 0 ? ": " : ", ") + std::to_string(Axis);
  line(Term + "p = tg.mul " + Name + ", " + Cotangent + " : " + Type);
  line(Term + "s = tg.reduce " + Term + "p {kind = #tg.reduce_kind<sum>, axes = array<i64" + Axes + ">} : (" + Type +
       ") -> " + Scalar);
  std::string Sum = Term + "s";
  if (Element != "f64") {
    line(Term + "c = tg.cast " + Sum + " : " + Scalar + " -> tensor<f64>");
    Sum = Term + "c";
  }
  if (Terms > 0) {
    line(Term + " = tg.add " + Loss + ", " + Sum + " : tensor<f64>");
    Sum = Term;
  }
  Loss = Sum;
  ++Terms;
}

std::string GraphText::text() const {
  return "module {\n" + States + "  func.func @forward_main() {\n" + Body + "    tg.loss " + Loss +
         " : tensor<f64>\n    return\n  }\n}\n";
}

void GraphText::feed(interpret::Interpreter &Run) const {
  for (const auto &[Name, Values] : Weights)
    (void)Run.setState(Name, Values);
  for (const auto &[Name, Value] : Inputs)
    Run.setInput(Name, Value);
}
