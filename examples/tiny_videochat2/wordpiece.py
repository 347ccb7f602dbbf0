# SPDX-License-Identifier: Apache-2.0
"""Builds a BERT WordPiece vocabulary: special tokens, every character that occurs alone and inside a word (`##x`), then
whole words by how often they occur, then the longest common ends of words, until the size is reached."""
import collections
import re

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]


def words_of(text):
    """BERT's first cut: lower case, spaces and every punctuation mark separate words."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def build(texts, size):
    """The vocabulary as a list of exactly `size` pieces; the place in the list is the id."""
    counts = collections.Counter(word for text in texts for word in words_of(text))
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    letters = sorted({letter for word in counts for letter in word})
    pieces = SPECIAL + [word for word in ordered]
    pieces += [piece for piece in letters + ["##" + letter for letter in letters if letter.isalnum()] if piece not in counts]
    ends = collections.Counter()
    for word, count in counts.items():
        for start in range(1, len(word) - 1):
            ends["##" + word[start:]] += count
    pieces += sorted(ends, key=lambda piece: (-ends[piece], piece))
    if len(pieces) < size:
        raise ValueError(f"the texts give {len(pieces)} pieces, which is less than the vocabulary of {size}")
    if len(SPECIAL) + len(ordered) > size:
        raise ValueError(f"{len(ordered)} words and {len(SPECIAL)} special tokens do not fit into a vocabulary of {size}")
    return pieces[:size]
