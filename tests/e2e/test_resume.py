# SPDX-License-Identifier: Apache-2.0
"""A run that is killed at any moment and started again gives the same steps bit for bit as one that was not, dropout on; the log holds
every step once. What differs between programs (kernels, seed) is refused, what does not differ (threads) is not."""
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import time
import unittest

import programs

STAGE = "pretrain"
STEPS = 40


def setUpModule():
    global FOLDER, DATA, PROGRAM, WHOLE
    FOLDER = programs.fresh_folder()
    DATA = programs.words_data(pathlib.Path(FOLDER.name) / "data")
    PROGRAM = programs.compiled("words")
    WHOLE = pathlib.Path(FOLDER.name) / "whole"
    programs.succeed(*command(WHOLE, 2))


def tearDownModule():
    FOLDER.cleanup()


def command(out, threads, *options, program=None):
    return [program or PROGRAM, "--stage", STAGE, "--data", DATA, "--out", out, "--threads", threads, *options]


def lines_in(log):
    return log.read_bytes().count(b"\n") if log.exists() else 0


class Resume(unittest.TestCase):
    maxDiff = None

    def out(self, name):
        return pathlib.Path(FOLDER.name) / name

    def kill_at(self, out, lines, threads=2):
        """Starts the run and kills it once its log has grown to `lines`; whether it was killed before it ended."""
        process = subprocess.Popen([str(word) for word in command(out, threads)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.time() + programs.SECONDS
        while process.poll() is None and lines_in(out / STAGE / "log.jsonl") < lines:
            self.assertLess(time.time(), deadline, "the run does not move on")
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL

    def same(self, out, other=None):
        expected = [programs.numbers_of(step) for step in programs.steps_of(other or WHOLE, STAGE)]
        found = [programs.numbers_of(step) for step in programs.steps_of(out, STAGE)]
        self.assertEqual([step["step"] for step in found], list(range(STEPS)))
        self.assertEqual(found, expected)
        self.assertEqual(programs.read_tensors(out / STAGE / "weights.safetensors")[0],
                         programs.read_tensors((other or WHOLE) / STAGE / "weights.safetensors")[0])

    def test_killed_at_random_steps(self):
        seed = programs.chosen_seed()
        generator, killed = random.Random(seed), 0
        with self.subTest(seed=seed):
            for number in range(3):
                out = self.out(f"killed{number}")
                for lines in sorted(generator.sample(range(2, STEPS), 3)):
                    killed += self.kill_at(out, lines)
                programs.succeed(*command(out, 2))
                self.same(out)
            self.assertGreater(killed, 2, "the runs ended before they were killed")

    def test_killed_while_saving(self):
        """The kill falls between the writes of a checkpoint: what stands half there is passed over and cleared away."""
        out = self.out("saving")
        programs.succeed(*command(out, 2, "--max-steps", 10))
        checkpoints = out / STAGE / "checkpoints"
        newest = max(checkpoints.iterdir())
        partial = checkpoints / "step-00000012.partial"
        shutil.copytree(newest, partial)
        (partial / "DONE").unlink()
        undone = checkpoints / "step-00000011"
        shutil.copytree(newest, undone)
        content = (undone / "state.safetensors").read_bytes()
        (undone / "state.safetensors").write_bytes(content[:len(content) // 2])
        with open(out / STAGE / "log.jsonl", "a") as log:
            log.write('{"step":10,"lo')
        ended = programs.run(*command(out, 2))
        self.assertEqual(ended.code, 0, ended)
        self.assertIn("step-00000011", ended.out + ended.err)
        self.assertFalse(partial.exists())
        self.same(out)

    def test_stopped_by_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                out = self.out(f"signal{int(number)}")
                process = subprocess.Popen([str(word) for word in command(out, 2)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                while process.poll() is None and lines_in(out / STAGE / "log.jsonl") < 8:
                    time.sleep(0.001)
                process.send_signal(number)
                text, _ = process.communicate(timeout=programs.SECONDS)
                self.assertEqual(process.returncode, 75, text)
                self.assertIn("run again to go on", text)
                done = len(programs.steps_of(out, STAGE))
                self.assertTrue((out / STAGE / "checkpoints" / f"step-{done:08}" / "DONE").exists(), text)
                programs.succeed(*command(out, 2))
                self.same(out)

    def test_max_steps_then_on(self):
        out = self.out("max")
        programs.succeed(*command(out, 2, "--max-steps", 7))
        self.assertEqual(len(programs.steps_of(out, STAGE)), 7)
        programs.succeed(*command(out, 2))
        self.same(out)
        again = programs.succeed(*command(out, 2))
        self.assertIn("done before", again)

    def test_threads(self):
        """One thread and two give the same numbers: kernels do not depend on threads, and neither do oneDNN's products at these sizes (larger
        ones differ in the last bit)."""
        out = self.out("single")
        programs.succeed(*command(out, 1))
        self.same(out)

    def test_same_bytes_when_compiled_again(self):
        again = self.out("again.bin")
        programs.succeed(programs.VCC, "compile", programs.RECIPES / "words.vcs", "-o", again, seconds=300)
        self.assertEqual(again.read_bytes(), PROGRAM.read_bytes())

    def test_other_kernels_are_refused(self):
        other = programs.compiled("words", "-D", "rate=0.3")
        manifests = [json.loads(programs.succeed(program, "--manifest")) for program in (PROGRAM, other)]
        for stages in zip(*(manifest["stages"] for manifest in manifests)):
            self.assertNotEqual(*(stage.pop("identity") for stage in stages))
        self.assertEqual(manifests[0], manifests[1])  # the rate of dropout is in the kernels only
        out = self.out("kernels")
        programs.succeed(*command(out, 2, "--max-steps", 5))
        before = sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file() and path.name != ".lock")
        ended = programs.run(*command(out, 2, program=other))
        self.assertEqual(ended.code, 3, ended)
        self.assertIn("another compilation", ended.err)
        self.assertEqual(before, sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file() and path.name != ".lock"))
        programs.succeed(*command(out, 2, "--resume", "never", program=other))
        self.assertNotEqual([step["loss"] for step in programs.steps_of(out, STAGE)], [step["loss"] for step in programs.steps_of(WHOLE, STAGE)])

    def other(self, name, *changes):
        """The recipe with other text in some places, as a program, and the identities of its stages."""
        text = (programs.RECIPES / "words.vcs").read_text()
        for old, new in changes:
            self.assertEqual(text.count(old), 1, old)
            text = text.replace(old, new)
        recipe, program = self.out(f"{name}.vcs"), self.out(f"{name}.bin")
        recipe.write_text(text)
        programs.succeed(programs.VCC, "compile", recipe, "-o", program, seconds=300)
        return program, self.identities(program)

    def identities(self, program):
        return {stage["name"]: stage["identity"] for stage in json.loads(programs.succeed(program, "--manifest"))["stages"]}

    def test_what_decides_on_no_weight_may_change(self):
        """A stage goes on after its evaluations, its rhythm of saving and other stages have changed, and ends with the same weights."""
        words, mine = ("--stage", "tune"), self.identities(PROGRAM)
        self.assertEqual(len(set(mine.values())), len(mine))
        evaluate = '  evaluate "quiz" at end on quiz { choices: candidates, answer: a, group: kind, score: losses.answer_score(lm, dialogue) }\n'
        twice = evaluate.replace('"quiz" at end', '"more" every 2 steps') + evaluate.replace("group: kind, ", "")
        changed, its = self.other("evaluations", (evaluate, twice), ("  save at end\n  log every 2 steps\n", "  save every 2 steps { keep: 3 }\n"),
                                  ('quiz_json("quiz.json")', 'quiz_json("quiz.json") { on_error: skip up to 2% }'), ("floor: 0.05", "floor: 0.06"))
        self.assertEqual(its["tune"], mine["tune"])
        self.assertNotEqual(its["pretrain"], mine["pretrain"])
        self.assertEqual(its["borrow"], mine["borrow"])
        outs = [self.out("evaluations"), self.out("evaluations-whole")]
        for out in outs:
            programs.succeed(PROGRAM, "--stage", "pretrain", "--data", DATA, "--out", out, "--threads", 2, "--max-steps", 4)
            programs.succeed(PROGRAM, *words, "--data", DATA, "--out", out, "--threads", 2, *([] if out == outs[1] else ["--max-steps", 3]))
        resumed = programs.succeed(changed, *words, "--data", DATA, "--out", outs[0], "--threads", 2)
        self.assertIn("3 of 6 steps to do", resumed)
        self.assertIn("more:", resumed)
        kept = [programs.read_tensors(out / "tune" / "weights.safetensors")[0] for out in outs]
        self.assertEqual(*kept)
        again = programs.succeed(changed, *words, "--data", DATA, "--out", outs[1], "--threads", 2)
        self.assertIn("tune: done before, but not all its evaluations: `--stage tune --evaluate more`", again)

    def test_what_decides_on_weights_may_not(self):
        mine = self.identities(PROGRAM)
        for name, change in [("rate", ("adamw { lr: 1e-3 }\n  schedule linear { steps: 6 }", "adamw { lr: 2e-3 }\n  schedule linear { steps: 6 }")),
                             ("length", ("schedule linear { steps: 6 }", "schedule linear { steps: 7 }")),
                             ("rows", ("samples: 4 from [quiz]", "samples: 2 from [quiz]")),
                             ("cut", ("tokenizer: words, max_tokens: 12", "tokenizer: words, max_tokens: 12, cut: left")),
                             ("words", ('user "{q}"', 'user "{q}?"')),
                             ("key", ("q: string, a: string }, candidates", "q: question, a: string }, candidates"))]:
            its = self.other(name, change)[1]
            self.assertNotEqual(its.pop("tune"), mine["tune"], name)
            self.assertEqual(its, {stage: identity for stage, identity in mine.items() if stage != "tune"}, name)

    def test_changed_records_are_refused(self):
        """Annotations or a tokenizer that changed are other samples; the folder may lie elsewhere."""
        out, data = self.out("changed"), self.out("changed-data")
        shutil.copytree(DATA, data)
        programs.succeed(*command(out, 2, "--max-steps", 5))
        go_on = [PROGRAM, "--stage", STAGE, "--data", data, "--out", out, "--threads", 2]
        programs.succeed(*go_on, "--max-steps", 7)
        texts = (data / "texts.json").read_text()
        records = json.loads(texts)
        (data / "texts.json").write_text(json.dumps(records[::-1]))
        refused = programs.run(*go_on)
        self.assertEqual(refused.code, 3, refused)
        self.assertRegex(refused.err, r"error: `.*changed-data/texts.json` has changed since checkpoint `.*step-00000007` was made: it has \d+ bytes, \w{16}, and had")
        self.assertIn("--resume changed-data", refused.err)
        self.assertEqual(len(programs.steps_of(out, STAGE)), 7)
        programs.succeed(*go_on, "--max-steps", 9, "--resume", "changed-data")
        programs.succeed(*go_on, "--max-steps", 10)
        (data / "texts.json").write_text(texts)
        self.assertEqual(programs.run(*go_on).code, 3)
        programs.succeed(*go_on, "--resume", "never")
        self.same(out)

    def test_cut_short_is_said(self):
        out = self.out("short")
        programs.succeed(*command(out, 2, "--max-steps", 5))
        self.assertIn("stopped before, after 5 of 40 steps, and --max-steps asks for no more", programs.succeed(*command(out, 2, "--max-steps", 5)))
        self.assertNotIn("stopped before", programs.succeed(*command(out, 2)))
        self.assertIn("done before", programs.succeed(*command(out, 2)))

    def test_other_seed_is_refused(self):
        out = self.out("seed")
        programs.succeed(*command(out, 2, "--max-steps", 5))
        ended = programs.run(*command(out, 2, "--seed", 7))
        self.assertEqual(ended.code, 1, ended)
        self.assertIn("has seed 0, but this run has 7", ended.err)

    def test_two_runs_in_one_folder(self):
        out = self.out("two")
        first = subprocess.Popen([str(word) for word in command(out, 2)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while first.poll() is None and lines_in(out / STAGE / "log.jsonl") < 3:
            time.sleep(0.001)
        os.kill(first.pid, signal.SIGSTOP)
        second = programs.run(*command(out, 2))
        os.kill(first.pid, signal.SIGCONT)
        self.assertEqual(first.wait(timeout=programs.SECONDS), 0)
        self.assertEqual(second.code, 1, second)
        self.assertIn("another run", second.err)
        self.same(out)


class Dump(unittest.TestCase):
    """A dump changes no number, and holds what a step read, wrote and was told."""

    @classmethod
    def setUpClass(cls):
        cls.out = pathlib.Path(FOLDER.name) / "dumped"
        programs.succeed(*command(cls.out, 2, "--dump", "0,1,17"))
        cls.tensors = {step: programs.read_tensors(cls.out / STAGE / "dump" / f"step-{step:06}.safetensors")[0] for step in (0, 1, 17)}
        manifest = json.loads(programs.succeed(PROGRAM, "--manifest"))
        cls.stage = next(stage for stage in manifest["stages"] if stage["name"] == STAGE)

    def test_numbers_are_those_without(self):
        self.assertEqual([programs.numbers_of(step) for step in programs.steps_of(self.out, STAGE)],
                         [programs.numbers_of(step) for step in programs.steps_of(WHOLE, STAGE)])
        self.assertEqual(programs.read_tensors(self.out / STAGE / "weights.safetensors")[0], programs.read_tensors(WHOLE / STAGE / "weights.safetensors")[0])

    def test_only_the_named_steps(self):
        self.assertEqual(sorted(path.name for path in (self.out / STAGE / "dump").iterdir()),
                         ["step-000000.safetensors", "step-000001.safetensors", "step-000017.safetensors"])

    def test_what_it_holds(self):
        weights = {state["path"]: tuple(state["shape"]) for state in self.stage["states"]
                   if state["kind"] == "weight" and ":" not in state["path"]}
        self.assertGreater(len(weights), 10)
        for step, tensors in self.tensors.items():
            for path, shape in weights.items():
                for part in ("before", "gradient", "after"):
                    self.assertEqual(tensors[f"{part}/{path}"][:2], ("F32", shape), (step, part, path))
            for micro in (0, 1):
                for name, dtype in (("line.ids", "I32"), ("line.labels", "I32"), ("line.length", "I32"), ("line.supervised", "F32"), ("rng", "I32")):
                    self.assertEqual(tensors[f"input/{micro}/{name}"][0], dtype)
            self.assertNotEqual(tensors["input/0/line.ids"][2], tensors["input/1/line.ids"][2])
            self.assertTrue(any(name.startswith("moment/") for name in tensors))

    def test_one_step_follows_from_the_other(self):
        first, second = self.tensors[0], self.tensors[1]
        after = {name[6:]: content for name, content in first.items() if name.startswith("after/")}
        self.assertEqual(after, {name[7:]: content for name, content in second.items() if name.startswith("before/")})
        trained = [name for name, content in second.items() if name.startswith("after/") and content != second["before/" + name[6:]]]
        self.assertEqual(len(trained), len(after), "some weights did not move in step 1")

    def test_losses_are_those_of_the_log(self):
        for step, tensors in self.tensors.items():
            logged = programs.steps_of(self.out, STAGE)[step]
            for name in ("loss", "loss.lm", "lr", "grad_norm"):
                value = struct.unpack("<f", tensors[f"output/{name}"][2])[0]
                self.assertEqual(value, struct.unpack("<f", struct.pack("<f", logged[name]))[0], (step, name))

    def test_steps_out_of_range(self):
        ended = programs.run(*command(pathlib.Path(FOLDER.name) / "beyond", 2, "--dump", "40"))
        self.assertEqual(ended.code, 1, ended)
        self.assertIn("steps 0 to 39", ended.err)


if __name__ == "__main__":
    unittest.main()
