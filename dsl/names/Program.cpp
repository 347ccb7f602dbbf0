// SPDX-License-Identifier: Apache-2.0
//
// Finding, reading and linking modules.
#include "dsl/names/Program.h"

#include "dsl/grammar/Parse.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <algorithm>

using namespace vcc::syntax;

namespace vcc::names {

namespace {

constexpr uint64_t LargestModule = 1000000;
constexpr size_t MostModules = 500;

std::string dotted(const std::vector<Ident> &Path) {
  std::string Text;
  for (const Ident &Part : Path)
    Text += (Text.empty() ? "" : ".") + Part.Text;
  return Text;
}

class Loader {
public:
  Loader(std::string StdlibDir, diag::Engine &Engine, const grammar::PlacesOfKey &Places)
      : StdlibDir(std::move(StdlibDir)), Engine(Engine), Places(Places) {}

  Program run(const std::string &File) {
    if (!StdlibDir.empty())
      Loaded.Prelude = load(join(StdlibDir, "prelude.vcs"), {}, "prelude");
    const ModuleInfo *Main = load(File, {}, "");
    bool Adapts = llvm::any_of(Loaded.Modules, [](const auto &Info) { return needsAdapters(*Info->Tree); });
    if (Main && Adapts)
      if (std::string Found = search("", "adapters/lora"); !Found.empty())
        load(Found, Main->Tree->NameRange, "adapters.lora");
    // The implicit module may have been loaded behind the recipe.
    for (size_t I = 0; I < Loaded.Modules.size(); ++I)
      if (Loaded.Modules[I].get() == Main)
        std::rotate(Loaded.Modules.begin() + I, Loaded.Modules.begin() + I + 1, Loaded.Modules.end());
    Loaded.Main = Main;
    return std::move(Loaded);
  }

private:
  static std::string join(llvm::StringRef Dir, const llvm::Twine &Rest) {
    llvm::SmallString<256> Path(Dir);
    llvm::sys::path::append(Path, Rest);
    return Path.str().str();
  }

  /// LoRA adapters are a layer of the standard library that a recipe need not import.
  static bool needsAdapters(const Module &Tree) {
    for (const DeclPtr &D : Tree.Declarations)
      if (auto *Model = llvm::dyn_cast<ModelDecl>(D.get()))
        for (const Component &Part : Model->Components)
          if (Part.In == Role::Lora)
            return true;
    return false;
  }

  std::string search(llvm::StringRef FromDir, const std::string &Path) {
    llvm::StringRef Last = llvm::sys::path::filename(Path);
    std::vector<std::string> Dirs;
    Dirs.push_back(FromDir.empty() ? "." : FromDir.str());
    if (!StdlibDir.empty())
      Dirs.push_back(StdlibDir);
    for (const std::string &Dir : Dirs)
      for (const std::string &Candidate : {join(Dir, Path + ".vcs"), join(Dir, Path + "/" + Last + ".vcs")})
        if (llvm::sys::fs::is_regular_file(Candidate))
          return Candidate;
    return "";
  }

  /// The module in `File`, read at most once. `At`: the import that asks for it; `Expected`: the name that the import used.
  const ModuleInfo *load(const std::string &File, const diag::SourceRange &At, const std::string &Expected) {
    llvm::SmallString<256> Real;
    std::string Key = llvm::sys::fs::real_path(File, Real) ? File : Real.str().str();
    if (auto Open = std::find(Opened.begin(), Opened.end(), Key); Open != Opened.end())
      return reportCycle(At, Open - Opened.begin());
    if (auto Found = ByFile.find(Key); Found != ByFile.end())
      return Found->second;
    ByFile[Key] = nullptr;
    std::unique_ptr<Module> Tree = read(File, At);
    if (!Tree)
      return nullptr;
    auto Info = std::make_unique<ModuleInfo>();
    Info->Name = dotted(Tree->Name);
    Info->File = File;
    Info->Tree = std::move(Tree);
    if (!Expected.empty() && Info->Name != Expected)
      Engine.report(diag::kinds::UnknownModule, At.isKnown() ? At : Info->Tree->NameRange, Expected)
          .label(Info->Tree->NameRange, "this file says that it is `" + Info->Name + "`");
    Opened.push_back(Key);
    OpenedNames.push_back(Info->Name);
    declare(*Info);
    imports(*Info);
    Opened.pop_back();
    OpenedNames.pop_back();
    if (const ModuleInfo *Other = Loaded.find(Info->Name)) {
      Engine.report(diag::kinds::DuplicateName, Info->Tree->NameRange, Info->Name)
          .label(Other->Tree->NameRange, "the other module of that name");
      return nullptr;
    }
    Loaded.Modules.push_back(std::move(Info));
    return ByFile[Key] = Loaded.Modules.back().get();
  }

  std::unique_ptr<Module> read(const std::string &File, const diag::SourceRange &At) {
    diag::SourceRange Place = At.isKnown() ? At : diag::SourceRange{File};
    llvm::sys::fs::file_status Status;
    if (llvm::sys::fs::status(File, Status) || !llvm::sys::fs::is_regular_file(Status)) {
      Engine.report(diag::kinds::MissingFile, Place, File);
      return nullptr;
    }
    if (Status.getSize() > LargestModule) {
      Engine.report(diag::kinds::FileTooLarge, Place, File, Status.getSize(), LargestModule);
      return nullptr;
    }
    auto Buffer = llvm::MemoryBuffer::getFile(File);
    if (!Buffer) {
      Engine.report(diag::kinds::MissingFile, Place, File).note(Buffer.getError().message());
      return nullptr;
    }
    return grammar::parseModule(File, (*Buffer)->getBuffer(), Engine, Places);
  }

  const ModuleInfo *reportCycle(const diag::SourceRange &At, size_t First) {
    std::string Circle;
    for (size_t I = First; I < OpenedNames.size(); ++I)
      Circle += "`" + OpenedNames[I] + "` -> ";
    Engine.report(diag::kinds::ImportCycle, At, Circle + "`" + OpenedNames[First] + "`")
        .help("move what both need into a module of its own");
    return nullptr;
  }

  void bind(ModuleInfo &Info, const Ident &Name, Binding Meaning) {
    Meaning.Range = Name.Range;
    auto [Old, New] = Info.Names.try_emplace(Name.Text, Meaning);
    if (!New && (Old->second.Module != Meaning.Module || Old->second.Declaration != Meaning.Declaration))
      Engine.report(diag::kinds::DuplicateName, Name.Range, Name.Text).label(Old->second.Range, "first here");
  }

  void declare(ModuleInfo &Info) {
    std::map<std::string, const Decl *> Stages;
    for (const DeclPtr &D : Info.Tree->Declarations) {
      if (D->Kind == DeclKind::Stage) { // stages have names of their own
        auto [Old, New] = Stages.try_emplace(D->Name.Text, D.get());
        if (!New)
          Engine.report(diag::kinds::DuplicateName, D->Name.Range, "stage \"" + D->Name.Text + "\"")
              .label(Old->second->Name.Range, "first here");
        continue;
      }
      Info.Declarations.try_emplace(D->Name.Text, D.get());
      bind(Info, D->Name, {&Info, D.get(), {}});
    }
  }

  void imports(ModuleInfo &Info) {
    for (const Import &Line : Info.Tree->Imports) {
      if (ByFile.size() > MostModules)
        return;
      std::string Name = dotted(Line.Path), Path = Name;
      std::replace(Path.begin(), Path.end(), '.', '/');
      std::string Dir = llvm::sys::path::parent_path(Info.File).str();
      std::string File = search(Dir, Path);
      if (File.empty()) {
        reportMissing(Line, Name, Dir, Path);
        continue;
      }
      const ModuleInfo *Module = load(File, Line.Range, Name);
      if (!Module)
        continue;
      if (!Line.Selected)
        bind(Info, Line.Path.back(), {Module, nullptr, {}});
      for (const Ident &Selected : Line.Names)
        select(Info, *Module, Selected);
    }
  }

  void select(ModuleInfo &Info, const ModuleInfo &From, const Ident &Name) {
    auto Found = From.Declarations.find(Name.Text);
    if (Found != From.Declarations.end())
      return bind(Info, Name, {&From, Found->second, {}});
    std::vector<std::string> Known;
    for (auto &[Text, Declaration] : From.Declarations)
      Known.push_back(Text);
    Engine.report(diag::kinds::UnknownName, Name.Range, "declaration of module `" + From.Name + "`", Name.Text)
        .primary("not declared in " + From.File)
        .didYouMean(Name.Text, Known);
  }

  void reportMissing(const Import &Line, const std::string &Name, const std::string &Dir, const std::string &Path) {
    auto Made = std::move(Engine.report(diag::kinds::UnknownModule, Line.Range, Name)
                              .note("looked for " + join(Dir.empty() ? "." : Dir, Path + ".vcs") +
                                    (StdlibDir.empty() ? "" : " and " + join(StdlibDir, Path + ".vcs"))));
    Made.didYouMean(Name, knownModules());
  }

  std::vector<std::string> knownModules() {
    std::vector<std::string> Known;
    std::error_code Error;
    if (StdlibDir.empty())
      return Known;
    for (llvm::sys::fs::recursive_directory_iterator At(StdlibDir, Error), End; At != End && !Error; At.increment(Error)) {
      llvm::StringRef Path = At->path();
      if (!Path.consume_back(".vcs"))
        continue;
      Path.consume_front(StdlibDir);
      std::string Name = Path.ltrim('/').str();
      std::replace(Name.begin(), Name.end(), '/', '.');
      auto [Folder, Last] = llvm::StringRef(Name).rsplit('.');
      Known.push_back(llvm::StringRef(Folder).rsplit('.').second == Last || Folder == Last ? Folder.str() : Name);
    }
    return Known;
  }

  std::string StdlibDir;
  diag::Engine &Engine;
  const grammar::PlacesOfKey &Places;
  Program Loaded;
  std::map<std::string, const ModuleInfo *> ByFile;
  std::vector<std::string> Opened, OpenedNames;
};

} // namespace

const ModuleInfo *Program::find(llvm::StringRef Name) const {
  for (const auto &Module : Modules)
    if (Module->Name == Name)
      return Module.get();
  return nullptr;
}

const ModuleInfo *Program::homeOf(const Decl &Declaration) const {
  for (const auto &Module : Modules)
    if (llvm::any_of(Module->Tree->Declarations, [&](const DeclPtr &D) { return D.get() == &Declaration; }))
      return Module.get();
  return nullptr;
}

const Decl *Program::find(llvm::StringRef Module, llvm::StringRef Name) const {
  const ModuleInfo *Info = find(Module);
  if (!Info)
    return nullptr;
  auto Found = Info->Declarations.find(Name.str());
  return Found == Info->Declarations.end() ? nullptr : Found->second;
}

Program loadProgram(const std::string &File, const std::string &StdlibDir, diag::Engine &Engine, const grammar::PlacesOfKey &Places) {
  return Loader(StdlibDir, Engine, Places).run(File);
}

const char *describe(DeclKind Kind) {
  switch (Kind) {
  case DeclKind::Const: return "const";
  case DeclKind::Struct: return "struct";
  case DeclKind::Layer: return "layer";
  case DeclKind::Fn: return "function";
  case DeclKind::Op: return "operation";
  case DeclKind::Model: return "model";
  case DeclKind::Stage: return "stage";
  case DeclKind::DatasetFormat: return "dataset format";
  case DeclKind::Dataset: return "dataset";
  case DeclKind::Tokenizer: return "tokenizer";
  case DeclKind::Template: return "template";
  case DeclKind::Optimizer: return "optimizer";
  case DeclKind::Schedule: return "schedule";
  }
  return "declaration";
}

std::vector<std::string> builtinNames() {
  return {"len",    "range", "min",  "max",    "sqrt",          "floor",        "int",   "float", "str",      "training",
          "report", "zip",   "enumerate", "normal", "truncated_normal", "xavier_uniform", "uniform_init", "zeros", "ones",  "constant", "table",
          "f32",    "bf16",  "fp16", "tf32", "i32",   "bool", "splice", "wordpiece",     "sentencepiece"};
}

bool isBuiltin(llvm::StringRef Name) {
  static const std::vector<std::string> Names = builtinNames();
  return std::find(Names.begin(), Names.end(), Name) != Names.end();
}

} // namespace vcc::names
