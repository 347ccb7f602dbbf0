# SPDX-License-Identifier: Apache-2.0
"""Losses, gradients and updates of compiled stages against PyTorch, Transformers and PEFT."""
import unittest

import torch

import steps
import twins

LLAMA = dict(vocab=64, width=40, depth=2, heads=4, kv_heads=2, hidden=96, eps=1e-5)
LORA = dict(rank=4, alpha=8, targets=["q_proj", "v_proj"])


def tokens_of_pictures(inputs, leaves):
    return twins.vision_transformer(inputs["clip.pixels"], twins.below(leaves, "vision."), patch=16, tubelet=1, heads=4, depth=1, mean=0.4, std=0.25)


def losses_of_pictures(inputs, leaves):
    """The term of the stage `vision`."""
    logits = twins.linear(tokens_of_pictures(inputs, leaves).mean(1), leaves, "classes.out")
    return {"class": torch.nn.functional.cross_entropy(logits, inputs["label"].long())}


def losses_of_the_bridge(inputs, leaves):
    """The terms of the stage `bridge`."""
    memory, former = tokens_of_pictures(inputs, leaves), twins.QFormer(twins.below(leaves, "bridge."), depth=2, heads=4)
    label, ids, length = (inputs[name] for name in ("label", "caption.ids", "caption.length"))

    def classify(queries):
        return torch.nn.functional.cross_entropy(twins.linear(queries.mean(1), leaves, "reader.out"), label.long())
    outputs, cache = former.read(memory)
    logits = former.write(ids, length, cache, decode_id=4)
    return {"read": classify(outputs), "fused": 0.5 * classify(former.fuse(memory, ids, length)),
            "caption": twins.shifted_cross_entropy(logits, inputs["caption.labels"], inputs["caption.supervised"], 0.1)}


class Parity(steps.Case):
    recipe = "parity.vcs"

    def test_llama_with_grouped_heads_and_three_adamw_steps(self):
        steps = self.steps("llama", 3)
        twin = twins.Llama(LLAMA)
        twin.load(steps[0].before)
        matrices = [p for p in twin.parameters.values() if p.dim() >= 2]
        vectors = [p for p in twin.parameters.values() if p.dim() < 2]
        optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                                      lr=1e-2, betas=(0.9, 0.95), eps=1e-8)
        for number, step in enumerate(steps):
            loss = twin.loss(step.inputs, "text", smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            self.close(step.output["loss"], loss.detach(), 2e-5, f"loss of step {number}")
            norm = torch.nn.utils.clip_grad_norm_(twin.parameters.values(), 0.5)
            self.close(step.output["grad_norm"], norm.detach(), 1e-4, f"gradient norm of step {number}")
            for group in optimizer.param_groups:
                group["lr"] = 1e-2 * min(1.0, number / 2)
            optimizer.step()
            for path, after in step.after.items():
                self.close(after, twin.parameters[path].detach(), 1e-4, f"{path} after step {number}")

    def test_lora(self):
        step, = self.steps("lora")
        twin = twins.Llama(LLAMA, lora=LORA)
        twin.load(step.before)
        loss = twin.loss(step.inputs, "text")
        loss.backward()
        self.assertEqual({path.split(".")[0] for path in step.gradient}, {"adapter"})
        self.compare(step, "loss", loss, twin.parameters)

    def test_vision_transformer_block(self):
        step, = self.steps("vision")
        leaves = step.leaves()
        loss = losses_of_pictures(step.inputs, leaves)["class"]
        loss.backward()
        self.compare(step, "loss", loss, leaves)

    def test_qformer_without_text_with_text_and_writing(self):
        step, = self.steps("bridge")
        leaves = step.leaves()
        terms = losses_of_the_bridge(step.inputs, leaves)
        for term, value in terms.items():
            self.close(step.output["loss." + term], value.detach(), 1e-5, term)
        loss = sum(terms.values())
        loss.backward()
        self.compare(step, "loss", loss, leaves)


if __name__ == "__main__":
    unittest.main()
