# SPDX-License-Identifier: Apache-2.0
"""The language models of VideoChat2's variants against Transformers' LlamaForCausalLM, MistralForCausalLM and Phi3ForCausalLM under
PEFT's LoRA; the loss of supervised positions alone against that of all positions."""
import json
import unittest

import sentencepiece
import torch
from peft import LoraConfig, get_peft_model
from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Phi3Config,
                          Phi3ForCausalLM)

import steps
from twins import shifted_cross_entropy, state_dict_key

WORDS = "what is shown here ? a red green blue cat dog runs sits on the mat . look closely user assistant : video".split()
SIZES = dict(vocab_size=100, hidden_size=40, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
             tie_word_embeddings=False, attn_implementation="eager")


def make_dialogues(folder, generator):
    """Pictures, dialogues of uneven length (one over the cap, one without question or instruction), a SentencePiece model."""
    def words(low, high):
        return " ".join(generator.choice(WORDS) for _ in range(generator.randint(low, high)))
    (folder / "corpus.txt").write_text("\n".join(words(3, 12) for _ in range(300)))
    sentencepiece.SentencePieceTrainer.train(input=str(folder / "corpus.txt"), model_prefix=str(folder / "lm"), vocab_size=100,
                                             hard_vocab_limit=False, model_type="bpe", minloglevel=2)
    (folder / "pictures").mkdir()
    records = []
    for number in range(5):
        steps.write_png(folder / "pictures" / f"{number}.png", generator.randbytes(8 * 8 * 3), 8)
        turns = [{"i": words(2, 4), "q": words(2, 4), "a": words(1, 4)} for _ in range(1 + number % 3)]
        if number == 0:
            turns = [{"i": "", "q": "", "a": words(3, 5)}]
        if number == 4:
            turns = [{"i": words(2, 3), "q": words(2, 3), "a": words(60, 70)}]
        records.append({"image": f"{number}.png", "QA": turns})
    (folder / "dialogues.json").write_text(json.dumps(records))


def model_of(name):
    if name == "vicuna":
        return LlamaForCausalLM(LlamaConfig(num_key_value_heads=4, rms_norm_eps=1e-6, max_position_embeddings=2048, **SIZES)), \
            ["q_proj", "v_proj"]
    if name == "mistral":
        return MistralForCausalLM(MistralConfig(
            num_key_value_heads=2, rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            sliding_window=None, **SIZES)), ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
    factors = [1.0, 1.05, 1.1, 1.5, 2.0]
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": factors, "long_factor": [4.0] * 5, "partial_rotary_factor": 1.0,
            "original_max_position_embeddings": 4096}
    return Phi3ForCausalLM(Phi3Config(
        num_key_value_heads=4, rms_norm_eps=1e-5, max_position_embeddings=131072, original_max_position_embeddings=4096,
        rope_parameters=rope, sliding_window=None, pad_token_id=0, **SIZES)), ["qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head"]


class Twin:
    """A Transformers model under PEFT's LoRA; `parameters` by the recipe's paths."""

    def __init__(self, name, weights):
        model, self.targets = model_of(name)
        self.name = name
        # In f64: what is compared is our rounding, not the sum of both.
        self.model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=self.targets, bias="none")).double()
        named = dict(self.model.named_parameters())
        self.parameters = {path: named.pop(self.key(path)) for path in weights}
        assert not named, f"the recipe has no weight for {sorted(named)}"
        for path, value in weights.items():
            with torch.no_grad():
                self.parameters[path].copy_(value)
            self.parameters[path].requires_grad_(True)

    def key(self, path):
        prefix = f"{self.name}_lora.{self.name}."
        if path.startswith(prefix):
            base, kind, _ = path.removeprefix(prefix).rsplit(".", 2)
            return f"base_model.model.{state_dict_key(base)}.{kind}.default.weight"
        key = state_dict_key(path.removeprefix(self.name + "."))
        owner = key.removesuffix(".weight")
        return "base_model.model." + (owner + ".base_layer.weight" if owner.rsplit(".", 1)[-1] in self.targets else key)


class LanguageModels(steps.Case):
    recipe = "llms.vcs"
    make_data = staticmethod(make_dialogues)

    def start(self, path, shape):
        """Of a size that neither grows nor fades from layer to layer: larger ones amplify rounding by a thousand."""
        value = super().start(path, shape)
        return value if "norm" in path.lower() else value / 2

    def check_twin(self, name):
        step, = self.steps(name)
        twin = Twin(name, step.before)
        ids = step.inputs["text.ids"].long()
        mask = (torch.arange(ids.shape[1])[None] < step.inputs["text.length"][:, None]).long()
        logits = twin.model(input_ids=ids, attention_mask=mask).logits
        loss = shifted_cross_entropy(logits, step.inputs["text.labels"], step.inputs["text.supervised"])
        loss.backward()
        # A row over the cap, a row under it.
        lengths = step.inputs["text.length"]
        self.assertEqual(int(lengths.max()), 40)
        self.assertLess(int(lengths.min()), 40)
        self.assertEqual(set(step.gradient), set(twin.parameters))
        self.compare(step, "loss", loss, twin.parameters, share=1e-7)

    def test_vicuna_with_lora_on_queries_and_values(self):
        self.check_twin("vicuna")

    def test_mistral_with_grouped_heads_and_lora_on_eight_sites(self):
        self.check_twin("mistral")

    def test_phi3_with_fused_projections_stretched_positions_and_lora_on_them(self):
        self.check_twin("phi")

    def test_several_dialogues_in_a_row(self):
        """Transformers reads each by itself."""
        step, = self.steps("packed")
        twin = Twin("phi", step.before)
        used = int(step.inputs["text.length"])
        ids, labels, starts = (step.inputs[f"text.{name}"][0, :used] for name in ("ids", "labels", "starts"))
        begins = starts.unique().tolist()
        self.assertEqual(len(begins), 5)
        self.assertGreater(len({int((starts == begin).sum()) for begin in begins}), 2)
        loss = sum(shifted_cross_entropy(twin.model(input_ids=ids[starts == begin][None].long()).logits, labels[starts == begin][None],
                                         step.inputs["text.supervised"]) for begin in begins)
        loss.backward()
        self.compare(step, "loss", loss, twin.parameters, share=1e-7)

    def test_supervised_positions_alone_give_what_all_positions_give(self):
        fewer, = self.steps("targets")
        every, = self.steps("everywhere", weights="targets")
        self.assertIn("text.targets", fewer.inputs)
        self.assertNotIn("text.targets", every.inputs)
        targets, labels = fewer.inputs["text.targets"], fewer.inputs["text.labels"]
        self.assertEqual(list(targets.shape), [5, 40])
        chosen = targets[targets >= 0].long()
        self.assertEqual(labels.flatten()[chosen + 1].tolist(), labels[:, 1:][labels[:, 1:] >= 0].tolist())
        self.assertEqual(len(chosen), int(fewer.inputs["text.supervised"]))
        self.close(fewer.output["loss"], every.output["loss"], 1e-6, "loss")
        for path, gradient in every.gradient.items():
            self.close(fewer.gradient[path], gradient, 1e-5, f"gradient of {path}")


if __name__ == "__main__":
    unittest.main()
