# SPDX-License-Identifier: Apache-2.0
"""Recipes of the tests as programs, their data, and running both under limits.

A program is kept under build/test-programs by the hash of all that it is made from, so that several test files share one.
"""
import hashlib
import json
import os
import pathlib
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = TOP / os.environ.get("VCC_BUILD", "build")
VCC = BUILD / "bin" / "vcc"
RECIPES = TOP / "tests" / "e2e" / "recipes"
STORE = BUILD / "test-programs"
GIGABYTE = 1 << 30
# A program with two threads, its libraries and the small models of the tests needs less than half of this.
MEMORY = 3 * GIGABYTE
SECONDS = 60
SANITIZED = bool(os.environ.get("VCC_SANITIZED"))  # by tests/san: many times slower, with more addresses than memory


class Ended:
    """How a process ended: code (negative: the signal), out and err as text."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return f"exit {self.code}\n{self.out[-1500:]}\n{self.err[-3000:]}"


def run(*command, memory=MEMORY, seconds=SECONDS, cwd=None, env=None):
    """Runs to the end under a limit on memory and time; a process that takes longer is a failure of the test."""
    def limit():
        if not SANITIZED:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    finished = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              preexec_fn=limit, timeout=seconds * (10 if SANITIZED else 1), cwd=cwd, env=env)
    return Ended(finished.returncode, finished.stdout.decode(errors="replace"), finished.stderr.decode(errors="replace"))


def ranks(count, *command):
    """A command run by so many ranks; several share the processors here."""
    return ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(count), *(str(word) for word in command)]


def succeed(*command, **options):
    ended = run(*command, **options)
    if ended.code:
        raise AssertionError(f"{' '.join(str(word) for word in command)}: {ended}")
    return ended.out


def _identity(recipe, options):
    digest = hashlib.sha256(repr(options).encode())
    for file in [VCC, BUILD / "lib" / "libvcc_runtime.a", BUILD / "lib" / "libvcc_runtime_mpi.a", recipe] + sorted((TOP / "stdlib").rglob("*.vcs")):
        digest.update(file.read_bytes() if file.exists() else b"-")
    return digest.hexdigest()[:20]


def compiled(name, *options):
    """The program of tests/e2e/recipes/<name>.vcs, compiled now unless it was before."""
    recipe = RECIPES / f"{name}.vcs"
    program = STORE / f"{name}-{_identity(recipe, options)}" / "train.bin"
    if program.exists():
        return program
    STORE.mkdir(parents=True, exist_ok=True)
    keep = 6
    for old in sorted(STORE.glob(f"{name}-*"), key=os.path.getmtime)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    program.parent.mkdir(exist_ok=True)
    succeed(VCC, "compile", recipe, "-o", program, *options, seconds=300)
    return program


def words_data(folder, seed=0):
    """texts.json and lm.model of a small world, vocab.txt and quiz.json for the recipe `words`."""
    folder = pathlib.Path(folder)
    succeed(sys.executable, TOP / "examples" / "tiny_lm" / "make_data.py", "--out", folder, "--count", "300", "--seed", seed)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "what", "is", "the", "sky", "grass", "sun", "blue", "green", "yellow", "?", ".", "a"]
    (folder / "vocab.txt").write_text("".join(token + "\n" for token in tokens))
    colours = {"sky": "blue", "grass": "green", "sun": "yellow"}
    records = [{"QA": [{"q": f"what is the {thing} ?", "a": colour}], "candidates": sorted(colours.values()), "kind": thing}
               for thing, colour in colours.items()]
    (folder / "quiz.json").write_text(json.dumps(records * 4))
    return folder


def clips_data(folder, count=8):
    """Short mp4 files and clips.json for the recipe `clips`."""
    folder = pathlib.Path(folder)
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    records = []
    for number in range(count):
        kind = ["bars", "life"][number % 2]
        source = "smptebars=size=32x32:rate=8" if kind == "bars" else f"life=size=32x32:rate=8:seed={number + 1}"
        succeed("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-frames:v", "6", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast",
                folder / "clips" / f"{number}.mp4")
        records.append({"video": f"{number}.mp4", "label": kind})
    (folder / "clips.json").write_text(json.dumps(records))
    return folder


def write_film_without_frames(path):
    """An mp4 file that says of each frame only how it differs from one before, of which the first is missing."""
    succeed("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "smptebars=size=32x32:rate=8", "-frames:v", "6", "-pix_fmt", "yuv420p", "-c:v", "libx264",
            "-bsf:v", "noise=drop=key", path)


def log_of(out, stage):
    return [json.loads(line) for line in (pathlib.Path(out) / stage / "log.jsonl").read_text().splitlines()]


def steps_of(out, stage):
    return [line for line in log_of(out, stage) if "event" not in line]


def numbers_of(step):
    """What a step computed: its log line without times."""
    return {key: value for key, value in step.items() if key not in ("seconds", "data_wait")}


def read_tensors(path):
    """name -> (dtype, shape, bytes) of a safetensors file, and its metadata."""
    content = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    metadata = header.pop("__metadata__", {})
    data = content[8 + length:]
    return {name: (entry["dtype"], tuple(entry["shape"]), data[slice(*entry["data_offsets"])]) for name, entry in header.items()}, metadata


def write_tensors(path, tensors, metadata=None):
    """The reverse: name -> (dtype, shape, bytes)."""
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def chosen_seed():
    """The seed of a randomised test: fresh, or VCC_TEST_SEED to repeat one."""
    return int(os.environ.get("VCC_TEST_SEED") or random.SystemRandom().randrange(1 << 31))


def fresh_folder():
    return tempfile.TemporaryDirectory(prefix="vcc-test-")
