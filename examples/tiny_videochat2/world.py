# SPDX-License-Identifier: Apache-2.0
"""The world of the tiny task: what can be seen, how it is said and asked, and which combinations are held out.

A combination is four numbers (shape, colour, direction, speed): one object. A scene is a tuple of combinations, the objects
from left to right, each of a shape and a colour of its own. No question names both the shape and the colour: with the
held-out split that pair alone would hint at the answer.
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


def scene(first, pool, objects, generator):
    """So many objects in any order: one combination and others of the pool."""
    chosen = [first]
    while len(chosen) < objects:
        chosen.append(generator.choice([one for one in pool if all(one[0] != other[0] and one[1] != other[1] for other in chosen)]))
    generator.shuffle(chosen)
    return tuple(chosen)


def attributes(scene):
    """The objects' values by kind, from left to right."""
    return {kind: " ".join(VALUES[kind][one[place]] for one in scene) for place, kind in enumerate(KINDS)}


def words_of(combination):
    """What the phrasings' places stand for."""
    words = attributes((combination,))
    words["whither"] = WHITHER[words["direction"]]
    words["adverb"] = ADVERB[words["speed"]]
    return words


def caption(scene, phrasing):
    return " and ".join(CAPTIONS[phrasing].format(**words_of(one)) for one in scene)


def named(question):
    """The kinds by which a phrasing picks its object."""
    return [kind for kind in KINDS if f"{{{kind}}}" in question]


def alone(scene, one, kinds):
    """Whether no other object of the scene has its values of these kinds."""
    places = [KINDS.index(kind) for kind in kinds]
    return sum(all(other[place] == one[place] for place in places) for other in scene) == 1


def questions(scene, one, kind):
    """The phrasings that ask for a kind of this object and could mean no other."""
    return [question for question in QUESTIONS[kind] if alone(scene, one, named(question))]


def answers(kind):
    """Every candidate answer of a kind of question, in the order of its values. Some are one word, some three."""
    return [WHITHER[value] for value in DIRECTIONS] if kind == "direction" else list(VALUES[kind])


def answer(combination, kind):
    return answers(kind)[combination[KINDS.index(kind)]]


def changed(scene, one, kind, number):
    """The scene in which this object has another value. Another object that had this shape or colour takes this one's."""
    place = KINDS.index(kind)

    def value(other):
        if other == one:
            return number
        return one[place] if other[place] == number and kind in ("shape", "colour") else other[place]

    return tuple(other[:place] + (value(other),) + other[place + 1:] for other in scene)


def captions_differing_in(scene, one, kind, phrasing):
    """The scene's caption and those of the scenes with another value at one object, in the order of the values."""
    return [caption(changed(scene, one, kind, number), phrasing) for number in range(len(VALUES[kind]))]


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


def keywords(combination, generator, needed):
    """A list of attribute words in any order, up to twelve, with repeats: the kinds needed and some others."""
    words = words_of(combination)
    others = [kind for kind in KINDS if kind not in needed]
    listed = [words[kind] for kind in [*needed, *generator.sample(others, generator.randint(0, len(others)))]]
    listed += [generator.choice(listed) for _ in range(generator.randint(0, 12 - len(listed)))]
    generator.shuffle(listed)
    return " ".join(listed)


def language_text(generator, objects):
    """One text for the language model: 20 % a caption; 30 % a dialogue that asks for a description, 50 % one that asks a
    question. Where a dialogue has its video stands a caption (half the time) or a list of keywords for each object."""
    one = generator.choice(ALL)
    seen = scene(one, ALL, objects, generator)
    share = generator.random()
    if share < 0.2:
        return caption(seen, generator.randrange(6))
    if share < 0.5:
        needed, asked, told = KINDS, generator.choice(PROMPTS), caption(seen, generator.randrange(6))
    else:
        kind = generator.choice(KINDS)
        phrasing = generator.choice(questions(seen, one, kind))
        needed = [kind] if alone(seen, one, []) else [kind, *named(phrasing)]
        asked, told = phrasing.format(**words_of(one)), answer(one, kind)
    video = (caption(seen, generator.randrange(6)) if generator.random() < 0.5
             else " , ".join(keywords(other, generator, needed) for other in seen))
    return f"human : <video> {video} </video> {asked} assistant : {told}"
