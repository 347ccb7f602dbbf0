# SPDX-License-Identifier: Apache-2.0
"""Several ranks by mpirun: losses, gradients, inputs and draws are those of one rank with the joined batch; faults, signals and wrong
counts end all ranks with one message."""
import array
import json
import os
import pathlib
import signal
import subprocess
import time
import unittest

import programs

TWO = ("-D", "rows=2", "-D", "ranks=2")


def setUpModule():
    global SCRATCH, FOLDER, DATA, SEED
    SCRATCH = programs.fresh_folder()
    FOLDER = pathlib.Path(SCRATCH.name)
    DATA = programs.words_data(FOLDER / "data")
    programs.clips_data(DATA)
    SEED = programs.chosen_seed()
    print(f"seed {SEED} (VCC_TEST_SEED)")


def tearDownModule():
    SCRATCH.cleanup()


def command(count, options, out, stage, *more):
    words = [str(word) for word in (programs.compiled("ranks", *options), "--stage", stage, "--data", DATA, "--out", FOLDER / out, "--seed", SEED,
                                    "--threads", 1, *more)]
    return programs.ranks(count, *words) if count else words


def trained(count, options, out, stage, *more):
    programs.succeed(*command(count, options, out, stage, *more))
    return FOLDER / out


def dumped(out, stage, step, rank=0):
    name = f"step-{step:06}" + (f".rank-{rank}" if rank else "") + ".safetensors"
    return programs.read_tensors(out / stage / "dump" / name)[0]


def floats(tensor):
    return array.array("f", tensor[2])


def distance(ours, theirs):
    """Norm of the difference over the norm."""
    size = sum(value * value for value in theirs) ** 0.5
    return sum((a - b) ** 2 for a, b in zip(ours, theirs)) ** 0.5 / (size + 1e-30)


def alive(process):
    """Whether a process runs still; one that has ended but that nobody has asked for does not."""
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Joined(unittest.TestCase):
    """Two ranks of two rows against one rank of four, with accumulation and dropout."""
    STAGES = {"pretrain": 2, "tune": 1, "contrast": 2}

    @classmethod
    def setUpClass(cls):
        every = ",".join(cls.STAGES)
        cls.one = trained(0, ("-D", "rows=4"), "one", every, "--dump", "0,1,2")
        cls.two = trained(2, TWO, "two", every, "--dump", "0,1,2")

    def dumps(self):
        for stage in self.STAGES:
            for step in range(3):
                yield stage, step, dumped(self.one, stage, step), [dumped(self.two, stage, step, rank) for rank in (0, 1)]

    def test_gradients_and_weights(self):
        for stage, step, whole, ranks in self.dumps():
            for name, tensor in whole.items():
                if name.startswith(("gradient/", "after/", "output/")):
                    self.assertLessEqual(distance(floats(ranks[0][name]), floats(tensor)), 1e-5, (stage, step, name))
                    self.assertEqual(ranks[0][name], ranks[1][name], "all ranks hold the same bits")
            gradients = [floats(tensor) for name, tensor in whole.items() if name.startswith("gradient/")]
            self.assertGreater(sum(value * value for gradient in gradients for value in gradient), 1e-6)

    def test_inputs_are_the_rows_of_the_joined_batch(self):
        for stage, step, whole, ranks in self.dumps():
            for name, (dtype, shape, content) in whole.items():
                if not name.startswith("input/") or name.endswith("batch.rank"):
                    continue
                if name.endswith("/rng"):
                    words = [array.array("i", tensor[name][2]) for tensor in (dict(whole), *ranks)]
                    micro = int(name.split("/")[1])
                    first = 0 if micro == self.STAGES[stage] else 4 * micro
                    self.assertEqual([word[3] for word in words], [first, first, first + 2], (stage, name))
                    self.assertEqual({tuple(word[:3]) for word in words}, {tuple(words[0][:3])})
                elif name.endswith(".targets"):  # places in this rank's own rows
                    joined = [array.array("i", part) for part in (content, ranks[0][name][2] + ranks[1][name][2])]
                    moved = [whole - part for whole, part in zip(*joined) if whole >= 0]
                    self.assertEqual([whole < 0 for whole in joined[0]], [part < 0 for part in joined[1]])
                    self.assertEqual(moved[0], 0)
                    self.assertEqual(len(set(moved)), 2, (stage, step, name))
                elif shape:
                    self.assertEqual(ranks[0][name][2] + ranks[1][name][2], content, (stage, step, name))
                else:
                    self.assertEqual({tensor[name][2] for tensor in ranks}, {content}, (stage, step, name))

    def test_log(self):
        for stage in self.STAGES:
            ours, theirs = programs.steps_of(self.two, stage), programs.steps_of(self.one, stage)
            self.assertEqual(len(ours), len(theirs))
            for mine, other in zip(ours, theirs):
                mine, other = programs.numbers_of(mine), programs.numbers_of(other)
                self.assertEqual(mine.keys(), other.keys())
                for key, value in other.items():
                    if isinstance(value, float):
                        self.assertAlmostEqual(mine[key], value, delta=1e-5 * abs(value) + 1e-7, msg=f"{stage} {key}")
                    else:
                        self.assertEqual(mine[key], value, f"{stage} {key}")
        starts = [event for event in programs.log_of(self.two, "pretrain") if event.get("event") == "start"]
        self.assertEqual([event["ranks"] for event in starts], [2])

    def test_evaluations(self):
        found = [[{key: value for key, value in event.items() if key != "seconds"} for event in programs.log_of(out, "tune")
                  if event.get("event") == "evaluation"] for out in (self.one, self.two)]
        self.assertEqual(len(found[0]), 2)
        self.assertEqual(found[0], found[1])

    def test_a_run_is_repeatable(self):
        again = trained(2, TWO, "again", "pretrain")
        self.assertEqual((again / "pretrain" / "weights.safetensors").read_bytes(), (self.two / "pretrain" / "weights.safetensors").read_bytes())

    def test_more_ranks_than_divide_evenly(self):
        one = trained(0, ("-D", "rows=3", "-D", "micros=1"), "one-of-three", "contrast,pretrain", "--dump", "0")
        three = trained(3, ("-D", "rows=1", "-D", "micros=1", "-D", "ranks=3"), "three", "contrast,pretrain", "--dump", "0")
        for stage in ("contrast", "pretrain"):
            whole, first = dumped(one, stage, 0), dumped(three, stage, 0)
            for name in whole:
                if name.startswith(("gradient/", "output/")):
                    self.assertLessEqual(distance(floats(first[name]), floats(whole[name])), 1e-5, name)


class Collectives(unittest.TestCase):
    def test_each_against_its_definition(self):
        for count in (1, 2, 3, 4):
            out = programs.succeed(*programs.ranks(count, programs.BUILD / "bin" / "tests" / "runtime_ranks"))
            for rank in range(count):
                self.assertIn(f"rank {rank} of {count}", out)
            self.assertEqual(out.count("[  PASSED  ]"), count, out)


class Course(unittest.TestCase):
    """Resuming and stopping."""

    def test_resumed_by_as_many(self):
        whole = trained(2, TWO, "whole", "pretrain")
        trained(2, TWO, "parts", "pretrain", "--max-steps", 5)
        trained(2, TWO, "parts", "pretrain")
        self.assertEqual([programs.numbers_of(step) for step in programs.steps_of(FOLDER / "parts", "pretrain")],
                         [programs.numbers_of(step) for step in programs.steps_of(whole, "pretrain")])
        ended = programs.run(*command(2, TWO, "parts", "pretrain"))
        self.assertEqual((ended.code, ended.out.count("done before")), (0, 1), ended)

    def test_another_count_is_refused(self):
        """It says how to go on, leaves what there is as it is, and as many ranks as before do go on."""
        for first, others, words in ((2, (0, 3), ("was made by 2 ranks, but {} started", "mpirun -n 2")), (0, (2,), ("was made by 1 rank, but {} started", "go on with one"))):
            out = f"counted by {first}"
            trained(first, TWO, out, "pretrain", "--max-steps", 2)
            before = {path: path.read_bytes() for path in (FOLDER / out).rglob("*") if path.is_file()}
            for other in others:
                ended = programs.run(*command(other, TWO, out, "pretrain"))
                self.assertEqual((ended.code, ended.err.count("error: ")), (1, 1), ended)
                for word in words:
                    self.assertIn(word.format(f"{other} were" if other else "1 was"), ended.err)
                self.assertEqual({path: path.read_bytes() for path in (FOLDER / out).rglob("*") if path.is_file()}, before)
            trained(first, TWO, out, "pretrain", "--max-steps", 4)
            self.assertEqual(len(programs.steps_of(FOLDER / out, "pretrain")), 4)

    def started(self, out):
        """A run of two ranks that would take long, when it has made some steps, and its ranks' process ids."""
        options = (*TWO, "-D", "length=1000000")
        process = subprocess.Popen(command(2, options, out, "pretrain"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        log = FOLDER / out / "pretrain" / "log.jsonl"
        for _ in range(600):
            if log.exists() and log.read_bytes().count(b"\"step\"") > 20:
                break
            self.assertIsNone(process.poll())
            time.sleep(0.05)
        ranks = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if f"PPid:\t{process.pid}\n" in (entry / "status").read_text():
                    for word in (entry / "environ").read_bytes().split(b"\0"):
                        if word.startswith(b"OMPI_COMM_WORLD_RANK="):
                            ranks[int(word.split(b"=")[1])] = int(entry.name)
            except OSError:
                pass
        self.assertEqual(sorted(ranks), [0, 1])
        return process, ranks

    def test_a_signal_to_one_rank_saves_on_all(self):
        process, ranks = self.started("signalled")
        os.kill(ranks[1], signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 75, out[-2000:] + err)
        saved = sorted((FOLDER / "signalled" / "pretrain" / "checkpoints").iterdir())
        steps = programs.steps_of(FOLDER / "signalled", "pretrain")
        self.assertEqual(int(saved[-1].name.split("-")[1]), len(steps))
        self.assertIn("run again to go on", out)

    def test_a_rank_that_dies_takes_all_with_it(self):
        for rank in (0, 1):
            process, ranks = self.started(f"killed-{rank}")
            os.kill(ranks[rank], signal.SIGKILL)
            process.communicate(timeout=60)
            self.assertNotEqual(process.returncode, 0)
            for _ in range(200):
                if not any(map(alive, ranks.values())):
                    break
                time.sleep(0.05)
            self.assertFalse(any(map(alive, ranks.values())))


class Refused(unittest.TestCase):
    """What ends all ranks: one message, the exit code of the fault."""

    def ends(self, code, text, *arguments, **options):
        ended = programs.run(*command(*arguments), **options)
        self.assertEqual(ended.code, code, ended)
        self.assertEqual(ended.err.count("error: "), 1, ended)
        self.assertIn(text, ended.err)
        return ended

    def test_wrong_counts(self):
        self.ends(1, "stage `alone` was compiled for one", 2, TWO, "no", "alone")
        self.ends(1, "stage `alone` was compiled for one", 2, TWO, "no", "pretrain,alone")
        self.ends(1, "stage `contrast` was compiled for 2 ranks, but 3 were started", 3, TWO, "no", "contrast")
        self.ends(1, "stage `contrast` was compiled for 2 ranks, but 1 was started", 0, TWO, "no", "contrast")
        self.assertFalse((FOLDER / "no").exists())

    def test_a_program_for_one_rank(self):
        program = programs.compiled("draws")
        ended = programs.run(*programs.ranks(2, program, "--stage", "noise", "--data", DATA, "--out", FOLDER / "no"))
        self.assertEqual((ended.code, ended.err.count("error: ")), (1, 1), ended)
        self.assertIn("2 ranks were started, but stage `noise` was compiled for one", ended.err)
        self.assertNotIn("libmpi", programs.succeed("readelf", "-d", program))
        self.assertIn("libmpi", programs.succeed("readelf", "-d", programs.compiled("ranks", *TWO)))

    def test_data(self):
        broken = programs.clips_data(FOLDER / "broken")
        for number in range(6):
            (broken / "clips" / f"{number}.mp4").write_bytes(b"no video")
        ended = programs.run(*command(2, TWO, "spoilt", "clips"), "--data", broken)
        self.assertEqual((ended.code, ended.err.count("error: ")), (3, 1), ended)
        self.ends(3, "lm.model", 2, TWO, "nothing", "pretrain", "--data", FOLDER / "nowhere")

    def test_a_replaced_sample_is_told_once(self):
        data = programs.clips_data(FOLDER / "some")
        (data / "clips" / "3.mp4").write_bytes(b"no video")
        one = trained(0, ("-D", "rows=4"), "some-one", "clips", "--data", data)
        two = trained(2, TWO, "some-two", "clips", "--data", data)
        told = [[sorted(map(json.dumps, step.get("replaced", []))) for step in programs.steps_of(out, "clips")] for out in (one, two)]
        self.assertTrue(any(told[0]))
        self.assertEqual(*told)

    def test_numbers(self):
        self.ends(5, "stage `pretrain`, step", 2, (*TWO, "-D", "peak=1e38"), "infinite", "pretrain")

    def test_numbers_of_one_rank_where_ranks_join(self):
        """Who makes such a number and where are told alike, also where the others get it by a later launch."""
        for const, text in (("spoilt", "`loss.pairs` is inf; it arose in `views`"), ("steep", "the gradient of `views.")):
            told = set()
            for rank in (0, 1):
                ended = self.ends(5, f"stage `contrast`, step 0: {text}", 2, (*TWO, "-D", f"{const}={rank}"), f"{const}-{rank}", "contrast", seconds=60)
                told.add(ended.err.partition("; it arose in ")[2].partition(", which made")[0])
            self.assertEqual(len(told), 1, told)
            self.assertRegex(told.pop(), r"launch \d+ of \d+")

    def test_output(self):
        (FOLDER / "file").write_text("")
        self.ends(3, "file", 2, TWO, "file", "pretrain")

    def test_options(self):
        self.ends(1, "--threads", 2, TWO, "no", "pretrain", "--threads", "none")


class Told(unittest.TestCase):
    def test_overview(self):
        told = programs.succeed(programs.compiled("ranks", *TWO))
        self.assertIn("stage 1 pretrain: 12 steps of 2 micro-batches, by any number of ranks", told)
        self.assertIn("stage 3 contrast: 4 steps of 2 micro-batches, by 2 ranks", told)
        self.assertIn("stage 5 alone: 2 steps\n", told)
        self.assertEqual(programs.succeed(*programs.ranks(2, programs.compiled("ranks", *TWO))), told)


if __name__ == "__main__":
    unittest.main()
