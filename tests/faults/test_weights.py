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
        for name, bytes_ in (("F16", len(content) // 2), ("F64", len(content) * 2), ("I32", len(content)), ("BF16", len(content) // 2)):
            self.fails(self.written({**tensors, "lm.lm_head.weight": (name, shape, (content * 2)[:bytes_])}), "`lm.lm_head.weight` is", "the recipe needs f32")

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
        self.assertIn("the frozen weights are not those of checkpoint", ended.err)

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
