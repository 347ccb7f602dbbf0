# SPDX-License-Identifier: Apache-2.0
"""The Python environment of the parity tests and benchmarks: PyTorch, Transformers and PEFT from PyPI, in a
cache folder outside the checkout, keyed by the requirements, made by the first test that needs it."""
import hashlib
import os
import pathlib
import shutil
import subprocess

PYTHON = "/usr/bin/python3"  # Debian's, which has venv
REQUIREMENTS = pathlib.Path(__file__).parent / "parity" / "requirements.txt"


class Unavailable(Exception):
    """The environment could not be made; says why."""


def parity_python():
    """Path of the interpreter that has the packages of parity/requirements.txt."""
    text = REQUIREMENTS.read_text()
    version = subprocess.run([PYTHON, "--version"], capture_output=True, text=True).stdout
    key = hashlib.sha256((text + version).encode()).hexdigest()[:12]
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "vcc"
    folder = cache / f"parity-{key}"
    python = folder / "bin" / "python3"
    if (folder / "DONE").exists():
        return str(python)
    print("making the PyTorch environment for the parity tests (some minutes, once)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True)
    steps = [[PYTHON, "-m", "venv", str(folder)],
             [str(python), "-m", "pip", "install", "-q", "-r", str(REQUIREMENTS)]]
    for step in steps:
        finished = subprocess.run(step, capture_output=True, text=True)
        if finished.returncode:
            last = (finished.stderr or finished.stdout).strip().splitlines()[-1:]
            raise Unavailable(f"`{' '.join(step)}` failed: {' '.join(last)}")
    (folder / "DONE").touch()
    return str(python)
