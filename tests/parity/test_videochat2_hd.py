# SPDX-License-Identifier: Apache-2.0
"""Stage 4 of VideoChat2 HD at test size, from a file such as stage 3 leaves: pictures and clips of several shapes in tiles and dialogues of
text alone. Pixels, visual tokens, losses and gradients of whole steps against PyTorch, Transformers and PEFT."""
import collections
import json
import math
import random
import shutil
import subprocess
import unittest

import torch
from safetensors.torch import load_file, save_file

import programs
import steps
import test_stages
import test_tiles
import test_videochat2
import videochat2
import videochat2_twin

SIDE, QUERIES, FRAMES, FILM = 32, 24, 2, 6
# Width and height, and the grid of at most two tiles.
SHAPES = [((64, 32), (2, 1)), ((30, 61), (1, 2)), ((40, 40), (1, 1)), ((70, 34), (2, 1)), ((32, 32), (1, 1)), ((36, 34), (1, 1)), ((64, 30), (2, 1))]
OPTIONS = ["sizes=" + "shared.Sizes(image: 32, table: 32, vision_width: 48, vision_depth: 5, vision_heads: 4, width: 32, depth: 4, heads: 4, hidden: 64, "
           "positions: 64, words: 100, embed: 24, queries: 8, extra: 16, rate: 0.0, drop: 0.0)",
           "lm_config=llama.tiny_mistral", "lora_dropout=0.0", "tokens_3=200", f"frames_4={FRAMES}", "tiles_4=2", "pictures_4=[sources.caption_llava]",
           "clips_4=[sources.caption_textvr]"]


def film(path, shape):
    """A film without loss; its frames as bytes [T, 3, H, W]."""
    wide, high = shape
    frames = torch.randint(0, 256, (FILM, high, wide, 3), dtype=torch.uint8)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{wide}x{high}", "-r", "8", "-i", "-", "-c:v", "libx264rgb", "-crf", "0",
         str(path)], input=frames.numpy().tobytes(), check=True, timeout=60)
    return frames.permute(0, 3, 1, 2)


class Dumped:
    """`setUpClass` trains the stage from random weights, on data of all shapes."""

    options, habits = (), test_stages.SANE
    # Words of the recipe that are other ones here, and how many steps are run.
    changes, count = (), 7

    @classmethod
    def setUpClass(cls):
        cls.folder = folder = videochat2.seeded_folder(cls)
        cls.make_data(folder / "data", random.Random(steps.SEED))
        cls.program = folder / "train.bin"
        recipes = videochat2.rewritten(folder / "recipes", "hd_mistral", *cls.changes)
        defines = [part for option in (*OPTIONS, *cls.options) for part in ("-D", option)]
        programs.succeed(programs.VCC, "compile", recipes / "videochat2_hd_mistral.vcs", "-o", cls.program, *defines, seconds=300)
        manifest = json.loads(programs.succeed(cls.program, "--manifest"))
        cls.make_weights(folder / "weights", manifest["stages"][0])
        cls.said = cls.run_stage(folder / "weights", folder / "out", cls.count)
        cls.lines = programs.steps_of(folder / "out", "hd")
        cls.dumps = [load_file(folder / "out" / "hd" / "dump" / f"step-{step:06}.safetensors") for step in range(len(cls.lines))]

    @classmethod
    def run_stage(cls, weights, out, count):
        return programs.succeed(cls.program, "--stage", "hd", "--data", cls.folder / "data", "--weights", weights, "--out", out, "--seed", steps.SEED,
                                "--max-steps", count, "--dump", ",".join(map(str, range(count))), seconds=120)

    @classmethod
    def make_data(cls, folder, generator):
        videochat2.make_tokenizers(folder, "mistral")
        for name in ("image/caption/llava", "video/caption/textvr", "text/sharegpt"):
            (folder / "videochat2_it" / name).mkdir(parents=True)
        for name in ("coco_caption", "TextVR/Video"):
            (folder / "media" / name).mkdir(parents=True)

        def words(low, high):
            return " ".join(generator.choice(videochat2.WORDS[:-2]) for _ in range(generator.randint(low, high)))

        def turns(count):
            return [{"i": words(1, 3) + " .", "q": words(2, 4) + " ?", "a": words(2, 4) + " ."} for _ in range(count)]
        cls.pictures, cls.films, images, videos = [], [], [], []
        for number, (shape, _) in enumerate(SHAPES):
            pixels = torch.randint(0, 256, (shape[1], shape[0], 3))
            test_tiles.write_png(folder / "media" / "coco_caption" / f"{number}.png", pixels)
            cls.pictures.append(pixels.permute(2, 0, 1)[None])
            images.append({"image": f"{number}.png", "QA": turns(1 + number % 2)})
        for number, (shape, _) in enumerate(SHAPES[:4]):
            # The codec wants even sides.
            even = tuple(side + side % 2 for side in shape)
            cls.films.append(film(folder / "media" / "TextVR" / "Video" / f"{number}.mp4", even))
            videos.append({"video": f"{number}.mp4", "QA": turns(1 + number % 2)})
        texts = [{"QA": turns(1 + number % 3)} for number in range(5)]
        for name, records in (("image/caption/llava", images), ("video/caption/textvr", videos), ("text/sharegpt", texts)):
            (folder / "videochat2_it" / name / "train.json").write_text(json.dumps(records))

    @classmethod
    def make_weights(cls, folder, stage):
        drawn = {path: videochat2.draw(path, shape, 0.15) for path, shape in videochat2.weight_shapes(stage).items()}
        (folder / "Mistral-7B-Instruct-v0.2").mkdir()
        save_file({videochat2.dotted(path.removeprefix("lm.")): value for path, value in drawn.items() if path.startswith("lm.")},
                  folder / "Mistral-7B-Instruct-v0.2" / "model.safetensors")
        save_file({path: value for path, value in drawn.items() if not path.startswith("lm.")}, folder / "videochat2_mistral_stage3.safetensors")

    def micros(self, number):
        """The inputs of each micro-batch of a step."""
        inputs = collections.defaultdict(dict)
        for key, value in self.dumps[number].items():
            if key.startswith("input/"):
                _, micro, name = key.split("/", 2)
                inputs[int(micro)][name] = value
        return [inputs[micro] for micro in sorted(inputs) if "dialogue.ids" in inputs[micro]]

    def kinds(self, number):
        """What else a step dumped: before, gradient, output."""
        return ({key.split("/", 1)[1]: value for key, value in self.dumps[number].items() if key.startswith(kind + "/")}
                for kind in ("before", "gradient", "output"))

    def loss(self, twin, number):
        return sum(self.share(twin, inputs) for inputs in self.micros(number))

    def share(self, twin, inputs):
        """The loss of one micro-batch."""
        if "clip.pixels" not in inputs:
            return twin._next_token({**inputs, "dialogue.at": torch.full_like(inputs["dialogue.ids"], -1)}, torch.zeros(1, 1, 40, dtype=torch.float64))
        owner = inputs["batch.clip_rows"].long()
        ids, length = twin.instruction(inputs)
        queries, text = twin.former().fuse_both(twin.memory(inputs["clip.pixels"]), ids[owner], length[owner], self.habits["side"])
        visual = videochat2_twin.twins.linear(queries, twin.leaves, "project")
        return twin._next_token(inputs, visual) + 0.0 * text.sum()

    def compare(self, number):
        """Loss and gradients of one step."""
        variants = self.lines[number]["variants"]
        before, gradients, output = self.kinds(number)
        twin = videochat2_twin.Twin("instruct", "mistral", before, set(gradients), self.habits)
        loss = self.loss(twin, number)
        theirs = loss.item()
        self.assertLessEqual(abs(float(output["loss"]) - theirs), 1e-5 * abs(theirs), f"step {number} ({variants}), seed {steps.SEED}")
        loss.backward()
        norms = {path: 0.0 if leaf.grad is None else float(leaf.grad.norm()) for path, leaf in twin.trained.items()}
        largest = max(norm for path, norm in norms.items() if path != "bridge.extra_query_tokens")
        for path, gradient in gradients.items():
            wanted = twin.trained[path].grad
            off = float((gradient.double() - (0 if wanted is None else wanted)).norm())
            self.assertLessEqual(off, 1e-4 * norms[path] + 1e-6 * largest, f"gradient of {path} in step {number} ({variants}), seed {steps.SEED}")
        if variants[0] == "text":
            self.assertEqual({path for path, gradient in gradients.items() if gradient.any()}, {path for path in gradients if path.startswith("adapter.")})

    def follow(self, total, warmup):
        """All steps of AdamW, the twin going its own way from the first weights. What a step of text alone does not reach has no
        gradient there either and is passed over, moments and their count of steps included; as upstream, under DeepSpeed, it has a zero."""
        before, gradients, _ = self.kinds(0)
        twin = videochat2_twin.Twin("instruct", "mistral", before, set(gradients), self.habits)
        optimizer = twin.optimizer()
        for number, line in enumerate(self.lines):
            rate = 1e-5 * videochat2_twin.factor(number, total, warmup, 0.01, self.habits["floor_in_warmup"])
            self.assertAlmostEqual(line["lr"], rate, delta=1e-11, msg=f"step {number}")
            loss = self.loss(twin, number)
            theirs = loss.item()
            *_, output = self.kinds(number)
            self.assertLessEqual(abs(float(output["loss"]) - theirs), 1e-4 * abs(theirs), f"step {number} ({line['variants']}), seed {steps.SEED}")
            loss.backward()
            for leaf in twin.trained.values():
                if leaf.grad is None and self.habits.get("unreached") == "zeros":
                    leaf.grad = torch.zeros_like(leaf)
            twin.step(optimizer, rate)


class Stage4(Dumped, unittest.TestCase):
    """The recipe as it stands, an epoch of it."""

    def test_steps_are_of_one_kind_and_of_existing_tiles_alone(self):
        # Seven pictures, four clips and five dialogues by three.
        kinds = [sorted({name.split(".")[0] for name in line["variants"]}) for line in self.lines]
        self.assertEqual(collections.Counter(kind for kind, in kinds), {"image": 3, "video": 2, "text": 2})
        names = collections.Counter(name for line in self.lines for name in line["variants"])
        wide = sum(grid != (1, 1) for _, grid in SHAPES)
        self.assertEqual(names, {"image.clips3": wide, "image.clips2": len(SHAPES) - wide, "video.clips3": 3, "video.clips2": 1, "text": 5})
        self.assertEqual({line["loss.unread"] for line in self.lines}, {0})
        for line in self.lines:
            self.assertTrue(all(math.isfinite(value) for value in line.values() if isinstance(value, float)), line)
        self.assertAlmostEqual(self.lines[0]["lr"], 1e-5, delta=1e-9)
        self.assertIn("adapter: 30 weights from", self.said)

    def tiles(self, frames, grid):
        """[T, 3, H, W] as [clips, T, 3, side, side]."""
        return torch.stack([test_tiles.tiles_of(frame, grid, SIDE) for frame in frames], 1)

    def test_pixels_and_visual_tokens(self):
        shown = collections.Counter()
        for number, line in enumerate(self.lines):
            for variant, inputs in zip(line["variants"], self.micros(number)):
                if variant == "text":
                    self.assertFalse([name for name in inputs if name.startswith(("clip", "question", "batch.clip"))])
                    self.assertNotIn("dialogue.at", inputs)
                    self.assertEqual(inputs["dialogue.ids"].shape[1], 200)
                    continue
                pixels, at = inputs["clip.pixels"], inputs["dialogue.at"][0]
                clips = int(variant[-1])
                self.assertEqual(pixels.shape, (clips, 1 if "image" in variant else FRAMES, 3, SIDE, SIDE))
                self.assertEqual(inputs["batch.clip_rows"].tolist(), [0] * clips)
                self.assertEqual(at[at >= 0].tolist(), list(range(clips * QUERIES)))
                known = self.pictures if "image" in variant else self.films
                found = [i for i, frames in enumerate(known) for picked in [self.picked(pixels, frames, SHAPES[i][1])] if picked]
                self.assertEqual(len(found), 1, f"{variant}, step {number}, seed {steps.SEED}")
                shown[variant[:5], found[0]] += 1
        self.assertEqual(shown, {**{("image", i): 1 for i in range(len(self.pictures))}, **{("video", i): 1 for i in range(len(self.films))}})

    def picked(self, pixels, frames, grid):
        """Whether these are the tiles of some of the frames, one of each half of a film."""
        if len(pixels) != grid[0] * grid[1] + 1:
            return False
        tiles = self.tiles(frames, grid)
        parts = [range(1)] if len(frames) == 1 else [range(0, FILM // 2), range(FILM // 2, FILM)]
        return all(any(torch.allclose(pixels[:, t], tiles[:, frame], atol=2e-2) for frame in part) for t, part in enumerate(parts))

    def test_losses_and_gradients(self):
        for number in range(len(self.lines)):
            self.compare(number)

    def test_losses_of_all_steps(self):
        self.follow(len(self.lines), 0)

    def test_goes_on_from_what_stage_3_has_trained(self):
        """The result of `videochat2_mistral.vcs`, copied under the name that the recipe asks for."""
        scratch = programs.fresh_folder()
        self.addCleanup(scratch.cleanup)
        world = test_videochat2.World(scratch.name, "mistral")
        world.run("all")
        weights = self.folder / "after stage 3"
        model = videochat2.MODELS["mistral"][0]
        shutil.copytree(world.folder / "weights" / model, weights / model)
        shutil.copy(world.out / "instruct" / "weights.safetensors", weights / "videochat2_mistral_stage3.safetensors")
        said = self.run_stage(weights, self.folder / "out after stage 3", 1)
        trained = world.weights("instruct")
        for part in ("vision", "bridge", "project", "adapter"):
            count = sum(path.startswith(part + ".") for path in trained)
            self.assertIn(f"{part}: {count} weights from {weights}/videochat2_mistral_stage3.safetensors", said)
        before = steps.Step(self.folder / "out after stage 3" / "hd" / "dump" / "step-000000.safetensors").before
        self.assertEqual({path for path in before if not path.startswith("lm.")}, set(trained))
        for path, (shape, content) in trained.items():
            self.assertEqual((tuple(before[path].shape), before[path].numpy().tobytes()), (shape, content), path)


class AsUpstream(Dumped, unittest.TestCase):
    """Upstream's habits, and a warm-up, which the recipe does without."""

    options, habits = ("reproduce=upstream", "epochs_4=2"), test_stages.UPSTREAM | {"unreached": "zeros"}
    changes, count = (("schedule cosine { epochs: epochs_4,", "schedule cosine { epochs: epochs_4, warmup: 3 steps,"),), 10

    def test_losses_and_gradients(self):
        kinds = [line["variants"][0].split(".")[0] for line in self.lines]
        for kind in ("image", "video", "text"):
            self.compare(kinds.index(kind))

    def test_ten_steps(self):
        self.assertEqual(len(self.lines), 10)
        self.follow(14, 3)


if __name__ == "__main__":
    unittest.main()
