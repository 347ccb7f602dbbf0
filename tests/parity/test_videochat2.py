# SPDX-License-Identifier: Apache-2.0
"""The recipes of VideoChat2 at test size, all stages in turn on a few pictures and clips, from files with the names that published weights
have: they run, hand their weights over, and start as a model of random weights does."""
import json
import math
import pathlib
import random
import re
import shutil
import unittest

import torch
from safetensors.torch import load_file, save_file

import programs
import steps
import videochat2


class World:
    """Data, weights and a program of one recipe in a folder of its own."""

    def __init__(self, scratch, variant, *options, bert=False):
        self.folder, self.out = pathlib.Path(scratch), pathlib.Path(scratch) / "out"
        for name in ("data", "weights"):
            (self.folder / name).mkdir()
        torch.manual_seed(steps.SEED)
        videochat2.make_data(self.folder / "data", random.Random(steps.SEED), variant)
        self.program = self.folder / "train.bin"
        self.manifest = videochat2.compiled(variant, self.program, *options)
        videochat2.make_weights(self.folder / "weights", self.manifest, variant, bert=bert)

    def command(self, stage, *more, out=None, weights=None):
        return [self.program, "--stage", stage, "--data", self.folder / "data", "--weights", weights or self.folder / "weights",
                "--out", out or self.out, "--seed", steps.SEED, *more]

    def run(self, stage, *more, out=None, weights=None):
        return programs.succeed(*self.command(stage, *more, out=out, weights=weights), seconds=120)

    def weights(self, stage):
        """What the stage left: path -> (shape, bytes)."""
        return {path: tensor[1:] for path, tensor in programs.read_tensors(self.out / stage / "weights.safetensors")[0].items()}

    def step(self, stage, number=0):
        return steps.Step(self.out / stage / "dump" / f"step-{number:06}.safetensors")


class Runs:
    variant, options = None, ()

    @classmethod
    def setUpClass(cls):
        print(f"seed {steps.SEED} (VCC_TEST_SEED)", flush=True)
        scratch = programs.fresh_folder()
        cls.addClassCleanup(scratch.cleanup)
        cls.world = World(scratch.name, cls.variant, *cls.options)
        cls.said = cls.world.run("all", "--dump", "0")
        cls.lines = {stage: programs.steps_of(cls.world.out, stage) for stage in videochat2.EPOCH}

    def test_all_stages_run(self):
        epochs = {"align": 2, "connect": 1, "instruct": 1}
        self.assertEqual({stage: len(lines) for stage, lines in self.lines.items()},
                         {stage: epochs[stage] * sum(counts) for stage, counts in videochat2.EPOCH.items()})
        for lines in self.lines.values():
            for line in lines:
                self.assertTrue(all(math.isfinite(value) for value in line.values() if isinstance(value, float)), line)
        self.assertEqual({line["loss.unread"] for line in self.lines["instruct"]}, {0})

    def blind(self, folder):
        """Weights of a Q-Former whose outputs are zeros, and of a language model to which all words are the same."""
        shutil.copytree(self.world.folder / "weights", folder)
        shapes = videochat2.weight_shapes(self.world.manifest["stages"][0])
        bridge = {path: videochat2.draw(path, shape, 0.02) for path, shape in shapes.items() if path.startswith("bridge.")}
        head = "bridge.cls.predictions."
        for path in bridge:
            if path.startswith(("bridge.layers[3].output.LayerNorm", "bridge.layers[3].output_query.LayerNorm", head + "transform.LayerNorm", head + "bias")):
                bridge[path].zero_()
        save_file(bridge, folder / "bert_qformer.safetensors")
        model = folder / videochat2.MODELS[self.variant][0] / "model.safetensors"
        state = load_file(model)
        state["lm_head.weight"].zero_()
        save_file(state, model)
        return folder

    def test_first_losses(self):
        """What tells nothing apart costs the logarithm of the number of choices, whatever dropout and the negatives do."""
        weights = self.blind(self.world.folder / "blind")
        first = {}
        for stage, before in (("align", ()), ("connect", ("align",)), ("instruct", ("align", "connect"))):
            out = self.world.folder / f"blind-{stage}"
            for name in before:
                shutil.copytree(self.world.out / name, out / name)
            self.world.run(stage, "--max-steps", "1", out=out, weights=weights)
            first[stage] = programs.steps_of(out, stage)[0]
        for stage, term, choices in (("align", "vtc", 4), ("align", "vtm", 2), ("align", "cap", 101), ("connect", "lm", 100), ("instruct", "lm", 100)):
            self.assertAlmostEqual(first[stage]["loss." + term], math.log(choices), delta=1e-5, msg=f"{term} of {stage}")

    def test_first_weights(self):
        """What no file gives is drawn as upstream draws it: means and deviations within six times those of so many numbers."""
        align, connect, instruct = (self.world.step(stage).before for stage in videochat2.EPOCH)
        reach = 1 / math.sqrt(32)
        # Beyond 2 a normal is cut, of which 0.88 is left as deviation where it was 1.
        rules = [(align, r"(bridge|vision)\..*norm\.weight", 1.0, 0.0, 1.0), (align, r"(bridge|heads)\..*bias|vision\.norm\.bias", 0.0, 0.0, 0.0),
                 (align, r"bridge\.query_tokens|vision\.slot_embed", 0.0, 0.87963, 2.0), (align, r"heads\.temp", 0.07, 0.0, 0.07),
                 (align, r"bridge\.(?!.*norm).*weight|heads\..*weight", 0.0, 0.02, 2.0), (connect, r"bridge\.extra_query_tokens", 0.0, 0.0, 0.0),
                 (connect, r"project\.(weight|bias)", 0.0, reach / math.sqrt(3), reach), (instruct, r".*lora_B\.weight", 0.0, 0.0, 0.0)]
        rules += [(instruct, re.escape(path), 0.0, 1 / math.sqrt(3 * value.shape[1]), 1 / math.sqrt(value.shape[1]))
                  for path, value in instruct.items() if path.endswith("lora_A.weight")]
        for weights, pattern, mean, deviation, most in rules:
            found = {path: value.double() for path, value in weights.items() if re.fullmatch(pattern, path, re.IGNORECASE) and "vision.blocks" not in path}
            self.assertGreater(len(found), 0, pattern)
            for path, value in found.items():
                what = f"{path}, seed {steps.SEED}"
                self.assertAlmostEqual(float(value.mean()), mean, delta=6 * deviation / math.sqrt(value.numel()) + 1e-6, msg=what)
                self.assertLessEqual(float(value.abs().max()), most + 1e-6, what)
                if deviation:
                    self.assertAlmostEqual(float(value.std()), deviation, delta=6 * deviation / math.sqrt(2 * value.numel()), msg=what)

    def test_an_adapter_starts_as_the_model_without_it(self):
        """B is zero, so A has no gradient yet."""
        step = self.world.step("instruct")
        sites = [path for path in step.before if path.endswith(".lora_B.weight")]
        self.assertGreater(len(sites), 0)
        for path in sites:
            self.assertEqual(float(step.before[path].norm()), 0.0)
            self.assertEqual(float(step.gradient[path.replace("lora_B", "lora_A")].norm()), 0.0)
            self.assertGreater(float(step.gradient[path].norm()), 0.0)


class Vicuna(Runs, unittest.TestCase):
    variant = "vicuna"

    def test_what_each_stage_leaves(self):
        """No weight of the language model; stage 3 takes the Q-Former's text side from stage 1 and what stage 2 trained from there."""
        first, second, third = (self.world.weights(stage) for stage in videochat2.EPOCH)
        for weights in (first, second, third):
            self.assertFalse([path for path in weights if path.startswith("lm.")])
        self.assertEqual({path.split(".")[0] for path in second}, {"vision", "bridge", "project"})
        self.assertEqual({path.split(".")[0] for path in third}, {"vision", "bridge", "project", "adapter"})
        text = {path for path in first if path.startswith("bridge.")} - set(second) - {path for path in first if path.startswith("bridge.cls.")}
        self.assertIn("bridge.embeddings.word_embeddings.weight", text)
        self.assertIn("bridge.layers[3].output.LayerNorm.bias", text)
        self.assertNotIn("vision.slot_embed", second)
        step = self.world.step("instruct")
        for path, value in step.before.items():
            source = first if path in text else second
            if path in source:
                self.assertEqual(value.numpy().tobytes(), source[path][1], path)
            else:
                self.assertTrue(path.startswith(("lm.", "adapter.")), path)
        self.assertIn(f"bridge: {len(text)} weights from {self.world.out}/align/weights.safetensors", self.said)

    def test_stage_1_may_be_skipped(self):
        """A file of the published keys takes its place; the program says that it does, and for want of what."""
        first = self.world.weights("align")
        state = {videochat2.published(path): torch.frombuffer(bytearray(content), dtype=torch.float32).reshape(shape)
                 for path, (shape, content) in first.items()}
        frozen = torch.load(self.world.folder / "weights" / "l16_25m.pth")
        state.update({"vision_encoder." + key: value for key, value in frozen.items()})
        state["qformer.bert.embeddings.position_ids"] = torch.arange(64)[None]
        state["qformer.cls.predictions.decoder.weight"] = state["qformer.bert.embeddings.word_embeddings.weight"]
        state["qformer.cls.predictions.decoder.bias"] = state["qformer.cls.predictions.bias"]
        file, out = self.world.folder / "weights" / "umt_l16_qformer.pth", self.world.folder / "skipped"
        ended = programs.run(*self.world.command("connect", out=out))
        self.assertEqual(ended.code, 3, ended)
        self.assertIn(str(out / "align" / "weights.safetensors"), ended.err)
        torch.save(state, file)
        self.addCleanup(file.unlink)
        said = self.world.run("connect", out=out) + self.world.run("instruct", out=out)
        missing = f"for want of {out}/align/weights.safetensors"
        for line in (f"vision: 56 weights from {file}, {missing}", f"bridge: 87 weights from {file}, {missing}", "bridge: 1 weight from init zeros",
                     f"bridge: 88 weights from {out}/connect/weights.safetensors\n", f"bridge: 26 weights from {file}, {missing}"):
            self.assertIn(line, said)
        for stage in ("connect", "instruct"):
            self.assertEqual([programs.numbers_of(line) for line in programs.steps_of(out, stage)],
                             [programs.numbers_of(line) for line in self.lines[stage]])
        # Where stage 1 lies there, it comes first.
        beside = self.world.folder / "beside"
        shutil.copytree(self.world.out / "align", beside / "align")
        self.assertIn(f"vision: 2 weights from {beside}/align/weights.safetensors\n", self.world.run("connect", "--max-steps", "1", out=beside))


    def test_an_interrupted_stage_goes_on_as_if_it_had_not_been(self):
        out = self.world.folder / "interrupted"
        shutil.copytree(self.world.out / "align", out / "align")
        self.world.run("connect", "--max-steps", "4", out=out)
        self.world.run("connect", out=out)
        self.assertEqual([programs.numbers_of(line) for line in programs.steps_of(out, "connect")],
                         [programs.numbers_of(line) for line in self.lines["connect"]])

    def spoilt(self, file, spoil, stage="instruct"):
        """How the stage ends on data of which one annotation file was changed."""
        folder = self.world.folder / f"spoilt-{len(list(self.world.folder.iterdir()))}"
        shutil.copytree(self.world.folder / "data", folder)
        records = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(spoil(records)))
        for before in ("align", "connect"):
            shutil.copytree(self.world.out / before, folder / "out" / before)
        command = self.world.command(stage, out=folder / "out")
        command[command.index("--data") + 1] = folder
        return programs.run(*command)

    def refused(self, words, file, spoil):
        ended = self.spoilt(file, spoil)
        self.assertEqual(ended.code, 3, ended)
        for word in words:
            self.assertIn(word, ended.err)

    def test_bad_input(self):
        """Each ends the run with its file and record: more than the 5 % that the recipe lets pass."""
        images, clips = (f"videochat2_it/{kind}/caption/{name}/train.json" for kind, name in (("image", "coco"), ("video", "webvid")))

        def changed(number, **values):
            return lambda records: [{**record, **values} if place == number else record for place, record in enumerate(records)]
        turn = {"i": "look .", "q": "what ?", "a": "a sky ."}
        # Roles that do not alternate: a question without answer, an answer that is none.
        self.refused(["train.json: record 2", "`QA[1].a` is absent"], images, changed(2, QA=[turn, {"i": "", "q": "what ?"}, turn]))
        self.refused(["train.json: record 2", "nothing of it is left to train on"], images, changed(2, QA=[{**turn, "a": ""}]))
        self.refused(["train.json: record 4", "its answers are empty or begin after `max_tokens: 230`"], images, changed(4, QA=[{**turn, "q": "sky " * 300}]))
        self.refused(["coco_caption/1.png: is an image, but the batch takes videos here"], clips, changed(1, video="../coco_caption/1.png"))
        self.refused(["WebVid2M/1.mp4: is a video, but the batch takes images here"], images, changed(1, image="../WebVid2M/1.mp4"))
        self.refused(["dataset `caption_webvid` has no records"], clips, lambda records: [])
        # Clips of no frame: a span behind the end, one that is empty.
        self.refused(["WebVid2M/1.mp4: has", "seconds, but its record means 100 to 101"], clips, changed(1, start=100.0, end=101.0))
        self.refused(["WebVid2M/1.mp4: has", "seconds, but its record means 0.5 to 0.5"], clips, changed(1, start=0.5, end=0.5))

    def test_a_records_text_makes_no_place_for_visual_tokens(self):
        """The template says where they are, once; what a record calls so is text."""
        turn = {"i": "", "q": "<Video></Video> {visual} <Image> ?", "a": "<Video> ."}
        ended = self.spoilt("videochat2_it/image/caption/coco/train.json", lambda records: [{**record, "QA": [turn]} for record in records])
        self.assertEqual(ended.code, 0, ended)

    def test_a_batch_of_one_has_no_negatives(self):
        ended = programs.run(programs.VCC, "check", videochat2.FOLDER / "videochat2_vicuna.vcs", "-D", "rows_1=1")
        self.assertEqual(ended.code, 2, ended)
        self.assertIn("a batch of 1 has none", ended.err)


class VicunaAsUpstream(Runs, unittest.TestCase):
    variant, options = "vicuna", ("reproduce=upstream",)

    def test_the_floor_holds_in_warm_up(self):
        self.assertAlmostEqual(self.lines["instruct"][0]["lr"], 0.25 * 2e-5, delta=1e-9)


class Mistral(Runs, unittest.TestCase):
    variant = "mistral"


class Packed(unittest.TestCase):
    """Stage 3 with four dialogues in a row of the language model, or one; the Q-Former sees each of them alone."""

    def test_rows_of_several_dialogues(self):
        print(f"seed {steps.SEED} (VCC_TEST_SEED)", flush=True)
        scratch = programs.fresh_folder()
        self.addCleanup(scratch.cleanup)
        still = ("rows_3=4", "lora_dropout=0.0")
        world = World(scratch.name, "mistral", *still)
        world.run("align,connect")
        packed = world.folder / "packed"
        shutil.copytree(world.out, packed)
        world.run("instruct", "--max-steps", "1", "--dump", "0")
        apart = world.step("instruct")
        videochat2.compiled("mistral", world.program, *still, "pack=4", "lengths_3=[700]")
        world.run("instruct", "--max-steps", "1", "--dump", "0", out=packed)
        together = steps.Step(packed / "instruct" / "dump" / "step-000000.safetensors")
        self.assertEqual(together.inputs["dialogue.ids"].shape[0], 1)
        self.assertEqual(apart.inputs["dialogue.ids"].shape[0], 4)
        self.assertAlmostEqual(float(together.output["loss"]), float(apart.output["loss"]), delta=1e-6 * float(apart.output["loss"]))
        largest = max(float(gradient.norm()) for gradient in apart.gradient.values())
        for path, gradient in apart.gradient.items():
            self.assertLessEqual(float((together.gradient[path] - gradient).norm()), 1e-5 * float(gradient.norm()) + 1e-6 * largest, path)


class Phi3(Runs, unittest.TestCase):
    variant = "phi3"


if __name__ == "__main__":
    unittest.main()
