# SPDX-License-Identifier: Apache-2.0
"""Programs for a GPU, run to their numbers without one: their own PTX, products, attention, graphs and copies on the stand-in of NVIDIA's
libraries (tests/ptx), beside the same recipe on the CPU."""
import os
import pathlib
import re
import sys
import unittest

import environment
import programs

sys.path.insert(0, str(programs.TOP / "tests" / "gpu"))
import comparing  # noqa: E402

TINY = programs.TOP / "examples" / "tiny_videochat2" / "tiny_videochat2.vcs"
STAGES = ("language", "encoder", "align", "connect", "instruct")
# Where a step draws negatives, or takes the query that is most alike, rounding decides now and then, and gradients are another draw's.
DRAWN = {"output/": 2e-2, "gradient/": 0.25, "after/": 2e-2}
LIBRARIES = programs.BUILD / "lib" / "gpu_stand_in"


def setUpModule():
    global SCRATCH, FOLDER, DATA, SEED, HERE
    if programs.SANITIZED:
        raise unittest.SkipTest("kernels are compiled without instruments")
    environment.use_ptxas()
    SCRATCH = programs.fresh_folder()
    FOLDER = pathlib.Path(SCRATCH.name)
    DATA = programs.words_data(FOLDER / "data")
    SEED = programs.chosen_seed()
    print(f"seed {SEED} (VCC_TEST_SEED)")
    (FOLDER / "ptx").mkdir()
    HERE = {**os.environ, "LD_LIBRARY_PATH": str(LIBRARIES), "VCC_PTX_CACHE": str(FOLDER / "ptx")}


def tearDownModule():
    SCRATCH.cleanup()


def on_gpu(program, *words, env=None, seconds=600):
    return programs.succeed(program, *words, "--cuda-libs", LIBRARIES, env={**HERE, **(env or {})}, seconds=seconds, memory=8 * programs.GIGABYTE)


def compiled_tiny(name, *options):
    program = FOLDER / name
    if not program.exists():
        programs.succeed(programs.VCC, "compile", TINY, "-o", program, *options, seconds=300)
    return program


def dumps(out, stage, steps):
    return [out / f"{stage}.synthetic" / "dump" / f"step-{step:06}.safetensors" for step in steps]


class Steps(unittest.TestCase):
    """The first run of a function is a list of calls, the second a graph that is captured, the third one that is replayed."""
    maxDiff = None

    def beside_the_cpu(self, numerics, stage, limit, steps, by_tensor, options=()):
        words = ("--stage", stage, "--synthetic", "--seed", SEED, "--max-steps", max(steps) + 1, "--dump", ",".join(map(str, steps)))
        cpu = FOLDER / f"cpu-{stage}"
        if not all(path.exists() for path in dumps(cpu, stage, steps)):
            programs.succeed(compiled_tiny("cpu"), *words, "--threads", 2, "--out", cpu, seconds=300)
        name = "".join([numerics, *options])
        ours = FOLDER / f"{name}-{stage}"
        on_gpu(compiled_tiny(name, "--target=cuda", "-D", f"numerics={numerics}", *options), *words, "--out", ours)
        close = []
        for path, truth in zip(dumps(ours, stage, steps), dumps(cpu, stage, steps)):
            small = truth.with_suffix(".small")
            comparing.reduced(truth, small)
            found, wanted = comparing.read(path), comparing.read(small)
            lines, good = comparing.compare(found, wanted, limit, by_tensor)
            print(f"{name} {stage} {path.name}:", "; ".join(lines))
            apart = comparing.draws(wanted) and comparing.compare(found, wanted, DRAWN, by_tensor=False)[1]
            self.assertTrue(good or apart, "\n".join([f"{numerics} {stage} {path.name}", *lines]))
            close.append(good)
        self.assertTrue(any(close), f"{numerics} {stage}: all steps drew something else")

    def test_of_every_stage_in_f32_are_the_cpus(self):
        for stage in STAGES:
            self.beside_the_cpu("f32", stage, 2e-5, (0, 1, 2), by_tensor=True)

    def test_with_joined_adapters_are_the_cpus(self):
        self.beside_the_cpu("f32", "instruct", 2e-5, (0, 1, 2), by_tensor=True, options=["--lora=joined"])
        # What a program reads and writes of these matrices is as the recipe has them, not as its products do.
        ours, theirs = (programs.read_tensors(dumps(FOLDER / f"{name}-instruct", "instruct", (2,))[0])[0] for name in ("f32--lora=joined", "cpu"))
        frozen = [name for name in theirs if re.fullmatch(r"before/lm\..*\.[qv]_proj\.weight", name)]
        self.assertTrue(frozen)
        for name in frozen:
            self.assertEqual(ours[name], theirs[name], name)
        self.beside_the_cpu("bf16", "instruct", 8e-2, (0,), by_tensor=False, options=["--lora=joined"])

    def test_in_bf16_differ_by_rounding(self):
        # With attention as cuDNN's calls. Gradients of a small model that was drawn: what rounding each value to 8 bits does to them.
        for stage in ("language", "instruct"):
            self.beside_the_cpu("bf16", stage, 8e-2, (0,), by_tensor=False)

    def test_in_fp16_differ_by_rounding(self):
        # The loss is scaled, and 11 bits are kept of each value.
        self.beside_the_cpu("fp16", "language", 1e-2, (0,), by_tensor=False)


class Runs(unittest.TestCase):
    def train(self, out, *words, **options):
        program = programs.compiled("words", "--target=cuda")
        return on_gpu(program, "--stage", "pretrain", "--data", DATA, "--out", FOLDER / out, *words, **options)

    def numbers(self, out):
        return [programs.numbers_of(step) for step in programs.steps_of(FOLDER / out, "pretrain")]

    def test_of_real_data_train_as_on_the_cpu_and_go_on_where_they_stopped(self):
        self.train("whole", "--max-steps", 12)
        cpu = FOLDER / "cpu-words"
        programs.succeed(programs.compiled("words"), "--stage", "pretrain", "--data", DATA, "--out", cpu, "--threads", 2, "--max-steps", 12)
        theirs = [entry["loss"] for entry in programs.steps_of(cpu, "pretrain")]
        ours = [entry["loss"] for entry in programs.steps_of(FOLDER / "whole", "pretrain")]
        self.assertEqual(len(ours), 12)
        for step, (a, b) in enumerate(zip(ours, theirs)):
            self.assertAlmostEqual(a, b, delta=1e-4 * abs(b), msg=f"step {step}")
        self.train("parts", "--max-steps", 5)
        self.train("parts", "--max-steps", 12)
        self.assertEqual(self.numbers("parts"), self.numbers("whole"))

    def test_begin_with_what_the_gpu_is_and_holds(self):
        program = programs.compiled("words", "--target=cuda")
        said = on_gpu(program, "--stage", "pretrain", "--synthetic", "--max-steps", 1, "--out", FOLDER / "told")
        self.assertRegex(said, r"GPU: .*, cuBLASLt \d+\.\d+\.\d+")
        self.assertRegex(said, r"GPU memory: \S+ \S+ frozen weights, 0\.[1-9] MB trained weights, gradients and moments, ")

    def test_without_a_library_leave_nothing(self):
        """Also not without what an earlier run left: it is missed before that is thrown away."""
        (FOLDER / "none").mkdir()
        program, words = programs.compiled("words", "--target=cuda"), ("--stage", "pretrain", "--data", DATA, "--max-steps", 2)
        for out, earlier in (("nothing", False), ("kept", True)):
            if earlier:
                self.train(out, "--max-steps", 2)
            ended = programs.run(program, *words, "--resume", "never", "--out", FOLDER / out, "--cuda-libs", FOLDER / "none", env=HERE, memory=8 * programs.GIGABYTE)
            self.assertEqual(ended.code, 6, ended.err)
            self.assertIn("matrix products need libcublasLt", ended.err)
            self.assertEqual((FOLDER / out).exists(), earlier)
        self.assertEqual(len(self.numbers("kept")), 2)

    def test_of_one_rank_that_was_launched_change_nothing(self):
        program = programs.compiled("ranks", "--target=cuda")
        one = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
        said = {}
        for name, env in (("alone", {}), ("launched", one)):
            said[name] = on_gpu(program, "--stage", "pretrain", "--synthetic", "--seed", SEED, "--max-steps", 3, "--dump", "2", "--out", FOLDER / name, env=env)
        self.assertIn("NCCL", said["launched"])
        self.assertNotIn("NCCL", said["alone"])
        alone, launched = (programs.read_tensors(*dumps(FOLDER / name, "pretrain", [2])) for name in said)
        self.assertEqual(alone, launched)

    def test_of_two_ranks_are_those_of_two_ranks_on_the_cpu(self):
        """Gradients in buckets between micro-batches, features of all ranks, their gradients back."""
        two = ("-D", "rows=2", "-D", "ranks=2")
        for target in ("cpu", "cuda"):
            program = programs.compiled("ranks", *two, *(["--target=cuda"] if target == "cuda" else []))
            for stage in ("pretrain", "contrast"):
                words = programs.ranks(2, program, "--stage", stage, "--synthetic", "--seed", SEED, "--max-steps", 3, "--dump", "0,2", "--out", FOLDER / f"two-{target}",
                                       *(("--cuda-libs", LIBRARIES) if target == "cuda" else ("--threads", 1)))
                said = programs.succeed(*words, env=HERE if target == "cuda" else None, seconds=300, memory=8 * programs.GIGABYTE)
                self.assertEqual("NCCL" in said, target == "cuda")
        for stage in ("pretrain", "contrast"):
            for ours, truth in zip(dumps(FOLDER / "two-cuda", stage, (0, 2)), dumps(FOLDER / "two-cpu", stage, (0, 2))):
                small = truth.with_suffix(".small")
                comparing.reduced(truth, small)
                lines, good = comparing.compare(comparing.read(ours), comparing.read(small), 2e-5, by_tensor=True)
                self.assertTrue(good, "\n".join([f"{stage} {truth.name}", *lines]))


if __name__ == "__main__":
    unittest.main()
