# SPDX-License-Identifier: Apache-2.0
"""A Q-Former that starts from a BERT of Transformers: its text pass is BERT's, and each of the queries' feed-forward parts is the copy
of its text twin, as upstream makes it."""
import unittest

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM

import steps
import twins


class FromBert(steps.Case):
    recipe = "bert.vcs"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        config = BertConfig(vocab_size=40, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=64,
                            max_position_embeddings=24, initializer_range=0.3, attn_implementation="eager")
        cls.bert = BertForMaskedLM(config).eval()
        tied = ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")
        cls.state = {name: value.contiguous().clone() for name, value in cls.bert.state_dict().items()
                     if name not in tied and value.dtype == torch.float32}
        save_file(cls.state, cls.folder / "bert.safetensors")
        cls.output = steps.run(cls.program, "--stage", "align", "--data", cls.folder, "--weights", cls.folder, "--out", cls.folder / "out",
                               "--seed", steps.SEED, "--dump", "0")
        cls.step = steps.Step(cls.folder / "out" / "align" / "dump" / "step-000000.safetensors")

    def layer(self, number, name):
        return self.state[f"bert.encoder.layer.{number}.{name}"]

    def test_text_side_and_copies(self):
        before = self.step.before
        for number in range(4):
            for part in ("intermediate.dense.weight", "intermediate.dense.bias", "output.dense.weight", "output.dense.bias",
                         "output.LayerNorm.weight", "output.LayerNorm.bias"):
                first, rest = part.split(".", 1)
                for name in (first, first + "_query"):
                    self.assertTrue(torch.equal(before[f"bridge.layers[{number}].{name}.{rest}"], self.layer(number, part)), part)
            query = before[f"bridge.layers[{number}].attention.self.query.weight"]
            self.assertTrue(torch.equal(query, self.layer(number, "attention.self.query.weight")))
        self.assertTrue(torch.equal(before["bridge.cls.predictions.transform.dense.weight"], self.state["cls.predictions.transform.dense.weight"]))
        self.assertNotIn("bridge.layers[1].crossattention.self.key.weight", before)
        self.assertAlmostEqual(float(before["bridge.layers[0].crossattention.self.key.weight"].std()), 0.02, delta=0.004)

    def test_the_text_pass_is_berts(self):
        """BERT without its token types, whose embedding upstream's Q-Former does not have."""
        with torch.no_grad():
            self.bert.bert.embeddings.token_type_embeddings.weight.zero_()
        ids, length = self.step.inputs["caption.ids"].long(), self.step.inputs["caption.length"]
        seen = (torch.arange(ids.shape[1])[None] < length[:, None]).long()
        with torch.no_grad():
            theirs = self.bert.bert(input_ids=ids, attention_mask=seen).last_hidden_state
        ours = twins.QFormer(twins.below(self.step.before, "bridge."), depth=4, heads=4).encode(ids, length)
        self.assertLessEqual(float((ours - theirs)[seen.bool()].abs().max()), 1e-4)


if __name__ == "__main__":
    unittest.main()
