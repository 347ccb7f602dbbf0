# SPDX-License-Identifier: Apache-2.0
"""The queries that VideoChat2 adds from stage 2 on: none of them, and those that start as zeros; against PyTorch, Transformers and
PEFT."""
import unittest

import test_stages
import videochat2

STILL, *REST = videochat2.STILL
EXTRA = "bridge.extra_query_tokens"


class Without(test_stages.Trained, unittest.TestCase):
    sizes = (STILL.replace("extra: 16", "extra: 0"), *REST)

    def test_the_language_model_sees_the_first_stages_queries(self):
        for stage in ("connect", "instruct"):
            for step in self.dumps[stage]:
                self.assertNotIn(EXTRA, step.before)
                places = step.inputs["dialogue.at"]
                self.assertEqual(sorted(places[places >= 0].tolist()), list(range(2 * 8)))

    def test_losses_and_gradients(self):
        for stage in self.stages:
            variants = [line["variants"][0] for line in self.log[stage]]
            for kind in ("image", "video"):
                self.compare(stage, variants.index(kind))

    def test_ten_steps(self):
        for stage in ("connect", "instruct"):
            self.follow(stage)


class Zeros(test_stages.Trained, unittest.TestCase):
    sizes = (STILL.replace(", extra_init: normal(0.0, 0.5)", ""), *REST)
    stages = ("align", "connect")

    def alike(self, queries, limit):
        """Whether all extra ones are the first of them."""
        first, others = queries[0, -16:-15].detach().double(), queries[0, -15:].detach().double()
        self.assertGreater(float(first.norm()), 0.0)
        return bool(((others - first).norm(dim=1) <= limit * first.norm()).all())

    def test_zeros_are_told_apart_by_their_places_in_the_language_model(self):
        """Their first outputs are the same, to the digit; gradients are not, so that they part even where nothing is dropped."""
        steps = self.dumps["connect"]
        self.assertFalse(steps[0].before[EXTRA].any())
        twin = self.compare("connect", 0)
        outputs, _ = twin.former().read(twin.memory(steps[0].inputs["clip.pixels"]))
        self.assertTrue(self.alike(outputs, 1e-9))
        self.assertFalse(self.alike(steps[0].gradient[EXTRA], 1e-2))
        self.compare("connect", test_stages.STEPS - 1)
        self.assertFalse(self.alike(steps[-1].after[EXTRA], 1e-2))


if __name__ == "__main__":
    unittest.main()
