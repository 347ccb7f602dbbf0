# SPDX-License-Identifier: Apache-2.0
"""The recipes of VideoChat2 at full size and at test size: what each stage has and trains, to the last weight, as published. No weights are
needed: the numbers are those of the graphs that would be compiled."""
import json
import math
import pathlib
import re
import unittest

import programs

FOLDER = programs.TOP / "examples" / "videochat2"
TINY = ["-D", "sizes=tiny"]
TINY_MODELS = {"vicuna": ["-D", "lm_config=llama.tiny_vicuna"], "mistral": ["-D", "lm_config=llama.tiny_mistral"],
               "phi3": ["-D", "lm_config=llama.tiny_phi3"]}
_graphs = {}


class Weights:
    """The weights of one stage by path: how many numbers, and whether it trains them."""

    def __init__(self, text):
        self.text = text
        self.all, self.trained, self.groups, self.axes, self.shapes = {}, {}, {}, {}, {}
        for name, kind, rest in re.findall(r'tg\.state @"?([^" ]+)"?\s+(\w+) (.*)', text):
            if kind != "weight" or ":" in name:
                continue
            shape = re.search(r"tensor<([0-9x]*)f32>", rest)[1]
            self.all[name] = math.prod(int(size) for size in shape.split("x") if size)
            self.shapes[name] = [int(size) for size in shape.split("x") if size]
            self.axes[name] = len(self.shapes[name])
            if "trainable" in rest:
                self.trained[name] = self.all[name]
                self.groups.setdefault(re.search(r'in\(@"(group\d+)', rest)[1], set()).add(name)

    def count(self, prefix="", without=(), of=None):
        return sum(size for name, size in (self.all if of is None else of).items()
                   if name.startswith(prefix) and not any(name.startswith(other) for other in without))

    @property
    def trains(self):
        return self.count(of=self.trained)


def stages(variant, *options):
    key = (variant, options)
    if key not in _graphs:
        text = programs.succeed(programs.VCC, "compile", FOLDER / f"videochat2_{variant}.vcs", "--emit=graph", "-o", "-", *options, seconds=120)
        _graphs[key] = [Weights(part) for part in re.split(r"(?m)^ *(?:builtin\.)?module .*tg\.stage", text)[1:]]
        assert len(_graphs[key]) == (1 if variant == "hd_mistral" else 3)
    return _graphs[key]


def published(stage):
    """Keys and shapes of upstream's state dict in a stage, without the language model and LoRA, from the table of its models."""
    keys = {"encoder.patch_embed.proj.weight": [1024, 3, 1, 16, 16], "encoder.patch_embed.proj.bias": [1024]}
    for i in range(23):
        for name, shape in (("norm1.weight", [1024]), ("norm1.bias", [1024]), ("norm2.weight", [1024]), ("norm2.bias", [1024]),
                            ("attn.q_bias", [1024]), ("attn.v_bias", [1024]), ("attn.qkv.weight", [3072, 1024]), ("attn.proj.weight", [1024, 1024]),
                            ("attn.proj.bias", [1024]), ("mlp.fc1.weight", [4096, 1024]), ("mlp.fc1.bias", [4096]),
                            ("mlp.fc2.weight", [1024, 4096]), ("mlp.fc2.bias", [1024])):
            keys[f"encoder.blocks.{i}.{name}"] = shape
    keys = {"vision_encoder." + key: shape for key, shape in keys.items()}
    keys.update({"vision_layernorm.weight": [1024], "vision_layernorm.bias": [1024], "query_tokens": [1, 32, 768]})

    def linear(name, width, width_in):
        keys.update({f"{name}.weight": [width, width_in], f"{name}.bias": [width]})

    def norm(name):
        keys.update({f"{name}.weight": [768], f"{name}.bias": [768]})
    texts = stage != 2
    norm("qformer.bert.embeddings.LayerNorm")
    if texts:
        keys.update({"qformer.bert.embeddings.word_embeddings.weight": [30523, 768], "qformer.bert.embeddings.position_embeddings.weight": [512, 768]})
    for number in range(12):
        layer = f"qformer.bert.encoder.layer.{number}"
        for part, width_in in [("attention", 768)] + [("crossattention", 1024)] * (number % 2 == 0):
            linear(f"{layer}.{part}.self.query", 768, 768)
            linear(f"{layer}.{part}.self.key", 768, width_in)
            linear(f"{layer}.{part}.self.value", 768, width_in)
            linear(f"{layer}.{part}.output.dense", 768, 768)
            norm(f"{layer}.{part}.output.LayerNorm")
        for kind in ("_query", "")[:1 + texts]:
            linear(f"{layer}.intermediate{kind}.dense", 3072, 768)
            linear(f"{layer}.output{kind}.dense", 768, 3072)
            norm(f"{layer}.output{kind}.LayerNorm")
    if stage == 1:
        keys.update({"vision_temp_embed": [1, 4, 1, 1024], "temp": [], "qformer.cls.predictions.bias": [30523]})
        linear("qformer.cls.predictions.transform.dense", 768, 768)
        norm("qformer.cls.predictions.transform.LayerNorm")
        linear("vision_proj", 768, 768)
        linear("text_proj", 768, 768)
        linear("itm_head", 2, 1536)
    else:
        keys["extra_query_tokens"] = [1, 64, 768]
        linear("project", 4096, 768)
    return keys


def key_of(path):
    """Upstream's key of a weight; the projector, which every variant names after its model, keeps ours."""
    for ours, theirs in (("vision.slot_embed", "vision_temp_embed"), ("vision.norm.", "vision_layernorm."), ("vision.", "vision_encoder.encoder."),
                         ("bridge.query_tokens", "query_tokens"), ("bridge.extra_query_tokens", "extra_query_tokens"), ("bridge.cls.", "qformer.cls."),
                         ("bridge.layers[", "qformer.bert.encoder.layer["), ("bridge.", "qformer.bert."), ("heads.", "")):
        if path.startswith(ours):
            path = theirs + path.removeprefix(ours)
            break
    return path.replace("[", ".").replace("]", "")


class Published(unittest.TestCase):
    """Sums of the published models; the recipe's default and upstream's habits have the same weights."""

    def test_encoder_and_q_former(self):
        for options in ((), ("-D", "reproduce=upstream")):
            for variant in ("vicuna", "mistral", "phi3"):
                for number, former in zip(stages(variant, *options), (182_743_867, 101_598_720, 182_121_216)):
                    self.assertEqual(number.count("vision.", ["vision.norm", "vision.slot_embed"]), 290_477_056)
                    self.assertEqual(number.count("bridge.", ["bridge.query_tokens", "bridge.extra_query_tokens"]), former)
                    self.assertEqual(number.count("bridge.query_tokens"), 32 * 768)
                self.assertEqual([number.count("bridge.extra_query_tokens") for number in stages(variant, *options)], [0, 49_152, 49_152])

    def test_keys_and_shapes(self):
        """But for the head of captions, whose matrix is the word embedding: upstream has it, and its bias, under a second key."""
        for number, stage in enumerate(stages("vicuna"), 1):
            ours = {key_of(path): shape for path, shape in stage.shapes.items() if not path.startswith(("lm.", "adapter."))}
            self.assertEqual(ours, published(number))
            self.assertEqual({path for path in stage.trained if path.startswith("vision.blocks")} == set(), number == 1)

    def test_sequence_lengths(self):
        """Visual keys, visual tokens of the language model, the longest row."""
        for variant, keys in (("vicuna", [{784, 196}, {196, 1568}, {196, 1568}]), ("mistral", [{784, 196}, {196, 784}, {196, 1568}])):
            for stage, count in zip(stages(variant), keys):
                found = re.findall(r"tg.attention.*?tensor<\d+x(?:32|96|\d+)x12x64xf32>, tensor<\d+x(\d+)x12x64xf32>", stage.text)
                self.assertEqual({int(size) for size in found if int(size) % 196 == 0}, count, variant)
        instruct = stages("vicuna")[2].text
        self.assertIn("tensor<4x608xi32>", instruct)
        self.assertIn("tensor<4x96x4096xf32>", instruct)
        upstream = stages("vicuna", "-D", "reproduce=upstream")[0].text
        found = re.findall(r"tg.attention.*?tensor<\d+x\d+x12x64xf32>, tensor<\d+x(\d+)x12x64xf32>", upstream)
        self.assertEqual({int(size) for size in found if int(size) % 196 == 0}, {784})

    def test_trainable_totals(self):
        for options in ((), ("-D", "reproduce=upstream")):
            self.assertEqual([stage.trains for stage in stages("vicuna", *options)], [183_958_846, 395_301_376, 484_212_480])
            self.assertEqual([stage.trains for stage in stages("mistral", *options)], [183_958_846, 395_301_376, 518_344_448])
            self.assertEqual([stage.trains for stage in stages("phi3", *options)], [183_958_846, 394_513_920, 500_764_416])

    def test_hd_stage_trains_what_stage_3_of_mistral_trains(self):
        # Two numbers of clips: that of steps is not what is counted.
        for options in ((), ("-D", "reproduce=upstream")):
            (stage,), third = stages("hd_mistral", "-D", "tiles_4=2", *options), stages("mistral", *options)[2]
            self.assertEqual((stage.trains, stage.trained, stage.all), (518_344_448, third.trained, third.all))
            # What a step of text alone does not reach has groups of its own, unless it decays there as upstream's does.
            whole = [[group for group in stage.groups.values() if group <= of] for of in third.groups.values()]
            self.assertEqual([set().union(*parts) for parts in whole], list(third.groups.values()))
            self.assertEqual(sum(map(len, whole)), 2 if options else 3)

    def test_adapters(self):
        counts = {variant: stages(variant)[2].count("adapter.") for variant in ("vicuna", "mistral")}
        self.assertEqual(counts, {"vicuna": 8_388_608, "mistral": 42_520_576})
        by_suffix, by_name = (stages("phi3", *options)[2] for options in ((), ("-D", "sites_by_suffix=false")))
        self.assertEqual(by_suffix.count("adapter.") + by_suffix.count("fused."), 25_728_000)
        self.assertEqual(by_name.count("adapter.") + by_name.count("fused."), 9_475_072)

    def test_language_models_are_frozen_and_whole(self):
        # Sizes of the public models: LLaMA-7B, Mistral-7B, Phi-3-mini.
        for variant, size in (("vicuna", 6_738_415_616), ("mistral", 7_241_732_096), ("phi3", 3_821_079_552)):
            for stage in stages(variant)[1:]:
                self.assertEqual(stage.count("lm."), size)
                self.assertFalse([name for name in stage.trained if name.startswith("lm.")])
        padded = stages("vicuna", "-D", "lm_config=llama.vicuna_v0(32001)")[1]
        self.assertEqual(padded.count("lm.") - 6_738_415_616, 2 * 4096)

    def test_stage_1_trains_norm_slots_heads_and_q_former_alone(self):
        stage = stages("vicuna")[0]
        self.assertEqual(stage.count("vision.", of=stage.trained), 2 * 1024 + 4 * 1024)
        self.assertEqual(stage.count("heads."), 2 * (768 * 768 + 768) + 2 * 1536 + 2 + 1)

    def test_stage_1_is_the_same_for_all_language_models(self):
        """And that of the module that they take it from, which is a recipe by itself."""
        for options in ((), ("-D", "reproduce=upstream", "-D", "rows_1=64")):
            text = programs.succeed(programs.VCC, "compile", FOLDER / "alignment.vcs", "--emit=graph", "-o", "-", *options, seconds=120)
            alone = Weights(text)
            for variant in ("vicuna", "mistral", "phi3"):
                first = stages(variant, *options)[0]
                self.assertEqual((first.all, first.trained, first.groups), (alone.all, alone.trained, alone.groups))
                ours, theirs = ([line.strip() for line in part.splitlines() if " = tg." in line] for part in (first.text, text))
                self.assertGreater(len(ours), 1000)
                self.assertEqual(ours, theirs)

    def test_weights_of_one_axis_do_not_decay(self):
        # Two groups, and the bounded temperature apart. By default the queries and temporal vectors do not decay either.
        special = {"bridge.query_tokens", "bridge.extra_query_tokens", "vision.slot_embed"}
        for options, kept in (((), special), (("-D", "reproduce=upstream"), set())):
            for stage in stages("vicuna", *options):
                still = {name for name in stage.trained if stage.axes[name] == 1 or name in kept}
                idle = {name for name in stage.trained if stage is stages("vicuna")[2] and
                        re.match(r"bridge\.layers\[11\]\.(intermediate|output)\.", name)}
                groups = [group for group in stage.groups.values() if group != {"heads.temp"}]
                self.assertEqual(sorted(map(len, groups)), sorted([len(still | idle), len(stage.trained) - len(still | idle) - ("heads.temp" in stage.trained)]))
                self.assertIn(still | idle, groups)

    def test_counts_at_test_size(self):
        first, second, third = stages("vicuna", *TINY, *TINY_MODELS["vicuna"])
        self.assertEqual((first.count(), first.trains), (220_456, 70_648))
        self.assertEqual(first.count("vision.", ["vision.norm", "vision.slot_embed"]), 149_808)
        self.assertEqual(first.count("bridge.", ["bridge.query_tokens"]), 68_389)
        self.assertEqual((second.trains, third.trains, third.count("adapter.")), (196_856, 224_280, 5_120))
        self.assertEqual(stages("mistral", *TINY, "-D", "lm_config=llama.tiny_vicuna")[2].count("adapter."), 25_536)



class StretchedPositions(unittest.TestCase):
    """Phi-3's short factors, which the recipe takes from the checkpoint's config.json."""

    RECIPE = FOLDER / "videochat2_phi3.vcs"

    def test_from_a_checkpoints_config(self):
        """By the command that the README gives."""
        [command] = re.findall(r"`(-D \"short_factors=.*?)`", (FOLDER / "README.md").read_text())
        factors = [1.0 + number / 64 for number in range(48)]
        scratch = programs.fresh_folder()
        self.addCleanup(scratch.cleanup)
        (pathlib.Path(scratch.name) / "config.json").write_text(json.dumps({"rope_scaling": {"type": "longrope", "long_factor": [9.0] * 48, "short_factor": factors}}))
        out = programs.succeed("bash", "-c", f'{programs.VCC} show {self.RECIPE} --stage 2 --json {command}', cwd=scratch.name)
        [stage] = json.loads(out)["stages"]
        [config] = [value for section in stage["sections"] if section["title"] == "llm lm" for value in section["values"] if value["name"] == "c"]
        self.assertEqual([value["value"] for value in config["values"] if value["name"] == "rope_factors"], [factors])

    def test_wrong_factors(self):
        for factors, words in (([1.0] * 47, "a head of 96 numbers has 48 frequencies, but there are 47 factors"), ([], "but there are 0 factors"),
                               ([1.0] * 47 + [0.0], "frequencies are divided by factors above zero"), ([-1.0] + [1.0] * 47, "frequencies are divided by factors above zero")):
            ended = programs.run(programs.VCC, "check", self.RECIPE, "-D", f"short_factors={factors}")
            self.assertEqual(ended.code, 2, ended)
            self.assertIn(words, ended.err)
            self.assertIn("config.json", ended.err)
            self.assertIn("videochat2_phi3.vcs:", ended.err)
        # Of a configuration of one's own, where its layers are made.
        own = "lm_config=llama.LlamaConfig(vocab: 100, width: 40, depth: 2, heads: 4, kv_heads: 4, hidden: 96, fused: true, rope_factors: [1.0, 2.0])"
        ended = programs.run(programs.VCC, "check", self.RECIPE, *TINY, "-D", own)
        self.assertEqual(ended.code, 2, ended)
        self.assertIn("a head of 10 numbers has 5 frequencies, but there are 2 factors", ended.err)


if __name__ == "__main__":
    unittest.main()
