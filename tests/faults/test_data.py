# SPDX-License-Identifier: Apache-2.0
"""Annotations, tokenizers and media made to break the program: each ends with exit 3 and a sentence that names the file (and, where there
is one, the record and the field), in little time and memory, and leaves no half-written file."""
import json
import os
import pathlib
import random
import shutil
import struct
import unittest
import zlib

import programs

SECONDS = 30


def setUpModule():
    global FOLDER, WORDS, CLIPS
    FOLDER = programs.fresh_folder()
    WORDS = programs.words_data(pathlib.Path(FOLDER.name) / "words")
    CLIPS = programs.clips_data(pathlib.Path(FOLDER.name) / "clips")


def tearDownModule():
    FOLDER.cleanup()


class Case(unittest.TestCase):
    """A program run on a copy of good data of which one file is replaced."""

    def copy(self, source):
        folder = programs.fresh_folder()
        self.addCleanup(folder.cleanup)
        data = pathlib.Path(folder.name) / "data"
        shutil.copytree(source, data)
        return data

    def nothing_half_written(self, out):
        for path in out.rglob("*"):
            self.assertNotIn("partial", path.name)
            self.assertNotIn(path.name, ("weights.safetensors", "summary.json"))
        self.assertEqual(list(out.glob("*/checkpoints/*")), [])

    def run_on(self, program, data, *options, code=3, stage="1", memory=programs.MEMORY):
        out = data.parent / "out"
        ended = programs.run(program, "--stage", stage, "--data", data, "--out", out, "--threads", "1", *options, memory=memory, seconds=SECONDS)
        self.assertEqual(ended.code, code, ended)
        if code:
            self.assertRegex(ended.err, r"(^|\n)error: ")  # warnings may stand before it
            self.nothing_half_written(out)
            self.assertLess(len(ended.err), 5000, "a flood of messages")
        return ended


class Annotations(Case):
    def fails(self, content, *words):
        data = self.copy(WORDS)
        file = data / "texts.json"
        file.unlink()
        if content is not None:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        ended = self.run_on(programs.compiled("words"), data, "--max-steps", "40")
        self.assertIn("texts.json", ended.err)
        for word in words:
            self.assertIn(word, ended.err)

    def test_good(self):
        self.run_on(programs.compiled("words"), self.copy(WORDS), "--max-steps", "2", code=0)

    def test_missing(self):
        self.fails(None, "No such file")

    def test_empty(self):
        self.fails("", "is empty")
        self.fails(" \n ", "is empty")
        self.fails("[]", "no records")

    def test_not_json(self):
        self.fails(bytes(range(256)) * 100)
        self.fails("text: hello")
        self.fails("7", "needed an object")
        self.fails("null")
        self.fails("[1, 2, 3]", "record 0", "needed an object")

    def test_truncated(self):
        whole = (WORDS / "texts.json").read_bytes()
        for share in (0.01, 0.5, 0.999):
            self.fails(whole[:int(len(whole) * share)], "record")

    def test_more_after_the_end(self):
        self.fails('[{"text": "a"}] [{"text": "b"}]', "the end of the file after `]`")
        self.fails('[{"text": "a"},]', "needed an object")
        self.fails('[{"text": "a"} {"text": "b"}]', "needed `,` or `]`")

    def test_wrong_types(self):
        for value in ("7", "null", "true", "[]", "{}", '["a"]'):
            self.fails(f'[{{"text": {value}}}]', "record 0", "`text`", "a string is needed")

    def test_missing_keys(self):
        self.fails('[{"txt": "a"}]', "record 0")
        self.fails("[{}]", "record 0")

    def test_broken_inside_a_record(self):
        for text in ('{"text": tru}', '{"text": "a" "b"}', '{"text": "\\x"}', '{"text": "\\ud800"}', '{"text": 01}', '{"text": "a"]', '{text: "a"}'):
            self.fails(f"[{text}]", "record 0")

    def test_not_utf8(self):
        self.fails(b'[{"text": "\xff\xfe\xc0\x80"}]', "record 0", "UTF-8")

    def test_control_bytes(self):
        self.fails(b'[{"text": "a\x00b"}]', "record 0")

    def test_deep_nesting(self):
        self.fails('[{"text": ' + "[" * 1000000 + "]" * 1000000 + "}]", "record 0")
        self.fails("[" * 1000000, "record 0")
        self.fails('[{"text": ' + '{"a":' * 1000000)

    def test_duplicate_keys(self):
        """JSON leaves their meaning open; the first one counts, in every reader of the same file alike."""
        data = self.copy(WORDS)
        (data / "texts.json").write_text('[{"text": "anna has a lantern", "text": 7}]')
        self.run_on(programs.compiled("words"), data, "--max-steps", "1", code=0)
        self.fails('[{"text": 7, "text": "anna"}]', "`text`", "a string is needed")

    def test_a_string_that_claims_a_gigabyte(self):
        """A sparse file of a gigabyte of zeros inside a string: refused without a copy of it in memory."""
        data = self.copy(WORDS)
        with open(data / "texts.json", "wb") as file:
            file.write(b'[{"text": "')
            file.seek(1 << 30)
            file.write(b'"}]')
        ended = self.run_on(programs.compiled("words"), data)
        self.assertIn("record 0 has 1073741", ended.err)

    def test_a_folder_a_device_a_pipe(self):
        data = self.copy(WORDS)
        for make in (lambda path: path.mkdir(), lambda path: os.mkfifo(path), lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to(path)):
            path = data / "texts.json"
            path.rename(data / "old") if path.is_file() else path.rmdir() if path.is_dir() else path.unlink()
            make(path)
            ended = self.run_on(programs.compiled("words"), data)
            self.assertIn("texts.json", ended.err)

    def test_a_long_text(self):
        """A text of 190 kB is cut at max_tokens; it is no reason to stop."""
        data = self.copy(WORDS)
        (data / "texts.json").write_text(json.dumps([{"text": "anna has a lantern " * 10000}]))
        self.run_on(programs.compiled("words"), data, "--max-steps", "1", code=0)


class Turns(Case):
    def prepare(self, content):
        data = self.copy(WORDS)
        (data / "quiz.json").write_text(json.dumps(content) if not isinstance(content, str) else content)
        program = programs.compiled("words")
        self.run_on(program, data, "--max-steps", "1", code=0)
        out = data.parent / "out"
        for path in (out / "pretrain").iterdir():
            if path.name not in ("weights.safetensors", ".lock"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        (out / "pretrain" / "weights.safetensors").rename(data.parent / "kept")
        return program, data

    def fails(self, content, *words, evaluation=False):
        program, data = self.prepare(content)
        out = data.parent / "out"
        (data.parent / "kept").rename(out / "pretrain" / "weights.safetensors")
        ended = programs.run(program, "--stage", "tune", "--data", data, "--out", out, "--threads", "1", seconds=SECONDS)
        self.assertEqual(ended.code, 3, ended)
        self.assertIn("quiz.json", ended.err)
        for word in words:
            self.assertIn(word, ended.err)
        left = [path.name for path in (out / "tune").rglob("*") if "partial" in path.name or path.name in ("weights.safetensors", "summary.json")]
        self.assertEqual(left, [])

    def test_turns(self):
        good = {"QA": [{"q": "what ?", "a": "blue"}], "candidates": ["blue", "green"], "kind": "sky"}
        self.fails([{**good, "QA": "text"}], "record 0", "`QA`", "a list of turns is needed")
        self.fails([{**good, "QA": [7]}], "record 0", "QA[0]", "an object is needed")
        self.fails([{**good, "QA": [{"q": "what ?"}]}], "record 0", "QA[0].a", "absent")
        self.fails([{**good, "QA": [{"q": 7, "a": "blue"}]}], "QA[0].q", "a number")

    def test_candidates(self):
        good = {"QA": [{"q": "what ?", "a": "blue"}], "candidates": ["blue", "green"], "kind": "sky"}
        self.fails([good, {**good, "candidates": []}], "record 1", "candidates")
        self.fails([good, {**good, "candidates": ["red", "green"]}], "record 1", "blue")
        self.fails([good, {**good, "candidates": "blue"}], "record 1", "candidates")
        self.fails([good, {key: value for key, value in good.items() if key != "kind"}], "record 1", "kind")


class Evaluations(Case):
    """What an evaluation would end on after the training is found before the first step."""

    def checked(self, edit, *words, recipe=None, stage="all", source=None):
        data = self.copy(source or WORDS)
        edit(data)
        program = recipe or programs.compiled("words")
        ended = programs.run(program, "--stage", stage, "--data", data, "--out", data.parent / "out", "--threads", "1", seconds=SECONDS)
        self.assertEqual(ended.code, 3, ended)
        for word in words:
            self.assertIn(word, ended.err)
        self.assertEqual(list((data.parent / "out").rglob("*.jsonl")), [], "a stage has begun")

    def records(self, change):
        def edit(data):
            records = json.loads((data / "quiz.json").read_text())
            change(records)
            (data / "quiz.json").write_text(json.dumps(records))
        return edit

    def test_annotations(self):
        where = "evaluation `quiz` of stage `tune`"
        self.checked(lambda data: (data / "quiz.json").unlink(), where, "quiz.json")
        self.checked(lambda data: (data / "quiz.json").write_text("[{]"), where, "quiz.json")
        self.checked(self.records(lambda records: records[7].update(candidates="blue")), where, "record 7", "candidates", "a list of strings is needed")
        self.checked(self.records(lambda records: records[7].update(candidates=["black"])), where, "record 7", "one of its candidates")
        self.checked(self.records(lambda records: records[7].update(choices=records[7].pop("candidates"), candidate="x")), where, "record 7",
                     "did you mean `candidate`")
        self.checked(self.records(lambda records: records[11]["QA"][0].update(q=3)), where, "record 11", "QA[0].q")
        self.checked(self.records(lambda records: records[11].update(candidates=["blue", 7], QA=[{"q": "what ?"}])), where, "record 11", "QA[0].a")

    def test_a_finished_stage_is_not_asked(self):
        data = self.copy(WORDS)
        for code, words in [(0, ""), (0, "done before")]:
            ended = programs.run(programs.compiled("words"), "--stage", "1,2", "--data", data, "--out", data.parent / "out", "--threads", "1", "--max-steps", "6",
                                 seconds=SECONDS)
            self.assertEqual(ended.code, code, ended)
            self.assertIn(words, ended.out)
            (data / "quiz.json").write_text("[]")


class Tokenizers(Case):
    def pieces(self, content, *words):
        data = self.copy(WORDS)
        (data / "lm.model").unlink()
        if content is not None:
            (data / "lm.model").write_bytes(content)
        ended = self.run_on(programs.compiled("words"), data)
        self.assertIn("lm.model", ended.err)
        for word in words:
            self.assertIn(word, ended.err)

    def test_pieces(self):
        whole = (WORDS / "lm.model").read_bytes()
        self.pieces(None, "No such file")
        self.pieces(b"", "not a SentencePiece model")
        self.pieces(b"\0" * 100, "not a SentencePiece model")
        self.pieces(bytes(range(256)) * 50, "not a SentencePiece model")
        self.pieces(whole[:len(whole) // 2])
        self.pieces(whole[:100])
        self.pieces(b"\x0a\xff\xff\xff\xff\x0f" + whole, "not a SentencePiece model")  # a piece that claims 4 GB

    def test_pieces_with_other_bytes(self):
        """Whatever the library makes of a changed model, the program ends by itself with 0 or 3."""
        seed = programs.chosen_seed()
        generator, whole = random.Random(seed), (WORDS / "lm.model").read_bytes()
        data = self.copy(WORDS)
        for number in range(20):
            changed = bytearray(whole)
            for _ in range(generator.randrange(1, 20)):
                changed[generator.randrange(len(changed))] = generator.randrange(256)
            (data / "lm.model").write_bytes(changed)
            ended = programs.run(programs.compiled("words"), "--stage", "1", "--max-steps", "1", "--data", data, "--out", data.parent / f"o{number}",
                                 "--threads", "1", seconds=SECONDS)
            self.assertIn(ended.code, (0, 3), f"VCC_TEST_SEED={seed}, file {number}: {ended}")

    def test_pieces_of_another_vocabulary(self):
        data = self.copy(WORDS)
        corpus = data / "corpus.txt"
        corpus.write_text("".join(record["text"] + "\n" for record in json.loads((WORDS / "texts.json").read_text())))
        programs.succeed("spm_train", f"--input={corpus}", f"--model_prefix={data / 'lm'}", "--vocab_size=200", "--model_type=bpe", "--num_threads=1", "--pad_id=-1")
        ended = self.run_on(programs.compiled("words"), data)
        self.assertIn("has 200 tokens, but the recipe declares `vocab: 256` for tokenizer `pieces`", ended.err)

    def words(self, content, *words):
        data = self.copy(WORDS)
        program = programs.compiled("words")
        out = data.parent / "out"
        (data / "vocab.txt").write_bytes(content)
        programs.succeed(program, "--stage", "1", "--max-steps", "1", "--data", data, "--out", out, "--threads", "1")
        ended = programs.run(program, "--stage", "2", "--data", data, "--out", out, "--threads", "1", seconds=SECONDS)
        self.assertEqual(ended.code, 3, ended)
        self.assertIn("vocab.txt", ended.err)
        for word in words:
            self.assertIn(word, ended.err)
        self.assertFalse((out / "tune" / "weights.safetensors").exists())

    def test_words(self):
        whole = (WORDS / "vocab.txt").read_bytes()
        lines = whole.splitlines(keepends=True)
        self.words(b"", "has no `[UNK]`")
        self.words(bytes(range(256)) * 50)
        self.words(b"".join(lines[:10]), "has 10 tokens", "`vocab: 16`")
        self.words(b"".join(lines[:-1]) + lines[4], "line 16 repeats `what` of line 5")
        self.words(whole.replace(b"[SEP]", b"[END]"), "has no `[SEP]`")
        self.words(b"".join(lines[:-1]) + b"b\xff\xfe\n", "line 16 is not UTF-8")


class Media(Case):
    def setUp(self):
        self.data = self.copy(CLIPS)
        self.program = programs.compiled("clips")

    def replace(self, number, content):
        path = self.data / "clips" / f"{number}.mp4"
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        return path

    def replaced(self):
        return [entry for step in programs.steps_of(self.data.parent / "out", "classify") for entry in step.get("replaced", [])]

    def one_bad(self, *words):
        """Within the limit: the run goes to its end, names the file, counts it and trains on others."""
        self.run_on(self.program, self.data, code=0)
        replaced = self.replaced()
        self.assertTrue(replaced, "the broken clip was used")
        for entry in replaced:
            for word in ("3.mp4",) + words:
                self.assertIn(word, json.dumps(entry))
        summary = json.loads((self.data.parent / "out" / "classify" / "summary.json").read_text())
        self.assertEqual(summary["replaced"], len(replaced))

    def test_good(self):
        self.run_on(self.program, self.data, code=0)
        self.assertEqual(self.replaced(), [])

    def test_empty(self):
        self.replace(3, b"")
        self.one_bad("is empty")

    def test_missing(self):
        self.replace(3, None)
        self.one_bad("does not exist")

    def test_garbage(self):
        self.replace(3, random.Random(0).randbytes(20000))
        self.one_bad("is not a video or image")

    def test_text_with_a_videos_name(self):
        self.replace(3, b"this is no video\n" * 100)
        self.one_bad("is not a video or image")

    def test_a_playlist_with_a_videos_name(self):
        """Formats that name other files are not followed."""
        other = self.data / "clips" / "0.mp4"
        self.replace(3, f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{other}\n#EXT-X-ENDLIST\n".encode())
        self.one_bad("is not a video or image")
        self.replace(3, f"ffconcat version 1.0\nfile {other}\n".encode())
        shutil.rmtree(self.data.parent / "out")
        self.one_bad("is not a video or image")

    def test_truncated(self):
        whole = (self.data / "clips" / "3.mp4").read_bytes()
        self.replace(3, whole[:len(whole) // 2])
        self.one_bad()

    def test_header_only(self):
        self.replace(3, (self.data / "clips" / "3.mp4").read_bytes()[:40])
        self.one_bad()

    def test_no_frame(self):
        """Replaced and counted, as declared."""
        programs.write_film_without_frames(self.replace(3, None))
        self.one_bad("has no frame that can be decoded")

    def test_audio_only(self):
        path = self.replace(3, None)
        programs.succeed("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", path)
        self.one_bad("has no video stream")

    def test_a_folder(self):
        self.replace(3, None).mkdir()
        self.one_bad("is not a regular file")

    def test_a_pipe(self):
        os.mkfifo(self.replace(3, None))
        self.one_bad("is not a regular file")

    def test_an_image_that_claims_to_be_huge(self):
        def chunk(kind, content):
            return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1 << 30, 1 << 30, 8, 2, 0, 0, 0))
        self.replace(3, b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))
        self.one_bad()

    def test_over_the_limit(self):
        for number in (1, 3, 5):
            self.replace(number, b"")
        ended = self.run_on(self.program, self.data)
        self.assertIn("3 of 8 samples of dataset `videos` cannot be used, more than the 25% that may be skipped", ended.err)
        self.assertRegex(ended.err, r"[135]\.mp4")

    def test_all_broken(self):
        for number in range(8):
            self.replace(number, b"nothing")
        self.run_on(self.program, self.data)

    def test_label_that_is_not_declared(self):
        records = json.loads((self.data / "clips.json").read_text())
        for record in records[:3]:
            record["label"] = "snow"
        (self.data / "clips.json").write_text(json.dumps(records))
        ended = self.run_on(self.program, self.data)
        self.assertIn("`snow`", ended.err)
        self.assertIn("one of bars, life", ended.err)

    def test_media_names(self):
        for value in (7, "", "a\0b", None, ["0.mp4"]):
            with self.subTest(value=value):
                data = self.copy(CLIPS)
                records = [{"video": value, "label": "bars"}] * 8
                (data / "clips.json").write_text(json.dumps(records))
                ended = self.run_on(self.program, data)
                self.assertIn("clips.json: record", ended.err)

    def test_flipped_bytes(self):
        """Videos with some changed bytes: the run ends with 0 (they decode somehow, or were replaced) or 3."""
        seed = programs.chosen_seed()
        generator = random.Random(seed)
        originals = [(self.data / "clips" / f"{number}.mp4").read_bytes() for number in range(8)]
        for turn in range(6):
            for number, whole in enumerate(originals):
                changed = bytearray(whole)
                for _ in range(generator.randrange(1, 30)):
                    changed[generator.randrange(len(changed))] = generator.randrange(256)
                self.replace(number, bytes(changed))
            ended = programs.run(self.program, "--stage", "1", "--data", self.data, "--out", self.data.parent / f"o{turn}", "--threads", "1", seconds=SECONDS)
            self.assertIn(ended.code, (0, 3), f"VCC_TEST_SEED={seed}, turn {turn}: {ended}")


if __name__ == "__main__":
    unittest.main()
