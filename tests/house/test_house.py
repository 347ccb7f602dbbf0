# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that a machine can check: who may include whom, that the compiler and the runtime
know no model and no optimizer, that every pass and every diagnostic has its test."""
import pathlib
import re
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
CODE = {".cpp", ".h", ".td"}

# Names of models, optimizers, schedules and losses. They live in stdlib/, as text of the language; none may
# stand in the compiler, the dialects or the runtime, neither as a word nor as a part of an identifier.
# The language's role words (encoder, qformer, projector, llm, lora, head) are not among them, nor WordPiece
# and SentencePiece, which are algorithms.
FOREIGN_NAMES = {
    "umt", "vit", "bert", "llama", "llava", "vila", "vicuna", "mistral", "phi", "videochat",
    "blip", "instructblip", "gpt", "qwen", "gemma", "adam", "adamw", "sgd", "lion", "adagrad", "rmsprop",
    "cosine", "contrastive", "captioning", "vtc", "vtm", "siglip", "dinov",
}
# `clip` is also gradient clipping and a piece of video; the model is meant by CLIP alone, so that is searched for in capitals.
FOREIGN_CAPITALS = {"CLIP"}
NAMED = {".cpp", ".h", ".td", ".def", ".cmake"}

# folder -> folders it may include from (itself always)
MAY_INCLUDE = {
    "dsl": {"dialects/vcs"},
    "dialects/vcs": set(),
    "dialects/tg": set(),
    "dialects/exec": {"dialects/tg"},
    # What `vcc check --data` finds wrong with records is what a program would.
    "compiler/driver": {"dsl", "dialects", "compiler", "runtime/data/EvaluationCheck.h"},
    "compiler": {"dsl", "dialects", "runtime/program/Abi.h", "runtime/program/Devices.def"},
    "runtime": set(),
}
STEPS = ["elaborate", "interpret", "precision", "differentiate", "recompute", "fuse", "schedule", "codegen", "link"]
SEES_SEVERAL_STEPS = ["compiler/driver", "compiler/opt", "compiler/plan"]
BANNED_FILE_NAMES = re.compile(r"(Util|Utils|Common|Helper|Helpers|Misc|Manager)(\.|[A-Z])")


def sources(*folders, suffixes=CODE):
    for folder in folders:
        for file in sorted((TOP / folder).rglob("*")):
            if file.suffix in suffixes:
                yield file


def relative(file):
    return file.relative_to(TOP).as_posix()


def own_includes(file):
    for number, line in enumerate(file.read_text().splitlines(), 1):
        found = re.match(r'\s*#include "([a-z_]+/[^"]+)"', line)
        if found and found.group(1).split("/")[0] in {"dsl", "dialects", "compiler", "runtime"}:
            yield number, found.group(1)


def words(text):
    """Identifiers split at case, digit and underscore, lower case; also runs of adjacent parts joined (ViT, VideoChat)."""
    for identifier in re.findall(r"[A-Za-z][A-Za-z0-9_]*", text):
        parts = [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)]
        for first in range(len(parts)):
            for last in range(first + 1, min(first + 4, len(parts)) + 1):
                if last == first + 1 or parts[first] != "gemm":  # GemmA is an operand
                    yield "".join(parts[first:last])


class Architecture(unittest.TestCase):
    def folder_of(self, path):
        return max((f for f in MAY_INCLUDE if path.startswith(f + "/")), key=len, default=None)

    def test_include_edges(self):
        wrong = []
        for file in sources("dsl", "dialects", "compiler", "runtime"):
            home = self.folder_of(relative(file))
            for line, include in own_includes(file):
                allowed = include.startswith(home + "/") or any(
                    include == edge or include.startswith(edge + "/") for edge in MAY_INCLUDE[home])
                if not allowed:
                    wrong.append(f"{relative(file)}:{line} includes {include}")
        self.assertEqual(wrong, [])

    def test_steps_do_not_include_each_other(self):
        wrong = []
        for file in sources("compiler"):
            path = relative(file)
            if any(path.startswith(f + "/") for f in SEES_SEVERAL_STEPS):
                continue
            step = path.split("/")[1]
            for line, include in own_includes(file):
                parts = include.split("/")
                if parts[0] == "compiler" and parts[1] in STEPS and parts[1] != step:
                    wrong.append(f"{path}:{line} includes {include}")
        self.assertEqual(wrong, [])

    def test_the_runtime_sees_no_llvm(self):
        wrong = [relative(file) for file in sources("runtime")
                 if re.search(r'#include [<"](llvm|mlir|antlr4)', file.read_text())]
        self.assertEqual(wrong, [])

    def test_no_global_registration(self):
        wrong = []
        for file in sources("dsl", "dialects", "compiler"):
            text = file.read_text()
            if "mlir/InitAll" in text:
                wrong.append(f"{relative(file)}: mlir/InitAll")
            if "cl::opt<" in text and not relative(file).startswith(("compiler/driver/", "compiler/opt/")):
                wrong.append(f"{relative(file)}: cl::opt")
        self.assertEqual(wrong, [])


class Names(unittest.TestCase):
    def test_compiler_and_runtime_know_no_model(self):
        wrong = []
        for file in sources("compiler", "dialects", "runtime", suffixes=NAMED):
            for number, line in enumerate(file.read_text().splitlines(), 1):
                foreign = FOREIGN_NAMES & set(words(line))
                foreign |= FOREIGN_CAPITALS & set(re.findall(r"[A-Z]+", line))
                if foreign:
                    wrong.append(f"{relative(file)}:{number}: {', '.join(sorted(foreign))}")
        self.assertEqual(wrong, [])

    def test_files_are_named_by_their_concept(self):
        wrong = [relative(file) for file in sources("dsl", "dialects", "compiler", "runtime")
                 if BANNED_FILE_NAMES.search(file.name)]
        self.assertEqual(wrong, [])

    def test_every_source_has_its_licence_line(self):
        wrong = [relative(file) for file in sources("dsl", "dialects", "compiler", "runtime")
                 if "SPDX-License-Identifier: Apache-2.0" not in file.read_text().split("\n", 2)[0]
                 and "SPDX-License-Identifier: Apache-2.0" not in "\n".join(file.read_text().split("\n")[:2])]
        self.assertEqual(wrong, [])


class Pairing(unittest.TestCase):
    def test_cases_that_the_readme_names_exist(self):
        """The table that says which test is which check of VideoChat2."""
        tests = TOP / "tests"
        code = "\n".join(file.read_text() for file in tests.rglob("*") if file.suffix in (".py", ".cpp"))
        table = (tests / "README.md").read_text().partition("which test is which check")[2]
        cases = set(re.findall(r"(?<![\w/`])\.?(test_\w+)(?![\w.])", table)) | set(re.findall(r"\w\.(test_\w+)", table))
        self.assertGreater(len(cases), 20)
        for case in cases:
            self.assertIn(f"def {case}(", code)

    def test_every_pass_has_a_test_of_its_flag(self):
        missing = []
        for td in sorted((TOP / "compiler").rglob("Passes.td")):
            step = td.parent.relative_to(TOP / "compiler").as_posix()
            for flag in re.findall(r'def \w+\s*:\s*Pass<"([^"]+)"', td.read_text()):
                short = re.sub(r"^(tg|exec|vcs|cpu)-", "", flag)
                folders = [TOP / "tests" / "compiler" / step, TOP / "tests" / "codegen"]
                if not any((folder / f"{short}.mlir").exists() for folder in folders):
                    missing.append(f"compiler/{step}: no test {short}.mlir for -{flag}")
        self.assertEqual(missing, [])

    def test_every_diagnostic_kind_has_a_reject_test(self):
        kinds = TOP / "dsl" / "diag" / "Kinds.def"
        text = kinds.read_text()
        codes = re.findall(r"\b(V\d{4})\b", text)
        tested = "\n".join(file.read_text() for file in (TOP / "tests").rglob("*")
                           if file.suffix in {".vcs", ".py", ".test", ".mlir"})
        exempt = dict(re.findall(r"// untested (V\d{4}): (.+)", text))
        missing = [code for code in dict.fromkeys(codes) if code not in tested and code not in exempt]
        self.assertEqual(missing, [])

    def test_every_top_folder_has_a_short_readme(self):
        for folder in ["dsl", "compiler", "dialects", "runtime", "stdlib", "examples", "tests"]:
            readme = TOP / folder / "README.md"
            self.assertTrue(readme.exists(), f"{folder}/README.md")
            self.assertLessEqual(len(readme.read_text().splitlines()), 80, f"{folder}/README.md")


if __name__ == "__main__":
    unittest.main()
