# SPDX-License-Identifier: Apache-2.0
"""Losses, gradients and updates of compiled stages against PyTorch, Transformers and PEFT. Weights go in as safetensors files,
everything else comes out of `--dump`; values are fresh random ones each run, the seed is printed."""
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

import twins

HERE = pathlib.Path(__file__).resolve().parent
VCC = HERE.parents[1] / "build" / "bin" / "vcc"
SEED = int(os.environ.get("VCC_TEST_SEED", random.SystemRandom().randrange(1 << 30)))
WORDS = ["red", "green", "blue", "cat", "dog", "runs", "sits", "jumps", "high", "low", "the", "a", "over", "under"]
LLAMA = dict(vocab=64, width=40, depth=2, heads=4, kv_heads=2, hidden=96, eps=1e-5)


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
        records.append({"image": f"{number}.png", "caption": sentence(), "label": "abc"[number % 3]})
    (folder / "pictures.json").write_text(json.dumps(records))


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

    def leaves(self, prefix=""):
        """The weights as leaf tensors; those that the stage trains want gradients."""
        return {path: value.clone().requires_grad_(path in self.gradient)
                for path, value in self.before.items() if path.startswith(prefix)}


class Parity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED} (VCC_TEST_SEED)", flush=True)
        torch.manual_seed(SEED)
        torch.set_num_threads(2)
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)
        make_data(cls.folder, random.Random(SEED))
        cls.program = cls.folder / "train.bin"
        run(VCC, "compile", HERE / "recipes" / "parity.vcs", "-o", cls.program)
        cls.manifest = {stage["name"]: stage for stage in json.loads(run(cls.program, "--manifest"))["stages"]}

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def steps(self, stage, count=1):
        """Random weights for the stage, then `count` of its steps, dumped."""
        weights = {}
        for state in self.manifest[stage]["states"]:
            if state["kind"] == "weight" and ":" not in state["path"]:
                norm = "norm" in state["path"].lower() and state["path"].endswith(".weight")
                weights[state["path"]] = torch.randn(state["shape"]) * (0.1 if norm else 0.3) + (1.0 if norm else 0.0)
        save_file(weights, self.folder / f"{stage}.safetensors")
        run(self.program, "--stage", stage, "--data", self.folder, "--weights", self.folder, "--out", self.folder / "out",
            "--seed", SEED, "--dump", ",".join(str(step) for step in range(count)))
        return [Step(self.folder / "out" / stage / "dump" / f"step-{step:06}.safetensors") for step in range(count)]

    def close(self, ours, theirs, relative, name):
        difference, size = (ours.double() - theirs.double()).norm(), theirs.double().norm()
        self.assertLessEqual(float(difference), relative * float(size) + 1e-12, f"{name} (seed {SEED})")

    def compare(self, step, term, loss, leaves, relative=1e-4):
        self.close(step.output[term], loss.detach(), 1e-5, term)
        largest = max(float(leaf.grad.norm()) for path, leaf in leaves.items() if path in step.gradient)
        for path, gradient in step.gradient.items():
            theirs = leaves[path].grad
            slack = relative * float(theirs.norm()) + 1e-6 * largest
            self.assertLessEqual(float((gradient - theirs).norm()), slack, f"gradient of {path} (seed {SEED})")

    def test_llama_with_grouped_heads_and_three_adamw_steps(self):
        steps = self.steps("llama", 3)
        twin = twins.Llama(LLAMA)
        twin.load(steps[0].before)
        matrices = [p for p in twin.parameters.values() if p.dim() >= 2]
        vectors = [p for p in twin.parameters.values() if p.dim() < 2]
        optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                                      lr=1e-2, betas=(0.9, 0.95), eps=1e-8)
        for number, step in enumerate(steps):
            logits = twin.model(input_ids=step.inputs["text.ids"].long(),
                                attention_mask=self.mask(step.inputs, "text")).logits
            loss = twins.shifted_cross_entropy(logits, step.inputs["text.labels"], step.inputs["text.supervised"], 0.1)
            optimizer.zero_grad()
            loss.backward()
            self.close(step.output["loss"], loss.detach(), 2e-5, f"loss of step {number}")
            norm = torch.nn.utils.clip_grad_norm_(twin.parameters.values(), 0.5)
            self.close(step.output["grad_norm"], norm.detach(), 1e-4, f"gradient norm of step {number}")
            for group in optimizer.param_groups:
                group["lr"] = 1e-2 * min(1.0, number / 2)
            optimizer.step()
            for path, after in step.after.items():
                self.close(after, twin.parameters[path].detach(), 1e-4, f"{path} after step {number}")

    @staticmethod
    def mask(inputs, field):
        ids = inputs[f"{field}.ids"]
        return (torch.arange(ids.shape[1])[None] < inputs[f"{field}.length"][:, None]).long()

    def test_lora(self):
        step, = self.steps("lora")
        twin = twins.Llama(LLAMA, lora=dict(rank=4, alpha=8, targets=["q_proj", "v_proj"]))
        twin.load(step.before)
        loss = twin.loss(step.inputs, "text")
        loss.backward()
        self.assertEqual({path.split(".")[0] for path in step.gradient}, {"adapter"})
        self.compare(step, "loss", loss, twin.parameters)

    def test_vision_transformer_block(self):
        step, = self.steps("vision")
        leaves = step.leaves()
        tokens = twins.vision_transformer(step.inputs["clip.pixels"], twins.below(leaves, "vision."), patch=16, tubelet=1,
                                          heads=4, depth=1, mean=0.4, std=0.25)
        logits = twins.linear(tokens.mean(1), leaves, "classes.out")
        loss = torch.nn.functional.cross_entropy(logits, step.inputs["label"].long())
        loss.backward()
        self.compare(step, "loss", loss, leaves)

    def test_qformer_without_text_with_text_and_writing(self):
        step, = self.steps("bridge")
        leaves = step.leaves()
        memory = twins.vision_transformer(step.inputs["clip.pixels"], twins.below(leaves, "vision."), patch=16, tubelet=1,
                                          heads=4, depth=1, mean=0.4, std=0.25)
        former = twins.QFormer(twins.below(leaves, "bridge."), depth=2, heads=4)
        label, ids, length = (step.inputs[name] for name in ("label", "caption.ids", "caption.length"))

        def classify(queries):
            return torch.nn.functional.cross_entropy(twins.linear(queries.mean(1), leaves, "reader.out"), label.long())
        outputs, cache = former.read(memory)
        read, fused = classify(outputs), classify(former.fuse(memory, ids, length))
        logits = former.write(ids, length, cache, decode_id=4)
        caption = twins.shifted_cross_entropy(logits, step.inputs["caption.labels"], step.inputs["caption.supervised"], 0.1)
        for term, value in (("loss.read", read), ("loss.fused", 0.5 * fused), ("loss.caption", caption)):
            self.close(step.output[term], value.detach(), 1e-5, term)
        loss = read + 0.5 * fused + caption
        loss.backward()
        self.compare(step, "loss", loss, leaves)


if __name__ == "__main__":
    unittest.main()
