# SPDX-License-Identifier: Apache-2.0
"""VideoChat2's stage 1 against PyTorch: contrast, matching with its drawn negatives, captions, and the Q-Former's four passes under
explicit mask matrices, with the padding on either side."""
import math
import re
import unittest

import torch
import torch.nn.functional as F

import steps
import twins
from test_positions import sinusoid

DEPTH, HEADS = 4, 4
SITES = {"texts": "uniform", "clips": "uniform#1"}


class Recipe(steps.Case):
    recipe = "alignment.vcs"

    def start(self, path, shape):
        """Half as wide as elsewhere: four layers of wider ones may lose more digits than are compared here."""
        made = super().start(path, shape)
        return torch.full(shape, 0.2) if path == "heads.temp" else made if "norm" in path.lower() else 0.5 * made

    @staticmethod
    def memory(step, leaves):
        return twins.vision_transformer(step.inputs["clip.pixels"], twins.below(leaves, "vision."), patch=16, tubelet=1, heads=4, depth=1,
                                        mean=0.4, std=0.25)

    @staticmethod
    def former(leaves):
        return twins.QFormer(twins.below(leaves, "bridge."), depth=DEPTH, heads=HEADS)

    def alignment(self, step, leaves, pool, field):
        """The twin, and its losses of contrast and matching; no negative of the twin has an equal number in `field`."""
        twin = twins.Alignment(self.former(leaves), twins.below(leaves, "heads."), self.memory(step, leaves), step.inputs["caption.ids"],
                               step.inputs["caption.length"], pool)
        ids = step.inputs[field]
        same = ids[:, None] == ids[None]
        draws = {kind: twins.uniform(step.inputs["rng"], site, same.shape) for kind, site in SITES.items()}
        return twin, twin.contrastive(same), twin.matching(same, draws, float(step.output["loss.vtm"]))

    def caption(self, twin, step):
        logits = twin.former.write(twin.ids, twin.length, twin.cache, decode_id=4)
        return twins.shifted_cross_entropy(logits, step.inputs["caption.labels"], step.inputs["caption.supervised"], 0.1)


class Alignment(Recipe):
    def test_three_losses_with_the_mean_over_queries(self):
        step, = self.steps("mean")
        leaves = step.leaves(dtype=torch.float64)
        twin, contrast, match = self.alignment(step, leaves, "mean", "label")
        caption = self.caption(twin, step)
        for term, value in (("loss.vtc", contrast), ("loss.vtm", match), ("loss.cap", caption)):
            self.close(step.output[term], value.detach(), 1e-5, term)
        loss = contrast + match + caption
        loss.backward()
        self.assertEqual(set(step.gradient), {path for path, leaf in leaves.items() if not path.startswith("vision.")})
        self.compare(step, "loss", loss, leaves, share=1e-7)

    def test_contrast_and_matching_with_the_most_similar_query_and_a_trained_encoder(self):
        self.contrast_and_matching("max")

    def test_negatives_of_all_ranks(self):
        self.contrast_and_matching("wide")

    def contrast_and_matching(self, stage):
        step, = self.steps(stage)
        leaves = step.leaves(dtype=torch.float64)
        _, contrast, match = self.alignment(step, leaves, "max", "label")
        for term, value in (("loss.vtc", contrast), ("loss.vtm", match)):
            self.close(step.output[term], value.detach(), 1e-5, term)
        loss = contrast + match
        loss.backward()
        self.compare(step, "loss", loss, leaves, share=1e-7)

    def test_a_batch_in_which_all_are_alike_has_no_negatives_and_no_nan(self):
        step, = self.steps("alike")
        leaves = step.leaves(dtype=torch.float64)
        _, contrast, match = self.alignment(step, leaves, "mean", "same")
        loss = contrast + match
        loss.backward()
        self.assertTrue(math.isfinite(float(step.output["loss"])))
        self.close(step.output["loss.vtm"], match.detach(), 1e-5, "loss.vtm")
        self.compare(step, "loss", loss, leaves, share=1e-7)

    def test_captions_teach_the_queries(self):
        step, = self.steps("caption")
        leaves = step.leaves(dtype=torch.float64)
        former = self.former(leaves)
        _, cache = former.read(self.memory(step, leaves))
        logits = former.write(step.inputs["caption.ids"], step.inputs["caption.length"], cache, decode_id=4)
        loss = twins.shifted_cross_entropy(logits, step.inputs["caption.labels"], step.inputs["caption.supervised"], 0.1)
        loss.backward()
        for path in ("bridge.query_tokens", "bridge.layers[0].crossattention.self.key.weight"):
            self.assertGreater(float(step.gradient[path].norm()), 1e-5, path)
        self.compare(step, "loss", loss, leaves, share=1e-7)

    def test_every_pass_against_its_mask_with_padding_on_either_side(self):
        step, = self.steps("passes")
        leaves = step.leaves(dtype=torch.float64)
        former, memory = self.former(leaves), self.memory(step, leaves)
        ids, length, turned = step.inputs["right.ids"], step.inputs["right.length"], step.inputs["left.ids"]
        self.assertGreater(len(set(length.tolist())), 1)
        # Upstream pads to the longest row; what stands before it here is nobody's.
        longest = int(length.max())
        self.assertLess(longest, ids.shape[1])
        turned = turned[:, -longest:]
        rows, first = torch.arange(len(ids)), longest - length.long()
        self.assertTrue(torch.equal(turned[rows, first], ids[:, 0]))

        def classify(tokens):
            return F.cross_entropy(twins.linear(tokens.mean(1), leaves, "reader.out"), step.inputs["label"].long())
        outputs, cache = former.read(memory)
        queries, text = former.fuse_both(memory, ids, length)
        left_queries, left_text = former.fuse_both(memory, turned, length, "left")
        encoded = former.encode(turned, length, "left")
        written = self.written(former, ids, length, cache)
        terms = {"read": classify(outputs), "encode": 1.1 * classify(former.encode(ids, length)[:, :1]),
                 "encode_left": 1.2 * classify(encoded[rows, first][:, None]), "fuse": 1.3 * classify(torch.cat([queries, text[:, :1]], 1)),
                 "fuse_left": 1.4 * classify(torch.cat([left_queries, left_text[rows, first][:, None]], 1)),
                 "shown_left": 1.5 * classify(left_queries), "write": 1.6 * classify(written[:, :2])}
        for term, value in terms.items():
            self.close(step.output["loss." + term], value.detach(), 1e-5, term)
        loss = sum(terms.values())
        loss.backward()
        self.compare(step, "loss", loss, leaves, share=1e-7)

    def test_vectors_of_time_slots(self):
        """An image takes the first, or each of the four as upstream's broadcasting makes it: four times the keys."""
        step, = self.steps("slots")
        leaves = step.leaves(dtype=torch.float64)
        pixels = step.inputs["clip.pixels"]

        def logits(part, pixels, slots):
            weights = twins.below(leaves, part + ".")
            table = sinusoid(pixels.shape[1] * 4, 48)
            tokens = twins.vision_transformer(pixels, {**weights, "pos_embed": table, "slot_embed": weights["slot_embed"][:, :slots]}, patch=16,
                                              tubelet=1, heads=4, depth=1, mean=0.4, std=0.25)
            scores = torch.einsum("qw,bnw->bqn", leaves["keys.pool.query"], tokens) / math.sqrt(48)
            return twins.linear(torch.einsum("bqn,bnw->bqw", scores.softmax(-1), tokens)[:, 0], leaves, "keys.out"), tokens.shape[1]
        terms = {}
        for term, weight, part, seen, slots in (("clip", 1.0, "moving", pixels, 4), ("first", 1.1, "moving", pixels[:, :1], 1),
                                                ("each", 1.2, "every", pixels[:, :1], 4)):
            found, tokens = logits(part, seen, slots)
            self.assertEqual(tokens, 4 if term == "first" else 16)
            terms[term] = weight * F.cross_entropy(found, step.inputs["label"].long())
            self.close(step.output["loss." + term], terms[term].detach(), 1e-5, term)
        self.assertEqual([float(step.output[f"tokens of an image{more}"]) for more in ("", " in every slot")], [4, 16])
        loss = sum(terms.values())
        loss.backward()
        self.compare(step, "loss", loss, leaves, share=1e-7)

    @staticmethod
    def written(former, ids, length, cache):
        """The writing pass before its head: a token sees all queries, and text up to itself."""
        ids = torch.cat([torch.full_like(ids[:, :1], 4), ids[:, 1:]], 1)
        x, tokens, seen = former.normalise(former.words(ids)), ids.shape[1], cache[0][0].shape[2]
        mask = torch.zeros(len(ids), 1, tokens, seen + tokens, dtype=torch.bool)
        for row in range(len(ids)):
            for i in range(tokens):
                for j in range(seen + tokens):
                    mask[row, 0, i, j] = j < seen or (j - seen <= i and j - seen < length[row])
        for i in range(DEPTH):
            x, _ = former.attention(f"layers[{i}].attention", x, x, mask, cache[i])
            x = former.feed_forward(x, f"layers[{i}]")
        return x


class FirstValues(Recipe):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.step, = cls.steps(cls(), "drawn")

    def test_a_truncated_normal_is_cut_and_not_clamped(self):
        """The queries are the inverse of the distribution function at uniform draws between its values at -2 and 2."""
        step = self.step
        queries = step.before["bridge.query_tokens"]
        draws = twins.uniform([steps.SEED, 0, 0, 0], "bridge.query_tokens", (1, queries.numel()))
        reach = math.erf(2 / math.sqrt(2))
        theirs = (math.sqrt(2) * torch.erfinv(reach * (2 * draws - 1))).reshape(queries.shape)
        self.assertLessEqual(float(queries.abs().max()), 2.0)
        self.assertLessEqual(float((queries - theirs).abs().max()), 2e-6)
        self.assertAlmostEqual(float(theirs.std()), 0.88, delta=0.15)
        head = step.before["heads.itm_head.weight"]
        self.assertAlmostEqual(float(head.std()), 0.02, delta=0.006)
        self.assertAlmostEqual(float(step.before["heads.temp"]), 0.07, places=6)

    def test_first_losses(self):
        """Of the weights that are drawn; each is about the logarithm of the number of choices, by how much more the weights decide."""
        leaves = self.step.leaves(dtype=torch.float64)
        twin, contrast, match = self.alignment(self.step, leaves, "mean", "batch.ids")
        for term, value in (("vtc", contrast), ("vtm", match), ("cap", self.caption(twin, self.step))):
            self.close(self.step.output["loss." + term], value.detach(), 1e-5, term)


class Shared(unittest.TestCase):
    """What the losses share is computed once: a layer's attention runs once in each of the four passes, and the keys of the memory,
    which the queries read in two of them, are one product."""

    def test_counts_in_the_graph(self):
        modules = steps.run(steps.VCC, "compile", steps.HERE / "recipes" / "alignment.vcs", "--emit=step").split("tg.stage = ")
        graph, = (module for module in modules if module.startswith('"mean"'))
        forward = graph[:graph.index("@update")]
        cross, vision = DEPTH // 2, 1
        self.assertEqual(len(re.findall(r"tg\.attention[ (]", forward)), 4 * DEPTH + 2 * cross + vision)
        key, = re.findall(r"(%\w+) = tg\.read @\"bridge\.layers\[0\]\.crossattention\.self\.key\.weight\"", forward)
        self.assertEqual(len(re.findall(rf"tg\.\w+ .*{key}\b", forward)), 1)


if __name__ == "__main__":
    unittest.main()
