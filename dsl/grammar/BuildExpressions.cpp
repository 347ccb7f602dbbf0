// SPDX-License-Identifier: Apache-2.0
//
// Expressions and selectors of the owned tree.
#include "dsl/grammar/Builder.h"

#include <algorithm>
#include <cmath>

using namespace vcc::syntax;

namespace vcc::grammar {

using diag::SourceRange;

SourceRange Builder::range(antlr4::Token *First, antlr4::Token *Last) const {
  if (!First)
    return {File, 1, 1, 1, 2};
  if (!Last || Last->getTokenIndex() < First->getTokenIndex())
    Last = First;
  unsigned Length = Last->getType() == antlr4::Token::EOF ? 1 : Last->getStopIndex() - Last->getStartIndex() + 1;
  return {File, static_cast<unsigned>(First->getLine()), static_cast<unsigned>(First->getCharPositionInLine() + 1),
          static_cast<unsigned>(Last->getLine()), static_cast<unsigned>(Last->getCharPositionInLine() + 1 + Length)};
}

SourceRange Builder::range(antlr4::ParserRuleContext *Context) const {
  return range(Context->getStart(), Context->getStop());
}

SourceRange Builder::range(antlr4::tree::TerminalNode *Node) const {
  return range(Node->getSymbol(), Node->getSymbol());
}

Ident Builder::ident(Parser::IdentContext *Context) { return {Context->getText(), range(Context)}; }

std::vector<Ident> Builder::dotted(Parser::DottedContext *Context) {
  std::vector<Ident> Names;
  for (auto *Part : Context->ident())
    Names.push_back(ident(Part));
  return Names;
}

Ident Builder::quoted(antlr4::tree::TerminalNode *Node) { return {unescape(Node), range(Node)}; }

static void appendUtf8(std::string &Text, uint32_t Code) {
  if (Code < 0x80) {
    Text += static_cast<char>(Code);
  } else if (Code < 0x800) {
    Text += static_cast<char>(0xC0 | (Code >> 6));
    Text += static_cast<char>(0x80 | (Code & 0x3F));
  } else if (Code < 0x10000) {
    Text += static_cast<char>(0xE0 | (Code >> 12));
    Text += static_cast<char>(0x80 | ((Code >> 6) & 0x3F));
    Text += static_cast<char>(0x80 | (Code & 0x3F));
  } else {
    Text += static_cast<char>(0xF0 | (Code >> 18));
    Text += static_cast<char>(0x80 | ((Code >> 12) & 0x3F));
    Text += static_cast<char>(0x80 | ((Code >> 6) & 0x3F));
    Text += static_cast<char>(0x80 | (Code & 0x3F));
  }
}

std::string Builder::unescape(antlr4::tree::TerminalNode *Node) {
  std::string Raw = Node->getText(), Text;
  llvm::StringRef Rest = llvm::StringRef(Raw).drop_front().drop_back();
  auto Bad = [&](const llvm::Twine &Why) { Engine.report(diag::kinds::SyntaxError, range(Node), Why); };
  while (!Rest.empty()) {
    char C = Rest.front();
    Rest = Rest.drop_front();
    if (C != '\\') {
      Text += C;
      continue;
    }
    char Escape = Rest.front();
    Rest = Rest.drop_front();
    switch (Escape) {
    case 'n': Text += '\n'; break;
    case 't': Text += '\t'; break;
    case 'r': Text += '\r'; break;
    case '"': Text += '"'; break;
    case '\\': Text += '\\'; break;
    case 'u': {
      uint32_t Code = 0;
      auto [Digits, After] = Rest.split('}');
      if (!Digits.consume_front("{") || Digits.getAsInteger(16, Code) || Code == 0 || Code > 0x10FFFF ||
          (Code >= 0xD800 && Code < 0xE000)) {
        Bad("`\\u` needs the number of a character in hexadecimal, such as `\\u{e9}`");
        return Text;
      }
      appendUtf8(Text, Code);
      Rest = After;
      break;
    }
    default:
      Bad(llvm::Twine("a string knows no escape `\\") + llvm::Twine(Escape) + "`");
      return Text;
    }
  }
  return Text;
}

int64_t Builder::integer(const std::string &Text, const SourceRange &Range) {
  std::string Digits;
  std::copy_if(Text.begin(), Text.end(), std::back_inserter(Digits), [](char C) { return C != '_'; });
  int64_t Value = 0;
  if (llvm::StringRef(Digits).getAsInteger(10, Value))
    Engine.report(diag::kinds::NumberTooLarge, Range, Text.size() > 40 ? Text.substr(0, 40) + "..." : Text);
  return Value;
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Expressions
//===------------------------------------------------------------------------------------------------------------------------------===//

namespace {
struct DepthGuard {
  explicit DepthGuard(unsigned &Depth) : Depth(Depth) { ++Depth; }
  ~DepthGuard() { --Depth; }
  unsigned &Depth;
};
template <class Node> std::unique_ptr<Node> make(const SourceRange &Range) { return std::make_unique<Node>(Range); }
} // namespace

ExprPtr Builder::expr(Parser::ExprContext *Context) {
  DepthGuard Guard(Depth);
  if (Depth > DeepestNesting) {
    Engine.report(diag::kinds::NestedTooDeep, range(Context->getStart(), Context->getStart()), DeepestNesting)
        .help("give parts of the expression names with `let`");
    return make<NoneExpr>(range(Context));
  }
  if (ExprPtr Made = operation(Context))
    return Made;
  if (ExprPtr Made = bracketed(Context))
    return Made;
  return leaf(Context);
}

ExprPtr Builder::binary(BinaryOperator Operator, Parser::ExprContext *Left, Parser::ExprContext *Right,
                        SourceRange Range) {
  auto Made = make<BinaryExpr>(Range);
  Made->Operator = Operator;
  Made->Left = expr(Left);
  Made->Right = expr(Right);
  return Made;
}

ExprPtr Builder::logical(bool And, Parser::ExprContext *Left, Parser::ExprContext *Right, SourceRange Range) {
  auto Made = make<LogicalExpr>(Range);
  Made->And = And;
  Made->Left = expr(Left);
  Made->Right = expr(Right);
  return Made;
}

ExprPtr Builder::unary(UnaryOperator Operator, Parser::ExprContext *Operand, SourceRange Range) {
  auto Made = make<UnaryExpr>(Range);
  Made->Operator = Operator;
  Made->Operand = expr(Operand);
  return Made;
}

static BinaryOperator operatorNamed(const std::string &Text) {
  static const std::pair<const char *, BinaryOperator> Table[] = {
      {"+", BinaryOperator::Add}, {"-", BinaryOperator::Sub}, {"*", BinaryOperator::Mul},
      {"/", BinaryOperator::Div}, {"\uE000", BinaryOperator::FloorDiv}, {"%", BinaryOperator::Mod},
      {"==", BinaryOperator::Eq}, {"!=", BinaryOperator::Ne}, {"<", BinaryOperator::Lt},
      {"<=", BinaryOperator::Le}, {">", BinaryOperator::Gt}, {">=", BinaryOperator::Ge}};
  for (auto &[Spelling, Operator] : Table)
    if (Text == Spelling)
      return Operator;
  return BinaryOperator::Add;
}

ExprPtr Builder::operation(Parser::ExprContext *Context) {
  SourceRange At = range(Context);
  auto Middle = [&] { return operatorNamed(Context->children[1]->getText()); };
  if (auto *C = dynamic_cast<Parser::ProductExprContext *>(Context))
    return binary(Middle(), C->expr(0), C->expr(1), At);
  if (auto *C = dynamic_cast<Parser::SumExprContext *>(Context))
    return binary(Middle(), C->expr(0), C->expr(1), At);
  if (auto *C = dynamic_cast<Parser::CompareExprContext *>(Context))
    return binary(Middle(), C->expr(0), C->expr(1), At);
  if (auto *C = dynamic_cast<Parser::PowerExprContext *>(Context))
    return binary(BinaryOperator::Pow, C->expr(0), C->expr(1), At);
  if (auto *C = dynamic_cast<Parser::AndExprContext *>(Context))
    return logical(true, C->expr(0), C->expr(1), At);
  if (auto *C = dynamic_cast<Parser::OrExprContext *>(Context))
    return logical(false, C->expr(0), C->expr(1), At);
  if (auto *C = dynamic_cast<Parser::NegExprContext *>(Context))
    return unary(UnaryOperator::Neg, C->expr(), At);
  if (auto *C = dynamic_cast<Parser::NotExprContext *>(Context))
    return unary(UnaryOperator::Not, C->expr(), At);
  if (auto *C = dynamic_cast<Parser::RangeExprContext *>(Context)) {
    auto Made = make<RangeExpr>(At);
    Made->First = expr(C->expr(0));
    Made->Last = expr(C->expr(1));
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::ConditionalExprContext *>(Context)) {
    auto Made = make<ConditionalExpr>(At);
    Made->Then = expr(C->expr(0));
    Made->Condition = expr(C->expr(1));
    Made->Otherwise = expr(C->expr(2));
    return Made;
  }
  return nullptr;
}

ExprPtr Builder::bracketed(Parser::ExprContext *Context) {
  SourceRange At = range(Context);
  if (auto *C = dynamic_cast<Parser::MemberExprContext *>(Context)) {
    auto Made = make<MemberExpr>(At);
    Made->Object = expr(C->expr());
    Made->Name = ident(C->ident());
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::CallExprContext *>(Context)) {
    auto Made = make<CallExpr>(At);
    Made->Callee = expr(C->expr());
    for (auto *A : C->argument()) {
      Argument &Added = Made->Arguments.emplace_back();
      if (A->ident())
        Added.Name = ident(A->ident());
      Added.Value = expr(A->expr());
    }
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::IndexExprContext *>(Context)) {
    auto Made = make<IndexExpr>(At);
    Made->Object = expr(C->expr());
    for (auto *I : C->item())
      Made->Items.push_back(item(I));
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::GroupExprContext *>(Context)) {
    ExprPtr Made = expr(C->expr());
    Made->Range = At;
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::TupleExprContext *>(Context)) {
    auto Made = make<TupleExpr>(At);
    for (auto *E : C->expr())
      Made->Elements.push_back(expr(E));
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::ListExprContext *>(Context)) {
    auto Made = make<ListExpr>(At);
    for (auto *E : C->element())
      Made->Elements.push_back(E->expr() ? expr(E->expr()) : make<EllipsisExpr>(range(E)));
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::ComprehensionExprContext *>(Context)) {
    auto Made = make<ComprehensionExpr>(At);
    Made->Body = expr(C->expr(0));
    Made->Targets = targets(C->targets());
    Made->Sequence = expr(C->expr(1));
    Made->Filter = optional(C->expr(2));
    return Made;
  }
  return nullptr;
}

ExprPtr Builder::leaf(Parser::ExprContext *Context) {
  SourceRange At = range(Context);
  if (auto *C = dynamic_cast<Parser::NumberExprContext *>(Context))
    return number(C);
  if (auto *C = dynamic_cast<Parser::PercentExprContext *>(Context)) {
    std::string Text = C->getText();
    Text.pop_back();
    return quantity(Text, true, "%", At);
  }
  if (auto *C = dynamic_cast<Parser::StringExprContext *>(Context)) {
    auto Made = make<StringExpr>(At);
    Made->Value = unescape(C->STRING());
    return Made;
  }
  if (dynamic_cast<Parser::BoolExprContext *>(Context)) {
    auto Made = make<BoolExpr>(At);
    Made->Value = Context->getText() == "true";
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::PhraseExprContext *>(Context)) {
    auto Made = make<PhraseExpr>(At);
    Made->Text = C->ident(0)->getText() + " over " + C->ident(1)->getText() + " of " + C->ident(2)->getText();
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::NameExprContext *>(Context)) {
    auto Made = make<NameExpr>(At);
    Made->Name = C->ident()->getText();
    return Made;
  }
  return make<NoneExpr>(At);
}

ExprPtr Builder::number(Parser::NumberExprContext *Context) {
  std::optional<std::string> Unit;
  if (Context->unit())
    Unit = Context->unit()->getText();
  if (auto *Node = Context->INT())
    return quantity(Node->getText(), false, Unit, range(Context));
  return quantity(Context->FLOAT()->getText(), true, Unit, range(Context));
}

namespace {
struct UnitWord {
  const char *Word;
  Unit In;
  int64_t Scale;
};
} // namespace

static const UnitWord *findUnit(const std::string &Word) {
  static const UnitWord Table[] = {
      {"step", Unit::Steps, 1}, {"steps", Unit::Steps, 1}, {"epoch", Unit::Epochs, 1}, {"epochs", Unit::Epochs, 1},
      {"%", Unit::Percent, 1}, {"bytes", Unit::Bytes, 1}, {"kB", Unit::Bytes, 1000}, {"MB", Unit::Bytes, 1000000},
      {"GB", Unit::Bytes, 1000000000}, {"TB", Unit::Bytes, 1000000000000}, {"second", Unit::Seconds, 1},
      {"seconds", Unit::Seconds, 1}, {"minute", Unit::Seconds, 60}, {"minutes", Unit::Seconds, 60},
      {"hour", Unit::Seconds, 3600}, {"hours", Unit::Seconds, 3600}};
  for (const UnitWord &Word_ : Table)
    if (Word == Word_.Word)
      return &Word_;
  return nullptr;
}

ExprPtr Builder::quantity(std::string Text, bool Floating, std::optional<std::string> Word, SourceRange Range) {
  const UnitWord *Unit = Word ? findUnit(*Word) : nullptr;
  int64_t Scale = Unit ? Unit->Scale : 1, Whole = 0;
  if (!Floating) {
    Whole = integer(Text, Range);
    if (!__builtin_mul_overflow(Whole, Scale, &Whole)) {
      auto Made = make<IntExpr>(Range);
      Made->Value = Whole;
      if (Unit)
        Made->In = Unit->In;
      return Made;
    }
    Engine.report(diag::kinds::NumberTooLarge, Range, Text + " " + *Word);
  }
  Text.erase(std::remove(Text.begin(), Text.end(), '_'), Text.end());
  auto Made = make<FloatExpr>(Range);
  Made->Value = std::strtod(Text.c_str(), nullptr) * static_cast<double>(Scale);
  if (!std::isfinite(Made->Value)) {
    Engine.report(diag::kinds::NumberTooLarge, Range, Text.size() > 40 ? Text.substr(0, 40) + "..." : Text);
    Made->Value = 0;
  }
  if (Unit)
    Made->In = Unit->In;
  return Made;
}

ExprPtr Builder::item(Parser::ItemContext *Context) {
  if (auto *C = dynamic_cast<Parser::SliceItemContext *>(Context)) {
    auto Made = make<SliceExpr>(range(Context));
    Made->Start = optional(C->first);
    Made->Stop = optional(C->stop);
    Made->Step = optional(C->step);
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::ValueItemContext *>(Context))
    return expr(C->expr());
  return make<EllipsisExpr>(range(Context));
}

std::vector<Ident> Builder::targets(Parser::TargetsContext *Context) {
  std::vector<Ident> Names;
  for (auto *Name : Context->ident())
    Names.push_back(ident(Name));
  return Names;
}

ExprPtr Builder::reference(Parser::DottedContext *Context) {
  std::vector<Ident> Names = dotted(Context);
  ExprPtr Made;
  for (Ident &Name : Names) {
    if (!Made) {
      auto First = make<NameExpr>(Name.Range);
      First->Name = Name.Text;
      Made = std::move(First);
      continue;
    }
    auto Member = make<MemberExpr>(join(Names.front().Range, Name.Range));
    Member->Object = std::move(Made);
    Member->Name = Name;
    Made = std::move(Member);
  }
  return Made;
}

//===------------------------------------------------------------------------------------------------------------------------------===//
// Selectors
//===------------------------------------------------------------------------------------------------------------------------------===//

SelectorStep Builder::step(antlr4::tree::ParseTree *Node, SourceRange Range) {
  SelectorStep Step;
  Step.Range = Range;
  if (auto *Name = dynamic_cast<Parser::IdentContext *>(Node)) {
    Step.Name = Name->getText();
  } else if (auto *Inner = dynamic_cast<Parser::AlternativesContext *>(Node)) {
    Step.Kind = StepKind::Alternatives;
    for (auto *Alternative : Inner->path())
      Step.Alternatives.push_back(path(Alternative));
  } else {
    Step.Kind = StepKind::Any;
  }
  return Step;
}

SelectorStep Builder::bracketStep(Parser::PathStepContext *Context) {
  SelectorStep Step;
  Step.Range = range(Context);
  auto Numbers = Context->integer();
  auto Value = [&](Parser::IntegerContext *C) { return integer(C->getText(), range(C)); };
  bool Ranged = false;
  for (auto *Child : Context->children) {
    std::string Text = Child->getText();
    if (Text == "*") {
      Step.Kind = StepKind::AllIndices;
      return Step;
    }
    if (Text == "..")
      Ranged = true;
    else if (auto *Number = dynamic_cast<Parser::IntegerContext *>(Child))
      (Ranged ? Step.Last : Step.First) = Value(Number);
  }
  Step.Kind = Ranged ? StepKind::Range : StepKind::Index;
  return Step;
}

SelectorPath Builder::path(Parser::PathContext *Context) {
  DepthGuard Guard(Depth);
  SelectorPath Path;
  Path.Range = range(Context);
  if (Depth > DeepestNesting) {
    Engine.report(diag::kinds::NestedTooDeep, Path.Range, DeepestNesting);
    return Path;
  }
  Path.Steps.push_back(step(Context->pathStart()->children.front(), range(Context->pathStart())));
  for (auto *Next : Context->pathStep()) {
    if (Next->children.front()->getText() == "[") {
      Path.Steps.push_back(bracketStep(Next));
      continue;
    }
    SourceRange At = range(Next);
    if (At.Line == At.EndLine)
      ++At.Column; // the dot does not belong to the name
    Path.Steps.push_back(step(Next->children[1], At));
  }
  return Path;
}

Selector Builder::plain(Parser::PathContext *Context) {
  Selector Made;
  Made.Path = path(Context);
  Made.Range = Made.Path.Range;
  return Made;
}

Selector Builder::selector(Parser::SelectorContext *Context) {
  auto Paths = Context->path();
  Selector Made = plain(Paths.front());
  for (size_t I = 1; I < Paths.size(); ++I)
    Made.Except.push_back(path(Paths[I]));
  return Made;
}

std::vector<Selector> Builder::selectors(const std::vector<Parser::SelectorContext *> &Contexts) {
  std::vector<Selector> Made;
  for (auto *Context : Contexts)
    Made.push_back(selector(Context));
  return Made;
}

} // namespace vcc::grammar
