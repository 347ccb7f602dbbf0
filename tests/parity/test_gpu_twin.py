# SPDX-License-Identifier: Apache-2.0
"""The twin that tests/gpu measures beside VideoChat2 at full size has the parameters of the recipe's parts, one by one; what attention
is timed beside a program's calls."""
import json
import sys
import unittest

import programs

sys.path.insert(0, str(programs.TOP / "tests" / "gpu"))
import attending  # noqa: E402
import measuring  # noqa: E402

RECIPE = programs.TOP / "examples" / "videochat2" / "videochat2_vicuna.vcs"


class Twin(unittest.TestCase):
    def test_parameters_of_each_part(self):
        plan = json.loads(programs.succeed(programs.VCC, "plan", RECIPE, "--device", "h200", "--json", memory=8 * programs.GIGABYTE, seconds=300))
        for stage in plan["stages"]:
            if stage["name"] != "instruct":
                continue
            wanted = {part["name"]: part["parameters"] for part in stage["components"]}
            wanted.setdefault("adapter", 0)
            counted = programs.succeed(sys.executable, programs.TOP / "tests" / "gpu" / "twin.py", "--count", "--stage", stage["name"],
                                       memory=8 * programs.GIGABYTE, seconds=300)
            self.assertEqual(json.loads(counted.splitlines()[-1]), wanted, stage["name"])


class Attending(unittest.TestCase):
    def test_it_is_the_attention_of_the_launch(self):
        """By PyTorch's own backend for the CPU, against the softmax written out."""
        import torch
        torch.manual_seed(programs.chosen_seed())
        for causal, queries, keys, heads, lengths in ((True, 5, 5, 4, True), (True, 3, 7, 4, False), (False, 3, 7, 4, True), (False, 6, 4, 2, False), (True, 5, 5, 2, False)):
            shape = measuring.Attention(True, 2, queries, keys, 4, heads, 8, causal, lengths)
            q, k, v = attending.operands(shape, "cpu", torch.float64)
            scores = q @ k.repeat_interleave(4 // heads, 1).mT / 8**0.5
            if causal:
                scores = scores.masked_fill(torch.ones(queries, keys, dtype=torch.bool).triu(1 + keys - queries), float("-inf"))
            wanted = scores.softmax(-1) @ v.repeat_interleave(4 // heads, 1)
            torch.testing.assert_close(attending.attend(shape, q, k, v), wanted, rtol=1e-9, atol=1e-9)
            gradients = attending.work(shape, q, k, v)()
            self.assertEqual([gradient.shape for gradient in gradients], [x.shape for x in (q, k, v)])
            forward = attending.work(shape._replace(backward=False), q, k, v)()
            self.assertFalse(forward.requires_grad)
            torch.testing.assert_close(forward, wanted.detach(), rtol=1e-9, atol=1e-9)


if __name__ == "__main__":
    unittest.main()
