# SPDX-License-Identifier: Apache-2.0
"""The tiny task itself: what is held out, what is said, and that the same arguments give the same clips."""
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "tiny_videochat2"
sys.path.insert(0, str(EXAMPLE))
import clips  # noqa: E402
import make_data  # noqa: E402
import wordpiece  # noqa: E402
import world  # noqa: E402


class Splits(unittest.TestCase):
    def check(self, seed):
        trained, held = world.split(seed)
        self.assertEqual((len(trained), len(held)), (112, 16))
        self.assertEqual(set(trained) | set(held), set(world.ALL))
        triples = {c[:3] for c in held}
        self.assertEqual(len(triples), 8)
        for kind in range(3):
            for value in range(4):
                self.assertEqual(sum(t[kind] == value for t in triples), 2)
        return triples

    def test_held_out_combinations_are_disjoint_and_even(self):
        usual = self.check(None)
        for seed in range(5):
            self.assertNotEqual(self.check(seed), usual)

    def test_clips_of_every_split(self):
        chosen = dict(make_data.choose_clips(0, False))
        self.assertEqual({name: len(c) for name, c in chosen.items()}, {"train": 3584, "held": 256, "in": 288})
        self.assertFalse(set(chosen["train"]) & set(chosen["held"]))
        self.assertLessEqual(set(chosen["in"]), set(chosen["train"]))


class Words(unittest.TestCase):
    def test_no_question_names_shape_and_colour(self):
        for combination in world.ALL:
            names = world.attributes(combination)
            for kind in world.KINDS:
                for phrasing in range(3):
                    asked = world.question(combination, kind, phrasing).split()
                    self.assertFalse(names["shape"] in asked and names["colour"] in asked)
                    self.assertNotIn(names[kind], [w for w in asked if w != "fast"])
                self.assertEqual(world.answers(kind).count(world.answer(combination, kind)), 1)

    def test_captions_say_everything_and_differ(self):
        for phrasing in range(6):
            told = [world.caption(combination, phrasing) for combination in world.ALL]
            self.assertEqual(len(set(told)), len(world.ALL))
        for kind in world.KINDS:
            choices = world.captions_differing_in((1, 2, 3, 0), kind, 4)
            self.assertEqual(len(set(choices)), len(world.VALUES[kind]))
            self.assertIn(world.caption((1, 2, 3, 0), 4), choices)

    def test_records_of_the_alignment(self):
        """A clip's caption is one of sixteen; half of the pairs match, and the others' captions are of another combination."""
        held = dict(make_data.choose_clips(0, False))["held"]
        told = lambda combination: {world.caption(combination, phrasing) for phrasing in range(6)}
        asked = list(make_data.retrieval_records("held", held, random.Random(1)))
        self.assertEqual(len(asked), 256)
        for record, combination in zip(asked, held):
            self.assertEqual(len(set(record["candidates"])), 16)
            self.assertEqual([one for one in record["candidates"] if one in told(combination)], [record["caption"]])
        pairs = list(make_data.matching_records("held", held, random.Random(1)))
        self.assertEqual(sum(pair["match"] == "yes" for pair in pairs), 256)
        for number, pair in enumerate(pairs):
            self.assertEqual(pair["caption"] in told(held[number // 2]), pair["match"] == "yes")

    def test_vocabulary_has_its_size_and_covers_the_words(self):
        texts = [world.caption(c, p) for c in world.ALL for p in range(6)]
        pieces = wordpiece.build(texts, 64)
        self.assertEqual(len(pieces), len(set(pieces)))
        self.assertEqual(pieces[:6], wordpiece.SPECIAL)
        self.assertLessEqual({word for text in texts for word in wordpiece.words_of(text)}, set(pieces))
        with self.assertRaises(ValueError):
            wordpiece.build(texts, 10000)


class Clips(unittest.TestCase):
    def test_a_clip_is_a_function_of_seed_split_and_number(self):
        first = clips.draw(3, 0, 7, (2, 1, 0, 1))
        self.assertEqual(first.shape, (16, 64, 64, 3))
        self.assertTrue((first == clips.draw(3, 0, 7, (2, 1, 0, 1))).all())
        self.assertFalse((first == clips.draw(3, 0, 8, (2, 1, 0, 1))).all())

    def test_the_object_moves_where_it_should(self):
        for direction, (x, y) in enumerate(clips.STEPS):
            frames = clips.draw(0, 0, direction, (1, 0, direction, 1)).astype(float)
            bright = frames[..., 0] > 120
            first, last = bright[0].nonzero(), bright[-1].nonzero()
            moved = (last[1].mean() - first[1].mean(), last[0].mean() - first[0].mean())
            self.assertGreater(moved[0] * x + moved[1] * y, 15)

    def test_files_hold_sixteen_frames(self):
        with tempfile.TemporaryDirectory() as folder:
            clips.write_chunk(folder, "train", 0, 0, 5, [(0, 0, 0, 0), (1, 1, 1, 1)])
            for number in (5, 6):
                seen = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames,width",
                                       "-of", "csv=p=0", f"{folder}/train-{number:05d}.mp4"], capture_output=True, text=True, check=True)
                self.assertEqual(seen.stdout.strip(), "h264,64,16")
