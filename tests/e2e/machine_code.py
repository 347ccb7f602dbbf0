# SPDX-License-Identifier: Apache-2.0
"""The machine code of generated kernels: their loops, found in the disassembly, and what is wrong with them."""
import re
import subprocess

OBJDUMP = "llvm-objdump-19"
WIDTHS = {"x86-64-v2": "xmm", "x86-64-v3": "ymm", "x86-64-v4": "zmm"}
# Kernels are named by class and structure, attention's by direction and head size.
KERNEL = re.compile(r"(row|flat|scatter)_[0-9a-f]+|attention_(grad_)?\d+")

_SYMBOL = re.compile(r"^([0-9a-f]+) <([^>]+)>:$")
_INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
_TARGET = re.compile(r"0x([0-9a-f]+)|([0-9a-f]+) <")
_SCALAR = re.compile(r"v?(?:add|sub|mul|div|min|max|sqrt|rsqrt|rcp|round|rndscale|fn?m(?:add|sub)\d*)s[sd]$")
_PACKED = re.compile(r"v?(?:add|sub|mul|div|min|max|sqrt|rsqrt|rcp14|rcp|round|rndscale|cmp|and|andn|or|xor|fn?m(?:add|sub)\d*|blendv?|unpck[lh])p[sd]$"
                     r"|v?p(?:add|sub|mul|mull|min|max|cmp|cmpeq|cmpgt|and|andn|or|xor|sll|srl|sra|blend|ternlog|shuf|unpck)\w*$"
                     r"|v?cvt\w+$")
_MOVE = re.compile(r"v?mov(?:[ua]p[sd]|dq[ua]\w*)$|v?maskmovp[sd]$|v?p(?:gather|scatter)\w+$|v?(?:gather|scatter)\w+$")


class Instruction:
    def __init__(self, address, name, operands):
        self.address, self.name, self.operands = address, name, operands
        self.jumps = name.startswith("j")
        self.calls = name.startswith("call")
        self.target = None
        if self.jumps or self.calls:
            found = _TARGET.search(operands)
            self.target = int(found[1] or found[2], 16) if found else None
        self.width = next((w for w in ("zmm", "ymm", "xmm") if w in operands), None)
        memory = operands.partition(",")[0] if "[" in operands.partition(",")[0] else ""
        self.stores = bool(memory) and not re.match(r"(?:cmp|test|v?u?comis[sd]|v?ptest|vtest)", name)
        self.spills = self.stores and bool(re.search(r"\[(?:rsp|rbp)", memory))

    def text(self):
        return f"{self.address:8x}: {self.name} {self.operands}"

    def scalar_arithmetic(self):
        return bool(_SCALAR.match(self.name))

    def zeroes(self):
        """The idiom for zero, of which the processor makes no work: x = x xor x."""
        registers = self.operands.split(", ")
        return bool(re.match(r"v?p?xor(?:p[sd]|[dq])?$", self.name)) and len(registers) > 1 and len(set(registers[-2:])) == 1

    def packed_arithmetic(self, width):
        return self.width == width and bool(_PACKED.match(self.name)) and not self.zeroes()

    def packed_move(self, width):
        return self.width == width and bool(_MOVE.match(self.name))


class Loop:
    """A natural loop: its header's block and all that reach the back edge without leaving it."""

    def __init__(self, header, blocks):
        self.header, self.blocks = header, blocks


class Function:
    """One symbol: its basic blocks and loops."""

    def __init__(self, name, instructions):
        self.name, self.instructions = name, instructions
        # Padding behind the last return belongs to nobody.
        while self.instructions and re.match(r"(?:nop|int3|data16|cs)", self.instructions[-1].name):
            self.instructions.pop()
        self.first, self.last = self.instructions[0].address, self.instructions[-1].address
        self._blocks()
        self._dominators()
        self.loops = self._loops()

    def inside(self, address):
        return address is not None and self.first <= address <= self.last

    def calls(self):
        """Calls, and jumps to another function."""
        return [i for i in self.instructions if i.calls or (i.jumps and not self.inside(i.target))]

    def _blocks(self):
        leaders = {self.first}
        for this, following in zip(self.instructions, self.instructions[1:]):
            if this.jumps:
                leaders.add(following.address)
                if self.inside(this.target):
                    leaders.add(this.target)
            elif this.name.startswith("ret"):
                leaders.add(following.address)
        self.blocks, self.successors = {}, {}
        block = None
        for i in self.instructions:
            if i.address in leaders:
                block = self.blocks.setdefault(i.address, [])
            block.append(i)
        starts = sorted(self.blocks)
        for start, following in zip(starts, starts[1:] + [None]):
            last = self.blocks[start][-1]
            targets = [last.target] if last.jumps and self.inside(last.target) else []
            if last.name != "jmp" and not last.name.startswith(("ret", "ud2")) and following is not None:
                targets.append(following)
            self.successors[start] = targets

    def _dominators(self):
        self.predecessors = {start: [] for start in self.blocks}
        reached, work = {self.first}, [self.first]
        while work:
            block = work.pop()
            for target in self.successors[block]:
                self.predecessors[target].append(block)
                if target not in reached:
                    reached.add(target)
                    work.append(target)
        self.reached = reached
        everything = set(reached)
        self.dominators = {block: everything for block in reached}
        self.dominators[self.first] = {self.first}
        changed = True
        while changed:
            changed = False
            for block in sorted(reached - {self.first}):
                new = set.intersection(*(self.dominators[p] for p in self.predecessors[block] if p in reached)) | {block}
                if new != self.dominators[block]:
                    self.dominators[block], changed = new, True

    def _loops(self):
        found = {}
        for block in self.reached:
            for header in self.successors[block]:
                if header not in self.dominators[block]:
                    continue
                members, work = found.setdefault(header, {header}), [block]
                while work:
                    member = work.pop()
                    if member not in members:
                        members.add(member)
                        work.extend(self.predecessors[member])
        return [Loop(header, blocks) for header, blocks in sorted(found.items())]

    def body(self, loop):
        return [i for start in sorted(loop.blocks) for i in self.blocks[start]]

    def innermost(self):
        return [loop for loop in self.loops if not any(other is not loop and other.blocks < loop.blocks for other in self.loops)]

    def parent(self, loop):
        around = [other for other in self.loops if loop.blocks < other.blocks]
        return min(around, key=lambda other: len(other.blocks)) if around else None


def walks_only(body):
    """Counts places and steps: no floating-point arithmetic, and nothing is stored but to the stack."""
    return not any((i.stores and not i.spills) or i.scalar_arithmetic() or any(i.packed_arithmetic(w) for w in WIDTHS.values()) for i in body)


def is_packed(body, width):
    """Arithmetic at full width, at least as much as there is on single numbers (what a row has one of), or, where there is none
    at all, moves at full width."""
    packed = sum(i.packed_arithmetic(width) for i in body)
    if packed:
        return packed >= sum(i.scalar_arithmetic() for i in body)
    arithmetic = any(i.scalar_arithmetic() or any(i.packed_arithmetic(w) for w in WIDTHS.values()) for i in body)
    return not arithmetic and any(i.packed_move(width) for i in body)


def faults(function, cpu):
    """What is wrong with a kernel's code for `cpu`: (what, the code at fault)."""
    width = WIDTHS[cpu]
    found = [("calls", i.text()) for i in function.calls()]
    for loop in function.innermost():
        body = function.body(loop)
        if walks_only(body) or is_packed(body, width):
            continue
        found.append((f"innermost loop without packed arithmetic in {width}", "\n".join(i.text() for i in body)))
    if not any(i.packed_move(width) or i.packed_arithmetic(width) for i in function.instructions):
        found.append((f"no vector in {width}", function.name))
    return found


def declared(text):
    """The kernels that the level `kernels` or `llvm` defines."""
    return re.findall(r"llvm\.func @(\w+)\(%", text)


def functions(file, wanted=None):
    """The functions of an object or program whose name `wanted` accepts (all kernels)."""
    wanted = wanted or KERNEL.fullmatch
    text = subprocess.run([OBJDUMP, "-d", "--no-show-raw-insn", "--x86-asm-syntax=intel", str(file)],
                          capture_output=True, text=True, check=True).stdout
    name, instructions, found = None, [], []
    for line in text.splitlines() + ["0 <>:"]:
        if symbol := _SYMBOL.match(line) or (line == "0 <>:" and re.match("(0) <()", line)):
            if name and instructions:
                found.append(Function(name, instructions))
            name, instructions = (symbol[2] if symbol[2] and wanted(symbol[2]) else None), []
        elif name and (row := _INSTRUCTION.match(line)):
            instructions.append(Instruction(int(row[1], 16), row[2], row[3]))
    return found
