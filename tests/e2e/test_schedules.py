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


class Published(unittest.TestCase):
    """VideoChat2's multipliers (floor in warm-up) at the steps where they are known, read off programs that run to their end."""

    RECIPE = """// SPDX-License-Identifier: Apache-2.0
module rates
import optimizers.{sgd}
import schedules.{cosine}
import data.{text_json}
import templates
dataset texts = text_json("texts.json")
tokenizer pieces = sentencepiece("lm.model", vocab: 256)
const length = 10000
const rise = 200 steps
const least = 0.01
layer Number() {
  w: param[] = 1.0
  forward() -> [] { return w * w }
}
model M { head number: Number() }
stage "rates" of M {
  train number
  start number from init
  batch { samples: 1 from [texts] }
  loss { square: number() }
  optimize sgd { lr: 1e-3 }
  schedule cosine { steps: length, warmup: rise, floor: least, floor_in_warmup: true }
  precision f32
  log every 1 steps
}
"""

    def rates(self, *options):
        with programs.fresh_folder() as scratch:
            folder = pathlib.Path(scratch)
            programs.words_data(folder / "data")
            (folder / "rates.vcs").write_text(self.RECIPE)
            programs.succeed(programs.VCC, "compile", folder / "rates.vcs", "-o", folder / "train.bin", *options, seconds=120)
            programs.succeed(folder / "train.bin", "--stage", "rates", "--data", folder / "data", "--out", folder / "out", "--threads", "1", seconds=120)
            return {step["step"]: step["lr"] / 1e-3 for step in programs.steps_of(folder / "out", "rates")}

    def check(self, rates, known):
        for step, factor in known.items():
            self.assertAlmostEqual(rates[step], factor, delta=6e-6, msg=f"step {step}")

    def test_ten_thousand_steps(self):
        self.check(self.rates(), {0: 0.01, 1: 0.01, 100: 0.5, 150: 0.75, 199: 0.995, 200: 1, 600: 0.9959, 2000: 0.91904, 5000: 0.51603, 9900: 0.01})

    def test_three_thousand_steps_with_a_high_floor(self):
        self.check(self.rates("-D", "length=3000", "-D", "rise=600 steps", "-D", "least=0.25"),
                   {0: 0.25, 1: 0.25, 150: 0.25, 199: 0.33167, 600: 1, 1000: 0.93301, 1800: 0.5, 2000: 0.37059, 2200: 0.25, 2999: 0.25})

    def test_what_no_schedule_is(self):
        for options, words in ((["-D", "rise=10000 steps"], "`warmup` takes as long as the whole stage or longer"),
                               (["-D", "rise=2.5 steps"], "`warmup` is no whole number of steps"),
                               (["-D", "least=1.5"], "`floor` is a share of the rate, from 0 to 1, not 1.5"),
                               (["-D", "least=-0.1"], "`floor` is a share of the rate"),
                               (["-D", "length=10.5"], "`steps` must be an int")):
            with self.subTest(options=options), programs.fresh_folder() as scratch:
                (pathlib.Path(scratch) / "rates.vcs").write_text(self.RECIPE)
                ended = programs.run(programs.VCC, "check", pathlib.Path(scratch) / "rates.vcs", *options)
                self.assertEqual(ended.code, 2, str(ended))
                self.assertIn(words, ended.err)


if __name__ == "__main__":
    unittest.main()
