#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the data of the tiny VideoChat2: clips (H.264), annotations (JSON) and both tokenizers.

    make_data.py --out DIR [--seed N] [--fresh-split] [--objects N]

The same arguments give the same files. A folder that a run has completed with the same arguments is left as it is.
Needs python3 with numpy, ffmpeg with libx264 and spm_train.
"""
import argparse
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time

import clips
import wordpiece
import world

FORMAT = 2
CLIPS_PER_TRAINED, CLIPS_PER_HELD, IN_CLIPS = 32, 16, 288
TEXTS = 20000
PIECES, WORDS = 256, 96


def choose_clips(seed, fresh_split, objects=1):
    """The splits (name, scene of every clip). All objects of a scene are of trained or all are of held-out combinations."""
    trained, held = world.split(seed if fresh_split else None)
    generator = random.Random(f"in {seed}")
    known = [combination for combination in trained for _ in range(3)]
    generator.shuffle(known)
    scenes = lambda firsts, pool: [world.scene(first, pool, objects, generator) for first in firsts]
    return [("train", scenes([c for c in trained for _ in range(CLIPS_PER_TRAINED)], trained)),
            ("held", scenes([c for c in held for _ in range(CLIPS_PER_HELD)], held)),
            ("in", scenes(sorted(known[:IN_CLIPS]), trained))]


def record(name, number, scene, **fields):
    attributes = world.attributes(scene)
    return {"video": f"{name}-{number:05d}.mp4", **fields, "attributes": attributes, "combination": " ".join(attributes.values())}


def dialogue(asked, told):
    return [{"i": "", "q": asked, "a": told}]


def question_records(name, scenes, generator):
    """Four records for each object of a clip, one of each kind, in one phrasing drawn for each."""
    for number, scene in enumerate(scenes):
        for one, kind in itertools.product(scene, world.KINDS):
            asked = generator.choice(world.questions(scene, one, kind)).format(**world.words_of(one))
            yield record(name, number, scene, QA=dialogue(asked, world.answer(one, kind)), kind=kind,
                         candidates=world.answers(kind), caption=world.caption(scene, generator.randrange(6)))


def clip_records(name, scenes):
    """One record a clip with its attributes and its caption in every phrasing, of which training draws one."""
    for number, scene in enumerate(scenes):
        yield record(name, number, scene, caption=[world.caption(scene, phrasing) for phrasing in range(6)])


def caption_choice_records(name, scenes):
    """Four records for each object of a clip: which of the captions that differ in one kind of word is the clip's own?"""
    for number, scene in enumerate(scenes):
        for one, kind in itertools.product(scene, world.KINDS):
            told = world.caption(scene, number % 6)
            yield record(name, number, scene, QA=dialogue(world.PROMPTS[number % 3], told), kind=kind,
                         candidates=world.captions_differing_in(scene, one, kind, number % 6))


def retrieval_records(name, scenes, per, generator):
    """One record a clip: which of the captions is the clip's? Beside its own stand those of one clip of every other combination that
    a scene was drawn for, `per` clips each; none of the same objects in another order, which would be true too."""
    for number, scene in enumerate(scenes):
        others = [one for one in scenes[number % per::per] if set(one) != set(scene)]
        known = sorted([scene, *others])
        told = [world.caption(one, generator.randrange(6)) for one in known]
        yield record(name, number, scene, caption=told[known.index(scene)], candidates=told)


def matching_records(name, scenes, generator):
    """Two records a clip, one with its own caption and one with that of other objects: do they match?"""
    known = sorted(set(scenes))
    for number, scene in enumerate(scenes):
        other = generator.choice([one for one in known if set(one) != set(scene)])
        for told, match in ((scene, "yes"), (other, "no")):
            yield record(name, number, scene, caption=world.caption(told, generator.randrange(6)), match=match,
                         candidates=["no", "yes"], kind="own" if match == "yes" else "another's")


def annotations(splits, seed, objects=1):
    """Every JSON file: name and records."""
    chosen = dict(splits)
    generator = random.Random(f"text {seed}")
    yield "texts.json", ({"text": world.language_text(generator, objects)} for _ in range(TEXTS))
    yield "clips.json", clip_records("train", chosen["train"])
    yield "train_qa.json", question_records("train", chosen["train"], generator)
    yield "held_qa.json", question_records("held", chosen["held"], generator)
    yield "in_qa.json", question_records("in", chosen["in"], generator)
    yield "held_captions.json", caption_choice_records("held", chosen["held"])
    generator = random.Random(f"pairs {seed}")
    yield "held_retrieval.json", retrieval_records("held", chosen["held"], CLIPS_PER_HELD, generator)
    yield "held_matching.json", matching_records("held", chosen["held"], generator)


def write_json(path, records):
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(one) for one in records) + "\n]\n")


def training_texts(folder):
    """What the tokenizers are trained on: the language texts and everything that is said about the training clips."""
    with open(os.path.join(folder, "texts.json"), encoding="utf-8") as file:
        yield from (one["text"] for one in json.load(file))
    yield from world.PROMPTS
    with open(os.path.join(folder, "train_qa.json"), encoding="utf-8") as file:
        for one in json.load(file):
            yield one["caption"]
            yield from (text for turn in one["QA"] for text in (turn["q"], turn["a"]))


def train_tokenizers(folder):
    texts = list(training_texts(folder))
    pieces = wordpiece.build([text.replace("<video>", "").replace("</video>", "") for text in texts], WORDS)
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
        file.write("".join(piece + "\n" for piece in pieces))
    corpus = os.path.join(folder, "corpus.txt")
    with open(corpus, "w", encoding="utf-8") as file:
        file.write("".join(text + "\n" for text in texts))
    trained = subprocess.run(["spm_train", f"--input={corpus}", f"--model_prefix={os.path.join(folder, 'lm')}", f"--vocab_size={PIECES}",
                              "--model_type=bpe", "--character_coverage=1.0", "--unk_id=0", "--bos_id=1", "--eos_id=2", "--pad_id=-1",
                              "--num_threads=1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    os.remove(corpus)
    if trained.returncode != 0:
        raise RuntimeError("spm_train failed:\n" + trained.stdout[-2000:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="the folder to fill")
    parser.add_argument("--seed", type=int, default=0, help="of clips and texts (default 0)")
    parser.add_argument("--fresh-split", action="store_true", help="hold out other combinations, drawn by the seed")
    parser.add_argument("--objects", type=int, default=1, choices=[1, 2, 3], help="how many a clip shows (default 1)")
    options = parser.parse_args()
    if options.seed < 0:
        parser.error("--seed is a whole number from 0 on")
    made_with = {"format": FORMAT, "seed": options.seed, "fresh_split": options.fresh_split, "objects": options.objects}
    marker = os.path.join(options.out, "complete.json")
    if os.path.exists(marker):
        with open(marker, encoding="utf-8") as file:
            if json.load(file) == made_with:
                print(f"{options.out} is complete")
                return
    started = time.time()
    partial = options.out.rstrip("/") + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    splits = choose_clips(options.seed, options.fresh_split, options.objects)
    clips.write(os.path.join(partial, "clips"), options.seed, splits)
    for name, records in annotations(splits, options.seed, options.objects):
        write_json(os.path.join(partial, name), records)
    train_tokenizers(partial)
    with open(os.path.join(partial, "complete.json"), "w", encoding="utf-8") as file:
        json.dump(made_with, file)
    shutil.rmtree(options.out, ignore_errors=True)
    os.rename(partial, options.out)
    count = sum(len(scenes) for _, scenes in splits)
    print(f"{count} clips, annotations and two tokenizers in {options.out} ({time.time() - started:.0f} s)")


if __name__ == "__main__":
    try:
        main()
    except (OSError, RuntimeError, ValueError) as error:
        sys.exit(f"make_data.py: {error}")
