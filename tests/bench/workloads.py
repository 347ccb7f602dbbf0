# SPDX-License-Identifier: Apache-2.0
"""What is compared: the Llama at three sizes and the stages of the tiny video recipe. Each workload compiles its program,
lays out weights and data, and dumps the batches that both sides are given."""
import json
import pathlib
import random
import re
import shutil
import sys
import time

import numpy
import sentencepiece
from safetensors import safe_open
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
sys.path.insert(0, str(TOP / "tests"))
import programs  # noqa: E402

STEPS = 20  # whose losses must agree before any time counts
SEED = 1
TINY = TOP / "examples" / "tiny_videochat2"


def call(*command, seconds=900):
    return programs.succeed(*command, memory=12 << 30, seconds=seconds)


def compiled(recipe, program, *options):
    """Compiles and says how many seconds that took."""
    start = time.perf_counter()
    call(programs.VCC, "compile", recipe, "-o", program, *options)
    return time.perf_counter() - start


class Workload:
    """After `prepare`: program, stage, arguments, sizes, job (what the twins are told), elements (of the trained weights)."""

    arguments = ()

    def dump_arguments(self):
        return ["--seed", SEED, "--dump", ",".join(str(step) for step in range(STEPS)), "--max-steps", STEPS]

    def batches(self, out):
        return [str(pathlib.Path(out) / self.stage / "dump" / f"step-{step:06}.safetensors") for step in range(STEPS)]

    def fresh_out(self, name):
        """A folder for one of our runs."""
        out = self.folder / name
        out.mkdir()
        return out


class Llama(Workload):
    twins = ["eager", "eager-fused", "compile", "compile-all", "compile-cpp"]
    stage = "train"
    case = "llama"

    def __init__(self, name, **sizes):
        self.name, self.sizes = name, sizes

    def prepare(self, folder):
        self.folder = folder
        texts = random.Random(SEED)
        syllables = ["ba", "co", "di", "fu", "ge", "ha", "li", "mo", "nu", "pe", "ra", "si", "to", "vu", "we", "zo"]
        words = ["".join(texts.choice(syllables) for _ in range(texts.randint(1, 2))) for _ in range(2000)]
        # A word has one piece and seldom more, so that every row is full and little is tokenised in vain.
        lines = [" ".join(texts.choice(words) for _ in range(self.sizes["tokens"])) for _ in range(4000)]
        (folder / "texts.json").write_text(json.dumps([{"text": line} for line in lines]))
        (folder / "corpus.txt").write_text("\n".join(lines[:400]))
        sentencepiece.SentencePieceTrainer.train(input=str(folder / "corpus.txt"), model_prefix=str(folder / "lm"), vocab_size=512,
                                                 model_type="bpe", minloglevel=2)
        self.program = folder / "train.bin"
        self.compile_seconds = self.compile(self.program, self.sizes)
        shapes = self.save_weights(self.program, folder / "start.safetensors")
        self.trained, self.elements = sorted(shapes), sum(int(numpy.prod(shape)) for shape in shapes.values())
        self.arguments = ["--data", folder, "--weights", folder, "--seed", SEED]
        # A dump holds weights and moments too, so the batches come from a narrow model: they depend on the seed alone.
        narrow, weights = folder / "narrow.bin", folder / "narrow"
        weights.mkdir()
        self.compile(narrow, {**self.sizes, "width": 16, "depth": 1, "heads": 1, "hidden": 16, "vocab": 512})
        self.save_weights(narrow, weights / "start.safetensors")
        call(narrow, "--stage", self.stage, "--data", folder, "--weights", weights, "--out", weights / "out", *self.dump_arguments())
        for batch in self.batches(weights / "out"):
            with safe_open(batch, "np") as step:
                assert int(step.get_tensor("input/0/text.length").min()) == self.sizes["tokens"], "a row is not full: it would need a mask"
        self.job = {"case": self.case, "sizes": {**self.sizes, "kv_heads": self.sizes["heads"], "eps": 1e-5},
                    "weights": str(folder / "start.safetensors"), "batches": self.batches(weights / "out"), "trained": self.trained,
                    "rate": 1e-3, "rates": {}, "decay": 0.1, "betas": [0.9, 0.95], "clip": 0.0, "warmup": 0, "steps": STEPS}

    def compile(self, program, sizes):
        options = [word for name, value in sizes.items() for word in ("-D", f"{name}={value}")]
        return compiled(HERE / "recipes" / "llama.vcs", program, *options)

    def save_weights(self, program, path):
        stage, = json.loads(call(program, "--manifest"))["stages"]
        shapes = {state["path"]: state["shape"] for state in stage["states"] if state["kind"] == "weight" and ":" not in state["path"]}
        values = numpy.random.default_rng(SEED)
        save_file({path: values.normal(1.0 if len(shape) == 1 else 0.0, 0.02, shape).astype(numpy.float32)
                   for path, shape in shapes.items()}, path)
        return shapes

    @property
    def tokens(self):
        return self.sizes["rows"] * self.sizes["tokens"]


def few_clips(data, few):
    """The same data with the records of so few clips that the recipe's cache holds them all before anything is timed: a
    twin is given its batches, and decoding beside our steps would be timed with them."""
    few.mkdir()
    for name in ("clips", "lm.model", "vocab.txt", "texts.json", "held_captions.json", "held_retrieval.json", "held_matching.json",
                 "held_qa.json", "in_qa.json"):
        (few / name).symlink_to(data / name)
    clips = json.loads((data / "clips.json").read_text())[:256]
    known = {record["video"] for record in clips}
    (few / "clips.json").write_text(json.dumps(clips))
    questions = json.loads((data / "train_qa.json").read_text())
    (few / "train_qa.json").write_text(json.dumps([record for record in questions if record["video"] in known][:512]))
    return few


class TinyStage(Workload):
    """A stage of examples/tiny_videochat2 as it is written, but for its length: a round needs more steps than it has. What
    it starts from has been trained for some steps only, which changes values and no work."""
    twins = ["eager", "eager-fused", "peft", "compile", "compile-all", "compile-cpp", "peft-compile"]

    def __init__(self, name, before, rate, rates=None, warmup=0):
        self.name = self.stage = self.case = name
        self.before, self.rate, self.rates, self.warmup = before, rate, rates or {}, warmup

    def prepare(self, folder):
        self.folder = folder
        data = TINY / "out" / "data"
        if not (data / "complete.json").exists():
            data = folder.parent / "tiny-data"
        call("/usr/bin/python3", TINY / "make_data.py", "--out", data)  # nothing, where these very data are complete
        data = few_clips(data, folder / "data")
        text, changed = re.subn(r"(schedule cosine \{ steps: )\d+", r"\g<1>1000000", (TINY / "tiny_videochat2.vcs").read_text())
        assert changed == 5, "the tiny recipe's schedules have changed"
        recipe = folder / "tiny_videochat2.vcs"
        recipe.write_text(text)
        self.program = folder / "train.bin"
        self.compile_seconds = compiled(recipe, self.program)
        out = folder / "before"
        for stage in self.before:
            call(self.program, "--stage", stage, "--data", data, "--out", out, "--seed", SEED, "--max-steps", 30)
        self.arguments = ["--data", data, "--seed", SEED]
        self.start = out
        call(self.program, "--stage", self.stage, "--out", self.fresh_out("dumped"), *self.arguments, *self.dump_arguments())
        first = folder / "dumped" / self.stage / "dump" / "step-000000.safetensors"
        with safe_open(first, "np") as step:
            names = list(step.keys())
            before = {name.split("/", 1)[1]: step.get_tensor(name) for name in names if name.startswith("before/")}
            save_file(before, folder / "start.safetensors")
            self.shapes = {name: list(step.get_slice(name).get_shape()) for name in names if name.startswith("input/0/")}
        self.trained = sorted(name.split("/", 1)[1] for name in names if name.startswith("gradient/"))
        self.elements = sum(before[path].size for path in self.trained)
        lm = {"vocab": 256, "width": 96, "depth": 3, "heads": 4, "kv_heads": 2, "hidden": 256, "eps": 1e-6, "tokens": 256}
        sizes = {"lm": lm} if "lm.lm_head.weight" in before else {}
        if self.stage == "instruct":
            sizes["lora"] = {"rank": 8, "alpha": 16, "targets": ["q_proj", "v_proj"]}
        self.job = {"case": self.case, "sizes": sizes, "weights": str(folder / "start.safetensors"), "batches": self.batches(folder / "dumped"),
                    "trained": self.trained, "rate": self.rate, "rates": self.rates, "decay": 0.02, "betas": [0.9, 0.98], "clip": 1.0,
                    "warmup": self.warmup, "steps": STEPS}

    def fresh_out(self, name):
        out = self.folder / name
        shutil.copytree(self.start, out)
        return out


WORKLOADS = [
    Llama("d64", width=64, depth=2, heads=4, hidden=172, vocab=512, rows=4, tokens=64),
    Llama("d256", width=256, depth=4, heads=4, hidden=688, vocab=8000, rows=4, tokens=128),
    Llama("d512", width=512, depth=6, heads=8, hidden=1376, vocab=32000, rows=4, tokens=128),
    TinyStage("align", ["language", "encoder"], 2e-3, warmup=40),
    TinyStage("connect", ["language", "encoder", "align"], 2e-3, {"vision.": 4e-4}, warmup=20),
    TinyStage("instruct", ["language", "encoder", "align", "connect"], 7e-4, {"vision.": 1.4e-4}, warmup=30),
]
