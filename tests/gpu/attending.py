# SPDX-License-Identifier: Apache-2.0
"""Attention of a profile's launch as PyTorch does it: the same sizes, memory layout and mask, by the fastest of its backends."""
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right

import measuring

BACKENDS = {"cuDNN": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION, "efficient": SDPBackend.EFFICIENT_ATTENTION}


def operands(shape, device="cuda", dtype=torch.bfloat16):
    """q, k and v [B, heads, S, D], lying in memory as [B, S, heads, D]."""
    sizes = ((shape.queries, shape.heads), (shape.keys, shape.key_heads), (shape.keys, shape.key_heads))
    return [torch.randn(shape.batch, places, heads, shape.size, device=device, dtype=dtype).transpose(1, 2).requires_grad_() for places, heads in sizes]


def attend(shape, q, k, v):
    """The last query sees all keys of a causal mask. Lengths are those of all keys: beside a causal mask what lies behind them, to the right,
    is seen by nobody, so that a padded batch needs no mask of its own."""
    options = {"enable_gqa": True} if shape.heads != shape.key_heads else {}
    if shape.causal and shape.queries == shape.keys:
        options["is_causal"] = True
    elif shape.causal:
        options["attn_mask"] = causal_lower_right(shape.queries, shape.keys)
    elif shape.lengths:
        options["attn_mask"] = torch.ones(shape.batch, 1, 1, shape.keys, device=q.device, dtype=torch.bool)
    return F.scaled_dot_product_attention(q, k, v, **options)


def work(shape, q, k, v):
    """What is to be timed, of a call or its gradients."""
    if not shape.backward:
        with torch.no_grad():
            attend(shape, q, k, v)  # what cannot be is told now
        return torch.no_grad()(lambda: attend(shape, q, k, v))
    out = attend(shape, q, k, v)
    cotangents = torch.randn_like(out)
    return lambda: torch.autograd.grad(out, (q, k, v), cotangents, retain_graph=True)


def fastest(shape, timed=measuring.timed, device="cuda"):
    """(seconds, backend) of the fastest; why none can, where none can."""
    found, refused = [], []
    for name, backend in BACKENDS.items():
        try:
            with sdpa_kernel(backend):
                found.append((timed(work(shape, *operands(shape, device))), name))
        except RuntimeError as why:
            refused.append(f"{name}: {str(why).splitlines()[0]}")
    if not found:
        raise RuntimeError("; ".join(refused))
    return min(found)


def preferring(name):
    """A context in which that backend is taken wherever it can be, then the others."""
    order = [BACKENDS[name], *(backend for other, backend in BACKENDS.items() if other != name), SDPBackend.MATH]
    return sdpa_kernel(order, set_priority=True)
