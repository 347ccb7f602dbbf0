# SPDX-License-Identifier: Apache-2.0
"""`recompute` changes no number and frees the memory that it says: the tiny system's stages with random operations in play, a small
language model trained in micro-batches, and plans of a tower of twelve blocks and more."""
import math
import pathlib
import re
import unittest

import plans
import programs
import test_oracle
from test_oracle import NATIVE, ask, distance, doubles, elaborated

# What each stage of the tiny system computes again.
SELECTORS = {"language": "lm.model.layers[*]", "encoder": "vision.blocks[*]", "align": "bridge.layers[*]",
             "connect": "vision, bridge.layers[0..2], bridge.layers[-1].attention, lm.model.layers[*].mlp",
             "instruct": "vision.blocks[*], bridge.layers[*], lm.model.layers[*]"}
CLOSE = 1e-6


def with_recompute(text, selectors):
    """The recipe with a `recompute` in the stages that `selectors` names."""
    parts = re.split(r'(?m)^(?=stage .*?")', text)
    for number, part in enumerate(parts):
        name = re.match(r'stage .*?"(\w+)"', part)
        if name and name[1] in selectors:
            parts[number], count = re.subn(r"(?m)^(  precision \w+)$", rf"  recompute {selectors[name[1]]}\n\1", part)
            assert count == 1
    return "".join(parts)


def floats(tensor):
    return memoryview(tensor[2]).cast("f").tolist()


def norm(numbers):
    return math.sqrt(sum(number * number for number in numbers))


class Tiny(test_oracle.EachStage, unittest.TestCase):
    """One step of each stage, with and without, from the same weights and data."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = programs.fresh_folder()
        cls.folder = pathlib.Path(cls.scratch.name)
        test_oracle.EveryPass.make_data(cls.folder / "data")
        text = plans.tiny_in_short()
        text = re.sub(r'  evaluate "[^}]*\}\n', "", text)
        text, count = re.subn(r"rate: bridge_dropout, drop: 0.0", "rate: 0.2, drop: 0.2", text)
        text, more = re.subn(r"dropout: 0.0 }", "dropout: 0.2 }", text)
        # A temperature of 0.07 divides what is rounded, too.
        text, warmer = re.subn(r"embed: 64, least: 0.01", "embed: 64, temperature: 0.5, least: 0.01", text)
        assert count == more == warmer == 1
        cls.graphs, cls.outs = {}, {}
        cls.seed = programs.chosen_seed()
        print(f"seed {cls.seed} (VCC_TEST_SEED)")
        for name, content in (("plain", text), ("again", with_recompute(text, SELECTORS))):
            folder = cls.folder / name
            folder.mkdir()
            recipe = folder / "tiny_videochat2.vcs"
            recipe.write_text(content)
            cls.graphs[name], cls.outs[name] = elaborated(recipe, folder), folder / "out"
            programs.succeed(plans.VCC, "compile", recipe, "-o", folder / "train.bin", seconds=300)
            programs.succeed(folder / "train.bin", "--stage", "all", "--data", cls.folder / "data", "--out", folder / "out", "--threads", 2,
                             "--dump", "0,2", "--seed", cls.seed, seconds=300)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def dump(self, name, stage, step):
        return self.outs[name] / stage / "dump" / f"step-{step:06}.safetensors"

    def same_natively(self, plain, again):
        """The step of one program and of the other from the same weights and data."""
        self.assertEqual(set(plain), set(again))
        for name in plain:
            if name.startswith(("before/", "input/")):
                self.assertEqual(plain[name], again[name], name)
        losses = [name for name in plain if name.startswith("output/loss")]
        self.assertTrue(losses)
        for name in losses:
            self.assertLessEqual(abs(floats(again[name])[0] - floats(plain[name])[0]), CLOSE * abs(floats(plain[name])[0]), name)
        trained = [name for name in plain if name.startswith("gradient/")]
        self.assertGreater(len(trained), 10)
        everything = lambda tensors: [number for name in trained for number in floats(tensors[name])]
        self.assertLessEqual(distance(everything(plain), everything(again)), CLOSE)
        # Each weight's, unless it is all cancellation (biases of keys).
        largest = max(norm(floats(plain[name])) for name in trained)
        for name in trained:
            apart = norm([a - b for a, b in zip(floats(plain[name]), floats(again[name]))])
            self.assertLessEqual(apart, 10 * CLOSE * norm(floats(plain[name])) + 1e-7 * largest, name)

    def check(self, stage):
        # The same step in the interpreter: the same numbers to the last bit until kernels are formed.
        step, lines, gradients = self.dump("plain", stage, 2), {}, {}
        for name in ("plain", "again"):
            result = self.folder / f"{stage}.{name}.f64"
            lines[name] = {line["after"]: line for line in ask(self.graphs[name], step, result)}
            gradients[name] = doubles(result)
        self.assertNotIn("tg-recompute", lines["plain"])
        before, after = lines["plain"]["tg-simplify again"], lines["again"]["tg-recompute"]
        self.assertGreater(before["outputs"]["grad_norm"], 1e-3)
        self.assertEqual(after["outputs"], before["outputs"])
        self.assertEqual((after["gradient"], after["weight"]), (0, 0))
        self.assertLessEqual(distance(gradients["plain"], gradients["again"]), 1e-12)
        # Natively, at the weights that the run with recompute has come to.
        native = ask(self.graphs["again"], self.dump("again", stage, 2), self.folder / f"{stage}.native.f64")[-1]
        self.assertEqual(native["after"], "native")
        self.assertLessEqual(native["gradient"], NATIVE)
        self.assertLessEqual(native["weight"], NATIVE)

    def test_natively(self):
        """Each stage from the stages before of the run without."""
        for stage in SELECTORS:
            with self.subTest(stage=stage):
                out = self.folder / f"{stage}-crossed"
                out.mkdir()
                for earlier in SELECTORS:
                    if earlier != stage:
                        (out / earlier).symlink_to(self.outs["plain"] / earlier)
                programs.succeed(self.folder / "again" / "train.bin", "--stage", stage, "--data", self.folder / "data", "--out", out,
                                 "--threads", 2, "--dump", 0, "--max-steps", 1, "--seed", self.seed)
                self.same_natively(programs.read_tensors(self.dump("plain", stage, 0))[0],
                                   programs.read_tensors(out / stage / "dump" / "step-000000.safetensors")[0])


class Micros(unittest.TestCase):
    """Forty steps of two micro-batches with dropout and rotary tables: the losses of the plain program."""

    def test_training_is_the_same(self):
        with programs.fresh_folder() as folder:
            folder = pathlib.Path(folder)
            data = programs.words_data(folder / "data")
            text = (programs.RECIPES / "words.vcs").read_text()
            recipe = folder / "words.vcs"
            recipe.write_text(with_recompute(text, {"pretrain": "lm.model.layers[*]", "tune": "lm"}))
            programs.succeed(plans.VCC, "compile", recipe, "-o", folder / "train.bin", seconds=300)
            for name, program in (("plain", programs.compiled("words")), ("again", folder / "train.bin")):
                for stage in ("pretrain", "tune"):
                    programs.succeed(program, "--stage", stage, "--data", data, "--out", folder / name, "--threads", 2)
            for stage, count in (("pretrain", 40), ("tune", 6)):
                plain, again = programs.steps_of(folder / "plain", stage), programs.steps_of(folder / "again", stage)
                self.assertEqual(len(plain), count)
                for one, other in zip(plain, again):
                    self.assertLessEqual(abs(one["loss"] - other["loss"]), 1e-5 * one["loss"], f"{stage} step {one['step']}")


class Memory(unittest.TestCase):
    """The plan of a tower: what a block makes lives within its forward or within its backward, but what it hands on."""
    RESIDUAL = 8 * 16 * 32 * 4
    BLOCK = re.compile(r"tower\.blocks\[(\d+)\]")

    def plan(self, depth, selectors="tower.blocks[*]"):
        text = (programs.RECIPES / "depth.vcs").read_text()
        with programs.fresh_folder() as folder:
            recipe = pathlib.Path(folder) / "depth.vcs"
            recipe.write_text(with_recompute(text, {"classify": selectors} if selectors else {}))
            return plans.plans(plans.emit(recipe, "plan", "-D", f"depth={depth}"))["classify"]

    @staticmethod
    def steps(plan):
        """Phase, label and launch of each step of the micro-batch."""
        found = []
        for launch in plan.functions["micro_main"]:
            phase, label = re.search(r' (forward|backward) "([^"]*)"', launch.text).groups()
            found.append((phase, label, launch))
        return found

    def kept(self, plan):
        """Arena buffers that live from the forward to the backward, with the label of the launch that made what is read there."""
        steps = self.steps(plan)
        first = [phase for phase, _, _ in steps].index("backward")
        maker, kept = {}, {}
        for number, (phase, label, launch) in enumerate(steps):
            for name in launch.reads:
                root = plan.root(name)
                if phase == "backward" and plan.buffers[root].region == "arena" and maker.get(root, (first, ""))[0] < first:
                    kept[root] = maker[root][1]
            for name in launch.writes:
                maker[plan.root(name)] = (number, label)
        return kept

    def test_what_a_block_makes_is_gone(self):
        depth = 12
        without, again = self.kept(self.plan(depth, None)), self.plan(depth)
        within = [name for name, label in without.items() if self.BLOCK.match(label)]
        self.assertGreater(len(within), 8 * depth)
        kept = {name: label for name, label in self.kept(again).items() if self.BLOCK.match(label)}
        blocks = sorted(int(self.BLOCK.match(label)[1]) for label in kept.values())
        self.assertEqual(blocks, sorted(set(blocks)), "a block hands on one tensor")
        self.assertGreaterEqual(len(blocks), depth - 1)
        for name in kept:
            self.assertEqual(again.buffers[name].size, self.RESIDUAL, name)

    def test_peak_grows_by_what_blocks_hand_on(self):
        peaks = {depth: self.plan(depth).regions["arena"] for depth in (12, 24, 48)}
        self.assertEqual(peaks[24] - peaks[12], 12 * self.RESIDUAL)
        self.assertEqual(peaks[48] - peaks[24], 24 * self.RESIDUAL)
        self.assertLess(peaks[12], 0.25 * self.plan(12, None).regions["arena"])

    def test_each_block_runs_again_right_before_its_backward(self):
        depth = 12
        again, seen = self.plan(depth), []
        for phase, label, launch in self.steps(again):
            if phase == "backward" and launch.kind in ("attention", "attention_grad"):
                seen.append((launch.kind, int(self.BLOCK.match(label)[1])))
        self.assertEqual(seen, [(kind, block) for block in reversed(range(depth)) for kind in ("attention", "attention_grad")])
        order = [int(found[1]) for phase, label, _ in self.steps(again) if phase == "backward" and (found := self.BLOCK.match(label))]
        for here, there in zip(order, order[1:]):
            self.assertLessEqual(abs(here - there), 1)

    def test_no_copies_and_only_what_is_needed(self):
        """At most the forward once more, without what only the loss needs."""
        plain, again = self.steps(self.plan(12, None)), self.steps(self.plan(12))
        count = lambda steps, phase, kinds: sum(1 for p, _, launch in steps if p == phase and launch.kind in kinds)
        self.assertEqual(count(again, "forward", {"copy", "fill"}), count(plain, "forward", {"copy", "fill"}))
        self.assertEqual(count(again, "backward", {"copy", "fill"}), count(plain, "backward", {"copy", "fill"}))
        # Four products a block, of which no backward reads the last: dropout needs its mask alone.
        more = count(again, "backward", {"gemm"}) - count(plain, "backward", {"gemm"})
        self.assertEqual(more, 12 * 3)
        self.assertEqual(count(again, "forward", {"gemm"}), count(plain, "forward", {"gemm"}))
        self.assertLessEqual(count(again, "forward", {"launch"}), count(plain, "forward", {"launch"}))

    def test_of_parts_inside_each_other_the_outermost_counts(self):
        outer = self.plan(3, "tower.blocks[*]").text
        self.assertEqual(self.plan(3, "tower.blocks[*].attn, tower.blocks[*], tower.blocks[1].mlp").text, outer)
        self.assertEqual(self.plan(3, "tower.blocks").text, outer)
        self.assertNotEqual(self.plan(3, "tower.blocks[*].attn").text, outer)

    def test_the_whole_tower(self):
        """One segment of all: everything is made twice, nothing lives from the forward to the backward but the images."""
        again = self.plan(12, "tower")
        self.assertEqual([label for label in self.kept(again).values() if label.startswith("tower")], [])


if __name__ == "__main__":
    unittest.main()
