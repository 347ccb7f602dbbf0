# SPDX-License-Identifier: Apache-2.0
"""Compares compiled recipes with PyTorch, both in one run; README.md says how to read what it prints."""
import argparse
import datetime
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import contestants
import floor
import workloads

HERE = pathlib.Path(__file__).resolve().parent
TOLERANCE = 1e-4
REQUIRED = {"d256": 1.0, "d512": 1.0}  # times our median that the best twin needs at least; 1.5 elsewhere
INSTALLED = ("eager", "installed-compile")  # PyTorch as pip leaves it; the others run with what `tuned` sets
REFERENCE = "eager-fused"  # the twin that the floor's products are taken from; always there
DISTURBED = 0.1  # of a core that other processes used during a round


def arguments():
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--only", default=",".join(w.name for w in workloads.WORKLOADS), help="workloads, separated by commas")
    parser.add_argument("--threads", default="1,2", help="numbers of computing threads (default 1,2)")
    parser.add_argument("--twins", help="ways to run PyTorch instead of the usual ones; worker.py lists them")
    parser.add_argument("--rounds", type=int, default=12, help="rounds of each contestant (default 12)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a round (default 1)")
    parser.add_argument("--quick", action="store_true", help="3 short rounds, two threads, one twin of each kind")
    parser.add_argument("--save", action="store_true", help="keep the numbers in results/<date>-<cpu>.json")
    parser.add_argument("--spin", default="2000", help="GOMP_SPINCOUNT of both sides (default 2000, as our programs set it)")
    return parser.parse_args()


def environment(threads, spin, cache):
    made = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_", "KMP_", "MKL_", "TORCH"))}
    made.update(OMP_NUM_THREADS=str(threads), GOMP_SPINCOUNT=spin, TORCHINDUCTOR_CACHE_DIR=str(cache), CXX="g++",
                CUDA_VISIBLE_DEVICES="", TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")
    return made


def tuned(folder):
    """What PyTorch needs to be at its best: MKL asks the processor for its maker and leaves AVX-512 unused on AMD's (measured
    on Zen 5: 100 against 235 GF/s); glibc gives large blocks back to the kernel and faults them in again at every step."""
    source, library = folder / "mkl.c", folder / "libmkl_any_cpu.so"
    source.write_text("int mkl_serv_intel_cpu_true(void) { return 1; }\n")
    subprocess.run(["g++", "-x", "c", "-shared", "-fPIC", source, "-o", library], check=True)
    return {"LD_PRELOAD": str(library), "MALLOC_MMAP_THRESHOLD_": str(4 << 30), "MALLOC_TRIM_THRESHOLD_": str(16 << 30), "MALLOC_TOP_PAD_": str(64 << 20)}


def losses_agree(ours, theirs):
    """The largest difference of a step's losses, relative to the twin's."""
    return max((abs(a - b) / abs(b) if math.isfinite(b) else math.inf) for a, b in zip(ours, theirs, strict=True))


class Measured:
    """A contestant's rounds and other numbers."""

    def __init__(self, name, contestant):
        self.name, self.contestant, self.rounds = name, contestant, []

    def summary(self):
        quiet = [r for r in self.rounds if r.others <= DISTURBED]
        used = quiet if len(quiet) >= 3 else self.rounds
        taken = [seconds for r in used for seconds in r.taken]
        return {"median_ms": 1e3 * statistics.median(taken), "min_ms": 1e3 * min(taken), "max_ms": 1e3 * max(taken), "steps": len(taken),
                "cpu_ms": 1e3 * sum(r.cpu for r in self.rounds) / sum(r.steps for r in self.rounds),
                "rounds": len(self.rounds), "quiet_rounds": len(quiet), "only_quiet": used is quiet,
                "others": [round(r.others, 3) for r in self.rounds], "round_medians_ms": [1e3 * statistics.median(r.taken) for r in self.rounds],
                "first_step_s": self.contestant.first, "memory": self.contestant.memory()}


def compare(workload, threads, twins, options, folder, rates):
    """All numbers of one workload at one number of threads."""
    place = pathlib.Path(tempfile.mkdtemp(dir=folder))
    made = environment(threads, options.spin, place / "inductor")
    alive, best = [], tuned(place)
    try:
        out = workload.fresh_out(f"out-{threads}")
        ours = contestants.Ours(workload.program, workload.stage, workload.arguments, out, threads, made, workloads.STEPS)
        alive.append(ours)
        everyone, differences, left_out = [Measured("ours", ours)], {}, {}
        for variant in twins:
            try:
                twin = contestants.Twin({**workload.job, "variant": variant, "threads": threads, "environment": {} if variant in INSTALLED else best}, place, made)
            except RuntimeError as failure:
                if variant == REFERENCE:
                    raise
                print(f"{workload.name}: no `{variant}`: {failure}", file=sys.stderr)
                left_out[variant] = "does not run: " + str(failure).strip().splitlines()[-1]
                continue
            alive.append(twin)
            difference = losses_agree(ours.losses, twin.losses)
            if not difference <= TOLERANCE:
                what = f"{workload.name}: the losses of `{variant}` differ by {difference:.2g}\nours   {ours.losses}\ntheirs {twin.losses}"
                if variant == REFERENCE:
                    raise SystemExit(f"error: {what}")
                print(f"{what}\nit is left out", file=sys.stderr)  # the reference agrees, so it computes something else
                left_out[variant] = f"its losses differ by {difference:.2g}"
                continue
            differences[variant] = difference
            everyone.append(Measured(variant, twin))
        # Its operations are the lean model's, one by one, and its products those of the tuned library.
        reference = next(measured.contestant for measured in everyone if measured.name == REFERENCE)
        products = reference.ask("products")
        for number in range(options.rounds):
            for measured in everyone:
                measured.rounds.append(measured.contestant.round(options.seconds))
            if number % 4 == 0:  # a stage has a hundred shapes, and each takes a tenth of a second
                rates.measure(products["shapes"], threads, reference, made)
        least = steady_floor(workload, products, rates, threads, everyone[0].summary()["min_ms"], lambda: rates.measure(products["shapes"], threads, reference, made))
        manifest = next(s for s in json.loads(workloads.call(workload.program, "--manifest"))["stages"] if s["name"] == workload.stage)
        return {"workload": workload.name, "threads": threads, "compile_s": workload.compile_seconds,
                "program_bytes": workload.program.stat().st_size, "plan_bytes": sum(manifest["regions"].values()),
                "loss_difference": differences, "left_out": left_out, "floor": least,
                "contestants": {measured.name: measured.summary() for measured in everyone}, "torch": reference.version}
    finally:
        for contestant in alive:
            contestant.close()


def steady_floor(workload, products, rates, threads, ours, again):
    """The floor; where it comes out above what was reached, other load has slowed the rates, and they are measured again."""
    for _ in range(6):
        least = floor.of(workload, products, rates, threads)
        if least["total_ms"] <= ours:
            return least
        again()
    print(f"{workload.name}: no floor: the measured rates would give {least['total_ms']:.2f} ms, more than our {ours:.2f}", file=sys.stderr)
    return None


def show(result):
    """One table."""
    found = result["contestants"]
    ours = found["ours"]
    print(f"\n{result['workload']}, {result['threads']} thread{'s' * (result['threads'] > 1)}: losses of {workloads.STEPS} steps equal within "
          f"{max(result['loss_difference'].values()):.1e}; compiled in {result['compile_s']:.1f} s; train.bin "
          f"{result['program_bytes'] / 1e6:.1f} MB; planned {result['plan_bytes'] / 1e6:.1f} MB")
    print(f"{'':14}{'min ms':>9}{'median':>9}{'CPU ms':>9}{'min/ours':>10}{'med/ours':>10}{'CPU/ours':>10}{'first step s':>14}{'peak MB':>9}{'grown':>8}  rounds, quiet")
    for name, one in found.items():
        memory = one["memory"]
        grown = f"{(memory['steady'] - memory['imported']) / 1e6:.0f}" if "imported" in memory else ""
        print(f"{name:14}{one['min_ms']:9.2f}{one['median_ms']:9.2f}{one['cpu_ms']:9.2f}{one['min_ms'] / ours['min_ms']:10.2f}"
              f"{one['median_ms'] / ours['median_ms']:10.2f}{one['cpu_ms'] / ours['cpu_ms']:10.2f}{one['first_step_s']:14.2f}{memory['peak'] / 1e6:9.0f}{grown:>8}  "
              f"{one['rounds']}, {one['quiet_rounds']}{'' if one['only_quiet'] else ' (all used)'}")
    if parts := result["floor"]:
        least = parts["total_ms"]
        print(f"{'floor':14}{least:9.2f}{'':18}{least / ours['min_ms']:10.2f}   products {parts['products_ms']:.2f} ({parts['products_gflop']:.2f} GFLOP), "
              f"attention {parts['attention_ms']:.2f}, AdamW {parts['update_ms']:.2f}, between products {parts['elementwise_ms']:.2f}")
    result["verdict"] = verdict(result)
    print(result["verdict"]["text"], flush=True)


def verdict(result):
    """What is asked of a workload: nowhere slower than the best twin, 1.5 times as fast where steps are small. Without a compiled twin
    nothing is shown."""
    ours = result["contestants"]["ours"]["median_ms"]
    name, best = min(((name, one["median_ms"]) for name, one in result["contestants"].items() if name != "ours"), key=lambda found: found[1])
    wanted = REQUIRED.get(result["workload"], 1.5)
    compiled = any("compile" in name for name in result["contestants"])
    kept = compiled and best / ours >= wanted
    out = "".join(f"; without `{variant}`: {why}" for variant, why in result["left_out"].items())
    word = "met" if kept else "MISSED" if compiled else "not shown, no compiled twin ran"
    return {"best": name, "ratio": best / ours, "required": wanted, "met": kept,
            "text": f"best twin `{name}`: {best / ours:.3f} times our median, {wanted:.1f} required: {word}{out}"}


def cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def version():
    """The commit, and whether the checkout differs from it."""
    def git(*words):
        return subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")
    return git("rev-parse", "--short", "HEAD") + ("-changed" if changed else "")


def save(result):
    """Beside what was kept today of other workloads and numbers of threads."""
    result.update(date=datetime.datetime.now().isoformat(timespec="minutes"), commit=version(), command=" ".join(["tests/bench/run", *sys.argv[1:]]))
    (HERE / "results").mkdir(exist_ok=True)
    name = "-".join(cpu().replace("(R)", "").replace("(TM)", "").lower().split())
    path = HERE / "results" / f"{datetime.date.today()}-{name}.json"
    kept = json.loads(path.read_text())["results"] if path.exists() else []
    kept = [one for one in kept if (one["workload"], one["threads"]) != (result["workload"], result["threads"])] + [result]
    path.write_text(json.dumps({"cpu": cpu(), "cores": os.cpu_count(), "results": kept}, indent=1) + "\n")
    print(f"kept in {path}", flush=True)


def threads_of(options):
    words = options.threads.split(",")
    if not all(word.isdigit() and 0 < int(word) <= os.cpu_count() for word in words):
        sys.exit(f"error: --threads takes numbers from 1 to {os.cpu_count()}, separated by commas, but got `{options.threads}`")
    return [int(word) for word in words]


def check_twins(options):
    import worker  # imports torch, which takes a second
    unknown = set((options.twins or REFERENCE).split(",")) - set(worker.VARIANTS)
    if unknown:
        sys.exit(f"error: no twin {', '.join(sorted(unknown))}; there are {', '.join(worker.VARIANTS)}")


def main():
    options = arguments()
    threads_of(options)
    check_twins(options)
    if options.quick:
        options.rounds, options.seconds, options.threads = 3, 0.5, "2" if options.threads == "1,2" else options.threads
    names = {workload.name: workload for workload in workloads.WORKLOADS}
    unknown = set(options.only.split(",")) - set(names)
    if unknown:
        sys.exit(f"error: no workload {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    missed = 0
    with tempfile.TemporaryDirectory(prefix="vcc-bench-") as scratch:
        rates = floor.Rates(pathlib.Path(scratch))
        for name in options.only.split(","):
            folder = pathlib.Path(scratch) / name
            folder.mkdir()
            workload = names[name]
            workload.prepare(folder)
            twins = options.twins.split(",") if options.twins else [REFERENCE, "compile"] if options.quick else workload.twins
            twins = twins if REFERENCE in twins else [REFERENCE, *twins]
            for threads in threads_of(options):
                result = compare(workload, threads, twins, options, folder, rates)
                show(result)
                missed += not result["verdict"]["met"]
                if options.save:
                    save(result)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
