# SPDX-License-Identifier: Apache-2.0
"""The programs that are compared, each a process that is warm and waits until its next round: ours is stopped by a signal
between its rounds, a twin waits for a line on its input."""
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import load

HERE = pathlib.Path(__file__).resolve().parent
START_SECONDS = 600


def die_with_parent():
    """In a child: a stopped process must not outlive the bench, however that ends."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Round:
    """Step times of one round in seconds, what share of a core other processes had meanwhile, and the CPU seconds of all its
    steps, which are `steps` with those that were not timed."""

    def __init__(self, taken, watch, steps):
        self.taken, self.others, self.cpu, self.steps = taken, watch.others(), watch.own(), steps


class Ours:
    """A compiled recipe that trains one stage; step times are those of its log without the wait for data."""

    def __init__(self, program, stage, arguments, out, threads, environment, steps):
        self.log, self.read = pathlib.Path(out) / stage / "log.jsonl", 0
        command = [program, "--stage", stage, "--out", out, "--threads", threads, "--resume", "never", *arguments]
        started = time.time()
        self.errors = open(pathlib.Path(out).with_suffix(".err"), "w+")
        # A session of its own: where the bench's shell ends, the kernel continues what is stopped in the group it leaves behind.
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors,
                                        env=environment, start_new_session=True, preexec_fn=die_with_parent)
        try:
            self.start(started, steps)
        except BaseException:
            self.close()
            raise

    def start(self, started, steps):
        lines = []
        while not lines:
            lines = self.lines(0.0005, START_SECONDS)
        self.first = time.time() - started
        while len(lines) < steps:
            lines += self.lines(0.002, START_SECONDS)
        self.losses = [line["loss"] for line in lines[:steps]]
        self.pause()

    def lines(self, nap, limit):
        """The log's new steps, at least one."""
        end = time.time() + limit
        while time.time() < end:
            if self.process.poll() is not None:
                self.errors.seek(0)
                raise RuntimeError(f"our program ended: exit {self.process.returncode}\n{self.errors.read()[-2000:]}")
            if self.log.exists():
                with open(self.log) as log:
                    log.seek(self.read)
                    text = log.read()
                whole = text[:text.rfind("\n") + 1]
                self.read += len(whole.encode())
                found = [json.loads(line) for line in whole.splitlines()]
                found = [line for line in found if "event" not in line]
                if found:
                    return found
            time.sleep(nap)
        raise RuntimeError(f"our program wrote no step in {limit} s")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def round(self, seconds):
        watch = load.Watch(self.process.pid)
        self.process.send_signal(signal.SIGCONT)
        steps, end = [], time.perf_counter() + seconds
        # Of the first step a part lies before the pause; the second warms the caches.
        while len(steps) < 3 or time.perf_counter() < end:
            steps += self.lines(0.005, 120)
        self.pause()
        return Round([step["seconds"] - step["data_wait"] for step in steps[2:]], watch, len(steps))

    def memory(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return {"peak": next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))}

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.errors.close()


class Twin:
    """worker.py with one job."""

    def __init__(self, job, folder, environment):
        path = pathlib.Path(folder) / f"{job['variant']}.json"
        path.write_text(json.dumps(job))
        self.errors = open(path.with_suffix(".err"), "w+")
        started = time.time()
        self.process = subprocess.Popen([sys.executable, str(HERE / "worker.py"), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, env={**environment, **job["environment"]}, start_new_session=True,
                                        preexec_fn=die_with_parent)
        try:
            self.first = self.answer()["first"] - started
            told = self.answer()
        except BaseException:
            self.close()
            raise
        self.losses, self.version = told["losses"], told["torch"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise RuntimeError(f"the twin ended: exit {self.process.returncode}\n{self.errors.read()[-3000:]}")
        return json.loads(line)

    def ask(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def round(self, seconds):
        watch = load.Watch(self.process.pid)
        taken = self.ask("time", seconds)["taken"]
        return Round(taken, watch, len(taken) + 2)

    def memory(self):
        return self.ask("memory")

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # its session: the compiling processes that it started too
        except ProcessLookupError:
            pass
        self.process.wait()
        self.errors.close()
