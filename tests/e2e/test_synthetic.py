# SPDX-License-Identifier: Apache-2.0
"""`--synthetic`: a stage's steps at full size where there are no weights and no data."""
import json
import math
import pathlib
import unittest

import programs

EXAMPLES = programs.TOP / "examples" / "videochat2"
NOWHERE = "/nonexistent"


class Synthetic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = programs.fresh_folder()
        cls.folder = pathlib.Path(cls.scratch.name)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def run_steps(self, program, stage, out, *options):
        """The lines of the steps; nothing but the log and the summary is left."""
        said = programs.succeed(program, "--stage", stage, "--synthetic", "--data", NOWHERE, "--weights", NOWHERE, "--out", self.folder / out, "--threads", "1",
                                *options, seconds=120)
        left = {path.name for path in (self.folder / out).glob("*/*")}
        self.assertLessEqual({"log.jsonl", "summary.json"}, left)
        self.assertLessEqual(left, {"log.jsonl", "summary.json", "profile.json", ".lock", "dump"})
        self.assertEqual({path.name for path in (self.folder / out).iterdir() if path.is_dir()}, {f"{stage}.synthetic"})
        self.assertIn("synthetic", said)
        lines = programs.steps_of(self.folder / out, f"{stage}.synthetic")
        for line in lines:
            self.assertTrue(math.isfinite(line["loss"]), line)
        return lines

    def test_every_branch_in_its_largest_variant(self):
        program = programs.compiled("branches", "-D", "lengths=[5, 12]", "-D", "rows=3")
        lines = self.run_steps(program, "mixed", "branches", "--max-steps", "24")
        self.assertEqual({name for line in lines for name in line["variants"]}, {"image", "text.12", "video"})
        for line in lines:
            self.assertEqual(line["samples"], 3)
            if line["variants"] == ["text.12"]:
                self.assertEqual(line["tokens"], 3 * 12)

    def test_the_seed_decides(self):
        program = programs.compiled("branches", "-D", "rows=3")
        first, again = (self.run_steps(program, "mixed", out, "--max-steps", "4", "--seed", "5") for out in ("first", "again"))
        self.assertEqual([programs.numbers_of(line) for line in first], [programs.numbers_of(line) for line in again])
        other = self.run_steps(program, "mixed", "other", "--max-steps", "4", "--seed", "6")
        self.assertNotEqual([line["loss"] for line in first], [line["loss"] for line in other])
        # It is begun anew, whatever lies there.
        longer = self.run_steps(program, "mixed", "first", "--max-steps", "6", "--seed", "5")
        self.assertEqual([line["loss"] for line in longer[:4]], [line["loss"] for line in first])
        self.assertEqual(len(longer), 6)

    def test_two_ranks_share_the_rows(self):
        one = self.run_steps(programs.compiled("ranks", "-D", "rows=4"), "pretrain", "one", "--max-steps", "2")
        program = programs.compiled("ranks", "-D", "rows=2", "-D", "ranks=2")
        programs.succeed(*programs.ranks(2, program, "--stage", "pretrain", "--synthetic", "--data", NOWHERE, "--out", self.folder / "two", "--threads", "1",
                                         "--max-steps", "2"), memory=8 * programs.GIGABYTE)
        two = programs.steps_of(self.folder / "two", "pretrain.synthetic")
        self.assertEqual([line["samples"] for line in two], [line["samples"] for line in one])
        self.assertAlmostEqual(two[0]["loss"], one[0]["loss"], delta=1e-5 * abs(one[0]["loss"]))

    def videochat2(self, variant, stage, model, *defines):
        program = self.folder / f"{variant}.bin"
        words = ["sizes=tiny", f"lm_config=llama.{model}", *defines]
        programs.succeed(programs.VCC, "compile", EXAMPLES / f"videochat2_{variant}.vcs", "-o", program, *(part for word in words for part in ("-D", word)),
                         seconds=120)
        return program, self.run_steps(program, stage, f"{variant}-{stage}", "--max-steps", "3")

    def test_dialogues_in_packed_rows(self):
        program, lines = self.videochat2("mistral", "instruct", "tiny_mistral", "rows_3=4", "tokens_3=80", "pack=4", "lengths_3=[200]")
        field = next(field for batch in json.loads(programs.succeed(program, "--manifest"))["stages"][2]["batch"].values() for field in batch["fields"]
                     if field["name"] == "dialogue")
        self.assertEqual(field["pack"], 4)
        for line in lines:
            self.assertEqual(line["samples"], 4)
            self.assertGreater(line["supervised"], 0)

    def test_tiles_and_text_alone(self):
        program, lines = self.videochat2("hd_mistral", "hd", "tiny_mistral", "tiles_4=2", "frames_4=2", "tokens_3=64")
        for line in lines:
            self.assertGreater(line["supervised"], 0)

    def test_what_it_does_not_do(self):
        program = programs.compiled("branches", "-D", "rows=3")
        ended = programs.run(program, "--evaluate", "all", "--synthetic")
        self.assertEqual(ended.code, 1)
        self.assertIn("--synthetic has nothing to evaluate", ended.err)


if __name__ == "__main__":
    unittest.main()
