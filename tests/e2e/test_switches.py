# SPDX-License-Identifier: Apache-2.0
"""What VideoChat2's recipes do by default and as upstream: `vcc show` prints the value of every switch and the lines that it goes back to,
and `-D reproduce=upstream` changes these values and nothing else. What the programs make of them is for `tests/parity`."""
import pathlib
import re
import unittest

import plans
import programs
import test_show

FOLDER = plans.TOP / "examples" / "videochat2"
LIBRARY = "stdlib/reproduction/reproduction.vcs"
# By stage and variants, and by the field of `reproduction.Reproduction`: section, entry, the value by default and as upstream has it.
EVERY = ("vicuna", "mistral", "phi3")
OTHERS = ("mistral", "phi3")
QUERIES = "decay of bridge.query_tokens, bridge.extra_query_tokens"
MEDIA = {"image_in_every_slot": [("encoder vision", "image_in_every_slot", False, True)],  # of which stages 2 and 3 leave out the slots
         "antialias": [("rows image", "antialias", True, False), ("rows video", "antialias", True, False)],
         "fallback": [("rows image", "fallback", "sample", "media"), ("rows video", "fallback", "sample", "media")],
         "frames": [("rows video", "sample", "random", "random_exclusive")],
         "floor_in_warmup": [("schedule", "floor_in_warmup", False, True)]}
LATER = {**MEDIA, "decay_everything": [("optimize", QUERIES, False, True)], "spaces": [("text dialogue", "spaces", "trimmed", "kept")]}
IDLE = "decay of bridge.layers[-1].intermediate, bridge.layers[-1].output"
SWITCHES = [
    (1, EVERY, MEDIA),
    (1, EVERY, {"local_ids": [("call losses.contrastive", "ids", "batch.ids", "batch.local_ids"), ("call losses.matching", "ids", "batch.ids", "batch.local_ids")],
                "decay_everything": [("optimize", f"decay of {path}", False, True) for path in ("bridge.query_tokens", "vision.slot_embed", "heads.temp")]}),
    (2, EVERY, LATER),
    (2, EVERY, {"prompt": [("text dialogue", "prompt", "sample", "batch")]}),
    (2, ("mistral",), {"untrained_stop": [("text dialogue", "supervise", "assistant", "answer")]}),
    (3, EVERY, LATER),
    (3, EVERY, {"constant_bos": [("call losses.next_token", "first", None, 1.0)], "idle_decays": [("optimize", IDLE, False, "matrices")]}),
    (3, ("vicuna",), {"trained_roles": [("text dialogue", "supervise", "assistant", "roles")]}),
    (3, OTHERS, {"question_for_vicuna_alone": [("text question", "side", "right", "left"),
                                               ("text question", "template", "templates.instruction_and_question", "templates.instruction")]}),
    (3, ("mistral",), {"times_for_vicuna_alone": [("text dialogue", "template", "templates.mistral_instruct_timed", "templates.mistral_instruct")]}),
    (3, ("phi3",), {"times_for_vicuna_alone": [("text dialogue", "template", "templates.phi3_timed", "templates.phi3")]}),
]
# What has no switch is the same in both: (stage, variant): section, entry, value.
SAME = {(2, "vicuna"): [("text dialogue", "supervise", "assistant")], (2, "phi3"): [("text dialogue", "supervise", "assistant")],
        (3, "mistral"): [("text dialogue", "supervise", "assistant")], (3, "phi3"): [("text dialogue", "supervise", "assistant")],
        (3, "vicuna"): [("text dialogue", "template", "templates.vicuna_v0_timed"), ("text question", "template", "templates.instruction_and_question"),
                        ("text question", "side", "right")]}
# A value goes through two functions and a choice, another comes out of a loop.
FUNCTIONS = """
const share = 0.25
const chosen = true
const few = [0.125, 0.5]

fn inner(rate: float, isWanted: bool) -> any {
  let picked = rate if isWanted else 0.0
  let last = 0.0
  for each in few {
    last = each
  }
  return Forgetful(config, picked, last: last)
}

fn outer(rate: float, isWanted: bool) -> any {
  return inner(rate, isWanted: isWanted)
}
"""


def fields():
    """The names of the switches, as the library declares them."""
    text = (plans.TOP / LIBRARY).read_text()
    return re.findall(r"^  (\w+): ", text[text.index("struct Reproduction"):text.index("\n}\n")], re.M)


def line_at(place):
    file, _, number = place.rpartition(":")
    return (plans.TOP / file).read_text().splitlines()[int(number) - 1]


class Switches(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.found = {}
        for variant in EVERY:
            for which, options in enumerate(((), ("-D", "reproduce=upstream"))):
                for stage in test_show.shown(FOLDER / f"videochat2_{variant}.vcs", *options):
                    cls.found[stage["number"], variant, which] = test_show.sections(stage)

    def entry(self, stage, variant, which, title, name):
        return test_show.values(self.found[stage, variant, which][title])[name]

    def test_values_and_origins(self):
        for stage, variants, switches in SWITCHES:
            for variant in variants:
                for field, entries in switches.items():
                    for title, name, *wanted in entries:
                        for which, profile in enumerate(("sane", "upstream")):
                            with self.subTest(stage=stage, variant=variant, entry=f"{title}: {name}", profile=profile):
                                entry = self.entry(stage, variant, which, title, name)
                                self.assertEqual(entry["value"], wanted[which])
                                consts = [step["const"] for step in entry["by"] if "const" in step]
                                self.assertEqual(consts[-2:], ["alignment.reproduce", f"reproduction.{profile}"])
                                self.assertEqual(entry["by"][-2]["at"] == "-D", which == 1)
                                self.assertIn(f"const {profile} ", line_at(entry["by"][-1]["at"]))
                                # A line on the way names the switch.
                                places = [entry["at"], *(step["at"] for step in entry["by"][:-2])]
                                self.assertTrue(any(f"reproduce.{field}" in line_at(place) for place in places), places)

    def test_every_switch_is_one_of_these(self):
        """`unreached` is stage 4's, whose switches are tested beside."""
        named = {field for _, _, switches in SWITCHES for field in switches}
        self.assertEqual(named | {"unreached"}, set(fields()))

    def test_nothing_else_changes(self):
        for stage in (1, 2, 3):
            for variant in EVERY:
                known = {(title, name) for number, variants, switches in SWITCHES if number == stage and variant in variants
                         for entries in switches.values() for title, name, *_ in entries}
                changed = set()
                for title in self.found[stage, variant, 0].keys() & self.found[stage, variant, 1].keys():
                    if title == "consts":
                        continue
                    ours, theirs = ({entry["name"]: entry["value"] for entry in self.found[stage, variant, which][title]["values"]} for which in (0, 1))
                    changed |= {(title, name) for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)}
                self.assertEqual(changed, known, (stage, variant))
        for (stage, variant), entries in SAME.items():
            for title, name, value in entries:
                for which in (0, 1):
                    self.assertEqual(self.entry(stage, variant, which, title, name)["value"], value, (stage, variant, which))

    def test_all_switches_stand_under_the_const_that_has_them(self):
        for (stage, variant, which), found in self.found.items():
            entry = test_show.values(found["consts"])["alignment.reproduce"]
            self.assertEqual([value["name"] for value in entry["values"]], fields())
            for value in entry["values"]:
                self.assertEqual(value["from"], "written" if which else "default")
                self.assertIn(f"{value['name']}: ", line_at(value["at"]))


class Stage4(unittest.TestCase):
    """Of stage 4 of VideoChat2 HD, whose switches are the fields of one const of the recipe that it imports."""

    RECIPE = FOLDER / "videochat2_hd_mistral.vcs"
    # Section, name, a part of the line where it stands, or of one so many lines above: the value by default and as upstream has it.
    EXPECTED = {("rows image", "fallback", "image: 1 from", 1): ("sample", "media"), ("rows video", "sample", "video: 1 from"): ("random", "random_exclusive"),
                ("text question", "side", "question: told", 1): ("right", "left"), ("text dialogue", "spaces", "dialogue: conversation"): ("trimmed", "kept"),
                ("call losses.next_token", "first", "lm: 1.0 *"): (None, 1.0),
                ("optimize", "decay of bridge.query_tokens, bridge.extra_query_tokens", "decay { bridge"): (False, True),
                ("optimize", "unreached", "optimize adamw"): ("skip", "zeros"),
                ("schedule", "floor_in_warmup", "schedule cosine"): (False, True)}

    def test_values_and_origins(self):
        places = ["alignment.vcs:%d" % test_show.line_of(FOLDER / "alignment.vcs", "const reproduce"), "-D"]
        for which, (options, name) in enumerate([((), "sane"), (("-D", "reproduce=upstream"), "upstream")]):
            [stage] = test_show.shown(self.RECIPE, "--stage", "4", *options)
            found = test_show.sections(stage)
            self.assertEqual(found["text question"]["of"], "templates.instruction" + ("" if which else "_and_question"))
            self.assertEqual(found["text dialogue"]["of"], "templates.mistral_instruct" + ("" if which else "_timed"))
            for (title, entry, line, *after), wanted in self.EXPECTED.items():
                with self.subTest(name=name, title=title, entry=entry):
                    value = test_show.values(found[title])[entry]
                    self.assertEqual(value["value"], wanted[which])
                    self.assertTrue(value["at"].endswith(f"{self.RECIPE.name}:{test_show.line_of(self.RECIPE, line) + sum(after)}"), value)
                    self.assertEqual([step["const"] for step in value["by"]], ["alignment.reproduce", f"reproduction.{name}"])
                    self.assertTrue(value["by"][0]["at"].endswith(places[which]), value)
                    self.assertTrue(value["by"][1]["at"].endswith("reproduction.vcs:%d" % test_show.line_of(LIBRARY, f"const {name} =")))


class Traced(unittest.TestCase):
    """Values that the recipe hands on through functions of another file."""

    def test_sizes(self):
        [stage] = test_show.shown(FOLDER / "videochat2_vicuna.vcs", "--stage", "2", "-D", "sizes=tiny")
        found = test_show.sections(stage)
        for title, function, names in (("encoder vision", "encoder", {"image": 32, "width": 48, "depth": 5, "heads": 4, "known_image": 32}),
                                       ("qformer bridge", "bridge", {"queries": 8, "extra_queries": 16, "width": 32, "vocab": 101, "decode_id": 100, "drop": 0.2})):
            for name, value in names.items():
                entry = test_show.values(found[title])[name]
                self.assertEqual(entry["value"], value)
                self.assertTrue(entry["at"].endswith(f"shared.vcs:{entry['at'].rpartition(':')[2]}"), entry)
                self.assertEqual([(step.get("argument"), step.get("const")) for step in entry["by"]],
                                 [(f"shared.{function}.s", None), (None, "alignment.sizes"), (None, "shared.tiny")])
                self.assertIn(f"shared.{function}(sizes", line_at(entry["by"][0]["at"]))
                self.assertEqual(entry["by"][1]["at"], "-D")
                self.assertIn("const tiny", line_at(entry["by"][2]["at"]))
        table = plans.run(plans.VCC, "show", FOLDER / "videochat2_vicuna.vcs", "--stage", "2", "-D", "sizes=tiny")
        self.assertRegex(table, r"\n    drop +0\.2 +\S+shared\.vcs:\d+; shared\.bridge\.s: \S+videochat2_vicuna\.vcs:\d+; alignment\.sizes: -D on the command line; "
                                r"shared\.tiny: \S+shared\.vcs:\d+\n")

    def test_through_functions_defaults_and_choices(self):
        """A recipe of one's own: values that go through two functions, a default that names another parameter, a chosen branch, a loop."""
        text = (plans.RECIPES / "words.vcs").read_text()
        for old, new in (("layer Forgetful(c: any, rate: float)", "layer Forgetful(c: any, rate: float, double: float = rate * 2.0, last: float = 0.0)"),
                         ("Forgetful(config, rate)", "outer(share, isWanted: chosen)")):
            self.assertEqual(text.count(old), 1)
            text = text.replace(old, new)
        folder = programs.fresh_folder()
        self.addCleanup(folder.cleanup)
        recipe = pathlib.Path(folder.name) / "traced.vcs"
        recipe.write_text(text + FUNCTIONS)
        places = {line: f"{recipe}:{number}" for number, line in enumerate(recipe.read_text().splitlines(), 1)}
        for options, rate in ((("-D", "chosen=false"), 0.0), ((), 0.25)):
            [stage] = test_show.shown(recipe, "--stage", "1", *options)
            found = test_show.values(test_show.sections(stage)["llm lm"])
            self.assertEqual([found[name]["value"] for name in ("rate", "double", "last")], [rate, 2 * rate, 0.5])
            by = {name: {step.get("argument", step.get("const")): step["at"] for step in found[name]["by"]} for name in ("rate", "double", "last")}
            call, model = places["  return inner(rate, isWanted: isWanted)"], places["  llm lm: outer(share, isWanted: chosen)"]
            handed = {"inner.rate": call, "inner.isWanted": call, "outer.rate": model, "outer.isWanted": model,
                      "share": places["const share = 0.25"], "chosen": "-D" if options else places["const chosen = true"]}
            self.assertEqual(by["rate"], handed)
            self.assertEqual(by["double"], {**handed, "Forgetful.rate": found["rate"]["at"]})
            self.assertEqual((found["double"]["from"], found["double"]["of"]), ("default", "Forgetful"))
            self.assertEqual(by["last"], {"few": places["const few = [0.125, 0.5]"]})
            consts = test_show.values(test_show.sections(stage)["consts"])
            self.assertEqual([consts[name]["value"] for name in ("share", "chosen", "few")], [0.25, not options, [0.125, 0.5]])


if __name__ == "__main__":
    unittest.main()
