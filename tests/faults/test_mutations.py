# SPDX-License-Identifier: Apache-2.0
"""Recipes with random changes of bytes and of words: `vcc check` ends with 0 or 2, never by a signal, never as an internal error. The
same for annotations through a program. A failure prints its seed; VCC_TEST_SEED repeats it."""
import concurrent.futures
import os
import pathlib
import random
import re
import unittest

import programs

RECIPES = [programs.RECIPES / "clips.vcs", programs.RECIPES / "words.vcs"]
PER_RECIPE = 40
WORDS = """if else for in let return true false none not and or 0 1 -1 2 1000000000 9223372036854775807 1e308 "" "text" [] [1, 2] () (1, 2) { } [ ] ( ) : ; , . .. = ==
-> + - * / // % ** @ # \\ ' ` steps epochs % GB MB training report splice gather concat zeros param self import module const struct layer fn model stage dataset
tokenizer template optimizer schedule uses train freeze idle start batch loss optimize evaluate save log from init except every end at up to skip on_error
\u00e9 \u4e2d \U0001f600 \u202e \ufeff""".split()


def by_bytes(text, generator):
    content = bytearray(text.encode())
    for _ in range(generator.randrange(1, 6)):
        place, length = generator.randrange(len(content)), generator.randrange(1, 40)
        action = generator.randrange(4)
        if action == 0:
            content[place] = generator.randrange(256)
        elif action == 1:
            del content[place:place + length]
        elif action == 2:
            content[place:place] = content[place:place + length]
        else:
            content[place:place] = bytes(generator.choice(b"(){}[]<>\"'\\/.,:;=-+*%\n\0 ") for _ in range(length))
    return bytes(content)


def by_words(text, generator):
    """A change that the lexer accepts more often than not, so that names, types and evaluation are reached."""
    tokens = re.findall(r'"[^"\n]*"|\w+|\s+|//[^\n]*|[^\w\s]', text)
    places = [i for i, token in enumerate(tokens) if not token.isspace() and not token.startswith("//")]
    for _ in range(generator.randrange(1, 4)):
        place, other = generator.choice(places), generator.choice(places)
        action = generator.randrange(5)
        if action == 0:
            tokens[place] = ""
        elif action == 1:
            tokens[place] = tokens[other]
        elif action == 2:
            tokens[place], tokens[other] = tokens[other], tokens[place]
        elif action == 3:
            tokens[place] = generator.choice(WORDS)
        else:
            tokens[place] += " " + generator.choice(WORDS)
    return "".join(tokens).encode()


def by_lines(text, generator):
    lines = text.splitlines(keepends=True)
    for _ in range(generator.randrange(1, 3)):
        place, other = generator.randrange(len(lines)), generator.randrange(len(lines))
        action = generator.randrange(3)
        if action == 0:
            lines[place] = ""
        elif action == 1:
            lines[place], lines[other] = lines[other], lines[place]
        else:
            lines.insert(place, lines[other])
    return "".join(lines).encode()


class Mutations(unittest.TestCase):
    def test_recipes(self):
        seed = programs.chosen_seed()
        generator, codes = random.Random(seed), {}
        originals = [path.read_text() for path in RECIPES]
        cases = [change(text, generator) for text in originals for change in (by_bytes, by_words, by_lines) for _ in range(PER_RECIPE)]
        with programs.fresh_folder() as folder:
            def check(number):
                file = pathlib.Path(folder) / f"case{number}.vcs"
                file.write_bytes(cases[number])
                return programs.run(programs.VCC, "check", file, memory=4 * programs.GIGABYTE, seconds=60)
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                for number, ended in enumerate(pool.map(check, range(len(cases)))):
                    codes[ended.code] = codes.get(ended.code, 0) + 1
                    with self.subTest(case=number):
                        self.assertIn(ended.code, (0, 2), f"VCC_TEST_SEED={seed}, case {number}: {ended}\n{cases[number].decode(errors='replace')}")
                        if ended.code == 2:
                            self.assertRegex(ended.err, r"error\[V\d{4}\]", f"VCC_TEST_SEED={seed}, case {number}")
        self.assertGreater(codes.get(2, 0), len(cases) // 2, codes)
        self.assertGreater(codes.get(0, 0), 0, codes)

    def test_annotations(self):
        seed = programs.chosen_seed()
        generator, codes = random.Random(seed), {}
        program = programs.compiled("words")
        with programs.fresh_folder() as folder:
            data = programs.words_data(pathlib.Path(folder) / "data")
            whole = (data / "texts.json").read_text()[:600]
            whole = whole[:whole.rindex("}") + 1] + "]"
            for number in range(100):
                (data / "texts.json").write_bytes(by_bytes(whole, generator))
                ended = programs.run(program, "--stage", "1", "--max-steps", "2", "--data", data, "--out", pathlib.Path(folder) / f"out{number}", "--threads", "1", seconds=60)
                codes[ended.code] = codes.get(ended.code, 0) + 1
                self.assertIn(ended.code, (0, 3), f"VCC_TEST_SEED={seed}, file {number}: {ended}")
        self.assertGreater(codes.get(3, 0), 20, codes)


if __name__ == "__main__":
    unittest.main()
