# SPDX-License-Identifier: Apache-2.0
"""Learning rates of every step as the program logs them, against the schedules' formulas."""
import math
import pathlib
import re
import unittest

import programs

STEPS, PEAK = 40, 3e-3


class Rates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = programs.fresh_folder()
        cls.folder = pathlib.Path(cls.scratch.name)
        programs.words_data(cls.folder / "data")
        cls.text = (programs.RECIPES / "words.vcs").read_text()

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def check(self, name, options, warmup, ramp, body):
        """Every step's rate: ramp(step) before step `warmup`, body(share of the rest that is done) from there on."""
        text = self.text.replace("import schedules.{linear}", "import schedules.{linear, cosine, constant}")
        text, count = re.subn(r"schedule linear \{ steps: 40,[^}]*\}", f"schedule {name} {{ steps: {STEPS}, {options} }}", text)
        self.assertEqual(count, 1)
        folder = self.folder / f"{name}-{warmup}"
        folder.mkdir()
        (folder / "words.vcs").write_text(text)
        programs.succeed(programs.VCC, "compile", folder / "words.vcs", "-o", folder / "train.bin", seconds=300)
        programs.succeed(folder / "train.bin", "--stage", "pretrain", "--data", self.folder / "data", "--out", folder / "out", "--threads", "1")
        rates = {step["step"]: step["lr"] for step in programs.steps_of(folder / "out", "pretrain")}
        self.assertEqual(list(rates), list(range(STEPS)))
        for step, rate in rates.items():
            factor = ramp(step) if step < warmup else body((step - warmup) / (STEPS - warmup))
            self.assertAlmostEqual(rate, PEAK * factor, delta=1e-6 * PEAK, msg=f"step {step}")

    def test_linear(self):
        self.check("linear", "warmup: 4 steps, floor: 0.05", 4, lambda step: step / 4, lambda done: max(0.05, 1 - done))

    def test_linear_without_warm_up(self):
        self.check("linear", "floor: 0.0", 0, None, lambda done: 1 - done)

    def test_cosine_with_a_floor_in_its_warm_up(self):
        self.check("cosine", "warmup: 8 steps, floor: 0.2, floor_in_warmup: true", 8, lambda step: max(0.2, step / 8),
                   lambda done: max(0.2, (1 + math.cos(math.pi * done)) / 2))

    def test_constant(self):
        self.check("constant", "warmup: 6 steps", 6, lambda step: step / 6, lambda done: 1)


if __name__ == "__main__":
    unittest.main()
