# SPDX-License-Identifier: Apache-2.0
"""VideoChat2's stage 1 at the smallest faithful size: golden numbers of a run of upstream's code, for clips and for images."""
import math
import unittest

import torch

import steps
import twins
from test_positions import sinusoid

MEAN, STD = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
STILL = ("-D", "rate=0.0", "-D", "drop=0.0")


def make_data(folder, generator):
    """Pictures with captions, and a vocabulary whose last piece is [DEC]."""
    steps.make_data(folder, generator)
    pieces = [piece for piece in (folder / "vocab.txt").read_text().split() if piece != "[DEC]"]
    pieces += [f"[unused{number + 100}]" for number in range(100 - len(pieces))]
    (folder / "vocab101.txt").write_text("\n".join([*pieces, "[DEC]"]) + "\n")


class Clips(steps.Case):
    recipe = "stage1.vcs"
    frames = 4
    options = ("-D", "frames=4", *STILL)
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
        """Of the weights as they are drawn. Of one draw of upstream's: contrast 1.386 to 1.398, matching 0.66 to 0.67, captions 4.62."""
        step, leaves = self.step, self.step.leaves(dtype=torch.float64)
        vision = {**twins.below(leaves, "vision."), "pos_embed": sinusoid(4 * 196, 48)[:self.frames * 196]}
        memory = twins.vision_transformer(step.inputs["clip.pixels"], vision, patch=16, tubelet=1, heads=4, depth=4, mean=MEAN, std=STD)
        former = twins.QFormer(twins.below(leaves, "bridge."), depth=4, heads=4)
        twin = twins.Alignment(former, twins.below(leaves, "heads."), memory, step.inputs["caption.ids"], step.inputs["caption.length"], "mean")
        same = torch.eye(4, dtype=torch.bool)
        draws = {"texts": twins.uniform(step.inputs["rng"], "uniform", same.shape), "clips": twins.uniform(step.inputs["rng"], "uniform#1", same.shape)}
        logits = former.write(twin.ids, twin.length, twin.cache, decode_id=100)
        theirs = {"vtc": twin.contrastive(same), "vtm": twin.matching(same, draws, float(step.output["loss.vtm"])),
                  "cap": twins.shifted_cross_entropy(logits, step.inputs["caption.labels"], step.inputs["caption.supervised"], 0.1)}
        self.assertEqual(len(set(step.inputs["batch.ids"].tolist())), 4)
        for term, value in theirs.items():
            self.close(step.output["loss." + term], value.detach(), 1e-5, term)

    def test_every_trained_weight_has_a_gradient(self):
        """But key biases, whose true gradient is zero; and steps differ, since negatives are drawn anew."""
        for path, gradient in self.step.gradient.items():
            if not path.endswith(".key.bias"):
                self.assertGreater(float(gradient.norm()), 0.0, path)
        self.assertFalse(torch.equal(self.step.inputs["rng"], self.second.inputs["rng"]))
        self.assertTrue(all(math.isfinite(float(value)) for value in self.second.output.values()))


class Images(Clips):
    frames = 1
    options = ("-D", "frames=1", *STILL)


if __name__ == "__main__":
    unittest.main()
