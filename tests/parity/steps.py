# SPDX-License-Identifier: Apache-2.0
"""Dumped steps of a recipe's stages, and how they are compared with a twin's. Weights go in as safetensors files, everything else
comes out of `--dump`; values are fresh random ones each run, the seed is printed."""
import json
import os
import pathlib
import random
import struct
import subprocess
import tempfile
import unittest
import zlib

import sentencepiece
import torch
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
VCC = pathlib.Path(os.environ.get("VCC_BUILD", HERE.parents[1] / "build")) / "bin" / "vcc"
SEED = int(os.environ.get("VCC_TEST_SEED", random.SystemRandom().randrange(1 << 30)))
WORDS = ["red", "green", "blue", "cat", "dog", "runs", "sits", "jumps", "high", "low", "the", "a", "over", "under"]


def run(*command):
    finished = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if finished.returncode:
        raise AssertionError(f"{' '.join(str(w) for w in command)}: exit {finished.returncode}\n"
                             f"{finished.stdout[-2000:]}{finished.stderr[-4000:]}")
    return finished.stdout


def write_png(path, pixels, size):
    """Pixels: size * size * 3 bytes, row by row."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + pixels[y * size * 3:(y + 1) * size * 3] for y in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_data(folder, generator):
    """Sentences, pictures with captions, and both tokenizers."""
    def sentence():
        return " ".join(generator.choice(WORDS) for _ in range(generator.randint(2, 9)))
    texts = [sentence() for _ in range(200)]
    (folder / "texts.json").write_text(json.dumps([{"text": text} for text in texts]))
    (folder / "corpus.txt").write_text("\n".join(texts))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"), model_prefix=str(folder / "lm"), vocab_size=64, hard_vocab_limit=True,
        model_type="bpe", minloglevel=2)
    letters = sorted(set("".join(WORDS)))
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[DEC]", *WORDS]
    vocabulary += [f"##{letter}" for letter in letters]
    vocabulary += [f"[unused{number}]" for number in range(40 - len(vocabulary))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "pictures").mkdir()
    records = []
    for number in range(12):
        write_png(folder / "pictures" / f"{number}.png", generator.randbytes(32 * 32 * 3), 32)
        records.append({"image": f"{number}.png", "caption": sentence(), "label": "abc"[number % 3], "same": "a"})
    (folder / "pictures.json").write_text(json.dumps(records))


def summed(path, before):
    """The size of what a gradient is the sum of, where it may cancel out. The temperature's adds up likenesses, of 1 at most, times differences of
    shares, whose sizes add up to 2 at most, over its square."""
    return 2 / float(before[path]) ** 2 if path == "heads.temp" else 0.0


class Step:
    """One dumped step, by kind and name."""

    def __init__(self, path):
        self.kinds = {}
        for key, value in load_file(path).items():
            kind, name = key.split("/", 1)
            self.kinds.setdefault(kind, {})[name] = value
        self.before, self.after = self.kinds["before"], self.kinds["after"]
        self.gradient, self.output = self.kinds["gradient"], self.kinds["output"]
        self.inputs = {name.split("/", 1)[1]: value for name, value in self.kinds["input"].items()}

    def leaves(self, prefix="", dtype=torch.float32):
        """The weights as leaf tensors; those that the stage trains want gradients."""
        return {path: value.to(dtype, copy=True).requires_grad_(path in self.gradient)
                for path, value in self.before.items() if path.startswith(prefix)}


class Case(unittest.TestCase):
    """Compiles `recipe` once. Every stage of it starts all weights from a file of the stage's name."""

    recipe = None
    options = ()
    make_data = staticmethod(make_data)

    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED} (VCC_TEST_SEED)", flush=True)
        torch.manual_seed(SEED)
        torch.set_num_threads(2)
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        cls.make_data(cls.folder, random.Random(SEED))
        cls.program = cls.folder / "train.bin"
        run(VCC, "compile", HERE / "recipes" / cls.recipe, "-o", cls.program, *cls.options)
        cls.manifest = {stage["name"]: stage for stage in json.loads(run(cls.program, "--manifest"))["stages"]}

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def start(self, path, shape):
        """A random value for a weight."""
        norm = "norm" in path.lower() and path.endswith(".weight")
        return torch.randn(shape) * (0.1 if norm else 0.3) + (1.0 if norm else 0.0)

    def make_weights(self, stage):
        """The stage's file, and what it holds."""
        made = {}
        for state in self.manifest[stage]["states"]:
            if state["kind"] == "weight" and ":" not in state["path"]:
                made[state["path"]] = self.start(state["path"], state["shape"])
        save_file(made, self.folder / f"{stage}.safetensors")
        return made

    def steps(self, stage, count=1, weights=None):
        """Random weights for the stage (those that a stage before it had, where `weights` names one), then `count` of its steps, dumped."""
        if not weights:
            self.make_weights(stage)
        run(self.program, "--stage", stage, "--data", self.folder, "--weights", self.folder, "--out", self.folder / "out",
            "--seed", SEED, "--dump", ",".join(str(step) for step in range(count)))
        return [Step(self.folder / "out" / stage / "dump" / f"step-{step:06}.safetensors") for step in range(count)]

    def close(self, ours, theirs, relative, name):
        difference, size = (ours.double() - theirs.double()).norm(), theirs.double().norm()
        self.assertLessEqual(float(difference), relative * float(size) + 1e-12, f"{name} (seed {SEED})")

    def compare(self, step, term, loss, leaves, relative=1e-4, share=1e-6):
        """`share`: what a gradient may be off in any case, as a share of the largest (a key bias has a true gradient of zero)."""
        self.close(step.output[term], loss.detach(), 1e-5, term)
        largest = max(float(leaf.grad.norm()) for path, leaf in leaves.items() if path in step.gradient)
        for path, gradient in step.gradient.items():
            theirs = leaves[path].grad
            slack = relative * float(theirs.norm()) + share * largest + 1e-5 * summed(path, step.before)
            self.assertLessEqual(float((gradient - theirs).norm()), slack, f"gradient of {path} (seed {SEED})")
