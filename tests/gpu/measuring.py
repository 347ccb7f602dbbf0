# SPDX-License-Identifier: Apache-2.0
"""What a profile of a program on a GPU says of its kernels, and a log of its steps."""
import json
import pathlib
import re
import statistics
import typing

GEMM = re.compile(r"gemm (?:(\d+) x )?(\d+)x(\d+)x(\d+)(?: ([nt])([nt]))?")
ATTENTION = re.compile(r"attention(_grad)? (\d+) x (\d+)x(\d+) (\d+)(?:/(\d+))?x(\d+)( causal)?( lengths)?$")
LARGE = 64e6


class Attention(typing.NamedTuple):
    """What a call of attention is over; `heads` of queries, `size` of each."""
    backward: bool
    batch: int
    queries: int
    keys: int
    heads: int
    key_heads: int
    size: int
    causal: bool
    lengths: bool


def launches(profile):
    """(kernel, path, seconds, bytes, FLOPs) of every launch in the trace."""
    events = json.loads(pathlib.Path(profile).read_text())["traceEvents"]
    return [(event["args"]["kernel"], event["name"], event["dur"] / 1e6, event["args"]["bytes"], event["args"]["flops"])
            for event in events if event.get("ph") == "X" and "launch" in event.get("args", {})]


def kind_of(kernel):
    """`row` of `row_3f2a_r1v4_af`."""
    return kernel.split("_", 1)[0]


def bandwidths(found, copy_rate, least=LARGE):
    """Of each kind of generated kernel the launches that move much: how many, bytes a second of the best, the median and the worst kernel (each
    at its fastest), as shares of the copying rate."""
    fastest = {}
    for kernel, path, seconds, moved, _ in found:
        if moved < least or kernel.startswith(("gemm", "attention", "fill", "copy")) or seconds <= 0:
            continue
        rate = moved / seconds
        fastest[kernel, moved] = max(rate, fastest.get((kernel, moved), 0.0))
    by_kind = {}
    for (kernel, _), rate in fastest.items():
        by_kind.setdefault(kind_of(kernel), []).append(rate / copy_rate)
    return {kind: {"kernels": len(rates), "best": max(rates), "median": statistics.median(rates), "worst": min(rates)}
            for kind, rates in sorted(by_kind.items())}


def products(found):
    """(batch, m, n, k, a turned, b turned) -> the least seconds and FLOPs of each product."""
    least = {}
    for kernel, _, seconds, _, flops in found:
        match = GEMM.match(kernel)
        if not match or seconds <= 0:
            continue
        batch, m, n, k = (int(number or 1) for number in match.groups()[:4])
        key = (batch, m, n, k, match.group(5) == "t", match.group(6) == "t")
        if key not in least or seconds < least[key][0]:
            least[key] = (seconds, flops)
    return least


def attentions(found):
    """kernel's name -> its Attention, the least seconds and the FLOPs."""
    least = {}
    for kernel, _, seconds, _, flops in found:
        match = ATTENTION.match(kernel)
        if not match or seconds <= 0:
            continue
        grad, batch, queries, keys, heads, key_heads, size, causal, lengths = match.groups()
        shape = Attention(bool(grad), *map(int, (batch, queries, keys, heads, key_heads or heads, size)), bool(causal), bool(lengths))
        if kernel not in least or seconds < least[kernel][1]:
            least[kernel] = (shape, seconds, flops)
    return least


def timed(act, rounds=10):
    """The least seconds of some runs on PyTorch's stream."""
    import torch
    for _ in range(3):
        act()
    least = float("inf")
    for _ in range(rounds):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        act()
        end.record()
        end.synchronize()
        least = min(least, begin.elapsed_time(end) / 1e3)
    return least


def steps(log, warm=3):
    """Of a log's steps behind the first ones of each variant: seconds, samples and tokens a second, each variant's median counting alike, however
    many of them were drawn. The first run of a variant loads what it needs, the second is captured."""
    kinds = {}
    for entry in map(json.loads, pathlib.Path(log).read_text().splitlines()):
        if "event" not in entry:
            kinds.setdefault(" ".join(entry.get("variants", ["main"])), []).append(entry)
    short = [kind for kind, entries in kinds.items() if len(entries) <= warm]
    if short or not kinds:
        raise ValueError(f"{log} has no step{' of ' + short[0] if short else ''} behind the first {warm}")
    counted = [entries[warm:] for entries in kinds.values()]

    def mean(of):
        return statistics.mean(of(entries) for entries in counted)
    seconds = mean(lambda entries: statistics.median(entry["seconds"] for entry in entries))
    return {"steps": sum(map(len, counted)), "variants": sorted(kinds), "seconds": seconds,
            "samples_per_second": mean(lambda entries: entries[0]["samples"]) / seconds, "tokens_per_second": mean(lambda entries: entries[0]["tokens"]) / seconds,
            "data_wait": mean(lambda entries: statistics.median(entry["data_wait"] for entry in entries))}


def utilisation(flops_per_step, seconds, peak=990e12):
    return flops_per_step / seconds / peak


def told(found):
    """A step's numbers in a line."""
    peak, first = found["peak_mib"], found["first_step_seconds"]
    return (f"{1e3 * found['seconds']:.1f} ms a step, {found['samples_per_second']:.1f} clips/s, {found['tokens_per_second']:.0f} tokens/s, "
            f"peak {'not known' if peak is None else f'{peak:.0f} MiB'}, first step {'not seen' if first is None else f'after {first:.1f} s'}")
