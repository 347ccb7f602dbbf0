# SPDX-License-Identifier: Apache-2.0
"""Weights that a step does not reach, beside PyTorch's AdamW where their gradient is None: value, moments and count of steps stay."""
import json
import unittest

import torch

import steps


class Unreached(steps.Case):
    recipe = "unreached.vcs"

    @staticmethod
    def loss(inputs, weights):
        if "clip.pixels" in inputs:
            pixels = (inputs["clip.pixels"].float() / 255 - 0.5) / 20
            hidden = torch.nn.functional.linear(pixels.flatten(1), weights["net.see.weight"], weights["net.see.bias"])
        else:
            ids = inputs["caption.ids"]
            known = (torch.arange(ids.shape[1])[None] < inputs["caption.length"][:, None]).float()
            hidden = (weights["net.read.weight"][ids.long()] * known[..., None]).sum(1)
        scores = torch.nn.functional.linear(hidden, weights["net.classify.weight"], weights["net.classify.bias"])
        return torch.nn.functional.cross_entropy(scores, inputs["label"].long())

    def test_adamw_passes_over_what_has_no_gradient(self):
        found = self.steps("mixed", 8)
        log = [json.loads(line) for line in (self.folder / "out" / "mixed" / "log.jsonl").read_text().splitlines()]
        variants = [line["variants"] for line in log if "event" not in line]
        self.assertEqual(sorted(sum(variants, [])), ["image"] * 4 + ["text"] * 4)
        weights = found[0].leaves()
        matrices, vectors = ([weight for weight in weights.values() if (weight.dim() >= 2) == wide] for wide in (True, False))
        optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=1e-2)
        for number, step in enumerate(found):
            loss = self.loss(step.inputs, weights)
            optimizer.zero_grad()
            loss.backward()
            self.close(step.output["loss"], loss.detach(), 1e-5, f"loss of step {number}")
            unreached = {path for path, weight in weights.items() if weight.grad is None}
            self.assertEqual(unreached, {"net.read.weight"} if "clip.pixels" in step.inputs else {"net.see.weight", "net.see.bias"})
            norm = torch.nn.utils.clip_grad_norm_(weights.values(), 0.5)
            self.close(step.output["grad_norm"], norm, 1e-4, f"norm of step {number}")
            counts = sorted({int(optimizer.state[weight]["step"]) if optimizer.state[weight] else 0 for path, weight in weights.items()
                             if "classify" not in path})
            self.assertEqual(sorted({int(count) for count in step.kinds["counter"].values()}), counts)
            optimizer.step()
            for path, weight in weights.items():
                self.close(step.after[path], weight.detach(), 1e-4, f"{path} after step {number}")
                if path in unreached:
                    self.assertTrue(torch.equal(step.after[path], step.before[path]), path)


if __name__ == "__main__":
    unittest.main()
