// SPDX-License-Identifier: Apache-2.0
//
// Statements and blocks of options of the owned tree.
#include "dsl/grammar/Builder.h"

using namespace vcc::syntax;

namespace vcc::grammar {

Body Builder::block(Parser::BlockContext *Context) {
  Body Statements;
  for (auto *S : Context->statement())
    Statements.push_back(statement(S));
  return Statements;
}

StmtPtr Builder::ifStatement(Parser::IfStatementContext *Context, size_t Branch) {
  auto Made = std::make_unique<IfStmt>(range(Context));
  Made->Condition = expr(Context->expr(Branch));
  Made->Then = block(Context->block(Branch));
  if (Branch + 1 < Context->expr().size() && Branch < DeepestNesting)
    Made->Otherwise.push_back(ifStatement(Context, Branch + 1));
  else if (Branch + 1 < Context->expr().size())
    Engine.report(diag::kinds::NestedTooDeep, range(Context->expr(Branch)), DeepestNesting);
  else if (Context->block().size() > Context->expr().size())
    Made->Otherwise = block(Context->block(Branch + 1));
  return Made;
}

StmtPtr Builder::statement(Parser::StatementContext *Context) {
  diag::SourceRange At = range(Context);
  if (auto *C = dynamic_cast<Parser::LetStatementContext *>(Context)) {
    auto Made = std::make_unique<LetStmt>(At);
    Made->Names = targets(C->targets());
    Made->Value = expr(C->expr());
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::AssignStatementContext *>(Context)) {
    auto Made = std::make_unique<AssignStmt>(At);
    Made->Names = targets(C->targets());
    Made->Value = expr(C->expr());
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::ReturnStatementContext *>(Context)) {
    auto Made = std::make_unique<ReturnStmt>(At);
    Made->Value = expr(C->expr());
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::IfStatementContext *>(Context))
    return ifStatement(C, 0);
  if (auto *C = dynamic_cast<Parser::ForStatementContext *>(Context)) {
    auto Made = std::make_unique<ForStmt>(At);
    Made->Targets = targets(C->targets());
    Made->Sequence = expr(C->expr());
    Made->Inner = block(C->block());
    return Made;
  }
  if (auto *C = dynamic_cast<Parser::TermStatementContext *>(Context)) {
    auto Made = std::make_unique<TermStmt>(At);
    Made->Name = ident(C->ident());
    Made->Value = expr(C->expr());
    return Made;
  }
  auto *C = dynamic_cast<Parser::ExpressionStatementContext *>(Context);
  auto Made = std::make_unique<ExpressionStmt>(At);
  Made->Value = expr(C->expr());
  return Made;
}

Options Builder::options(Parser::EntriesContext *Context) {
  Options Made;
  if (Context)
    for (auto *O : Context->option())
      Made.push_back(option(O));
  return Made;
}

Option Builder::option(Parser::OptionContext *Context) {
  Option Made;
  Made.Range = range(Context);
  if (auto *C = dynamic_cast<Parser::ExceptOptionContext *>(Context)) {
    Made.Key = {"except", range(C->getStart(), C->getStart())};
    for (auto *P : C->path())
      Made.Paths.push_back(path(P));
  } else if (auto *C = dynamic_cast<Parser::LikeOptionContext *>(Context)) {
    Made.Key = {"like", range(C->getStart(), C->getStart())};
    auto Text = std::make_unique<StringExpr>(range(C->STRING()));
    Text->Value = unescape(C->STRING());
    Made.Value = std::move(Text);
  } else if (auto *C = dynamic_cast<Parser::SkipOptionContext *>(Context)) {
    Made.Key = ident(C->ident());
    Made.Value = expr(C->expr());
  } else if (auto *C = dynamic_cast<Parser::ValueOptionContext *>(Context)) {
    Made.Key = ident(C->ident());
    Made.Value = expr(C->expr());
  } else if (auto *C = dynamic_cast<Parser::RenameOptionContext *>(Context)) {
    Made.Key = ident(C->ident());
    for (size_t I = 0; I + 1 < C->STRING().size(); I += 2) {
      antlr4::tree::TerminalNode *From = C->STRING(I), *To = C->STRING(I + 1);
      Made.Renames.push_back({range(From->getSymbol(), To->getSymbol()), unescape(From), unescape(To)});
    }
  } else if (auto *C = dynamic_cast<Parser::InnerOptionContext *>(Context)) {
    Made.Key = ident(C->ident());
    Made.HasInner = true;
    for (auto *P : C->perSelector()) {
      Option::PerSelector &Added = Made.Inner.emplace_back();
      Added.Range = range(P);
      if (P->path())
        Added.Path = path(P->path());
      Added.Value = expr(P->expr());
    }
  }
  return Made;
}

} // namespace vcc::grammar
