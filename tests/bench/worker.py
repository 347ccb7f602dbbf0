# SPDX-License-Identifier: Apache-2.0
"""One twin in a process of its own: `worker.py JOB`, a JSON file with the case, its weights and batches, the variant and the
number of threads. It takes the job's steps (the first ends the start-up), tells their losses, and then obeys lines on its
input: `time SECONDS`, `memory`, `flops`, `quit`; each answer is one line of JSON."""
import json
import os
import pathlib
import sys
import time

import torch
from safetensors.torch import load_file

import models

# The ways to run a twin; every one but `eager` uses the fused AdamW, the fastest that PyTorch has outside a compiled one.
VARIANTS = {
    "eager": {},
    "eager-fused": {"fused": True},
    "compile": {"fused": True, "compiled": True},
    "installed-compile": {"fused": True, "compiled": True},
    "compile-all": {"compiled": True, "optimizer": True},
    "compile-cpp": {"fused": True, "compiled": True, "options": {"cpp_wrapper": True}},
    "compile-max": {"fused": True, "compiled": True, "options": {"max_autotune": True}},
    "peft": {"fused": True, "style": "peft"},
    "peft-compile": {"fused": True, "compiled": True, "style": "peft"},
}


def resident(field):
    """`VmRSS` or `VmHWM` of this process in bytes."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field}")


def say(**answer):
    print(json.dumps(answer), flush=True)


class Twin:
    def __init__(self, job):
        variant = VARIANTS[job["variant"]]
        self.job, self.number = job, 0
        trained = set(job["trained"])
        weights = {path: value.requires_grad_(path in trained) for path, value in load_file(job["weights"]).items()}
        self.batches = [self.batch(path) for path in job["batches"]]
        case = models.CASES[job["case"]](weights, job["sizes"], variant.get("style", "lean"))
        for batch in self.batches:
            case.prepare(batch)
        self.parameters = [weights[path] for path in job["trained"]]
        self.optimizer = self.make_optimizer(weights, variant.get("fused", False))
        self.loss = torch.compile(case.loss, dynamic=False, options=variant.get("options")) if variant.get("compiled") else case.loss
        self.update = torch.compile(self.plain_update, dynamic=False) if variant.get("optimizer") else self.plain_update
        self.factor = torch.tensor(1.0)

    @staticmethod
    def batch(path):
        found = {name.split("/", 2)[2]: value for name, value in load_file(path).items() if name.startswith("input/0/")}
        return {name: value.long() if value.dtype == torch.int32 else value for name, value in found.items()}

    def make_optimizer(self, weights, fused):
        """Groups as the recipe has them: by learning rate, and decay for matrices alone. The rate is a tensor, so that a
        compiled update is not compiled again when it moves."""
        groups = {}
        for path in self.job["trained"]:
            rate = next((rate for prefix, rate in self.job["rates"].items() if path.startswith(prefix)), self.job["rate"])
            decay = self.job["decay"] if weights[path].dim() >= 2 else 0.0
            groups.setdefault((rate, decay), []).append(weights[path])
        made = [{"params": parameters, "lr": torch.tensor(rate), "weight_decay": decay} for (rate, decay), parameters in groups.items()]
        self.rates = [rate for rate, _ in groups]
        return torch.optim.AdamW(made, betas=tuple(self.job["betas"]), eps=1e-8, fused=fused or None)

    def plain_update(self):
        if self.job["clip"]:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.job["clip"])
        self.optimizer.step()

    def step(self):
        if self.number <= self.job["warmup"]:
            factor = self.number / self.job["warmup"] if self.job["warmup"] else 1.0
            for group, rate in zip(self.optimizer.param_groups, self.rates):
                group["lr"].fill_(rate * factor)
        loss = self.loss(self.batches[self.number % len(self.batches)])
        loss.backward()
        self.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.number += 1
        return loss.item()

    def time(self, seconds):
        """Steps for so long, each step's time; the first two only warm the caches."""
        for _ in range(2):
            self.step()
        taken, end = [], time.perf_counter() + seconds
        while not taken or time.perf_counter() < end:
            start = time.perf_counter()
            self.step()
            taken.append(time.perf_counter() - start)
        return taken


def matrix_products(twin):
    """The matrix products of one step as {"m,n,k,batch": count}, and attention's floating-point operations."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import FlopCounterMode
    shapes = {}

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            name = function.overloadpacket.__name__
            if name in ("mm", "addmm", "bmm"):
                a, b = args[1:3] if name == "addmm" else args[:2]
                batch = a.shape[0] if name == "bmm" else 1
                key = f"{a.shape[-2]},{b.shape[-1]},{a.shape[-1]},{batch}"
                shapes[key] = shapes.get(key, 0) + 1
            return function(*args, **(kwargs or {}))
    with Recorder():
        twin.step()
    counter = FlopCounterMode(display=False)
    with counter:
        twin.step()
    operations = {str(operation): count for operation, count in counter.get_flop_counts()["Global"].items()}
    return {"shapes": shapes, "operations": operations}


def product_rates(shapes, seconds=0.03):
    """GF/s of torch.mm (or bmm) at each shape, the best of several tries."""
    rates = {}
    for key in shapes:
        m, n, k, batch = map(int, key.split(","))
        a, b = torch.randn(batch, m, k).squeeze(0), torch.randn(batch, k, n).squeeze(0)
        product = torch.bmm if batch > 1 else torch.mm
        out, best, end = product(a, b), float("inf"), time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            product(a, b, out=out)
            best = min(best, time.perf_counter() - start)
        rates[key] = 2.0 * batch * m * n * k / best / 1e9
    return rates


def main():
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    imported = resident("VmRSS")
    twin = Twin(job)
    losses = [twin.step()]
    say(first=time.time(), imported=imported)
    losses += [twin.step() for _ in range(job["steps"] - 1)]
    peak = resident("VmHWM")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # from here on the peak is that of steps alone
    say(losses=losses, threads=torch.get_num_threads(), torch=torch.__version__)
    for line in sys.stdin:
        command, *words = line.split()
        if command == "time":
            say(taken=twin.time(float(words[0])))
        elif command == "memory":
            say(peak=peak, steady=resident("VmHWM"), imported=imported)
        elif command == "products":
            say(**matrix_products(twin))
        elif command == "rates":
            say(rates=product_rates(words))
        elif command == "quit":
            break
    os._exit(0)  # Inductor's pool of compiling processes need not be waited for


if __name__ == "__main__":
    main()
