# SPDX-License-Identifier: Apache-2.0
"""VideoChat2's stages 2 and 3 at full size in PyTorch, on random weights and batches: what a step costs. Transformers' Llama, LoRA written
out, one call for each attention (by the fastest of PyTorch's backends), bf16 with the trained weights in f32 under autocast, fused AdamW, nothing recomputed; padded as the
recipe's rows are. Nothing here is compared by number with the recipe: `--count` gives the parameters, which are."""
import argparse
import json
import statistics

import torch
import torch.nn.functional as F
from torch import nn

import attending
import measuring

IMAGE, PATCH, FRAMES, QUERIES, VOCABULARY = 224, 16, 8, 96, 30523
VISION, DEPTH, HEADS = 1024, 23, 16
BRIDGE, LAYERS, BRIDGE_HEADS = 768, 12, 12
TEXT, WIDTH = 512, 4096


def attend(q, k, v, heads):
    """Of [B, S, D]."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class VisionLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(VISION), nn.LayerNorm(VISION)
        self.qkv, self.proj = nn.Linear(VISION, 3 * VISION, bias=False), nn.Linear(VISION, VISION)
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(VISION)), nn.Parameter(torch.zeros(VISION))
        self.fc1, self.fc2 = nn.Linear(VISION, 4 * VISION), nn.Linear(4 * VISION, VISION)

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)
        x = x + self.proj(attend(q + self.q_bias, k, v + self.v_bias, HEADS))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Vision(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3 * PATCH * PATCH, VISION)
        self.layers, self.norm = nn.ModuleList(VisionLayer() for _ in range(DEPTH)), nn.LayerNorm(VISION)

    def forward(self, pixels):
        b, t = pixels.shape[:2]
        x = pixels.unflatten(-1, (-1, PATCH)).unflatten(3, (-1, PATCH)).permute(0, 1, 3, 5, 2, 4, 6).reshape(b, -1, 3 * PATCH * PATCH)
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class Feed(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down, self.norm = nn.Linear(BRIDGE, 4 * BRIDGE), nn.Linear(4 * BRIDGE, BRIDGE), nn.LayerNorm(BRIDGE)

    def forward(self, x):
        return self.norm(x + self.down(F.gelu(self.up(x))))


class Attention(nn.Module):
    def __init__(self, memory):
        super().__init__()
        self.q, self.o = nn.Linear(BRIDGE, BRIDGE), nn.Linear(BRIDGE, BRIDGE)
        self.k, self.v, self.norm = nn.Linear(memory, BRIDGE), nn.Linear(memory, BRIDGE), nn.LayerNorm(BRIDGE)

    def forward(self, x, memory):
        return self.norm(x + self.o(attend(self.q(x), self.k(memory), self.v(memory), BRIDGE_HEADS)))


class BridgeLayer(nn.Module):
    def __init__(self, number):
        super().__init__()
        self.own, self.cross = Attention(BRIDGE), Attention(VISION) if number % 2 == 0 else None
        self.of_queries, self.of_text = Feed(), Feed()

    def forward(self, x, memory):
        x = self.own(x, x)
        queries, text = x[:, :QUERIES], x[:, QUERIES:]
        if self.cross is not None:
            queries = self.cross(queries, memory)
        return torch.cat([self.of_queries(queries), self.of_text(text)], 1)


class Bridge(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places, self.norm = nn.Embedding(VOCABULARY, BRIDGE), nn.Embedding(512, BRIDGE), nn.LayerNorm(BRIDGE)
        self.queries = nn.Parameter(torch.zeros(1, QUERIES, BRIDGE))
        self.layers = nn.ModuleList(BridgeLayer(number) for number in range(LAYERS))

    def forward(self, memory, question):
        text = self.words(question) + self.places.weight[:question.shape[1]]
        x = self.norm(torch.cat([self.queries.expand(len(memory), -1, -1), text], 1))
        for layer in self.layers:
            x = layer(x, memory)
        return x[:, :QUERIES]


class Adapted(nn.Module):
    """A frozen linear map and what LoRA adds."""

    def __init__(self, base, rank=16, alpha=32):
        super().__init__()
        self.base, self.scale = base, alpha / rank
        self.down = nn.Parameter(torch.randn(rank, base.in_features, device=base.weight.device) * 0.02)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank, device=base.weight.device))

    def forward(self, x):
        return self.base(x) + self.scale * F.linear(F.linear(F.dropout(x, 0.1), self.down), self.up)


class Twin(nn.Module):
    def __init__(self, stage):
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM
        self.stage = stage
        self.vision, self.bridge, self.project = Vision(), Bridge(), nn.Linear(BRIDGE, WIDTH)
        lm = LlamaForCausalLM(LlamaConfig(attn_implementation="sdpa")).to(torch.bfloat16)  # its defaults are the 7B's sizes
        lm.requires_grad_(False)
        if stage == "instruct":
            for layer in lm.model.layers:
                layer.self_attn.q_proj, layer.self_attn.v_proj = Adapted(layer.self_attn.q_proj), Adapted(layer.self_attn.v_proj)
        self.lm = lm

    def forward(self, pixels, question, ids, labels):
        visual = self.project(self.bridge(self.vision(pixels), question))
        x = torch.cat([visual.to(torch.bfloat16), self.lm.model.embed_tokens(ids)], 1)
        hidden = self.lm.model(inputs_embeds=x, use_cache=False).last_hidden_state[:, QUERIES - 1:-1]
        kept = labels >= 0  # vocabulary logits of supervised positions alone
        return F.cross_entropy(self.lm.lm_head(hidden[kept]).float(), labels[kept])


def counts(stage):
    with torch.device("meta"):
        twin = Twin(stage)

    def size(module):
        return sum(parameter.numel() for parameter in module.parameters())
    adapter = sum(p.numel() for m in twin.modules() if isinstance(m, Adapted) for p in (m.down, m.up))
    return {"vision": size(twin.vision), "bridge": size(twin.bridge), "project": size(twin.project), "lm": size(twin.lm) - adapter, "adapter": adapter}


def batch(rows, frames, stage):
    def ids(length, most):
        return torch.randint(0, most, (rows, length), device="cuda")
    dialogue = ids(TEXT, 32000)
    supervised = torch.rand(rows, TEXT, device="cuda") < 0.5
    question = ids(TEXT if stage == "instruct" else 1, VOCABULARY)
    return torch.randn(rows, frames, 3, IMAGE, IMAGE, device="cuda"), question, dialogue, torch.where(supervised, dialogue, -100)


def measured(stage, rows, compiled, steps):
    torch.manual_seed(0)
    torch.set_default_device("cuda")
    twin = Twin(stage)
    for name, parameter in twin.named_parameters():
        if parameter.dim() > 1 and not name.endswith(".up"):
            nn.init.normal_(parameter, std=0.02)
    trained = [parameter for parameter in twin.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    forward = torch.compile(twin) if compiled else twin
    batches, taken = [batch(rows, frames, stage) for frames in (1, FRAMES)], []
    # Of the language model's attention, where most of it is.
    _, attention = attending.fastest(measuring.Attention(True, rows, QUERIES + TEXT, QUERIES + TEXT, 32, 32, WIDTH // 32, causal=True, lengths=False))
    with attending.preferring(attention):
        for number in range(6 + 2 * steps):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            with torch.autocast("cuda", torch.bfloat16):
                loss = forward(*batches[number % 2])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            end.record()
            end.synchronize()
            taken.append(begin.elapsed_time(end) / 1e3)
    # One of pictures and one of clips are a pair; a step is half of it.
    pairs = [(a + b) / 2 for a, b in zip(taken[6::2], taken[7::2])]
    return {"seconds": statistics.median(pairs), "steps": len(taken) - 6, "peak_mib": torch.cuda.max_memory_reserved() / 2**20, "loss": float(loss),
            "compiled": compiled, "attention": attention, "torch": torch.__version__}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stage", choices=("connect", "instruct"), default="instruct")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--steps", type=int, default=8, help="of pictures and as many of clips")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--count", action="store_true", help="print the parameters of each part; needs no GPU")
    given = parser.parse_args()
    print(json.dumps(counts(given.stage) if given.count else measured(given.stage, given.rows, given.compile, given.steps)))


if __name__ == "__main__":
    main()
