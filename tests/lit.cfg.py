# SPDX-License-Identifier: Apache-2.0
# lit: every .mlir and .vcs file under tests/ with a RUN line is a test. Substitutions: vcc, vcc-opt, FileCheck, not,
# split-file, %stdlib (the standard library), %examples. VCC_LIT_ROUNDTRIP=1 makes every vcc-opt also check that what it
# prints parses back to the same.
import os

import lit.formats

top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
build = os.environ.get("VCC_BUILD", os.path.join(top, "build"))
llvm = "/usr/lib/llvm-19/bin"

config.name = "vcc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".vcs", ".test"]
config.excludes = ["Inputs", "run", "parity", "e2e", "bare", "bench", "mutants", "san"]
config.test_source_root = os.path.join(top, "tests")
config.test_exec_root = os.path.join(build, "tests", "lit")

roundtrip = " --verify-roundtrip" if os.environ.get("VCC_LIT_ROUNDTRIP") else ""


def tool(name, folder, arguments=""):
    # A word boundary on both sides, and no match inside paths or longer names such as vcc-opt.
    config.substitutions.append(
        (r"(?<![-\w./%])" + name + r"(?![-\w.])", os.path.join(folder, name) + arguments)
    )


tool("FileCheck", llvm)
tool("not", llvm)
tool("split-file", llvm)
tool("vcc-opt", os.path.join(build, "bin"), roundtrip)
tool("vcc", os.path.join(build, "bin"))
config.substitutions.append(("%stdlib", os.path.join(top, "stdlib")))
config.substitutions.append(("%examples", os.path.join(top, "examples")))

config.environment["PATH"] = os.pathsep.join([os.path.join(build, "bin"), llvm, os.environ.get("PATH", "")])
config.environment["VCC_STDLIB"] = os.path.join(top, "stdlib")
