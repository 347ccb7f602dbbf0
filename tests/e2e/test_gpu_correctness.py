# SPDX-License-Identifier: Apache-2.0
"""`tests/gpu/run correctness` from end to end without a GPU: in the place of programs for one, the reference interpreter runs what the compiler
lowers to them. So bounds are known to suffice for rounding: f32 beside f64, bf16 and fp16 value by value."""
import argparse
import json
import pathlib
import shutil
import struct
import tarfile
import types
import unittest

import programs
from test_gpu_bench import script

SEQUENCE = programs.BUILD / "bin" / "step_sequence"
STAGE, STEPS = "instruct", 300  # of its schedule
LONG = 12


class StandIn:
    """Answers as the programs do."""

    def __init__(self, prepare, folder, seed):
        self.prepare, self.folder, self.seed = prepare, folder, seed
        self.program = prepare.compiled(prepare.TINY, folder / "cpu")

    def truth(self):
        """What `prepare` brings along, of one stage."""
        self.prepare.LONG, self.prepare.stage_names = LONG, lambda _: [STAGE]
        (self.folder / "truth").mkdir()
        self.prepare.truth(self.program, self.folder / "truth", self.seed)
        about = {"modes": ["correctness"], "stages": [STAGE], "dumped": self.prepare.DUMPED, "long": LONG, "seed": self.seed, "commit": "none"}
        (self.folder / "about.json").write_text(json.dumps(about))
        tarfile.open(self.folder / "programs.tar.xz", "w:xz").close()

    def answer(self, name, *words, **_):
        given = dict(zip(words, words[1:]))
        out = pathlib.Path(given["--out"]) / f"{given['--stage']}.synthetic"
        shutil.rmtree(out, ignore_errors=True)
        programs.succeed(self.program, *words, "--threads", 2)
        if "--dump" in given:
            numerics = name.removeprefix("tiny-")
            dumps = sorted((out / "dump").iterdir())[:None if numerics == "f32" else 1]
            self.interpret(numerics, dumps)
        return ""

    def interpret(self, numerics, dumps):
        """Puts what the interpreter computes of dumped steps in the place of what the CPU did."""
        graph, given, result = (self.folder / f"{numerics}.{ending}" for ending in ("mlir", "given", "result"))
        programs.succeed(programs.VCC, "compile", self.prepare.TINY, "--target=cuda", "-D", f"numerics={numerics}", "--emit=step", "--stage", STAGE, "-o", graph)
        tensors, steps = {}, [programs.read_tensors(path)[0] for path in dumps]
        for number, step in enumerate(steps):
            for name, tensor in step.items():
                kind, rest = name.split("/", 1)
                if kind == "before" and number == 0:
                    tensors[f"state/{rest}"] = tensor
                if kind == "input":
                    tensors[f"input/{number}/0/main/{rest.split('/', 1)[1]}"] = tensor
            for name, value in (("index", number), ("total", STEPS), ("per_epoch", 1000)):
                tensors[f"update/{number}/step.{name}"] = ("F32", (), struct.pack("<f", value))
        programs.write_tensors(given, tensors)
        programs.succeed(SEQUENCE, graph, given, result, *(["f64"] if numerics == "f32" else []), seconds=300)
        found = programs.read_tensors(result)[0]
        for number, (path, step) in enumerate(zip(dumps, steps)):
            made = {name: tensor for name, tensor in step.items() if name.startswith("input/")}
            for kind, place in (("output", "output"), ("gradient", "gradient"), ("after", "state")):
                made |= {f"{kind}/{name.split('/', 2)[2]}": tensor for name, tensor in found.items() if name.startswith(f"{place}/{number}/")}
            programs.write_tensors(path, made)


class Correctness(unittest.TestCase):
    def test_all_numerics_are_within_their_bounds(self):
        seed = programs.chosen_seed()
        print(f"seed {seed}", flush=True)
        scratch = programs.fresh_folder()
        self.addCleanup(scratch.cleanup)
        folder, run = pathlib.Path(scratch.name), script("run")
        stand_in = StandIn(script("prepare"), folder, seed)
        stand_in.truth()
        given = argparse.Namespace(folder=folder, cuda_libs="", results=folder / "results", mode="correctness")
        bench = run.Bench(given, types.SimpleNamespace(name="Stand In", cuda="0.0", identity="-"))
        self.addCleanup(shutil.rmtree, bench.scratch)
        bench.program = stand_in.answer
        said, say = [], bench.say
        bench.say = lambda text, good=True: (said.append(text), say(text, good))
        bench.correctness()
        found = json.loads(bench.path.read_text())
        self.assertTrue(found["good"], f"seed {seed}\n" + "\n".join(said + found["faults"]))
        self.assertEqual(found["faults"], [])
        self.assertEqual(set(found["correctness"]), {f"f32 {STAGE} 0", f"f32 {STAGE} 1", f"f32 {STAGE} late loss", f"bf16 {STAGE} 0", f"bf16 {STAGE} late loss",
                                                     f"fp16 {STAGE} 0", f"fp16 {STAGE} late loss"})
        self.assertEqual(found["not_run"], [] if shutil.which("compute-sanitizer") else ["compute-sanitizer: not on the PATH"])


if __name__ == "__main__":
    unittest.main()
