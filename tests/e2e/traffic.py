# SPDX-License-Identifier: Apache-2.0
"""What a plan moves and keeps, counted from its text alone: the elements that each generated launch walks, the launches of
each layer, the buffers that live from the forward into the backward, and the largest sum of live bytes.

    python3 tests/e2e/traffic.py RECIPE [STAGE]     prints it as a table; the launches of one layer too where one stage is named
"""
import math
import re
import sys

import plans

ALIGNMENT = 64
_LAYER = re.compile(r'(\w+)(?:\.\w+)*?\.(?:layers|blocks)\[(\d+)\]')
_ACCESS = re.compile(r"#tg\.access<\d+, \[([\d, ]*)\]>")
_HEAD = re.compile(r"tg\.kernel @(\w+)\(.*columns = (\d+) .*kernel_class<(\w+)>.*params = \[(.*?)\], results = \[(.*?)\]\}")


def numbers(text):
    return [int(word) for word in text.replace(",", " ").split()]


class Kernel:
    """How a kernel reads and gives each tensor: `row`, `scalar`, `indexed`, `column_sum`, .."""

    def __init__(self, head):
        self.columns, self.flat = int(head[2]), head[3] == "flat"
        kinds = lambda text, attribute: re.findall(rf"#tg\.{attribute}<(\w+)", text)
        self.inputs = [kind for kind in kinds(head[4], "param") if kind != "uniform"]
        self.results = kinds(head[5], "result")


def kernels(plan):
    return {head[1]: Kernel(head) for line in plan.text.splitlines() if (head := _HEAD.search(line))}


class Traffic:
    """One function of a plan."""

    def __init__(self, plan, function="micro_main"):
        self.plan, self.launches = plan, plan.functions[function]
        self.kernels = kernels(plan)
        self.phases = [(re.search(r' (forward|backward|update|init|evaluate) "', launch.text) or [None, ""])[1] for launch in self.launches]
        self.layers = self._layers()

    def _layers(self):
        """The (part, layer) of each launch. One whose label names no layer (attention carries its line in the standard
        library) belongs to the last layer that was named, within a phase."""
        found, last, phase = [], None, None
        for launch, now in zip(self.launches, self.phases):
            label = launch.text.rpartition(f' {now} "')[2].partition('"')[0]
            if now != phase:
                last, phase = None, now
            if match := _LAYER.match(label):
                last = (match[1], int(match[2]))
            elif re.match(r"\w+\.\w+(?!cs)", label) and ".vcs:" not in label:
                last = None
            found.append(last)
        return found

    def generated(self, launch):
        return launch.kind == "launch"

    def accesses(self, launch):
        """(buffer, elements, written) of each tensor that a generated launch walks; equal walks of one tensor count once."""
        kernel = self.kernels[re.match(r"exec\.launch @(\w+)", launch.text)[1]]
        dims = numbers(re.search(r"dims \[(.*?)\]", launch.text)[1])
        units = int(re.search(r" units (\d+)", launch.text)[1])
        walks = re.search(r"access \[(.*?)\](?= units| chunk| uniforms)", launch.text)[1]
        walks = [(walk, numbers(strides)) for walk, strides in ((m[0], m[1]) for m in _ACCESS.finditer(walks))]
        reads, writes = re.search(r"reads \[(.*?)\] writes \[(.*?)\] dims", launch.text).groups()
        names = [a or b for part in (reads, writes) for a, b in plans._NAME.findall(part)]
        kinds = kernel.inputs + kernel.results
        assert len(names) == len(walks) == len(kinds), launch.text[:300]
        seen, found = set(), []
        for place, (name, (walk, strides), kind) in enumerate(zip(names, walks, kinds)):
            written = place >= len(kernel.inputs)
            if (name, walk, kind, written) in seen:
                continue
            seen.add((name, walk, kind, written))
            rows = math.prod(size for size, stride in zip(dims, strides) if stride)
            elements = {"row": rows * kernel.columns, "scalar": rows, "indexed": math.prod(dims) * kernel.columns,
                        "column_sum": units * kernel.columns, "total_sum": units,
                        "scatter": plan_elements(self.plan, name)}[kind]
            found.append((name, elements, written))
        return found

    def moved(self, launch):
        """Elements that a generated launch reads and writes."""
        return sum(elements for _, elements, _ in self.accesses(launch))

    # Lives

    def lives(self):
        """First and last launch that names each arena buffer, its views included."""
        found = {}
        for number, launch in enumerate(self.launches):
            for name in launch.buffers:
                root = self.plan.root(name)
                if self.plan.buffers[root].region == "arena":
                    found[root] = (found.get(root, (number,))[0], number)
        return found

    def peaks(self):
        """(bytes of the arena that the function uses, largest sum of live bytes over its launches). A buffer takes whole units
        of alignment."""
        lives, buffers = self.lives(), self.plan.buffers
        change = [0] * (len(self.launches) + 1)
        for name, (first, last) in lives.items():
            size = -(-buffers[name].size // ALIGNMENT) * ALIGNMENT
            change[first] += size
            change[last + 1] -= size
        live = most = 0
        for step in change:
            live += step
            most = max(most, live)
        return -(-max((buffers[name].end for name in lives), default=0) // ALIGNMENT) * ALIGNMENT, most

    def kept(self):
        """[(buffer, (part, layer) of the launch that makes it)] for what the forward makes and the backward reads."""
        lives = self.lives()
        border = self.phases.index("backward") if "backward" in self.phases else len(self.phases)
        makers = {}
        for number, launch in enumerate(self.launches):
            for name in launch.writes:
                makers.setdefault(self.plan.root(name), number)
        return [(self.plan.buffers[name], self.layers[makers[name]]) for name, (first, last) in lives.items() if first < border <= last]

    # Sums by layer

    def parts(self):
        return sorted({layer for layer in self.layers if layer})

    def launches_of(self, part, layer):
        """Generated launches of a layer."""
        return [launch for launch, of in zip(self.launches, self.layers) if of == (part, layer) and self.generated(launch)]


def plan_elements(plan, name):
    return math.prod(int(size) for size in re.findall(r"(\d+)x", plan.buffers[name].type))


def table(plan):
    traffic = Traffic(plan)
    most, live = traffic.peaks()
    print(f"{plan.stage}: {len(traffic.launches)} launches, {sum(map(traffic.generated, traffic.launches))} generated; "
          f"arena {most / 2**20:.2f} MB, live {live / 2**20:.2f} MB, ratio {most / max(live, 1):.3f}")
    kept = traffic.kept()
    for part, layer in [*traffic.parts(), (None, None)]:
        of = (part, layer) if part else None
        launches = [(l, p) for l, p, o in zip(traffic.launches, traffic.phases, traffic.layers) if o == of and traffic.generated(l)]
        moved = sum(traffic.moved(l) for l, _ in launches)
        bytes_kept = sum(buffer.size for buffer, o in kept if o == of)
        print(f"  {f'{part}[{layer}]' if part else 'else':14} {len(launches):4} launches ({sum(p == 'forward' for _, p in launches)} forward), "
              f"{moved * 4 / 2**10:10.0f} kB moved, {bytes_kept / 2**10:10.0f} kB kept")
    return traffic


def details(traffic, of):
    for launch, phase, layer in zip(traffic.launches, traffic.phases, traffic.layers):
        if layer == of:
            label = launch.text.rpartition(f' {phase} "')[2].partition('"')[0]
            moved = traffic.moved(launch) if traffic.generated(launch) else 0
            print(f"    {phase:8} {launch.text.split()[1] if traffic.generated(launch) else launch.kind:22} {moved:10} {label}  {launch.reads} -> {launch.writes}")


if __name__ == "__main__":
    text = open(sys.argv[1]).read() if sys.argv[1].endswith(".txt") else plans.emit(sys.argv[1], "plan")
    for stage, plan in plans.plans(text).items():
        if not sys.argv[2:] or stage in sys.argv[2:]:
            traffic = table(plan)
            parts = traffic.parts()
            if len(sys.argv) == 3:
                for part in sorted({part for part, _ in parts}):
                    middle = [layer for p, layer in parts if p == part]
                    print(f"  a layer of {part}:")
                    details(traffic, (part, middle[len(middle) // 2]))
