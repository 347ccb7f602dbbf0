// SPDX-License-Identifier: Apache-2.0
//
// Builds the owned tree from the parser's. One method per rule of the grammar; the parser's tree is complete when this runs, since a file
// with syntax errors is not built.
#ifndef VCC_DSL_GRAMMAR_BUILDER_H
#define VCC_DSL_GRAMMAR_BUILDER_H

#include "dsl/diag/Engine.h"
#include "dsl/syntax/Declarations.h"

#include "VcsLexer.h"
#include "VcsParser.h"
#include "antlr4-runtime.h"

namespace vcc::grammar {

/// How deep brackets, blocks and operators may nest.
inline constexpr unsigned DeepestNesting = 200;

class Builder {
public:
  Builder(std::string File, antlr4::CommonTokenStream &Tokens, diag::Engine &Engine)
      : File(std::move(File)), Tokens(Tokens), Engine(Engine) {}

  std::unique_ptr<syntax::Module> module(VcsParser::FileContext *Context);
  syntax::ExprPtr expr(VcsParser::ExprContext *Context);

private:
  using Parser = VcsParser;

  // BuildExpressions.cpp
  diag::SourceRange range(antlr4::Token *First, antlr4::Token *Last) const;
  diag::SourceRange range(antlr4::ParserRuleContext *Context) const;
  diag::SourceRange range(antlr4::tree::TerminalNode *Node) const;
  syntax::Ident ident(Parser::IdentContext *Context);
  std::vector<syntax::Ident> dotted(Parser::DottedContext *Context);
  syntax::Ident quoted(antlr4::tree::TerminalNode *Node);
  std::string unescape(antlr4::tree::TerminalNode *Node);
  int64_t integer(const std::string &Text, const diag::SourceRange &Range);
  syntax::ExprPtr optional(Parser::ExprContext *Context) { return Context ? expr(Context) : nullptr; }
  syntax::ExprPtr operation(Parser::ExprContext *Context);
  syntax::ExprPtr leaf(Parser::ExprContext *Context);
  syntax::ExprPtr bracketed(Parser::ExprContext *Context);
  syntax::ExprPtr number(Parser::NumberExprContext *Context);
  syntax::ExprPtr quantity(std::string Text, bool Floating, std::optional<std::string> Unit, diag::SourceRange Range);
  syntax::ExprPtr binary(syntax::BinaryOperator Operator, Parser::ExprContext *Left, Parser::ExprContext *Right,
                         diag::SourceRange Range);
  syntax::ExprPtr logical(bool And, Parser::ExprContext *Left, Parser::ExprContext *Right, diag::SourceRange Range);
  syntax::ExprPtr unary(syntax::UnaryOperator Operator, Parser::ExprContext *Operand, diag::SourceRange Range);
  syntax::ExprPtr item(Parser::ItemContext *Context);
  std::vector<syntax::Ident> targets(Parser::TargetsContext *Context);
  syntax::ExprPtr reference(Parser::DottedContext *Context);
  syntax::SelectorPath path(Parser::PathContext *Context);
  syntax::SelectorStep step(antlr4::tree::ParseTree *Node, diag::SourceRange Range);
  syntax::SelectorStep bracketStep(Parser::PathStepContext *Context);
  syntax::Selector selector(Parser::SelectorContext *Context);
  std::vector<syntax::Selector> selectors(const std::vector<Parser::SelectorContext *> &Contexts);
  syntax::Selector plain(Parser::PathContext *Context);

  // BuildStatements.cpp
  syntax::Body block(Parser::BlockContext *Context);
  syntax::StmtPtr statement(Parser::StatementContext *Context);
  syntax::StmtPtr ifStatement(Parser::IfStatementContext *Context, size_t Branch);
  syntax::Options options(Parser::EntriesContext *Context);
  syntax::Option option(Parser::OptionContext *Context);

  // BuildDeclarations.cpp
  std::string doc(antlr4::ParserRuleContext *Context);
  syntax::TypeRef type(Parser::TypeRefContext *Context);
  std::vector<syntax::ExprPtr> dims(Parser::DimsContext *Context);
  std::vector<syntax::Param> params(Parser::ParamsContext *Context);
  syntax::DeclPtr declaration(Parser::DeclarationContext *Context);
  std::unique_ptr<syntax::FnDecl> fn(antlr4::ParserRuleContext *Context, Parser::IdentContext *Name,
                                     Parser::ParamsContext *Params, Parser::TypeRefContext *Result,
                                     Parser::BlockContext *Block);
  syntax::DeclPtr structDecl(Parser::StructDeclContext *Context);
  syntax::DeclPtr opDecl(Parser::OpDeclContext *Context);
  syntax::DeclPtr layerDecl(Parser::LayerDeclContext *Context);
  syntax::LayerField layerField(Parser::LayerFieldContext *Context);
  syntax::LayerField layerIf(Parser::LayerIfContext *Context, size_t Branch);
  std::vector<syntax::LayerField> fieldBlock(Parser::FieldBlockContext *Context);
  syntax::DeclPtr modelDecl(Parser::ModelDeclContext *Context);
  syntax::DeclPtr templateDecl(Parser::TemplateDeclContext *Context);
  syntax::DeclPtr datasetFormat(Parser::DatasetFormatDeclContext *Context);
  std::vector<syntax::RecordField> record(Parser::RecordBlockContext *Context);
  void ruleMembers(const std::vector<Parser::RuleMemberContext *> &Members, syntax::RuleDecl &Into);

  // BuildStages.cpp
  syntax::DeclPtr stageDecl(Parser::StageDeclContext *Context);
  void clause(Parser::ClauseContext *Context, syntax::StageDecl &Stage);
  syntax::StageRef stageRef(Parser::StageRefContext *Context);
  syntax::Moment moment(Parser::MomentContext *Context);
  syntax::StartClause start(Parser::StartClauseContext *Context);
  syntax::BatchEntry batchEntry(Parser::BatchEntryContext *Context);
  syntax::EvaluateClause evaluate(Parser::EvaluateClauseContext *Context);
  syntax::SaveClause save(Parser::SaveClauseContext *Context);

  std::string File;
  antlr4::CommonTokenStream &Tokens;
  diag::Engine &Engine;
  unsigned Depth = 0;
};

} // namespace vcc::grammar

#endif
