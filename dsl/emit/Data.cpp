// SPDX-License-Identifier: Apache-2.0
//
// Declarations of data: annotation formats, datasets, tokenizers, templates.
#include "dsl/emit/Emitter.h"
#include "dsl/types/Calls.h"

using namespace vcc::syntax;

namespace vcc::emit {

void Emitter::datasetFormat(const DatasetFormatDecl &D) {
  auto Op = Builder.create<vcs::DatasetFormatOp>(loc(D.Name.Range), D.Name.Text, doc(D.Doc));
  holds(Op.getBodyRegion(), [&] {
    signature(D.Params, std::nullopt);
    recordFields(D.Fields);
  });
}

void Emitter::recordFields(const std::vector<RecordField> &Fields) {
  std::map<std::string, diag::SourceRange> Seen;
  for (const RecordField &F : Fields) {
    auto [Old, New] = Seen.try_emplace(F.Name.Text, F.Name.Range);
    if (!New)
      Engine.report(diag::kinds::DuplicateName, F.Name.Range, F.Name.Text).label(Old->second, "first here");
    recordField(F);
  }
}

void Emitter::recordField(const RecordField &F) {
  vcs::RecordType Type = F.HasFields ? vcs::RecordType::Record : vcs::RecordType::String;
  std::vector<std::string> Keys;
  std::optional<vcs::RecordType> Named = vcs::symbolizeRecordType(F.Keys.front().Text);
  if (!F.HasFields && F.Keys.size() == 1 && Named && *Named != vcs::RecordType::Record) {
    Type = *Named;
    Keys.push_back(F.Name.Text);
  } else {
    for (const Ident &Key : F.Keys)
      Keys.push_back(Key.Text);
  }
  auto Op = Builder.create<vcs::RecordFieldOp>(loc(F.Range), F.Name.Text, strings(Keys), Type, F.List);
  holds(Op.getFields(), [&] { recordFields(F.Fields); });
}

void Emitter::dataset(const DatasetDecl &D) {
  types::checkKeys(D.With, types::BlockKind::Dataset, {}, "dataset `" + D.Name.Text + "`", Engine);
  auto Op = Builder.create<vcs::DatasetOp>(loc(D.Name.Range), D.Name.Text, doc(D.Doc));
  auto *Call = llvm::dyn_cast<CallExpr>(D.Source.get());
  if (Call)
    needKind(*Call->Callee, {DeclKind::DatasetFormat}, "dataset format");
  else
    Engine.report(diag::kinds::WrongType, D.Source->Range, "a dataset", "this", "a dataset format with its files, such as `caption_json(\"train.json\")`");
  yields(Op.getSource(), *D.Source);
  options(Op.getOptions(), D.With, types::BlockKind::Dataset);
}

void Emitter::tokenizer(const TokenizerDecl &D) {
  static const std::vector<std::string> Algorithms = {"wordpiece", "sentencepiece"};
  auto *Call = llvm::dyn_cast<CallExpr>(D.Source.get());
  auto *Name = Call ? llvm::dyn_cast<NameExpr>(Call->Callee.get()) : nullptr;
  if (!Name) {
    Engine.report(diag::kinds::WrongType, D.Source->Range, "a tokenizer", "this", "`wordpiece(...)` or `sentencepiece(...)`");
  } else if (!llvm::is_contained(Algorithms, Name->Name)) {
    Engine.report(diag::kinds::UnknownName, Name->Range, "tokenizer algorithm", Name->Name)
        .note("there are " + diag::list(Algorithms))
        .didYouMean(Name->Name, Algorithms);
    return;
  }
  auto Op = Builder.create<vcs::TokenizerOp>(loc(D.Name.Range), D.Name.Text, doc(D.Doc));
  yields(Op.getSource(), *D.Source);
}

void Emitter::textTemplate(const TemplateDecl &D) {
  auto Op = Builder.create<vcs::TemplateOp>(loc(D.Name.Range), D.Name.Text, doc(D.Doc));
  holds(Op.getBodyRegion(), [&] {
    for (const TemplateSegment &S : D.Segments) {
      std::optional<vcs::SegmentRole> Role = vcs::symbolizeSegmentRole(S.Role.Text);
      if (!Role) {
        std::vector<std::string> Known = {"system", "media", "image", "video", "first", "user", "assistant", "end", "prompts", "image_prompts"};
        Engine.report(diag::kinds::UnknownKey, S.Role.Range, "a template", S.Role.Text)
            .note("its keys are " + diag::list(Known, 10))
            .didYouMean(S.Role.Text, Known);
        continue;
      }
      Builder.create<vcs::SegmentOp>(loc(S.Range), *Role, S.Text);
    }
    if (!D.Prompts.empty())
      Builder.create<vcs::PromptsOp>(loc(D.Name.Range), strings(D.Prompts), /*for_images=*/false);
    if (!D.ImagePrompts.empty())
      Builder.create<vcs::PromptsOp>(loc(D.Name.Range), strings(D.ImagePrompts), /*for_images=*/true);
  });
  // One place for the visual positions, in conversations about videos as in those about images.
  for (const char *Other : {"image", "video"}) {
    const TemplateSegment *First = nullptr;
    for (const TemplateSegment &S : D.Segments) {
      if (S.Role.Text == Other)
        continue;
      for (size_t At = S.Text.find("{visual}"); At != std::string::npos; At = S.Text.find("{visual}", At + 1)) {
        if (First) {
          Engine.report(diag::kinds::BadValue, S.Range, "`{visual}` stands twice in the template `" + D.Name.Text + "`")
              .note("a sample has one clip, whose positions go to one place");
          return;
        }
        First = &S;
      }
    }
  }
}

} // namespace vcc::emit
