# SPDX-License-Identifier: Apache-2.0
"""The levels of the tiny system as text: each prints and is read again as the same module, only its operations stand in
it, its plans give every buffer a place of its own while it lives, what is frozen keeps nothing, and kernels do not
multiply with depth and batch shapes."""
import itertools
import re
import subprocess
import tempfile
import unittest

import plans

ALIGNMENT = 64


def aligned(size):
    return -(-size // ALIGNMENT) * ALIGNMENT


def human(size):
    """As the table of a plan prints bytes."""
    if size < 10 << 10:
        return f"{size} B"
    return f"{size / (1 << 10):.1f} kB" if size < 10 << 20 else f"{size / (1 << 20):.1f} MB"


def without_comments(text):
    return "".join(line + "\n" for line in text.splitlines() if line.strip() and not line.startswith("//"))


class RoundTrip(unittest.TestCase):
    """What `vcc` prints at a level `vcc-opt` reads, verifies and prints the same."""

    def again(self, text):
        """Each module by itself: they are stages, not parts of one module."""
        parts = [part for part in re.split(r"(?m)^(?=module)", without_comments(text)) if part]
        with tempfile.NamedTemporaryFile("w", suffix=".mlir") as file:
            for part in parts:
                file.seek(0)
                file.truncate()
                file.write(part)
                file.flush()
                back = without_comments(plans.run(plans.VCC_OPT, file.name, "--mlir-print-local-scope"))
                self.assertEqual(part, back)
        return len(parts)

    def test_every_level_of_mlir(self):
        for level, stages in (("vcs", 1), ("graph", 5), ("step", 5), ("plan", 5), ("kernels", 1)):
            with self.subTest(level=level):
                self.assertEqual(self.again(plans.emit(plans.TINY, level)), stages)

    def test_llvm_and_assembly_are_read_by_their_tools(self):
        with tempfile.TemporaryDirectory() as folder:
            plans.emit(plans.TINY, "llvm", "-o", f"{folder}/k.ll", "--cpu", "x86-64-v3")
            plans.run("/usr/lib/llvm-19/bin/llvm-as", f"{folder}/k.ll", "-o", f"{folder}/k.bc")
            plans.emit(plans.TINY, "asm", "-o", f"{folder}/k.s", "--cpu", "x86-64-v3")
            plans.run("/usr/lib/llvm-19/bin/clang", "-c", f"{folder}/k.s", "-o", f"{folder}/k.o")

    def test_passes_by_hand_give_what_vcc_gives(self):
        unlabelled = lambda text: re.sub(r'(forward|backward|update|init|evaluate) "[^"]*"', r"\1", without_comments(text))
        graph = plans.emit(plans.TINY, "graph", "--stage", "align")
        step = plans.run(plans.VCC_OPT, "-", "--mlir-print-local-scope", "--tg-differentiate", "--tg-simplify", text=graph)
        self.assertEqual(without_comments(step), without_comments(plans.emit(plans.TINY, "step", "--stage", "align")))
        plan = plans.run(plans.VCC_OPT, "-", "--mlir-print-local-scope", "--tg-fuse", "--vcc-schedule", text=step)
        self.assertEqual(unlabelled(plan), unlabelled(plans.emit(plans.TINY, "plan", "--stage", "align")))


class Places(unittest.TestCase):
    """Lifetimes and places of every stage's plan, computed again from the launches."""

    @classmethod
    def setUpClass(cls):
        cls.plans = plans.plans(plans.emit(plans.TINY, "plan"))

    def test_all_stages_are_there(self):
        self.assertEqual(list(self.plans), ["language", "encoder", "align", "connect", "instruct"])
        for plan in self.plans.values():
            self.assertLessEqual({"micro_main", "update", "init"}, set(plan.functions))
            self.assertGreater(len(plan.functions["micro_main"]), 50)

    def lives(self, plan, function):
        """First and last launch of each arena buffer that a function names, its views included."""
        found = {}
        for number, launch in enumerate(plan.functions[function]):
            for name in launch.buffers:
                root = plan.root(name)
                if plan.buffers[root].region == "arena":
                    first, _ = found.get(root, (number, number))
                    found[root] = (first, number)
        return found

    def each_function(self):
        return [(plan, function) for plan in self.plans.values() for function in plan.functions]

    def test_printed_lives_are_those_of_the_launches(self):
        for plan, function in self.each_function():
            printed = {b.name: b.live for b in plan.buffers.values() if b.region == "arena" and not b.view and b.function == function}
            self.assertEqual(self.lives(plan, function), printed, f"{plan.stage} {function}")

    def test_no_two_live_buffers_overlap(self):
        pairs = 0
        for plan, function in self.each_function():
            lives = self.lives(plan, function)
            for (a, (a_first, a_last)), (b, (b_first, b_last)) in itertools.combinations(lives.items(), 2):
                if a_first <= b_last and b_first <= a_last:
                    pairs += 1
                    one, other = plan.buffers[a], plan.buffers[b]
                    self.assertTrue(one.end <= other.offset or other.end <= one.offset,
                                    f"{a} {lives[a]} at {one.offset}..{one.end} and {b} {lives[b]} at {other.offset}..{other.end}")
        self.assertGreater(pairs, 10000)

    def test_buffers_that_always_live_lie_apart(self):
        for stage, plan in self.plans.items():
            for region in ("weights", "state", "io", "constant"):
                with self.subTest(stage=stage, region=region):
                    placed = sorted((b.offset, b.end, b.name) for b in plan.buffers.values() if b.region == region and not b.view)
                    for (_, end, name), (offset, _, other) in zip(placed, placed[1:]):
                        self.assertLessEqual(end, offset, f"{name} and {other}")
                    self.assertEqual(aligned(placed[-1][1]) if placed else 0, aligned(plan.regions[region]))

    def test_views_lie_in_what_they_are_views_of(self):
        views = 0
        for plan in self.plans.values():
            apart = {}
            for buffer in plan.buffers.values():
                if not buffer.view:
                    self.assertEqual(buffer.offset % ALIGNMENT, 0, buffer.name)
                    continue
                views += 1
                whole = plan.buffers[buffer.view]
                self.assertEqual(buffer.region, whole.region)
                self.assertTrue(whole.offset <= buffer.offset and buffer.end <= whole.end, buffer.name)
                # A run of neighbouring gradients that one launch writes lies over them.
                if buffer.region == "state" and "[" not in buffer.name.removeprefix(whole.name)[:1]:
                    apart.setdefault(whole.name, []).append((buffer.offset, buffer.end, buffer.name))
            for members in apart.values():
                members.sort()
                for (_, end, name), (offset, _, other) in zip(members, members[1:]):
                    self.assertLessEqual(end, offset, f"{name} and {other}")
        self.assertGreater(views, 500)

    def test_nothing_is_read_before_it_is_written(self):
        for plan, function in self.each_function():
            written = set()
            for number, launch in enumerate(plan.functions[function]):
                for name in launch.reads:
                    root = plan.root(name)
                    if plan.buffers[root].region == "arena":
                        self.assertIn(root, written, f"launch {number}: {launch.text[:200]}")
                written.update(plan.root(name) for name in launch.writes)

    def test_the_arena_is_the_largest_peak(self):
        for plan in self.plans.values():
            peaks = {}
            for function in plan.functions:
                lives = self.lives(plan, function)
                peaks[function] = max((aligned(plan.buffers[name].end) for name in lives), default=0)
                self.assertIn(f"// function {function}: peak {human(peaks[function])} of the arena", plan.text)
                live = max((sum(aligned(plan.buffers[name].size) for name, (first, last) in lives.items() if first <= at <= last)
                            for at in range(len(plan.functions[function]))), default=0)
                self.assertLessEqual(live, peaks[function])
            self.assertEqual(plan.regions["arena"], max(peaks.values()))
            printed = int(re.search(r"(?m)^//   peak +(\d+)", plan.text)[1])
            self.assertEqual(printed, sum(plan.regions.values()))


class Frozen(unittest.TestCase):
    """A frozen weight has no gradient and no moment, and keeps nothing alive."""

    @classmethod
    def setUpClass(cls):
        cls.plans = plans.plans(plans.emit(plans.TINY, "plan"))

    def weights(self, plan, why):
        return {b.name for b in plan.buffers.values() if b.why == why and not re.match(r"group\d+:", b.name)}

    def test_counts_of_connect(self):
        plan = self.plans["connect"]
        frozen, trained = self.weights(plan, "frozen weight"), self.weights(plan, "trained weight")
        # Llama: 9 weights a layer, the embedding, the last norm and the head.
        self.assertEqual(len(frozen), 3 * 9 + 3)
        self.assertTrue(all(name.startswith("lm.") for name in frozen))
        self.assertFalse(any(name.startswith("lm.") for name in trained))
        # ViT: 13 a block, patches (2), positions, norm (2); Q-Former without text: queries, norm (2), 16 a layer for
        # itself and its two feed-forwards' query side, 10 more where it looks at the video; projector (2).
        self.assertEqual(len([name for name in trained if name.startswith("vision.")]), 3 * 13 + 5)
        self.assertEqual(len([name for name in trained if name.startswith("project.")]), 2)
        gradients = self.weights(plan, "gradient")
        self.assertEqual(gradients, {f"gradient:{name}" for name in trained})

    def test_moments_are_as_large_as_what_trains(self):
        for stage, plan in self.plans.items():
            with self.subTest(stage=stage):
                groups = {}
                for buffer in plan.buffers.values():
                    if found := re.fullmatch(r"group(\d+):(\w+)", buffer.name):
                        groups.setdefault(int(found[1]), {})[found[2]] = buffer.size
                for sizes in groups.values():
                    self.assertEqual(set(sizes), {"weight", "gradient", "m", "v"})
                    self.assertEqual(len(set(sizes.values())), 1)
                moments = sum(b.size for b in plan.buffers.values() if b.why == "moment of the optimizer")
                self.assertEqual(moments, 2 * sum(sizes["weight"] for sizes in groups.values()))
                trained = [plan.buffers[name] for name in self.weights(plan, "trained weight")]
                # A bounded weight is a group by itself, with nothing behind it.
                self.assertEqual(sum(aligned(sizes["weight"]) for sizes in groups.values()), sum(aligned(b.size) for b in trained))
                # The state is weights, gradients and two moments of what trains, and nothing else.
                self.assertEqual(plan.regions["state"], 4 * sum(aligned(b.size) for b in trained))

    def test_frozen_weights_are_only_read(self):
        for stage in ("align", "connect", "instruct"):
            plan = self.plans[stage]
            frozen = self.weights(plan, "frozen weight")
            self.assertTrue(frozen)
            for function, launches in plan.functions.items():
                if function == "init":
                    continue
                for launch in launches:
                    self.assertFalse(frozen & set(launch.writes), launch.text[:200])
            self.assertFalse([name for name in plan.buffers if name.startswith("gradient:") and name.removeprefix("gradient:") in frozen])

    def kept(self, plan, part):
        """Kept buffers by the part whose forward launch makes them."""
        found = {}
        for launch in plan.functions["micro_main"]:
            label = re.search(r' forward "([^"]*)"', launch.text)
            for name in launch.writes if label and label[1].startswith(part) else []:
                buffer = plan.buffers[plan.root(name)]
                if buffer.why == "kept for the backward":
                    found.setdefault(buffer.name, buffer.size)
        return found

    def test_a_frozen_encoder_keeps_nothing(self):
        """Its output alone is kept, for the gradients of the trained weights that read it."""
        plan = self.plans["align"]
        [output] = self.kept(plan, "vision.")
        readers = [launch.text for launch in plan.functions["micro_main"] if output in map(plan.root, launch.reads) and " backward " in launch.text]
        self.assertTrue(readers)
        for text in readers:
            self.assertRegex(text, r'backward "bridge\.layers\[\d\]\.crossattention\.self\.(key|value)')
        self.assertGreater(len(self.kept(self.plans["connect"], "vision.")), 30)

    def test_no_backward_work_below_what_trains(self):
        backward = lambda plan: [launch for launch in plan.functions["micro_main"] if ' backward "vision.' in launch.text]
        self.assertEqual(backward(self.plans["align"]), [])
        self.assertGreater(len(backward(self.plans["connect"])), 30)

    def test_freezing_saves_the_products_of_gradients(self):
        """The same stage with the language model trained has the products of its weights' gradients, and keeps no less: what
        those read of norms and activations is computed again, not kept."""
        text = plans.TINY.read_text()
        start = text.index('stage 2 "connect"')
        head, stage = text[:start], text[start:]
        thawed = stage.replace("train  vision, bridge, project\n  freeze lm", "train  vision, bridge, project, lm", 1)
        self.assertNotEqual(stage, thawed)
        with tempfile.NamedTemporaryFile("w", suffix=".vcs", prefix="tiny_videochat2") as file:
            file.write(head + thawed)
            file.flush()
            plan = plans.plans(plans.emit(file.name, "plan", "--stage", "connect"))["connect"]
        frozen = self.kept(self.plans["connect"], "lm.")
        trained = self.kept(plan, "lm.")
        self.assertLessEqual(len(frozen), len(trained))
        self.assertLessEqual(sum(frozen.values()), sum(trained.values()))
        products = lambda plan: [l for l in plan.functions["micro_main"] if l.kind == "gemm" and ' backward "lm.' in l.text]
        # Seven products a layer and the head: one more each for the weight's gradient.
        self.assertEqual(len(products(plan)) - len(products(self.plans["connect"])), 3 * 7 + 1)


class Kernels(unittest.TestCase):
    """The number of kernels does not grow with the depth or with the batch shapes."""

    def test_depth(self):
        found = {}
        for depth in (2, 24):
            text = plans.emit(plans.RECIPES / "depth.vcs", "plan", "-D", f"depth={depth}")
            [found[depth]] = plans.plans(text).values()
            generated = plans.emit(plans.RECIPES / "depth.vcs", "kernels", "-D", f"depth={depth}")
            found[depth].generated = set(re.findall(r"llvm\.func @(\w+)\(%", generated))
        few, many = found[2], found[24]
        launches = [len(plan.functions["micro_main"]) for plan in (few, many)]
        self.assertGreater(launches[1], 8 * launches[0])
        for depth, plan in found.items():
            draws = [launch for launch in plan.functions["micro_main"] if "micro_main/in/rng" in launch.reads and " forward " in launch.text]
            given = {re.search(r"uniforms \[([^\]]*)\]", launch.text)[1] for launch in draws}
            self.assertGreaterEqual(len(given), 2 * depth, "sites and rates differ from block to block")
        self.assertEqual(set(few.kernels), set(many.kernels))
        self.assertEqual(few.generated, many.generated)
        self.assertEqual(len(few.kernels), len(set(few.kernels)))

    STAGE = """
stage {number} "s{number}" of Words {{
  uses  lm
  train lm
  start lm from init
  batch {{
    samples: {rows} from [sentences]
    words: templates.plain {{ tokenizer: pieces, max_tokens: {length}, supervise: all }}
  }}
  loss {{
    lm: 1.0 * losses.next_token(lm, words)
  }}
  optimize adamw {{ lr: 3e-3, weight_decay: 0.1, decay: matrices, clip: 1.0 }}
  schedule linear {{ steps: 20, warmup: 2 steps, floor: 0.05 }}
  precision f32
  save at end
  log every 10 steps
}}
"""

    def generated(self, shapes):
        """The kernels of a program with one stage for each batch shape."""
        head = (plans.RECIPES / "words.vcs").read_text().partition("\nstage ")[0]
        with tempfile.NamedTemporaryFile("w", suffix=".vcs") as file:
            file.write(head + "".join(self.STAGE.format(number=n + 1, rows=rows, length=length) for n, (rows, length) in enumerate(shapes)))
            file.flush()
            return sorted(re.findall(r"llvm\.func @(\w+)\(%", plans.emit(file.name, "kernels")))

    def test_batch_rows(self):
        one = self.generated([(24, 26)])
        six = self.generated([(rows, 26) for rows in (24, 32, 40, 48, 28, 64)])
        self.assertGreater(len(one), 20)
        self.assertEqual(one, six)

    def test_batch_rows_and_lengths(self):
        one = self.generated([(24, 26)])
        self.assertTrue(any(name.startswith("attention") for name in one))
        self.assertEqual(one, self.generated(list(zip((24, 16, 32, 12, 8, 10), (26, 40, 20, 48, 100, 72)))))


class Checks(unittest.TestCase):
    """After each level only its operations may stand; the checks are those of the driver."""

    ALLOWED = {"vcs": {"vcs"}, "graph": {"tg", "func"}, "step": {"tg", "func"}}

    def names(self, text):
        """Every operation by its generic name."""
        generic = plans.run(plans.VCC_OPT, "-", "--mlir-print-op-generic", text=text)
        return set(re.findall(r'(?m)^ *(?:%[^=]+ = )?"([a-z_]+\.[\w.]+)"\(', generic)) - {"builtin.module"}

    def test_only_operations_of_the_level(self):
        for level, dialects in self.ALLOWED.items():
            for stage in ("align",) if level != "vcs" else ("",):
                text = plans.emit(plans.TINY, level, *(("--stage", stage) if stage else ()))
                names = self.names(text)
                self.assertGreater(len(names), 10)
                self.assertEqual({name.split(".")[0] for name in names}, dialects, level)
                self.assertFalse(names & {"tg.kernel", "tg.launch", "tg.gemm"})

    def test_forward_functions_end_with_the_graph(self):
        graph = plans.emit(plans.TINY, "graph", "--stage", "align")
        step = plans.emit(plans.TINY, "step", "--stage", "align")
        self.assertIn("@forward_main", graph)
        self.assertIn("tg.loss", graph)
        self.assertNotIn("@forward_", step)
        self.assertIn("@micro_main", step)

    def test_a_plan_holds_kernels_and_launches_only(self):
        text = plans.emit(plans.TINY, "plan", "--stage", "align")
        names = self.names(without_comments(text))
        self.assertEqual({name.split(".")[0] for name in names}, {"exec", "tg"})
        body = re.sub(r"(?ms)^  tg\.kernel .*?^  \}\n", "", without_comments(text))
        self.assertNotIn("tg.kernel @", body)
        self.assertNotRegex(body, r"= tg\.\w+ %")


if __name__ == "__main__":
    unittest.main()
