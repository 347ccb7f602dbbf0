# SPDX-License-Identifier: Apache-2.0
"""Batches with branches: order, accumulation over modalities, lengths of texts, epochs, resuming, in a program."""
import array
import collections
import json
import math
import pathlib
import shutil
import unittest

import programs

LONG = "life is a long long game"


def data(folder):
    """Eight clips, seven pictures, six notes; what is a text says which of two kinds."""
    folder = pathlib.Path(folder)
    (folder / "media").mkdir(parents=True)
    kinds = ["bars", LONG]
    for number in range(8):
        source = "smptebars=size=16x16:rate=8" if number % 2 == 0 else f"life=size=16x16:rate=8:seed={number}"
        programs.succeed("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", "6", "-pix_fmt", "yuv420p", "-c:v", "libx264",
                         "-preset", "ultrafast", folder / "media" / f"c{number}.mp4")
        programs.succeed("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", "1", folder / "media" / f"p{number}.png")
    (folder / "clips.json").write_text(json.dumps([{"video": f"c{n}.mp4", "label": kinds[n % 2]} for n in range(8)]))
    (folder / "pictures.json").write_text(json.dumps([{"image": f"p{n}.png", "label": kinds[n % 2]} for n in range(7)]))
    (folder / "notes.json").write_text(json.dumps([{"label": kinds[n // 2 % 2]} for n in range(6)]))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + sorted(set(" ".join(kinds).split()))
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in words))


class Branches(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = programs.fresh_folder()
        cls.folder = pathlib.Path(cls.scratch.name)
        data(cls.folder / "data")

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def train(self, stage, out, *options, defines=()):
        program = programs.compiled("branches", *[word for define in defines for word in ("-D", define)])
        out = self.folder / out
        programs.succeed(program, "--stage", stage, "--data", self.folder / "data", "--out", out, "--threads", "1", *options)
        return programs.steps_of(out, stage)

    def test_every_batch_once_an_epoch(self):
        steps = self.train("mixed", "once")
        # Rows of two: 3 micro-batches of pictures (one picture is left out), 3 of notes, 4 of clips.
        self.assertEqual(len(steps), 30)
        orders = []
        for epoch in range(3):
            names = [name for step in steps[10 * epoch:10 * epoch + 10] for name in step["variants"]]
            self.assertEqual(collections.Counter(names), {"image": 3, "text.12": 3, "video": 4})
            orders.append(names)
        self.assertTrue(orders[0] != orders[1] or orders[1] != orders[2])
        for step in steps:
            self.assertEqual(step["frames"], {"image": 1, "text.12": 0, "video": 2}[step["variants"][0]])
            self.assertEqual(step["samples"], 2)

    def test_saves_and_logs_by_epochs(self):
        self.train("mixed", "epochs")
        kept = sorted(path.name for path in (self.folder / "epochs" / "mixed" / "checkpoints").iterdir())
        self.assertEqual(kept, ["step-00000010", "step-00000020", "step-00000030"])

    def test_accumulation_over_modalities_is_the_joined_batch(self):
        apart = self.train("every", "apart", defines=["rows=1", "micros=3"])
        joined = self.train("every", "joined", defines=["rows=3", "micros=1"])
        self.assertEqual([len(step["variants"]) for step in joined], [3] * 6)
        self.assertEqual([len(step["variants"]) for step in apart], [9] * 6)
        for a, b in zip(apart, joined):
            self.assertEqual(a["samples"], b["samples"])
            self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-5 * abs(b["loss"]))

    def test_lengths_change_no_loss(self):
        whole = self.train("mixed", "whole")
        buckets = self.train("mixed", "buckets", defines=["lengths=[3, 12]"])
        names = collections.Counter(name for step in buckets for name in step["variants"])
        self.assertEqual(names["text.3"] + names["text.12"], 9)
        self.assertGreater(names["text.3"], 0)
        self.assertGreater(names["text.12"], 0)
        for a, b in zip(whole, buckets):
            self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-6 * abs(a["loss"]))
            self.assertEqual((a["samples"], a["tokens"]), (b["samples"], b["tokens"]))

    def test_a_branch_leaves_what_it_does_not_reach_alone(self):
        names = [step["variants"][0] for step in self.train("mixed", "reach")]
        text = next(i for i in range(1, len(names)) if names[i] == "text.12" and names[i - 1] != "text.12")
        self.train("mixed", "dumped", "--dump", str(text), "--max-steps", str(text + 1))
        tensors, _ = programs.read_tensors(self.folder / "dumped" / "mixed" / "dump" / f"step-{text:06}.safetensors")
        self.assertFalse(any(tensors["gradient/net.see.weight"][2]))
        self.assertTrue(any(tensors["gradient/net.read.weight"][2]))

    def test_what_a_step_does_not_reach_stays(self):
        """AdamW by hand from the dumped gradients: a weight that no micro-batch of a step reached keeps value, moments and count of steps."""
        reaches = {"net.see.weight": {"image", "video"}, "net.see.bias": {"image", "video"}, "net.read.weight": {"text"}}
        for micros in (1, 2):
            steps = self.train("skips", f"skips{micros}", "--dump", ",".join(str(step) for step in range(12)), "--max-steps", "12",
                               defines=[f"micros={micros}"])
            state, skipped = {}, 0
            for number, step in enumerate(steps):
                branches = {name.split(".")[0] for name in step["variants"]}
                tensors, _ = programs.read_tensors(self.folder / f"skips{micros}" / "skips" / "dump" / f"step-{number:06}.safetensors")
                gradients = {name[len("gradient/"):]: array.array("f", tensor[2]) for name, tensor in tensors.items() if name.startswith("gradient/")}
                norm = math.sqrt(math.fsum(g * g for gradient in gradients.values() for g in gradient))
                self.assertAlmostEqual(step["grad_norm"], norm, delta=1e-5 * norm)
                for path, gradient in gradients.items():
                    before, after = tensors[f"before/{path}"], tensors[f"after/{path}"]
                    if not reaches.get(path, branches) & branches:
                        skipped += 1
                        self.assertFalse(any(gradient), path)
                        self.assertEqual(before[2], after[2], path)
                        continue
                    count, first, second = state.get(path, (0, [0.0] * len(gradient), [0.0] * len(gradient)))
                    scaled = [g * min(1.0, 0.5 / (norm + 1e-6)) for g in gradient]
                    first = [0.9 * m + 0.1 * g for m, g in zip(first, scaled)]
                    second = [0.999 * v + 0.001 * g * g for v, g in zip(second, scaled)]
                    state[path] = count, first, second = count + 1, first, second
                    kept = 1 - step["lr"] * 0.1 if len(before[1]) >= 2 else 1
                    for w, m, v, found in zip(array.array("f", before[2]), first, second, array.array("f", after[2])):
                        move = step["lr"] * m / (1 - 0.9 ** count) / (math.sqrt(v / (1 - 0.999 ** count)) + 1e-8)
                        self.assertAlmostEqual(found, w * kept - move, delta=1e-6 * abs(w) + 1e-4 * step["lr"], msg=(number, path))
            if micros == 1:
                self.assertGreaterEqual(skipped, 12)

    def test_counts_of_steps_are_resumed_and_ranks_agree(self):
        whole = self.train("skips", "counted", "--max-steps", "14")
        for stop in (5, 14):
            self.train("skips", "counted_again", "--max-steps", str(stop))
        again = programs.steps_of(self.folder / "counted_again", "skips")
        self.assertEqual([programs.numbers_of(step) for step in again], [programs.numbers_of(step) for step in whole])
        program = programs.compiled("branches", "-D", "rows=1")
        programs.succeed(*programs.ranks(2, program, "--stage", "skips", "--data", self.folder / "data", "--out", self.folder / "ranks",
                                         "--threads", "1", "--max-steps", "14"))
        for ours, theirs in zip(programs.steps_of(self.folder / "ranks", "skips"), whole, strict=True):
            self.assertEqual(ours["variants"], theirs["variants"])
            self.assertAlmostEqual(ours["loss"], theirs["loss"], delta=1e-4 * abs(theirs["loss"]))

    def test_resumes_in_an_epoch_with_what_is_carried(self):
        whole = self.train("runs", "runs")
        # 3 micro-batches of pictures and 7 of the weighted (15 samples): 9 + 21 in three epochs, by two.
        self.assertEqual(len(whole), 4 + 10)
        for step in whole:
            self.assertEqual(len(set(step["variants"])), 1)
            self.assertEqual(len(step["variants"]), 2)
        for stop in (2, 5):
            self.train("runs", "resumed", "--max-steps", str(stop))
        resumed = self.train("runs", "resumed")
        self.assertEqual([programs.numbers_of(step) for step in resumed], [programs.numbers_of(step) for step in whole])

    def test_a_shorter_step_counts_what_is_in_it(self):
        steps = self.train("mixed", "rest", defines=["micros=4"])
        self.assertEqual([step["samples"] for step in steps], [8, 8, 4] * 3)

    def test_few_samples_come_round_and_no_samples_are_an_error(self):
        program = programs.compiled("branches", "-D", "rows=8")
        out = programs.succeed(program, "--stage", "mixed", "--data", self.folder / "data", "--out", self.folder / "few")
        self.assertIn("image: 1 micro-batches of 8 an epoch, in which 7 samples come round several times", out)
        self.assertEqual(len(programs.steps_of(self.folder / "few", "mixed")), 9)
        empty = self.folder / "empty"
        shutil.copytree(self.folder / "data", empty)
        (empty / "pictures.json").write_text("[]")
        ended = programs.run(program, "--stage", "mixed", "--data", empty, "--out", self.folder / "none")
        self.assertEqual(ended.code, 3, ended)
        self.assertIn("dataset `pictures` has no records", ended.err)

    def test_a_film_among_pictures_is_an_error(self):
        program = programs.compiled("branches")
        wrong = self.folder / "wrong"
        shutil.copytree(self.folder / "data", wrong)
        (wrong / "media" / "p3.png").write_bytes((wrong / "media" / "c3.mp4").read_bytes())
        ended = programs.run(program, "--stage", "mixed", "--data", wrong, "--out", self.folder / "film")
        self.assertEqual(ended.code, 3, ended)
        self.assertIn("p3.png: is a video, but the batch takes images here", ended.err)

    def test_a_clip_without_a_frame_is_an_error(self):
        """The dataset declares no skip."""
        wrong = self.folder / "no frame"
        shutil.copytree(self.folder / "data", wrong)
        programs.write_film_without_frames(wrong / "media" / "c3.mp4")
        ended = programs.run(programs.compiled("branches"), "--stage", "mixed", "--data", wrong, "--out", self.folder / "frameless")
        self.assertEqual(ended.code, 3, ended)
        self.assertIn("c3.mp4: has no frame that can be decoded", ended.err)
        self.assertIn("declare `on_error: skip up to 1%` for dataset `clips`", ended.err)


if __name__ == "__main__":
    unittest.main()
