# SPDX-License-Identifier: Apache-2.0
"""The same computations in PyTorch, Transformers and PEFT: each twin takes a step's inputs and weights as a dump
gives them and returns the loss. Weights are leaf tensors, so that gradients can be read off them."""
import itertools
import math

import numpy
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM


def below(weights, prefix):
    """The weights under a path, by the rest of their names."""
    return {name[len(prefix):]: value for name, value in weights.items() if name.startswith(prefix)}


def state_dict_key(path):
    """`model.layers[3].mlp` as `model.layers.3.mlp`."""
    return path.replace("[", ".").replace("]", "")


def shifted_cross_entropy(logits, labels, total, smoothing=0.0):
    """Mean next-token cross-entropy over `total` targets."""
    rows = logits[:, :-1].reshape(-1, logits.shape[-1])
    targets = labels[:, 1:].reshape(-1).long()
    return F.cross_entropy(rows, targets, ignore_index=-100, label_smoothing=smoothing, reduction="sum") / total


class Llama:
    """Hugging Face's LlamaForCausalLM, optionally wrapped by PEFT's LoRA."""

    def __init__(self, sizes, lora=None, attention="eager"):
        config = LlamaConfig(
            vocab_size=sizes["vocab"], hidden_size=sizes["width"], num_hidden_layers=sizes["depth"],
            num_attention_heads=sizes["heads"], num_key_value_heads=sizes["kv_heads"],
            intermediate_size=sizes["hidden"], rms_norm_eps=sizes["eps"], max_position_embeddings=512,
            tie_word_embeddings=False, attn_implementation=attention)
        self.model = LlamaForCausalLM(config)
        self.lora = lora
        if lora:
            self.model = get_peft_model(self.model, LoraConfig(
                r=lora["rank"], lora_alpha=lora["alpha"], lora_dropout=0.0, target_modules=lora["targets"], bias="none"))
        self.parameters = {}

    def _parameter_name(self, path):
        if not self.lora:
            return state_dict_key(path.removeprefix("lm."))
        if path.startswith("adapter."):
            base, kind, _ = path.removeprefix("adapter.").removeprefix("lm.").rsplit(".", 2)
            return f"base_model.model.{state_dict_key(base)}.{kind}.default.weight"
        key = state_dict_key(path.removeprefix("lm."))
        module = key.rsplit(".", 1)[0].rsplit(".", 1)[-1]
        if module in self.lora["targets"]:
            key = key.replace(module + ".weight", module + ".base_layer.weight")
        return "base_model.model." + key

    def load(self, weights):
        """Copies every weight into the model; a weight that the model lacks, or one it misses, is an error."""
        named = dict(self.model.named_parameters())
        self.parameters = {path: named.pop(self._parameter_name(path)) for path in weights}
        assert not named, f"the recipe has no weight for {sorted(named)}"
        with torch.no_grad():
            for path, value in weights.items():
                self.parameters[path].copy_(value)

    def loss(self, inputs, field, smoothing=0.0):
        length = inputs[f"{field}.length"].long()
        ids = inputs[f"{field}.ids"].long()
        mask = (torch.arange(ids.shape[1])[None] < length[:, None]).long()
        logits = self.model(input_ids=ids, attention_mask=mask).logits
        return shifted_cross_entropy(logits, inputs[f"{field}.labels"], inputs[f"{field}.supervised"], smoothing)


def layer_norm(x, weights, path, eps):
    return F.layer_norm(x, x.shape[-1:], weights[path + ".weight"], weights[path + ".bias"], eps)


def linear(x, weights, path):
    return F.linear(x, weights[path + ".weight"], weights.get(path + ".bias"))


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attend(q, k, v, mask=None):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def normalised(pixels, mean, std):
    return (pixels.float() / 255.0 - mean) / std


def vision_transformer(pixels, weights, patch, tubelet, heads, depth, mean, std, eps=1e-6, final_eps=1e-12):
    """models/blip2/vit.py of VideoChat2 with a convolution for the patches."""
    kernel = weights["patch_embed.proj.weight"]
    clip = normalised(pixels, mean, std).to(kernel.dtype).transpose(1, 2)
    x = F.conv3d(clip, kernel.reshape(kernel.shape[0], 3, tubelet, patch, patch), weights["patch_embed.proj.bias"],
                 stride=(tubelet, patch, patch))
    x = x.flatten(2).transpose(1, 2) + weights["pos_embed"]
    for i in range(depth):
        block = below(weights, f"blocks[{i}].")
        y = layer_norm(x, block, "norm1", eps)
        zero = torch.zeros_like(block["attn.q_bias"])
        bias = torch.cat([block["attn.q_bias"], zero, block["attn.v_bias"]])
        q, k, v = F.linear(y, block["attn.qkv.weight"], bias).chunk(3, dim=-1)
        x = x + linear(attend(heads_of(q, heads), heads_of(k, heads), heads_of(v, heads)), block, "attn.proj")
        y = layer_norm(x, block, "norm2", eps)
        x = x + linear(F.gelu(linear(y, block, "mlp.fc1")), block, "mlp.fc2")
    if "slot_embed" in weights:
        x = (x.unflatten(1, (pixels.shape[1] // tubelet, -1)) + weights["slot_embed"]).flatten(1, 2)
    return layer_norm(x, weights, "norm", final_eps)


class QFormer:
    """models/blip2/Qformer.py of VideoChat2: post-norm BERT layers with queries, written out with masks as matrices."""

    def __init__(self, weights, depth, heads, eps=1e-12):
        self.w, self.depth, self.heads, self.eps = weights, depth, heads, eps

    def normalise(self, x):
        return layer_norm(x, self.w, "embeddings.LayerNorm", self.eps)

    def words(self, ids):
        positions = self.w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        return F.embedding(ids.long(), self.w["embeddings.word_embeddings.weight"]) + positions

    def output(self, x, residual, part):
        return layer_norm(linear(x, self.w, part + ".dense") + residual, self.w, part + ".LayerNorm", self.eps)

    def attention(self, part, x, memory, mask=None, cached=None, rows=None):
        """`rows`: which row of the memory each row of x looks at."""
        q = heads_of(linear(x, self.w, part + ".self.query"), self.heads)
        k = heads_of(linear(memory, self.w, part + ".self.key"), self.heads)
        v = heads_of(linear(memory, self.w, part + ".self.value"), self.heads)
        if rows is not None:
            k, v = k[rows], v[rows]
        if cached is not None:
            k, v = torch.cat([cached[0], k], 2), torch.cat([cached[1], v], 2)
        return self.output(attend(q, k, v, mask), x, part + ".output"), (k, v)

    def feed_forward(self, x, layer, suffix=""):
        hidden = F.gelu(linear(x, self.w, f"{layer}.intermediate{suffix}.dense"))
        return self.output(hidden, x, f"{layer}.output{suffix}")

    def cross(self, x, memory, layer, rows=None):
        if f"{layer}.crossattention.self.query.weight" not in self.w:
            return x
        return self.attention(layer + ".crossattention", x, memory, rows=rows)[0]

    def queries(self, count):
        return self.w["query_tokens"].expand(count, -1, -1)

    def read(self, memory):
        """The queries alone; also the keys and values of every layer."""
        x, cache = self.normalise(self.queries(memory.shape[0])), []
        for i in range(self.depth):
            x, keys_and_values = self.attention(f"layers[{i}].attention", x, x)
            cache.append(keys_and_values)
            x = self.feed_forward(self.cross(x, memory, f"layers[{i}]"), f"layers[{i}]", "_query")
        return x, cache

    def text_seen(self, ids, length, side="right"):
        """[B, 1, L]: which tokens are no padding."""
        places = torch.arange(ids.shape[1])[None]
        return (places < length[:, None] if side == "right" else places >= ids.shape[1] - length[:, None])[:, None]

    def fuse_both(self, memory, ids, length, side="right", rows=None):
        """Queries and text see each other, padding excepted: outputs of both."""
        queries = self.queries(ids.shape[0])
        count = queries.shape[1]
        x = self.normalise(torch.cat([queries, self.words(ids)], 1))
        all_queries = torch.ones(x.shape[0], x.shape[1], count, dtype=torch.bool)
        mask = torch.cat([all_queries, self.text_seen(ids, length, side).expand(-1, x.shape[1], -1)], 2)[:, None]
        for i in range(self.depth):
            x, _ = self.attention(f"layers[{i}].attention", x, x, mask)
            first = self.feed_forward(self.cross(x[:, :count], memory, f"layers[{i}]", rows), f"layers[{i}]", "_query")
            x = torch.cat([first, self.feed_forward(x[:, count:], f"layers[{i}]")], 1)
        return x[:, :count], x[:, count:]

    def fuse(self, memory, ids, length, side="right"):
        """The queries' outputs of the same."""
        return self.fuse_both(memory, ids, length, side)[0]

    def encode(self, ids, length, side="right"):
        """The text alone."""
        x = self.normalise(self.words(ids))
        mask = self.text_seen(ids, length, side).expand(-1, x.shape[1], -1)[:, None]
        for i in range(self.depth):
            x, _ = self.attention(f"layers[{i}].attention", x, x, mask)
            x = self.feed_forward(x, f"layers[{i}]")
        return x

    def write(self, ids, length, cache, decode_id):
        """The text from left to right, after the queries; logits over the vocabulary."""
        ids = torch.cat([torch.full_like(ids[:, :1], decode_id), ids[:, 1:]], 1)
        x = self.normalise(self.words(ids))
        tokens, seen = x.shape[1], cache[0][0].shape[2]
        text = torch.ones(tokens, tokens, dtype=torch.bool).tril()[None] & (torch.arange(tokens)[None] < length[:, None])[:, None]
        mask = torch.cat([torch.ones(x.shape[0], tokens, seen, dtype=torch.bool), text], 2)[:, None]
        for i in range(self.depth):
            x, _ = self.attention(f"layers[{i}].attention", x, x, mask, cache[i])
            x = self.feed_forward(x, f"layers[{i}]")
        head = "cls.predictions"
        x = F.gelu(linear(x, self.w, head + ".transform.dense"))
        x = layer_norm(x, self.w, head + ".transform.LayerNorm", self.eps)
        return F.linear(x, self.w["embeddings.word_embeddings.weight"], self.w[head + ".bias"])


def philox(counter, key):
    """First word of Philox4x32-10 for arrays of counters [.., 4] (Salmon et al., 2011)."""
    c0, c1, c2, c3 = (word.astype(numpy.uint64) for word in numpy.moveaxis(counter, -1, 0))
    k0, k1, low = int(key[0]), int(key[1]), numpy.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = numpy.uint64(0xD2511F53) * c0, numpy.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> numpy.uint64(32)) ^ c1 ^ numpy.uint64(k0), p1 & low, (p0 >> numpy.uint64(32)) ^ c3 ^ numpy.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0


def uniform(rng, site, shape):
    """The draw of `uniform(shape)` at a site for the step whose `rng` a dump holds: axis 0 is the sample."""
    words = [int(word) & 0xFFFFFFFF for word in rng]
    place = 2166136261
    for letter in site.encode():
        place = (place ^ letter) * 16777619 & 0xFFFFFFFF
    rows, inner = shape[0], math.prod(shape[1:])
    counter = numpy.empty((rows, inner, 4), numpy.uint64)
    counter[..., 0] = numpy.arange(inner)[None]
    counter[..., 1] = (words[3] + numpy.arange(rows)[:, None]) & 0xFFFFFFFF
    counter[..., 2], counter[..., 3] = words[2], place
    return torch.from_numpy((philox(counter, words[:2]) >> numpy.uint64(8)).astype(numpy.float64) * 2.0 ** -24).reshape(shape)


class Alignment:
    """Contrast and matching of models/videochat2_qformer.py and models/criterions.py of VideoChat2."""

    def __init__(self, former, weights, memory, ids, length, pool):
        self.former, self.w, self.memory, self.ids, self.length = former, weights, memory, ids, length
        self.outputs, self.cache = former.read(memory)
        visual = F.normalize(linear(self.outputs, weights, "vision_proj"), dim=-1)
        textual = F.normalize(linear(former.encode(ids, length)[:, 0], weights, "text_proj"), dim=-1)
        each = torch.einsum("mqe,ne->mqn", visual, textual)
        self.score = (each.mean(1) if pool == "mean" else each.amax(1)) / weights["temp"]

    def contrastive(self, same):
        targets = same / same.sum(1, keepdim=True)
        by_clip, by_text = (-(targets * torch.log_softmax(score, 1)).sum(1) for score in (self.score, self.score.T))
        return 0.5 * (by_clip + by_text).mean()

    def drawn(self, score, same, draws):
        """The columns that may be drawn in each row: the first of clocks that run at the weights, and those so close behind it (a share
        of 1e-3) that rounding may put them first; -1 where none runs."""
        weights = torch.softmax(score.detach().double(), 1) + 1e-4
        clocks = torch.where(same, math.inf, -torch.log1p(-draws) / weights)
        first = clocks.amin(1, keepdim=True)
        return [tuple(near.nonzero().flatten().tolist()) if runs else (-1,) for near, runs in zip(clocks <= 1.001 * first, first.isfinite())]

    def matching(self, same, draws, ours):
        """`draws` choose the negatives. Where rounding may choose between several, with those of which the loss comes nearest to `ours`."""
        texts, clips = self.drawn(self.score, same, draws["texts"]), self.drawn(self.score.T, same, draws["clips"])
        ways = [self.asked(way[len(texts):], way[:len(texts)]) for way in itertools.product(*texts, *clips)]
        return min(ways, key=lambda loss: abs(loss.item() - ours))

    def asked(self, clips, texts):
        """`clips` and `texts` are the negatives of every text and clip, -1 where there is none."""
        own = range(len(clips))
        pairs = [(m, n, 1) for m, n in zip(own, own)] + [(m, n, 0) for m, n in zip(clips, own)] + [(m, n, 0) for m, n in zip(own, texts)]
        pairs = [pair for pair in pairs if min(pair[:2]) >= 0]
        left, right, labels = (torch.tensor([int(pair[k]) for pair in pairs]) for k in range(3))
        queries, words = self.former.fuse_both(self.memory[left], self.ids[right], self.length[right])
        logits = linear(torch.cat([queries.mean(1), words[:, 0]], -1), self.w, "itm_head")
        return F.cross_entropy(logits, labels, reduction="sum") / (3 * len(own))
