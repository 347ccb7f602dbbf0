# SPDX-License-Identifier: Apache-2.0
"""All of VideoChat2 in PyTorch, in f64 unless told otherwise: the encoder and the Q-Former of twins.py, Transformers' language models under PEFT's LoRA, AdamW.
`habits`: the fields of `reproduction.Reproduction` that change what is computed from a batch, or how it is trained."""
import math

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Phi3Config, Phi3ForCausalLM

import twins
from test_positions import sinusoid

SIZES = dict(vocab_size=100, hidden_size=40, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, tie_word_embeddings=False,
             attn_implementation="eager")
MEAN, STD = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
WIDTH, PLACES, DEPTH, HEADS, KNOWN = 48, 4, 4, 4, 4
LORA = {"vicuna": ["q_proj", "v_proj"], "mistral": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"],
        "phi3": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head"]}
SITES = {"texts": "uniform", "clips": "uniform#1"}


def language_model(variant):
    if variant == "vicuna":
        return LlamaForCausalLM(LlamaConfig(num_key_value_heads=4, rms_norm_eps=1e-6, max_position_embeddings=2048, **SIZES))
    if variant == "mistral":
        return MistralForCausalLM(MistralConfig(
            num_key_value_heads=2, rms_norm_eps=1e-5, rope_parameters={"rope_type": "default", "rope_theta": 1e6}, sliding_window=None, **SIZES))
    factors = [1.0, 1.05, 1.1, 1.5, 2.0]
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": factors, "long_factor": [4.0] * 5, "partial_rotary_factor": 1.0,
            "original_max_position_embeddings": 4096}
    return Phi3ForCausalLM(Phi3Config(
        num_key_value_heads=4, rms_norm_eps=1e-5, max_position_embeddings=131072, original_max_position_embeddings=4096,
        rope_parameters=rope, sliding_window=None, pad_token_id=0, **SIZES))


def positions(frames):
    """Of an image those of the first frame; of other numbers of frames the table for four, drawn out or together."""
    table = sinusoid(KNOWN * PLACES, WIDTH)
    if frames in (1, KNOWN):
        return table[: frames * PLACES]
    moving = table.reshape(KNOWN, PLACES, WIDTH).permute(1, 2, 0).reshape(-1, WIDTH, KNOWN)
    return F.interpolate(moving, size=frames, mode="linear").reshape(PLACES, WIDTH, frames).permute(2, 0, 1).reshape(-1, WIDTH)


class Twin:
    """One stage, from the weights of a dumped step. `leaves` are all weights by the recipe's paths; those of `trained` want gradients."""

    def __init__(self, stage, variant, weights, trained, habits, dtype=torch.float64):
        self.stage, self.variant, self.habits, self.dtype = stage, variant, habits, dtype
        self.leaves = {path: value.to(dtype, copy=True).requires_grad_(path in trained) for path, value in weights.items()}
        self.trained = {path: leaf for path, leaf in self.leaves.items() if path in trained}
        if stage != "align":
            self._make_language_model({path: leaf for path, leaf in self.leaves.items() if path.startswith(("lm.", "adapter.", "fused."))})

    def _make_language_model(self, weights):
        """The leaves of the language model become Transformers' and PEFT's parameters."""
        targets = LORA[self.variant] if self.stage == "instruct" else []
        model = language_model(self.variant)
        if targets:
            model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=targets, bias="none"))
        self.model = model.to(self.dtype)
        named = dict(self.model.named_parameters())
        for path, leaf in weights.items():
            parameter = named.pop(self._key(path, targets))
            parameter.requires_grad_(path in self.trained)
            with torch.no_grad():
                parameter.copy_(leaf)
            self.leaves[path] = parameter
            if path in self.trained:
                self.trained[path] = parameter
        assert not named, f"the recipe has no weight for {sorted(named)}"

    @staticmethod
    def _key(path, targets):
        root = "base_model.model." if targets else ""
        component, rest = path.split(".", 1)
        if component != "lm":
            base, kind, _ = rest.removeprefix("lm.").rsplit(".", 2)
            return f"{root}{twins.state_dict_key(base)}.{kind}.default.weight"
        key = twins.state_dict_key(rest)
        owner = key.removesuffix(".weight")
        return root + (owner + ".base_layer.weight" if owner.rsplit(".", 1)[-1] in targets else key)

    def memory(self, pixels):
        weights = twins.below(self.leaves, "vision.")
        frames = pixels.shape[1]
        weights["pos_embed"] = positions(frames).to(self.dtype)
        if "slot_embed" in weights and frames == 1 and not self.habits["image_in_every_slot"]:
            weights["slot_embed"] = weights["slot_embed"][:, :1]
        return twins.vision_transformer(pixels, weights, patch=16, tubelet=1, heads=HEADS, depth=DEPTH, mean=MEAN, std=STD)

    def former(self):
        weights = twins.below(self.leaves, "bridge.")
        if "extra_query_tokens" in weights:
            weights["query_tokens"] = torch.cat([weights["query_tokens"], weights["extra_query_tokens"]], 1)
        return twins.QFormer(weights, depth=4, heads=4)

    def instruction(self, inputs):
        """What the Q-Former is told, ids and lengths. On the left upstream pads to the longest row of the micro-batch."""
        ids, length = inputs["question.ids"], inputs["question.length"]
        return ids[:, -int(length.max()):] if self.habits["side"] == "left" else ids, length

    def losses(self, inputs, output):
        """The stage's terms. `output`: what the program made of the batch, which is asked alone where rounding chooses a negative."""
        memory = self.memory(inputs["clip.pixels"])
        if self.stage == "align":
            return self._align(inputs, memory, float(output["loss.vtm"]))
        if self.stage == "connect":
            queries = self.former().read(memory)[0]
        else:
            queries, text = self.former().fuse_both(memory, *self.instruction(inputs), self.habits["side"])
        visual = twins.linear(queries, self.leaves, "project")
        terms = {"lm": self._next_token(inputs, visual)}
        if self.stage == "instruct":
            terms["unread"] = 0.0 * text.sum()
        return terms

    def _align(self, inputs, memory, matched):
        former = self.former()
        twin = twins.Alignment(former, twins.below(self.leaves, "heads."), memory, inputs["caption.ids"], inputs["caption.length"], "mean")
        ids = inputs["batch.local_ids" if "batch.local_ids" in inputs else "batch.ids"]
        same = ids[:, None] == ids[None]
        draws = {kind: twins.uniform(inputs["rng"], site, same.shape) for kind, site in SITES.items()}
        logits = former.write(twin.ids, twin.length, twin.cache, decode_id=100)
        caption = twins.shifted_cross_entropy(logits, inputs["caption.labels"], inputs["caption.supervised"], 0.1)
        return {"vtc": twin.contrastive(same), "vtm": twin.matching(same, draws, matched), "cap": caption}

    def _next_token(self, inputs, visual):
        """Visual vectors stand where `dialogue.at` has their rows; the begin token is its embedding, or a constant vector in stage 3."""
        ids, at, length = (inputs[f"dialogue.{name}"].long() for name in ("ids", "at", "length"))
        words = self.model.get_input_embeddings()(ids)
        seen = F.embedding(at.clamp(min=0), visual.flatten(0, 1))
        embedded = torch.where(at[..., None] >= 0, seen, words)
        if self.stage == "instruct" and self.habits["constant_bos"] is not None:
            first = torch.full_like(embedded[:, :1], self.habits["constant_bos"])
            embedded = torch.cat([first, embedded[:, 1:]], 1)
        mask = (torch.arange(ids.shape[1])[None] < length[:, None]).long()
        logits = self.model(inputs_embeds=embedded, attention_mask=mask).logits
        return twins.shifted_cross_entropy(logits, inputs["dialogue.labels"], inputs["dialogue.supervised"])

    def optimizer(self):
        """AdamW as upstream builds it: matrices decay, vectors do not; queries, temporal vectors and temperature by habit, and what the
        last layer makes of the text."""
        special = ("bridge.query_tokens", "bridge.extra_query_tokens", "vision.slot_embed", "heads.temp")
        idle = ("bridge.layers[3].intermediate.", "bridge.layers[3].output.")

        def decays(path, leaf):
            if path in special:
                return self.habits["decay_everything"]
            if self.stage == "instruct" and path.startswith(idle):
                return self.habits["idle_decays"] and leaf.dim() > 1
            return leaf.dim() > 1
        groups = {True: [], False: []}
        for path, leaf in self.trained.items():
            groups[decays(path, leaf)].append(leaf)
        return torch.optim.AdamW([{"params": leaves, "weight_decay": 0.02 if decay else 0.0} for decay, leaves in groups.items()],
                                 lr=1.0, betas=(0.9, 0.999), eps=1e-8)

    def step(self, optimizer, rate):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
        if "heads.temp" in self.trained:
            with torch.no_grad():
                self.trained["heads.temp"].clamp_(0.001, 0.5)


def factor(step, total, warmup, floor, floor_in_warmup):
    """Upstream's cosine with warm-up; the floor cuts it off, in warm-up too where that is upstream's habit."""
    if step < warmup:
        return max(floor if floor_in_warmup else 0.0, step / max(1, warmup))
    return max(floor, 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup))))
