# SPDX-License-Identifier: Apache-2.0
"""Pictures cut into tiles: pixels, places of visual tokens, loss and gradients against PyTorch; and micro-batches of text alone beside them."""
import json
import struct
import unittest
import zlib

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import programs
import steps
import twins

LLAMA = dict(vocab=64, width=40, depth=2, heads=4, kv_heads=2, hidden=96, eps=1e-5)
# Width and height of the pictures, and columns and rows of the grids that fit them best with at most three tiles.
SHAPES = {(64, 64): (1, 1), (70, 30): (2, 1), (25, 60): (1, 2), (100, 31): (3, 1), (20, 77): (1, 3), (90, 45): (2, 1)}
SIDE, QUERIES = 32, 6


def write_png(path, pixels):
    """Pixels: u8 [H, W, 3]."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    high, wide = pixels.shape[:2]
    rows = b"".join(b"\0" + bytes(row.flatten().tolist()) for row in pixels)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def tiles_of(pixels, grid, side=SIDE):
    """[3, H, W] as clips [tiles + 1, 3, side, side]: rows of the grid, then the whole."""
    columns, rows = grid
    resized = F.interpolate(pixels.float()[None], size=(rows * side, columns * side), mode="bicubic", align_corners=False)
    whole = F.interpolate(resized, size=(side, side), mode="bicubic", align_corners=False)
    tiles = resized[0].reshape(3, rows, side, columns, side).permute(1, 3, 0, 2, 4).reshape(-1, 3, side, side)
    return torch.cat([tiles, whole])


def make_data(folder, generator):
    steps.make_data(folder, generator)
    torch.manual_seed(generator.randrange(1 << 30))
    sentences = [record["text"] for record in json.loads((folder / "texts.json").read_text())]

    def turns(count):
        return [{"i": generator.choice(sentences), "q": generator.choice(sentences), "a": generator.choice(sentences)} for _ in range(count)]
    records = []
    for number, (wide, high) in enumerate(SHAPES):
        pixels = torch.randint(0, 256, (high, wide, 3))
        # Edges of black and white overshoot.
        pixels[: high // 2] = (pixels[: high // 2] > 127) * 255
        write_png(folder / "pictures" / f"shape{number}.png", pixels)
        torch.save(pixels.permute(2, 0, 1), folder / f"shape{number}.pt")
        records.append({"image": f"shape{number}.png", "QA": turns(1 + number % 2)})
    (folder / "shapes.json").write_text(json.dumps(records))
    (folder / "dialogues.json").write_text(json.dumps([{"QA": turns(1 + number % 3)} for number in range(4)]))
    quiz = [{**record, "QA": record["QA"][:1], "candidates": [record["QA"][0]["a"], "the cat"]} for record in records]
    (folder / "quiz.json").write_text(json.dumps(quiz))


class Tiles(steps.Case):
    recipe = "tiles.vcs"
    make_data = staticmethod(make_data)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shapes = list(SHAPES.items())
        cls.clips = [tiles_of(torch.load(cls.folder / f"shape{number}.pt"), grid) for number, (_, grid) in enumerate(shapes)]

    def all_steps(self):
        # An epoch: three micro-batches of six pictures, two of four dialogues. Four steps hold at least one of either.
        if not hasattr(Tiles, "made"):
            Tiles.made = self.steps("tiled", 4)
        return Tiles.made

    def rows_of(self, inputs):
        """For each row its clips, by what their pixels are."""
        owners = inputs["batch.clip_rows"].tolist()
        pixels = inputs["clip.pixels"][:, 0]
        found, first = [], 0
        for row in range(2):
            match = [clips for clips in self.clips if first + len(clips) <= len(pixels) and
                     torch.allclose(pixels[first:first + len(clips)], clips, atol=1e-2)]
            self.assertEqual(len(match), 1, f"row {row} (seed {steps.SEED})")
            self.assertEqual(owners[first:first + len(match[0])], [row] * len(match[0]))
            found.append((first, len(match[0])))
            first += len(match[0])
        # The shortest bucket; what no row has is black and the first row's.
        self.assertEqual(len(pixels), 5 if first <= 5 else 8)
        self.assertFalse(pixels[first:].any())
        self.assertEqual(owners[first:], [0] * (len(owners) - first))
        return found

    def llama_loss(self, twin, inputs, visual=None):
        """Of rows whose visual tokens [n, width] stand at the field's places."""
        embed = twin.model.get_input_embeddings().weight
        ids, length = inputs["dialogue.ids"].long(), inputs["dialogue.length"].long()
        x = F.embedding(ids, embed)
        if visual is not None:
            at = inputs["dialogue.at"].long()
            x = torch.where((at >= 0)[..., None], visual.reshape(-1, x.shape[-1])[at.clamp(min=0)], x)
        mask = (torch.arange(ids.shape[1])[None] < length[:, None]).long()
        logits = twin.model(inputs_embeds=x, attention_mask=mask).logits
        return twins.shifted_cross_entropy(logits, inputs["dialogue.labels"], inputs["dialogue.supervised"])

    def test_pixels_places_loss_and_gradients(self):
        seen = 0
        for step in self.all_steps():
            if "clip.pixels" not in step.inputs:
                continue
            seen += 1
            inputs = step.inputs
            for row, (first, count) in enumerate(self.rows_of(inputs)):
                at = inputs["dialogue.at"][row]
                places = at[at >= 0]
                # (tiles + 1) x queries tokens without anything between, in the order of the clips.
                self.assertEqual(places.tolist(), list(range(first * QUERIES, (first + count) * QUERIES)))
                start = int((at >= 0).nonzero()[0])
                self.assertEqual(places.tolist(), at[start:start + len(places)].tolist())
            twin = twins.Llama(LLAMA)
            twin.load({path: value for path, value in step.before.items() if path.startswith("lm.")})
            leaves = {path: value for path, value in step.leaves().items() if not path.startswith("lm.")}
            memory = twins.vision_transformer(inputs["clip.pixels"], twins.below(leaves, "vision."), patch=16, tubelet=1, heads=4, depth=1,
                                              mean=0.4, std=0.25)
            former = twins.QFormer(self.whole(twins.below(leaves, "bridge.")), depth=2, heads=4)
            owners = inputs["batch.clip_rows"].long()
            told = former.fuse(memory, inputs["told.ids"][owners], inputs["told.length"][owners])
            loss = self.llama_loss(twin, inputs, twins.linear(told, leaves, "project"))
            loss.backward()
            self.compare(step, "loss", loss, {**leaves, **twin.parameters})
        self.assertGreater(seen, 0)

    def test_an_evaluation_scores_every_candidate(self):
        self.all_steps()
        ends = [line for line in programs.log_of(self.folder / "out", "tiled") if line.get("event") == "evaluation"]
        self.assertEqual([(line["name"], line["records"]) for line in ends], [("quiz", len(SHAPES))], ends)

    @staticmethod
    def whole(weights):
        """The twin computes the last layer's text side as well; nothing reads it."""
        filled = dict(weights)
        for path, value in weights.items():
            if path.startswith("layers[0].intermediate.") or path.startswith("layers[0].output."):
                filled[path.replace("layers[0]", "layers[1]")] = value.detach()
        return filled

    def test_text_alone(self):
        seen = 0
        for step in self.all_steps():
            if "clip.pixels" in step.inputs:
                continue
            seen += 1
            twin = twins.Llama(LLAMA)
            twin.load({path: value for path, value in step.before.items() if path.startswith("lm.")})
            loss = self.llama_loss(twin, step.inputs)
            self.close(step.output["loss"], loss.detach(), 1e-5, "loss")
            # No word of a medium, and no gradient of what sees it.
            self.assertNotIn("dialogue.at", step.inputs)
            self.assertEqual(step.inputs["dialogue.ids"].shape[1], 60)
            for path, gradient in step.gradient.items():
                self.assertEqual(bool(gradient.any()), path.startswith("lm."), path)
        self.assertGreater(seen, 0)


class Ranks(steps.Case):
    """Two ranks with a row each and one with both: losses, gradients and draws of dropout are the same, whatever the ranks' clips. The rate
    is next to nothing: a gradient that is nothing but rounding moves its weight by all of it, to either side."""
    recipe = "tiles.vcs"
    make_data = staticmethod(make_data)
    options = ("-D", "rate=0.3", "-D", "peak=1e-6", "-D", "buckets=[5, 6, 7, 8]")

    def test_two_ranks_are_one(self):
        joined = self.steps("tiled", 4)
        divided = self.folder / "divided.bin"
        steps.run(steps.VCC, "compile", steps.HERE / "recipes" / self.recipe, "-o", divided, "-D", "rate=0.3", "-D", "peak=1e-6", "-D", "rows=1", "-D", "buckets=[2, 3, 4]")
        programs.succeed(*programs.ranks(2, divided, "--stage", "tiled", "--data", self.folder, "--weights", self.folder, "--out", self.folder / "two",
                                         "--seed", steps.SEED, "--threads", 1, "--dump", "0,1,2,3"))
        kinds = set()
        for number, step in enumerate(joined):
            other = steps.Step(self.folder / "two" / "tiled" / "dump" / f"step-{number:06}.safetensors")
            self.close(other.output["loss"], step.output["loss"], 1e-5, f"loss of step {number}")
            largest = max(float(gradient.norm()) for gradient in step.gradient.values())
            for path, gradient in step.gradient.items():
                off = float((other.gradient[path] - gradient).norm())
                self.assertLessEqual(off, 1e-4 * float(gradient.norm()) + 1e-5 * largest, f"{path} of step {number} (seed {steps.SEED})")
            kinds.add("clip.pixels" in step.inputs)
            self.assertEqual("clip.pixels" in other.inputs, "clip.pixels" in step.inputs)
        self.assertEqual(kinds, {True, False})


class BadSamples(steps.Case):
    """A dialogue among the pictures, a picture among the dialogues."""
    recipe = "tiles.vcs"
    make_data = staticmethod(make_data)
    options = ("-D", "shown=[lacking]", "-D", "buckets=[8]")

    def refused(self, program):
        ended = programs.run(program, "--stage", "tiled", "--data", self.folder, "--weights", self.folder, "--out", self.folder / "out", "--seed", steps.SEED)
        self.assertEqual(ended.code, 3, ended)
        return ended.err

    def test_the_wrong_kind_ends_the_run(self):
        save_file({state["path"]: self.start(state["path"], state["shape"]) for state in self.manifest["tiled"]["states"]
                   if state["kind"] == "weight" and ":" not in state["path"]}, self.folder / "tiled.safetensors")
        self.assertRegex(self.refused(self.program), r"dialogues.json: record \d: .*(image|video)")
        texts = self.folder / "texts.bin"
        steps.run(steps.VCC, "compile", steps.HERE / "recipes" / self.recipe, "-o", texts, "-D", "said=[pictures]", "-D", "buckets=[8]")
        self.assertRegex(self.refused(texts), r"shapes.json: record \d: is about `shape\d.png`, but its rows are of text alone")


if __name__ == "__main__":
    unittest.main()
