# SPDX-License-Identifier: Apache-2.0
"""What a GPU computed beside what the CPU did: dumps of the same steps, losses of the same training. Plain Python: the machine with the
GPU need not have more."""
import array
import hashlib
import json
import math
import pathlib
import struct

ONLY = ("output/", "gradient/", "after/", "input/")
TYPES = {"F32": "f", "I32": "i", "F64": "d", "I64": "q"}


def read(path):
    """name -> (dtype, array) of a safetensors file; bf16 as the floats that it stands for."""
    content = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8:8 + length]), memoryview(content)[8 + length:]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        part = bytes(data[slice(*entry["data_offsets"])])
        if entry["dtype"] == "BF16":
            values = array.array("f", b"".join(b"\0\0" + part[i:i + 2] for i in range(0, len(part), 2)))
        elif entry["dtype"] in TYPES:
            values = array.array(TYPES[entry["dtype"]], part)
        else:
            values = array.array("B", part)
        tensors[name] = (entry["dtype"], values)
    return tensors


def reduced(path, target):
    """Of a dump what is compared, of inputs their digests; what a step begins with follows from the seed, and so does what it left as it was."""
    content = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header, data = json.loads(content[8:8 + length]), content[8 + length:]
    kept, parts, at = {}, [], 0
    for name, entry in header.items():
        if name != "__metadata__" and name.startswith(ONLY):
            part, before = data[slice(*entry["data_offsets"])], header.get("before/" + name.removeprefix("after/"))
            if name.startswith("after/") and before and data[slice(*before["data_offsets"])] == part:
                continue
            if name.startswith("input/"):
                part = hashlib.sha256(part).digest()
                entry = {"dtype": "U8", "shape": [len(part)]}
            kept[name] = {**entry, "data_offsets": [at, at + len(part)]}
            parts.append(part)
            at += len(part)
    text = json.dumps(kept).encode()
    pathlib.Path(target).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def norm(values):
    return math.sqrt(math.fsum(value * value for value in values))


def named(tensors, kind):
    return sorted(name for name in tensors if name.startswith(kind) and tensors[name][0] in ("F32", "BF16"))


def shared(ours, theirs, kind):
    """Names of one kind, which both have alike."""
    names = named(theirs, kind)
    missing = [name for name in names if name not in ours or len(ours[name][1]) != len(theirs[name][1])]
    if missing:
        raise ValueError(f"{missing[0]} is not in both dumps alike")
    return names


def typical(tensors, names):
    """The size of an element of them all."""
    return math.sqrt(math.fsum(norm(tensors[name][1]) ** 2 for name in names) / max(sum(len(tensors[name][1]) for name in names), 1))


def rounding_alone(tensors):
    """Weights whose gradient is nothing but what rounding leaves, as that of a bias of attention's keys, which every query's softmax takes out
    again: AdamW makes whole steps of it, in directions that mean nothing."""
    names = named(tensors, "gradient/")
    least = 1e-4 * typical(tensors, names)
    return {name.partition("/")[2] for name in names if norm(tensors[name][1]) < least * math.sqrt(len(tensors[name][1]))}


def distances(ours, theirs, kind):
    """Of the tensors of one kind: name -> norm of the difference by the norm. A tensor that is next to nothing beside the others is
    measured by a tenth of their size, element by element: what it is made of cancels out. What a weight becomes by rounding alone is left out."""
    left_out = rounding_alone(theirs) if kind == "after/" else set()
    names = [name for name in shared(ours, theirs, kind) if name.partition("/")[2] not in left_out]
    size, found = typical(theirs, names), {}
    for name in names:
        a, b = ours[name][1], theirs[name][1]
        least = 0.1 * size * math.sqrt(len(b))
        found[name] = norm(x - y for x, y in zip(a, b)) / max(norm(b), least, 1e-30)
    return found


def unscaled(ours):
    """A dump whose gradients are times the loss scale, as fp16's are, without it."""
    scale = ours.get("output/loss_scale", ("F32", [1.0]))[1][0]
    if scale == 1.0:
        return ours
    return {name: (kind, array.array("f", (value / scale for value in values)) if name.startswith("gradient/") else values)
            for name, (kind, values) in ours.items()}


def skipped(ours):
    """Whether a step's gradients overflowed, which fp16 passes over."""
    return ours.get("output/skipped", ("F32", [0.0]))[1][0] != 0.0


def draws(theirs):
    """Whether a step draws at random: what lies next to a limit falls to its other side by rounding."""
    return any(name.startswith("input/") and name.endswith("/rng") for name in theirs)


def whole(ours, theirs, kind):
    """The distance of all tensors of one kind as if they were one."""
    names = shared(ours, theirs, kind)
    apart = math.sqrt(math.fsum(norm(x - y for x, y in zip(ours[name][1], theirs[name][1])) ** 2 for name in names))
    return apart / max(math.sqrt(math.fsum(norm(theirs[name][1]) ** 2 for name in names)), 1e-30)


def same_inputs(ours, theirs):
    """Names of inputs that differ in a bit: then nothing else can be compared. Of theirs the digests are known."""
    return [name for name in theirs if name.startswith("input/") and
            (name not in ours or hashlib.sha256(ours[name][1].tobytes()).digest() != theirs[name][1].tobytes())]


def compare(ours, theirs, limits, by_tensor):
    """What a step's dumps differ by: a line for each kind, and whether all are within its limit. `limits`: one for all kinds, or by kind.
    New weights that nothing but rounding moved are judged with all others as one, also where others are by themselves too."""
    differ = same_inputs(ours, theirs)
    if differ:
        return [f"input {differ[0]} differs: another batch"], False
    ours, lines, good = unscaled(ours), [], True
    for kind in ("output/", "gradient/", "after/"):
        limit = limits[kind] if isinstance(limits, dict) else limits
        found = {"all of them": whole(ours, theirs, kind), **(distances(ours, theirs, kind) if by_tensor else {})}
        name, worst = max(found.items(), key=lambda entry: entry[1] if entry[1] == entry[1] else math.inf)
        good &= worst <= limit
        lines.append(f"{kind[:-1]:9} {worst:.2e} (at most {limit:.0e}): {name}{'' if worst <= limit else '  TOO FAR'}")
    return lines, good


def losses(log):
    """Of the steps in a log."""
    entries = [json.loads(line) for line in pathlib.Path(log).read_text().splitlines()]
    return [entry["loss"] for entry in entries if "event" not in entry]


def late_loss(values, last=10):
    """The mean of the last steps: one batch's loss is its own."""
    return sum(values[-last:]) / len(values[-last:])
