# SPDX-License-Identifier: Apache-2.0
"""The encoder's tables of positions: golden numbers of upstream's functions, and whole tables against PyTorch's interpolation."""
import unittest

import torch
import torch.nn.functional as F

import steps


def sinusoid(rows, width):
    """Upstream's get_sinusoid_encoding_table, in f64."""
    j = torch.arange(width)
    angle = torch.arange(rows).double()[:, None] / 10000.0 ** (2 * (j // 2) / width)
    return torch.where(j % 2 == 0, angle.sin(), angle.cos())


def resized(slots, side, width):
    """A table for 4 frames of 14 by 14 places, resized in space by bicubic and in time by linear interpolation."""
    table = sinusoid(4 * 14 * 14, width)
    if side != 14:
        grids = table.reshape(4, 14, 14, width).permute(0, 3, 1, 2)
        table = F.interpolate(grids, size=(side, side), mode="bicubic", align_corners=False).permute(0, 2, 3, 1).reshape(-1, width)
    if slots in (1, 4):
        return table[: slots * side * side]
    moving = table.reshape(4, side * side, width).permute(1, 2, 0).reshape(-1, width, 4)
    return F.interpolate(moving, size=slots, mode="linear").reshape(side * side, width, slots).permute(2, 0, 1).reshape(-1, width)


class Positions(steps.Case):
    recipe = "positions.vcs"
    GOLDEN = {"four": {(0, 0): 0, (0, 1): 1, (1, 0): 0.841471, (1, 1): 0.540302, (197, 0): 0.795806, (783, 512): 0.999712, (783, 1023): 0.996824},
              "eight": {(196, 0): 0.234883, (200, 2): -0.282128, (392, 0): 0.704648, (392, 1): 0.506850, (1567, 512): 0.999712},
              "sixteen": {(196, 0): 0, (1000, 3): 0.167694}}
    SIZES = {"image": (1, 14, 1024), "four": (4, 14, 1024), "eight": (8, 14, 1024), "sixteen": (16, 14, 1024), "larger": (8, 18, 96),
             "smaller": (4, 2, 96)}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        step, = cls.steps(cls(), "tables")
        cls.tables = {name: step.gradient[f"{name}.weight"] for name in cls.SIZES}

    def test_golden_numbers_of_the_position_table(self):
        for name, numbers in self.GOLDEN.items():
            for (row, column), value in numbers.items():
                self.assertAlmostEqual(float(self.tables[name][row, column]), value, delta=3e-5, msg=f"{name}[{row}, {column}]")

    def test_shapes_and_an_image_is_the_first_slot(self):
        rows = {name: table.shape[0] for name, table in self.tables.items() if table.shape[1] == 1024}
        self.assertEqual(rows, {"image": 196, "four": 784, "eight": 1568, "sixteen": 3136})
        self.assertTrue(torch.equal(self.tables["image"], self.tables["four"][:196]))

    def test_whole_tables(self):
        """Angles go up to 783, in f32: that is 5e-5 of an angle, and the frequency is rounded too."""
        for name, (slots, side, width) in self.SIZES.items():
            difference = (self.tables[name].double() - resized(slots, side, width)).abs().max()
            self.assertLessEqual(float(difference), 1.2e-4, name)


if __name__ == "__main__":
    unittest.main()
