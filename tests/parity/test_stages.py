# SPDX-License-Identifier: Apache-2.0
"""The recipes of VideoChat2 at test size, whole stages against PyTorch, Transformers and PEFT: losses and gradients of steps with pictures
and of steps with clips, and the losses of ten steps of AdamW with warm-up. Every stage starts from random weights."""
import pathlib
import random
import unittest

import torch

import programs
import steps
import videochat2
import videochat2_twin

STEPS = 10
SANE = {"image_in_every_slot": False, "constant_bos": None, "decay_everything": False, "idle_decays": False, "floor_in_warmup": False, "side": "right"}
UPSTREAM = {"image_in_every_slot": True, "constant_bos": 1.0, "decay_everything": True, "idle_decays": True, "floor_in_warmup": True, "side": "left"}
# Peak rate, steps of warm-up and floor of each stage.
SCHEDULES = {"align": (1e-4, 1, 0.01), "connect": (1e-4, 2, 0.01), "instruct": (2e-5, 6, 0.25)}


class Trained:
    """`setUpClass` trains the stages, which start from other random weights each."""

    variant = "vicuna"
    sizes = videochat2.STILL
    options = ()
    stages = tuple(videochat2.EPOCH)
    habits = SANE

    @classmethod
    def setUpClass(cls):
        print(f"seed {steps.SEED} (VCC_TEST_SEED)", flush=True)
        torch.manual_seed(steps.SEED)
        torch.set_num_threads(1)  # more only wait for each other at this size
        cls.scratch = programs.fresh_folder()
        cls.addClassCleanup(cls.scratch.cleanup)
        folder = pathlib.Path(cls.scratch.name)
        for name in ("data", "weights"):
            (folder / name).mkdir()
        videochat2.make_data(folder / "data", random.Random(steps.SEED), cls.variant)
        program = folder / "train.bin"
        manifest = videochat2.compiled(cls.variant, program, *cls.sizes, *cls.options)
        videochat2.make_weights(folder / "weights", manifest, cls.variant, scale=0.15, bert=True)
        cls.dumps, cls.log = {}, {}
        for stage in cls.stages:
            programs.succeed(program, "--stage", stage, "--data", folder / "data", "--weights", folder / "weights", "--out", folder / "out",
                             "--seed", steps.SEED, "--dump", ",".join(map(str, range(STEPS))))
            cls.log[stage] = programs.steps_of(folder / "out", stage)
            cls.dumps[stage] = [steps.Step(folder / "out" / stage / "dump" / f"step-{step:06}.safetensors") for step in range(STEPS)]
            videochat2.randomise(folder / "out" / stage / "weights.safetensors", 0.15)

    def twin(self, stage, step):
        return videochat2_twin.Twin(stage, self.variant, step.before, set(step.gradient), self.habits)

    def compare(self, stage, number):
        """Losses and gradients of one step; gives the twin."""
        step, name = self.dumps[stage][number], f"{stage}, step {number} ({self.log[stage][number]['variants'][0]}), seed {steps.SEED}"
        twin = self.twin(stage, step)
        terms = twin.losses(step.inputs, step.output)
        self.assertEqual(set(step.output) & {"loss." + term for term in ("vtc", "vtm", "cap", "lm", "unread")}, {"loss." + term for term in terms})
        for term, value in terms.items():
            self.assertLessEqual(abs(float(step.output[f"loss.{term}"]) - value.item()), 1e-5 * abs(value.item()), f"{term} of {name}")
        sum(terms.values()).backward()
        norms = {path: float(leaf.grad.norm()) for path, leaf in twin.trained.items() if leaf.grad is not None}
        self.assertEqual(set(norms), set(step.gradient), name)
        # The norm of a query of zeros divides by a millionth.
        largest = max(norm for path, norm in norms.items() if path != "bridge.extra_query_tokens")
        for path, gradient in step.gradient.items():
            off = float((gradient.double() - twin.trained[path].grad).norm())
            self.assertLessEqual(off, 1e-4 * norms[path] + 1e-7 * largest, f"gradient of {path} in {name}")
        return twin

    def follow(self, stage):
        """All steps of AdamW, the twin going its own way from the first weights."""
        dumps = self.dumps[stage]
        peak, warmup, floor = SCHEDULES[stage]
        twin = self.twin(stage, dumps[0])
        optimizer = twin.optimizer()
        for number, (step, line) in enumerate(zip(dumps, self.log[stage])):
            rate = peak * videochat2_twin.factor(number, STEPS, warmup, floor, self.habits["floor_in_warmup"])
            self.assertAlmostEqual(line["lr"], rate, delta=1e-6 * peak, msg=f"{stage}, step {number}")
            loss = sum(twin.losses(step.inputs, step.output).values())
            theirs = loss.item()
            self.assertLessEqual(abs(float(step.output["loss"]) - theirs), 1e-4 * abs(theirs), f"{stage}, step {number}, seed {steps.SEED}")
            loss.backward()
            twin.step(optimizer, rate)


class Stages(Trained):
    """What all variants are tested for."""

    def test_batches(self):
        """There are pictures and clips, rows of different length, and one that is cut at the cap."""
        for stage, (pictures, clips) in videochat2.EPOCH.items():
            epochs = 2 if stage == "align" else 1
            variants = [line["variants"] for line in self.log[stage]]
            self.assertEqual((variants.count(["image"]), variants.count(["video"])), (epochs * pictures, epochs * clips))
            field, cap = {"align": ("caption", 12), "connect": ("dialogue", videochat2.TOKENS_2), "instruct": ("dialogue", videochat2.TOKENS_3 + 24)}[stage]
            lengths = [length for step in self.dumps[stage] for length in step.inputs[f"{field}.length"].tolist()]
            self.assertGreater(len(set(lengths)), 3)
            if stage == "connect":
                # The caption alone is cut, of a picture and of a clip; what is before it takes some of the row.
                caught = [row for step in self.dumps[stage] for row in self.answers(step, cap)]
                self.assertGreaterEqual(caught.count(True), 2, f"seed {steps.SEED}")
            else:
                self.assertEqual(max(lengths), cap)
            for step in self.dumps[stage]:
                if stage != "align":
                    places = step.inputs["dialogue.at"]
                    self.assertEqual(sorted(places[places >= 0].tolist()), list(range(2 * 24)))

    def answers(self, step, cap):
        """For each row whether its answer has as many tokens as it may have; none has more."""
        for labels in step.inputs["dialogue.labels"].tolist():
            trained = [place for place, label in enumerate(labels) if label >= 0]
            most = min(cap, cap + 64 + 24 - trained[0])
            self.assertLessEqual(len(trained), most)
            yield len(trained) == most

    def test_losses_and_gradients(self):
        for stage, dumps in self.dumps.items():
            variants = [line["variants"][0] for line in self.log[stage]]
            for number in sorted({*map(variants.index, ("image", "video")), *(STEPS - 1 - variants[::-1].index(kind) for kind in ("image", "video"))}):
                self.compare(stage, number)

    def test_the_begin_tokens_place(self):
        """Its embedding, or upstream's vector of ones: the other of both gives other losses."""
        other = {**self.habits, "constant_bos": 1.0 if self.habits["constant_bos"] is None else None}
        apart = []
        for step in self.dumps["instruct"][:4]:
            theirs = videochat2_twin.Twin("instruct", self.variant, step.before, set(), other).losses(step.inputs, step.output)["lm"].item()
            apart.append(abs(float(step.output["loss.lm"]) - theirs) / theirs)
        self.assertGreater(max(apart), 1e-4)

    def test_ten_steps(self):
        for stage in self.stages:
            self.follow(stage)


class Vicuna(Stages, unittest.TestCase):
    pass


class MistralAsUpstream(Stages, unittest.TestCase):
    variant, options, habits = "mistral", ("reproduce=upstream",), UPSTREAM


class Phi3AsUpstream(Stages, unittest.TestCase):
    variant, options, habits = "phi3", ("reproduce=upstream",), UPSTREAM


if __name__ == "__main__":
    unittest.main()
