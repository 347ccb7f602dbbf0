# SPDX-License-Identifier: Apache-2.0
"""VideoChat2's stages by two ranks, by micro-batches that are accumulated, and by both, beside one rank with the joined batch: the same
samples, draws, losses and gradients. What contrast and matching see is another matter, and is said by the recipe."""
import random
import shutil
import unittest

import torch

import programs
import steps
import test_stages
import videochat2
import videochat2_twin

STEPS = 5  # an epoch of four samples a step
HALVES = ("rows_1=2", "rows_2=2", "rows_3=2")
BY_TWO = 'accumulation=shared.Accumulation(2, across: "one_modality")'
# How a step of four samples is made: ranks, and what the recipe is compiled with.
WAYS = {"joined": (1, ("rows_1=4", "rows_2=4", "rows_3=4", "epochs_1=1")), "ranks": (2, (*HALVES, "ranks=2", "epochs_1=1")),
        "accumulated": (1, (*HALVES, BY_TWO, "epochs_1=1")), "both": (2, ("rows_1=2", "rows_2=1", "rows_3=1", "ranks=2", BY_TWO))}


class World(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = videochat2.seeded_folder(cls)
        videochat2.make_data(cls.folder / "data", random.Random(steps.SEED), "vicuna")
        cls.made = False

    @classmethod
    def train(cls, name, ranks, options, stages, sizes=(videochat2.SIZES,), recipes=videochat2.FOLDER, count=STEPS, more=()):
        """Runs the stages, of which so many steps are dumped; where a stage starts from another, from what the joined run left of it."""
        program = cls.folder / f"{name}.bin"
        manifest = videochat2.compiled("vicuna", program, *options, *sizes, recipes=recipes)
        if not cls.made:
            videochat2.make_weights(cls.folder / "weights", manifest, "vicuna", scale=0.15, bert=True)
            cls.made = True
        out = cls.folder / name
        for stage in stages:
            for before in ("align", "connect"):
                made = cls.folder / "joined" / before / "weights.safetensors"
                if name != "joined" and made.exists():
                    (out / before).mkdir(parents=True, exist_ok=True)
                    shutil.copy(made, out / before)
            command = [program, "--stage", stage, "--data", cls.folder / "data", "--weights", cls.folder / "weights", "--out", out,
                       "--seed", steps.SEED, "--threads", 1, "--dump", ",".join(map(str, range(count))), *more]
            programs.succeed(*(programs.ranks(ranks, *command) if ranks > 1 else command))
            if name == "joined":
                videochat2.randomise(out / stage / "weights.safetensors", 0.15)

    @classmethod
    def dumped(cls, name, stage, step, rank=0):
        return steps.Step(cls.folder / name / stage / "dump" / (f"step-{step:06}" + (f".rank-{rank}" if rank else "") + ".safetensors"))

    def close(self, ours, theirs, name, limit=1e-5, before=None):
        """Of a whole step: each to `limit` of itself and of what it is the sum of, or a tenth of that of the largest where its true gradient is zero.
        `before`: the weights, of gradients that may cancel out."""
        largest = max(float(value.norm()) for value in theirs.values())
        for path, value in theirs.items():
            size = float(value.norm()) + 0.1 * largest + (steps.summed(path, before) if before else 0.0)
            self.assertLessEqual(float((ours[path] - value).norm()), limit * size, f"{path} of {name}, seed {steps.SEED}")


class Joined(World):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for name, (ranks, options) in WAYS.items():
            cls.train(name, ranks, options, tuple(videochat2.EPOCH)[name == "both":])
        # Seeds by which a stage begins with either kind.
        cls.seeds = {}
        for stage in ("connect", "instruct"):
            for seed in range(steps.SEED, steps.SEED + 60):
                kind = cls.first_kind("joined", stage, seed)
                if (stage, kind) not in cls.seeds:
                    cls.seeds[stage, kind] = seed
                    for name in ("ranks", "accumulated", "both"):
                        assert cls.first_kind(name, stage, seed) == kind
                if {(stage, "image"), (stage, "video")} <= set(cls.seeds):
                    break

    @classmethod
    def first_kind(cls, name, stage, seed):
        """Of which a run by this seed from the joined run's weights begins; one step of it is dumped."""
        out = cls.folder / f"{name} {stage} {seed}"
        if not out.exists():
            for before in ("align", "connect")[:1 + (stage == "instruct")]:
                (out / before).mkdir(parents=True)
                shutil.copy(cls.folder / "joined" / before / "weights.safetensors", out / before)
            command = [cls.folder / f"{name}.bin", "--stage", stage, "--data", cls.folder / "data", "--weights", cls.folder / "weights", "--out", out,
                       "--seed", seed, "--threads", 1, "--max-steps", 1, "--dump", 0]
            ranks, _ = WAYS[name]
            programs.succeed(*(programs.ranks(ranks, *command) if ranks > 1 else command))
        return programs.steps_of(out, stage)[0]["variants"][0]

    def test_losses_and_gradients_of_stages_2_and_3(self):
        """Of a first step of pictures and of one of clips; after an update a weight whose gradient is nothing but rounding lies a rate away,
        to either side."""
        self.assertEqual(set(self.seeds), {(stage, kind) for stage in ("connect", "instruct") for kind in ("image", "video")})
        for (stage, kind), seed in self.seeds.items():
            whole = self.dumped(f"joined {stage} {seed}", stage, 0)
            for name in ("ranks", "accumulated", "both"):
                part, what = self.dumped(f"{name} {stage} {seed}", stage, 0), f"{name}, {stage}, {kind}"
                self.close({"loss": part.output["loss"]}, {"loss": whole.output["loss"]}, what)
                self.close(part.gradient, whole.gradient, what)

    def test_all_ranks_hold_the_same_gradients(self):
        for stage in videochat2.EPOCH:
            first, second = (self.dumped("ranks", stage, 0, rank) for rank in (0, 1))
            for path, gradient in first.gradient.items():
                self.assertTrue(torch.equal(gradient, second.gradient[path]), path)

    def test_losses_of_all_steps(self):
        for stage in ("connect", "instruct"):
            whole = [line["loss"] for line in programs.steps_of(self.folder / "joined", stage)]
            self.assertEqual(len(whole), STEPS)
            for name in ("ranks", "accumulated", "both"):
                for mine, theirs in zip((line["loss"] for line in programs.steps_of(self.folder / name, stage)), whole):
                    self.assertAlmostEqual(mine, theirs, delta=1e-4 * theirs, msg=f"{name}, {stage}, seed {steps.SEED}")

    def across(self, name, ranks, options, sizes=(videochat2.SIZES,)):
        """One step of stages 2 and 3; gives the names of its micro-batches, which both have alike."""
        self.train(name, ranks, options, ("connect", "instruct"), sizes=sizes, count=1, more=("--max-steps", 1))
        return [programs.steps_of(self.folder / name, stage)[0]["variants"] for stage in ("connect", "instruct")]

    def test_steps_of_every_modality(self):
        """Four pictures and four clips a step, by one micro-batch of each kind or by two, one rank or two."""
        by = 'accumulation=shared.Accumulation({}, across: "every_modality")'.format
        self.assertEqual(self.across("every", 1, ("rows_2=4", "rows_3=4", by(1))), [["image", "video"]] * 2)
        for name, ranks, options in (("every, accumulated", 1, ("rows_2=2", "rows_3=2", by(2))), ("every, both", 2, ("rows_2=1", "rows_3=1", "ranks=2", by(2)))):
            self.assertEqual(self.across(name, ranks, options), [["image", "image", "video", "video"]] * 2)
            for stage in ("connect", "instruct"):
                whole, part = self.dumped("every", stage, 0), self.dumped(name, stage, 0)
                self.close({"loss": part.output["loss"]}, {"loss": whole.output["loss"]}, f"{name}, {stage}")
                self.assertEqual(set(part.gradient), set(whole.gradient))
                self.close(part.gradient, whole.gradient, f"{name}, {stage}")

    def test_steps_of_mixed_modalities(self):
        """Seven micro-batches in a row, of six of pictures and four of clips: both kinds are among them. Two ranks make what one does, and that is
        what PyTorch makes of all their samples together."""
        by = 'accumulation=shared.Accumulation(7, across: "mixed")'
        sizes = videochat2.STILL
        variants = self.across("mixed", 1, ("rows_2=2", "rows_3=2", by), sizes)
        self.assertEqual(self.across("mixed, ranks", 2, ("rows_2=1", "rows_3=1", "ranks=2", by), sizes), variants)
        for stage, names in zip(("connect", "instruct"), variants):
            self.assertEqual((len(names), set(names)), (7, {"image", "video"}))
            whole, part = self.dumped("mixed", stage, 0), self.dumped("mixed, ranks", stage, 0)
            self.close({"loss": part.output["loss"]}, {"loss": whole.output["loss"]}, f"mixed, {stage}")
            self.close(part.gradient, whole.gradient, f"mixed, {stage}")
            twin = videochat2_twin.Twin(stage, "vicuna", whole.before, set(whole.gradient), test_stages.SANE)
            loss = sum(sum(twin.losses(self.together(whole, names, kind), whole.output).values()) for kind in ("image", "video"))
            self.close({"loss": whole.output["loss"]}, {"loss": loss.detach()}, f"mixed, {stage}, PyTorch")
            loss.backward()
            theirs = {path: leaf.grad for path, leaf in twin.trained.items()}
            every = [torch.cat([values[path].double().flatten() for path in sorted(whole.gradient)]) for values in (whole.gradient, theirs)]
            self.close({"all": every[0]}, {"all": every[1]}, f"gradients of mixed, {stage}, PyTorch")
            self.close(whole.gradient, theirs, f"mixed, {stage}, PyTorch", limit=1e-4)

    @staticmethod
    def together(step, names, kind):
        """The inputs of a dumped step's micro-batches of one kind as those of one."""
        parts = [{name.split("/", 1)[1]: value for name, value in step.kinds["input"].items() if name.startswith(f"{number}/")}
                 for number, variant in enumerate(names) if variant == kind]
        joined = {}
        for name, first in parts[0].items():
            values = [part[name] for part in parts]
            if name.endswith(".at"):  # rows of what is visual, two times 24 a micro-batch
                values = [torch.where(value < 0, value, value + 48 * number) for number, value in enumerate(values)]
            if first.dim() == 0:
                assert all(torch.equal(value, first) for value in values), name
            joined[name] = first if first.dim() == 0 or name == "rng" else torch.cat(values)
        return joined

    def test_samples_and_captions_of_stage_1(self):
        """Contrast goes over the captions of all ranks, and captions do not care."""
        for step in (0, 1):
            whole, ranks, accumulated = (self.dumped(name, "align", step) for name in ("joined", "ranks", "accumulated"))
            for term in ("vtc", "cap"):
                self.close({term: ranks.output[f"loss.{term}"]}, {term: whole.output[f"loss.{term}"]}, f"ranks, align, step {step}")
            self.close({"cap": accumulated.output["loss.cap"]}, {"cap": whole.output["loss.cap"]}, f"accumulated, align, step {step}")
            # The rows of the second rank are the last of the joined batch.
            second = self.dumped("ranks", "align", step, 1)
            self.assertTrue(torch.equal(torch.cat([ranks.inputs["clip.pixels"], second.inputs["clip.pixels"]]), whole.inputs["clip.pixels"]))

    def test_contrast_does_not_grow_by_accumulation(self):
        """Among two there is less to tell apart than among four."""
        for step in (0, 1):
            whole, accumulated = (float(self.dumped(name, "align", step).output["loss.vtc"]) for name in ("joined", "accumulated"))
            self.assertGreater(whole, accumulated)

    def test_negatives_of_matching_are_the_ranks_own(self):
        """Two rows on each of two ranks ask what two micro-batches of two rows ask, with the same draws."""
        for step in (0, 1):
            ranks, accumulated = (self.dumped(name, "align", step).output["loss.vtm"] for name in ("ranks", "accumulated"))
            self.close({"vtm": ranks}, {"vtm": accumulated}, f"align, step {step}")


class Alignment(World):
    """Stage 1 with dropout and stochastic depth, at a rate of zero: no step changes a weight."""

    @classmethod
    def train_align(cls, name, ranks, *options, matching=1.0, count=STEPS):
        text = (videochat2.FOLDER / "videochat2_vicuna.vcs").read_text()
        others = text[text.index("\n///", text.index("\nstage 1 ")):]
        recipes = videochat2.rewritten(cls.folder / f"recipes of {name}", "vicuna", (others, "\n"),
                                       ("alignment.vcs", "optimize adamw { lr: 1e-4", "optimize adamw { lr: 0.0"),
                                       ("alignment.vcs", "vtm: 1.0 *", f"vtm: {matching} *"))
        cls.train(name, ranks, (*options, "epochs_1=1"), ("align",), recipes=recipes, count=count)

    def first_of_each_kind(self, name):
        """Among all steps of an epoch, which has both."""
        variants = [line["variants"][0] for line in programs.steps_of(self.folder / name, "align")]
        return sorted(variants.index(kind) for kind in ("image", "video"))

    def same(self, ranks, joined, terms):
        for step in self.first_of_each_kind(joined):
            whole, part, second = self.dumped(joined, "align", step), self.dumped(ranks, "align", step), self.dumped(ranks, "align", step, 1)
            self.assertTrue(torch.equal(torch.cat([part.inputs["clip.pixels"], second.inputs["clip.pixels"]]), whole.inputs["clip.pixels"]))
            for term in terms:
                self.assertGreater(float(whole.output[f"loss.{term}"]), 0.0)
                self.close({term: part.output[f"loss.{term}"]}, {term: whole.output[f"loss.{term}"]}, f"align, step {step}")
            self.assertEqual(set(part.gradient), set(whole.gradient))
            self.close(part.gradient, whole.gradient, f"align, step {step}", before=whole.before)

    def test_contrast_and_captions_are_those_of_the_joined_batch(self):
        """Matching, whose negatives are the ranks' own, counts nothing."""
        self.train_align("four", 1, "rows_1=4", matching=0.0)
        self.train_align("twice two", 2, "rows_1=2", "ranks=2", matching=0.0)
        self.same("twice two", "four", ("vtc", "cap"))

    def test_all_three_losses_are_those_of_the_joined_batch_with_negatives_of_all_ranks(self):
        """There is one other sample, so that which is drawn is certain; what dropout draws for three questions about each sample is not."""
        self.train_align("two", 1, "rows_1=2", count=2 * STEPS)
        self.train_align("twice one", 2, "rows_1=1", "ranks=2", 'negatives="all_ranks"', count=2 * STEPS)
        self.same("twice one", "two", ("vtc", "vtm", "cap"))


class NegativesOfAllRanks(World):
    def test_stage_1_is_that_of_the_joined_batch(self):
        self.train("wide", 2, (*HALVES, "ranks=2", "epochs_1=1", 'negatives="all_ranks"'), ("align",), sizes=videochat2.STILL)
        for number in range(2):
            step, second = (self.dumped("wide", "align", number, rank) for rank in (0, 1))
            inputs = {name: value if value.dim() == 0 or name == "rng" else torch.cat([value, second.inputs[name]]) for name, value in step.inputs.items()}
            self.assertEqual(inputs["clip.pixels"].shape[0], 4)
            twin = videochat2_twin.Twin("align", "vicuna", step.before, set(step.gradient), test_stages.SANE)
            terms = twin.losses(inputs, step.output)
            for term, value in terms.items():
                self.assertLessEqual(abs(float(step.output[f"loss.{term}"]) - value.item()), 1e-5 * abs(value.item()), f"{term}, seed {steps.SEED}")
            sum(terms.values()).backward()
            largest = max(float(leaf.grad.norm()) for leaf in twin.trained.values())
            for path, gradient in step.gradient.items():
                theirs = twin.trained[path].grad
                slack = 1e-4 * float(theirs.norm()) + 1e-6 * largest + 1e-5 * steps.summed(path, step.before)
                self.assertLessEqual(float((gradient.double() - theirs).norm()), slack, f"{path}, seed {steps.SEED}")


if __name__ == "__main__":
    unittest.main()
