# SPDX-License-Identifier: Apache-2.0
"""What `tests/gpu/run` does around its measurements, with stand-ins for driver, NVML, programs and twin: which GPU, how much memory, what is
written when a part fails or does not fit, in which order."""
import argparse
import ctypes
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import time
import types
import unittest
import unittest.mock

import programs
from test_gpu_bench import GPU, script

sys.path.insert(0, str(GPU))
import measuring  # noqa: E402
import watching  # noqa: E402

IDENTITY = bytes(range(16))
WRITTEN = "00010203-0405-0607-0809-0a0b0c0d0e0f"


class Driver:
    """libcuda with one GPU, or none."""

    def __init__(self, count=1, versions=("cuDeviceGetUuid_v2",)):
        self.count = count
        for name in versions:
            setattr(self, name, self.identity)

    def cuInit(self, _):
        return 0

    def cuDeviceGetCount(self, count):
        count._obj.value = self.count
        return 0

    def cuDeviceGet(self, device, number):
        device._obj.value = 5 + number
        return 0

    def cuDeviceGetName(self, name, _, device):
        assert device.value == 5
        name.value = b"NVIDIA H200"
        return 0

    def cuDriverGetVersion(self, version):
        version._obj.value = 13020
        return 0

    def identity(self, identity, device):
        assert device.value == 5
        identity.raw = IDENTITY
        return 0


class Nvml:
    """libnvidia-ml, which knows GPUs by these names."""

    def __init__(self, *known, used=(1 << 30,)):
        self.known, self.uses = known, list(used)

    def nvmlInit_v2(self):
        return 0

    def nvmlDeviceGetHandleByUUID(self, name, handle):
        handle._obj.value = 7
        return 0 if name.decode() in self.known else 6

    def nvmlDeviceGetMemoryInfo(self, handle, found):
        assert handle.value == 7
        found._obj.used = self.uses.pop(0) if len(self.uses) > 1 else self.uses[0]
        return 0


class Watching(unittest.TestCase):
    def test_the_gpu_that_programs_take(self):
        for versions in (("cuDeviceGetUuid_v2",), ("cuDeviceGetUuid",)):
            gpu = watching.Gpu(Driver(versions=versions))
            self.assertEqual((gpu.name, gpu.cuda, gpu.identity), ("NVIDIA H200", "13.2", WRITTEN))
        with self.assertRaisesRegex(watching.Missing, "shows no GPU"):
            watching.Gpu(Driver(count=0))

    def test_memory_of_a_gpu_and_of_a_part_of_one(self):
        for kind in ("GPU", "MIG"):
            self.assertEqual(watching.Memory(WRITTEN, Nvml(f"{kind}-{WRITTEN}")).used(), 1 << 30)
        with self.assertRaisesRegex(watching.Missing, "NVML knows no GPU 00010203"):
            watching.Memory(WRITTEN, Nvml("GPU-other"))
        self.assertEqual(ctypes.sizeof(watching.NvmlMemory), 24)

    def test_the_first_step_and_the_most_memory(self):
        with programs.fresh_folder() as folder:
            log = pathlib.Path(folder) / "log.jsonl"
            memory = watching.Memory(WRITTEN, Nvml(f"GPU-{WRITTEN}", used=(100, 100, 250, 900, 300)))  # the first two before
            with watching.Watch(log, memory) as watch:
                log.write_text('{"event":"start"}\n')
                time.sleep(0.1)
                self.assertIsNone(watch.first_step)
                log.write_text('{"event":"start"}\n{"step":0,"loss":1}\n')
                late = time.time() + 30
                while (watch.first_step is None or (watch.most or 0) < 800) and time.time() < late:
                    time.sleep(0.01)
            self.assertEqual(watch.most, 800)
            self.assertTrue(0.1 <= watch.first_step <= 60, watch.first_step)
            with watching.Watch(log, None) as watch:
                pass
            self.assertIsNone(watch.most)
            self.assertIsNotNone(watch.first_step, "a log that was complete when the program ended")


class Profile(unittest.TestCase):
    def test_a_programs_own(self):
        """Of a program for the CPU: the same writer. Kernels' names as the compiler gives them."""
        program = programs.compiled("words")
        with programs.fresh_folder() as folder:
            path = pathlib.Path(folder) / "profile.json"
            programs.succeed(program, "--stage", "pretrain", "--synthetic", "--out", folder, "--threads", 1, "--max-steps", 5, "--profile-steps", 2, f"--profile={path}")
            found = measuring.launches(path)
            log = next(pathlib.Path(folder).rglob("log.jsonl"))
            told = measuring.steps(log, warm=2)
        self.assertGreater(len(found), 20)
        self.assertTrue(all(seconds >= 0 and moved >= 0 and flops >= 0 for _, _, seconds, moved, flops in found))
        self.assertGreater(len(measuring.products(found)), 3)
        shares = measuring.bandwidths(found, 1e10, least=1)
        self.assertTrue(shares and all(kind.isalpha() for kind in shares), shares)
        self.assertEqual(told["steps"], 3)
        self.assertGreater(told["tokens_per_second"], 0)

    def test_kinds_of_kernels(self):
        self.assertEqual([measuring.kind_of(name) for name in ("row_c34f2611_r3v4_aaa", "flat_5a3f1fc_r1v4_u", "scatter_1_r1")], ["row", "flat", "scatter"])


def entries(seconds, variants):
    return [{"event": "start"}, *({"step": number, "loss": 1.0, "seconds": second, "variants": [variant], "samples": 4, "tokens": 100, "data_wait": 0.0}
                                  for number, (second, variant) in enumerate(zip(seconds, variants)))]


class Ours(unittest.TestCase):
    """`run step` in the order of its parts; programs and the twin are stand-ins."""

    def setUp(self):
        scratch = programs.fresh_folder()
        self.addCleanup(scratch.cleanup)
        self.folder, self.run_, self.asked = pathlib.Path(scratch.name), script("run"), []
        flops = {stage: {"image": 1e12, "video": 3e12} for stage in self.run_.STAGES}
        self.about = {"modes": ["step"], "rows": [4, 16, 36], "flops": {str(rows): flops for rows in (4, 16, 36)}, "commit": "c", "seed": 1, "programs": ["full-4", "full-16", "full-36", "joined-4", "joined-36"]}
        (self.folder / "about.json").write_text(json.dumps(self.about))
        tarfile.open(self.folder / "programs.tar.xz", "w:xz").close()
        torch = types.SimpleNamespace(__version__="0", cuda=types.SimpleNamespace(is_available=lambda: True))
        for patch in (unittest.mock.patch.dict(sys.modules, {"torch": torch}), unittest.mock.patch.object(watching, "library", lambda _: None)):
            patch.start()
            self.addCleanup(patch.stop)

    def bench(self, **given):
        given = argparse.Namespace(**{"folder": self.folder, "cuda_libs": "", "results": self.folder / "results", "mode": "step", "stages": None, "rows": None,
                                      "ways": ["compiled", "eager"], **given})
        bench = self.run_.Bench(given, types.SimpleNamespace(name="NVIDIA H200", cuda="13.0", identity=WRITTEN))
        self.addCleanup(shutil.rmtree, bench.scratch)
        bench.program = self.program
        return bench

    def program(self, name, *words, **_):
        given = dict(zip(words, words[1:]))
        self.asked.append((name, given["--stage"]))
        if name.endswith("-36"):
            raise self.run_.Ended([name], 4, "a note\nerror: it needs 150 GiB\nhelp: fewer rows")
        if (name, given["--stage"]) == ("full-16", "connect"):
            raise self.run_.Ended(["full-16"], 70, "error: something is wrong")
        log = pathlib.Path(given["--out"]) / f"{given['--stage']}.synthetic" / "log.jsonl"
        log.parent.mkdir(parents=True)
        kinds = ["image", "video"] * 5 + ["image"] * 14
        pictures, clips = (0.1, 0.3) if name.startswith("full") else (0.1, 0.22)
        log.write_text("".join(json.dumps(entry) + "\n" for entry in entries([9.0] * 6 + [pictures if kind == "image" else clips for kind in kinds[6:]], kinds)))
        return ""

    def twin(self, command, stdout, **_):
        """The twin fits at 4 rows and not at 36, and is cut off before 16."""
        given = dict(zip(command, command[1:]))
        self.asked.append((given["--ways"], given["--stage"], given["--rows"]))
        line = {"stage": given["--stage"], "rows": 4, "way": given["--ways"], "seconds": 0.3, "samples_per_second": 13.0, "tokens_per_second": 1.0, "peak_mib": 3.0, "first_step_seconds": 1.0}
        stdout.write(json.dumps(line) + "\n" + json.dumps({"stage": given["--stage"], "rows": 36, "way": given["--ways"], "does_not_fit": "CUDA out of memory"}) + '\n{"stage"')
        stdout.flush()
        raise subprocess.TimeoutExpired(command, 260)

    def test_all_that_can_be_is_measured_and_the_rest_told(self):
        bench = self.bench()
        with unittest.mock.patch.object(subprocess, "run", self.twin):
            bench.step()
        self.assertEqual(self.asked, [
            ("full-4", "connect"), ("full-36", "connect"), ("full-16", "connect"), ("full-4", "instruct"), ("full-36", "instruct"), ("full-16", "instruct"),
            ("compiled", "connect", "4,36,16"), ("compiled", "instruct", "4,36,16"), ("eager", "connect", "4,36,16"), ("eager", "instruct", "4,36,16"),
            ("joined-4", "instruct")])
        found = json.loads(bench.path.read_text())
        self.assertFalse(found["good"])
        self.assertEqual(found["faults"], ["connect 16 ours: `full-16` ended with 70: error: something is wrong"])
        twins = [f"{stage} {rows} twin {way}: {why}" for way in ("compiled", "eager") for stage in ("connect", "instruct")
                 for rows, why in ((36, "does not fit: CUDA out of memory"), (16, "not done after 260 s"))]
        self.assertEqual(found["not_run"], ["peak memory of programs: there is no libnvidia-ml.so.1", "connect 36 ours: does not fit: it needs 150 GiB",
                                            "instruct 36 ours: does not fit: it needs 150 GiB", *twins])
        ours = found["step"]["instruct 16 ours"]
        self.assertAlmostEqual(ours["seconds"], 0.2)  # of pictures 0.1 and of clips 0.3, however many of each there were
        self.assertAlmostEqual(ours["samples_per_second"], 20)
        self.assertAlmostEqual(ours["mfu"], 2e12 / 0.2 / 990e12)
        self.assertEqual(found["step"]["instruct summary"]["largest_that_fits"], 16)
        self.assertEqual(found["step"]["connect summary"]["largest_that_fits"], 4)
        self.assertAlmostEqual(found["step"]["instruct summary"]["times_the_twin"]["4"], 20 / 13)
        self.assertAlmostEqual(found["step"]["instruct summary"]["best_times_best"], 20 / 13)
        self.assertAlmostEqual(found["step"]["instruct 4 joined"]["times_apart"], 0.2 / 0.16)  # one that is faster counts for no summary

    def test_without_the_twin(self):
        bench = self.bench(stages=["instruct"], rows=[4, 16])

        def broken(command, **_):
            return types.SimpleNamespace(returncode=1, stderr="Traceback\nImportError: no transformers")
        with unittest.mock.patch.object(subprocess, "run", broken):
            bench.step()
        self.assertEqual(self.asked, [("full-4", "instruct"), ("full-16", "instruct"), ("joined-4", "instruct")])
        found = json.loads(bench.path.read_text())
        self.assertFalse(found["good"])
        self.assertIn("instruct 4 twin eager: the twin ended with 1: ImportError: no transformers", found["not_run"])
        self.assertEqual(found["step"]["instruct summary"], {"largest_that_fits": 16, "best_ours": 20.0, "best_twin": None, "times_the_twin": {}})

    def test_when_time_is_over(self):
        bench = self.bench()
        bench.end = time.time() - 1
        bench.program = lambda *_, **__: bench.left()
        bench.step()
        found = json.loads(bench.path.read_text())
        self.assertTrue(found["good"])
        self.assertEqual(found["faults"], [])
        self.assertIn("connect 4 ours: no time left", found["not_run"])
        self.assertIn("twin of instruct, eager: no time left", found["not_run"])

    def test_results_are_never_overwritten(self):
        first = self.bench()
        first.write()
        self.assertIs(json.loads(first.path.read_text())["finished"], False)  # whoever ends it now has a part of it
        second = self.bench()
        self.assertNotEqual(first.path, second.path)
        self.assertTrue(second.path.name.endswith("nvidia-h200-step-2.json"), second.path)

    def test_a_program_that_fails_says_so(self):
        bench = self.bench()
        (bench.scratch / "programs").mkdir()
        program = bench.scratch / "programs" / "broken"
        program.write_text("#!/bin/sh\necho 'GPU: NVIDIA H200 (sm_90)'\necho 'error: no memory' >&2\nexit $1\n")
        program.chmod(0o755)
        del bench.program
        self.assertIn("GPU: NVIDIA", bench.program("broken", 0))
        self.assertEqual(bench.results["program"], "NVIDIA H200 (sm_90)")
        self.assertFalse(bench.attempt("a part", lambda: bench.program("broken", 4)))
        self.assertTrue(bench.good)
        self.assertFalse(bench.attempt("a part", lambda: bench.program("broken", 70)))
        self.assertFalse(bench.good)
        found = json.loads(bench.path.read_text())
        self.assertEqual(found["not_run"], ["a part: does not fit: no memory"])
        self.assertRegex(found["faults"][0], "a part: `.*broken 70` ended with 70: error: no memory")


if __name__ == "__main__":
    unittest.main()
