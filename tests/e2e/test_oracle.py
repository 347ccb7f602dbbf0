# SPDX-License-Identifier: Apache-2.0
"""Dumped steps against the reference interpreter in f64: every stage of the tiny system after every pass on tg and as native
code, the step in bf16, and micro-batches against one batch of the same samples."""
import array
import json
import math
import pathlib
import re
import struct
import sys
import unittest

import plans
import programs

EXAMPLE = plans.TINY.parent
ORACLE = plans.BUILD / "bin" / "step_oracle"
BEFORE_FUSION = ["elaboration", "tg-simplify", "tg-differentiate", "tg-simplify again"]
EXACT, NATIVE, NARROW = 1e-12, 1e-5, 2e-2


def ask(graph, step, result):
    """What the interpreter finds after each pass, and how far the native step is from it."""
    lines = programs.succeed(ORACLE, graph, step, result, seconds=300)
    return [json.loads(line) for line in lines.splitlines()]


def elaborated(recipe, folder):
    """The recipe's training graphs before any pass."""
    vcs, graph = folder / "recipe.vcs.mlir", folder / "graph.mlir"
    vcs.write_text(plans.emit(recipe, "vcs"))
    graph.write_text(plans.run(plans.VCC_OPT, "--convert-vcs-to-tg", vcs))
    return graph


def doubles(path):
    numbers = array.array("d")
    numbers.frombytes(pathlib.Path(path).read_bytes())
    return numbers


def distance(expected, found):
    """The norm of the difference over the norm of what is expected."""
    assert len(expected) == len(found) and len(expected)
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(expected, found)) / math.fsum(a * a for a in expected))


class Case(unittest.TestCase):
    def close(self, found, expected, relative, what):
        self.assertLessEqual(abs(found - expected), relative * abs(expected), what)


class EachStage:
    """A case for each stage of the tiny system."""

    def test_language(self):
        self.check("language")

    def test_encoder(self):
        self.check("encoder")

    def test_align(self):
        self.check("align")

    def test_connect(self):
        self.check("connect")

    def test_instruct(self):
        self.check("instruct")


class EveryPass(EachStage, Case):
    """The third step of each stage of the tiny system with batches of three: dropout and moments are in play, and the adapter has
    left its zeros."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = programs.fresh_folder()
        cls.folder = pathlib.Path(cls.scratch.name)
        cls.make_data(cls.folder / "data")
        cls.recipe = cls.folder / "tiny_videochat2.vcs"
        text = plans.tiny_in_short()
        cls.recipe.write_text(re.sub(r'  evaluate "[^}]*\}\n', "", text))
        cls.graph = elaborated(cls.recipe, cls.folder)
        program = cls.folder / "train.bin"
        programs.succeed(plans.VCC, "compile", cls.recipe, "-o", program, seconds=300)
        programs.succeed(program, "--stage", "all", "--data", cls.folder / "data", "--out", cls.folder / "out", "--threads", 2,
                         "--dump", 2, seconds=300)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    @staticmethod
    def make_data(folder):
        """The example's own data, with one clip of each combination and few texts."""
        few = "import make_data as m; m.CLIPS_PER_TRAINED = m.CLIPS_PER_HELD = 1; m.IN_CLIPS = 8; m.TEXTS = 2000; m.main()"
        programs.succeed(sys.executable, "-c", f"import sys; sys.path.insert(0, {str(EXAMPLE)!r}); {few}", "--out", folder, seconds=300)

    def check(self, stage):
        step = self.folder / "out" / stage / "dump" / "step-000002.safetensors"
        found = ask(self.graph, step, self.folder / f"{stage}.f64")
        names = [line["after"] for line in found]
        self.assertEqual(names[:4], BEFORE_FUSION)
        self.assertLessEqual({"tg-split-composites", "tg-fold-transposes", "tg-convert-contractions", "tg-outline-kernels"}, set(names))
        self.assertEqual(names[-1], "native")
        before, *passes, narrow, narrow_fused, native = found
        self.assertEqual((narrow["after"], narrow_fused["after"]), ("bf16", "bf16 fused"))
        for line in (narrow, narrow_fused):
            self.assertLess(1e-4, line["gradient"], "bf16 rounds")
            self.assertLessEqual(line["gradient"], NARROW, f"gradients in {line['after']}")
            for name in (name for name in line["outputs"] if name.startswith("loss")):
                self.close(line["outputs"][name], passes[1]["outputs"][name], NARROW, f"{name} in {line['after']}")
        found = [before, *passes, native]
        reference = passes[1]
        terms = [name for name in reference["outputs"] if name.startswith("loss")]
        self.assertGreaterEqual(len(terms), 2)
        self.assertGreater(reference["outputs"]["grad_norm"], 1e-3)
        for line in found:
            exact = EXACT if line is not native else NATIVE
            for name, value in line["outputs"].items():
                self.close(value, reference["outputs"][name], exact, f"{name} after {line['after']}")
            self.assertLessEqual(line["gradient"], exact, f"gradients after {line['after']}")
            self.assertLessEqual(line["weight"], exact, f"updated weights after {line['after']}")
        self.assertLess(0, native["gradient"], "the native step counts in f32")
        # Before differentiation there are loss terms; from then on all of a step's outputs.
        self.assertLessEqual({name for name in terms if name != "loss"}, set(before["outputs"]))
        for line in passes[1:]:
            self.assertEqual(set(line["outputs"]), set(reference["outputs"]))


class Accumulation(Case):
    """Four micro-batches of two are one batch of eight, dropout and uneven texts included."""
    SPLITS = ((8, 1), (2, 4), (1, 8))

    @classmethod
    def setUpClass(cls):
        cls.scratch = programs.fresh_folder()
        cls.folder = pathlib.Path(cls.scratch.name)
        programs.words_data(cls.folder / "data")
        text = (programs.RECIPES / "words.vcs").read_text()
        text = text[:text.index("\nstage 2 ")]
        cls.steps, cls.found, cls.gradients = {}, {}, {}
        seed = programs.chosen_seed()
        print(f"seed {seed} (VCC_TEST_SEED)")
        for rows, micros in cls.SPLITS:
            folder = cls.folder / f"{rows}x{micros}"
            folder.mkdir()
            recipe = folder / "words.vcs"
            cut, count = re.subn(r"samples: 8 from(.*?)accumulate 2", rf"samples: {rows} from\1accumulate {micros}", text, flags=re.S)
            assert count == 1
            recipe.write_text(cut)
            programs.succeed(plans.VCC, "compile", recipe, "-o", folder / "train.bin", seconds=300)
            programs.succeed(folder / "train.bin", "--stage", "pretrain", "--data", cls.folder / "data", "--out", folder / "out",
                             "--max-steps", 1, "--dump", 0, "--seed", seed)
            dump = folder / "out" / "pretrain" / "dump" / "step-000000.safetensors"
            cls.steps[micros] = programs.read_tensors(dump)[0]
            cls.found[micros] = ask(elaborated(recipe, folder), dump, folder / "gradients.f64")
            cls.gradients[micros] = doubles(folder / "gradients.f64")

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def numbers(self, micros, name, form="f"):
        dtype, shape, content = self.steps[micros][name]
        return struct.unpack(f"<{len(content) // 4}{form}", content)

    def supervised(self, micros):
        """Targets of each micro-batch, counted from its labels."""
        counts = []
        for micro in range(micros):
            shape = self.steps[micros][f"input/{micro}/line.labels"][1]
            labels = self.numbers(micros, f"input/{micro}/line.labels", "i")
            counts.append(sum(label != -100 for place, label in enumerate(labels) if place % shape[1]))
        return counts

    def test_the_samples_are_the_same(self):
        for name in ("line.ids", "line.labels", "line.length"):
            whole = self.steps[1][f"input/0/{name}"][2]
            for micros in (4, 8):
                self.assertEqual(b"".join(self.steps[micros][f"input/{m}/{name}"][2] for m in range(micros)), whole, name)
        before = {name: tensor for name, tensor in self.steps[1].items() if name.startswith("before/")}
        self.assertGreater(len(before), 5)
        for micros in (4, 8):
            self.assertEqual({name: tensor for name, tensor in self.steps[micros].items() if name.startswith("before/")}, before)

    def test_token_counts_are_uneven_and_of_the_whole_step(self):
        total = sum(self.supervised(1))
        for _, micros in self.SPLITS:
            counts = self.supervised(micros)
            self.assertEqual(sum(counts), total)
            if micros > 1:
                self.assertGreater(len(set(counts)), 1)
            for micro in range(micros):
                self.assertEqual(self.numbers(micros, f"input/{micro}/line.supervised"), (float(total),))

    def test_in_the_interpreter(self):
        for micros in (4, 8):
            for one, split in zip(self.found[1][:-3], self.found[micros][:-3]):  # without bf16 and native
                self.assertEqual(one["after"], split["after"])
                self.assertEqual(set(one["outputs"]), set(split["outputs"]))
                for name, value in one["outputs"].items():
                    self.close(split["outputs"][name], value, EXACT, f"{name} of {micros} after {one['after']}")
            self.assertLessEqual(distance(self.gradients[1], self.gradients[micros]), EXACT)

    def test_natively(self):
        names = sorted(name for name in self.steps[1] if name.startswith("gradient/"))
        for micros in (4, 8):
            for output in ("output/loss", "output/loss.lm"):
                if output in self.steps[1]:
                    self.close(self.numbers(micros, output)[0], self.numbers(1, output)[0], NATIVE, output)
            self.assertEqual(sorted(name for name in self.steps[micros] if name.startswith("gradient/")), names)
            for name in names:
                self.assertLessEqual(distance(self.numbers(1, name), self.numbers(micros, name)), NATIVE, f"{name} of {micros} micro-batches")

    def test_native_steps_are_the_interpreters(self):
        for _, micros in self.SPLITS:
            native = self.found[micros][-1]
            self.assertLessEqual(native["gradient"], NATIVE)
            self.assertLessEqual(native["weight"], NATIVE)


if __name__ == "__main__":
    unittest.main()
