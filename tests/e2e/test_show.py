# SPDX-License-Identifier: Apache-2.0
"""`vcc show`: values in effect, and the lines that they come from, found again in the files by what stands there."""
import json
import pathlib
import re
import unittest

import plans
import programs

CONNECT = plans.RECIPES / "connect_sizes.vcs"


def shown(recipe, *options):
    return json.loads(plans.run(plans.VCC, "show", recipe, "--json", *options))["stages"]


def line_of(path, *texts):
    """The place of the only line that has all these texts."""
    found = [number for number, line in enumerate((plans.TOP / path).read_text().splitlines(), 1) if all(text in line for text in texts)]
    assert len(found) == 1, (path, texts, found)
    return found[0]


def sections(stage):
    return {section["title"]: section for section in stage["sections"]}


def values(section):
    return {value["name"]: value for value in section["values"]}


def every(entries):
    for entry in entries:
        yield entry
        yield from every(entry.get("values", []))


def covers(selector, path):
    """Whether a selector (no braces) names the weight, or a part that it lies in."""
    wanted, steps = (re.findall(r"[\w]+|\[[^\]]*\]", text) for text in (selector, path))

    def meets(step, name):
        low, dots, high = step.strip("[]").partition("..")
        return name.startswith("[") and int(low) <= int(name[1:-1]) < int(high) if dots else step in (name, "[*]")
    return len(wanted) <= len(steps) and all(meets(*pair) for pair in zip(wanted, steps))


class Tiny(unittest.TestCase):
    RECIPE = "examples/tiny_videochat2/tiny_videochat2.vcs"

    @classmethod
    def setUpClass(cls):
        cls.stages = {stage["name"]: stage for stage in shown(plans.TINY)}
        cls.instruct = sections(cls.stages["instruct"])

    def at(self, *texts, file=RECIPE):
        return (str(plans.TINY) if file == self.RECIPE else file) + f":{line_of(file, *texts)}"

    def test_component(self):
        vision = self.instruct["encoder vision"]
        self.assertEqual(vision["of"], "encoders.umt.ViT")
        self.assertEqual(vision["at"], self.at("encoder   vision:"))
        found = values(vision)
        self.assertEqual((found["patch"]["value"], found["patch"]["from"], found["patch"]["at"]), (16, "written", vision["at"]))
        self.assertEqual(found["frames"]["by"], [{"const": "frames", "at": self.at("const frames")}])
        # Its call goes on in the next line.
        self.assertEqual(found["positions"]["at"], self.at('positions: "learned"'))
        default = found["mlp_ratio"] if "mlp_ratio" in found else found["hidden"]
        self.assertEqual((default["from"], default["of"]), ("default", "encoders.umt.ViT"))
        self.assertTrue(default["at"].startswith("stdlib/encoders/umt.vcs:"))

    def test_struct(self):
        config = values(self.instruct["llm lm"])["c"]
        self.assertEqual(config["by"][0], {"const": "lm_config", "at": self.at("const lm_config")})
        inner = values(config)
        self.assertEqual(inner["vocab"]["from"], "written")
        self.assertTrue(all(field["at"].startswith("stdlib/llms/") for field in inner.values()))
        self.assertIn("default", {field["from"] for field in inner.values()})

    def test_adapter(self):
        adapter = values(self.instruct["lora adapter"])
        self.assertEqual([adapter[name]["value"] for name in ("rank", "alpha", "dropout")], [8, 16, 0.0])
        self.assertEqual(adapter["rank"]["at"], self.at("lora      adapter"))
        self.assertEqual(adapter["sites"]["parts"], 6)
        self.assertNotIn("width_in", adapter)

    def test_weights(self):
        """Selectors name what the plan has as trained and frozen, each weight once."""
        for name, plan in plans.plans(plans.emit(plans.TINY, "plan")).items():
            with self.subTest(name):
                found = values(sections(self.stages[name])["weights"])
                trained = {b.name for b in plan.buffers.values() if b.why == "trained weight" and b.view}
                frozen = {b.name for b in plan.buffers.values() if b.why == "frozen weight"}
                empty = {"value": [], "weights": 0, "parameters": 0}
                train, freeze, idle = (found.get(kind, empty) for kind in ("train", "freeze", "idle"))
                self.assertEqual(found["uses"]["weights"], len(trained) + len(frozen))
                self.assertEqual(train["weights"] + freeze["weights"], found["uses"]["weights"])
                self.assertEqual(train["parameters"] + freeze["parameters"], found["uses"]["parameters"])
                self.assertEqual(train["weights"] - idle["weights"], len(trained))
                for path in trained | frozen:
                    counts = [sum(covers(selector, path) for selector in kind["value"]) for kind in (train, freeze, idle, found["uses"])]
                    is_idle = counts[2]
                    self.assertEqual(counts, [int(path in trained or is_idle), int(path in frozen and not is_idle), is_idle, 1], path)

    def test_starts(self):
        starts = self.instruct["start"]["values"]
        self.assertEqual(sum(entry["weights"] for entry in starts), values(self.instruct["weights"])["uses"]["weights"])
        vision = [entry for entry in starts if entry["value"] == ["vision"]]
        self.assertEqual([entry["sources"] for entry in vision], [['stage "connect"', 'stage "encoder"']])
        # The text side, which `connect` does not use.
        [text] = [entry for entry in starts if "bridge.embeddings.word_embeddings" in entry["value"]]
        self.assertEqual(text["sources"], ['stage "align"', "init"])
        self.assertIn("bridge.layers[*].intermediate", text["value"])
        self.assertEqual(text["at"], self.at("start  bridge from stage \"connect\""))

    def test_batch(self):
        rows = values(self.instruct["rows clips"])
        at = self.at("clips: 32 from [train_qa]")
        self.assertEqual((rows["rows"]["value"], rows["rows"]["at"], rows["from"]["value"]), (32, at, ["train_qa"]))
        self.assertEqual((rows["sample"]["value"], rows["cache"]["value"], rows["cache"]["at"]), ("random", {"amount": 1e9, "unit": "bytes"}, at))
        self.assertEqual(rows["flip"], {"name": "flip", "value": False, "from": "language"})
        question = values(self.instruct["text question"])
        self.assertEqual((question["max_tokens"]["value"], question["side"]["value"], question["side"]["from"]), (12, "right", "language"))
        self.assertEqual(question["tokenizer"], {"name": "tokenizer", "value": "words", "from": "written", "at": self.at("question: words")})
        self.assertEqual(values(self.instruct["text dialogue"])["template"]["value"], "tiny")
        self.assertEqual(self.instruct["dataset train_qa"]["of"], "data.videochat2_json")
        self.assertEqual(values(self.instruct["dataset train_qa"])["file"]["value"], "train_qa.json")
        self.assertEqual(values(self.instruct["tokenizer words"])["vocab"]["value"], 96)
        template = self.instruct["template tiny"]["values"]
        self.assertEqual([entry["name"] for entry in template], ["media", "user", "assistant", "end", "prompts"])
        self.assertEqual(template[1], {"name": "user", "value": "{q}", "from": "written", "at": self.at('user "{q}"')})
        self.assertEqual(self.instruct["accumulate"]["values"][0], {"name": "accumulate", "value": 1, "from": "language"})

    def test_loss(self):
        align = sections(self.stages["align"])
        self.assertEqual(values(align["loss"])["cap"]["value"], 1.0)
        captioning = values(align["call losses.captioning"])
        self.assertEqual((captioning["smoothing"]["value"], captioning["smoothing"]["from"]), (0.1, "written"))
        self.assertEqual(captioning["smoothing"]["at"], self.at("cap: 1.0 * losses.captioning"))

    def test_rules(self):
        optimize = values(self.instruct["optimize"])
        at = self.at("optimize adamw", "1.4e-4")
        self.assertEqual(self.instruct["optimize"]["of"], "optimizers.adamw")
        self.assertEqual((optimize["lr"]["value"], optimize["lr of vision"]["value"], optimize["lr of else"]["value"]), (7e-4, 1.4e-4, 7e-4))
        self.assertEqual((optimize["betas"]["value"], optimize["betas"]["at"], optimize["decay"]["value"]), ([0.9, 0.98], at, "matrices"))
        self.assertEqual(optimize["eps"], {"name": "eps", "value": 1e-8, "from": "default", "of": "optimizers.adamw",
                                           "at": self.at("optimizer adamw(", file="stdlib/optimizers/optimizers.vcs")})
        self.assertLess(list(optimize).index("lr of else"), list(optimize).index("decay"))
        schedule = values(self.instruct["schedule"])
        self.assertEqual((schedule["steps"]["value"], schedule["warmup"]["value"], schedule["floor"]["value"]), (300, {"amount": 30, "unit": "steps"}, 0.01))
        self.assertEqual(schedule["floor_in_warmup"]["of"], "schedules.cosine")
        self.assertEqual(schedule["floor_in_warmup"]["at"], self.at("schedule cosine(", file="stdlib/schedules/schedules.vcs"))
        course = values(self.instruct["course"])
        self.assertEqual((course["precision"]["value"], course["save"]["value"], course["log"]["value"]), ("f32", "at end", "every 10 steps"))
        self.assertEqual((course["keep"]["value"], course["keep"]["from"]), (2, "language"))

    def test_evaluations(self):
        still = values(self.instruct["evaluate still"])
        self.assertEqual((still["on"]["value"], still["media"]["value"], still["metric"]["from"]), ("held_qa", "still", "language"))

    def test_every_place_is_there(self):
        """Each written option stands in the line that is named, and each default in a line of the library that names it."""
        checked = 0
        for stage in self.stages.values():
            for section in stage["sections"]:
                for entry in every(section["values"]):
                    if entry["from"] == "language":
                        self.assertNotIn("at", entry)
                        continue
                    file, _, number = entry["at"].rpartition(":")
                    path = plans.TOP / file
                    lines = path.read_text().splitlines()
                    around = " ".join(lines[int(number) - 1:int(number) + 1])
                    if entry["from"] == "default":
                        self.assertRegex(around, rf"\b{entry['name']}\b", (section["title"], entry))
                        checked += 1
                    elif section["title"].split()[0] in ("rows", "text", "labels", "evaluate") and entry["name"] not in ("rows", "from", "template", "tokenizer", "when", "on"):
                        self.assertIn(f"{entry['name']}:", around)
                        checked += 1
        self.assertGreater(checked, 150)

    def test_define(self):
        """A const from the command line changes the values that name it, and says so."""
        defined = sections(shown(plans.TINY, "--stage", "3", "-D", "frames=4")[0])
        changed = []
        for title, section in self.instruct.items():
            for old, new in zip(every(section["values"]), every(defined[title]["values"])):
                if old.get("value") != new.get("value"):
                    changed.append((title, new["name"], new["value"]))
                    if title == "consts":
                        self.assertEqual((new["at"], "by" in new), ("-D", False))
                    else:
                        self.assertEqual(new["by"], [{"const": "frames", "at": "-D"}])
        self.assertEqual(changed, [("encoder vision", "frames", 4), ("rows clips", "frames", 4), ("consts", "frames", 4)])

    def test_table(self):
        table = plans.run(plans.VCC, "show", plans.TINY, "--stage", "instruct", "-D", "frames=4")
        self.assertTrue(table.startswith('stage 3 "instruct" of TinyVideoChat2  '))
        self.assertRegex(table, r"\n    frames +4 .*tiny_videochat2\.vcs:\d+; frames: -D on the command line\n")
        self.assertRegex(table, r"\n    eps +1e-08 +default of optimizers\.adamw, stdlib/optimizers/optimizers\.vcs:\d+\n")
        self.assertRegex(table, r"\n    flip +false +default of the language\n")
        self.assertNotIn('"align" of', table)


class FullSize(unittest.TestCase):
    def test_connect(self):
        [stage] = shown(CONNECT)
        weights = values(sections(stage)["weights"])
        self.assertEqual(weights["train"]["parameters"], 395_301_376)
        self.assertEqual((weights["freeze"]["value"], weights["freeze"]["parameters"]), (["lm"], 6_738_415_616))
        # Twelve layers of which each is used but for its text side: few selectors, not one a layer.
        self.assertLess(len(weights["uses"]["value"]), 30)
        self.assertTrue(any("bridge.layers[" in value for value in weights["uses"]["value"]))
        course = values(sections(stage)["course"])
        self.assertEqual(course["precision"]["by"], [{"const": "numerics", "at": f"{CONNECT}:{line_of(CONNECT, 'const numerics')}"}])


class Wrong(unittest.TestCase):
    def test_stage(self):
        ended = programs.run(plans.VCC, "show", plans.TINY, "--stage", "nothing")
        self.assertEqual((ended.code, ended.out), (1, ""))
        self.assertIn("the recipe has no stage `nothing`", ended.err)
        self.assertIn('its stages are "language", "encoder", 1 "align", 2 "connect", 3 "instruct"', ended.err)
        self.assertIn("did you mean `align`?", programs.run(plans.VCC, "show", plans.TINY, "--stage", "algin").err)

    def test_decay_by_selector(self):
        """The language's own default is shown where it counts: below what selectors say, and not at all beside an `else`."""
        text = (programs.RECIPES / "words.vcs").read_text()
        for rules, shown in [("decay { lm.lm_head: none, else: matrices }", [("decay of lm.lm_head", "none"), ("decay of else", "matrices")]),
                             ("decay { lm.lm_head: none }", [("decay of lm.lm_head", "none"), ("decay of else", "all")])]:
            with programs.fresh_folder() as folder:
                recipe = pathlib.Path(folder) / "decay.vcs"
                recipe.write_text(text.replace("decay: matrices", rules))
                stages = json.loads(programs.succeed(plans.VCC, "show", recipe, "--stage", "1", "--json"))["stages"]
                [optimize] = [section for section in stages[0]["sections"] if section["title"] == "optimize"]
                self.assertEqual([(entry["name"], entry["value"]) for entry in optimize["values"] if entry["name"].startswith("decay")], shown)

    def test_recipe(self):
        self.assertEqual(programs.run(plans.VCC, "show", "nowhere.vcs").code, 2)
        ended = programs.run(plans.VCC, "show", plans.TINY, "-D", "lm_config=3")
        self.assertEqual((ended.code, ended.out), (2, ""))
        self.assertIn("error[", ended.err)


if __name__ == "__main__":
    unittest.main()
