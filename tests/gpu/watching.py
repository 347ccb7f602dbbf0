# SPDX-License-Identifier: Apache-2.0
"""The GPU that programs take here, by the driver and by NVML: its name, its memory in use. Plain Python."""
import ctypes
import threading
import time

OFTEN = 0.02  # seconds between two looks


class Missing(Exception):
    """What this machine lacks, as a sentence."""


def library(name):
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


class Gpu:
    """The first one that CUDA_VISIBLE_DEVICES shows, as all programs take it; a part of one where it is divided."""

    def __init__(self, driver=None):
        driver = driver or library("libcuda.so.1")
        if driver is None:
            raise Missing("this machine has no NVIDIA driver (libcuda.so.1): nothing was run")
        count, device, version = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
        if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value < 1:
            raise Missing("this machine's driver shows no GPU (nvidia-smi must list one, and CUDA_VISIBLE_DEVICES not hide it): nothing was run")
        name, identity = ctypes.create_string_buffer(256), ctypes.create_string_buffer(16)
        driver.cuDeviceGet(ctypes.byref(device), 0)
        driver.cuDeviceGetName(name, 255, device)
        driver.cuDriverGetVersion(ctypes.byref(version))
        # The second version names the part of a divided GPU; drivers before CUDA 11.4 do not have it.
        for function in ("cuDeviceGetUuid_v2", "cuDeviceGetUuid"):
            ask = getattr(driver, function, None)
            if ask is not None and ask(identity, device) == 0:
                break
        digits = identity.raw.hex()
        self.name, self.cuda = name.value.decode(), f"{version.value // 1000}.{version.value % 1000 // 10}"
        self.identity = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


class NvmlMemory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class Memory:
    """Bytes of a GPU that are taken, by whomever. nvidia-smi's numbers, which does not go by CUDA_VISIBLE_DEVICES."""

    def __init__(self, identity, nvml=None):
        self.handle, self.nvml = ctypes.c_void_p(), nvml or library("libnvidia-ml.so.1")
        if self.nvml is None:
            raise Missing("there is no libnvidia-ml.so.1")
        if self.nvml.nvmlInit_v2() != 0:
            raise Missing("NVML cannot be initialised")
        if not any(self.nvml.nvmlDeviceGetHandleByUUID(f"{kind}-{identity}".encode(), ctypes.byref(self.handle)) == 0 for kind in ("MIG", "GPU")):
            raise Missing(f"NVML knows no GPU {identity}")
        if self.used() is None:
            raise Missing("NVML does not say how much memory is taken")

    def used(self):
        found = NvmlMemory()
        return found.used if self.nvml.nvmlDeviceGetMemoryInfo(self.handle, ctypes.byref(found)) == 0 else None


class Watch:
    """While a program runs: the most memory that was taken beyond what was before, and when its log had the first step."""

    def __init__(self, log, memory=None):
        self.log, self.memory, self.ended = log, memory, threading.Event()
        self.first_step, self.most, self.thread = None, None, threading.Thread(target=self.look)

    def look(self):
        while True:
            over = self.ended.wait(OFTEN)
            if self.first_step is None and self.log.exists() and '"loss"' in self.log.read_text():
                self.first_step = time.time() - self.started
            used = self.memory.used() if self.memory else None
            if used is not None:
                self.most = max(self.most or 0, used - self.before)
            if over:
                return

    def __enter__(self):
        self.started, self.before = time.time(), (self.memory.used() or 0) if self.memory else 0
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
