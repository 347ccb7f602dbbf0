# SPDX-License-Identifier: Apache-2.0
"""What tests take from PyPI, each in a virtual environment in a cache folder outside the checkout, keyed by its requirements, made by
the first test that needs it: PyTorch, Transformers and PEFT for the parity tests and benchmarks; NVIDIA's assembler, ptxas, where
there is no CUDA toolkit."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import unittest

PYTHON = "/usr/bin/python3"  # Debian's, which has venv
TESTS = pathlib.Path(__file__).parent


class Unavailable(Exception):
    """The environment could not be made; says why."""


def parity_python():
    """Path of the interpreter that has the packages of parity/requirements.txt."""
    return str(_environment("parity", TESTS / "parity" / "requirements.txt", "PyTorch, some minutes") / "bin" / "python3")


def cuda_home():
    """The folder whose bin/ has ptxas: CUDA_HOME, the toolkit's usual place, that of the PATH, else the package of PyPI."""
    found = shutil.which("ptxas")
    places = [os.environ.get("CUDA_HOME"), "/usr/local/cuda", pathlib.Path(found).parent.parent if found else None]
    for place in places:
        if place and (pathlib.Path(place) / "bin" / "ptxas").exists():
            return str(place)
    folder = _environment("cuda", TESTS / "runtime_cuda" / "requirements.txt", "NVIDIA's assembler")
    wheels = sorted(folder.glob("lib/python*/site-packages/nvidia/*/bin/ptxas"))
    if not wheels:
        raise Unavailable(f"the packages of {folder} hold no ptxas")
    return str(wheels[-1].parent.parent)


def use_ptxas():
    """Lets vcc find it, for the tests of this process; where there is none they are skipped."""
    try:
        os.environ["CUDA_HOME"] = cuda_home()
    except Unavailable as why:
        raise unittest.SkipTest(f"no ptxas: {why}") from why


def _environment(name, requirements, what):
    text = requirements.read_text()
    version = subprocess.run([PYTHON, "--version"], capture_output=True, text=True).stdout
    key = hashlib.sha256((text + version).encode()).hexdigest()[:12]
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "vcc"
    folder = cache / f"{name}-{key}"
    python = folder / "bin" / "python3"
    if (folder / "DONE").exists():
        return folder
    print(f"making the environment `{name}` for tests ({what}, once)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    steps = [[PYTHON, "-m", "venv", str(folder)],
             [str(python), "-m", "pip", "install", "-q", "-r", str(requirements)]]
    for step in steps:
        finished = subprocess.run(step, capture_output=True, text=True)
        if finished.returncode:
            last = (finished.stderr or finished.stdout).strip().splitlines()[-1:]
            raise Unavailable(f"`{' '.join(step)}` failed: {' '.join(last)}")
    (folder / "DONE").touch()
    return folder
