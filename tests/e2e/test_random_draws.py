# SPDX-License-Identifier: Apache-2.0
"""A random draw is a function of seed, step, the sample's place in the whole step, recipe path and element: the same for any number
of threads, micro-batches and ranks, and after a kill. Shown on what draws: initial values, uniform numbers, dropout, drop path,
dropout of attention, choice of frames, crop and flip."""
import array
import json
import pathlib
import signal
import struct
import subprocess
import time
import unittest

import plans
import programs
from test_oracle import ask, doubles, elaborated

STEPS = 6
SPLITS = ((8, 1), (4, 2), (2, 4), (1, 8))
ROWS_OF_A_TABLE = 32
TABLES = ("uniforms", "flat", "dropped", "paths", "rare", "values")
# Whole samples and branches are dropped from these, so that few bits are drawn in a step; what is kept is multiplied by this.
DROPPED = {"paths": 2.0, "rare": 4.0}


def setUpModule():
    global SCRATCH, FOLDER, DATA, SEED, WHOLE
    SCRATCH = programs.fresh_folder()
    FOLDER = pathlib.Path(SCRATCH.name)
    DATA = programs.clips_data(FOLDER / "data")
    (DATA / "numbers.json").write_text(json.dumps([{"number": str(number)} for number in range(ROWS_OF_A_TABLE)]))
    SEED = programs.chosen_seed()
    print(f"seed {SEED} (VCC_TEST_SEED)")
    WHOLE = trained("whole", 8, 1)


def tearDownModule():
    SCRATCH.cleanup()


def program_of(rows, micros):
    return programs.compiled("draws", "-D", f"rows={rows}", "-D", f"micros={micros}")


def command(out, rows, micros, *options, stage="all", threads=2, seed=None, dumped=range(STEPS)):
    dump = ["--dump", ",".join(map(str, dumped))] if dumped else []
    return [str(word) for word in (program_of(rows, micros), "--stage", stage, "--data", DATA, "--out", out, "--threads", threads, "--seed",
                                   SEED if seed is None else seed, *dump, *options)]


def trained(name, rows, micros, **options):
    out = FOLDER / name
    programs.succeed(*command(out, rows, micros, **options))
    return out


def done(out, stage):
    """Steps that the log holds."""
    log = out / stage / "log.jsonl"
    return sum(1 for line in log.read_bytes().splitlines() if b"event" not in line) if log.exists() else 0


def dump_of(out, stage, step):
    return pathlib.Path(out) / stage / "dump" / f"step-{step:06}.safetensors"


def tensors_of(out, stage, step):
    return programs.read_tensors(dump_of(out, stage, step))[0]


def floats(tensor):
    return array.array("f", tensor[2])


def gradients(tensors):
    return {name.removeprefix("gradient/noise.").removesuffix(".weight"): floats(tensor) for name, tensor in tensors.items()
            if name.startswith("gradient/")}


class Case(unittest.TestCase):
    maxDiff = 400

    def same_draws(self, out, micros, stages=("noise", "media"), steps=range(STEPS)):
        """All draws of a run against those of the whole batch in one piece, bit for bit."""
        for stage in stages:
            for step in steps:
                whole, split = tensors_of(WHOLE, stage, step), tensors_of(out, stage, step)
                if stage == "noise":
                    self.assertEqual(gradients(split), gradients(whole), f"step {step}")
                for name, tensor in whole.items():
                    if name.startswith("before/") and (stage == "noise" or step == 0):
                        self.assertEqual(split[name], tensor, f"{name} before step {step}")
                    kind, _, port = name.partition("/0/")
                    if kind == "input" and not port.startswith(("rng", "batch.")):
                        joined = b"".join(split[f"input/{micro}/{port}"][2] for micro in range(micros))
                        self.assertEqual(joined, tensor[2], f"{port} of step {step}")


class Draws(Case):
    def test_there_are_draws(self):
        """The gradients hold what the recipe draws, other numbers in each step and for each seed."""
        seen = {table: [] for table in TABLES}
        for step in range(STEPS):
            found = gradients(tensors_of(WHOLE, "noise", step))
            self.assertEqual(set(found), set(TABLES))
            for table, numbers in found.items():
                drawn = [number * 8 for number in numbers if number]
                seen[table].append(numbers)
                if table not in DROPPED:
                    self.assertNotIn(numbers, seen[table][:-1])
                    self.assertGreater(len(drawn), 10, table)
                if table in DROPPED:
                    self.assertLessEqual(set(drawn), {DROPPED[table]})
                elif table == "dropped":
                    self.assertEqual(set(drawn), {4.0})
                elif table == "values":
                    self.assertLessEqual(set(drawn), set(range(1, 16)))
                else:
                    self.assertTrue(all(number * 2 ** 24 == int(number * 2 ** 24) and 0 <= number < 1 for number in drawn))
                    self.assertGreater(len(set(drawn)), 90)
        for table in DROPPED:
            self.assertGreater(sum(number != 0 for numbers in seen[table] for number in numbers), 20)
            self.assertTrue(any(numbers != seen[table][0] for numbers in seen[table]))
        clips = {tensors_of(WHOLE, "media", step)["input/0/clip.pixels"][2] for step in range(STEPS)}
        self.assertEqual(len(clips), STEPS)
        other = trained("seed", 8, 1, seed=SEED + 1)
        for stage in ("noise", "media"):
            mine, others = tensors_of(WHOLE, stage, 0), tensors_of(other, stage, 0)
            drawn = [name for name in mine if name.startswith("before/") and len(set(floats(mine[name]))) > 2]
            self.assertEqual(len(drawn), {"noise": 3, "media": 1}[stage])
            for name in drawn + (["input/0/clip.pixels"] if stage == "media" else []):
                self.assertNotEqual(mine[name], others[name], name)

    def test_threads(self):
        for threads in (1, 3, 4):
            out = trained(f"threads{threads}", 8, 1, threads=threads)
            self.same_draws(out, 1)
            for step in range(STEPS):
                self.assertEqual(dump_of(out, "noise", step).read_bytes(), dump_of(WHOLE, "noise", step).read_bytes())

    def test_micro_batches(self):
        for rows, micros in SPLITS[1:]:
            with self.subTest(rows=rows, micros=micros):
                self.same_draws(trained(f"{rows}x{micros}", rows, micros), micros)

    def test_each_micro_batch_starts_elsewhere(self):
        for rows, micros in SPLITS[1:]:
            out = trained(f"starts{rows}x{micros}", rows, micros)
            for step in range(STEPS):
                found = tensors_of(out, "noise", step)
                words = [struct.unpack("<4i", found[f"input/{micro}/rng"][2]) for micro in range(micros)]
                self.assertEqual([word[2:] for word in words], [(step, micro * rows) for micro in range(micros)])
                self.assertEqual({word[:2] for word in words}, {struct.unpack("<2i", struct.pack("<Q", SEED))})

    def test_resume(self):
        out = FOLDER / "resumed"
        programs.succeed(*command(out, 8, 1, "--max-steps", 2, dumped=range(2)))
        self.same_draws(out, 1, steps=range(2))
        for stage in ("noise", "media"):
            programs.succeed(*command(out, 8, 1, stage=stage, threads=1, dumped=range(2, STEPS)))
        self.same_draws(out, 1)

    def killed(self, name, stage):
        """The folder of a run that was killed when it had done some steps, not all."""
        for attempt in range(20):
            out = FOLDER / f"{name}{attempt}"
            process = subprocess.Popen(command(out, 8, 1, stage=stage, dumped=()), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.time() + programs.SECONDS
            while process.poll() is None and not done(out, stage):
                self.assertLess(time.time(), deadline, "the run does not move on")
                time.sleep(0.0002)
            process.send_signal(signal.SIGKILL)
            if process.wait() == -signal.SIGKILL and done(out, stage) < STEPS:
                return out
        self.fail("the runs ended before they were killed")

    def test_killed(self):
        for stage in ("noise", "media"):
            with self.subTest(stage=stage):
                out = self.killed(f"killed-{stage}", stage)
                programs.succeed(*command(out, 8, 1, stage=stage, dumped=(STEPS - 1,)))
                self.assertEqual(done(out, stage), STEPS)
                self.same_draws(out, 1, [stage], [STEPS - 1])


class Worlds(Case):
    """A rank of a world of W runs the micro-batch whose first sample is rank * rows. Its step in the interpreter, and natively as one of
    W micro-batches, draws what the whole batch draws for its samples."""

    @classmethod
    def setUpClass(cls):
        cls.folder = FOLDER / "worlds"
        cls.folder.mkdir()
        recipe = cls.folder / "draws.vcs"
        text = (programs.RECIPES / "draws.vcs").read_text()
        recipe.write_text(text[:text.index("\nstage 2 ")].replace("const rows = 8", "const rows = 2"))
        cls.graph = elaborated(recipe, cls.folder)
        cls.micros = tensors_of(trained("ranks", 2, 4), "noise", 3)

    def rank(self, rank, first):
        """The gradients of one rank's micro-batch by table in the interpreter, after the last pass."""
        step, result = self.folder / f"rank{rank}.safetensors", self.folder / f"rank{rank}.f64"
        tensors = {}
        for name, tensor in self.micros.items():
            kind, _, rest = name.partition("/")
            micro, _, port = rest.partition("/")
            if kind != "input":
                tensors[name] = tensor
            elif micro == str(rank):
                tensors[f"input/0/{port}"] = tensor
            elif micro == "4":
                tensors[f"input/1/{port}"] = tensor
        words = struct.unpack("<4i", tensors["input/0/rng"][2])
        tensors["input/0/rng"] = ("I32", (4,), struct.pack("<4i", *words[:3], first))
        programs.write_tensors(step, tensors, {"step": "3", "stage": "noise"})
        ask(self.graph, step, result)
        numbers, found, place = doubles(result), {}, 0
        for table in sorted(TABLES):
            size = len(self.micros[f"gradient/noise.{table}.weight"][2]) // 4
            found[table] = numbers[place:place + size]
            place += size
        self.assertEqual(place, len(numbers))
        return found

    def test_ranks_together_are_one(self):
        whole = gradients(tensors_of(WHOLE, "noise", 3))
        ranks = [self.rank(rank, 2 * rank) for rank in range(4)]
        for table in TABLES:
            self.assertEqual([sum(shares) for shares in zip(*(rank[table] for rank in ranks))], list(whole[table]), table)

    def test_a_place_elsewhere_draws_what_is_drawn_there(self):
        """The samples of rank 1, told that they stand at the first place, get the draws of the samples that do stand there."""
        right, wrong, whole = self.rank(1, 2), self.rank(1, 0), gradients(tensors_of(WHOLE, "noise", 3))
        mine, there = (struct.unpack("<2i", self.micros[f"input/{micro}/number"][2]) for micro in (1, 0))
        self.assertEqual(len({*mine, *there}), 4)
        for table in TABLES:
            width = len(whole[table]) // ROWS_OF_A_TABLE
            row = lambda numbers, number: list(numbers[number * width:(number + 1) * width])
            for number, other in zip(mine, there):
                self.assertEqual(row(wrong[table], number), row(whole[table], other), table)
            # Two samples may well be dropped, or kept, at both places.
            if table not in DROPPED:
                self.assertNotEqual(right[table], wrong[table], table)


if __name__ == "__main__":
    unittest.main()
