# SPDX-License-Identifier: Apache-2.0
"""Tokens of random and awkward texts are those of Transformers, with tokenizers trained here."""
import os
import pathlib
import random
import struct
import subprocess
import tempfile
import unittest

import sentencepiece
import tokenizers
import transformers

BUILD = pathlib.Path(__file__).resolve().parents[2] / os.environ.get("VCC_BUILD", "build")
TEXTS = 14000
# Of those, at least so many can be compared with whole tokenizers of Transformers.
COMPARED = 10000
WORDS = ("a the of video frame cat dog plays ball red green blue person walks slowly describe what happens in to left right question answer "
         "ball's don't 3.14 2,000 mid-air end. Who? caf\u00e9 na\u00efve \u00fcber stra\u00dfe \u0440\u0443\u0441\u0441\u043a\u0438\u0439 "
         "\u4e2d\u6587 \u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 \u0639\u0631\u0628\u064a \u05e2\u05d1\u05e8\u05d9\u05ea \u0939\u093f\u0928\u094d\u0926\u0940").split()
MARKERS = ["###", "[INST]", "[/INST]", "<Video>", "</Video>", "<s>", "</s>", "[CLS]", "[SEP]", "[DEC]", "[PAD]", "[UNK]", "<unk>", "<|user|>", "##ing", "\u2581"]
# Characters that rules are about: spaces and controls of all kinds, combining marks, signs that look like others, beyond the first plane.
ODD = [chr(code) for code in (0x00, 0x01, 0x07, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1f, 0x20, 0x7f, 0x85, 0xa0, 0xad, 0x300, 0x301, 0x308, 0x34f, 0x1680, 0x2003, 0x2009,
                              0x200b, 0x200d, 0x200e, 0x2028, 0x2029, 0x202f, 0x2060, 0x3000, 0xfeff, 0xfffd, 0xfe0f, 0x130, 0x131, 0x1e9e, 0x149, 0x1c5, 0xfb01,
                              0x212b, 0x2126, 0x1f600, 0x1f468, 0x1f3fd, 0x20000, 0x2a6d6, 0xe0001, 0xd7ff, 0xe000, 0xf8ff, 0x10ffff, 0x0130, 0x0345, 0x1fb7)]
RANGES = [(0x20, 0x7e), (0xa1, 0x17f), (0x180, 0x24f), (0x300, 0x36f), (0x370, 0x3ff), (0x400, 0x4ff), (0x590, 0x6ff), (0x900, 0x97f), (0xe00, 0xe7f), (0x1e00, 0x1fff),
          (0x2000, 0x206f), (0x2070, 0x218f), (0x2200, 0x23ff), (0x3000, 0x30ff), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xff00, 0xffef), (0x1f300, 0x1f6ff)]


def awkward():
    yield from ["", " ", "  ", "\n", "\t \r\n", "\x00", "a\x00b", "a" * 100, "a" * 101, "a" * 250, "\u0301", "e\u0301", "caf\u0065\u0301", "\u1e9e", "\u0130stanbul"]
    yield from ["." * 300, "don't", "...wait", "a,b;c:d", "[CLS] a [SEP]", "[MASK]", "<s>a</s>", "###Human: hi ###Assistant: ", "3" * 50, "\u4e2d" * 120, "\U0001f468\u200d\U0001f469\u200d\U0001f467"]
    yield from [" leading", "trailing ", "two  spaces", "tab\tbed", "\ufeffbom", "soft\xadhyphen", "zero\u200bwidth", "A\u030a", "\u212b", "\ufb01ne", "\u1fb7"]
    yield "the cat plays with a red ball . " * 3200  # 100 kB
    yield "\u4e2d\u6587e\u0301 " * 12000


def texts(seed):
    source = random.Random(seed)
    found = list(awkward())
    while len(found) < TEXTS:
        parts = []
        for _ in range(source.randrange(1, 14)):
            kind = source.randrange(6)
            if kind < 2:
                parts.append(source.choice(WORDS))
            elif kind == 2:
                parts.append(source.choice(MARKERS))
            elif kind == 3:
                parts.append(source.choice(ODD))
            elif kind == 4:
                low, high = source.choice(RANGES)
                parts.append("".join(chr(source.randrange(low, high + 1)) for _ in range(source.randrange(1, 6))))
            else:
                parts.append(source.choice(WORDS).upper())
            if source.randrange(3):
                parts.append(" ")
        found.append("".join(parts))
    return found


def corpus(seed):
    source = random.Random(seed)
    return [" ".join(source.choice(WORDS) for _ in range(12)) for _ in range(4000)]


class Tokens(unittest.TestCase):
    def setUp(self):
        self.seed = int(os.environ.get("VCC_TEST_SEED", random.SystemRandom().randrange(1 << 30)))
        self.texts = texts(self.seed)
        folder = tempfile.TemporaryDirectory(prefix="vcc-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def ours(self, kind, file, vocabulary):
        data = b"".join(struct.pack("<I", len(each)) + each for each in (text.encode() for text in self.texts))
        finished = subprocess.run([BUILD / "bin" / "tests" / "read_text", kind, file, str(vocabulary)], input=data, capture_output=True)
        self.assertEqual(finished.returncode, 0, finished.stderr.decode())
        return [[int(word) for word in line.split()] for line in finished.stdout.decode().splitlines()]

    def compare(self, found, expected):
        self.assertEqual(len(found), len(self.texts))
        wrong = [(text[:80], a[:20], b[:20]) for text, a, b in zip(self.texts, found, expected) if a != list(b)]
        self.assertEqual(wrong[:5], [], f"{len(wrong)} of {len(found)} texts, VCC_TEST_SEED={self.seed}")

    def test_wordpiece(self):
        trained = tokenizers.BertWordPieceTokenizer(lowercase=True)
        trained.train_from_iterator(corpus(self.seed), vocab_size=300, min_frequency=1, show_progress=False)
        entries = [word for word, _ in sorted(trained.get_vocab().items(), key=lambda entry: entry[1])]
        file = self.folder / "vocab.txt"
        file.write_text("\n".join(entries) + "\n")
        theirs = transformers.BertTokenizer.from_pretrained(str(self.folder), do_lower_case=True)
        # Text never turns into control tokens here: words in brackets are words.
        plain = theirs.backend_tokenizer
        reference = tokenizers.Tokenizer(tokenizers.models.WordPiece({word: i for i, word in enumerate(entries)}, unk_token="[UNK]"))
        reference.normalizer, reference.pre_tokenizer = plain.normalizer, plain.pre_tokenizer
        self.compare(self.ours("wordpiece", file, len(entries)), [encoded.ids for encoded in reference.encode_batch(self.texts)])
        without = [number for number, text in enumerate(self.texts) if not any(marker in text for marker in ("[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"))]
        self.assertGreaterEqual(len(without), COMPARED)
        self.texts = [self.texts[number] for number in without]
        self.compare(self.ours("wordpiece", file, len(entries)), theirs(self.texts, add_special_tokens=False)["input_ids"])

    def pieces(self, vocabulary, **options):
        lines = self.folder / "corpus.txt"
        lines.write_text("\n".join(corpus(self.seed)))
        sentencepiece.SentencePieceTrainer.train(input=str(lines), model_prefix=str(self.folder / "tokenizer"), vocab_size=vocabulary, minloglevel=2, **options)
        file = self.folder / "tokenizer.model"
        reference = sentencepiece.SentencePieceProcessor(model_file=str(file))
        found = self.ours("sentencepiece", file, reference.get_piece_size())
        self.compare(found, [reference.encode(text) for text in self.texts])
        return file, found

    def test_pieces_as_llama_has_them(self):
        file, found = self.pieces(420, model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                                  split_digits=True, allow_whitespace_only_pieces=True, character_coverage=0.9999)
        theirs = transformers.LlamaTokenizer.from_pretrained(str(self.folder))
        # Transformers makes control tokens of their names in a text, and puts no mark of a word's beginning before a text that starts
        # with a space, which SentencePiece (and with it Transformers up to 4, which upstream trained with) does.
        kept = [number for number, text in enumerate(self.texts)
                if not any(marker in text for marker in ("<s>", "</s>", "<unk>")) and not text.startswith((" ", "\u2581"))]
        self.assertGreaterEqual(len(kept), COMPARED)
        self.texts, found = [self.texts[number] for number in kept], [found[number] for number in kept]
        self.compare(found, theirs(self.texts, add_special_tokens=False)["input_ids"])

    def test_unigram(self):
        self.pieces(110, model_type="unigram")


if __name__ == "__main__":
    unittest.main()
