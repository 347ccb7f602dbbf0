# SPDX-License-Identifier: Apache-2.0
"""Makes the data, compiles the recipe, trains every stage for one or several seeds and prints what was learned.

Everything lies in one folder (default: out/ beside this file): data/, train.bin, runs/<name>/<stage>/ with weights, log and
report, and summary.json. Of another world or size all but the data lies in a folder of its own there, such as objects-2/queries-4/.
"""
import argparse
import json
import os
import pathlib
import platform
import struct
import subprocess
import sys

import numpy

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
VCC = TOP / "build" / "bin" / "vcc"
RECIPE = HERE / "tiny_videochat2.vcs"
STAGES = ["language", "encoder", "align", "connect", "instruct"]
# What the recipe must reach: evaluation, kind, least or most percent. A fresh split is allowed less for shape.
TARGETS = [("held", "direction", ">=", 90), ("held", "colour", ">=", 90), ("held", "shape", ">=", 85),
           ("shuffled", "direction", "<=", 35), ("shuffled", "colour", "<=", 35), ("shuffled", "shape", "<=", 35),
           ("still", "direction", "<=", 40), ("still", "colour", ">=", 80)]
FRESH_SHAPE = 75
# What stage 1 must reach: evaluation, what it is, least percent, chance.
ALIGNED = [("retrieval", "the clip's caption among the 16 held-out ones", 85, 100 / 16), ("matching", "does the caption match the clip?", 90, 50)]
# How extra queries may start: name, constants of the recipe. `copies` are the trained queries with a little noise.
QUERIES = [("16 noise", {"extra_queries": 16}), ("16 copies", {"extra_queries": 16}),
           ("16 zeros, dropout 0.1", {"extra_queries": 16, "extra_init": "zeros", "bridge_dropout": 0.1}),
           ("0 extra, dropout 0.1", {"bridge_dropout": 0.1})]
# All stages together, on the two cores of a small machine.
MOST_SECONDS = 360
CHANCE = {"shape": 25.0, "colour": 25.0, "direction": 25.0, "speed": 50.0}


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="train this many seeds, 0 .. N-1 (default 1)")
    parser.add_argument("--fresh", type=int, nargs="?", const=1, metavar="SEED",
                        help="clips of another generator seed (default 1) with another held-out split")
    parser.add_argument("--ablate", choices=["stages", "queries"],
                        help="also train with `align` and with `connect` skipped, or with extra queries that start in several ways")
    parser.add_argument("--objects", type=int, default=1, choices=[1, 2, 3], help="how many a clip shows (default 1)")
    parser.add_argument("--queries", type=int, default=8, help="of the Q-Former (default 8)")
    parser.add_argument("--longer", type=int, default=1, metavar="TIMES", help="as many times the usual steps in every stage (default 1)")
    parser.add_argument("--threads", type=int, help="threads of the step (default: all cores)")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "out", help="where everything is put")
    return parser.parse_args()


def call(command, what):
    """Runs a command in the foreground; its failure ends this program with its exit code."""
    finished = subprocess.run([str(word) for word in command])
    if finished.returncode:
        print(f"error: {what} failed (exit {finished.returncode}): {' '.join(str(word) for word in command)}", file=sys.stderr)
        sys.exit(finished.returncode)


def make_data(top, fresh, objects):
    """The folder with the data."""
    name, command = "data", [sys.executable, HERE / "make_data.py"]
    if objects != 1:
        name, command = f"{name}-objects-{objects}", command + ["--objects", objects]
    if fresh is not None:
        name, command = f"{name}-fresh-{fresh}", command + ["--seed", fresh, "--fresh-split"]
    call(command + ["--out", top / name], "making the data")
    return top / name


def put_aside(runs):
    """Results of another compilation can neither be gone on with nor be shown as this one's."""
    if runs.exists():
        number = 1
        while (aside := runs.with_name(f"{runs.name}-before-{number}")).exists():
            number += 1
        runs.rename(aside)
        print(f"the recipe or the compiler has changed: earlier runs are now in {aside}", flush=True)


def compile_recipe(program, runs, constants):
    """`runs` is what the program trains."""
    inputs = [VCC, RECIPE, *sorted((TOP / "stdlib").rglob("*.vcs")), TOP / "build" / "lib" / "libvcc_runtime.a"]
    if program.exists() and all(file.stat().st_mtime <= program.stat().st_mtime for file in inputs):
        return
    program.parent.mkdir(parents=True, exist_ok=True)
    print(f"compiling {RECIPE.relative_to(TOP)}", flush=True)
    before = program.read_bytes() if program.exists() else b""
    call([VCC, "compile", RECIPE, "-o", program, *(word for name, value in constants.items() for word in ("-D", f"{name}={value}"))],
         "compiling the recipe")
    if program.read_bytes() != before:
        put_aside(runs)


def train(program, data, out, seed, stages, threads, weights=None):
    """Trains the stages in order in one process, which decodes every clip once; stages that are done are passed over."""
    command = [program, "--stage", ",".join(stages), "--data", data, "--out", out, "--seed", seed]
    command += ["--weights", weights] if weights else []
    call(command + (["--threads", threads] if threads else []), "training")
    return {stage: json.loads((out / stage / "summary.json").read_text()) for stage in stages}


def accuracies(summary, evaluation):
    """Per kind of question, in percent."""
    groups = summary["evaluations"][evaluation]["groups"]
    return {kind: 100.0 * group["accuracy"] for kind, group in groups.items()}


def print_stages(name, summaries):
    print(f"\n{name}")
    print(f"{'stage':<12}{'steps':>7}{'seconds':>10}{'data wait':>11}{'first loss':>12}{'last loss':>11}")
    for stage, summary in summaries.items():
        print(f"{stage:<12}{summary['steps']:>7}{summary['seconds']:>10.1f}{100.0 * summary['data_wait_share']:>10.1f}%"
              f"{summary['first']['loss']:>12.3f}{summary['last']['loss']:>11.3f}")
    print(f"{'all':<12}{sum(s['steps'] for s in summaries.values()):>7}{sum(s['seconds'] for s in summaries.values()):>10.1f}")


def print_accuracies(rows):
    kinds = list(CHANCE)
    print(f"\naccuracy in % ({platform_name()})")
    print(f"{'':<42}" + "".join(f"{kind:>11}" for kind in kinds))
    for title, values in rows:
        print(f"{title:<42}" + "".join(f"{values[kind]:>11.1f}" if kind in values else f"{'-':>11}" for kind in kinds))
    print(f"{'chance':<42}" + "".join(f"{CHANCE[kind]:>11.1f}" for kind in kinds))


def print_alignment(runs):
    """What `align` has learned, run by run."""
    names = [name for name, summaries in runs.items() if "align" in summaries]
    print(f"\nafter align, held out, in %{'':<29}" + "".join(f"{name:>12}" for name in names) + f"{'chance':>12}")
    for evaluation, words, _, chance in ALIGNED:
        values = [100.0 * runs[name]["align"]["evaluations"][evaluation]["accuracy"] for name in names]
        print(f"{words:<56}" + "".join(f"{value:>12.1f}" for value in values) + f"{chance:>12.1f}")
    for term, words in (("loss.vtc", "contrast"), ("loss.vtm", "matching"), ("loss.cap", "captions")):
        values = [(runs[name]["align"][end][term] for end in ("first", "last")) for name in names]
        print(f"{'loss of ' + words + ', first to last 10 steps':<56}" + "".join(f"{first:>6.2f}{last:>6.2f}" for first, last in values))


def platform_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return platform.machine()


def evaluation_rows(name, summaries):
    rows = []
    if "connect" in summaries:
        rows.append((f"{name}: held out, captions", accuracies(summaries["connect"], "captions")))
    for evaluation, words in (("held", "held out"), ("in", "trained combinations"), ("shuffled", "held out, clips shuffled"),
                              ("still", "held out, one frame repeated")):
        rows.append((f"{name}: {words}", accuracies(summaries["instruct"], evaluation)))
    return rows


def missed(name, summaries, fresh):
    """Sentences that say which target a full run of the usual world and sizes has missed."""
    for evaluation, kind, sign, bound in TARGETS:
        if fresh and (evaluation, kind) == ("held", "shape"):
            bound = FRESH_SHAPE
        value = accuracies(summaries["instruct"], evaluation)[kind]
        if value < bound if sign == ">=" else value > bound:
            yield f"{name}: {kind} ({evaluation}) is {value:.1f} % but should be {sign} {bound} %"
    for evaluation, words, bound, _ in ALIGNED:
        value = 100.0 * summaries["align"]["evaluations"][evaluation]["accuracy"]
        if value < bound:
            yield f"{name}: {evaluation} after align is {value:.1f} % but should be >= {bound} %"
    first, last = (summaries["align"][end]["loss.cap"] for end in ("first", "last"))
    if not last < 0.5 * first:
        yield f"{name}: the captions' loss in align fell only from {first:.2f} to {last:.2f}"
    seconds = sum(summary["seconds"] for summary in summaries.values())
    if seconds > MOST_SECONDS:
        yield f"{name}: training took {seconds:.0f} s but should take <= {MOST_SECONDS} s"


def changed(name, summaries):
    """Sentences that say which frozen weights have changed."""
    for stage, summary in summaries.items():
        if summary["frozen"]["before"] != summary["frozen"]["after"]:
            yield f"{name}: frozen weights of stage {stage} have changed"


def skip_stages(program, data, base, out, seed, skipped, threads):
    """The chain without one stage; what comes before it is shared with the full run."""
    share_stages(base, out, STAGES[:STAGES.index(skipped)])
    return train(program, data, out, seed, [stage for stage in STAGES if stage != skipped], threads)


def share_stages(base, out, stages):
    """What one run has trained, for another to start from."""
    for stage in stages:
        target = out / stage
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(os.path.relpath(base / stage, target.parent), target_is_directory=True)


def write_copied_queries(trained, path, count=16):
    """The queries of a stage's weights over and over, with noise of 0.1, as the first values of the extra ones."""
    content = trained.read_bytes()
    length, = struct.unpack_from("<Q", content)
    entry = json.loads(content[8:8 + length])["bridge.query_tokens"]
    begin, end = (8 + length + offset for offset in entry["data_offsets"])
    queries = numpy.frombuffer(content[begin:end], numpy.float32).reshape(entry["shape"])[0]
    copies = numpy.resize(queries, (1, count, queries.shape[1])) + numpy.random.default_rng(0).normal(0.0, 0.1, (1, count, queries.shape[1]))
    data = copies.astype("<f4").tobytes()
    header = json.dumps({"bridge.extra_query_tokens": {"dtype": "F32", "shape": list(copies.shape), "data_offsets": [0, len(data)]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def vary_queries(out, data, base, sizes, threads):
    """`connect` and `instruct` again for every way of starting extra queries, from the same stages before."""
    for name, constants in QUERIES:
        place = out / "queries" / name.replace(" ", "-").replace(",", "")
        program, run = place / "train.bin", place / base.name
        weights = place / "weights"
        compile_recipe(program, run, {**sizes, **constants})
        share_stages(base, run, STAGES[:3])
        weights.mkdir(parents=True, exist_ok=True)
        if name == "16 copies":
            write_copied_queries(base / "align" / "weights.safetensors", weights / "extra_queries.safetensors")
        yield name, train(program, data, run, 0, STAGES[3:], threads, weights)


def main():
    options = arguments()
    sizes = {name: size for name, size, usual in (("objects", options.objects, 1), ("queries", options.queries, 8), ("longer", options.longer, 1))
             if size != usual}
    data = make_data(options.out.resolve(), options.fresh, options.objects)
    out = options.out.resolve().joinpath(*(f"{name}-{size}" for name, size in sizes.items()))
    prefix = "seed" if options.fresh is None else f"fresh-{options.fresh}-seed"
    program = out / "train.bin"
    compile_recipe(program, out / "runs", sizes)

    runs, rows, faults = {}, [], []
    for seed in range(options.seeds):
        name = f"{prefix}-{seed}"
        runs[name] = train(program, data, out / "runs" / name, seed, STAGES, options.threads)
        rows += evaluation_rows(name, runs[name])
        faults += changed(name, runs[name])
        if not sizes:
            faults += missed(name, runs[name], options.fresh is not None)
    if options.ablate == "queries":
        for name, summaries in vary_queries(out, data, out / "runs" / f"{prefix}-0", sizes, options.threads):
            runs[name] = summaries
            rows += evaluation_rows(name, summaries)[:2]
    if options.ablate == "stages":
        base = out / "runs" / f"{prefix}-0"
        for skipped in ("align", "connect"):
            name = f"without-{skipped}"
            runs[name] = skip_stages(program, data, base, out / "runs" / f"{prefix}-0-{name}", 0, skipped, options.threads)
            rows += evaluation_rows(name, runs[name])

    for name, summaries in runs.items():
        print_stages(name, summaries)
    print_accuracies(rows)
    print_alignment(runs)
    for fault in faults or ([] if sizes else ["every target is met"]):
        print(f"\n{fault}")
    report = {"cpu": platform_name(), "runs": runs,
              "accuracy": {title: values for title, values in rows}, "chance": CHANCE, "missed": faults}
    (out / "summary.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nof every run: {out / 'runs'}/<run>/report.html, and in <run>/<stage>/ weights.safetensors, checkpoints/ and log.jsonl")
    print(f"summary: {out / 'summary.json'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
