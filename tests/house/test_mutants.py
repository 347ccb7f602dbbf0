# SPDX-License-Identifier: Apache-2.0
"""What tests/mutants breaks is still there: each text stands once in its file, and the tests that must notice exist."""
import importlib.machinery
import importlib.util
import pathlib
import re
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]


def load():
    loader = importlib.machinery.SourceFileLoader("mutants", str(TESTS / "mutants"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutants", loader))
    loader.exec_module(module)
    return module


class Mutants(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mutants = load().read_list()

    def test_names_differ(self):
        names = [mutant.name for mutant in self.mutants]
        self.assertEqual(len(names), len(set(names)))

    def test_texts_stand_once_in_their_files(self):
        for mutant in self.mutants:
            with self.subTest(mutant=mutant.name):
                old, new = mutant.texts()
                self.assertNotEqual(old, new)
                self.assertEqual((TESTS.parent / mutant.file).read_text().count(old), 1, f"in {mutant.file}")

    def test_named_tests_exist(self):
        programs = "\n".join(file.read_text() for file in TESTS.rglob("*Test.cpp"))
        for name in sorted({test for mutant in self.mutants for test in mutant.tests}):
            with self.subTest(test=name):
                suite, rest = name.split("/", 1)
                if suite == "lit":
                    self.assertTrue((TESTS / rest).is_file())
                elif suite == "unit":
                    group, case = re.sub(r"^\w+\.", "", rest).split(".", 1)
                    group, case = group.split("/")[-1], case.split("/")[0]
                    pattern = rf"TEST(_F|_P)?\({group}, {case if case != '*' else ''}"
                    self.assertRegex(programs, pattern)
                else:
                    file, group, case = rest.split(".")
                    text = (TESTS / suite / f"{file}.py").read_text()
                    self.assertIn(f"class {group}(", text)
                    self.assertIn(f"def {case}(", text)


if __name__ == "__main__":
    unittest.main()
