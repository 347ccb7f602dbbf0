# SPDX-License-Identifier: Apache-2.0
"""The compiled program as a command: what it prints, its options, its exit codes, what it is linked to."""
import json
import pathlib
import re
import shutil
import struct
import unittest

import programs


def xxh64(data):
    """XXH64 with seed 0, from its specification."""
    mask, p = (1 << 64) - 1, (11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261)

    def turn(value, by):
        return ((value << by) | (value >> (64 - by))) & mask

    def lane(value, word):
        return turn((value + word * p[1]) & mask, 31) * p[0] & mask
    place = 0
    if len(data) >= 32:
        lanes = [(p[0] + p[1]) & mask, p[1], 0, -p[0] & mask]
        while place + 32 <= len(data):
            lanes = [lane(value, word) for value, word in zip(lanes, struct.unpack_from("<4Q", data, place))]
            place += 32
        value = sum(turn(x, by) for x, by in zip(lanes, (1, 7, 12, 18))) & mask
        for x in lanes:
            value = ((value ^ lane(0, x)) * p[0] + p[3]) & mask
    else:
        value = p[4]
    value = (value + len(data)) & mask
    while place + 8 <= len(data):
        value = (turn(value ^ lane(0, struct.unpack_from("<Q", data, place)[0]), 27) * p[0] + p[3]) & mask
        place += 8
    if place + 4 <= len(data):
        value = (turn(value ^ struct.unpack_from("<I", data, place)[0] * p[0] & mask, 23) * p[1] + p[2]) & mask
        place += 4
    for byte in data[place:]:
        value = turn(value ^ byte * p[4] & mask, 11) * p[0] & mask
    value = (value ^ value >> 33) * p[1] & mask
    value = (value ^ value >> 29) * p[2] & mask
    return value ^ value >> 32


def setUpModule():
    global FOLDER, DATA, PROGRAM
    FOLDER = programs.fresh_folder()
    DATA = programs.words_data(pathlib.Path(FOLDER.name) / "data")
    PROGRAM = programs.compiled("words")


def tearDownModule():
    FOLDER.cleanup()


class Case(unittest.TestCase):
    def folder(self):
        return pathlib.Path(FOLDER.name) / self.id().split(".")[-1]

    def ends(self, code, *options, program=None, out=None, **limits):
        command = [program or PROGRAM, *options, "--data", DATA, "--out", out or self.folder(), "--threads", "1"]
        ended = programs.run(*command, **limits)
        self.assertEqual(ended.code, code, ended)
        return ended


class Prints(Case):
    def test_overview(self):
        before = self.ends(0).out
        for words in ("words, compiled by vcc", "stage 1 pretrain: 40 steps of 2 micro-batches", "trains  lm 25,", "starts  from init",
                      "stage 2 tune: 6 steps", "pretrain/weights.safetensors (missing)", "texts.json", "not started"):
            self.assertIn(words, before)
        self.assertNotIn("texts.json (missing)", before)
        self.assertFalse(self.folder().exists(), "an overview writes nothing")
        self.ends(0, "--stage", "1", "--max-steps", "3")
        self.assertIn("stopped after 3 of 40 steps", self.ends(0).out)

    def test_counts_are_those_of_the_weights(self):
        text = self.ends(0).out
        block = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64 + 2 * 32
        total = 256 * 32 + block + 32 + 256 * 32
        self.assertIn(f"trains  lm {total:,}\n", text)
        self.assertIn(f"trains  lm {256 * 32:,}\n  frozen  lm {total - 256 * 32:,}\n", text)

    def test_manifest(self):
        manifest = json.loads(programs.succeed(PROGRAM, "--manifest"))
        self.assertEqual((manifest["recipe"], [stage["name"] for stage in manifest["stages"]]), ("words", ["pretrain", "tune", "borrow", "adopt"]))
        self.assertTrue(manifest["features"])
        self.assertNotIn(str(programs.TOP), json.dumps(manifest))

    def test_version(self):
        """Enough to tell two programs apart, and nothing of the machine."""
        manifest = json.loads(programs.succeed(PROGRAM, "--manifest"))
        lines = programs.succeed(PROGRAM, "--version").splitlines()
        self.assertEqual(lines[0], f"words, compiled by {programs.succeed(programs.VCC, '--version').strip()} for cpu ({manifest['cpu']})")
        self.assertRegex(lines[1], r"^ABI \d+$")
        self.assertEqual(lines[2:], [f"stage {stage['number']} {stage['name']}: f32, {stage['identity']}" for stage in manifest["stages"]])

    def test_help(self):
        text = programs.succeed(PROGRAM, "--help")
        for option in ("--stage", "--data", "--weights", "--out", "--max-steps", "--seed", "--resume", "--threads", "--dump", "--manifest", "--help", "exit codes"):
            self.assertIn(option, text)


class Usage(Case):
    def test_unknown_options(self):
        for given, meant in (("--stagee", "--stage"), ("--max-step", "--max-steps"), ("--resum", "--resume")):
            self.assertIn(f"unknown option `{given}`; did you mean `{meant}`?", self.ends(1, given, "1").err)
        self.assertNotIn("did you mean", self.ends(1, "--entirely-different").err)

    def test_wrong_values(self):
        for options, words in ((("--threads", "0"), "--threads needs a whole number of at least 1, not `0`"),
                               (("--max-steps", "many"), "not `many`"), (("--seed", "-1"), "not `-1`"),
                               (("--seed", "99999999999999999999999"), "whole number"), (("--resume", "maybe"), "`auto`, `never` or `changed-data`"),
                               (("--dump", "1,,2"), "whole number"), (("stage",), "unexpected argument `stage`"),
                               (("--help=yes",), "takes no value")):
            ended = programs.run(PROGRAM, *options)
            self.assertEqual(ended.code, 1, ended)
            self.assertIn(words, ended.err)
        ended = programs.run(PROGRAM, "--stage")
        self.assertEqual(ended.code, 1, ended)
        self.assertIn("needs a value", ended.err)

    def test_unknown_stage(self):
        ended = self.ends(1, "--stage", "pretain")
        self.assertIn("no stage `pretain`; did you mean `pretrain`?", ended.err)
        self.assertIn("its stages are pretrain, tune, borrow", ended.err)
        self.assertIn("no stage `9`", self.ends(1, "--stage", "9").err)
        self.assertFalse(self.folder().exists())

    def test_missing_earlier_stage(self):
        ended = self.ends(3, "--stage", "tune")
        self.assertIn("pretrain/weights.safetensors`, which is not there", ended.err)
        self.assertIn("run `--stage pretrain` first", ended.err)
        self.assertFalse(self.folder().exists(), "nothing was trained")

    def test_a_failure_before_the_first_step_leaves_what_was_there(self):
        """Folders that a run did not make stay, whatever they hold."""
        (self.folder() / "tune").mkdir(parents=True)
        (self.folder() / "notes.txt").write_text("mine")
        self.ends(3, "--stage", "tune")
        self.assertEqual(sorted(path.name for path in self.folder().rglob("*")), ["notes.txt", "tune"])
        self.ends(3, "--stage", "tune", "--evaluate", "all")
        self.assertEqual(sorted(path.name for path in self.folder().rglob("*")), ["notes.txt", "tune"])

    def test_out_that_cannot_be_written(self):
        file = self.folder()
        file.write_text("a file")
        self.assertIn("cannot make folder", self.ends(3, "--stage", "1", out=file).err)
        self.assertEqual(file.read_text(), "a file")
        self.assertIn("/proc/nowhere", self.ends(3, "--stage", "1", out="/proc/nowhere").err)

    def test_out_that_is_full(self):
        """/dev/full refuses every write: the log cannot be written."""
        (self.folder() / "pretrain").mkdir(parents=True)
        (self.folder() / "pretrain" / "log.jsonl").symlink_to("/dev/full")
        ended = self.ends(3, "--stage", "1")
        self.assertIn("log.jsonl", ended.err)


class Evaluates(Case):
    def test_evaluate(self):
        self.assertIn("has no checkpoint", self.ends(3, "--evaluate", "quiz").err)
        self.ends(0, "--stage", "1", "--max-steps", "4")
        trained = self.ends(0, "--stage", "2")
        summary = json.loads((self.folder() / "tune" / "summary.json").read_text())
        accuracy = summary["evaluations"]["quiz"]["accuracy"]
        self.assertEqual(summary["evaluations"]["quiz"]["records"], 12)
        log = (self.folder() / "tune" / "log.jsonl").read_bytes()
        for name in ("quiz", "all"):
            again = self.ends(0, "--evaluate", name)
            self.assertIn("quiz:", again.out)
        result = json.loads((self.folder() / "tune" / "evaluation-quiz.json").read_text())
        self.assertEqual(result["accuracy"], accuracy, trained)
        self.assertEqual(sorted(result["groups"]), ["grass", "sky", "sun"])
        self.assertEqual(log, (self.folder() / "tune" / "log.jsonl").read_bytes(), "an evaluation alone leaves the log as it is")
        self.assertIn("no evaluation `quizz`; did you mean `quiz`?", self.ends(1, "--evaluate", "quizz").err)

    def test_frozen_weights_are_kept(self):
        self.ends(0, "--stage", "1,2", "--max-steps", "4")
        summary = json.loads((self.folder() / "tune" / "summary.json").read_text())
        self.assertEqual(summary["frozen"]["before"], summary["frozen"]["after"])
        before, _ = programs.read_tensors(self.folder() / "pretrain" / "weights.safetensors")
        after, metadata = programs.read_tensors(self.folder() / "tune" / "weights.safetensors")
        self.assertEqual(list(after), ["lm.lm_head.weight"])
        self.assertEqual(len(json.loads(metadata["vcc.references"])), len(before) - 1)
        self.assertNotEqual(after["lm.lm_head.weight"], before["lm.lm_head.weight"])


class NotFinite(Case):
    def test_rate_too_high(self):
        program = programs.compiled("words", "-D", "peak=1e30")
        ended = self.ends(5, "--stage", "1", program=program)
        found = re.search(r"stage `pretrain`, step (\d+): (.*)", ended.err)
        self.assertTrue(found, ended)
        self.assertRegex(found[2], r"`(lm\.[a-z_.0-9\[\]]+|loss[.a-z]*|grad_norm)`")
        self.assertIn("help:", ended.err)
        log = programs.log_of(self.folder(), "pretrain")
        self.assertEqual(log[-1]["event"], "stopped")
        self.assertEqual(log[-1]["at"], int(found[1]))
        self.assertEqual(len(programs.steps_of(self.folder(), "pretrain")), int(found[1]))
        self.assertFalse((self.folder() / "pretrain" / "weights.safetensors").exists())

    def test_last_good_checkpoint_is_kept(self):
        """A weight in the checkpoint is made infinite and its checksum mended: the next step stops, the checkpoint stays."""
        self.ends(0, "--stage", "1", "--max-steps", "10")
        checkpoints = self.folder() / "pretrain" / "checkpoints"
        newest = max(checkpoints.iterdir())
        names = [state["path"] for stage in json.loads(programs.succeed(PROGRAM, "--manifest"))["stages"] if stage["name"] == "pretrain"
                 for state in stage["states"] if state["kind"] == "weight" and ":" not in state["path"]]
        target = next(name for name in names if name.endswith("q_proj.weight"))
        tensors, _ = programs.read_tensors(newest / "state.safetensors")
        dtype, shape, content = tensors[target]
        tensors[target] = (dtype, shape, content[:20] + b"\x00\x00\x80\x7f" + content[24:])
        programs.write_tensors(newest / "state.safetensors", tensors)
        done = json.loads((newest / "DONE").read_text())
        state = (newest / "state.safetensors").read_bytes()
        done["bytes"], done["hash"] = len(state), f"{xxh64(state):016x}"
        (newest / "DONE").write_text(json.dumps(done))
        ended = self.ends(5, "--stage", "1")
        self.assertIn("step 10", ended.err)
        self.assertIn(f"the first weight that is not finite is `{target}` (element 5)", ended.err)
        self.assertIn(f"the last good checkpoint is `{newest}`", ended.err)
        self.assertTrue((newest / "DONE").exists())
        self.assertEqual(len(programs.steps_of(self.folder(), "pretrain")), 10)


class Machine(Case):
    def test_features_that_are_missing(self):
        """The list of features in a copy of the program is changed: to what this machine lacks, and to what nobody knows."""
        image = PROGRAM.read_bytes()
        manifest = programs.run(PROGRAM, "--manifest").out.rstrip("\n").encode()
        self.assertEqual(image.count(manifest), 1)
        features = json.loads(manifest)["features"]
        flags = pathlib.Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split()
        for other in ("xop", "sm4", "tbm", "sgx", "amx-int8", "kl"):
            if other.replace("-", "_") not in flags:
                break
        victim = next(feature for feature in features if len(feature) > len(other) + 1)
        for written, words in ((other, f"lacks {other}"), ("q" * len(other), "cannot check")):
            # JSON allows spaces, so the manifest keeps its length.
            changed = manifest.replace(f'"{victim}"'.encode(), f'"{written}"'.encode() + b" " * (len(victim) - len(written)), 1)
            self.assertEqual(len(changed), len(manifest))
            copy = self.folder()
            copy.mkdir(exist_ok=True)
            program = copy / "train.bin"
            program.write_bytes(image.replace(manifest, changed))
            program.chmod(0o755)
            ended = self.ends(6, "--stage", "1", program=program, out=copy / "out")
            self.assertIn(words, ended.err)
            self.assertIn("was compiled for", ended.err)
            self.assertIn("--cpu=", ended.err)
            self.assertFalse((copy / "out").exists())
            self.assertEqual(programs.run(program, "--manifest").code, 0)

    def test_narrower_cpu_runs(self):
        program = programs.compiled("clips", "--cpu", "x86-64-v2")
        manifest = json.loads(programs.succeed(program, "--manifest"))
        self.assertNotIn("avx", manifest["features"])
        data = programs.clips_data(self.folder() / "data", count=4)
        programs.succeed(program, "--stage", "all", "--data", data, "--out", self.folder() / "out")
        steps = programs.steps_of(self.folder() / "out", "classify")
        self.assertEqual(len(steps), 12)
        self.assertLess(steps[-1]["loss"], steps[0]["loss"])

    def test_unknown_cpu(self):
        ended = programs.run(programs.VCC, "compile", programs.RECIPES / "clips.vcs", "-o", self.folder(), "--cpu", "z80", memory=8 * programs.GIGABYTE)
        self.assertEqual(ended.code, 1, ended)
        self.assertIn("z80", ended.err)
        self.assertFalse(self.folder().exists())


class Image(unittest.TestCase):
    def test_needs(self):
        """What the loader must find. libav is opened at run time, and only by a program whose recipe reads media."""
        text = programs.succeed("readelf", "-d", PROGRAM)
        needed = re.findall(r"NEEDED.*\[(.*?)\]", text)
        self.assertGreater(len(needed), 4)
        for library in needed:
            self.assertRegex(library, r"^(libdnnl|libfmt|libsimdjson|libsentencepiece|libicuuc|libicudata|libz|libgomp|libstdc\+\+|libm|libgcc_s|libc|ld-linux-x86-64)\.so")
        self.assertNotIn("RPATH", text)
        self.assertNotIn("RUNPATH", text)
        everything = programs.succeed("ldd", PROGRAM)
        for word in ("LLVM", "MLIR", "python", "vcc", "avcodec", "avformat", "antlr", "not found"):
            self.assertNotIn(word, everything)
        self.assertIn(b"libavformat", PROGRAM.read_bytes())

    def test_is_an_ordinary_program(self):
        header = programs.succeed("readelf", "-h", "-l", "-W", PROGRAM)
        self.assertIn("Advanced Micro Devices X86-64", header)
        self.assertIn("DYN", header)
        self.assertRegex(header, r"GNU_STACK.* RW ")
        self.assertNotIn(str(programs.TOP).encode(), PROGRAM.read_bytes(), "a path of the machine that compiled it")

    def test_runs_elsewhere(self):
        """Moved away from vcc, with an empty PATH and an empty home."""
        with programs.fresh_folder() as folder:
            moved = pathlib.Path(folder) / "t"
            shutil.copy(PROGRAM, moved)
            ended = programs.run(moved, "--stage", "1", "--max-steps", "2", "--data", DATA, "--out", "out", cwd=folder, env={"PATH": "/nowhere"})
            self.assertEqual(ended.code, 0, ended)
            self.assertEqual(len(programs.steps_of(pathlib.Path(folder) / "out", "pretrain")), 2)


if __name__ == "__main__":
    unittest.main()
