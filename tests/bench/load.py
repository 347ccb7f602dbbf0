# SPDX-License-Identifier: Apache-2.0
"""What else ran on the machine while a round was timed, from /proc/stat."""
import os
import pathlib
import time

TICK = os.sysconf("SC_CLK_TCK")


def _busy():
    """CPU seconds of all processes so far, those stolen by other machines with them."""
    user, nice, system, idle, wait, irq, soft, steal = map(int, pathlib.Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + soft + steal) / TICK


def of_process(pid):
    """CPU seconds of a process and of its threads so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Watch:
    """How much of one core other processes used since this was made."""

    def __init__(self, pid):
        self.pid, self.start, self.busy, self.used = pid, time.perf_counter(), _busy(), of_process(pid)

    def own(self):
        """CPU seconds of the process."""
        return of_process(self.pid) - self.used

    def others(self):
        wall = time.perf_counter() - self.start
        return max(0.0, (_busy() - self.busy) - self.own()) / wall
