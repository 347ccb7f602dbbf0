# SPDX-License-Identifier: Apache-2.0
"""Runs the unittest cases of one file and prints one JSON object a case; `cases.py FILE [PATTERN]`."""
import importlib.util
import json
import pathlib
import sys
import unittest


class Lines(unittest.TestResult):
    def _line(self, test, outcome, detail=""):
        print(json.dumps({"case": test.id().split(".", 1)[-1], "outcome": outcome, "detail": detail}), flush=True)

    def addSuccess(self, test):
        self._line(test, "passed")

    def addFailure(self, test, error):
        self._line(test, "failed", self._exc_info_to_string(error, test))

    addError = addFailure

    def addSkip(self, test, reason):
        self._line(test, "skipped", reason)

    def addSubTest(self, test, subtest, error):
        if error is not None:
            self._line(subtest, "failed", self._exc_info_to_string(error, test))


def flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def main():
    file = pathlib.Path(sys.argv[1])
    pattern = sys.argv[2] if len(sys.argv) > 2 else ""
    sys.path[:0] = [str(file.parent), str(pathlib.Path(__file__).parent)]
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    cases = [test for test in flatten(unittest.defaultTestLoader.loadTestsFromModule(module))
             if pattern in f"{file.parent.name}/{test.id()}"]
    unittest.TestSuite(cases).run(Lines())


if __name__ == "__main__":
    main()
