# SPDX-License-Identifier: Apache-2.0
"""Reads the text of the levels: stages, states, and the plan's buffers and launches."""
import os
import pathlib
import re
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / os.environ.get("VCC_BUILD", "build")
VCC = BUILD / "bin" / "vcc"
VCC_OPT = BUILD / "bin" / "vcc-opt"
RECIPES = pathlib.Path(__file__).resolve().parent / "recipes"
TINY = TOP / "examples" / "tiny_videochat2" / "tiny_videochat2.vcs"

_BUFFER = re.compile(
    r'exec\.buffer @("?)(?P<name>.+?)\1\s+(?P<region>\w+) at (?P<offset>\d+) size (?P<size>\d+) : (?P<type>tensor<[^>]*>)'
    r'(?: view @("?)(?P<view>.+?)\7(?= live| in @| =| why))?(?: live (?P<first>\d+) to (?P<last>\d+))?(?: in @(?P<function>\w+))?.* why "(?P<why>[^"]*)"')
_NAME = re.compile(r'@"([^"]+)"|@([\w.$]+)')


def tiny_in_short():
    """The recipe of tiny VideoChat2 with three steps a stage and batches of three."""
    text, batches = re.subn(r"(samples|clips): \d+ from", r"\1: 3 from", TINY.read_text())
    text, schedules = re.subn(r"steps: \d+ \* longer, warmup: \d+ steps \* longer", "steps: 3, warmup: 1 steps", text)
    assert batches == schedules == 5, (batches, schedules)
    return text


def run(*command, text=None):
    finished = subprocess.run([str(word) for word in command], capture_output=True, text=True, input=text)
    if finished.returncode:
        raise AssertionError(f"{' '.join(str(w) for w in command)}: exit {finished.returncode}\n"
                             f"{finished.stdout[-2000:]}{finished.stderr[-4000:]}")
    return finished.stdout


def emit(recipe, level, *options):
    return run(VCC, "compile", recipe, f"--emit={level}", *options)


class Buffer:
    def __init__(self, found):
        self.name, self.region, self.view, self.function = found["name"], found["region"], found["view"], found["function"]
        self.offset, self.size, self.why, self.type = int(found["offset"]), int(found["size"]), found["why"], found["type"]
        self.live = (int(found["first"]), int(found["last"])) if found["first"] else None

    @property
    def end(self):
        return self.offset + self.size


class Launch:
    """One launch: the buffers it names, and those that it writes without reading them."""

    def __init__(self, text, buffers):
        self.text = text
        self.kind = text.split()[0].removeprefix("exec.")
        named = lambda part: [a or b for a, b in _NAME.findall(part) if (a or b) in buffers]
        self.buffers = named(text)
        if self.kind == "launch":
            reads, writes = re.search(r"reads \[(.*?)\] writes \[(.*?)\] dims", text).groups()
            self.reads, self.writes = named(reads), named(writes)
        else:
            left, _, right = text.partition(" = ")
            self.writes, self.reads = (named(left), named(right)) if right else (self.buffers, [])
            if " accumulate " in text:
                self.reads = self.reads + self.writes
            workspace = named(right.partition("workspace ")[2].split(" ")[0]) if "workspace " in right else []
            self.writes = self.writes + workspace
            self.reads = [name for name in self.reads if name not in workspace]


class Plan:
    """One stage of `--emit=plan`."""

    def __init__(self, stage, text):
        self.stage, self.text = stage, text
        self.kernels = re.findall(r"tg\.kernel @(\w+)", text)
        sizes = re.search(r"sizes ?\{(.*?)\}", text)[1]
        self.regions = {name: int(size) for name, size in re.findall(r"(\w+) = (\d+)", sizes)}
        lines = text.splitlines()
        rows = [line.strip() for line in lines if line.strip().startswith("exec.buffer ")]
        found = [_BUFFER.match(row) for row in rows]
        assert all(found), [row for row, match in zip(rows, found) if not match][:3]
        self.buffers = {match["name"]: Buffer(match) for match in found}
        assert len(self.buffers) == len(rows)
        self.functions, launches = {}, None
        for line in lines:
            word = line.strip()
            if head := re.match(r"exec\.function @(\w+)", word):
                launches = self.functions.setdefault(head[1], [])
            elif re.match(r"exec\.(launch|gemm|attention|attention_grad|gather|reduce_scatter|fill|copy) ", word):
                launches.append(Launch(word, self.buffers))
            else:
                assert not re.match(r"exec\.(?!module |buffer )", word), f"what is this: {word}"

    def root(self, name):
        while self.buffers[name].view:
            name = self.buffers[name].view
        return name


def plans(text):
    """Every stage by name, in order."""
    parts = re.split(r"(?m)^(?=module attributes)", text)
    return {stage: Plan(stage, part) for part in parts if part.strip()
            for stage in re.findall(r'tg\.stage = "([^"]+)"', part)[:1]}
