# SPDX-License-Identifier: Apache-2.0
"""Losses, gradients and updates of compiled stages against PyTorch, Transformers and PEFT."""
import unittest

import torch

import steps
import twins

LLAMA = dict(vocab=64, width=40, depth=2, heads=4, kv_heads=2, hidden=96, eps=1e-5)


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
            logits = twin.model(input_ids=step.inputs["text.ids"].long(),
                                attention_mask=self.mask(step.inputs, "text")).logits
            loss = twins.shifted_cross_entropy(logits, step.inputs["text.labels"], step.inputs["text.supervised"], 0.1)
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

    @staticmethod
    def mask(inputs, field):
        ids = inputs[f"{field}.ids"]
        return (torch.arange(ids.shape[1])[None] < inputs[f"{field}.length"][:, None]).long()

    def test_lora(self):
        step, = self.steps("lora")
        twin = twins.Llama(LLAMA, lora=dict(rank=4, alpha=8, targets=["q_proj", "v_proj"]))
        twin.load(step.before)
        loss = twin.loss(step.inputs, "text")
        loss.backward()
        self.assertEqual({path.split(".")[0] for path in step.gradient}, {"adapter"})
        self.compare(step, "loss", loss, twin.parameters)

    def test_vision_transformer_block(self):
        step, = self.steps("vision")
        leaves = step.leaves()
        tokens = twins.vision_transformer(step.inputs["clip.pixels"], twins.below(leaves, "vision."), patch=16, tubelet=1,
                                          heads=4, depth=1, mean=0.4, std=0.25)
        logits = twins.linear(tokens.mean(1), leaves, "classes.out")
        loss = torch.nn.functional.cross_entropy(logits, step.inputs["label"].long())
        loss.backward()
        self.compare(step, "loss", loss, leaves)

    def test_qformer_without_text_with_text_and_writing(self):
        step, = self.steps("bridge")
        leaves = step.leaves()
        memory = twins.vision_transformer(step.inputs["clip.pixels"], twins.below(leaves, "vision."), patch=16, tubelet=1,
                                          heads=4, depth=1, mean=0.4, std=0.25)
        former = twins.QFormer(twins.below(leaves, "bridge."), depth=2, heads=4)
        label, ids, length = (step.inputs[name] for name in ("label", "caption.ids", "caption.length"))

        def classify(queries):
            return torch.nn.functional.cross_entropy(twins.linear(queries.mean(1), leaves, "reader.out"), label.long())
        outputs, cache = former.read(memory)
        read, fused = classify(outputs), classify(former.fuse(memory, ids, length))
        logits = former.write(ids, length, cache, decode_id=4)
        caption = twins.shifted_cross_entropy(logits, step.inputs["caption.labels"], step.inputs["caption.supervised"], 0.1)
        for term, value in (("loss.read", read), ("loss.fused", 0.5 * fused), ("loss.caption", caption)):
            self.close(step.output[term], value.detach(), 1e-5, term)
        loss = read + 0.5 * fused + caption
        loss.backward()
        self.compare(step, "loss", loss, leaves)


if __name__ == "__main__":
    unittest.main()
