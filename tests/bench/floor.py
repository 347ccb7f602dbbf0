# SPDX-License-Identifier: Apache-2.0
"""The least time that a step can take at the rates measured in the same run; README.md has the formulas."""
import json
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FOOTPRINTS = [1 << 16, 1 << 19, 1 << 22, 1 << 25, 1 << 28]


class Rates:
    """The best rates seen so far, by number of threads; each measurement can only raise them."""

    def __init__(self, folder):
        self.program = folder / "rates"
        subprocess.run(["g++", "-O3", "-march=native", "-fopenmp", "-std=c++20", HERE / "rates.cpp", "-ldnnl", "-o", self.program], check=True)
        self.products, self.memory = {}, {}

    def _ask(self, threads, kind, words, environment):
        output = subprocess.run([self.program, str(threads), kind, *map(str, words)], capture_output=True, text=True, check=True, env=environment)
        return json.loads(output.stdout)

    def measure(self, shapes, threads, twin, environment):
        for shape, rate in self._ask(threads, "products", shapes, environment).items():
            self._raise(self.products, (threads, shape), rate)
        for shape, rate in twin.ask("rates", *shapes)["rates"].items():
            self._raise(self.products, (threads, shape), rate * 1e9)
        for footprint, rate in self._ask(threads, "memory", FOOTPRINTS, environment).items():
            self._raise(self.memory, (threads, int(footprint)), rate)

    @staticmethod
    def _raise(known, key, rate):
        known[key] = max(known.get(key, 0.0), rate)

    def memory_rate(self, threads, footprint):
        """Of the smallest measured footprint that is as large; a larger one may not be faster than a smaller one."""
        return max(self.memory[threads, size] for size in FOOTPRINTS if size >= min(footprint, FOOTPRINTS[-1]))


def llama_layer(width, hidden, kv):
    """Elements per token and layer that generated code must move, forward and backward."""
    rotary = 2 * (width + kv)
    return 8 * width + 3 * hidden + rotary, 10 * width + 5 * hidden + rotary


def vit_layer(width, hidden):
    return 8 * width + 2 * hidden, 10 * width + 3 * hidden


def bert_layer(width, hidden, branches):
    return 3 * width * branches + 2 * hidden, 4 * width * branches + 3 * hidden


def groups_of(workload):
    """(elements, elements of one group's arrays) of all that is not a product, an attention or the update."""
    if workload.case == "llama":
        s, tokens = workload.sizes, workload.tokens
        layer = sum(llama_layer(s["width"], s["hidden"], s["width"]))
        return [(tokens * s["depth"] * layer, tokens * s["width"] * 3), (tokens * (4 + 5) * s["width"], tokens * s["width"] * 3),
                (tokens * 2 * s["vocab"], tokens * s["vocab"])]
    shape = lambda name: workload.shapes[f"input/0/{name}"]
    clips, frames, _, height, columns = shape("clip.pixels")
    patches = clips * frames // 2 * (height // 16) * (columns // 16)
    forward, backward = vit_layer(64, 256)
    frozen = workload.stage == "align"
    vision = patches * (3 * (forward + (0 if frozen else backward)) + 64 * 5 + 2 * 3 * 2 * 256)  # blocks, last norm, pixels to boxes
    groups = [(vision, patches * 64 * 3)]
    # Two of four layers also attend to the encoder.
    queries = clips * 8 * (2 * sum(bert_layer(64, 256, 3)) + 2 * sum(bert_layer(64, 256, 2)))
    text = {"align": "caption", "connect": None, "instruct": "question"}[workload.stage]
    words = clips * shape(f"{text}.ids")[1] * 4 * sum(bert_layer(64, 256, 2)) if text else 0
    # `align`: queries alone and in three pairs; text alone, written, and in three pairs.
    queries, words = (4 * queries, 5 * words) if text == "caption" else (queries, words)
    groups.append((queries + words, clips * 8 * 64 * 3))
    if text == "caption":
        groups.append((clips * shape("caption.ids")[1] * 2 * 96, clips * shape("caption.ids")[1] * 96))
    else:
        tokens = clips * shape("dialogue.ids")[1]
        groups.append((tokens * (3 * sum(llama_layer(96, 256, 48)) + 9 * 96 + 2 * 256), tokens * 96 * 3))
    return groups


def of(workload, products, rates, threads):
    seconds = operations = 0.0
    for shape, count in products["shapes"].items():
        m, n, k, batch = map(int, shape.split(","))
        operations += 2.0 * count * batch * m * n * k
        seconds += 2.0 * count * batch * m * n * k / rates.products[threads, shape]
    best = max(rates.products[threads, shape] for shape in products["shapes"])
    attention = sum(count for name, count in products["operations"].items() if "attention" in name)
    elementwise = sum(4 * elements / rates.memory_rate(threads, 4 * group) for elements, group in groups_of(workload))
    update = 28 * workload.elements / rates.memory_rate(threads, 16 * workload.elements)
    parts = {"products_ms": seconds, "attention_ms": attention / best, "update_ms": update, "elementwise_ms": elementwise}
    parts = {name: 1e3 * value for name, value in parts.items()}
    return {"total_ms": sum(parts.values()), **parts, "products_gflop": operations / 1e9, "attention_gflop": attention / 1e9,
            "memory_gbs": {str(size): rates.memory[threads, size] / 1e9 for size in FOOTPRINTS},
            "products_gfs": {shape: rates.products[threads, shape] / 1e9 for shape in products["shapes"]}}
