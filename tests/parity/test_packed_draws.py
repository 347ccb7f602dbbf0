# SPDX-License-Identifier: Apache-2.0
"""Dropout where several samples share a row: on samples it is what it is without packing, however many micro-batches or ranks share them;
on packed rows each row draws at the place of the sample of its number in the micro-batch, and no two rows of a step draw the same."""
import json
import math
import unittest

import torch

import programs
import steps
import twins

SAMPLES, WIDTH = 8, 8


def make_data(folder, generator):
    steps.make_data(folder, generator)
    texts = [" ".join(generator.choice(steps.WORDS) for _ in range(generator.randint(1, 5))) for _ in range(2 * SAMPLES)]
    (folder / "lines.json").write_text(json.dumps([{"line": text, "number": str(number)} for number, text in enumerate(texts)]))


class PackedDraws(steps.Case):
    recipe = "packed_draws.vcs"
    make_data = staticmethod(make_data)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plain = cls.trained("plain")

    @classmethod
    def trained(cls, name, *defines, ranks=1):
        """The dumps of two steps: for each, that of every rank."""
        program = cls.folder / f"{name}.bin"
        steps.run(steps.VCC, "compile", steps.HERE / "recipes" / cls.recipe, "-o", program, *(word for define in defines for word in ("-D", define)))
        command = [program, "--stage", "draws", "--data", cls.folder, "--out", cls.folder / name, "--seed", steps.SEED, "--dump", "0,1"]
        steps.run(*(programs.ranks(ranks, *command) if ranks > 1 else command))
        ends = [""] + [f".rank-{rank}" for rank in range(1, ranks)]
        return [[steps.load_file(cls.folder / name / "draws" / "dump" / f"step-{step:06}{end}.safetensors") for end in ends] for step in range(2)]

    def check(self, dumps, micros, rows):
        """`rows`: of the text in a micro-batch of a rank."""
        for step, (ranks, (plain,)) in enumerate(zip(dumps, self.plain)):
            name = f"step {step}, seed {steps.SEED}"
            wanted, places, kept, all_drawn = torch.zeros(40, WIDTH), [], [], []
            for rank in ranks:
                for micro in range(micros):
                    ids, rng = rank[f"input/{micro}/line.ids"].long(), rank[f"input/{micro}/rng"]
                    self.assertEqual(ids.shape[0], rows, name)
                    drawn = twins.uniform(rng, "tokens", (*ids.shape, WIDTH)) >= 0.75
                    wanted.index_add_(0, ids.flatten(), drawn.flatten(0, 1).float() * 4 / SAMPLES)
                    places += [int(rng[3]) + row for row in range(rows)]
                    all_drawn += [tuple(row.flatten()[:8 * WIDTH].tolist()) for row in drawn]
                    kept.append(drawn.flatten())
            self.assertTrue(torch.equal(ranks[0]["gradient/tokens.weight"], wanted), name)
            self.assertEqual(len(set(places)), len(places), name)
            self.assertEqual(len(set(all_drawn)), len(places), name)
            kept = torch.cat(kept).double()
            self.assertAlmostEqual(float(kept.mean()), 0.25, delta=6 * math.sqrt(0.25 * 0.75 / len(kept)), msg=name)
            self.assertTrue(torch.equal(ranks[0]["gradient/samples.weight"], plain["gradient/samples.weight"]), name)
            self.assertEqual(set(plain["gradient/samples.weight"].unique().tolist()), {0.0, 0.5})

    def test_a_sample_in_a_row(self):
        self.check(self.plain, 1, 8)

    def test_four_in_a_row(self):
        self.check(self.trained("four", "pack=4"), 1, 2)

    def test_all_in_one_row(self):
        self.check(self.trained("eight", "pack=8"), 1, 1)

    def test_micro_batches(self):
        self.check(self.trained("micros", "rows=4", "micros=2", "pack=2"), 2, 2)

    def test_ranks(self):
        self.check(self.trained("ranks", "rows=4", "pack=4", ranks=2), 1, 1)


class AnAdaptersOwn(steps.Case):
    """What an adapter's dropout leaves of x is multiplied by 1 / (1 - rate); the base layer sees all of x."""
    recipe = "thinned.vcs"
    make_data = staticmethod(make_data)

    def test_gradients(self):
        made = self.steps("thinned", 2)
        for step in made:
            leaves = step.leaves()
            (first,), (second,) = ([path for path in leaves if path.startswith("adapter.") and f".lora_{name}." in path] for name in "AB")
            x = leaves["shown.values"][step.inputs["number"].long()]
            thin = x * (twins.uniform(step.inputs["rng"], first[:first.index(".lora_A")], (SAMPLES, 12)) >= 0.2) / 0.8
            y = x @ leaves["shown.linear.weight"].T + leaves["shown.linear.bias"] + 2.0 * (thin.float() @ leaves[first].T) @ leaves[second].T
            y.sum().backward()
            self.compare(step, "loss", y.sum(), leaves)


if __name__ == "__main__":
    unittest.main()
