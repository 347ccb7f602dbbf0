# SPDX-License-Identifier: Apache-2.0
"""Every recipe under examples/ passes the checks; the two small ones train: a text-only language model and an image classifier
with a layer of its own. The manifest's counts of weights are compared with counts made by hand."""
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = TOP / "examples"
VCC = TOP / "build" / "bin" / "vcc"


def run(*command):
    finished = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if finished.returncode:
        raise AssertionError(f"{' '.join(str(w) for w in command)}: exit {finished.returncode}\n{finished.stdout[-2000:]}{finished.stderr[-4000:]}")
    return finished.stdout


def compiled(name, folder, *options):
    program = pathlib.Path(folder) / "train.bin"
    run(VCC, "compile", EXAMPLES / name / f"{name}.vcs", "-o", program, *options)
    return program


class Checks(unittest.TestCase):
    def test_every_recipe_passes_the_checks(self):
        recipes = sorted(EXAMPLES.glob("*/*.vcs"))
        self.assertGreaterEqual(len(recipes), 3)
        for recipe in recipes:
            with self.subTest(recipe=recipe.name):
                run(VCC, "check", recipe)


class Counts(unittest.TestCase):
    """The sizes of the tiny system, by hand. LayerNorm has 2 w weights, a linear layer out * (in + 1) with bias."""

    def components(self, stage):
        return {c["name"]: (c["parameters"], c["trainable"]) for c in self.stages[stage]["components"]}

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            manifest = json.loads(run(compiled("tiny_videochat2", folder), "--manifest"))
        cls.stages = {stage["name"]: stage for stage in manifest["stages"]}

    def test_encoder(self):
        block = 2 * 128 + 3 * 64 * 64 + 2 * 64 + 64 * 65 + 256 * 65 + 64 * 257
        vision = 64 * (3 * 2 * 16 * 16 + 1) + 64 * 64 + 3 * block + 128
        self.assertEqual(vision, 252352)
        heads = 4 * 64 + 3 * 4 * 65 + 2 * 65
        self.assertEqual(self.components("encoder"), {"vision": (vision, vision), "attributes": (heads, heads)})

    def test_bridge_with_text_in_align_without_it_in_connect(self):
        attention, feed = 4 * 64 * 65 + 128, 256 * 65 + 64 * 257 + 128
        queries = 8 * 64 + 128 + 4 * (attention + feed) + 2 * attention
        head = 64 * 65 + 128 + 96
        words = 96 * 64 + 32 * 64
        text = words + 4 * feed + head
        self.assertEqual(queries + text, 379552)
        heads = 2 * (64 * 64 + 64) + 2 * 128 + 2 + 1
        self.assertEqual(heads, 8579)
        self.assertEqual(self.components("align"), {"vision": (252352, 0), "bridge": (queries + text, queries + text), "align": (heads, heads)})
        self.assertEqual(self.components("connect")["bridge"], (queries, queries))
        self.assertEqual(self.components("connect")["project"], (96 * 65, 96 * 65))
        # What is listed as idle has no gradient: here the last layer's text side.
        self.assertEqual(self.components("instruct")["bridge"], (queries + text - head, queries + text - head - feed))

    def test_language_model_and_adapter(self):
        block = 96 * 96 * 2 + 96 * 48 * 2 + 3 * 96 * 256 + 2 * 96
        lm = 3 * block + 96 + 2 * 256 * 96
        self.assertEqual(lm, 304800 + 192 * 256)
        self.assertEqual(self.components("language"), {"lm": (lm, lm)})
        self.assertEqual(self.components("connect")["lm"], (lm, 0))
        self.assertEqual(self.components("instruct")["adapter"], (8064, 8064))


class RealSizes(unittest.TestCase):
    """The parts at VideoChat2's own sizes have as many weights as upstream's state dicts (counted by running
    upstream's code): ViT 290,477,056 and its LayerNorm 2,048; Q-Former 182,743,867 in stage 1 and 182,121,216 in stage 3, with 32
    queries, and 64 more from then on."""

    def test_counts(self):
        graph = run(VCC, "compile", TOP / "tests" / "e2e" / "recipes" / "videochat2_sizes.vcs", "--emit=graph")
        counts, stage = {}, None
        for line in graph.splitlines():
            if found := re.search(r'tg\.stage = "(\w+)"', line):
                stage = counts.setdefault(found[1], {})
            if found := re.search(r'tg\.state @"?([^":\s]+)"?\s+weight.*?tensor<((?:\d+x)*)f32>', line):
                part = found[1].split(".")[0]
                stage[part] = stage.get(part, 0) + math.prod(int(size) for size in found[2].split("x") if size)
        queries, extra = 32 * 768, 64 * 768
        self.assertEqual(counts["align"], {"vision": 290477056 + 2048, "bridge": 182743867 + queries})
        self.assertEqual(counts["instruct"]["bridge"], 182121216 + queries + extra)
        self.assertEqual(counts["instruct"]["vision"], 290479104)
        self.assertEqual(counts["instruct"]["lm"], 7241732096)
        self.assertEqual(counts["instruct"]["adapter"], 32 * 16 * ((4096 + 4096) + (4096 + 1024)))


class Trains(unittest.TestCase):
    """Some steps of the small recipes; what the log says about the rate is what the schedule's formula says."""

    def train(self, name, folder):
        run(sys.executable, EXAMPLES / name / "make_data.py", "--out", f"{folder}/data")
        program = compiled(name, folder)
        run(program, "--stage", "all", "--data", f"{folder}/data", "--out", f"{folder}/out")
        logs = list(pathlib.Path(folder, "out").glob("*/log.jsonl"))
        self.assertEqual(len(logs), 1)
        lines = [json.loads(line) for line in logs[0].read_text().splitlines()]
        return [line for line in lines if "event" not in line]

    def falls(self, steps, below):
        first, last = steps[0]["loss"], sum(step["loss"] for step in steps[-10:]) / 10
        self.assertTrue(all(math.isfinite(step["loss"]) for step in steps))
        self.assertLess(last, below * first)

    def rates(self, steps, peak, factor):
        for place, step in enumerate(steps):
            self.assertAlmostEqual(step["lr"] / peak, factor(place), delta=1e-5)

    def test_language_model(self):
        with tempfile.TemporaryDirectory() as folder:
            steps = self.train("tiny_lm", folder)
        self.assertEqual(len(steps), 120)
        self.falls(steps, 0.5)
        self.rates(steps, 3e-3, lambda t: t / 12 if t < 12 else max(0.05, 1 - (t - 12) / 108))

    def test_image_classifier(self):
        with tempfile.TemporaryDirectory() as folder:
            steps = self.train("shapes_classifier", folder)
        self.assertEqual(len(steps), 150)
        self.falls(steps, 0.75)
        self.rates(steps, 0.3, lambda t: t / 15 if t < 15 else max(0.01, 0.5 + 0.5 * math.cos(math.pi * (t - 15) / 135)))


if __name__ == "__main__":
    unittest.main()
