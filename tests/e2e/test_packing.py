# SPDX-License-Identifier: Apache-2.0
"""Several samples in a row: losses, gradients and evaluations are those of every sample in its own row, and no sample's loss knows of
another's words."""
import array
import json
import math
import pathlib
import random
import re
import unittest

import programs

WORDS = "red blue big cat dog fish runs sits here there now then".split()
STAGE_SAMPLES = 6
COUNT = 12


def floats(tensor):
    return array.array("f", tensor[2])


def wholes(tensor):
    return array.array("i", tensor[2])


def norm(values):
    return math.sqrt(sum(value * value for value in values))


def setUpModule():
    global SCRATCH, FOLDER, DATA, SEED, RECORDS
    SCRATCH = programs.fresh_folder()
    FOLDER = pathlib.Path(SCRATCH.name)
    SEED = programs.chosen_seed()
    print(f"seed {SEED} (VCC_TEST_SEED)")
    generator = random.Random(SEED)

    def turn(count):
        return {"q": generator.choice(WORDS), "a": " ".join(generator.choice(WORDS) for _ in range(count))}
    RECORDS = []
    for number in range(COUNT):
        # One turn or two, 7 to 17 tokens, of each length one; the last is longer than a sample may be, 24.
        turns = [turn(3), turn(number - 4)] if number in (5, 7, 9) else [turn(1 + number if number < COUNT - 1 else 30)]
        RECORDS.append({"image": f"{number}.png", "QA": turns, "candidates": [turns[-1]["a"], turn(6)["a"]]})
    DATA = FOLDER / "data"
    (DATA / "pictures").mkdir(parents=True)
    for number in range(COUNT):
        programs.succeed("ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"life=size=8x8:rate=1:seed={number + 1}:ratio=0.5", "-frames:v", "1",
                         DATA / "pictures" / f"{number}.png")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "see", "?"] + WORDS
    (DATA / "vocab.txt").write_text("".join(word + "\n" for word in vocabulary))
    (DATA / "dialogues.json").write_text(json.dumps(RECORDS))


def tearDownModule():
    SCRATCH.cleanup()


def trained(stage, name, *defines, data=None, ranks=0, steps=2):
    """The stage's folder after a few steps, each dumped."""
    program = programs.compiled("packed", *[word for define in defines for word in ("-D", define)])
    words = [program, "--stage", stage, "--data", data or DATA, "--out", FOLDER / name, "--seed", SEED, "--threads", 1, "--dump", "0,1"]
    words += ["--max-steps", steps] if steps else []
    programs.succeed(*(programs.ranks(ranks, *words) if ranks else words))
    return FOLDER / name / stage


def dumped(folder, step=0):
    return programs.read_tensors(folder / "dump" / f"step-{step:06}.safetensors")[0]


def dialogues(dump, field, micro=0):
    """(row, first position, length) of the samples of a packed field, by rows."""
    starts, lengths = dump[f"input/{micro}/{field}.starts"], wholes(dump[f"input/{micro}/{field}.length"])
    rows, positions = starts[1]
    found = []
    for row in range(rows):
        begins = wholes(starts)[row * positions:row * positions + lengths[row]]
        found += [(row, begin, begins.count(begin)) for begin in sorted(set(begins))]
    return found


class Packing(unittest.TestCase):
    def same(self, ours, theirs, what):
        """Loss, the samples' own losses and all gradients of the first step."""
        ours, theirs = dumped(ours), dumped(theirs)
        self.assertAlmostEqual(floats(ours["output/loss"])[0], floats(theirs["output/loss"])[0],
                               delta=1e-6 * floats(theirs["output/loss"])[0], msg=what)
        gradients = {name: floats(tensor) for name, tensor in theirs.items() if name.startswith("gradient/")}
        # What multiplies LoRA's zeros at the start has no gradient yet.
        largest = max(norm(gradient) for gradient in gradients.values())
        self.assertGreater(sum(norm(gradient) > 0 for gradient in gradients.values()), len(gradients) // 2)
        for name, theirs_of in gradients.items():
            apart = norm(a - b for a, b in zip(floats(ours[name]), theirs_of))
            self.assertLessEqual(apart, 1e-5 * norm(theirs_of) + 1e-7 * largest, (what, name))

    def own(self, folder):
        return [floats(dumped(folder)[f"output/sample{sample}"])[0] for sample in range(STAGE_SAMPLES)]

    @classmethod
    def setUpClass(cls):
        cls.apart = trained("talk", "apart", steps=0)
        cls.three = trained("talk", "three", "pack=3", steps=0)

    def test_rows_of_three_are_rows_of_one(self):
        self.same(self.three, self.apart, "two rows")
        for ours, theirs in zip(self.own(self.three), self.own(self.apart)):
            self.assertAlmostEqual(ours, theirs, delta=1e-5 * abs(theirs))
        lengths = [length for _, _, length in dialogues(dumped(self.three), "text")]
        self.assertEqual(len(lengths), STAGE_SAMPLES)
        self.assertEqual(len(set(lengths)), STAGE_SAMPLES, "all of different length")
        last = [programs.steps_of(folder.parent, "talk")[-1] for folder in (self.three, self.apart)]
        self.assertAlmostEqual(last[0]["loss"], last[1]["loss"], delta=1e-4 * last[1]["loss"])
        self.assertEqual([last[0][key] for key in ("samples", "tokens", "supervised")], [last[1][key] for key in ("samples", "tokens", "supervised")])

    def test_an_evaluation_has_rows_of_its_own(self):
        scores = [[line for line in programs.log_of(folder.parent, "talk") if line.get("event") == "evaluation"] for folder in (self.three, self.apart)]
        self.assertEqual(len(scores[0]), 1)
        self.assertEqual(scores[0][0]["accuracy"], scores[1][0]["accuracy"])

    def test_all_in_one_row(self):
        whole = trained("talk", "whole", "pack=6")
        self.same(whole, self.apart, "one row")
        self.assertEqual({row for row, _, _ in dialogues(dumped(whole), "text")}, {0})

    def test_micro_batches_are_shares_of_the_step(self):
        self.same(trained("talk", "micros", "rows=3", "pack=3", "micros=2"), self.apart, "two micro-batches")

    def test_ranks_pack_their_own(self):
        self.same(trained("talk", "ranks", "rows=3", "pack=3", ranks=2), self.apart, "two ranks")

    def test_shorter_rows_where_they_hold_all(self):
        """All twelve samples have 156 tokens, so that one of an epoch's two steps fits into 96 of the 144 that a row may have."""
        short = trained("talk", "short", "pack=6", "lengths=[24, 96]")
        self.same(short, self.apart, "buckets")
        for step in programs.steps_of(short.parent, "talk"):
            tokens = step["tokens"]
            self.assertEqual(step["variants"], ["main.96" if tokens <= 96 else "main.144"], tokens)
        self.assertIn("main.96", [step["variants"][0] for step in programs.steps_of(short.parent, "talk")])

    def test_the_begin_token_of_each(self):
        self.same(trained("talk", "first", "pack=3", "first=1.0"), trained("talk", "first_apart", "first=1.0"), "a constant begin token")

    def test_all_text_without_pictures(self):
        apart, packed = trained("read", "lines_apart"), trained("read", "lines", "pack=3")
        self.same(packed, apart, "lines")
        self.assertNotIn("input/0/line.targets", dumped(packed))
        found = dialogues(dumped(packed), "line")
        labels, positions = wholes(dumped(packed)["input/0/line.labels"]), dumped(packed)["input/0/line.labels"][1][1]
        for row, begin, length in found:
            self.assertEqual(labels[row * positions + begin], -100, "nothing says a sample's first token")
            self.assertEqual(sum(label >= 0 for label in labels[row * positions + begin:row * positions + begin + length]), length - 1)

    def test_no_other_sample_hears_of_a_change(self):
        """Other words in one dialogue: its own loss changes, every other's stays, bit for bit where all lie as they lay."""
        generator = random.Random(SEED + 1)
        for kept_length in (True, False):
            records = json.loads(json.dumps(RECORDS))
            sample = generator.randrange(STAGE_SAMPLES)
            changed = int(floats(dumped(self.three)[f"output/record{sample}"])[0])
            answer = records[changed]["QA"][0]["a"].split()
            answer[0] = generator.choice([word for word in WORDS if word != answer[0]])
            records[changed]["QA"][0]["a"] = " ".join(answer if kept_length else answer[:1] + answer)
            records[changed]["candidates"][0] = records[changed]["QA"][-1]["a"]
            data = FOLDER / f"changed{kept_length}"
            data.mkdir()
            for name in ("pictures", "vocab.txt"):
                (data / name).symlink_to(DATA / name)
            (data / "dialogues.json").write_text(json.dumps(records))
            after = self.own(trained("talk", f"after{kept_length}", "pack=3", data=data))
            before = self.own(self.three)
            for other in range(STAGE_SAMPLES):
                if other == sample:
                    self.assertNotEqual(after[other], before[other])
                elif kept_length:
                    self.assertEqual(after[other], before[other])
                else:
                    self.assertAlmostEqual(after[other], before[other], delta=1e-5 * abs(before[other]))


class OnAGpu(unittest.TestCase):
    """In bf16 attention over packed rows is a library's call over the samples, each in a row of its own."""
    RECIPE = programs.RECIPES / "packed.vcs"

    def test_it_is_a_call_over_samples(self):
        for pack, numerics, called in ((3, "bf16", True), (3, "f32", False), (1, "bf16", True)):
            text = programs.succeed(programs.VCC, "compile", self.RECIPE, "--target=cuda", "--emit=plan", "-D", f"pack={pack}", "-D", f"numerics={numerics}")
            calls = re.findall(r"exec\.attention(?:_grad)? .*", text)
            self.assertEqual(bool(calls), called, (pack, numerics))
            for call in calls:
                self.assertNotIn(" starts ", call)
                # Six samples of 24 tokens, in the first stage with 3 rows of a picture; the last row of a picture is none of them.
                self.assertRegex(call, r"sizes \[6, (27, 27|24, 24), 4, 2, 8\] causal")

    def test_its_step_is_that_of_the_interpreter(self):
        """On rows as they come from data, with the kernels and calls of a GPU: only bf16 rounds."""
        graph = FOLDER / "graph.mlir"
        vcs = FOLDER / "recipe.vcs.mlir"
        vcs.write_text(programs.succeed(programs.VCC, "compile", self.RECIPE, "--emit=vcs", "-D", "pack=3", "-D", "lengths=none"))
        graph.write_text(programs.succeed(programs.VCC.parent / "vcc-opt", "--convert-vcs-to-tg", vcs))
        for stage in ("talk", "read"):
            folder = trained(stage, f"oracle_{stage}", "pack=3", "lengths=none")
            lines = programs.succeed(programs.VCC.parent / "step_oracle", graph, folder / "dump" / "step-000001.safetensors", FOLDER / "found.f64")
            found = {line["after"]: line for line in map(json.loads, lines.splitlines())}
            rounded, fused = found["bf16"], found["bf16 fused"]
            self.assertLess(rounded["gradient"], 0.3, stage)
            self.assertAlmostEqual(fused["gradient"], rounded["gradient"], delta=0.1 * rounded["gradient"], msg=stage)
            for name, value in rounded["outputs"].items():
                self.assertAlmostEqual(fused["outputs"][name], value, delta=0.01 * abs(value), msg=(stage, name))


if __name__ == "__main__":
    unittest.main()
