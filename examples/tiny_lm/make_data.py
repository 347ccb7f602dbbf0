#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the data of the tiny language model: sentences of a small world in texts.json and a SentencePiece model trained on them.

    make_data.py --out DIR [--seed N] [--count N]

Needs python3 and spm_train.
"""
import argparse
import json
import os
import random
import subprocess
import sys

PEOPLE = ["anna", "boris", "clara", "david", "emma", "felix", "greta", "hugo"]
PLACES = ["kitchen", "garden", "library", "harbour", "station", "market", "museum", "workshop"]
THINGS = ["lantern", "basket", "letter", "umbrella", "violin", "hammer", "kettle", "notebook"]
COLOURS = ["red", "green", "blue", "yellow", "black", "white"]


def sentence(generator):
    """A little story whose last word follows from what stands before it."""
    who, place = generator.choice(PEOPLE), generator.choice(PLACES)
    colour, thing = generator.choice(COLOURS), generator.choice(THINGS)
    told = generator.choice([
        f"{who} carries the {colour} {thing} to the {place} .",
        f"in the {place} , {who} finds a {colour} {thing} .",
        f"the {thing} of {who} is {colour} and lies in the {place} .",
    ])
    asked = generator.choice([
        f"where is the {thing} ? in the {place}",
        f"who has the {thing} ? {who}",
        f"what colour is the {thing} ? {colour}",
    ])
    return f"{told} {asked}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="the folder to fill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=4000, help="how many texts (default 4000)")
    options = parser.parse_args()
    os.makedirs(options.out, exist_ok=True)
    generator = random.Random(options.seed)
    texts = [sentence(generator) for _ in range(options.count)]
    with open(os.path.join(options.out, "texts.json"), "w", encoding="utf-8") as file:
        json.dump([{"text": text} for text in texts], file, indent=0)
    corpus = os.path.join(options.out, "corpus.txt")
    with open(corpus, "w", encoding="utf-8") as file:
        file.write("".join(text + "\n" for text in texts))
    trained = subprocess.run(["spm_train", f"--input={corpus}", f"--model_prefix={os.path.join(options.out, 'lm')}", "--vocab_size=256",
                              "--model_type=bpe", "--character_coverage=1.0", "--unk_id=0", "--bos_id=1", "--eos_id=2", "--pad_id=-1",
                              "--num_threads=1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    os.remove(corpus)
    if trained.returncode != 0:
        sys.exit("make_data.py: spm_train failed:\n" + trained.stdout[-2000:])
    print(f"{len(texts)} texts and a tokenizer in {options.out}")


if __name__ == "__main__":
    main()
