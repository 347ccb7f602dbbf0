# SPDX-License-Identifier: Apache-2.0
"""The quality of plans, from their text alone: peaks against the largest sum of live bytes, what is kept for the backward
and what generated kernels move against the least that a step can do with, and launches per layer.

Notation: d the width, f the width inside Llama's MLP, e that of its keys and values (d where every head has its own), all in
elements of 4 bytes. The transformers' own feed-forward parts are 4 d wide. Products and attention are library calls: their
operands and results are whole tensors, biases and residuals are added inside them."""
import re
import unittest

import plans
import traffic

WORD = 4
TOWERS = plans.RECIPES / "towers.vcs"


def of_stage(text, stage):
    return traffic.Traffic(plans.plans(text)[stage])


def rows_of(found, weight):
    """Tokens of a product by a weight: the m of its launch."""
    [launch] = [l for l, p in zip(found.launches, found.phases) if p == "forward" and l.kind == "gemm" and weight in l.reads]
    return int(re.search(r" m (\d+)", launch.text)[1])


def kept_by_layer(found, part):
    """Bytes kept of each layer. What an adapter keeps counts for the layer that it is at."""
    sums = {layer: 0 for name, layer in found.parts() if name == part}
    for buffer, of in found.kept():
        if of and of[0] in (part, "adapter"):
            sums[of[1]] += buffer.size
    return sums


def work_by_layer(found, part):
    """(launches, bytes moved) of the generated kernels of each layer, adapters included."""
    sums = {layer: [0, 0] for name, layer in found.parts() if name == part}
    for launch, of in zip(found.launches, found.layers):
        if of and of[0] in (part, "adapter") and found.generated(launch):
            sums[of[1]][0] += 1
            sums[of[1]][1] += found.moved(launch) * WORD
    return sums


# The least that a layer keeps, in elements.

def llama_keeps(d, e, f):
    """Per token: the block's input and the sum behind its attention, which both norms compute again from (2 d); q and what
    attention gives (2 d), k and v (2 e), for the gradient of attention; gate and up (2 f). The norms' outputs and the MLP's
    product are computed again where a gradient needs them."""
    return 4 * d + 2 * e + 2 * f


def vit_keeps(d):
    """Per token: the inputs of both norms (2 d), q, k, v and what attention gives (4 d), what GELU is applied to (4 d)."""
    return 10 * d


def qformer_keeps(d, queries, text, memory, cross, finish=True):
    """Norms come after the branches: what they normalise is kept (d). Self-attention of all tokens: q, k, v, its output and that
    sum (5 d). Cross-attention: q, output and sum of the queries (3 d), keys and values of the memory (2 d). A feed-forward part:
    what GELU is applied to and the sum (5 d). The rows of queries and text are parted before the feed-forward parts and joined
    behind them; both are tensors of their own, which the gradients of the weights that read them need (2 d)."""
    tokens = queries + text
    rest = tokens if finish else queries
    return d * (5 * tokens + (3 * queries + 2 * memory if cross else 0) + 7 * rest)


# The least that a layer's generated kernels move, in elements (performance figures for bandwidth-bound kernels, in f32).

def llama_moves(d, e, f):
    """Per token. A norm reads and writes a row (2 d), twice; RoPE reads and writes q and k (2 d + 2 e); SwiGLU reads two rows
    and writes one (3 f). Backwards a norm reads its input, the gradient and the residual's gradient and writes one (4 d), twice;
    RoPE as before; SwiGLU reads three and writes two (5 f)."""
    return (4 * d + 2 * d + 2 * e + 3 * f) + (8 * d + 2 * d + 2 * e + 5 * f)


def vit_moves(d):
    """Per token. Two norms (4 d); the joint product is cut into q, k and v, biases added (6 d); GELU (8 d). Backwards: two norms
    (8 d), q, k and v joined again (6 d), GELU (12 d)."""
    return 44 * d


def qformer_moves(d, queries, text, memory, cross, finish=True):
    """A norm after a branch reads and writes a row (2 d); backwards it reads two rows and writes one (3 d). GELU 8 d and 12 d.
    The gradients of attention's biases read q's, k's and v's gradients (d each). Queries and text are parted once (2 d each way)
    in a layer whose text goes on."""
    tokens = queries + text
    feed = 25 * (tokens if finish else queries)
    return d * ((5 + 3 + (4 if finish else 0)) * tokens + ((5 + 1) * queries + 2 * memory if cross else 0) + feed)


class Deep(unittest.TestCase):
    """Towers of 12 layers, 512 wide."""

    DEPTH, D, F = 12, 512, 1376

    @classmethod
    def setUpClass(cls):
        cls.text = plans.emit(TOWERS, "plan")
        cls.stages = {stage: traffic.Traffic(plan) for stage, plan in plans.plans(cls.text).items()}

    def least(self, stage, keeps, moves, part, tokens):
        """Kept, moved and launches of every layer but the last, whose neighbours are not layers."""
        found = self.stages[stage]
        kept, work = kept_by_layer(found, part), work_by_layer(found, part)
        self.assertEqual(sorted(kept), list(range(self.DEPTH)))
        for layer in range(self.DEPTH):
            with self.subTest(stage=stage, layer=layer):
                launches, moved = work[layer]
                self.assertGreater(launches, 0)
                self.assertGreaterEqual(kept[layer] + moved, 0.9 * (moves + keeps) * tokens * WORD if 0 < layer < self.DEPTH - 1 else 0)
                self.assertLessEqual(kept[layer], 1.2 * keeps * tokens * WORD)
                self.assertLessEqual(moved, 1.5 * moves * tokens * WORD)
        return work

    def test_peaks(self):
        for stage, found in self.stages.items():
            with self.subTest(stage=stage):
                arena, live = found.peaks()
                self.assertGreater(live, 50 << 20)
                self.assertLessEqual(live, arena)
                self.assertLessEqual(arena, 1.10 * live)

    def llama(self, stage):
        tokens = rows_of(self.stages[stage], "lm.model.layers[0].mlp.up_proj.weight")
        work = self.least(stage, llama_keeps(self.D, self.D, self.F), llama_moves(self.D, self.D, self.F), "lm", tokens)
        # The first layer's name stands on the tables of rotary positions too, which are made once for all layers.
        for layer, (launches, _) in work.items():
            self.assertLessEqual(launches, 16 if layer else 16 + 4, f"{stage} {layer}")
        self.assertLessEqual(sum(launches for launches, _ in work.values()), 16 * self.DEPTH)

    def test_llama(self):
        self.llama("llama")

    def test_whole_llama_step(self):
        """What belongs to no layer counts too: embedding and last norm read and write a row, and five backwards (9 d); the loss
        reads the logits and writes their gradient (2 V) per token. The update reads weight, gradient and two moments and writes
        three of them, after clipping has read the gradients for their norm: 32 bytes per weight."""
        plan = plans.plans(self.text)["llama"]
        step, update = traffic.Traffic(plan), traffic.Traffic(plan, "update")
        tokens = rows_of(step, "lm.model.layers[0].mlp.up_proj.weight")
        vocabulary = traffic.plan_elements(plan, "lm.lm_head.weight") // self.D
        moved = WORD * sum(step.moved(launch) for launch in step.launches if step.generated(launch))
        least = WORD * tokens * (self.DEPTH * llama_moves(self.D, self.D, self.F) + 9 * self.D + 2 * vocabulary)
        self.assertGreater(moved, least / 2)
        self.assertLessEqual(moved, 1.5 * least)
        weights = sum(traffic.plan_elements(plan, name) for name in plan.buffers if re.fullmatch(r"group\d+:weight", name))
        moved = WORD * sum(update.moved(launch) for launch in update.launches if update.generated(launch))
        self.assertGreater(weights, 30_000_000)
        self.assertLessEqual(moved, 1.05 * 32 * weights)

    def test_frozen_llama(self):
        self.llama("frozen")

    def test_frozen_llama_with_adapters(self):
        self.llama("lora")

    def test_vit(self):
        """Four launches forwards (two norms, the cut, GELU), four backwards, and at most three that finish the sums of biases
        and norms."""
        tokens = rows_of(self.stages["vit"], "vision.blocks[0].mlp.fc1.weight")
        work = self.least("vit", vit_keeps(self.D), vit_moves(self.D), "vision", tokens)
        for layer, (launches, _) in work.items():
            self.assertLessEqual(launches, 11, layer)

    def test_qformer(self):
        """Self-attention: a norm each way and the sums of its biases (3); cross-attention: a norm each way and the sums of the
        biases of what queries and memory are projected with (4); each of the two feed-forward parts: a norm and GELU each way
        (8); rows parted, and their gradients joined in two launches (3): 14 and 18. Then the launches that finish sums, one for each
        run of neighbours with one length and number of rows: at most 4 and 6. The last layer reads parts of the rows only."""
        found = self.stages["qformer"]
        samples = 8
        queries, text, memory = samples * 32, samples * 32, samples * 64
        kept, work = kept_by_layer(found, "bridge"), work_by_layer(found, "bridge")
        self.assertEqual(sorted(kept), list(range(self.DEPTH)))
        for layer, (launches, moved) in work.items():
            with self.subTest(layer=layer):
                shape = (self.D, queries, text, memory, layer % 2 == 0, layer + 1 < self.DEPTH)
                self.assertLessEqual(kept[layer], 1.2 * qformer_keeps(*shape) * WORD)
                self.assertLessEqual(moved, 1.5 * qformer_moves(*shape) * WORD)
                self.assertLessEqual(launches, 24 if layer % 2 == 0 or layer + 1 == self.DEPTH else 18)


class Tiny(unittest.TestCase):
    """The stages of the tiny VideoChat2."""

    @classmethod
    def setUpClass(cls):
        cls.plans = plans.plans(plans.emit(plans.TINY, "plan"))

    def test_peaks(self):
        """Of every function, evaluations included."""
        seen = 0
        for stage, plan in self.plans.items():
            for function in plan.functions:
                with self.subTest(stage=stage, function=function):
                    arena, live = traffic.Traffic(plan, function).peaks()
                    self.assertLessEqual(live, arena)
                    self.assertLessEqual(arena, 1.10 * live)
                    seen += live > 0
        self.assertGreater(seen, 12)

    def test_trained_encoder(self):
        for stage in ("encoder", "connect", "instruct"):
            found = traffic.Traffic(self.plans[stage])
            tokens = rows_of(found, "vision.blocks[0].mlp.fc1.weight")
            for layer, kept in kept_by_layer(found, "vision").items():
                with self.subTest(stage=stage, layer=layer):
                    self.assertGreater(kept, 0.8 * vit_keeps(64) * tokens * WORD)
                    self.assertLessEqual(kept, 1.2 * vit_keeps(64) * tokens * WORD)

    def test_frozen_language_model(self):
        for stage in ("connect", "instruct"):
            found = traffic.Traffic(self.plans[stage])
            tokens = rows_of(found, "lm.model.layers[0].mlp.up_proj.weight")
            for layer, kept in kept_by_layer(found, "lm").items():
                with self.subTest(stage=stage, layer=layer):
                    self.assertGreater(kept, 0.8 * llama_keeps(96, 48, 256) * tokens * WORD)
                    self.assertLessEqual(kept, 1.2 * llama_keeps(96, 48, 256) * tokens * WORD)

    def test_sums_are_finished_together(self):
        """No two launches of one kernel finish sums of one length for neighbours in a flat state."""
        for stage, plan in self.plans.items():
            found = traffic.Traffic(plan)
            finishes = [launch for launch in found.launches if found.generated(launch) and
                        re.search(r'reads \[@"[^"]*"\] writes \[@"(?:group\d+:)?gradient[:\[][^"]*"\] dims \[\d+\].* chunk ', launch.text)]
            ends = {}
            for launch in finishes:
                buffer = plan.buffers[launch.writes[0]]
                ends[(launch.text.split()[1], re.search(r" chunk (\d+)", launch.text)[1], buffer.offset)] = buffer.end
            self.assertGreater(len(ends), 0, stage)
            for (kernel, chunk, _), end in ends.items():
                self.assertNotIn((kernel, chunk, end), ends, stage)


if __name__ == "__main__":
    unittest.main()
