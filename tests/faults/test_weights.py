# SPDX-License-Identifier: Apache-2.0
"""Weights files made to break the program: exit 3, a sentence that names the file and the tensor, nothing left behind."""
import json
import os
import pathlib
import random
import shutil
import struct
import unittest

import programs
from torch_files import legacy_file, torch_file, zip_file

SECONDS = 30


def setUpModule():
    """GIVEN: what stage `borrow` starts from, made by stage `pretrain`."""
    global FOLDER, DATA, PROGRAM, GIVEN
    FOLDER = programs.fresh_folder()
    DATA = programs.words_data(pathlib.Path(FOLDER.name) / "data")
    PROGRAM = programs.compiled("words")
    out = pathlib.Path(FOLDER.name) / "made"
    programs.succeed(PROGRAM, "--stage", "1", "--max-steps", "1", "--data", DATA, "--out", out, "--threads", "1")
    GIVEN = (out / "pretrain" / "weights.safetensors").read_bytes()


def tearDownModule():
    FOLDER.cleanup()


def header_of(content):
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8:8 + length]), content[8 + length:]


def with_header(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


class Weights(unittest.TestCase):
    def start(self, content, options=(), memory=programs.MEMORY):
        folder = programs.fresh_folder()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        if content is not None:
            (self.root / "given.safetensors").write_bytes(content)
        return programs.run(PROGRAM, "--stage", "borrow", "--data", DATA, "--weights", self.root, "--out", self.root / "out", "--threads", "1",
                            *options, memory=memory, seconds=SECONDS)

    def fails(self, content, *words):
        ended = self.start(content)
        self.assertEqual(ended.code, 3, ended)
        self.assertIn("given.safetensors", ended.err)
        for word in words:
            self.assertIn(word, ended.err)
        left = [str(path) for path in (self.root / "out").rglob("*") if path.is_file() and path.name != ".lock"]
        self.assertEqual(left, [])

    def edited(self, edit):
        header, data = header_of(GIVEN)
        header = edit(header) or header
        return with_header(header, data)

    def test_good(self):
        ended = self.start(GIVEN)
        self.assertEqual(ended.code, 0, ended)

    def test_missing(self):
        self.fails(None, "which is not there", "--weights")

    def test_short(self):
        self.fails(b"", "too short")
        self.fails(GIVEN[:7], "too short")
        self.fails(GIVEN[:8], "names a header")
        self.fails(GIVEN[:200], "names a header")
        self.fails(GIVEN[:-4], "but the file holds")

    def test_header_length(self):
        for length in (0, 1, len(GIVEN), len(GIVEN) - 7, 1 << 31, (1 << 63) - 1, (1 << 64) - 1):
            with self.subTest(length=length):
                self.fails(struct.pack("<Q", length) + GIVEN[8:])

    def test_a_header_that_claims_what_a_sparse_file_has(self):
        """100 MB and more of header: refused before it is read."""
        folder = programs.fresh_folder()
        self.addCleanup(folder.cleanup)
        path = pathlib.Path(folder.name) / "given.safetensors"
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", 3 << 30))
            file.truncate(4 << 30)
        ended = programs.run(PROGRAM, "--stage", "borrow", "--data", DATA, "--weights", folder.name, "--out", path.parent / "out", "--threads", "1",
                             memory=8 * programs.GIGABYTE, seconds=SECONDS)
        self.assertEqual(ended.code, 3, ended)
        self.assertIn("names a header of 3221225472 bytes", ended.err)

    def test_header_is_no_json(self):
        _, data = header_of(GIVEN)
        for text in (b"", b"{", b"null", b"[]", b"7", b'"text"', b"{\xff\xfe}", b'{"a": }', b'{"a": 1} trailing', b"[" * 100000, b'{"a":' * 100000,
                     b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, ' + b"\0" * 20):
            with self.subTest(text=text[:20]):
                self.fails(with_header(text, data))

    def test_entries_of_wrong_types(self):
        good = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        for entry in (7, None, [], "F32", {}, {**good, "dtype": 7}, {**good, "dtype": "F33"}, {**good, "shape": 1}, {**good, "shape": ["1"]},
                      {**good, "shape": [-1]}, {**good, "shape": [1.5]}, {**good, "data_offsets": [0]}, {**good, "data_offsets": [0, 4, 8]},
                      {**good, "data_offsets": ["0", "4"]}, {**good, "data_offsets": [-4, 0]}, {**good, "data_offsets": {}},
                      {key: value for key, value in good.items() if key != "shape"}):
            with self.subTest(entry=entry):
                self.fails(self.edited(lambda header: {**header, "extra": entry}), "extra")

    def test_metadata_of_wrong_types(self):
        self.fails(self.edited(lambda header: {**header, "__metadata__": 7}))
        self.fails(self.edited(lambda header: {**header, "__metadata__": {"a": 7}}))
        self.fails(self.edited(lambda header: {**{name: entry for name, entry in header.items() if name != "lm.lm_head.weight"},
                                               "__metadata__": {"vcc.references": "{{{"}}), "broken references")

    def test_offsets(self):
        def moved(begin, end):
            def edit(header):
                header["lm.lm_head.weight"]["data_offsets"] = [begin, end]
            return self.edited(edit)
        size = 256 * 32 * 4
        for begin, end in ((0, 4), (size, 0), (1 << 40, (1 << 40) + size), ((1 << 63) - 1, (1 << 63) - 1), (0, (1 << 63) - 1), (10 ** 18, 10 ** 18 + size)):
            with self.subTest(begin=begin, end=end):
                self.fails(moved(begin, end), "lm.lm_head.weight")
        self.fails(moved(10 ** 30, 10 ** 30 + size))

    def test_overlap(self):
        def edit(header):
            header["lm.lm_head.weight"]["data_offsets"] = header["lm.model.embed_tokens.weight"]["data_offsets"]
        self.fails(self.edited(edit), "overlap")

    def test_huge_shapes(self):
        for shape in ([1 << 32, 1 << 32], [1 << 62, 4], [1 << 40], [0, 1 << 62, 1 << 62], [256, 32] + [1] * 100000):
            with self.subTest(shape=str(shape)[:40]):
                def edit(header):
                    header["lm.lm_head.weight"]["shape"] = shape
                self.fails(self.edited(edit), "lm.lm_head.weight")

    def test_dtype(self):
        tensors, _ = self.read()
        dtype, shape, content = tensors["lm.lm_head.weight"]
        for name, width in (("I32", 4), ("I64", 8), ("I16", 2), ("I8", 1), ("U8", 1), ("BOOL", 1)):
            self.fails(self.written({**tensors, "lm.lm_head.weight": (name, shape, (content * 2)[:len(content) // 4 * width])}),
                       f"`lm.lm_head.weight` is {name.lower()} in", "the recipe needs f32")
        double = struct.pack("<d", 1e300) + bytes(len(content) * 2 - 8)
        self.fails(self.written({**tensors, "lm.lm_head.weight": ("F64", shape, double)}), "`lm.lm_head.weight` has at element 0", "a number that f32 cannot hold")

    def test_shape(self):
        tensors, _ = self.read()
        dtype, _, content = tensors["lm.lm_head.weight"]
        for shape in ((32, 256), (256 * 32,), (256, 32, 1)):
            self.fails(self.written({**tensors, "lm.lm_head.weight": (dtype, shape, content)}), "`lm.lm_head.weight` is", "but the recipe needs")

    def test_missing_and_unexpected(self):
        tensors, _ = self.read()
        missing = {name: value for name, value in tensors.items() if name != "lm.lm_head.weight"}
        self.fails(self.written(missing), "`lm.lm_head.weight` [256, 32] is not in")
        self.fails(self.written({**missing, "lm.lm_haed.weight": tensors["lm.lm_head.weight"]}),
                   "did you mean `lm.lm_haed.weight`", "holds `lm.lm_haed.weight` [256, 32], which no part of the recipe has; did you mean `lm.lm_head.weight`?")
        self.fails(self.written({**tensors, "other": ("F32", (1,), b"\0\0\0\0")}), "holds `other`")
        self.fails(self.written({}), "is not in", "and ")

    def read(self):
        path = pathlib.Path(FOLDER.name) / "read.safetensors"
        path.write_bytes(GIVEN)
        return programs.read_tensors(path)

    def written(self, tensors):
        path = pathlib.Path(FOLDER.name) / "written.safetensors"
        programs.write_tensors(path, tensors)
        return path.read_bytes()

    def test_names_twice(self):
        header, data = header_of(GIVEN)
        text = json.dumps(header)
        entry = json.dumps({"lm.lm_head.weight": header["lm.lm_head.weight"]})[1:-1]
        self.fails(with_header((text[:-1] + ", " + entry + "}").encode(), data), "twice")

    def test_no_file(self):
        for make in (lambda path: os.mkfifo(path), lambda path: path.mkdir(), lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("/dev/full")):
            folder = programs.fresh_folder()
            self.addCleanup(folder.cleanup)
            path = pathlib.Path(folder.name) / "given.safetensors"
            make(path)
            ended = programs.run(PROGRAM, "--stage", "borrow", "--data", DATA, "--weights", folder.name, "--out", path.parent / "out", "--threads", "1", seconds=SECONDS)
            self.assertEqual(ended.code, 3, ended)
            self.assertIn("given.safetensors", ended.err)

    def test_not_finite(self):
        tensors, _ = self.read()
        dtype, shape, content = tensors["lm.lm_head.weight"]
        ended = self.start(self.written({**tensors, "lm.lm_head.weight": (dtype, shape, b"\x00\x00\xc0\x7f" + content[4:])}))
        self.assertEqual(ended.code, 5, ended)
        self.assertIn("step 0", ended.err)
        self.assertIn("`lm.lm_head.weight` (element 0)", ended.err)


class Adopted(unittest.TestCase):
    """Weights of somebody else: other names, types, layouts. The recipe says `rename { "*.inv_freq" -> "" "llama_model.*" -> "lm.*" "tied" -> "lm.lm_head.weight" }`."""

    def setUp(self):
        folder = programs.fresh_folder()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "given.safetensors").write_bytes(GIVEN)
        self.given, _ = programs.read_tensors(self.root / "given.safetensors")
        self.theirs = {"llama_model" + name[2:]: value for name, value in self.given.items()}
        self.theirs["llama_model.model.layers.0.rotary_emb.inv_freq"] = ("F32", (4,), bytes(16))
        self.theirs["tied"] = self.given["lm.lm_head.weight"]

    def start(self, stage="adopt"):
        shutil.rmtree(self.root / "out", ignore_errors=True)
        return programs.run(PROGRAM, "--stage", stage, "--data", DATA, "--weights", self.root, "--out", self.root / "out", "--threads", "1", seconds=SECONDS)

    def starts(self, *words):
        ended = self.start()
        self.assertEqual(ended.code, 0, ended)
        for word in words:
            self.assertIn(word, ended.out + ended.err)
        return [programs.numbers_of(step) for step in programs.steps_of(self.root / "out", "adopt")]

    def fails(self, *words):
        ended = self.start()
        self.assertEqual(ended.code, 3, ended)
        for word in words:
            self.assertIn(word, ended.err)

    def write(self, tensors, name="theirs.pth", **options):
        (self.root / name).write_bytes(torch_file(tensors, **options))

    def test_the_same_weights_are_the_same_run(self):
        self.assertEqual(self.start("borrow").code, 0)
        expected = [programs.numbers_of(step) for step in programs.steps_of(self.root / "out", "borrow")]
        for make in (zip_file, legacy_file):
            self.write(self.theirs, make=make)
            self.assertEqual(self.starts("lm: ", "theirs.pth", "1 of", "left out by `rename`"), expected)
        self.write(self.theirs, wrap=lambda weights: {"model": weights, "epoch": 3})
        self.assertEqual(self.starts("theirs.pth (model)"), expected)
        double = {name: ("F64", shape, b"".join(struct.pack("<d", value) for value, in struct.iter_unpack("<f", content))) for name, (_, shape, content) in self.theirs.items()}
        self.write(double)
        self.assertEqual(self.starts(), expected)
        (self.root / "theirs.pth").unlink()
        (self.root / "theirs").mkdir()
        names = sorted(self.theirs)
        shard_of = {name: f"pytorch_model-{1 + number % 2}.bin" for number, name in enumerate(names)}
        for shard in set(shard_of.values()):
            self.write({name: self.theirs[name] for name in names if shard_of[name] == shard}, "theirs/" + shard)
        (self.root / "theirs" / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": shard_of}))
        self.assertEqual(self.starts("for want of", "theirs.pth"), expected)
        (self.root / "theirs" / "pytorch_model-1.bin").unlink()
        self.fails("names 1 of 2 shards that is not there")

    def test_short_floats(self):
        """bf16 is the upper half of f32: what is read is what was cut."""
        cut = {name: ("F32", shape, b"".join(b"\0\0" + content[at + 2:at + 4] for at in range(0, len(content), 4))) for name, (_, shape, content) in self.theirs.items()}
        self.write(cut)
        expected = self.starts()
        self.write({name: ("BF16", shape, b"".join(content[at + 2:at + 4] for at in range(0, len(content), 4))) for name, (_, shape, content) in cut.items()})
        self.assertEqual(self.starts(), expected)

    def test_twins_that_differ(self):
        """A tensor that is kept twice is read; two that become one path and differ are not."""
        dtype, shape, content = self.theirs["tied"]
        self.write({**self.theirs, "tied": (dtype, shape, content[:-1] + bytes([content[-1] ^ 1]))})
        self.fails("`llama_model.lm_head.weight` and `tied` of", "differ, but both become `lm.lm_head.weight`")

    def test_rules_that_match_nothing(self):
        self.write({name: value for name, value in self.theirs.items() if name != "tied"})
        self.fails('has no key that `rename { "tied" -> "lm.lm_head.weight" }` speaks of')

    def test_other_names(self):
        """Nothing is dropped in silence, and the rule that was forgotten is said."""
        self.write({**self.theirs, "optimizer.step": ("F32", (1,), bytes(4))})
        self.fails("holds `optimizer.step` [1], which no part of the recipe has", '-> ""')
        self.write({"net." + name if name.startswith("llama") and "inv_freq" not in name else name: value for name, value in self.theirs.items()})
        self.fails("is not in", 'rename { "net.llama_model.*" -> "lm.*" }')

    def test_a_harmful_file(self):
        owned = self.root / "owned"
        (self.root / "theirs.pth").write_bytes(zip_file(b"\x80\x02cposix\nsystem\nX" + struct.pack("<I", len(f"touch {owned}")) + f"touch {owned}".encode() + b"\x85R."))
        self.fails("theirs.pth", "byte 2: uses `posix.system`, which is not among the names of tensor files and is refused", "torch.save")
        self.assertFalse(owned.exists())


class Stages(unittest.TestCase):
    """What an earlier stage left is a file like any other."""

    def setUp(self):
        folder = programs.fresh_folder()
        self.addCleanup(folder.cleanup)
        self.out = pathlib.Path(folder.name) / "out"
        self.run_stages("1,2", "--max-steps", "1")

    def run_stages(self, stages, *options, code=0):
        ended = programs.run(PROGRAM, "--stage", stages, "--data", DATA, "--out", self.out, "--threads", "1", *options, seconds=SECONDS)
        self.assertEqual(ended.code, code, ended)
        return ended

    def test_a_frozen_weight_that_changed(self):
        """`tune` holds its frozen weights as references into `pretrain`'s file; a change there is noticed."""
        path = self.out / "pretrain" / "weights.safetensors"
        tensors, _ = programs.read_tensors(path)
        dtype, shape, values = tensors["lm.model.embed_tokens.weight"]
        content = path.read_bytes()
        self.assertEqual(content.count(values), 1)
        path.write_bytes(content.replace(values, values[:-1] + bytes([values[-1] ^ 1])))
        ended = self.run_stages("tune", code=3)
        self.assertIn("`lm.model.embed_tokens.weight` in", ended.err)
        self.assertIn("does not have the checksum that it was written with", ended.err)

    def test_a_damaged_file_of_an_earlier_stage(self):
        """Cut anywhere or with one other bit in what the later stage reads; the help leads out of it."""
        seed = programs.chosen_seed()
        generator = random.Random(seed)
        path = self.out / "pretrain" / "weights.safetensors"
        whole, tensors = path.read_bytes(), programs.read_tensors(path)[0]
        for file in (self.out / "tune").rglob("*"):
            if file.is_file():
                file.unlink()
        with self.subTest(seed=seed):
            for _ in range(3):
                path.write_bytes(whole[:generator.randrange(len(whole))])
                self.assertIn("weights.safetensors", self.run_stages("tune", code=3).err)
                values = tensors[generator.choice(sorted(tensors))][2]
                at = whole.index(values) + generator.randrange(len(values))
                path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << generator.randrange(8)]) + whole[at + 1:])
                ended = self.run_stages("tune", code=3)
                self.assertIn("does not have the checksum that it was written with", ended.err)
                self.assertIn("remove the file, and `--stage pretrain` writes it again", ended.err)
        path.unlink()
        self.run_stages("1,2", "--max-steps", "1")
        self.assertEqual(path.read_bytes(), whole)

    def test_an_earlier_stage_that_was_trained_again(self):
        self.run_stages("pretrain", "--max-steps", "2")
        ended = self.run_stages("tune", code=3)
        self.assertIn("was started from other weights of stage `pretrain`", ended.err)

    def test_a_summary_that_is_broken(self):
        """A stage whose summary cannot be read is taken up from its checkpoint."""
        for content in (b"", b"{", b"[]", b'{"steps": "x"}', bytes(range(256))):
            (self.out / "pretrain" / "summary.json").write_bytes(content)
            self.run_stages("pretrain", "--max-steps", "1")
            self.assertEqual(len(programs.steps_of(self.out, "pretrain")), 1)
            json.loads((self.out / "pretrain" / "summary.json").read_text())

    def test_checkpoints_that_are_broken(self):
        """Each is passed over with a warning; with none left the stage is trained anew."""
        newest = max((self.out / "pretrain" / "checkpoints").iterdir())
        (self.out / "pretrain" / "summary.json").unlink()
        whole = {name: (newest / name).read_bytes() for name in ("DONE", "state.safetensors")}
        for name, content in (("DONE", b""), ("DONE", b"{}"), ("DONE", whole["DONE"].replace(b'"step":1', b'"step":2')), ("state.safetensors", b""),
                              ("state.safetensors", whole["state.safetensors"][:-1]), ("state.safetensors", whole["state.safetensors"][:-1] + b"\x01")):
            newest.mkdir(exist_ok=True)
            for file, text in whole.items():
                (newest / file).write_bytes(text)
            (newest / name).write_bytes(content)
            ended = self.run_stages("pretrain", "--max-steps", "1")
            self.assertIn("checkpoint passed over", ended.out + ended.err)
            (self.out / "pretrain" / "summary.json").unlink()

    def test_a_log_that_is_gone_or_short(self):
        """A checkpoint says how long the log was; less than that is not made up."""
        (self.out / "pretrain" / "summary.json").unlink()
        (self.out / "pretrain" / "log.jsonl").write_text("")
        ended = programs.run(PROGRAM, "--stage", "pretrain", "--max-steps", "2", "--data", DATA, "--out", self.out, "--threads", "1", seconds=SECONDS)
        self.assertEqual(ended.code, 3, ended)
        self.assertRegex(ended.err, r"the log `.*log.jsonl` has 0 bytes, but \d+ when the checkpoint was saved")
        self.assertEqual((self.out / "pretrain" / "log.jsonl").read_text(), "")


class Mutations(unittest.TestCase):
    def test_mutated_files(self):
        """Some bytes of the header or the lengths changed: 0, 3 or (a weight that is not finite any more) 5, never anything else."""
        seed = programs.chosen_seed()
        generator = random.Random(seed)
        codes = {}
        header = struct.unpack("<Q", GIVEN[:8])[0] + 8
        for number in range(150):
            content = bytearray(GIVEN)
            for _ in range(generator.randrange(1, 6)):
                place = generator.randrange(8) if generator.random() < 0.1 else generator.randrange(header)
                action = generator.randrange(4)
                if action == 0:
                    content[place] = generator.randrange(256)
                elif action == 1:
                    content[place] = generator.choice(b'0123456789[]{}",:-e.')
                elif action == 2:
                    del content[place:place + generator.randrange(1, 9)]
                else:
                    content[place:place] = content[place:place + generator.randrange(1, 30)]
            with programs.fresh_folder() as folder:
                (pathlib.Path(folder) / "given.safetensors").write_bytes(content)
                ended = programs.run(PROGRAM, "--stage", "borrow", "--max-steps", "1", "--data", DATA, "--weights", folder, "--out", pathlib.Path(folder) / "out", "--threads", "1",
                                     seconds=SECONDS)
            self.assertIn(ended.code, (0, 3, 5), f"VCC_TEST_SEED={seed}, file {number}: {ended}")
            codes[ended.code] = codes.get(ended.code, 0) + 1
        self.assertGreater(codes.get(3, 0), 50, f"VCC_TEST_SEED={seed}: {codes}")


if __name__ == "__main__":
    unittest.main()
