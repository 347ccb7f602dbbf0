# SPDX-License-Identifier: Apache-2.0
"""A stage in fp16 step by step in the interpreter, beside PyTorch with torch.amp.GradScaler: where gradients overflow, how the scale
moves, and that a skipped step leaves weights, moments and their count alone. All gradients are whole numbers times powers of two, so
that both overflow at the same places and nothing but the update rounds."""
import pathlib
import random
import tempfile
import unittest

import torch
from safetensors.torch import load_file, save_file

import steps

STEPS, MICROS, ROWS = 40, 2, 3
SEQUENCE = steps.VCC.parent / "step_sequence"


class RoundedBack(torch.autograd.Function):
    """The place where a product's sums are rounded to f16: their cotangent is."""

    @staticmethod
    def forward(context, sums):
        return sums.half().float()

    @staticmethod
    def backward(context, cotangent):
        return cotangent.half().float()


class Straight(torch.autograd.Function):
    """An operand rounded to f16, whose gradient is not."""

    @staticmethod
    def forward(context, operand):
        return operand.half().float()

    @staticmethod
    def backward(context, cotangent):
        return cotangent


class LossScale(unittest.TestCase):
    def setUp(self):
        print(f"seed {steps.SEED} (VCC_TEST_SEED)", flush=True)
        self.random = random.Random(steps.SEED)
        torch.manual_seed(steps.SEED)

    def given(self):
        """Pictures: mostly dark ones, whose gradients fit, and now and then bright ones, whose gradients do not."""
        made = []
        for step in range(STEPS):
            micros = []
            for _ in range(MICROS):
                variant = self.random.choice(["image", "video"])
                most = 200 if self.random.random() < 0.15 or step == 7 else 3
                clip = torch.randint(0, most + 1, (ROWS, 1 if variant == "image" else 2, 3, 4, 4), dtype=torch.uint8)
                clip[0, 0, 1, 0, 0] = most
                micros.append((variant, clip))
            made.append(micros)
        return made

    def ours(self, given, weights):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            steps.run(steps.VCC, "compile", steps.HERE / "recipes" / "loss_scale.vcs", "--target=cuda", "--emit=step", "-o", folder / "step.mlir")
            tensors = {f"state/{path}": weight.clone() for path, weight in weights.items()}
            for step, micros in enumerate(given):
                for micro, (variant, clip) in enumerate(micros):
                    tensors[f"input/{step}/{micro}/{variant}/clip.pixels"] = clip
                for key, value in (("index", step), ("total", STEPS), ("per_epoch", 10)):
                    tensors[f"update/{step}/step.{key}"] = torch.tensor(float(value))
            save_file(tensors, folder / "given.safetensors")
            steps.run(SEQUENCE, folder / "step.mlir", folder / "given.safetensors", folder / "result.safetensors")
            found = [{} for _ in range(STEPS)]
            for key, value in load_file(folder / "result.safetensors").items():
                kind, step, rest = key.split("/", 2)
                found[int(step)][f"{kind}/{rest}"] = value
            return found

    @staticmethod
    def loss(weights, variant, clip):
        x, t = clip[:, 0, 0].reshape(ROWS, 16).float(), clip[:, 0, 1, 0].float()

        def linear(part):
            sums = torch.nn.functional.linear(x, Straight.apply(weights[f"net.{part}.weight"]), Straight.apply(weights[f"net.{part}.bias"]))
            return RoundedBack.apply(sums)

        return 0.25 * (RoundedBack.apply(linear("shared") + linear("one" if variant == "image" else "two")) * t).sum()

    def test_is_grad_scalers(self):
        shapes = {f"net.{part}.{name}": shape for part in ("shared", "one", "two") for name, shape in (("weight", (4, 16)), ("bias", (4,)))}
        weights = {path: (torch.randn(shape) * 0.3).requires_grad_(True) for path, shape in shapes.items()}
        given = self.given()
        found = self.ours(given, {path: weight.detach() for path, weight in weights.items()})
        groups = [{"params": [w for w in weights.values() if (w.dim() >= 2) == wide], "weight_decay": 0.1 if wide else 0.0} for wide in (True, False)]
        optimizer = torch.optim.AdamW(groups, lr=1e-2)
        scaler = torch.amp.GradScaler("cpu", init_scale=4096, growth_factor=4, backoff_factor=0.25, growth_interval=3)
        skipped = 0
        for step, micros in enumerate(given):
            here = f"step {step} (seed {steps.SEED})"
            ours = found[step]
            optimizer.zero_grad(set_to_none=True)
            for micro in micros:
                scaler.scale(self.loss(weights, *micro)).backward()
            for group in optimizer.param_groups:  # the schedule goes on whatever becomes of a step
                group["lr"] = float(ours["output/lr"])
            self.assertEqual(float(ours["output/loss_scale"]), scaler.get_scale(), here)
            scaler.unscale_(optimizer)
            reached = [weight for weight in weights.values() if weight.grad is not None]
            finite = all(bool(weight.grad.isfinite().all()) for weight in reached)
            norm = torch.nn.utils.clip_grad_norm_(reached, 0.5)
            self.assertEqual(float(ours["output/skipped"]), 0.0 if finite else 1.0, here)
            if finite:
                torch.testing.assert_close(ours["output/grad_norm"][0], norm, rtol=1e-6, atol=0, msg=here)
            before = {path: weight.detach().clone() for path, weight in weights.items()}
            scaler.step(optimizer)
            scaler.update()
            for path, weight in weights.items():
                stays = not finite or weight.grad is None or float(ours["output/lr"]) == 0  # before the warm-up
                self.assertEqual(torch.equal(before[path], weight.detach()), stays, f"{path} in {here}")
                torch.testing.assert_close(ours[f"state/{path}"].reshape(weight.shape), weight.detach(), rtol=1e-6, atol=1e-6, msg=f"{path} after {here}")
                if not finite and step:
                    self.assertTrue(torch.equal(ours[f"state/{path}"], found[step - 1][f"state/{path}"]), f"{path} in {here}")
            skipped += not finite
            self.assertEqual(float(ours["state/loss_scale:value"]), scaler.get_scale(), here)
            self.assertEqual(float(ours["state/loss_scale:steps"]), step + 1 - skipped, here)
        self.assertGreaterEqual(skipped, 1)
        self.assertLess(skipped, STEPS)
        rates = [float(ours["output/lr"]) for ours in found]
        self.assertEqual(len(set(rates[5:])), STEPS - 5, "the schedule goes on in every step")


if __name__ == "__main__":
    unittest.main()
