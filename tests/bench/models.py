# SPDX-License-Identifier: Apache-2.0
"""The bench's models in PyTorch. Each takes a recipe's weights by path and a batch as a dump gives it, and returns the
loss. `Llama` is written as lean as PyTorch allows (one call per operation, no masks where right padding needs none), so
that a twin is slow for no reason of ours; `PeftLlama` is Hugging Face's model with PEFT's LoRA, as most people run it."""
import pathlib
import sys

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "parity"))
import twins  # noqa: E402


def next_token_loss(logits, batch, field, smoothing=0.0):
    """Mean cross-entropy of the next token: labels move one place, so that the logits need no copy."""
    labels = F.pad(batch[f"{field}.labels"][:, 1:], (0, 1), value=-100).flatten()
    total = F.cross_entropy(logits.flatten(0, 1), labels, ignore_index=-100, reduction="sum", label_smoothing=smoothing)
    return total / batch[f"{field}.supervised"]


class Llama:
    """A decoder over a dict of weights; `lora` is the scale of the adapters below `adapter.`."""

    def __init__(self, weights, sizes, lora=0.0):
        self.w, self.depth, self.heads, self.kv_heads, self.eps = weights, sizes["depth"], sizes["heads"], sizes["kv_heads"], sizes["eps"]
        self.lora = lora
        width = sizes["width"] // self.heads
        angles = torch.outer(torch.arange(sizes["tokens"]).double(), 10000.0 ** (-torch.arange(0, width, 2).double() / width))
        self.cos, self.sin = (torch.cat([f(angles)] * 2, -1).float() for f in (torch.cos, torch.sin))

    def linear(self, x, path):
        y = F.linear(x, self.w[path + ".weight"])
        down = self.w.get(f"adapter.{path}.lora_A.weight")
        if down is None or not self.lora:
            return y
        return y + self.lora * F.linear(F.linear(x, down), self.w[f"adapter.{path}.lora_B.weight"])

    def norm(self, x, path):
        return F.rms_norm(x, x.shape[-1:], self.w[path + ".weight"], self.eps)

    def rotate(self, x):
        a, b = x.chunk(2, -1)
        return x * self.cos[:x.shape[2]] + torch.cat([-b, a], -1) * self.sin[:x.shape[2]]

    def attention(self, x, path):
        q = self.rotate(twins.heads_of(self.linear(x, path + ".q_proj"), self.heads))
        k = self.rotate(twins.heads_of(self.linear(x, path + ".k_proj"), self.kv_heads))
        v = twins.heads_of(self.linear(x, path + ".v_proj"), self.kv_heads)
        if self.kv_heads != self.heads:
            k, v = (t.repeat_interleave(self.heads // self.kv_heads, 1) for t in (k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.linear(mixed.transpose(1, 2).flatten(2), path + ".o_proj")

    def embed(self, ids):
        return F.embedding(ids, self.w["lm.model.embed_tokens.weight"])

    def logits(self, x):
        for i in range(self.depth):
            layer = f"lm.model.layers[{i}]"
            x = x + self.attention(self.norm(x, layer + ".input_layernorm"), layer + ".self_attn")
            y = self.norm(x, layer + ".post_attention_layernorm")
            y = F.silu(self.linear(y, layer + ".mlp.gate_proj")) * self.linear(y, layer + ".mlp.up_proj")
            x = x + self.linear(y, layer + ".mlp.down_proj")
        return self.linear(self.norm(x, "lm.model.norm"), "lm.lm_head")


class PeftLlama:
    """LlamaForCausalLM with LoRA by PEFT, its weights exchanged for the given ones."""

    def __init__(self, weights, sizes, lora=None):
        twin = twins.Llama(sizes, lora=lora)
        twin.model.set_attn_implementation("sdpa") if not lora else twin.model.base_model.model.set_attn_implementation("sdpa")
        twin.load({path: value.detach() for path, value in weights.items() if path.startswith(("lm.", "adapter."))})
        self.model = twin.model
        for path, parameter in twin.parameters.items():
            parameter.requires_grad_(weights[path].requires_grad)
            weights[path] = parameter  # the optimizer must see the model's own
        self.table = self.model.get_input_embeddings()

    def embed(self, ids):
        return self.table(ids)

    def logits(self, x):
        return self.model(inputs_embeds=x, use_cache=False).logits


class LlamaCase:
    """The whole Llama on one text field."""

    def prepare(self, batch):
        """The batch is complete."""

    def __init__(self, weights, sizes, style):
        self.model = Llama(weights, sizes)

    def loss(self, batch):
        return next_token_loss(self.model.logits(self.model.embed(batch["text.ids"])), batch, "text")


class TinyStage:
    """What the stages of the tiny video recipe share: the encoder, the bridge and, in two of them, the language model."""

    def prepare(self, batch):
        """Adds to a batch what depends on no weight."""

    def __init__(self, weights, sizes, style):
        self.w, self.sizes = weights, sizes
        if "lm" in sizes:
            lora = sizes.get("lora")
            if style == "peft":
                self.lm = PeftLlama(weights, sizes["lm"], lora)
            else:
                self.lm = Llama(weights, sizes["lm"], lora["alpha"] / lora["rank"] if lora else 0.0)
        self.bridge = twins.QFormer(twins.below(weights, "bridge."), depth=4, heads=4)
        self.vision = twins.below(weights, "vision.")

    def memory(self, batch):
        return twins.vision_transformer(batch["clip.pixels"], self.vision, patch=16, tubelet=2, heads=4, depth=3, mean=0.36, std=0.2,
                                        final_eps=1e-6)

    def spliced_loss(self, batch, queries):
        """The dialogue's loss with the projected queries in their places."""
        visual = F.linear(queries, self.w["project.weight"], self.w["project.bias"]).flatten(0, 1)
        at = batch["dialogue.at"]
        embeddings = self.lm.embed(batch["dialogue.ids"])
        x = torch.where((at >= 0)[..., None], visual[at.clamp(min=0)], embeddings)
        return next_token_loss(self.lm.logits(x), batch, "dialogue")


class Align(TinyStage):
    """All three losses; the passes of queries and text are run once, and the memory's keys and values are computed once for all
    pairs. The draws of the negatives depend on the seed alone: they come with the batch, as `texts` and `clips`."""

    def prepare(self, batch):
        rows = len(batch["same"])
        for name, site in (("texts", "uniform"), ("clips", "uniform#1")):
            batch[name] = -torch.log1p(-twins.uniform(batch["rng"], site, (rows, rows)).float())

    def loss(self, batch):
        with torch.no_grad():
            memory = self.memory(batch)
        ids, length = batch["caption.ids"], batch["caption.length"]
        outputs, cache = self.bridge.read(memory)
        visual = F.normalize(F.linear(outputs, self.w["align.vision_proj.weight"], self.w["align.vision_proj.bias"]), dim=-1)
        spoken = self.bridge.encode(ids, length)[:, 0]
        textual = F.normalize(F.linear(spoken, self.w["align.text_proj.weight"], self.w["align.text_proj.bias"]), dim=-1)
        score = (visual.flatten(0, 1) @ textual.T).unflatten(0, (-1, visual.shape[1])).amax(1) / self.w["align.temp"]
        same = batch["same"][:, None] == batch["same"][None]
        targets = same / same.sum(1, keepdim=True)
        contrast = -0.5 * (targets * (score.log_softmax(1) + score.T.log_softmax(1))).sum() / len(score)
        logits = self.bridge.write(ids, length, cache, decode_id=5)
        return contrast + self.matching(batch, memory, score.detach(), same) + next_token_loss(logits, batch, "caption", smoothing=0.1)

    def matching(self, batch, memory, score, same):
        drawn = [(clocks / (s.softmax(1) + 1e-4).masked_fill(same, 0.0)).argmin(1) for clocks, s in ((batch["clips"], score.T), (batch["texts"], score))]
        own = torch.arange(len(score))
        clips, texts = torch.cat([own, drawn[0], own]), torch.cat([own, own, drawn[1]])
        queries, words = self.bridge.fuse_both(memory, batch["caption.ids"][texts], batch["caption.length"][texts], rows=clips)
        logits = F.linear(torch.cat([queries.mean(1), words[:, 0]], -1), self.w["align.itm_head.weight"], self.w["align.itm_head.bias"])
        return F.cross_entropy(logits, (torch.arange(len(logits)) < len(own)).long())


class Connect(TinyStage):
    def loss(self, batch):
        return self.spliced_loss(batch, self.bridge.read(self.memory(batch))[0])


class Instruct(TinyStage):
    def loss(self, batch):
        queries = self.bridge.fuse(self.memory(batch), batch["question.ids"], batch["question.length"])
        return self.spliced_loss(batch, queries)


CASES = {"llama": LlamaCase, "align": Align, "connect": Connect, "instruct": Instruct}
