# SPDX-License-Identifier: Apache-2.0
"""VideoChat2's stages 2 and 3 in PyTorch, to be measured: Transformers' Llama, LoRA written out, one call for each attention, bf16 by autocast with
what trains in f32, fused AdamW, nothing recomputed. It does the recipe's work on full rows: the same places and parameters, dropout and stochastic depth,
vocabulary logits of supervised places alone. Weights and batches are random here; tests/parity/test_gpu_twin.py gives it a program's and compares the loss."""
import argparse
import dataclasses
import json
import time

STARTED = time.time()  # before PyTorch is loaded

import gc
import statistics

import torch
import torch.nn.functional as F
from torch import nn

import attending
import measuring

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WARM = 4  # steps before those that count, half of pictures and half of clips


@dataclasses.dataclass
class Sizes:
    """Of the published model. `text` are a row's tokens: those of stage 2's dialogue, of stage 3's, of its instruction."""
    image: int = 224
    patch: int = 16
    frames: int = 8
    vision: tuple = (1024, 23, 16)  # width, depth, heads
    bridge: tuple = (768, 12, 12)
    hidden: int = 3072
    queries: int = 96
    words: int = 30523
    positions: int = 512
    rate: float = 0.1
    drop: float = 0.2
    rank: int = 16
    lora_dropout: float = 0.1
    text: tuple = (576, 512, 512)
    lm: tuple = (4096, 32, 32, 11008, 32000)  # width, depth, heads, hidden, vocabulary


def attend(q, k, v, heads, rate=0.0):
    """Of [B, S, D]."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, dropout_p=rate).transpose(1, 2).flatten(2)


def drop_path(x, rate):
    return x if rate == 0.0 else x * F.dropout(torch.ones(len(x), 1, 1, device=x.device, dtype=x.dtype), rate)


class VisionLayer(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)
        x = x + self.proj(attend(q + self.q_bias.to(q.dtype), k, v + self.v_bias.to(v.dtype), self.heads))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Vision(nn.Module):
    """`tables`: the vectors of places, by the number of frames; they are no parameters."""

    def __init__(self, sizes):
        super().__init__()
        (width, depth, heads), self.patch = sizes.vision, sizes.patch
        self.embed = nn.Linear(3 * sizes.patch**2, width)
        self.layers, self.norm = nn.ModuleList(VisionLayer(width, heads) for _ in range(depth)), nn.LayerNorm(width, 1e-12)
        places = (sizes.image // sizes.patch) ** 2
        self.tables = {frames: torch.randn(frames * places, width) for frames in (1, sizes.frames)}
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, pixels):
        b, t = pixels.shape[:2]
        x = (pixels / 255 - self.mean) / self.std
        x = x.unflatten(-1, (-1, self.patch)).unflatten(3, (-1, self.patch)).permute(0, 1, 3, 5, 2, 4, 6).reshape(b, -1, 3 * self.patch**2)
        x = self.embed(x)
        x = x + self.tables[t].to(x)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class Output(nn.Module):
    """The end of every branch of the Q-Former."""

    def __init__(self, width_in, width, rate, drop):
        super().__init__()
        self.dense, self.norm, self.rate, self.drop = nn.Linear(width_in, width), nn.LayerNorm(width, 1e-12), rate, drop

    def forward(self, x, residual):
        return self.norm(drop_path(F.dropout(self.dense(x), self.rate), self.drop) + residual)


class Feed(nn.Module):
    def __init__(self, width, hidden, rate, drop):
        super().__init__()
        self.up, self.out = nn.Linear(width, hidden), Output(hidden, width, rate, drop)

    def forward(self, x):
        return self.out(F.gelu(self.up(x)), x)


class Attention(nn.Module):
    def __init__(self, width, memory, heads, rate, drop):
        super().__init__()
        self.q, self.k, self.v, self.out = nn.Linear(width, width), nn.Linear(memory, width), nn.Linear(memory, width), Output(width, width, rate, drop)
        self.heads, self.rate = heads, rate

    def forward(self, x, memory):
        return self.out(attend(self.q(x), self.k(memory), self.v(memory), self.heads, self.rate), x)


class BridgeLayer(nn.Module):
    def __init__(self, sizes, number, text):
        super().__init__()
        width, depth, heads = sizes.bridge
        self.queries, drop = sizes.queries, sizes.drop * number / (depth - 1)
        self.own = Attention(width, width, heads, sizes.rate, drop)
        self.cross = Attention(width, sizes.vision[0], heads, sizes.rate, drop) if number % 2 == 0 else None
        self.of_queries = Feed(width, sizes.hidden, sizes.rate, drop)
        self.of_text = Feed(width, sizes.hidden, sizes.rate, drop) if text else None

    def forward(self, x, memory):
        x = self.own(x, x)
        queries = x[:, :self.queries]
        if self.cross is not None:
            queries = self.cross(queries, memory)
        queries = self.of_queries(queries)
        return queries if self.of_text is None else torch.cat([queries, self.of_text(x[:, self.queries:])], 1)


class Bridge(nn.Module):
    """`text`: whether the queries read an instruction."""

    def __init__(self, sizes, text):
        super().__init__()
        width, depth, _ = sizes.bridge
        self.rate, self.norm, self.queries = sizes.rate, nn.LayerNorm(width, 1e-12), nn.Parameter(torch.zeros(1, sizes.queries, width))
        if text:
            self.words, self.places = nn.Embedding(sizes.words, width), nn.Embedding(sizes.positions, width)
        self.layers = nn.ModuleList(BridgeLayer(sizes, number, text) for number in range(depth))

    def forward(self, memory, question):
        x = self.queries.expand(len(memory), -1, -1)
        if question is not None:
            x = torch.cat([x, self.words(question) + self.places.weight[:question.shape[1]]], 1)
        x = F.dropout(self.norm(x), self.rate)
        for layer in self.layers:
            x = layer(x, memory)
        return x


class Adapted(nn.Module):
    """A frozen linear map and what LoRA adds."""

    def __init__(self, base, rank, dropout):
        super().__init__()
        self.base, self.dropout = base, dropout
        self.down = nn.Parameter(torch.zeros(rank, base.in_features, device=base.weight.device, dtype=torch.float32))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank, device=base.weight.device, dtype=torch.float32))

    def forward(self, x):
        return self.base(x) + 2.0 * F.linear(F.linear(F.dropout(x, self.dropout), self.down), self.up)  # alpha is twice the rank


class Twin(nn.Module):
    def __init__(self, stage, sizes, narrow=torch.bfloat16):
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM
        width, depth, heads, hidden, vocabulary = sizes.lm
        self.stage, self.queries, told = stage, sizes.queries, stage == "instruct"
        self.vision, self.bridge, self.project = Vision(sizes), Bridge(sizes, told), nn.Linear(sizes.bridge[0], width)
        usual = torch.get_default_dtype()
        torch.set_default_dtype(narrow)  # frozen weights are never there in f32
        self.lm = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, hidden_size=width, intermediate_size=hidden, num_hidden_layers=depth, num_attention_heads=heads,
                                               num_key_value_heads=heads, tie_word_embeddings=False, attn_implementation="sdpa")).requires_grad_(False)
        torch.set_default_dtype(usual)
        if told:
            for layer in self.lm.model.layers:
                layer.self_attn.q_proj, layer.self_attn.v_proj = (Adapted(base, sizes.rank, sizes.lora_dropout) for base in (layer.self_attn.q_proj, layer.self_attn.v_proj))

    def draw(self):
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1 and not name.endswith(".up"):
                nn.init.normal_(parameter, std=0.02)

    def compile(self, whole=False):
        """Layer by layer, which PyTorch compiles once for all of a kind and size; or all as one, which takes it many minutes."""
        limit = "recompile_limit" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size_limit"  # before PyTorch 2.7
        setattr(torch._dynamo.config, limit, 64)  # sizes of pictures and of clips, and of each number of rows
        if whole:
            super().compile(dynamic=False)
            return
        for part in (*self.vision.layers, *self.bridge.layers, *self.lm.model.layers):
            part.compile(dynamic=False)
        self.score = torch.compile(self.score, dynamic=False)

    def score(self, hidden, at, labels):
        """Cross-entropy of the tokens `labels` at the places before them, `at` of all rows under each other."""
        return F.cross_entropy(self.lm.lm_head(hidden.flatten(0, 1)[at]).float(), labels)

    def forward(self, pixels, question, ids, at, labels):
        """What is seen stands behind a text's first token. What the Q-Former's last layer makes of the instruction counts nothing, and is looked at."""
        read = self.bridge(self.vision(pixels), question)
        words = self.lm.model.embed_tokens(ids)
        x = torch.cat([words[:, :1], self.project(read[:, :self.queries]).to(words), words[:, 1:]], 1)
        loss = self.score(self.lm.model(inputs_embeds=x, use_cache=False).last_hidden_state, at, labels)
        return loss if question is None else loss + 0.0 * read[:, self.queries:].sum()


def counts(stage, sizes):
    with torch.device("meta"):
        twin = Twin(stage, sizes)

    def size(module):
        return sum(parameter.numel() for parameter in module.parameters())
    adapter = sum(p.numel() for m in twin.modules() if isinstance(m, Adapted) for p in (m.down, m.up))
    return {"vision": size(twin.vision), "bridge": size(twin.bridge), "project": size(twin.project), "lm": size(twin.lm) - adapter, "adapter": adapter,
            "trained": sum(p.numel() for p in twin.parameters() if p.requires_grad)}


def batch(rows, frames, stage, sizes, device):
    """Full rows, of whose dialogues the later half is supervised, as --synthetic makes them."""
    told = stage == "instruct"
    length = sizes.text[told]

    def ids(count, most):
        return torch.randint(0, most, (rows, count), device=device)
    dialogue, first = ids(length, sizes.lm[4]), length // 2
    places = torch.arange(first, length, device=device) + sizes.queries - 1  # in a row with what is seen, of the tokens before
    at = (torch.arange(rows, device=device)[:, None] * (length + sizes.queries) + places).flatten()
    pixels = torch.randint(0, 256, (rows, frames, 3, sizes.image, sizes.image), device=device, dtype=torch.uint8)
    return pixels, ids(sizes.text[2], sizes.words) if told else None, dialogue, at, dialogue[:, first:].flatten()


def train_step(twin, optimizer, given, device):
    with torch.autocast(device, torch.bfloat16):
        loss = twin(*given)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss


def made(stage, sizes, device):
    torch.manual_seed(0)
    with torch.device(device):
        twin = Twin(stage, sizes)
    twin.draw()
    optimizer = torch.optim.AdamW([parameter for parameter in twin.parameters() if parameter.requires_grad], lr=1e-5, weight_decay=0.02, fused=True)
    return twin, optimizer


def measured(twin, optimizer, rows, steps, sizes, device):
    """Steps of pictures and of clips by turns. They are waited for when all are begun."""
    batches = [batch(rows, frames, twin.stage, sizes, device) for frames in (1, sizes.frames)]
    marks, first = [], None
    gpu = device == "cuda"
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    for number in range(WARM + 2 * steps + 1):
        marks.append(torch.cuda.Event(enable_timing=True) if gpu else time.perf_counter())
        if gpu:
            marks[-1].record()
        if number < WARM + 2 * steps:
            loss = train_step(twin, optimizer, batches[number % 2], device)
        if number == 0:
            loss.item()
            first = time.time() - STARTED
    loss = loss.item()
    if gpu:
        torch.cuda.synchronize()
    taken = [begin.elapsed_time(end) / 1e3 if gpu else end - begin for begin, end in zip(marks, marks[1:])][WARM:]
    # Half of the steps are of each kind, so that a step is the mean of both.
    seconds = (statistics.median(taken[::2]) + statistics.median(taken[1::2])) / 2
    tokens = sizes.text[0] if twin.stage == "connect" else sum(sizes.text[1:])
    return {"seconds": seconds, "steps": len(taken), "samples_per_second": rows / seconds, "tokens_per_second": rows * tokens / seconds, "loss": loss, "first_step_seconds": first,
            "peak_mib": torch.cuda.max_memory_reserved() / 2**20 if gpu else None}


def tried(act):
    """What was measured, or that the memory does not suffice, as PyTorch's allocator or a library that allocates by itself says it."""
    try:
        return act()
    except RuntimeError as why:
        if not isinstance(why, torch.OutOfMemoryError) and "out of memory" not in str(why) and "ALLOC_FAILED" not in str(why):
            raise
        return {"does_not_fit": str(why).splitlines()[0]}


def ways(stage, names, rows, steps, sizes, device):
    """Prints a line of JSON for each way and number of rows when it is known: what comes later may be cut off."""
    names = sorted(names, key=("eager", "compiled", "whole").index)
    started = tried(lambda: made(stage, sizes, device))
    if isinstance(started, dict):
        for name in names:
            for count in rows:
                print(json.dumps({"stage": stage, "rows": count, "way": name, **started}), flush=True)
        return
    twin, optimizer = started
    shape = measuring.Attention(True, min(rows), sizes.queries + sizes.text[stage == "instruct"], sizes.queries + sizes.text[stage == "instruct"], sizes.lm[2], sizes.lm[2],
                                sizes.lm[0] // sizes.lm[2], causal=True, lengths=False)
    # Of the language model's attention, where most of it is.
    attention = attending.fastest(shape)[1] if device == "cuda" else "flash"
    with attending.preferring(attention):
        for name in names:
            if name != "eager":
                twin.compile(whole=name == "whole")
            for count in rows:
                found = tried(lambda: measured(twin, optimizer, count, steps, sizes, device))
                optimizer.zero_grad(set_to_none=True)
                gc.collect()
                if device == "cuda":
                    torch.cuda.empty_cache()
                print(json.dumps({"stage": stage, "rows": count, "way": name, "attention": attention, "torch": torch.__version__, **found}), flush=True)


def numbers(text):
    return [int(count) for count in text.split(",")]


def main(arguments=None, sizes=Sizes()):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stage", choices=("connect", "instruct"), default="instruct")
    parser.add_argument("--rows", type=numbers, default=[4], help="of a step, one number after the other")
    parser.add_argument("--steps", type=int, default=5, help="of pictures and as many of clips")
    parser.add_argument("--ways", default="eager", help="of eager, compiled (layer by layer), whole (all as one)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--count", action="store_true", help="print the parameters of each part; needs no GPU")
    given = parser.parse_args(arguments)
    if given.count:
        print(json.dumps(counts(given.stage, sizes)))
    else:
        ways(given.stage, given.ways.split(","), given.rows, given.steps, sizes, given.device)


if __name__ == "__main__":
    main()
