# SPDX-License-Identifier: Apache-2.0
"""What computing in bf16 costs, beside what it costs PyTorch under autocast: how far the gradient of a program for a GPU, run on the
stand-in of NVIDIA's libraries (tests/ptx), is from that in f64, at the same weights and batch."""
import contextlib
import math
import os
import shutil
import unittest

import torch

import environment
import programs
import steps
import test_parity
import twins
from autocast import Autocast

LIBRARIES = programs.BUILD / "lib" / "gpu_stand_in"
DRAWS = 4


def language(lora, smoothing):
    def terms(step, dtype, rounding):
        twin = twins.Llama(test_parity.LLAMA, lora=lora, attention="sdpa")
        twin.model.to(dtype)
        twin.load(step.before)
        with rounding:
            return {"lm": twin.loss(step.inputs, "text", smoothing)}, twin.parameters
    return terms


def seen(losses):
    def terms(step, dtype, rounding):
        leaves = step.leaves(dtype=dtype)
        with rounding:
            return losses(step.inputs, leaves), leaves
    return terms


STAGES = {"llama": language(None, 0.1), "lora": language(test_parity.LORA, 0.0), "vision": seen(test_parity.losses_of_pictures),
          "bridge": seen(test_parity.losses_of_the_bridge)}


def distance(ours, theirs):
    """Of gradients by their weights, all as one vector."""
    apart = math.sqrt(sum(float((ours[path].double() - theirs[path]).norm()) ** 2 for path in theirs))
    return apart / math.sqrt(sum(float(value.norm()) ** 2 for value in theirs.values()))


def rms(values):
    return math.sqrt(sum(value * value for value in values) / len(values))


class Bf16(steps.Case):
    recipe = "parity.vcs"
    options = ("--target=cuda", "-D", "numerics=bf16")
    dtype = torch.bfloat16

    @classmethod
    def setUpClass(cls):
        if programs.SANITIZED:
            raise unittest.SkipTest("kernels are compiled without instruments")
        environment.use_ptxas()
        super().setUpClass()
        (cls.folder / "ptx").mkdir()
        cls.environment = {"VCC_PTX_CACHE": str(cls.folder / "ptx"), **os.environ, "LD_LIBRARY_PATH": str(LIBRARIES)}

    def start(self, path, shape):
        """A third as wide as elsewhere: a model that multiplies what comes in by much does so with its rounding, and by luck."""
        made = super().start(path, shape)
        return made if "norm" in path.lower() else made / 3

    def step(self, stage):
        """The stage's first step from fresh weights; those that it began with are known in f32, the frozen ones too."""
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        made = self.make_weights(stage)
        programs.succeed(self.program, "--stage", stage, "--data", self.folder, "--weights", self.folder, "--out", out, "--seed", steps.SEED, "--max-steps", 1,
                         "--dump", 0, "--cuda-libs", LIBRARIES, env=self.environment, seconds=300, memory=8 * programs.GIGABYTE)
        step = steps.Step(out / stage / "dump" / "step-000000.safetensors")
        self.assertEqual(set(step.before), set(made))
        step.before = made
        return step

    def draw(self, stage):
        """Distances to f64 at fresh weights: of the gradients of ours and of autocast's, and of our losses."""
        step = self.step(stage)
        scale = float(step.output.get("loss_scale", 1.0))
        gradients = {"ours": {path: gradient / scale for path, gradient in step.gradient.items()}}
        for name, dtype, rounding in (("f64", torch.float64, contextlib.nullcontext()), ("autocast", torch.float32, Autocast(self.dtype))):
            terms, leaves = STAGES[stage](step, dtype, rounding)
            (scale * sum(terms.values())).backward()
            gradients[name] = {path: leaves[path].grad.double() / scale for path in step.gradient}
            if name == "f64":
                off = max(abs(float(step.output[f"loss.{term}"]) / value.item() - 1) for term, value in terms.items())
        return distance(gradients["ours"], gradients["f64"]), distance(gradients["autocast"], gradients["f64"]), off

    def test_gradients_are_no_further_from_f64_than_autocasts(self):
        for stage in STAGES:
            drawn = [self.draw(stage) for _ in range(DRAWS)]
            ours, theirs = (rms(values) for values in list(zip(*drawn))[:2])
            print(f"{stage}: ours {ours:.2%}, autocast's {theirs:.2%}, {ours / theirs:.2f} times; loss {max(values[2] for values in drawn):.2%}", flush=True)
            self.assertLessEqual(ours, 2 * theirs + 0.001, f"{stage}, seed {steps.SEED}")
            self.assertGreater(ours, 5e-4, f"{stage} does not round")
            self.assertLessEqual(max(values[2] for values in drawn), 2e-2, f"{stage}, seed {steps.SEED}")


if __name__ == "__main__":
    unittest.main()
