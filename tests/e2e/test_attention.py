# SPDX-License-Identifier: Apache-2.0
"""Attention with dropout is split into products, softmax and draws: at a rate that drops nothing it is the library's attention, at a
real one outputs differ and gradients stay finite."""
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]


def run(*command):
    finished = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if finished.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {finished.returncode}\n{finished.stderr[-3000:]}")


class Attend(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        run(sys.executable, TOP / "examples" / "tiny_lm" / "make_data.py", "--out", cls.folder / "data")

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def steps(self, rate):
        program, out = self.folder / f"{rate}.bin", self.folder / f"out-{rate}"
        run(TOP / "build" / "bin" / "vcc", "compile", TOP / "tests" / "e2e" / "recipes" / "attention.vcs", "-o", program,
            "-D", f"rate={rate}")
        run(program, "--stage", "a", "--data", self.folder / "data", "--out", out)
        lines = [json.loads(line) for line in (out / "a" / "log.jsonl").read_text().splitlines()]
        return [line for line in lines if "event" not in line]

    def test_without_dropping_it_is_the_operation(self):
        for step in self.steps(1e-9):
            self.assertGreater(step["loss.size"], 1.0)
            self.assertLess(step["loss.difference"], 1e-9 * 100 * step["loss.size"])

    def test_dropping_changes_outputs_and_keeps_gradients_finite(self):
        for step in self.steps(0.3):
            self.assertGreater(step["loss.difference"], step["loss.size"])
            self.assertTrue(math.isfinite(step["grad_norm"]))


if __name__ == "__main__":
    unittest.main()
