# SPDX-License-Identifier: Apache-2.0
"""`vcc plan`: its numbers against the text of the plan, against the program's own listing, against counts by hand, and against a run."""
import json
import math
import os
import pathlib
import pty
import re
import resource
import subprocess
import tempfile
import unittest

import plans
import programs

CONNECT = plans.RECIPES / "connect_sizes.vcs"
WORDS = plans.RECIPES / "words.vcs"


def seconds_used():
    """The processor's time of what was run: others may run beside a test."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(recipe, *options):
    return json.loads(plans.run(plans.VCC, "plan", recipe, "--json", *options))


def fails(*arguments):
    return programs.run(plans.VCC, "plan", *arguments)


def elements(tensor):
    return math.prod(int(size) for size in re.findall(r"(\d+)x", tensor))


class Tiny(unittest.TestCase):
    """Every stage of the tiny VideoChat2 against its plan."""

    @classmethod
    def setUpClass(cls):
        cls.report = report(plans.TINY)
        cls.plans = plans.plans(plans.emit(plans.TINY, "plan", "--target=cuda"))
        cls.stages = {stage["name"]: stage for stage in cls.report["stages"]}

    def test_stages(self):
        self.assertEqual(list(self.stages), list(self.plans))
        self.assertEqual(self.report["device"]["name"], "h200")
        self.assertEqual(self.report["count"], 1)

    def test_memory_is_that_of_the_regions(self):
        for name, plan in self.plans.items():
            with self.subTest(name):
                memory = self.stages[name]["memory"]["f32"]
                parts = sum(memory[part] for part in ("frozen", "trained", "gradients", "optimizer", "padding"))
                self.assertEqual(parts, plan.regions["weights"] + plan.regions["state"])
                self.assertEqual((memory["activations"], memory["io"], memory["constants"]),
                                 (plan.regions["arena"], plan.regions["io"], plan.regions["constant"]))
                self.assertEqual(memory["sum"], sum(plan.regions.values()))

    def test_weights_by_their_buffers(self):
        for name, plan in self.plans.items():
            with self.subTest(name):
                memory, stage = self.stages[name]["memory"], self.stages[name]
                frozen = sum(elements(b.type) for b in plan.buffers.values() if b.why == "frozen weight")
                trained = sum(elements(b.type) for b in plan.buffers.values() if b.why == "trained weight" and b.view)
                self.assertEqual((frozen + trained, trained), (stage["parameters"], stage["trainable"]))
                self.assertEqual([memory["f32"][part] for part in ("frozen", "trained", "gradients", "optimizer")],
                                 [4 * frozen, 4 * trained, 4 * trained, 8 * trained])
                self.assertEqual([memory["bf16"][part] for part in ("frozen", "trained", "gradients", "optimizer")],
                                 [2 * frozen, 4 * trained, 4 * trained, 8 * trained])
                self.assertLess(memory["f32"]["padding"], 64 * len(plan.buffers))
                self.assertEqual(sum(c["parameters"] for c in stage["components"]), stage["parameters"])
                self.assertEqual(sum(c["trainable"] for c in stage["components"]), stage["trainable"])

    def test_products(self):
        """2 m n k for each product, from the text of the launches; of attention from its sizes, half where it is causal at most."""
        for name, plan in self.plans.items():
            for function in self.stages[name]["functions"]:
                with self.subTest(name, function=function["name"]):
                    least = most = 0
                    for launch in plan.functions[function["name"]]:
                        if launch.kind == "gemm":
                            batch, m, n, k = re.search(r" batch \[(.*?)\] m (\d+) n (\d+) k (\d+)", launch.text).groups()
                            flops = 2 * math.prod(int(size) for size in batch.split(",")) * int(m) * int(n) * int(k)
                            least, most = least + flops, most + flops + 20 * flops // (2 * int(k))
                        elif launch.kind.startswith("attention"):
                            rows, queries, keys, heads, _, width = (int(size) for size in re.search(r"sizes \[(.*?)\]", launch.text)[1].split(","))
                            flops = 4 * rows * heads * queries * keys * width
                            least, most = least + flops // 2, most + 5 * flops
                    self.assertGreaterEqual(function["products"], least)
                    self.assertLessEqual(function["products"], most)

    def test_sums(self):
        for stage in self.stages.values():
            functions = {function["name"]: function for function in stage["functions"]}
            [step] = stage["steps"]
            micro, update = functions["micro_main"], functions["update"]
            self.assertEqual(step["micros"], stage["accumulate"])
            self.assertEqual(step["samples"], micro["rows"] * stage["accumulate"])
            for function in (micro, update):
                work = dict(function["flops"])
                whole = work.pop("sum")
                self.assertEqual(sum(sum(part.values()) for part in work.values()), sum(whole.values()))
                self.assertEqual(sum(whole.values()), function["products"] + function["others"])
            for phase in ("forward", "backward", "update"):
                self.assertEqual(step["flops"]["sum"][phase], micro["flops"]["sum"][phase] * stage["accumulate"] + update["flops"]["sum"][phase])
            self.assertGreater(step["flops"]["optimizer"]["update"], stage["trainable"])
            self.assertEqual(max(function["arena"]["f32"] for function in functions.values()), stage["memory"]["f32"]["activations"])

    def test_who_works(self):
        """What is frozen and behind what trains has no backward; what is not used does nothing."""
        align = self.stages["align"]["steps"][0]["flops"]
        self.assertEqual(align["vision"]["backward"], 0)
        self.assertGreater(align["vision"]["forward"], 0)
        self.assertGreater(align["bridge"]["backward"], align["bridge"]["forward"])
        self.assertNotIn("lm", align)
        self.assertGreater(self.stages["instruct"]["steps"][0]["flops"]["adapter"]["backward"], 0)

    def test_arena_in_bf16(self):
        for name, stage in self.stages.items():
            for function in stage["functions"]:
                with self.subTest(name, function=function["name"]):
                    arena = function["arena"]
                    self.assertLessEqual(arena["live"], arena["f32"])
                    if function["role"] == "init":
                        self.assertEqual(arena["bf16"], arena["f32"])
            self.assertLess(stage["memory"]["bf16"]["activations"], 0.8 * stage["memory"]["f32"]["activations"])

    def test_memory_in_bf16_is_that_of_the_regions(self):
        narrow = plans.plans(plans.run(plans.VCC, "compile", plans.TINY, "-D", "numerics=bf16", "--target=cuda", "--emit=plan"))
        self.assertEqual(set(narrow), set(self.plans))
        for name, plan in narrow.items():
            with self.subTest(name):
                memory = self.stages[name]["memory"]["bf16"]
                parts = sum(memory[part] for part in ("frozen", "trained", "gradients", "optimizer", "padding"))
                self.assertEqual(parts, plan.regions["weights"] + plan.regions["state"])
                self.assertEqual((memory["activations"], memory["io"], memory["constants"]),
                                 (plan.regions["arena"], plan.regions["io"], plan.regions["constant"]))
                self.assertEqual(memory["sum"], sum(plan.regions.values()))
                frozen = [b for b in plan.buffers.values() if b.why == "frozen weight"]
                self.assertEqual(sum(2 * elements(b.type) for b in frozen), memory["frozen"])
                self.assertTrue(all("bf16" in b.type for b in frozen))

    def test_bounds(self):
        rates = self.report["device"]
        for stage in self.stages.values():
            for function in stage["functions"]:
                seconds = function["seconds"]
                if not function["products"] + function["others"]:
                    continue
                for precision in ("f32", "tf32", "bf16"):
                    wanted = max(function["products"] / rates[precision], function["others"] / rates["f32"])
                    # In bf16 there are casts beside, and what is computed again may differ.
                    self.assertAlmostEqual(seconds[precision]["arithmetic"], wanted, delta=(0.5 if precision == "bf16" else 1e-9) * wanted)
                    self.assertGreaterEqual(seconds[precision]["launches"] * (1 + 1e-9), seconds[precision]["arithmetic"])

    def test_table(self):
        table = plans.run(plans.VCC, "plan", plans.TINY, "--stage", "3", "--count", "8")
        stage = self.stages["instruct"]
        self.assertIn('stage 3 "instruct", f32, 300 steps', table)
        self.assertIn("8 x NVIDIA H200 SXM", table)
        self.assertIn("32 samples on a device, 256 in all", table)
        self.assertNotIn('"align"', table)
        [line] = [line for line in table.splitlines() if line.startswith("  sum ") and "FLOP" in line]
        self.assertEqual([int(word.replace(",", "")) for word in line.split()[1:3]], [stage["parameters"], stage["trainable"]])
        [line] = [line for line in table.splitlines() if line.startswith("  activations")]
        self.assertEqual([int(word.replace(",", "")) for word in line.split()[-2:]],
                         [stage["memory"][precision]["activations"] for precision in ("f32", "bf16")])


class Variants(unittest.TestCase):
    """Each step variant is a function of its own; a step is of one, or of every branch."""

    @classmethod
    def setUpClass(cls):
        stages = report(plans.RECIPES / "branches.vcs", "-D", "lengths=[6, 12]", "-D", "micros=3", "-D", "rows=5")["stages"]
        cls.stages = {stage["name"]: stage for stage in stages}
        cls.micros = {name: {f["variant"]: f for f in stage["functions"] if f["role"] == "micro"} for name, stage in cls.stages.items()}

    def test_one_at_a_time(self):
        stage, micros = self.stages["mixed"], self.micros["mixed"]
        self.assertEqual({(f["variant"], f["branch"]) for f in micros.values()},
                         {("image", "image"), ("text.6", "text"), ("text.12", "text"), ("video", "video")})
        self.assertEqual([step["variants"] for step in stage["steps"]], [[name] for name in micros])
        [update] = [f for f in stage["functions"] if f["role"] == "update"]
        for step in stage["steps"]:
            micro = micros[step["variants"][0]]
            self.assertEqual((step["micros"], step["samples"]), (3, 15))
            self.assertEqual(sum(step["flops"]["sum"].values()), 3 * sum(micro["flops"]["sum"].values()) + sum(update["flops"]["sum"].values()))
        work = {name: sum(f["flops"]["sum"].values()) for name, f in micros.items()}
        self.assertLess(work["text.6"], work["text.12"])
        self.assertLess(work["image"], work["video"])

    def test_of_every_branch(self):
        [step] = self.stages["every"]["steps"]
        micros = self.micros["every"]
        self.assertEqual(step["variants"], ["image", "text.12", "video"])
        self.assertEqual((step["micros"], step["samples"]), (9, 45))
        self.assertEqual(step["flops"]["sum"]["forward"], 3 * sum(micros[name]["flops"]["sum"]["forward"] for name in step["variants"]))

    def test_table(self):
        table = plans.run(plans.VCC, "plan", plans.RECIPES / "branches.vcs", "-D", "micros=3", "-D", "rows=5")
        self.assertIn("a step of 3 micro-batches of video, 15 samples on a device", table)
        self.assertIn("a step of 9 micro-batches of image, text.12, video, 45 samples on a device", table)


class Packed(unittest.TestCase):
    def test_rows_of_several_samples_count_as_each_in_its_own(self):
        recipe = plans.RECIPES / "packed.vcs"
        apart, packed = (report(recipe, "-D", f"pack={pack}", "--device", "cpu")["stages"] for pack in (1, 3))
        for one, several in zip(apart, packed, strict=True):
            products = [next(f["products"] for f in stage["functions"] if f["role"] == "micro") for stage in (one, several)]
            self.assertAlmostEqual(products[1] / products[0], 1, delta=1e-6)
            self.assertEqual(one["sequences"], {})
            self.assertEqual(list(several["sequences"].values()), [3])
        self.assertIn("attention over rows of `text` is counted as over 3 samples of one length that fill them",
                      plans.run(plans.VCC, "plan", recipe, "-D", "pack=3", "--device", "cpu"))

    def test_where_they_are_split_all_scores_count(self):
        """A GPU's program multiplies whole rows of several samples: what it does is what is counted."""
        recipe = plans.RECIPES / "packed.vcs"
        for stage, whole in zip(*(report(recipe, "-D", "pack=3", "--device", device)["stages"] for device in ("h200", "cpu")), strict=True):
            products, fewer = ([f["products"] for f in given["functions"] if f["role"] == "micro"] for given in (stage, whole))
            self.assertEqual(len(products), len(fewer))
            self.assertTrue(all(a > b for a, b in zip(products, fewer)), (products, fewer))
            self.assertEqual(stage["sequences"], {})

    def test_where_they_are_calls_each_sample_counts(self):
        """A GPU's program in bf16 calls attention over samples, each of the most tokens: packed or not these are the same calls, and what is
        counted for a stage in bf16 is its own plan."""
        recipe, found = plans.RECIPES / "packed.vcs", []
        for pack in (1, 3):
            options = ("-D", f"pack={pack}", "-D", "numerics=bf16")
            text = plans.run(plans.VCC, "compile", recipe, "--target=cuda", "--emit=plan", *options)
            micros = "".join(re.findall(r"exec\.function @micro_.*?(?=exec\.function|\Z)", text, re.S))
            calls, gemms = ([int(number) for number in re.findall(rf"exec\.{kind} .* flops (\d+) bytes", micros)] for kind in ("attention(?:_grad)?", "gemm"))
            self.assertTrue(calls)
            stages = report(recipe, *options, "--device", "h200")["stages"]
            self.assertEqual([stage["sequences"] for stage in stages], [{}] * len(stages))
            self.assertEqual(sum(f["products"] for stage in stages for f in stage["functions"] if f["role"] == "micro"), sum(calls) + sum(gemms))
            found.append(calls)
        self.assertEqual(*found)


class Attention(unittest.TestCase):
    """Attention in bf16 is a call of cuDNN where it can be, or products and kernels: the choice is the compiler's, and the plan tells."""

    def plan(self, *options):
        return plans.plans(plans.emit(plans.TINY, "plan", "--target=cuda", "-D", "numerics=bf16", *options))

    @staticmethod
    def calls(plan):
        return [launch for function in plan.functions.values() for launch in function if launch.kind.startswith("attention")]

    def test_calls_are_in_the_plan(self):
        called, split = self.plan(), self.plan("--attention=split")
        self.assertEqual(list(called), list(split))
        for name, plan in called.items():
            with self.subTest(name):
                calls = self.calls(plan)
                self.assertTrue(calls)
                self.assertEqual(self.calls(split[name]), [])
                for call in calls:
                    self.assertNotIn(" kernel ", call.text)
                    cap, threads = re.search(r"scratch (\d+) threads (\d+)", call.text).groups()
                    self.assertEqual(threads, "1")
                    workspace = re.search(r"workspace @(?:\"([^\"]+)\"|(\S+))", call.text)
                    self.assertEqual(plan.buffers[workspace[1] or workspace[2]].size, int(cap))
                gemms = [sum(launch.kind == "gemm" for function in given.functions.values() for launch in function) for given in (plan, split[name])]
                # Two products forward, four backward, and a fifth where the scores are not those of the forward.
                backward = sum(call.kind == "attention_grad" for call in calls)
                least = 2 * (len(calls) - backward) + 4 * backward
                self.assertGreaterEqual(gemms[1] - gemms[0], least)
                self.assertLessEqual(gemms[1] - gemms[0], least + backward)

    def test_the_command_counts_what_is_called(self):
        stages = [report(plans.TINY, f"--attention={which}")["stages"] for which in ("cudnn", "split")]
        for which, given in zip(("cudnn", "split"), stages):
            for stage, plan in zip(given, self.plan(f"--attention={which}").values(), strict=True):
                self.assertEqual(stage["memory"]["bf16"]["activations"], plan.regions["arena"])
        for called, split in zip(*stages, strict=True):
            self.assertEqual(called["memory"]["f32"], split["memory"]["f32"])  # cuDNN has no f32: both split it

    def test_it_is_of_the_gpu_alone(self):
        ended = programs.run(plans.VCC, "compile", plans.TINY, "--attention=split", "--emit=graph")
        self.assertEqual((ended.code, ended.out), (1, ""))
        self.assertIn("error: --attention is of --target=cuda alone", ended.err)

    def test_a_cpu_is_of_the_cpu_alone(self):
        ended = programs.run(plans.VCC, "compile", plans.TINY, "--target=cuda", "--cpu=x86-64-v3", "--emit=graph")
        self.assertEqual((ended.code, ended.out), (1, ""))
        self.assertIn("error: --cpu is of --target=cpu alone", ended.err)


class LowRank(unittest.TestCase):
    """LoRA's first products of one x are one, and its second are columns of the frozen ones, or all are products of their own: the choice is
    the compiler's, and the plan tells."""

    LAYERS, SITES, RANK, WIDTH = 3, 3 * 2, 8, 96  # of the tiny recipe: q and v of three layers

    def tails(self, plan):
        """Bytes behind the frozen matrices that have an adapter, by their names: columns for both sites that share a layer's input."""
        return {name: buffer.size * 2 * self.RANK // self.WIDTH for name, buffer in plan.buffers.items() if re.fullmatch(r"lm\..*\.[qv]_proj\.weight", name)}

    def plans(self, *options):
        return plans.plans(plans.emit(plans.TINY, "plan", "--target=cuda", "-D", "numerics=bf16", *options))

    def test_products_are_joined(self):
        apart, joined = self.plans(), self.plans("--lora=joined")
        for name, plan in joined.items():
            gemms = [{function: sum(launch.kind == "gemm" for launch in launches) for function, launches in given.functions.items()} for given in (apart[name], plan)]
            for function, count in gemms[0].items():
                # A first one of each layer and a second one of each site, forward and backward.
                forward = self.LAYERS + self.SITES if name == "instruct" and function.startswith(("micro", "evaluate")) else 0
                self.assertEqual(count - gemms[1][function], forward * (2 if function.startswith("micro") else 1), f"{name} {function}")
            wide = {path.removeprefix("joined:"): buffer.size for path, buffer in plan.buffers.items() if re.fullmatch(r"joined:[^:]*", path)}
            tails = self.tails(apart[name]) if name == "instruct" else {}
            self.assertEqual(wide, {path: apart[name].buffers[path].size + tail for path, tail in tails.items()})
            self.assertEqual(plan.regions["weights"] - apart[name].regions["weights"], sum(tails.values()))

    def test_the_command_counts_it(self):
        apart, joined = (report(plans.TINY, "--stage", "instruct", f"--lora={which}")["stages"][0] for which in ("apart", "joined"))
        for kind in ("frozen", "trained", "gradients", "optimizer"):
            self.assertEqual(apart["memory"]["bf16"][kind], joined["memory"]["bf16"][kind])
        tails = self.tails(self.plans("--stage", "instruct")["instruct"])
        self.assertEqual(joined["memory"]["bf16"]["padding"] - apart["memory"]["bf16"]["padding"], sum(tails.values()))

    def test_it_is_of_the_gpu_alone(self):
        ended = programs.run(plans.VCC, "compile", plans.TINY, "--lora=joined", "--emit=graph")
        self.assertEqual((ended.code, ended.out), (1, ""))
        self.assertIn("error: --lora is of --target=cuda alone", ended.err)


class FullSize(unittest.TestCase):
    def test_connect(self):
        began = seconds_used()
        [stage] = report(CONNECT, "--device", "a100-80gb", "--count", "32")["stages"]
        self.assertLess(seconds_used() - began, 20)  # in two precisions
        self.assertEqual(stage["trainable"], 395_301_376)
        self.assertEqual({c["name"]: c["parameters"] for c in stage["components"]},
                         {"vision": 290_479_104, "bridge": 101_672_448, "project": 3_149_824, "lm": 6_738_415_616})
        memory = stage["memory"]
        self.assertEqual((memory["f32"]["frozen"], memory["bf16"]["frozen"]), (4 * 6_738_415_616, 2 * 6_738_415_616))
        self.assertEqual((memory["f32"]["gradients"], memory["f32"]["optimizer"]), (4 * 395_301_376, 8 * 395_301_376))
        [step] = stage["steps"]
        # Two micro-batches of 2 rows of 512 + 96 positions; 2 operations for each weight of a matrix and position, attention's a few percent more.
        # Only supervised positions reach the vocabulary, of which the plan takes the most.
        positions, table, width = 4 * (512 + 96), 32000 * 4096, 4096
        blocks = 6_738_415_616 - 2 * table
        attention = 32 * 4 * 4 * (512 + 96) ** 2 * width
        self.assertAlmostEqual(step["flops"]["lm"]["forward"] / (2 * blocks * positions + attention + 2 * table * 4 * 512), 1, delta=0.05)
        self.assertAlmostEqual(step["flops"]["lm"]["backward"] / step["flops"]["lm"]["forward"], 1, delta=0.1)
        self.assertAlmostEqual(step["flops"]["vision"]["backward"] / step["flops"]["vision"]["forward"], 2, delta=0.2)
        self.assertTrue(stage["fits"])

    def test_it_does_not_fit(self):
        [stage] = report(CONNECT, "--device", "rtx4090")["stages"]
        self.assertFalse(stage["fits"])
        self.assertIn("f32 does not fit: ", plans.run(plans.VCC, "plan", CONNECT, "--device", "rtx4090"))

    def test_bf16(self):
        [wide], [narrow] = (report(CONNECT, "-D", f"numerics={numerics}")["stages"] for numerics in ("f32", "bf16"))
        self.assertEqual((wide["precision"], narrow["precision"]), ("f32", "bf16"))
        # Operations are those of its own plan, where attention is a call: fewer scores, but one product more backward.
        counts = [stage["steps"][0]["flops"]["sum"] for stage in (wide, narrow)]
        for phase in ("forward", "backward"):
            self.assertNotEqual(counts[0][phase], counts[1][phase])
            self.assertAlmostEqual(counts[1][phase] / counts[0][phase], 1, delta=0.1)
        for stage in (wide, narrow):
            for counted in (*stage["steps"], *stage["functions"]):
                for key in ("flops", "products", "others"):
                    counted.pop(key, None)
        self.assertEqual(wide | {"precision": "bf16"}, narrow | {"fits": wide["fits"]})
        table = plans.run(plans.VCC, "plan", CONNECT, "-D", "numerics=bf16", "--device", "a100-40gb")
        self.assertIn('stage 2 "connect", bf16, 10,000 steps', table)
        needed = re.compile(r"bf16 fits: (2\d\.\d\d) GiB of 40\.00 GiB")
        self.assertRegex(table, needed)
        split = plans.run(plans.VCC, "plan", CONNECT, "-D", "numerics=bf16", "--device", "a100-40gb", "--attention=split")
        self.assertRegex(split, needed)
        self.assertGreater(float(needed.search(split)[1]), float(needed.search(table)[1]) + 4)  # with the scores in memory
        ended = programs.run(plans.VCC, "compile", CONNECT, "-D", "numerics=bf16", "--emit=graph")
        self.assertEqual((ended.code, ended.out), (2, ""))
        self.assertIn("error[V0307]: precision `bf16` is not supported on the CPU", ended.err)

    def test_define(self):
        [stage] = report(CONNECT, "-D", 'size="tiny"')["stages"]
        self.assertLess(stage["parameters"], 500_000_000)


class VideoChat2(unittest.TestCase):
    """The recipes at the sizes of the real system: trained weights as published, each stage counted in seconds."""
    WANTED = {"vicuna": {1: 183_958_846, 2: 395_301_376, 3: 484_212_480}, "mistral": {3: 518_344_448}}

    def test_trainable(self):
        for name, wanted in self.WANTED.items():
            recipe = plans.TOP / "examples" / "videochat2" / f"videochat2_{name}.vcs"
            began = seconds_used()
            only = ["--stage", str(*wanted)] if len(wanted) == 1 else []
            stages = {stage["number"]: stage for stage in report(recipe, "--count", "32", *only)["stages"]}
            self.assertEqual(list(stages), list(wanted))
            self.assertLess(seconds_used() - began, 20 * len(stages))  # each in two precisions
            for number, trainable in wanted.items():
                with self.subTest(name, stage=number):
                    self.assertEqual(stages[number]["trainable"], trainable)
                    self.assertEqual(stages[number]["memory"]["f32"]["gradients"], 4 * trainable)
                    self.assertEqual({f["variant"] for f in stages[number]["functions"] if f["role"] == "micro"}, {"image", "video"})


class Program(unittest.TestCase):
    """What the compiled program says and does."""

    @classmethod
    def setUpClass(cls):
        cls.program = programs.compiled("words")
        cls.stages = {stage["name"]: stage for stage in report(WORDS, "--device", "cpu")["stages"]}

    def test_listing(self):
        listing = programs.succeed(self.program)
        told = dict(re.findall(r"(?s)stage (?:\d+ )?([\w.-]+): .*?memory  ([\d.]+) MB", listing))
        self.assertEqual(list(told), list(self.stages))
        for name, text in told.items():
            memory = self.stages[name]["memory"]["f32"]
            self.assertAlmostEqual(float(text), (memory["sum"] - memory["constants"]) / 1e6, delta=0.051)

    def test_no_step_is_faster(self):
        name, stage = next(iter(self.stages.items()))
        with tempfile.TemporaryDirectory() as folder:
            data, out = programs.words_data(pathlib.Path(folder) / "data"), pathlib.Path(folder) / "out"
            programs.succeed(self.program, "--stage", name, "--data", data, "--out", out, seconds=120)
            times = [step["seconds"] for step in programs.steps_of(out, name)]
        self.assertGreater(len(times), 0)
        self.assertGreater(min(times), stage["steps"][0]["seconds"]["f32"]["arithmetic"])
        self.assertNotIn("bf16", stage["steps"][0]["seconds"])


class Progress(unittest.TestCase):
    """Who watches sees which stage is being planned; what is left on the terminal in the end is what was meant to stay."""

    def watched(self, *command):
        terminal, end = pty.openpty()
        with subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=end) as process:
            os.close(end)
            text = b""
            while True:
                try:
                    read = os.read(terminal, 4096)
                except OSError:  # the other end is closed
                    break
                if not read:
                    break
                text += read
        os.close(terminal)
        self.assertEqual(process.returncode, 0, text)
        return text.decode()

    def left(self, text):
        """The lines as a terminal shows them in the end."""
        lines = []
        for line in text.replace("\r\n", "\n").split("\n"):
            cells = ""
            for part in line.split("\r"):
                cells = part + cells[len(part):]
            lines.append(cells.rstrip())
        return lines

    def test_plan(self):
        text = self.watched(plans.VCC, "plan", plans.TINY, "--count", "2")
        names = [stage["name"] for stage in report(plans.TINY)["stages"]]
        told = [f"stage `{name}` ({number} of {len(names)}){form}" for form in ("", ", in two bytes") for number, name in enumerate(names, 1)]
        places = [text.find(words) for words in told]
        self.assertEqual(places, sorted(places), text)
        self.assertGreaterEqual(places[0], 0)
        left = self.left(text)
        self.assertEqual(left.pop(), "")
        self.assertTrue(left and all(line.startswith("warning: stage") for line in left), left)

    def test_compile(self):
        text = self.watched(plans.VCC, "compile", WORDS, "--emit=asm", "--stage", "2")
        self.assertIn("stage `tune`\r", text)
        self.assertEqual(self.left(text), [""])

    def test_nobody_watches(self):
        self.assertEqual(programs.run(plans.VCC, "plan", WORDS).err, "")


class Wrong(unittest.TestCase):
    def test_device(self):
        ended = fails(plans.TINY, "--device", "h20")
        self.assertEqual(ended.code, 1)
        self.assertIn("no device `h20`; did you mean `h200`?", ended.err)
        self.assertIn("a100-80gb", ended.err)
        self.assertIn("no device `A100`; did you mean `a100-80gb`?", fails(plans.TINY, "--device", "A100").err)

    def test_a_stage_that_the_cpu_cannot_compute_is_told_of(self):
        self.assertEqual(programs.run(plans.VCC, "plan", WORDS, "--device", "cpu", "--stage", "1").err, "")
        for precision in ("bf16", "tf32"):
            ended = programs.run(plans.VCC, "plan", plans.TINY, "-D", f"numerics={precision}", "--device", "cpu", "--stage", "language")
            self.assertEqual((ended.code, ended.err), (0, f"warning: stage `language` says `precision {precision}`, which no program for the CPU "
                                                          "computes in: `vcc compile` refuses it (V0307)\n"))
        self.assertEqual(programs.run(plans.VCC, "plan", plans.TINY, "-D", "numerics=bf16", "--stage", "language").err, "")

    def test_stage(self):
        ended = fails(plans.TINY, "--stage", "4")
        self.assertEqual(ended.code, 1)
        self.assertIn("the recipe has no stage `4`", ended.err)

    def test_count_that_the_program_refuses(self):
        ended = programs.run(plans.VCC, "plan", plans.TINY, "--stage", "3", "--count", "8")
        quiet = programs.run(plans.VCC, "plan", plans.TINY, "--stage", "3")
        self.assertIn("stage `instruct` is compiled for one rank, and its program refuses 8: say `parallel { shard: none }`", ended.err)
        self.assertEqual(quiet.err, "")

    def test_count(self):
        self.assertEqual(fails(plans.TINY, "--count", "0").code, 1)

    def test_recipe(self):
        self.assertEqual(fails("nowhere.vcs").code, 2)
        ended = fails(CONNECT, "-D", "sise=1")
        self.assertEqual((ended.code, ended.out), (2, ""))
        self.assertIn("size", ended.err)


if __name__ == "__main__":
    unittest.main()
