# SPDX-License-Identifier: Apache-2.0
"""How what the compiler does grows with the depth of a model: from counts at 12, 24 and 48 layers. What does not depend on
the depth drops out of the differences, and of what is left 24 more layers may cost twice what 12 more do."""
import pathlib
import re
import subprocess

import plans

DEPTHS = (12, 24, 48)
# Twice is linear; the rest is for sorting and for tables that grow by doubling.
LIMIT = 2.1


def too_much(counts, slack=0):
    """Whether counts at the three depths grow faster than linearly, by more than `slack` of them."""
    few, some, many = counts
    return many - some > LIMIT * (some - few) + slack


def faults(table, slack=0):
    """The rows of {name: three counts} that grow faster than linearly, the worst first."""
    found = [(many - 3 * some + 2 * few, name, (few, some, many)) for name, (few, some, many) in table.items()
             if too_much((few, some, many), slack)]
    return [f"{name}: {counts[0]:,} {counts[1]:,} {counts[2]:,}" for _, name, counts in sorted(found, reverse=True)]


def joined(tables):
    """Tables of one number per name at each depth as one table of three."""
    return {name: tuple(table.get(name, 0) for table in tables) for table in tables for name in table}


def timed(*arguments):
    """The table that `--time` prints: {(level, pass, which of its name, column): number}."""
    finished = subprocess.run([str(word) for word in (plans.VCC, "compile", *arguments, "--time")], capture_output=True, text=True, timeout=600)
    if finished.returncode:
        raise AssertionError(finished.stderr)
    return read_times(finished.stderr)


def read_times(text):
    table, level, seen = {}, None, {}
    for line in text.splitlines()[1:]:
        cells, name = re.match(r"((?: +[\d.-]+){5})  ( *\S.*)", line).groups()
        numbers = [None if cell == "-" else float(cell) for cell in cells.split()]
        if not name.startswith(" "):
            level, seen = name, {}
        name = name.strip()
        seen[name] = seen.get(name, 0) + 1
        for column, number in zip(("seconds", "peak", "before", "after", "tried"), numbers):
            if number is not None:
                table[level, name, seen[name], column] = number
    return table


class Profile:
    """One run under callgrind: instructions per function, its own and with what it calls, and how often it was called."""

    def __init__(self, path):
        self.own, self.inclusive, self.calls = {}, {}, {}
        names, function, callee = {}, None, None
        for line in pathlib.Path(path).read_text().splitlines():
            if found := re.match(r"(c?fn)=\((\d+)\)(?: (.*))?$", line):
                kind, number, name = found.groups()
                name = names.setdefault(number, name)
                if kind == "fn":
                    function = name
                else:
                    callee = name
            elif line.startswith("calls="):
                self.calls[callee] = self.calls.get(callee, 0) + int(line[6:].split()[0])
            elif found := re.match(r"[+\-*\d]\S* (\d+)$", line):
                cost = int(found[1])
                if callee:
                    if callee != function:
                        self.inclusive[callee] = self.inclusive.get(callee, 0) + cost
                    callee = None
                else:
                    self.own[function] = self.own.get(function, 0) + cost
        self.total = sum(self.own.values())


def profiled(file, *arguments):
    """Starts `vcc compile` under callgrind, which counts into `file`."""
    return subprocess.Popen(["valgrind", "--tool=callgrind", f"--callgrind-out-file={file}", *(str(word) for word in (plans.VCC, "compile", *arguments))],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
