# SPDX-License-Identifier: Apache-2.0
"""The tiny task itself: what is held out, what is said, and that the same arguments give the same clips."""
import hashlib
import itertools
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

import numpy

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "tiny_videochat2"
sys.path.insert(0, str(EXAMPLE))
import clips  # noqa: E402
import make_data  # noqa: E402
import wordpiece  # noqa: E402
import programs  # noqa: E402
import world  # noqa: E402

COUNTS = (1, 2, 3)


def fresh_generator():
    seed = programs.chosen_seed()
    print("VCC_TEST_SEED =", seed)
    return random.Random(seed)


def random_scenes(objects, count, generator):
    return [world.scene(generator.choice(world.ALL), world.ALL, objects, generator) for _ in range(count)]


def true_captions(scene):
    """Everything that may be said of the objects, in any order."""
    return {world.caption(order, phrasing) for order in itertools.permutations(scene) for phrasing in range(6)}


def held_scenes(objects, seed=0):
    return dict(make_data.choose_clips(seed, False, objects))["held"]


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
        trained, held = map(set, world.split(None))
        for objects in COUNTS:
            chosen = dict(make_data.choose_clips(0, False, objects))
            self.assertEqual({name: len(c) for name, c in chosen.items()}, {"train": 3584, "held": 256, "in": 288})
            for name, scenes in chosen.items():
                for scene in scenes:
                    self.assertLessEqual(set(scene), held if name == "held" else trained)
                    for kind in range(2):
                        self.assertEqual(len({one[kind] for one in scene}), objects)
            self.assertEqual({one for scene in chosen["train"] for one in scene}, trained)
            self.assertEqual({one for scene in chosen["held"] for one in scene}, held)

    def test_three_objects_of_any_held_out_combinations(self):
        generator = fresh_generator()
        for seed in (None, *range(5)):
            _, held = world.split(seed)
            for first in held:
                scene = world.scene(first, held, 3, generator)
                self.assertIn(first, scene)
                self.assertLessEqual(set(scene), set(held))

    def test_what_one_object_gives_stays_as_it_is(self):
        """The numbers of the example's README were measured with these very files."""
        splits = make_data.choose_clips(0, False)
        digest = hashlib.sha256()
        for name, records in make_data.annotations(splits, 0):
            digest.update(json.dumps([name, list(records)]).encode())
        self.assertEqual(digest.hexdigest(), "53e393edc450ba635873047fc6179d649788cd339ba0b8cf71fceb73816cdbde")
        digest = hashlib.sha256()
        for number, scene in enumerate(dict(splits)["held"][::32]):
            digest.update(clips.draw(0, 1, number, scene).tobytes())
        self.assertEqual(digest.hexdigest(), "8a3352daccbd757fc56b9ea0e472e8e9a9e5c1ff4780250bd8a09480039edf94")


class Words(unittest.TestCase):
    def test_a_question_means_one_object_and_does_not_hint(self):
        generator = fresh_generator()
        places = {value: (place, number) for place, kind in enumerate(world.KINDS[:3]) for number, value in enumerate(world.VALUES[kind])}
        for scene in [(one,) for one in world.ALL] + random_scenes(2, 100, generator) + random_scenes(3, 100, generator):
            for one, (place, kind) in itertools.product(scene, enumerate(world.KINDS)):
                phrasings = world.questions(scene, one, kind)
                self.assertEqual(bool(phrasings), True)
                if len(scene) == 1:
                    self.assertEqual(phrasings, world.QUESTIONS[kind])
                for phrasing in phrasings:
                    picks = [places[word] for word in phrasing.format(**world.words_of(one)).split() if word in places]
                    self.assertEqual([other for other in scene if all(other[at] == number for at, number in picks)], [one])
                    self.assertLessEqual(len(picks), 1)
                    self.assertNotIn(place, [at for at, _ in picks])
                self.assertEqual(world.answers(kind).count(world.answer(one, kind)), 1)

    def test_captions_say_everything_in_order(self):
        generator = fresh_generator()
        for scene in itertools.chain(*(random_scenes(objects, 50, generator) for objects in COUNTS)):
            for phrasing in range(6):
                told = world.caption(scene, phrasing).replace("slowly", "slow").split()
                for place, kind in enumerate(world.KINDS):
                    values = world.VALUES[kind]
                    self.assertEqual([values.index(word) for word in told if word in values], [one[place] for one in scene])

    def test_captions_that_differ_in_one_kind(self):
        for phrasing in range(6):
            self.assertEqual(len({world.caption((one,), phrasing) for one in world.ALL}), len(world.ALL))
        generator = fresh_generator()
        for scene in itertools.chain(*(random_scenes(objects, 50, generator) for objects in COUNTS)):
            for one, (place, kind) in itertools.product(scene, enumerate(world.KINDS)):
                choices = world.captions_differing_in(scene, one, kind, 4)
                self.assertEqual(len(choices), len(world.VALUES[kind]))
                self.assertEqual([choice for choice in choices if choice in true_captions(scene)], [world.caption(scene, 4)])
                self.assertEqual(choices.index(world.caption(scene, 4)), one[place])
                for number in range(len(choices)):
                    other = world.changed(scene, one, kind, number)
                    self.assertEqual([len({each[at] for each in other}) for at in range(2)], [len(scene)] * 2)

    def test_keywords_of_a_question_hold_its_answer(self):
        """What stands for the video in a dialogue tells the asked object from the others and says what is asked."""
        generator = fresh_generator()
        for objects in COUNTS:
            for _ in range(300):
                text = world.language_text(generator, objects)
                if "</video>" not in text:
                    continue
                seen, asked, told = re.fullmatch(r"human : <video> (.*) </video> (.*) assistant : (.*)", text).groups()
                if asked in world.PROMPTS:
                    continue
                self.assertIn(told.split()[-1], seen.replace("slowly", "slow").split())
                if objects > 1:
                    picks = [word for word in asked.split() if word in world.SHAPES + world.COLOURS]
                    self.assertEqual(len(picks), 1)
                    self.assertIn(picks[0], seen.split())

    def test_records_of_the_alignment(self):
        """One candidate is true of the clip; half of the pairs match, and the others' captions are of other objects."""
        for objects in COUNTS:
            held = held_scenes(objects)
            asked = list(make_data.retrieval_records("held", held, 16, random.Random(1)))
            self.assertEqual(len(asked), 256)
            for record, scene in zip(asked, held):
                self.assertIn(len(record["candidates"]), range(17 - objects, 17))
                self.assertEqual([one for one in record["candidates"] if one in true_captions(scene)], [record["caption"]])
            pairs = list(make_data.matching_records("held", held, random.Random(1)))
            self.assertEqual(sum(pair["match"] == "yes" for pair in pairs), 256)
            for number, pair in enumerate(pairs):
                self.assertEqual(pair["caption"] in true_captions(held[number // 2]), pair["match"] == "yes")

    def test_records_of_questions(self):
        for objects in COUNTS:
            held = held_scenes(objects)[::8]
            records = list(make_data.question_records("held", held, random.Random(1)))
            self.assertEqual(len(records), 4 * objects * len(held))
            for number, record in enumerate(records):
                scene = held[number // (4 * objects)]
                place, one = world.KINDS.index(record["kind"]), scene[number // 4 % objects]
                self.assertEqual(record["candidates"].index(record["QA"][0]["a"]), one[place])
                self.assertIn(record["caption"], true_captions(scene))
                self.assertEqual(record["attributes"][record["kind"]].split()[scene.index(one)], world.VALUES[record["kind"]][one[place]])

    def test_vocabulary_has_its_size_and_covers_the_words(self):
        texts = [world.caption((c,), p) for c in world.ALL for p in range(6)]
        pieces = wordpiece.build(texts, 64)
        self.assertEqual(len(pieces), len(set(pieces)))
        self.assertEqual(pieces[:6], wordpiece.SPECIAL)
        self.assertLessEqual({word for text in texts for word in wordpiece.words_of(text)}, set(pieces))
        with self.assertRaises(ValueError):
            wordpiece.build(texts, 10000)


class Clips(unittest.TestCase):
    def test_a_clip_is_a_function_of_seed_split_and_number(self):
        scene = ((2, 1, 0, 1),)
        first = clips.draw(3, 0, 7, scene)
        self.assertEqual(first.shape, (16, 64, 64, 3))
        self.assertTrue((first == clips.draw(3, 0, 7, scene)).all())
        self.assertFalse((first == clips.draw(3, 0, 8, scene)).all())

    def test_the_object_moves_where_it_should(self):
        for direction, (x, y) in enumerate(clips.STEPS):
            frames = clips.draw(0, 0, direction, ((1, 0, direction, 1),)).astype(float)
            bright = frames[..., 0] > 120
            first, last = bright[0].nonzero(), bright[-1].nonzero()
            moved = (last[1].mean() - first[1].mean(), last[0].mean() - first[0].mean())
            self.assertGreater(moved[0] * x + moved[1] * y, 15)

    def test_objects_stand_apart_in_order_and_move_as_they_should(self):
        for objects in COUNTS:
            for number, scene in enumerate(held_scenes(objects)[::16]):
                frames = clips.draw(0, 1, number, scene).astype(float)
                self.assertEqual(frames.shape, (16, 32 + 32 * objects, 32 + 32 * objects, 3))
                before = -clips.APART
                for _, colour, direction, speed in scene:
                    seen = abs(frames - clips.COLOURS[colour]).max(3) < 35
                    begin, middle, end = (numpy.array([places.mean() for places in seen[at].nonzero()][::-1]) for at in (5, 7, 10))
                    self.assertGreater(middle[0] - before, 0.8 * clips.APART)
                    moved = (end - begin) @ clips.STEPS[direction]
                    self.assertGreater(moved, 1)
                    self.assertEqual(moved > 7, speed == 1)
                    before = middle[0]

    def test_files_hold_sixteen_frames(self):
        with tempfile.TemporaryDirectory() as folder:
            clips.write_chunk(folder, "train", 0, 0, 5, [((0, 0, 0, 0),), ((1, 1, 1, 1),)])
            for number in (5, 6):
                seen = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames,width",
                                       "-of", "csv=p=0", f"{folder}/train-{number:05d}.mp4"], capture_output=True, text=True, check=True)
                self.assertEqual(seen.stdout.strip(), "h264,64,16")
