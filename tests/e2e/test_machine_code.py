# SPDX-License-Identifier: Apache-2.0
"""What the generated kernels are as machine code: every innermost loop works on whole vectors of the named CPU, tails by masks, but
for those that only count places; and nothing is called."""
import pathlib
import subprocess
import tempfile
import unittest

import machine_code
import plans

LAYERS = plans.RECIPES / "layers.vcs"
CLANG = "/usr/lib/llvm-19/bin/clang"

# Functions for the control: the checker has to tell them apart. The loops are written in C, vectorised by hand or not at all.
CONTROL = """
#include <stdint.h>
typedef float vector __attribute__((vector_size(WIDTH), aligned(4)));
typedef int64_t number;
void row_1(float *x, number n) { for (number i = 0; i < n; ++i) x[i] = x[i] * 3.0f + 1.0f; }
void row_2(float *x, number n) {
  number i = 0, lanes = WIDTH / 4;
  for (; i + lanes <= n; i += lanes) { vector v = *(vector *)(x + i); *(vector *)(x + i) = v * 3.0f; }
}
void row_3(float *x, number n) {
  number i = 0, lanes = WIDTH / 4;
  for (; i + lanes <= n; i += lanes) { vector v = *(vector *)(x + i); *(vector *)(x + i) = v * 3.0f; }
  for (; i < n; ++i) x[i] *= 3.0f;
}
void row_4(float *x, float *y, number n) {
  number i = 0, lanes = WIDTH / 4;
  for (; i + lanes <= n; i += lanes) { vector v = *(vector *)(x + i); *(vector *)(x + i) = v * 3.0f; }
  for (number k = 0; k < 9; ++k)
    for (i = 0; i < n; ++i) y[i * k] *= 3.0f;
}
float expf(float);
void row_5(float *x, number n) {
  number i = 0, lanes = WIDTH / 4;
  for (; i + lanes <= n; i += lanes) { vector v = *(vector *)(x + i); *(vector *)(x + i) = v * expf(v[0]); }
}
#if WIDTH > 16
void row_6(float *x, number n) {
  typedef float narrow __attribute__((vector_size(WIDTH / 2), aligned(4)));
  for (number i = 0; i < n; i += WIDTH / 8) { narrow v = *(narrow *)(x + i); *(narrow *)(x + i) = v * 3.0f; }
}
#endif
"""


class Kernels(unittest.TestCase):
    """Every kernel of the tiny system and of one with 12 layers, for each level of x86-64, compiled on this machine for
    that CPU, linked and taken apart."""

    def check(self, recipe, cpu, least):
        with tempfile.TemporaryDirectory() as folder:
            plans.run(plans.VCC, "compile", recipe, "--cpu", cpu, "-o", f"{folder}/train.bin")
            found = machine_code.functions(f"{folder}/train.bin")
        names = {function.name for function in found}
        self.assertGreater(len(names), least)
        self.assertEqual(names, self.generated(recipe, cpu), "every kernel is there under its name")
        self.assertGreater(sum(len(function.innermost()) for function in found), 2 * least)
        faults = [f"{function.name} ({cpu}): {what}\n{code}" for function in found for what, code in machine_code.faults(function, cpu)]
        self.assertFalse(faults, "\n\n".join(faults[:5]))

    def generated(self, recipe, cpu):
        return set(machine_code.declared(plans.emit(recipe, "kernels", "--cpu", cpu)))


for _recipe, _name, _least in ((plans.TINY, "tiny", 100), (LAYERS, "12_layers", 100)):
    for _cpu in machine_code.WIDTHS:
        setattr(Kernels, f"test_{_name}_{_cpu[-2:]}",
                lambda self, recipe=_recipe, cpu=_cpu, least=_least: self.check(recipe, cpu, least))


class Control(unittest.TestCase):
    """The checker finds a scalar loop, also one after a packed one, one of half the width and a call; it lets vectors pass."""

    EXPECTED = {"row_1": ["innermost loop", "no vector"], "row_2": [], "row_3": ["innermost loop"], "row_4": ["innermost loop"],
                "row_5": ["calls"], "row_6": ["innermost loop", "no vector"]}

    def test_control(self):
        for cpu, width in (("x86-64-v2", 16), ("x86-64-v3", 32), ("x86-64-v4", 64)):
            with self.subTest(cpu=cpu), tempfile.TemporaryDirectory() as folder:
                source = pathlib.Path(folder, "control.c")
                source.write_text(CONTROL)
                subprocess.run([CLANG, "-O2", "-fno-vectorize", "-fno-slp-vectorize", "-fno-unroll-loops", "-mprefer-vector-width=512",
                                f"-march={cpu}", f"-DWIDTH={width}", "-shared", "-fPIC", "-nostdlib", source, "-o", f"{folder}/control.so"],
                               check=True)
                found = machine_code.functions(f"{folder}/control.so")
                faults = {function.name: [what for what, _ in machine_code.faults(function, cpu)] for function in found}
                expected_here = {name: faults for name, faults in self.EXPECTED.items() if width > 16 or name != "row_6"}
                self.assertEqual(set(faults), set(expected_here))
                for name, expected in expected_here.items():
                    self.assertEqual(len(faults[name]), len(expected), f"{name}: {faults[name]}")
                    for what, start in zip(sorted(faults[name], key=str), sorted(expected)):
                        self.assertTrue(what.startswith(start), f"{name}: {faults[name]}")


if __name__ == "__main__":
    unittest.main()
