# SPDX-License-Identifier: Apache-2.0
"""The recipe of VideoChat2 at test size, all stages in turn on a few pictures and clips, from files with the names that published weights have."""
import json
import math
import pathlib
import random
import struct
import unittest
import zlib

import torch
from safetensors.torch import save_file

import programs

FOLDER = programs.TOP / "examples" / "videochat2"
OPTIONS = ["sizes=tiny", "lm_config=llama.LlamaConfig(vocab: 256, width: 40, depth: 2, heads: 4, kv_heads: 4, hidden: 96)",
           "pictures_1=[sources.coco]", "clips_1=[sources.webvid_10m]", "pictures_2=[sources.coco]", "clips_2=[sources.webvid_10m]",
           "pictures_3=[sources.caption_coco, sources.vqa_gqa]", "clips_3=[sources.caption_webvid]",
           "rows_1=3", "rows_2=2", "rows_3=2", "epochs_1=2", "epochs_3=2", "tokens_1=12", "tokens_2=12", "tokens_3=140"]
SENTENCES = ["the sky is blue .", "the grass is green .", "the sun is yellow .", "what is the sky ?"]


def png(path, generator, side=40):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + generator.randbytes(side * 3) for _ in range(side))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_data(folder, generator):
    programs.words_data(folder)
    for name in ("vicuna-7b-v0", "bert-base-uncased", "anno_pretrain", "videos_images/coco", "videos_images/webvid_10m", "media/coco_caption",
                 "media/m3it/gqa", "media/WebVid2M", "videochat2_it/image/caption/coco", "videochat2_it/image/vqa/gqa", "videochat2_it/video/caption/webvid"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "lm.model").rename(folder / "vicuna-7b-v0" / "tokenizer.model")
    words = (folder / "vocab.txt").read_text().split()
    (folder / "bert-base-uncased" / "vocab.txt").write_text("".join(f"{word}\n" for word in words + [f"[unused{i}]" for i in range(100 - len(words))]))
    records = {"picture": [], "clip": []}
    for number in range(7):
        for place in ("videos_images/coco", "media/coco_caption", "media/m3it/gqa"):
            png(folder / place / f"{number}.png", generator)
        records["picture"].append({"image": f"{number}.png"})
    programs.clips_data(folder / "clips", count=5)
    for number in range(5):
        for place in ("videos_images/webvid_10m", "media/WebVid2M"):
            (folder / place / f"{number}.mp4").write_bytes((folder / "clips" / "clips" / f"{number}.mp4").read_bytes())
        records["clip"].append({"video": f"{number}.mp4"})
    for kind, name in (("picture", "coco.json"), ("clip", "webvid_10m_train.json")):
        (folder / "anno_pretrain" / name).write_text(json.dumps([{**record, "caption": generator.choice(SENTENCES)} for record in records[kind]]))

    def dialogue(record, number):
        turns = [{"i": "look .", "q": "" if number == 1 else "what is the sky ?", "a": generator.choice(SENTENCES)} for _ in range(1 + number % 2)]
        return {**record, "QA": turns, **({"start": 0.0, "end": 0.5} if "video" in record and number == 2 else {})}
    for kind, name in (("picture", "image/caption/coco"), ("picture", "image/vqa/gqa"), ("clip", "video/caption/webvid")):
        (folder / "videochat2_it" / name / "train.json").write_text(json.dumps([dialogue(record, n) for n, record in enumerate(records[kind])]))


def make_weights(folder, manifest, generator):
    """The encoder's and the language model's files, under the keys of those who published them, with what else they hold."""
    weights = {state["path"]: state["shape"] for stage in manifest["stages"] for state in stage["states"]
               if state["kind"] == "weight" and ":" not in state["path"]}

    torch.manual_seed(generator.randrange(1 << 30))

    def tensor(shape):
        return torch.randn(shape) * 0.05
    encoder = {"encoder." + path.removeprefix("vision.").replace("[", ".").replace("]", ""): tensor(shape) for path, shape in weights.items()
               if path.startswith(("vision.blocks", "vision.patch_embed"))}
    torch.save(encoder, folder / "l16_25m.pth")
    model = {path.removeprefix("lm.").replace("[", ".").replace("]", ""): tensor(shape) for path, shape in weights.items() if path.startswith("lm.")}
    model["model.layers.0.self_attn.rotary_emb.inv_freq"] = tensor([5])
    (folder / "vicuna-7b-v0").mkdir()
    save_file(model, folder / "vicuna-7b-v0" / "model.safetensors")


class Runs(unittest.TestCase):
    def check(self, *options):
        seed = programs.chosen_seed()
        generator = random.Random(seed)
        with programs.fresh_folder() as scratch:
            folder = pathlib.Path(scratch)
            (folder / "data").mkdir()
            (folder / "weights").mkdir()
            make_data(folder / "data", generator)
            program = folder / "train.bin"
            defines = [word for option in [*OPTIONS, *options] for word in ("-D", option)]
            programs.succeed(programs.VCC, "compile", FOLDER / "videochat2_vicuna.vcs", "-o", program, *defines, seconds=300)
            make_weights(folder / "weights", json.loads(programs.succeed(program, "--manifest")), generator)
            said = programs.succeed(program, "--stage", "all", "--data", folder / "data", "--weights", folder / "weights", "--out", folder / "out",
                                    "--seed", str(seed), seconds=120)
            steps = {stage: programs.steps_of(folder / "out", stage) for stage in ("align", "connect", "instruct")}
        # Micro-batches of an epoch: of 7 pictures and 5 clips, twice; once; of 14 pictures and 5 clips, twice.
        self.assertEqual({stage: max(step["step"] for step in lines) + 1 for stage, lines in steps.items()},
                         {"align": 2 * (2 + 1), "connect": 3 + 2, "instruct": 2 * (7 + 2)})
        for lines in steps.values():
            for step in lines:
                self.assertTrue(all(math.isfinite(value) for value in step.values() if isinstance(value, float)), step)
        return steps, said

    def test_all_stages(self):
        steps, _ = self.check()
        first = steps["align"][0]
        self.assertAlmostEqual(first["loss.vtm"], math.log(2), delta=0.3)
        self.assertAlmostEqual(first["loss.cap"], math.log(101), delta=0.5)
        self.assertAlmostEqual(steps["connect"][0]["loss.lm"], math.log(256), delta=0.3)
        self.assertEqual(steps["instruct"][0]["loss.unread"], 0)

    def test_all_stages_as_upstream(self):
        steps, _ = self.check("reproduce=upstream")
        self.assertAlmostEqual(steps["instruct"][0]["lr"], 0.25 * 2e-5, delta=1e-9)


if __name__ == "__main__":
    unittest.main()
