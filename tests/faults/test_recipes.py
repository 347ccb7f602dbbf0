# SPDX-License-Identifier: Apache-2.0
"""Recipes made to break a compiler: each ends with a diagnostic that names the place, exit 2, in little time and memory, and with
nothing written."""
import pathlib
import unittest

import programs

MEMORY = 4 * programs.GIGABYTE  # addresses, of which the shared libraries of LLVM and MLIR are a good part
SECONDS = 30

# A whole recipe with places to break: FIELDS in the layer, BODY in its forward, TOP before the model.
SHELL = """module broken
import nn.{{Linear}}
import losses
import optimizers.{{sgd}}
import schedules.{{linear}}
import data.{{class_json}}
{top}
layer Part(n: int) {{
  {fields}
  inner: Linear({width}, 2)
  forward(clip: [B, 1, 3, 4, 4]) -> [B, 2] {{
    {body}
    return inner(reshape(clip, [B, {width}])){result}
  }}
}}
dataset images = class_json("a.json", media: "m/")
model M {{
  encoder part: Part({argument})
}}
stage 1 "s" of M {{
  uses part
  train part
  start part from init
  batch {{
    samples: {rows} from [images] {{ frames: 1, sample: middle, size: 4, mean: (0.5, 0.5, 0.5), std: (0.5, 0.5, 0.5) }}
    kind: labels {{ from: label, of: ["a", "b"] }}
  }}
  loss {{ l: 1.0 * losses.classification(part(clip), kind, batch.samples) }}
  optimize sgd {{ lr: {rate} }}
  schedule linear {{ steps: {steps} }}
  save at end
}}
"""


def recipe(**parts):
    return SHELL.format(**{**dict(top="", fields="", body="", result="", width="48", argument="1", rows="2", rate="0.1", steps="2"), **parts})


class Recipes(unittest.TestCase):
    def check(self, content, *words, code=2, name="broken.vcs", others=()):
        """`vcc check` ends with `code`; its message names the file and holds the words; the folder is as it was."""
        with programs.fresh_folder() as folder:
            file = pathlib.Path(folder) / name
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
            for other, text in dict(others).items():
                (pathlib.Path(folder) / other).write_text(text)
            before = sorted(pathlib.Path(folder).rglob("*"))
            ended = programs.run(programs.VCC, "compile", file, "-o", pathlib.Path(folder) / "train.bin", memory=MEMORY, seconds=SECONDS, cwd=folder)
            self.assertEqual(ended.code, code, ended)
            self.assertLess(len(ended.err), 20000, "a flood of messages")
            self.assertEqual(before, sorted(pathlib.Path(folder).rglob("*")), "something was left behind")
            if code == 2:
                # Text that cannot be read at all has no lines: its place is the file.
                self.assertRegex(ended.err, r"--> .*\.vcs:\d+:\d+" if "V0002" not in ended.err and "V0006" not in ended.err else r"--> .*\.vcs", ended)
                self.assertRegex(ended.err, r"error\[V\d{4}\]", ended)
            for word in words:
                self.assertIn(word, ended.err)
            return ended.err

    def test_the_shell_itself_is_right(self):
        with programs.fresh_folder() as folder:
            file = pathlib.Path(folder) / "broken.vcs"
            file.write_text(recipe())
            programs.succeed(programs.VCC, "check", file, memory=MEMORY)

    # What is no text of the language.
    def test_empty(self):
        self.check("")

    def test_only_spaces(self):
        self.check(" \n\t\n" * 1000)

    def test_binary(self):
        self.check(bytes(range(256)) * 64)

    def test_zero_bytes(self):
        self.check(recipe().replace("Part", "Pa\0rt"))

    def test_not_utf8(self):
        self.check(recipe().encode().replace(b'"s"', b'"\xff\xfe"'))

    def test_overlong_and_surrogate_utf8(self):
        self.check(recipe().encode() + b"// \xc0\x80 \xed\xa0\x80 \xf8\x88\x80\x80\x80\n")

    def test_truncated(self):
        text = recipe()
        for share in (0.2, 0.5, 0.8, 0.97):
            with self.subTest(share=share):
                self.check(text[:int(len(text) * share)])

    def test_open_string_and_comment(self):
        self.check(recipe(top='const x = "never closed'))

    def test_one_long_line(self):
        self.check("module broken " + "x" * (10 << 20))

    def test_ten_megabytes_of_operators(self):
        self.check("module broken\nconst x = 1" + " + 1" * (10 << 18))

    def test_a_name_of_a_megabyte_is_shown_short(self):
        self.check(recipe(body="let y = " + "n" * (1 << 20)))

    # Nesting.
    def test_deep_parentheses(self):
        self.check("module broken\nconst x = " + "(" * 100000 + "1" + ")" * 100000)

    def test_deep_brackets(self):
        self.check("module broken\nconst x = " + "[" * 100000)

    def test_deep_unary(self):
        self.check("module broken\nconst x = " + "-" * 100000 + "1")

    def test_deep_not(self):
        self.check("module broken\nconst x = " + "not " * 100000 + "true")

    def test_deep_power(self):
        self.check("module broken\nconst x = 1" + " ** 1" * 50000)

    def test_deep_conditionals(self):
        self.check("module broken\nconst x = 1" + " if true else 1" * 50000)

    def test_deep_members(self):
        self.check(recipe(top="const x = nn" + ".a" * 50000))

    def test_deep_calls(self):
        self.check(recipe(top="const x = nn" + "()" * 50000))

    def test_deep_blocks(self):
        self.check(recipe(body="if true { " * 50000))

    def test_deep_braces_of_a_selector(self):
        self.check(recipe().replace("train part", "train " + "{" * 50000 + "part"))

    # Recursion.
    def test_constants_in_a_circle(self):
        self.check(recipe(top="const a = b\nconst b = a", width="a"))

    def test_a_constant_of_itself(self):
        self.check(recipe(top="const a = a + 1", width="a"))

    def test_a_function_that_calls_itself(self):
        self.check(recipe(top="fn f(n: int) -> int { return f(n + 1) }", width="f(1)"))

    def test_functions_in_a_circle(self):
        self.check(recipe(top="fn f(n: int) -> int { return g(n) }\nfn g(n: int) -> int { return f(n) }", width="f(1)"))

    def test_a_layer_inside_itself(self):
        self.check(recipe(fields="again: Part(n)"))

    def test_layers_that_double(self):
        self.check(recipe(top="layer T(n: int) {\n  a: T(n - 1)\n  b: T(n - 1)\n  forward(x: [..]) -> [..] { return x }\n}", fields="t: T(60)"))

    def test_calls_that_double(self):
        self.check(recipe(top="fn f(n: int) -> int { return 1 if n == 0 else f(n - 1) + f(n - 1) }", width="f(60)"))

    def test_a_module_that_imports_itself(self):
        self.check(recipe(top="import broken"))

    def test_modules_in_a_circle(self):
        self.check(recipe(top="import other"), others={"other.vcs": "module other\nimport broken\n"})

    def test_a_module_that_is_a_folder_or_missing(self):
        self.check(recipe(top="import nowhere"), "nowhere")

    # Sizes.
    def test_a_huge_range(self):
        self.check(recipe(fields="many: [Linear(1, 1) for i in 0..1000000000]"))

    def test_a_huge_loop(self):
        self.check(recipe(body="for i in 0..1000000000 { let y = i }"))

    def test_a_huge_list(self):
        self.check(recipe(top="const x = [0] * 1000000000", width="48 + len(x)"))

    def test_a_huge_text(self):
        self.check(recipe(top='const x = "abcdefgh" * 1000000000', width="48 + len(x)"))

    def test_lists_that_double(self):
        top = "const x0 = [1, 2]\n" + "".join(f"const x{i + 1} = x{i} + x{i}\n" for i in range(60))
        self.check(recipe(top=top, width="48 + len(x60)"))

    def test_a_range_without_end(self):
        self.check(recipe(top="const x = 0..9223372036854775807", width="len(x)"))

    def test_a_weight_of_two_to_the_forty(self):
        self.check(recipe(fields="w: param[1048576, 1048576] = zeros", result=" + sum(w)"))

    def test_a_weight_of_more_elements_than_can_be_counted(self):
        self.check(recipe(fields="w: param[4294967296, 4294967296, 4294967296] = zeros", result=" + sum(w)"))

    def test_more_than_this_machine_has(self):
        """A larger machine might hold it, so it compiles; here it ends with exit 4 and says what needs how much."""
        with programs.fresh_folder() as folder:
            file = pathlib.Path(folder) / "large.vcs"
            file.write_text(recipe(fields="w: param[1048576, 131072] = zeros", result=" + sum(w * w)"))
            program = pathlib.Path(folder) / "train.bin"
            programs.succeed(programs.VCC, "compile", file, "-o", program, memory=MEMORY, seconds=SECONDS)
            ended = programs.run(program, "--stage", "1", "--data", folder, "--out", pathlib.Path(folder) / "out", memory=programs.MEMORY, seconds=SECONDS)
            self.assertEqual(ended.code, 4, ended)
            self.assertRegex(ended.err, r"stage `s` needs 1649.27 GB .* but this machine has")

    def test_negative_sizes(self):
        self.check(recipe(fields="w: param[-4] = zeros"))
        self.check(recipe(body="let y = zeros([-1, 4])"))
        self.check(recipe(rows="-2"))

    def test_no_rows(self):
        self.check(recipe(rows="0"))

    def test_a_billion_rows(self):
        self.check(recipe(rows="1000000000000"))

    def test_negative_steps(self):
        self.check(recipe(steps="-1"))
        self.check(recipe(steps="0"))

    def test_sizes_that_are_no_numbers(self):
        self.check(recipe(width='"wide"'))
        self.check(recipe(width="4.5"))
        self.check(recipe(argument="none", width="n"))

    # Arithmetic.
    def test_division_by_zero(self):
        self.check(recipe(top="const x = 1 // 0", width="x"))
        self.check(recipe(top="const x = 1 % 0", width="x"))
        self.check(recipe(width="int(1 / 0)"))

    def test_overflow(self):
        self.check(recipe(top="const x = 9223372036854775807 + 1", width="x"))
        self.check(recipe(top="const x = 9223372036854775807 * 3", width="x"))
        self.check(recipe(top="const x = 2 ** 100000", width="x"))
        self.check(recipe(top="const x = (-9223372036854775807 - 1) // (0 - 1)", width="x"))

    def test_numbers_that_do_not_fit(self):
        self.check(recipe(top="const x = 99999999999999999999999999", width="x"))
        self.check(recipe(rate="1e99999"))
        self.check(recipe(width="int(1e300)"))

    def test_index_out_of_range(self):
        self.check(recipe(top="const x = [1, 2]", width="x[5]"))
        self.check(recipe(top="const x = [1, 2]", width="x[-3]"))
        self.check(recipe(body="let y = clip[:, 9]"))

    # Shapes and axes.
    def test_axes_that_are_not_there(self):
        for body in ("let y = sum(clip, axis: 7)", "let y = transpose(clip, [0, 0, 1, 2, 3])", "let y = reshape(clip, [7])",
                     "let y = concat([], 0)", "let y = pad(clip, axis: 1, before: -3, after: 0, value: 0)", "let y = clip[:, 3:1]"):
            with self.subTest(body=body):
                self.check(recipe(body=body))

    # Command line and files.
    def test_a_folder_instead_of_a_recipe(self):
        with programs.fresh_folder() as folder:
            self.fails(folder)

    def test_a_recipe_that_is_not_there(self):
        self.fails("/nowhere/at/all.vcs")

    def test_a_device_instead_of_a_recipe(self):
        self.fails("/dev/zero")

    def fails(self, path):
        ended = programs.run(programs.VCC, "check", path, memory=MEMORY, seconds=SECONDS)
        self.assertEqual(ended.code, 2, ended)
        self.assertIn(str(path), ended.err)

    def test_an_output_that_cannot_be_written(self):
        with programs.fresh_folder() as folder:
            file = pathlib.Path(folder) / "broken.vcs"
            file.write_text(recipe())
            for output in ("/proc/nowhere/train.bin", folder):
                ended = programs.run(programs.VCC, "compile", file, "-o", output, memory=MEMORY, seconds=SECONDS)
                self.assertEqual(ended.code, 1, ended)
                self.assertIn("cannot write", ended.err)
                self.assertIn(output, ended.err)
            self.assertEqual([path.name for path in pathlib.Path(folder).iterdir()], ["broken.vcs"])
            self.assertEqual(list(pathlib.Path(folder).parent.glob(pathlib.Path(folder).name + ".partial*")), [])

    def test_definitions(self):
        with programs.fresh_folder() as folder:
            file = pathlib.Path(folder) / "broken.vcs"
            file.write_text(recipe(top="const width = 48", width="width"))
            for define in ("width=1 +", "width=(((", "widht=3", "width=width", 'width="', "width=0..1000000000"):
                with self.subTest(define=define):
                    ended = programs.run(programs.VCC, "check", file, "-D", define, memory=MEMORY, seconds=SECONDS)
                    self.assertIn(ended.code, (1, 2), ended)
                    self.assertIn("error", ended.err)

    def test_numbers_out_of_range(self):
        """Numbers with which a part computes nothing that is meant are named, with the range."""
        recipe_file = programs.TOP / "examples" / "tiny_videochat2" / "tiny_videochat2.vcs"
        text = recipe_file.read_text()
        for old, new, words in [
                ("depth: 3, heads: 4, frames", "depth: 0, heads: 4, frames", "`depth` is at least 1, not 0"),
                ("depth: 3, heads: 4, frames", "depth: -1, heads: 4, frames", "`depth` is at least 1, not -1"),
                ("width: 64, depth: 4", "width: 64, depth: -1", "`depth` is at least 1, not -1"),
                ("patch: 16, tubelet: 2", "patch: 0, tubelet: 2", "`patch` is at least 1, not 0"),
                ("rank: 8, alpha", "rank: 0, alpha", "`rank` is at least 1, not 0"),
                ("question: words { from: q, max_tokens: 12", "question: words { from: q, max_tokens: 9000000000", "must be in 1..1048576 but is 9000000000"),
                ("warmup: 30 steps * longer", "warmup: 10%", "help: write it in steps or epochs: 10% of 1000 steps are `100 steps`"),
                ("patch: 16, tubelet: 2", "patch: 15, tubelet: 2", "cannot be cut into patches of 15"),
                ("patch: 16, tubelet: 2", "patch: 16, tubelet: 3", "cannot be cut into tubelets of 3"),
                ("depth: 3, heads: 4, frames", "depth: 3, heads: 5, frames", "a width of 64 is no multiple of 5 heads"),
                ("bridge_dropout = 0.0", "bridge_dropout = 1.0", "from 0 to below 1, not 1.0"),
                ("alpha: 16, dropout: 0.0", "alpha: 16, dropout: 1.5", "`dropout` makes zero is from 0 to below 1, not 1.5"),
                ("alpha: 16, dropout: 0.0", "alpha: 0, dropout: 0.0", "`alpha` is above zero, not 0"),
                ("next_token(lm, passage)", "next_token(lm, passage, smoothing: 3.0)", "`smoothing` is a share from 0 to below 1, not 3.0"),
                ("clip: 1.0", "clip: -1.0", "`clip` is a norm above zero, not -1.0"),
                ("betas: (0.9, 0.98)", "betas: (0.9, 1.5)", "each of `betas` is from 0 to below 1, not 1.5"),
                ("weight_decay: 0.02", "weight_decay: -1.0", "`weight_decay` is not below zero, but it is -1.0")]:
            with self.subTest(new=new), programs.fresh_folder() as folder:
                self.assertIn(old, text)
                file = pathlib.Path(folder) / "broken.vcs"
                file.write_text(text.replace(old, new))
                ended = programs.run(programs.VCC, "check", file, memory=MEMORY, seconds=SECONDS, cwd=folder)
                self.assertEqual(ended.code, 2, ended)
                self.assertIn(words, ended.err)


if __name__ == "__main__":
    unittest.main()
