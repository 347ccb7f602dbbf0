# SPDX-License-Identifier: Apache-2.0
"""The twin that tests/gpu measures beside VideoChat2 at full size: the parameters of the recipe's parts, one by one; at the size of tests the recipe's
losses and gradients; its steps. What attention is timed beside a program's calls."""
import contextlib
import io
import json
import re
import sys
import unittest
import unittest.mock

import torch

import programs
import steps
import videochat2
import videochat2_twin

sys.path.insert(0, str(programs.TOP / "tests" / "gpu"))
import attending  # noqa: E402
import measuring  # noqa: E402
import twin as gpu_twin  # noqa: E402

RECIPE = videochat2.FOLDER / "videochat2_vicuna.vcs"
STAGES = ("connect", "instruct")
QUESTION = 64  # the Q-Former's positions
STILL = gpu_twin.Sizes(image=32, vision=(48, 4, 4), bridge=(32, 4, 4), hidden=64, queries=24, words=101, positions=QUESTION, rate=0.0, drop=0.0, lora_dropout=0.0,
                       text=(videochat2.TOKENS_2 + 64, videochat2.TOKENS_3, QUESTION), lm=(40, 2, 4, 96, 100))
DRAWING = gpu_twin.dataclasses.replace(STILL, rate=0.1, drop=0.2, lora_dropout=0.1)
NAMES = ((r"vision\.patch_embed\.proj", "vision.embed"), (r"vision\.blocks", "vision.layers"), (r"(vision.*)\.(attn|mlp)\.", r"\1."), (r"bridge\.embeddings\.LayerNorm", "bridge.norm"),
         (r"bridge\.embeddings\.word_embeddings", "bridge.words"), (r"bridge\.embeddings\.position_embeddings", "bridge.places"), (r"crossattention\.self", "cross"),
         (r"attention\.self", "own"), (r"crossattention\.output", "cross.out"), (r"attention\.output", "own.out"), (r"\.query\.", ".q."), (r"\.key\.", ".k."),
         (r"\.value\.", ".v."), (r"\.intermediate_query\.dense", ".of_queries.up"), (r"\.output_query\.", ".of_queries.out."), (r"\.intermediate\.dense", ".of_text.up"),
         (r"(bridge.*)\.output\.", r"\1.of_text.out."), (r"\.LayerNorm\.", ".norm."), (r"^adapter\.", ""), (r"\.lora_A\.weight", ".down"), (r"\.lora_B\.weight", ".up"),
         (r"\[(\d+)\]", r".\1"))


def name_of(path, told):
    """The twin's name of a recipe's weight; `told` where some linear layers are adapted."""
    for pattern, name in NAMES:
        path = re.sub(pattern, name, path)
    return re.sub(r"^(lm.*\.[qv]_proj)\.weight", r"\1.base.weight", path) if told else path


class Twin(unittest.TestCase):
    def test_parameters_of_each_part(self):
        plan = json.loads(programs.succeed(programs.VCC, "plan", RECIPE, "--device", "h200", "--json", memory=8 * programs.GIGABYTE, seconds=300))
        for stage in plan["stages"]:
            if stage["name"] in STAGES:
                wanted = {part["name"]: part["parameters"] for part in stage["components"]}
                self.assertEqual(gpu_twin.counts(stage["name"], gpu_twin.Sizes()), {"adapter": 0, **wanted, "trained": stage["trainable"]}, stage["name"])

    def test_rows_are_the_recipes(self):
        """Places of a row, by the manifest at full size."""
        with programs.fresh_folder() as folder:
            program = folder + "/train.bin"
            programs.succeed(programs.VCC, "compile", RECIPE, "-o", program, "-D", "rows_2=1", "-D", "rows_3=1", "-D", "rows_1=2", seconds=300, memory=8 * programs.GIGABYTE)
            manifest = json.loads(programs.succeed(program, "--manifest"))
        sizes = gpu_twin.Sizes()
        for stage in manifest["stages"]:
            if stage["name"] not in STAGES:
                continue
            for variant in stage["batch"].values():
                fields = {field["name"]: field for field in variant["fields"]}
                told = stage["name"] == "instruct"
                self.assertEqual(fields["dialogue"]["max_tokens"], sizes.text[told])
                self.assertEqual(fields["dialogue"]["length"], sizes.text[told] + sizes.queries)
                self.assertEqual([fields["question"]["length"]] if told else [], [sizes.text[2]] if told else [])
                self.assertIn(variant["media"]["frames"], (1, sizes.frames))
                self.assertEqual((variant["media"]["height"], variant["media"]["width"]), (sizes.image, sizes.image))

    def test_losses_and_gradients_are_the_recipes(self):
        """Without what is drawn, in f32, on a program's full rows of pictures and of clips."""
        folder = videochat2.seeded_folder(type(self))
        program = folder / "train.bin"
        videochat2.compiled("vicuna", program, *videochat2.STILL)
        for stage in STAGES:
            programs.succeed(program, "--stage", stage, "--synthetic", "--out", folder / "out", "--seed", steps.SEED, "--threads", 1, "--max-steps", 4, "--dump", "0,1,2,3")
            dumps = [steps.Step(folder / "out" / f"{stage}.synthetic" / "dump" / f"step-{step:06}.safetensors") for step in range(4)]
            for frames, step in {step.inputs["clip.pixels"].shape[1]: step for step in dumps}.items():
                self.compare(stage, step, f"{stage}, {frames} frames, seed {steps.SEED}")

    def compare(self, stage, step, name):
        told, leaves = stage == "instruct", {}
        twin = gpu_twin.Twin(stage, STILL, narrow=torch.float32)
        twin.vision.tables = {frames: videochat2_twin.positions(frames).float() for frames in (1, 8)}
        mine = dict(twin.named_parameters())
        weights = dict(step.before)
        if "bridge.extra_query_tokens" in weights:
            weights["bridge.query_tokens"] = torch.cat([weights["bridge.query_tokens"], weights.pop("bridge.extra_query_tokens")], 1)
        weights["bridge.queries"] = weights.pop("bridge.query_tokens")
        for path, value in weights.items():
            leaves[path] = mine.pop(name_of(path, told))
            with torch.no_grad():
                leaves[path].copy_(value.reshape(leaves[path].shape))
        self.assertEqual(list(mine), [], name)
        inputs = step.inputs
        words = inputs["dialogue.at"] < 0  # not where pictures are
        ids, labels = (inputs[f"dialogue.{kind}"][words].reshape(len(words), -1).long() for kind in ("ids", "labels"))
        self.assertEqual(ids.shape[1], STILL.text[told])
        made = gpu_twin.batch(len(words), inputs["clip.pixels"].shape[1], stage, STILL, "cpu")
        flat = inputs["dialogue.labels"].flatten().long()
        supervised = (flat >= 0).nonzero().flatten()
        self.assertTrue(torch.equal(made[3], supervised - 1), f"supervised places of {name}")
        question = inputs["question.ids"].long() if told else None
        loss = twin(inputs["clip.pixels"], question, ids, made[3], flat[supervised])
        self.assertLessEqual(abs(loss.item() - float(step.output["loss"])), 1e-5 * loss.item(), name)
        loss.backward()
        theirs = dict(step.gradient)
        if "bridge.extra_query_tokens" in theirs:
            theirs["bridge.query_tokens"] = torch.cat([theirs["bridge.query_tokens"], theirs.pop("bridge.extra_query_tokens")], 1)
        theirs["bridge.queries"] = theirs.pop("bridge.query_tokens")
        self.assertEqual({path for path, leaf in leaves.items() if leaf.grad is not None}, set(theirs), name)
        largest = max(float(gradient.norm()) for gradient in theirs.values())
        for path, gradient in theirs.items():
            off = float((leaves[path].grad.reshape(gradient.shape) - gradient).norm())
            self.assertLessEqual(off, 1e-4 * float(gradient.norm()) + 1e-6 * largest, f"gradient of {path}, {name}")

    def test_steps_in_two_bytes(self):
        """As they are measured, but on the CPU: what trains gets finite gradients and states in f32, and learns a batch; what is frozen none."""
        torch.manual_seed(programs.chosen_seed())
        for stage in STAGES:
            twin, optimizer = gpu_twin.made(stage, DRAWING, "cpu")
            given = gpu_twin.batch(2, 8, stage, DRAWING, "cpu")
            with torch.autocast("cpu", torch.bfloat16):
                twin(*given).backward()
            for name, parameter in twin.named_parameters():
                adapted = name.endswith((".up", ".down")) and name.startswith("lm.")
                self.assertEqual(parameter.requires_grad, adapted or not name.startswith("lm."), name)
                self.assertEqual(parameter.grad is not None, parameter.requires_grad, name)
                self.assertEqual(parameter.dtype, torch.float32 if parameter.requires_grad else torch.bfloat16, name)
                if parameter.requires_grad:
                    self.assertTrue(bool(parameter.grad.isfinite().all()), name)
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = 1e-3
            losses = [gpu_twin.train_step(twin, optimizer, given, "cpu").item() for _ in range(30)]
            self.assertTrue(all(loss == loss for loss in losses), losses)
            self.assertLess(sum(losses[-5:]), sum(losses[:5]) - 0.03, f"{stage}: {losses}")
            trained = sum(parameter.numel() for parameter in twin.parameters() if parameter.requires_grad)
            self.assertEqual(trained, gpu_twin.counts(stage, DRAWING)["trained"])
            self.assertEqual(sum(state["exp_avg"].numel() for state in optimizer.state.values()), trained)
            self.assertEqual({value.dtype for state in optimizer.state.values() for value in (state["exp_avg"], state["exp_avg_sq"])}, {torch.float32})

    def lines(self, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            gpu_twin.main(["--device", "cpu", "--steps", "1", *arguments], sizes=DRAWING)
        return [json.loads(line) for line in out.getvalue().splitlines()]

    def test_what_it_tells(self):
        for stage, tokens in (("connect", DRAWING.text[0]), ("instruct", sum(DRAWING.text[1:]))):
            found = self.lines("--stage", stage, "--rows", "2,1")
            self.assertEqual([(line["way"], line["rows"], line["steps"]) for line in found], [("eager", 2, 2), ("eager", 1, 2)])
            for line in found:
                self.assertGreater(line["seconds"], 0)
                self.assertGreater(line["first_step_seconds"], 0)
                self.assertAlmostEqual(line["tokens_per_second"], tokens * line["samples_per_second"])

    def test_what_does_not_fit_is_told_and_the_rest_measured(self):
        train_step = gpu_twin.train_step

        def short_of_memory(twin, optimizer, given, device):
            if len(given[0]) == 3:
                raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
            if len(given[0]) == 2:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate\nmuch")
            return train_step(twin, optimizer, given, device)
        with unittest.mock.patch.object(gpu_twin, "train_step", short_of_memory):
            found = self.lines("--rows", "2,3,1")
        self.assertEqual(found[0]["does_not_fit"], "CUDA out of memory. Tried to allocate")
        self.assertRegex(found[1]["does_not_fit"], "ALLOC_FAILED")
        self.assertFalse({"seconds"} & (set(found[0]) | set(found[1])))
        self.assertIn("seconds", found[2])

        def too_small(*_):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        with unittest.mock.patch.object(gpu_twin, "made", too_small):
            self.assertEqual([(line["rows"], line["does_not_fit"]) for line in self.lines("--rows", "2,1")], [(2, "CUDA out of memory."), (1, "CUDA out of memory.")])

        def broken(*_):
            raise RuntimeError("something else")
        with unittest.mock.patch.object(gpu_twin, "train_step", broken), self.assertRaisesRegex(RuntimeError, "something else"):
            self.lines("--rows", "1")

    def test_attention_of_the_language_model_is_one_causal_call(self):
        """No mask in memory, which would shut the fast backends out."""
        seen, attention = [], torch.nn.functional.scaled_dot_product_attention

        def watched(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, **more):
            seen.append((q.shape[1:], attn_mask is None, dropout_p, is_causal))
            return attention(q, k, v, attn_mask=attn_mask, dropout_p=dropout_p, is_causal=is_causal, **more)
        twin, _ = gpu_twin.made("instruct", DRAWING, "cpu")
        with unittest.mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", watched), torch.autocast("cpu", torch.bfloat16):
            twin(*gpu_twin.batch(1, 1, "instruct", DRAWING, "cpu"))
        self.assertTrue(all(unmasked for _, unmasked, _, _ in seen), seen)
        self.assertEqual([(tuple(shape), rate) for shape, _, rate, causal in seen if causal], [((4, DRAWING.text[1] + DRAWING.queries, 10), 0.0)] * 2)
        self.assertEqual([rate for _, _, rate, causal in seen if not causal], [0.0] * 4 + [0.1] * 6)  # of the Q-Former every second layer looks twice


class Attending(unittest.TestCase):
    def test_it_is_the_attention_of_the_launch(self):
        """By PyTorch's own backend for the CPU, against the softmax written out."""
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
