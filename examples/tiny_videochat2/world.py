# SPDX-License-Identifier: Apache-2.0
"""The world of the tiny task: what can be seen, how it is said and asked, and which combinations are held out.

A combination is four numbers (shape, colour, direction, speed). No question names both the shape and the colour: with
the held-out split that pair alone would hint at the answer.
"""
import itertools
import random

SHAPES = ["circle", "square", "triangle", "cross"]
COLOURS = ["red", "green", "blue", "yellow"]
DIRECTIONS = ["left", "right", "up", "down"]
SPEEDS = ["slow", "fast"]
KINDS = ["shape", "colour", "direction", "speed"]
VALUES = {"shape": SHAPES, "colour": COLOURS, "direction": DIRECTIONS, "speed": SPEEDS}
WHITHER = {"left": "to the left", "right": "to the right", "up": "up", "down": "down"}
ADVERB = {"slow": "slowly", "fast": "fast"}

CAPTIONS = [
    "a {colour} {shape} moves {adverb} {whither}",
    "a {colour} {shape} is moving {whither} {adverb}",
    "the {shape} is {colour} and it moves {adverb} {whither}",
    "{adverb} , a {colour} {shape} goes {whither}",
    "there is a {shape} going {whither} {adverb} , it is {colour}",
    "a {speed} {colour} {shape} moving {whither}",
]
QUESTIONS = {
    "direction": ["which way does it move ?", "which way does the {shape} move ?",
                  "in which direction is the {colour} object moving ?"],
    "colour": ["what colour is it ?", "what is the colour of the {shape} ?", "which colour does the object have ?"],
    "shape": ["what shape is it ?", "what is the shape of the {colour} object ?", "which shape does the object have ?"],
    "speed": ["how fast does it move ?", "how fast is the {shape} ?",
              "at which speed does the {colour} object move ?"],
}
PROMPTS = ["describe the video .", "what happens in the video ?", "say what you see ."]

ALL = list(itertools.product(range(4), range(4), range(4), range(2)))


def attributes(combination):
    """The combination's values by name."""
    return {kind: VALUES[kind][number] for kind, number in zip(KINDS, combination)}


def words_of(combination):
    """What the phrasings' places stand for."""
    words = attributes(combination)
    words["whither"] = WHITHER[words["direction"]]
    words["adverb"] = ADVERB[words["speed"]]
    return words


def caption(combination, phrasing):
    return CAPTIONS[phrasing].format(**words_of(combination))


def question(combination, kind, phrasing):
    return QUESTIONS[kind][phrasing].format(**words_of(combination))


def answers(kind):
    """Every candidate answer of a kind of question, in the order of its values. Some are one word, some three."""
    return [WHITHER[value] for value in DIRECTIONS] if kind == "direction" else list(VALUES[kind])


def answer(combination, kind):
    return answers(kind)[combination[KINDS.index(kind)]]


def captions_differing_in(combination, kind, phrasing):
    """The combination's caption and those with another value of one kind, in the order of the values."""
    place = KINDS.index(kind)
    others = [combination[:place] + (number,) + combination[place + 1:] for number in range(len(VALUES[kind]))]
    return [caption(other, phrasing) for other in others]


def split(fresh_seed=None):
    """(trained, held out): 112 and 16 combinations. Held out are eight triples of shape, colour and direction at both speeds,
    in which each shape, colour and direction stands exactly twice. With a seed the values are numbered anew first, so that
    other triples are held out."""
    orders = [list(range(4)) for _ in range(3)]
    if fresh_seed is not None:
        generator = random.Random(f"split {fresh_seed}")
        while held_out(orders) == held_out([list(range(4))] * 3):
            for order in orders:
                generator.shuffle(order)
    held = held_out(orders)
    return [c for c in ALL if c[:3] not in held], [c for c in ALL if c[:3] in held]


def held_out(orders):
    """The held-out triples when value v of kind k has the number orders[k][v]."""
    triples = set()
    for shape, colour, direction in itertools.product(range(4), repeat=3):
        s, c, d = orders[0][shape], orders[1][colour], orders[2][direction]
        if (s + c + d) % 4 == 0 and (c - s) % 4 in (0, 1):
            triples.add((shape, colour, direction))
    return triples


def keywords(combination, generator, needed, least):
    """A list of attribute words in any order, up to twelve, with repeats: `needed` and some (all where least is 4) others."""
    words = attributes(combination)
    others = [kind for kind in KINDS if kind not in needed]
    chosen = list(needed) + generator.sample(others, generator.randint(max(0, least - len(needed)), len(others)))
    listed = [words[kind] for kind in chosen]
    listed += [generator.choice(listed) for _ in range(generator.randint(0, 12 - len(listed)))]
    generator.shuffle(listed)
    return " ".join(listed)


def language_text(generator):
    """One text for the language model: 20 % a caption; 30 % a dialogue that asks for a description, 50 % one that asks a
    question. Where a dialogue has its video stands a caption (half the time) or a list of keywords."""
    combination = generator.choice(ALL)
    share = generator.random()
    if share < 0.2:
        return caption(combination, generator.randrange(6))
    if share < 0.5:
        needed, asked, told = KINDS, generator.choice(PROMPTS), caption(combination, generator.randrange(6))
    else:
        kind = generator.choice(KINDS)
        needed, asked, told = [kind], question(combination, kind, generator.randrange(3)), answer(combination, kind)
    seen = (caption(combination, generator.randrange(6)) if generator.random() < 0.5
            else keywords(combination, generator, needed, len(needed)))
    return f"human : <video> {seen} </video> {asked} assistant : {told}"
