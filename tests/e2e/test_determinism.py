# SPDX-License-Identifier: Apache-2.0
"""A recipe gives the same program wherever, whenever and by whomever it is compiled: the same bytes, and no path in them."""
import os
import pathlib
import shutil
import tempfile
import unittest

import programs

RECIPES = [programs.RECIPES / "words.vcs", programs.RECIPES / "attention.vcs", programs.RECIPES / "clips.vcs",
           programs.TOP / "examples" / "tiny_videochat2" / "tiny_videochat2.vcs"]
LEVELS = ["graph", "step", "plan", "kernels", "llvm", "asm"]
# The address space as clang-19 and the compiler's threads map it is larger than what they use.
MEMORY = 8 * programs.GIGABYTE


class Place:
    """A way to call the compiler: where it lies, where it is called, how the recipe and the program are named, as whom."""

    def __init__(self, vcc, folder, recipe, output, prefix=(), options=(), **settings):
        self.folder, self.output = folder, output
        self.command = [*prefix, vcc, "compile", recipe, "--cpu", "x86-64-v3", *options]
        # A bare environment: nothing but what is said here and the way to the linker.
        self.environment = {"PATH": os.environ["PATH"], **settings}

    def call(self, *options):
        return programs.succeed(*self.command, *options, cwd=self.folder, env=self.environment, seconds=300, memory=MEMORY)

    def program(self):
        self.call("-o", self.output)
        return (self.folder / self.output).read_bytes()


class SameBytes(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="vcc-test-")
        self.addCleanup(scratch.cleanup)
        self.scratch = pathlib.Path(scratch.name)

    def here(self, recipe):
        folder = self.scratch / "here"
        folder.mkdir(exist_ok=True)
        return Place(programs.VCC, folder, recipe, "train.bin")

    def elsewhere(self, recipe):
        """Compiler, runtime, library and recipe copied; another heap, one core, other rights, other words for everything."""
        folder = self.scratch / "another place, longer by some"
        (folder / "tmp").mkdir(parents=True)
        for source, target in ((programs.VCC, "tool/bin/vcc"), (programs.BUILD / "lib" / "libvcc_runtime.a", "tool/lib/libvcc_runtime.a"),
                               (recipe, recipe.name)):
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / target)
        shutil.copytree(programs.TOP / "stdlib", folder / "library")
        one_core = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
        return Place("tool/bin/vcc", folder, recipe.name, "./another.name", one_core, ["--stdlib", "library"], TMPDIR=str(folder / "tmp"),
                     HOME=str(folder), USER="another", TZ="Pacific/Auckland", LC_ALL="C.UTF-8", LANG="tr_TR.UTF-8", OMP_NUM_THREADS="1",
                     MALLOC_PERTURB_="165", MALLOC_ARENA_MAX="1", GLIBC_TUNABLES="glibc.malloc.tcache_count=0", PADDING="x" * 5000)

    def first_difference(self, one, other):
        for level in LEVELS:
            if one.call("--emit", level) != other.call("--emit", level):
                return f"the level {level} is the first to differ"
        return "no level differs: it is the link"

    def test_the_program_has_the_same_bytes_in_another_place(self):
        for recipe in RECIPES:
            with self.subTest(recipe=recipe.name):
                one, other = self.here(recipe), self.elsewhere(recipe)
                before = os.umask(0o077)
                try:
                    theirs = other.program()
                finally:
                    os.umask(before)
                ours = one.program()
                self.assertGreater(len(ours), 100000)
                if ours != theirs:
                    self.fail(self.first_difference(one, other))
                for path in (self.scratch, programs.TOP, recipe.parent):
                    self.assertNotIn(str(path).encode(), ours)
                shutil.rmtree(other.folder)
