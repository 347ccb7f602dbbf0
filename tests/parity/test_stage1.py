# SPDX-License-Identifier: Apache-2.0
"""VideoChat2's stage 1 at the smallest faithful size: golden numbers of a run of upstream's code, for clips and for images."""
import math
import unittest

import torch

import steps


def make_data(folder, generator):
    """Pictures with captions, and a vocabulary whose last piece is [DEC]."""
    steps.make_data(folder, generator)
    pieces = [piece for piece in (folder / "vocab.txt").read_text().split() if piece != "[DEC]"]
    pieces += [f"[unused{number + 100}]" for number in range(100 - len(pieces))]
    (folder / "vocab101.txt").write_text("\n".join([*pieces, "[DEC]"]) + "\n")


class Clips(steps.Case):
    recipe = "stage1.vcs"
    options = ("-D", "frames=4")
    make_data = staticmethod(make_data)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.step, cls.second = cls.steps(cls(), "align", 2)

    def test_counts(self):
        components = {c["name"]: (c["parameters"], c["trainable"]) for c in self.manifest["align"]["components"]}
        norm, slots, queries = 2 * 48, 4 * 48, 8 * 32
        self.assertEqual(components["vision"], (149808 + norm + slots, norm + slots))
        self.assertEqual(components["bridge"], (68389 + queries, 68389 + queries))
        self.assertEqual(sum(total for total, _ in components.values()), 220456)
        self.assertEqual(sum(trained for _, trained in components.values()), 70648)

    def test_clips_and_images_give_784_keys(self):
        self.assertEqual(float(self.step.output["keys"]), 784)

    def test_first_losses(self):
        """Upstream's, four samples of random weights: contrast 1.386 to 1.398, matching 0.66 to 0.67, captions 4.62."""
        losses = {term: float(self.step.output["loss." + term]) for term in ("vtc", "vtm", "cap")}
        # How far contrast is from chance depends on the weights drawn, over a temperature of 0.07.
        self.assertAlmostEqual(losses["vtc"], math.log(4), delta=0.5, msg=f"seed {steps.SEED}")
        self.assertAlmostEqual(losses["vtm"], 0.67, delta=0.15, msg=f"seed {steps.SEED}")
        self.assertAlmostEqual(losses["cap"], math.log(101), delta=0.2, msg=f"seed {steps.SEED}")

    def test_every_trained_weight_has_a_gradient(self):
        """But key biases, whose true gradient is zero; and steps differ, since dropout and negatives are drawn anew."""
        for path, gradient in self.step.gradient.items():
            if not path.endswith(".key.bias"):
                self.assertGreater(float(gradient.norm()), 0.0, path)
        self.assertFalse(torch.equal(self.step.inputs["rng"], self.second.inputs["rng"]))
        self.assertTrue(all(math.isfinite(float(value)) for value in self.second.output.values()))


class Images(Clips):
    options = ("-D", "frames=1")


if __name__ == "__main__":
    unittest.main()
