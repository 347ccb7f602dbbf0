# SPDX-License-Identifier: Apache-2.0
"""tests/gpu apart from the GPU: what is compared and how, what is made of profiles and logs, who refuses what. The same functions judge
where there is one."""
import array
import ctypes
import hashlib
import importlib.machinery
import importlib.util
import json
import pathlib
import struct
import sys
import time
import unittest
import unittest.mock

import programs

GPU = programs.TOP / "tests" / "gpu"
sys.path.insert(0, str(GPU))
import comparing  # noqa: E402
import measuring  # noqa: E402


def script(name):
    """A file without an ending, as a module."""
    loader = importlib.machinery.SourceFileLoader(f"gpu_{name}", str(GPU / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def driver_is_here():
    try:
        return bool(ctypes.CDLL("libcuda.so.1"))
    except OSError:
        return False


def f32(values):
    return "F32", array.array("f", values)


STEP = {"input/0/x": f32([1, 2]), "output/loss": f32([2.5]), "gradient/w": f32([3.0, 4.0] * 50), "gradient/small": f32([1e-6, -1e-6]), "after/w": f32([1.0] * 100)}


class Comparing(unittest.TestCase):
    def judged(self, limit=1e-5, by_tensor=True, **changed):
        digest = array.array("B", hashlib.sha256(STEP["input/0/x"][1].tobytes()).digest())
        lines, good = comparing.compare({**STEP, **changed.pop("ours", {})}, {**STEP, "input/0/x": ("U8", digest)}, limit, by_tensor)
        return "\n".join(lines), good

    def test_the_same_is_within_any_limit(self):
        for by_tensor in (False, True):
            text, good = self.judged(limit=0, by_tensor=by_tensor)
            self.assertTrue(good, text)

    def test_what_is_off_is_named(self):
        off = array.array("f", STEP["gradient/w"][1])
        off[0] += 0.01
        text, good = self.judged(ours={"gradient/w": ("F32", off)})
        self.assertFalse(good)
        self.assertIn("gradient  2.83e-04 (at most 1e-05): gradient/w  TOO FAR", text)  # 0.01 of sqrt(50 * 25)
        self.assertTrue(self.judged(limit=1e-3, ours={"gradient/w": ("F32", off)})[1])
        self.assertFalse(self.judged(by_tensor=False, ours={"gradient/w": ("F32", off)})[1])
        self.assertFalse(self.judged(ours={"output/loss": f32([2.5001])})[1])

    def test_what_is_next_to_nothing_is_measured_by_the_others(self):
        self.assertTrue(self.judged(ours={"gradient/small": f32([1.1e-6, -1e-6])})[1])
        self.assertFalse(self.judged(ours={"gradient/small": f32([1e-2, 0])})[1])

    def test_what_a_weight_becomes_by_rounding_alone_is_left_out(self):
        small, large = {"after/small": f32([1.0, 1.0])}, {"after/w": f32([1.001] * 100)}
        theirs = {**STEP, **small}
        self.assertEqual(comparing.rounding_alone(theirs), {"small"})
        self.assertEqual(set(comparing.distances({**theirs, "after/small": f32([1.1, 1.0])}, theirs, "after/")), {"after/w"})
        self.assertFalse(self.judged(ours=large)[1])

    def test_new_weights_that_nothing_but_rounding_moved_are_judged_with_the_others(self):
        """AdamW moves them by a whole rate, to either side."""
        theirs = {"gradient/b": f32([1e-9] * 4), "after/b": f32([1e-3] * 4)}
        ours = {"gradient/b": f32([-1e-9] * 4), "after/b": f32([-1e-3] * 4)}
        step = {**STEP, **theirs, "input/0/x": ("U8", array.array("B", hashlib.sha256(STEP["input/0/x"][1].tobytes()).digest()))}
        self.assertEqual(comparing.rounding_alone(step), {"b", "small"})
        self.assertTrue(comparing.compare({**STEP, **ours}, step, 1e-3, by_tensor=True)[1])
        self.assertFalse(comparing.compare({**STEP, **ours}, step, 1e-5, by_tensor=True)[1], "together they are 4e-4")
        self.assertFalse(comparing.compare({**STEP, **ours, "after/w": f32([1.01] * 100)}, step, 1e-3, by_tensor=True)[1])

    def test_gradients_of_fp16_are_without_their_scale(self):
        scaled = {name: ("F32", array.array("f", (1024 * x for x in values))) if name.startswith("gradient/") else (kind, values) for name, (kind, values) in STEP.items()}
        self.assertFalse(self.judged(ours=scaled)[1])
        self.assertTrue(self.judged(ours={**scaled, "output/loss_scale": f32([1024]), "output/skipped": f32([0])})[1])
        self.assertTrue(comparing.skipped({"output/skipped": f32([1])}))
        self.assertFalse(comparing.skipped(STEP))

    def test_each_kind_has_its_limit(self):
        off = {"gradient/w": f32([3.03, 4.04] * 50)}
        self.assertTrue(self.judged(limit={"output/": 0, "gradient/": 2e-2, "after/": 0}, by_tensor=False, ours=off)[1])
        self.assertFalse(self.judged(limit={"output/": 2e-2, "gradient/": 1e-3, "after/": 0}, by_tensor=False, ours=off)[1])

    def test_steps_that_draw(self):
        self.assertTrue(comparing.draws({"input/0/rng": f32([1])}))
        self.assertFalse(comparing.draws(STEP))

    def test_another_batch_is_no_comparison(self):
        text, good = self.judged(ours={"input/0/x": f32([1, 3])})
        self.assertFalse(good)
        self.assertEqual(text, "input input/0/x differs: another batch")

    def test_missing_tensors_are_no_silence(self):
        ours = {name: value for name, value in STEP.items() if name != "gradient/w"}
        with self.assertRaisesRegex(ValueError, "gradient/w is not in both"):
            comparing.distances(ours, STEP, "gradient/")

    def test_a_nan_is_too_far(self):
        self.assertFalse(self.judged(limit=1e9, ours={"output/loss": f32([float("nan")])})[1])
        self.assertFalse(self.judged(limit=1e9, by_tensor=False, ours={"output/loss": f32([float("nan")])})[1])
        self.assertFalse(self.judged(limit=1e9, ours={"gradient/w": f32([float("nan")] * 100)})[1], "not the first of its kind")

    def test_files(self):
        with programs.fresh_folder() as folder:
            path, small = pathlib.Path(folder) / "a", pathlib.Path(folder) / "b"
            programs.write_tensors(path, {"before/w": ("F32", [2], struct.pack("<2f", 1, 2)), "before/b": ("F32", [1], struct.pack("<f", 3)), "after/b": ("F32", [1], struct.pack("<f", 3)),
                                          "gradient/w": ("F32", [2], struct.pack("<2f", 3, 4)),
                                          "input/0/n": ("I32", [1], struct.pack("<i", 7)), "after/w": ("BF16", [1], struct.pack("<H", 0x3f80))}, {"step": "0"})
            comparing.reduced(path, small)
            found = comparing.read(small)
            self.assertEqual({name: list(values) for name, (_, values) in found.items()}, {"gradient/w": [3, 4], "input/0/n": list(hashlib.sha256(struct.pack("<i", 7)).digest()), "after/w": [1.0]})


class Truth(unittest.TestCase):
    def test_a_program_agrees_with_itself_and_not_with_another_seed(self):
        prepare = script("prepare")
        prepare.LONG = 12
        program = programs.compiled("words")
        with programs.fresh_folder() as scratch:
            folder = pathlib.Path(scratch)
            stages = prepare.truth(program, folder, 5)
            self.assertIn("pretrain", stages)
            out = folder / "again"
            programs.succeed(program, "--stage", "pretrain", "--synthetic", "--seed", 5, "--out", out, "--threads", 2, "--max-steps", 2, "--dump", "0,1")
            for step in range(2):
                ours, theirs = comparing.read(out / "pretrain.synthetic" / "dump" / f"step-{step:06}.safetensors"), comparing.read(folder / f"pretrain-{step}.safetensors")
                lines, good = comparing.compare(ours, theirs, 1e-5, by_tensor=True)
                self.assertTrue(good, lines)
                self.assertGreater(sum(name.startswith("gradient/") for name in theirs), 3)
            programs.succeed(program, "--stage", "pretrain", "--synthetic", "--seed", 6, "--out", out, "--threads", 2, "--max-steps", 1, "--dump", "0")
            ours = comparing.read(out / "pretrain.synthetic" / "dump" / "step-000000.safetensors")
            self.assertFalse(comparing.compare(ours, comparing.read(folder / "pretrain-0.safetensors"), 1e-5, by_tensor=True)[1])
            self.assertEqual(len(comparing.losses(folder / "pretrain.jsonl")), 12)

    def test_libraries_are_those_that_not_every_linux_has(self):
        names = {path.name for path in script("prepare").libraries(programs.compiled("words"))}
        self.assertTrue(any(name.startswith("libsentencepiece") for name in names), names)
        self.assertFalse(any(name.startswith(("libc.so", "libm.so", "ld-linux", "libpthread")) for name in names), names)


def trace(folder, launches):
    path = pathlib.Path(folder) / "profile.json"
    path.write_text(json.dumps({"traceEvents": [{"ph": "M", "name": "x"}, {"ph": "X", "name": "loop", "dur": 5}] + [
        {"ph": "X", "name": "lm", "dur": microseconds, "args": {"kernel": kernel, "launch": "micro/0", "bytes": size, "flops": flops}}
        for kernel, microseconds, size, flops in launches]}))
    return path


class Measuring(unittest.TestCase):
    def test_kernels_that_move_much(self):
        with programs.fresh_folder() as folder:
            found = measuring.launches(trace(folder, [
                ("row_0123abcd_r1v4_af", 100, 100e6, 1), ("row_0123abcd_r1v4_af", 50, 100e6, 1), ("row_76543210_r1v4_af", 200, 100e6, 1),
                ("row_76543210_r1v4_af", 1, 1e6, 1), ("flat_0123abcd_r1v4_u", 40, 64e6, 1), ("gemm 8x8x8", 1, 1e9, 1), ("copy", 1, 1e9, 0)]))
        self.assertEqual(len(found), 7)
        shares = measuring.bandwidths(found, copy_rate=4e12)
        self.assertEqual(set(shares), {"row", "flat"})
        self.assertEqual(shares["row"]["kernels"], 2)
        self.assertAlmostEqual(shares["row"]["best"], 0.5)
        self.assertAlmostEqual(shares["row"]["worst"], 0.125)
        self.assertAlmostEqual(shares["flat"]["median"], 0.4)

    def test_products(self):
        least = measuring.products([("gemm 512x256x64 nt", "a", 2e-6, 1, 100), ("gemm 512x256x64 nt", "b", 1e-6, 1, 100),
                                    ("gemm 4 x 5x6x7", "c", 3e-6, 1, 9), ("gemm 8x9x10 packed", "d", 4e-6, 1, 9), ("row_0123abcd", "d", 1, 1, 1)])
        self.assertEqual(least, {(1, 512, 256, 64, False, True): (1e-6, 100), (4, 5, 6, 7, False, False): (3e-6, 9), (1, 8, 9, 10, False, False): (4e-6, 9)})

    def test_attention(self):
        found = [("attention 4 x 608x608 32x128 causal", "a", 2e-4, 1, 800), ("attention 4 x 608x608 32x128 causal", "b", 1e-4, 1, 800),
                 ("attention_grad 4 x 96x785 12/4x64 lengths", "c", 3e-4, 1, 9), ("attention 2 x 8x8 4x8 causal lengths starts", "d", 1, 1, 1),
                 ("attention 2 x 30x100 12/6x96 causal lengths", "e", 1e-4, 1, 7), ("gemm 4x5x6", "f", 1, 1, 1), ("attention 1 x 2x2 1x8", "g", 0.0, 1, 1)]
        self.assertEqual(measuring.attentions(found), {
            "attention 4 x 608x608 32x128 causal": (measuring.Attention(False, 4, 608, 608, 32, 32, 128, True, False), 1e-4, 800),
            "attention_grad 4 x 96x785 12/4x64 lengths": (measuring.Attention(True, 4, 96, 785, 12, 4, 64, False, True), 3e-4, 9),
            "attention 2 x 30x100 12/6x96 causal lengths": (measuring.Attention(False, 2, 30, 100, 12, 6, 96, True, True), 1e-4, 7)})

    def test_attention_beside_pytorchs(self):
        """What `run` tells of each call, where PyTorch has it and where not."""
        run = script("run")

        class Fastest:
            @staticmethod
            def fastest(shape):
                if shape.backward:
                    raise RuntimeError("flash: no kernel")
                return 2e-4, "cuDNN"
        bench, said, results = run.Bench.__new__(run.Bench), [], {}
        bench.results, bench.say, bench.end = {"not_run": []}, said.append, time.time() + 60
        found = [("attention 4 x 8x8 2x8 causal", "a", 1e-4, 1, 4e10), ("attention_grad 4 x 8x8 2x8 causal", "a", 2e-4, 1, 1e11)]
        with unittest.mock.patch.dict(sys.modules, {"attending": Fastest}):
            bench.attention(found, results)
            self.assertEqual(said, ["attention_grad 4 x 8x8 2x8 causal: 500 TF/s", "attention 4 x 8x8 2x8 causal: 400 TF/s, 2.00 of PyTorch's rate (cuDNN, 200 TF/s)"])
            self.assertEqual(results["attention"]["attention 4 x 8x8 2x8 causal"], {"seconds": 1e-4, "flops_per_second": 4e14, "torch_seconds": 2e-4, "torch_backend": "cuDNN"})
            self.assertEqual(bench.results["not_run"], ["PyTorch's attention_grad 4 x 8x8 2x8 causal: flash: no kernel"])
            bench.attention([], results)
            self.assertEqual(bench.results["not_run"][1:], ["attention: the program has none as a call"])

    def test_steps(self):
        with programs.fresh_folder() as folder:
            log = pathlib.Path(folder) / "log.jsonl"
            kinds = ["image"] * 4 + ["video", "image", "video", "video", "image", "video", "image", "image", "video"]
            seen, entries = {}, [{"event": "start"}]
            for kind in kinds:
                seen[kind] = seen.get(kind, 0) + 1
                entries.append({"loss": 1.0, "seconds": 9.0 if seen[kind] <= 3 else {"image": 0.5, "video": 1.5}[kind], "variants": [kind], "samples": 4, "tokens": 100, "data_wait": 0.25})
            log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
            self.assertEqual(measuring.steps(log), {"steps": 7, "variants": ["image", "video"], "seconds": 1.0, "samples_per_second": 4.0, "tokens_per_second": 100.0, "data_wait": 0.25})
            with self.assertRaisesRegex(ValueError, "no step of video behind the first 5"):
                measuring.steps(log, warm=5)
        self.assertAlmostEqual(measuring.utilisation(99e12, 0.2), 0.5)


class Refusals(unittest.TestCase):
    def prepared(self, folder, modes):
        (pathlib.Path(folder) / "about.json").write_text(json.dumps({"modes": modes}))

    @unittest.skipIf(driver_is_here(), "this machine has a driver")
    def test_without_a_gpu(self):
        with programs.fresh_folder() as folder:
            self.prepared(folder, ["correctness", "step"])
            for mode in ("correctness", "step"):
                ended = programs.run(sys.executable, GPU / "run", mode, "--folder", folder)
                self.assertEqual(ended.code, 6, str(ended))
                self.assertEqual(ended.err, "error: this machine has no NVIDIA driver (libcuda.so.1): nothing was run\n")
                self.assertEqual([path.name for path in pathlib.Path(folder).iterdir()], ["about.json"], "no results of what was not run")

    def test_what_was_not_prepared(self):
        with programs.fresh_folder() as folder:
            ended = programs.run(sys.executable, GPU / "run", "step", "--folder", folder)
            self.assertEqual(ended.code, 2, str(ended))
            self.assertIn("holds nothing that `prepare` made", ended.err)
            self.prepared(folder, ["correctness"])
            ended = programs.run(sys.executable, GPU / "run", "step", "--folder", folder)
            self.assertEqual(ended.code, 2, str(ended))
            self.assertIn("was not prepared for step", ended.err)
            self.assertIn("is not empty", programs.run(sys.executable, GPU / "prepare", folder).err)


if __name__ == "__main__":
    unittest.main()
