# SPDX-License-Identifier: Apache-2.0
"""Runs the suites (lit, GoogleTest, Python) one after the other, prints what failed and what was skipped
with the reason, and ends with the one line of counts.

A test has a name `suite/file.case`; an argument keeps the tests whose name holds it.
"""
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import environment

TOP = pathlib.Path(__file__).resolve().parent.parent
TESTS = TOP / "tests"
LIT = "/usr/lib/llvm-19/build/utils/lit/lit.py"
SEED = re.compile(r"(seed |VCC_SEED=)\d+")
PYTHON_SUITES = ["house", "e2e", "faults", "parity"]
SOURCES = {".cpp", ".c", ".h", ".def", ".td", ".g4", ".cmake", ".py", ".vcs", ".mlir", ".test", ".txt", ""}
MADE = re.compile(r"examples/[^/]+/(out|data)/|.*__pycache__/")
LIMIT = 1200  # seconds for one Python file or one GoogleTest program


class Tally:
    """What was run: (name, outcome, detail); outcome is passed, failed or skipped."""

    def __init__(self):
        self.rows = []

    def add(self, name, outcome, detail=""):
        self.rows.append((name, outcome, detail))
        if outcome == "failed":
            print(f"FAILED {name}\n{detail.rstrip()}\n", flush=True)

    def count(self, outcome):
        return sum(1 for row in self.rows if row[1] == outcome)


def run_lit(tally, pattern):
    outcomes = {"PASS": "passed", "XFAIL": "passed", "UNSUPPORTED": "skipped"}
    with tempfile.TemporaryDirectory() as scratch:
        report = pathlib.Path(scratch) / "lit.json"
        command = [sys.executable, LIT, "-q", "--time-tests", "--allow-empty-runs", "--output", str(report), str(TESTS)]
        if pattern not in "lit/":
            command.insert(2, "--filter=" + re.escape(pattern.removeprefix("lit/")))
        finished = subprocess.run(command, capture_output=True, text=True)
        if not report.exists():
            if finished.returncode:
                tally.add("lit", "failed", finished.stdout + finished.stderr)
            return
        for test in json.loads(report.read_text())["tests"]:
            name = "lit/" + test["name"].split(" :: ", 1)[-1]
            if pattern in name:
                tally.add(name, outcomes.get(test["code"], "failed"), test.get("output", ""))


def skip_reason(output, suite, case):
    """What GTEST_SKIP said: the line after the place, between the test's start and its end."""
    begin = output.find(f"[ RUN      ] {suite}.{case}")
    lines = output[begin:output.find("[  SKIPPED ]", begin)].strip().splitlines()
    return lines[-1] if len(lines) > 1 else "no reason given"


def print_seeds(name, output):
    for line in sorted({line for line in output.splitlines() if SEED.match(line)}):
        print(f"{name}: {line}", flush=True)


def run_gtest(tally, pattern):
    folder = TOP / "build" / "bin" / "tests"
    for program in sorted(folder.glob("*_test")):
        listing = subprocess.run([program, "--gtest_list_tests"], capture_output=True, text=True)
        if listing.returncode:
            tally.add(f"unit/{program.name}", "failed", listing.stdout + listing.stderr)
            continue
        names, group = [], ""
        for line in listing.stdout.splitlines():
            text = line.split("#")[0].rstrip()
            if text.endswith(".") and not text.startswith(" "):
                group = text
            elif text.startswith("  "):
                names.append(group + text.strip())
        wanted = [n for n in names if pattern in f"unit/{program.name}.{n}"]
        if not wanted:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            report = pathlib.Path(scratch) / "report.json"
            try:
                finished = subprocess.run(
                    [program, f"--gtest_filter={':'.join(wanted)}", f"--gtest_output=json:{report}"],
                    capture_output=True, text=True, cwd=scratch, timeout=LIMIT)
            except subprocess.TimeoutExpired:
                tally.add(f"unit/{program.name}", "failed", f"not done after {LIMIT} s")
                continue
            print_seeds(program.name, finished.stdout)
            if not report.exists():
                tally.add(f"unit/{program.name}", "failed", (finished.stdout + finished.stderr)[-4000:])
                continue
            cases = json.loads(report.read_text())["testsuites"]
            failures = sum(suite["failures"] for suite in cases)
            if finished.returncode and not failures:
                tally.add(f"unit/{program.name}", "failed", f"exit {finished.returncode} after its tests\n{finished.stderr[-2000:]}")
            for suite in cases:
                for case in suite["testsuite"]:
                    name = f"unit/{program.name}.{suite['name']}.{case['name']}"
                    if case.get("failures"):
                        tally.add(name, "failed", "\n".join(f["failure"] for f in case["failures"]))
                    elif case.get("result") == "SKIPPED":
                        tally.add(name, "skipped", skip_reason(finished.stdout, suite["name"], case["name"]))
                    else:
                        tally.add(name, "passed")


def seed_of_files():
    """The same wherever and whenever the same sources are tested: what one machine found, another finds; other sources draw anew."""
    found = hashlib.sha256()
    for folder in ("compiler", "dialects", "dsl", "examples", "runtime", "stdlib", "tests"):
        for file in sorted((TOP / folder).rglob("*")):
            name = str(file.relative_to(TOP))
            if file.is_file() and file.suffix in SOURCES and not MADE.match(name):
                found.update(f"{name}\0".encode() + file.read_bytes())
    return int.from_bytes(found.digest()[:4], "big") >> 2


def run_cases(interpreter, file, pattern):
    return subprocess.run([interpreter, str(TESTS / "cases.py"), str(file), pattern],
                          capture_output=True, text=True, cwd=TESTS, timeout=LIMIT)


def run_python(tally, pattern):
    for suite in PYTHON_SUITES:
        for file in sorted((TESTS / suite).glob("test_*.py")):
            prefix = f"{suite}/{file.stem}"
            # The pattern may be any part of `suite/file.Class.case`; files that have no such words need not be run.
            if pattern not in prefix and not all(word in prefix + file.read_text() for word in re.split("[./]", pattern)):
                continue
            interpreter = sys.executable
            if suite == "parity":
                try:
                    interpreter = environment.parity_python()
                except environment.Unavailable as reason:
                    tally.add(prefix, "skipped", str(reason))
                    continue
            try:
                finished = run_cases(interpreter, file, pattern if pattern not in prefix else "")
            except subprocess.TimeoutExpired:
                tally.add(prefix, "failed", f"not done after {LIMIT} s")
                continue
            print_seeds(prefix, finished.stdout)
            lines = [line for line in finished.stdout.splitlines() if line.startswith("{\"case\"")]
            for line in lines:
                row = json.loads(line)
                tally.add(f"{prefix}.{row['case']}", row["outcome"], row["detail"])
            if finished.returncode:
                tally.add(prefix, "failed", finished.stdout[-2000:] + finished.stderr[-4000:])


def main():
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("VCC_TEST_SEED", str(seed_of_files()))
    print(f"VCC_TEST_SEED={os.environ['VCC_TEST_SEED']}", flush=True)
    tally = Tally()
    for title, suite in (("lit", run_lit), ("unit", run_gtest), ("python", run_python)):
        started, before = time.time(), len(tally.rows)
        suite(tally, pattern)
        print(f"{title}: {len(tally.rows) - before} tests, {time.time() - started:.0f} s", flush=True)
    skipped = [row for row in tally.rows if row[1] == "skipped"]
    for name, _, reason in skipped:
        print(f"skipped {name}: {reason.strip().splitlines()[0] if reason.strip() else 'no reason given'}")
    if not tally.rows:
        print(f"no test's name holds `{pattern}`", file=sys.stderr)
        return 1
    print(f"{tally.count('passed')} passed, {tally.count('failed')} failed, {tally.count('skipped')} skipped")
    return 1 if tally.count("failed") else 0


if __name__ == "__main__":
    sys.exit(main())
