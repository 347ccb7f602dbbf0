# SPDX-License-Identifier: Apache-2.0
"""Every kernel of the tiny and of the full-size recipe through NVIDIA's assembler, for each chip that gets a cubin; what an object for
CUDA holds. No GPU is needed."""
import ctypes
import os
import pathlib
import re
import tempfile
import unittest

import environment
import programs

EXAMPLES = programs.TOP / "examples"
TINY = [EXAMPLES / "tiny_videochat2" / "tiny_videochat2.vcs"]
FULL = [EXAMPLES / "videochat2" / "videochat2_vicuna.vcs"]


def setUpModule():
    environment.use_ptxas()


class Kernels(unittest.TestCase):
    def check(self, recipe, least):
        out = programs.succeed(programs.VCC, "compile", *recipe, "--target=cuda", "--emit=resources", memory=8 * programs.GIGABYTE,
                               seconds=600)
        lines = [line.split() for line in out.splitlines()[1:]]
        chips = {}
        for chip, registers, shared, local, kernel in lines:
            chips.setdefault(chip, {})[kernel] = (int(registers), int(shared), int(local))
        self.assertEqual(set(chips), {"sm_80", "sm_90"})
        self.assertEqual(set(chips["sm_80"]), set(chips["sm_90"]))
        self.assertGreater(len(chips["sm_80"]), least)
        for chip, kernels in chips.items():
            most = max(kernels.values())[0]
            print(f"{chip}: {len(kernels)} kernels, at most {most} registers, {max(k[1] for k in kernels.values())} shared bytes, "
                  f"{sum(k[2] > 0 for k in kernels.values())} with local memory")
            for kernel, (registers, shared, local) in kernels.items():
                self.assertEqual(local, 0, f"{kernel} for {chip} uses local memory")
                self.assertGreater(registers, 0, kernel)
                self.assertLessEqual(shared, 48 * 1024, kernel)

    def test_of_the_tiny_recipe_fit_into_registers(self):
        self.check(TINY, 100)

    def test_of_the_tiny_recipe_in_bf16_fit_into_registers(self):
        self.check(TINY + ["-D", "numerics=bf16"], 100)

    def test_of_packed_rows_in_bf16_fit_into_registers(self):
        self.check([programs.RECIPES / "packed.vcs", "-D", "numerics=bf16", "-D", "pack=3"], 50)

    def test_of_the_tiny_recipe_in_fp16_fit_into_registers(self):
        self.check(TINY + ["-D", "numerics=fp16"], 100)

    def test_of_the_full_size_recipe_fit_into_registers(self):
        self.check(FULL + ["-D", "numerics=f32"], 150)

    def test_of_the_full_size_recipe_in_bf16_fit_into_registers(self):
        self.check(FULL + ["-D", "numerics=bf16"], 150)

    def test_of_joined_adapters_in_bf16_fit_into_registers(self):
        self.check(FULL + ["-D", "numerics=bf16", "--lora=joined", "--stage", "instruct"], 80)

    def test_stand_in_an_object_with_tables(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "tiny.o"
            programs.succeed(programs.VCC, "compile", EXAMPLES / "tiny_lm" / "tiny_lm.vcs", "--target=cuda", "--emit=object", "-o", path)
            symbols = programs.succeed("nm", path)
            self.assertRegex(symbols, r"vcc_program\b")
            self.assertRegex(symbols, r"vcc_device_code\b")
            # All code is in there: nothing is wanted but the runtime's entry.
            self.assertEqual(re.findall(r"^\s+U (\S+)", symbols, re.M), ["vcc_main_cuda"])
            content = path.read_bytes()
            self.assertIn(b".target sm_80", content)
            self.assertNotIn(b".target sm_90", content)  # one PTX for all chips
            self.assertGreaterEqual(content.count(b"\x7fELF"), 3)  # the object itself, cubins of two chips


def driver_is_here():
    try:
        return bool(ctypes.CDLL("libcuda.so.1"))
    except OSError:
        return False


class Program(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = programs.fresh_folder()
        cls.folder = pathlib.Path(cls.scratch.name)
        cls.program = cls.folder / "train.bin"
        programs.succeed(programs.VCC, "compile", EXAMPLES / "tiny_lm" / "tiny_lm.vcs", "--target=cuda", "-o", cls.program, seconds=300)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def test_starts_without_what_only_others_need(self):
        needed = re.findall(r"NEEDED.*\[(\S+?)\]", programs.succeed("readelf", "-d", self.program))
        self.assertTrue(needed)
        self.assertEqual([name for name in needed if re.match(r"lib(dnnl|mpi|av|sw|cuda|cublas)", name)], [])
        self.assertLess(self.program.stat().st_size, 20_000_000)
        # What it trains can be asked for anywhere.
        self.assertIn("stage", programs.succeed(self.program))
        self.assertIn('"target": "cuda"', programs.succeed(self.program, "--manifest"))

    @unittest.skipIf(driver_is_here(), "this machine has a driver")
    def test_says_that_there_is_no_driver(self):
        ended = programs.run(self.program, "--stage", "all", "--data", self.folder, "--out", self.folder / "out")
        self.assertEqual(ended.code, 6, str(ended))
        self.assertIn("error: this machine has no NVIDIA driver: libcuda.so.1", ended.err)
        self.assertIn("help: install NVIDIA's driver", ended.err)
        self.assertFalse((self.folder / "out").exists(), "a run that could not begin leaves nothing")

    def test_names_a_folder_of_libraries_that_is_not_there(self):
        file = self.folder / "a file"
        file.write_text("")
        for named, why in ((self.folder / "nowhere", "not there"), (file, "no folder")):
            ended = programs.run(self.program, "--stage", "all", "--cuda-libs", named, "--out", self.folder / "named")
            self.assertEqual(ended.code, 1, str(ended))
            self.assertIn(f"error: --cuda-libs names `{named}`, which is {why}\nhelp: name the folders that hold NVIDIA's libraries", ended.err)
            self.assertFalse((self.folder / "named").exists())
        several = programs.run(self.program, "--stage", "all", "--cuda-libs", f"{self.folder}::{self.folder / 'nowhere'}", "--out", self.folder / "named")
        self.assertEqual(several.code, 1, str(several))
        self.assertIn(f"--cuda-libs names `{self.folder / 'nowhere'}`, which is not there", several.err)

    @unittest.skipIf(driver_is_here(), "this machine has a driver")
    def test_several_folders_of_libraries_may_be_named(self):
        ended = programs.run(self.program, "--stage", "all", "--cuda-libs", f"{self.folder}:{self.folder}:", "--out", self.folder / "several")
        self.assertEqual(ended.code, 6, str(ended))
        self.assertIn("no NVIDIA driver", ended.err)

    def test_a_rank_refuses_without_the_others(self):
        """One of two that torchrun would start, the other one is not there: nothing that is wrong with the call itself waits for it."""
        alone = {**{name: value for name, value in os.environ.items() if not name.startswith(("OMPI_", "PMI", "SLURM_"))},
                 "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29499"}
        for options, words in ((("--stage", "all"), "2 ranks were started, but stage `.*` was compiled for one"),
                               (("--stage", "nowhere"), "has no stage `nowhere`"), (("--nothing",), "unknown option `--nothing`"),
                               (("--evaluate", "nothing"), "there is no evaluation `nothing`")):
            ended = programs.run(self.program, *options, "--out", self.folder / "alone", env=alone, seconds=20)
            self.assertEqual(ended.code, 1, str(ended))
            self.assertRegex(ended.err, words)
        self.assertIn("stage", programs.succeed(self.program, env=alone, seconds=20))
        self.assertFalse((self.folder / "alone").exists())

    def test_says_that_a_stage_is_of_one_rank(self):
        ended = programs.run(*programs.ranks(2, self.program, "--stage", "all", "--out", self.folder / "out"))
        self.assertEqual(ended.code, 1, str(ended))
        self.assertRegex(ended.err, "2 ranks were started, but stage `.*` was compiled for one")

    def test_of_the_cpu_takes_no_libraries(self):
        program = programs.compiled("words")
        ended = programs.run(program, "--stage", "all", "--cuda-libs", "/opt/cuda")
        self.assertEqual(ended.code, 1, str(ended))
        self.assertIn("--cuda-libs is of programs for a GPU", ended.err)
        ended = programs.run(program, "--stage", "all", "--measure-products")
        self.assertEqual(ended.code, 1, str(ended))
        self.assertIn("--measure-products is of programs for a GPU", ended.err)


class Refusals(unittest.TestCase):
    def refuse(self, *arguments):
        ended = programs.run(programs.VCC, "compile", EXAMPLES / "tiny_lm" / "tiny_lm.vcs", *arguments)
        self.assertEqual(ended.code, 1, str(ended))
        return ended.err

    def test_say_what_there_is(self):
        self.assertIn("has no level `llvm`", self.refuse("--target=cuda", "--emit=llvm"))
        self.assertIn("is of --target=cuda alone", self.refuse("--emit=object"))


if __name__ == "__main__":
    unittest.main()
