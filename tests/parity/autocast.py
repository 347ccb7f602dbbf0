# SPDX-License-Identifier: Apache-2.0
"""What PyTorch's autocast on a GPU rounds, on the CPU: products and attention take and give two bytes, weights stay f32, and what is on
CUDA's list of operations in f32 but not on the CPU's is computed in f32."""
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

WIDE = {F.layer_norm, F.normalize, F.softmax, F.log_softmax, F.cross_entropy, torch.softmax, torch.log_softmax, torch.Tensor.softmax,
        torch.Tensor.log_softmax, torch.Tensor.sum, torch.Tensor.pow, torch.Tensor.norm, torch.rsqrt, torch.Tensor.rsqrt}


class _Wide(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in WIDE:
            args = [value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value for value in args]
        return function(*args, **(kwargs or {}))


class Autocast:
    """`with Autocast(torch.bfloat16):` around a forward pass."""

    def __init__(self, dtype):
        self.modes = torch.autocast("cpu", dtype=dtype), _Wide()

    def __enter__(self):
        for mode in self.modes:
            mode.__enter__()

    def __exit__(self, *why):
        for mode in reversed(self.modes):
            mode.__exit__(*why)
