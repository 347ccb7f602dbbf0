# SPDX-License-Identifier: Apache-2.0
"""The recipes of VideoChat2 at test size, whole stages against PyTorch, Transformers and PEFT: losses and gradients of steps with pictures
and of steps with clips, and the losses of ten steps of AdamW with warm-up. Every stage starts from random weights."""
import json
import pathlib
import random
import unittest

import torch

import programs
import steps
import videochat2
import videochat2_twin

STEPS = 10
# What the twin does, and what the program reads of its batches: of media (`antialias` and on), of stage 1, 2 and 3.
SANE = {"image_in_every_slot": False, "constant_bos": None, "decay_everything": False, "idle_decays": False, "floor_in_warmup": False, "side": "right",
        "antialias": True, "fallback": "sample", "sample": "random", "ids": "batch.ids", "prompt": "sample", "captions": "assistant",
        "dialogues": "assistant", "spaces": "trimmed", "timed": True, "question": True}
UPSTREAM = {"image_in_every_slot": True, "constant_bos": 1.0, "decay_everything": True, "idle_decays": True, "floor_in_warmup": True, "side": "left",
            "antialias": False, "fallback": "media", "sample": "random_exclusive", "ids": "batch.local_ids", "prompt": "batch", "captions": "assistant",
            "dialogues": "assistant", "spaces": "kept", "timed": False, "question": False}
# Which pictures each dataset has: a sample's place in its own is one of three, so that of four samples two have the same.
PARTS = {"coco": (0, 3), "cc3m": (3, 6), "cc12m": (6, 8), "sbu": (8, 10), "vg": (10, 12)}
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
        cls.arrange(folder / "data")
        program = folder / "train.bin"
        cls.manifest = manifest = videochat2.compiled(cls.variant, program, *cls.sizes, *cls.options)
        videochat2.make_weights(folder / "weights", manifest, cls.variant, scale=0.15, bert=True)
        cls.dumps, cls.log = {}, {}
        for stage in cls.stages:
            programs.succeed(program, "--stage", stage, "--data", folder / "data", "--weights", folder / "weights", "--out", folder / "out",
                             "--seed", steps.SEED, "--dump", ",".join(map(str, range(STEPS))))
            cls.log[stage] = programs.steps_of(folder / "out", stage)
            cls.dumps[stage] = [steps.Step(folder / "out" / stage / "dump" / f"step-{step:06}.safetensors") for step in range(STEPS)]
            videochat2.randomise(folder / "out" / stage / "weights.safetensors", 0.15)

    @classmethod
    def arrange(cls, data):
        """Other data than the usual."""

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
            self.assertLessEqual(off, 1e-4 * norms[path] + 1e-6 * largest + 1e-5 * steps.summed(path, step.before), f"gradient of {path} in {name}")
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

    def test_switches_reach_the_program(self):
        """What the program reads of its batches, of every stage and kind."""
        habits = self.habits
        for stage, what in zip(("align", "connect", "instruct"), ({}, {"prompt": "prompt", "supervise": "captions"}, {"supervise": "dialogues"})):
            found = next(entry for entry in self.manifest["stages"] if entry["name"] == stage)
            inputs = {entry["name"] for function in found["functions"] if function["role"] == "micro" for entry in function["inputs"]}
            self.assertEqual(inputs & {"batch.ids", "batch.local_ids"}, {habits["ids"]} if stage == "align" else set())
            for kind, batch in found["batch"].items():
                media, fields = batch["media"], {field["name"]: field for field in batch["fields"]}
                self.assertEqual([media[name] for name in ("antialias", "fallback")], [habits["antialias"], habits["fallback"]], (stage, kind))
                self.assertEqual(media["sample"], habits["sample"] if kind == "video" else "middle")
                if stage == "align":
                    continue
                dialogue = fields["dialogue"]
                self.assertEqual({key: dialogue[key] for key in what}, {key: habits[name] for key, name in what.items()}, (stage, kind))
                self.assertEqual(dialogue["spaces"], habits["spaces"])
                if stage == "instruct":
                    self.assertEqual(fields["question"]["side"], habits["side"])
                    said, told = ("".join(segment["text"] for segment in self.manifest["templates"][fields[name]["template"]]["segments"])
                                  for name in ("dialogue", "question"))
                    self.assertEqual(["{seconds}" in said, "{q" in told], [habits["timed"], habits["question"]])

    def test_prompts(self):
        """Upstream draws one for all rows of a micro-batch. Of 22 different ones, two rows of ten steps do not have the same by chance."""
        alike = []
        for step in self.dumps["connect"]:
            before = []
            for ids, labels, at in zip(*(step.inputs[f"dialogue.{name}"].tolist() for name in ("ids", "labels", "at"))):
                trained = next(place for place, label in enumerate(labels) if label >= 0)
                before.append([word for word, row in zip(ids[:trained], at) if row < 0])
            alike.append(before[0] == before[1])
        self.assertEqual(all(alike), self.habits["prompt"] == "batch", f"{alike}, seed {steps.SEED}")

    def test_ten_steps(self):
        for stage in self.stages:
            self.follow(stage)


class Vicuna(Stages, unittest.TestCase):
    pass


class VicunaAsUpstream(Stages, unittest.TestCase):
    """With pictures of five datasets, of which stage 1 takes samples of equal place for the same."""

    options = ("reproduce=upstream", *(f"pictures_{stage}=[" + ", ".join(f"sources.{name}" for name in PARTS) + "]" for stage in (1, 2)))
    # It is told the times and the question, as always, and pads on the right.
    habits = {**UPSTREAM, "side": "right", "dialogues": "roles", "timed": True, "question": True}

    @classmethod
    def arrange(cls, data):
        """A caption's first word says which place its record has."""
        folder = data / "anno_pretrain"
        records = json.loads((folder / "coco.json").read_text())
        media = data / "videos_images"
        for name, (first, last) in PARTS.items():
            if name != "coco":
                (media / name).symlink_to(media / "coco")
            own = [{**record, "caption": f"{videochat2.WORDS[place]} {record['caption']}"} for place, record in enumerate(records[first:last])]
            (folder / f"{name}{'_train' if name.startswith('cc') else ''}.json").write_text(json.dumps(own))

    def test_samples_of_equal_place_are_taken_for_the_same(self):
        """The loss of contrast is another one by the samples' own identity."""
        apart = []
        for step, line in zip(self.dumps["align"], self.log["align"]):
            places = step.inputs["batch.local_ids"]
            if line["variants"] == ["video"]:
                self.assertEqual(len(set(places.tolist())), 4)
                continue
            self.assertEqual((step.inputs["caption.ids"][:, 1] - 4).tolist(), places.tolist())  # after four control tokens
            self.assertLess(len(set(places.tolist())), 4)
            own = {**step.inputs, "batch.ids": torch.arange(4)}
            del own["batch.local_ids"]
            ours, theirs = float(step.output["loss.vtc"]), self.twin("align", step).losses(own, step.output)["vtc"].item()
            apart.append(abs(ours - theirs) / theirs)
        self.assertEqual(len(apart), 6)
        self.assertGreater(max(apart), 1e-4, f"seed {steps.SEED}")


class MistralAsUpstream(Stages, unittest.TestCase):
    variant, options, habits = "mistral", ("reproduce=upstream",), {**UPSTREAM, "captions": "answer"}


class Phi3AsUpstream(Stages, unittest.TestCase):
    variant, options, habits = "phi3", ("reproduce=upstream",), UPSTREAM


if __name__ == "__main__":
    unittest.main()
