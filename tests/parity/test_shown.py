# SPDX-License-Identifier: Apache-2.0
"""Dialogues and captions about pictures and clips token by token, in every template of VideoChat2 that has a place for them: the tag, the
message of times, the prompts of pictures and of clips. Strings are built, tokenised and masked as in test_conversations.py."""
import json
import re
import unittest

import sentencepiece

import steps
import test_conversations
from test_conversations import ADDED, CAP

ROWS, FRAMES, VISUAL, ANSWER = 8, 4, 3, 14
# Frames and rate of each clip: times that are ties of the first decimal place, and clips of fewer frames than are wanted.
CLIPS = [(10, 4), (5, 2), (9, 8), (16, 20), (12, 1), (3, 4), (4, 25), (1, 5)]
PROMPTS = {
    "video": ["Describe the following video concisely.", "Provide a brief description of the given video clip.",
              "Offer a succinct explanation of the footage presented.", "Summarize the visual content of the following video.",
              "Give a short and clear explanation of the subsequent video clip.", "Share a concise interpretation of the video provided.",
              "Present a compact description of the clip's key features.", "Relay a brief, clear account of the video shown.",
              "Render a clear and concise summary of the video below.", "Write a terse but informative summary of the following video clip.",
              "Create a compact narrative representing the video presented."],
    "image": ["Describe the following image concisely.", "Provide a brief description of the given image.",
              "Offer a succinct explanation of the picture presented.", "Summarize the visual content of the following image.",
              "Give a short and clear explanation of the subsequent image.", "Share a concise interpretation of the image provided.",
              "Present a compact description of the photo's key features.", "Relay a brief, clear account of the picture shown.",
              "Render a clear and concise summary of the photo below.", "Write a terse but informative summary of the following picture.",
              "Create a compact narrative representing the image presented."]}
PHI = {token: 400 + number for number, token in enumerate(ADDED)}


def make_data(folder, generator):
    test_conversations.make_data(folder, generator)
    (folder / "media").mkdir()

    def words(low, high):
        return " ".join(generator.choice(steps.WORDS) for _ in range(generator.randint(low, high)))
    for number, (frames, rate) in enumerate(CLIPS):
        steps.write_png(folder / "media" / f"{number}.png", generator.randbytes(8 * 8 * 3), 8)
        steps.run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"color=red:size=16x16:rate={rate}", "-frames:v", frames, "-pix_fmt", "yuv420p",
                  "-c:v", "libx264", "-preset", "ultrafast", folder / "media" / f"{number}.mp4")
    for kind, end in (("image", "png"), ("video", "mp4")):
        dialogues, captions = [], []
        for number in range(ROWS):
            turns = [{"i": words(1, 3) + "." if number % 3 else "", "q": words(2, 4) + "?", "a": words(1, 4) + "."} for _ in range(1 + number % 3)]
            if number == 3:
                turns[0]["q"] = ""
            if number == 4:
                turns[-1]["a"] = words(CAP, CAP + 5)
            dialogues.append({kind: f"{number}.{end}", "QA": turns})
            captions.append({kind: f"{number}.{end}", "caption": f"{' '.join(generator.choice(steps.WORDS) for _ in range(1 + 3 * number))}."})
        name = "picture" if kind == "image" else "clip"
        (folder / f"{name}s.json").write_text(json.dumps(dialogues))
        (folder / f"{name}_captions.json").write_text(json.dumps(captions))


def message(number):
    """What upstream says of a clip's times: the middle of each of equal parts, as seconds of one decimal place."""
    frames, rate = CLIPS[number]
    parts = min(FRAMES, frames)
    edges = [frames * part // parts for part in range(parts + 1)]
    chosen = [(first + last - 1) // 2 for first, last in zip(edges, edges[1:])]
    chosen += [chosen[-1]] * (FRAMES - parts)
    return f"The video contains {FRAMES} frames sampled at {', '.join(str(round(frame / rate, 1)) for frame in chosen)} seconds."


def vicuna(turns, tag, said):
    text = (turns[0]["i"] + " " if turns[0]["i"] else "") + f"###Human: <{tag}></{tag}> " + (said + " " if said else "")
    for turn in turns:
        text += (f"###Human: {turn['q']} " if turn["q"] else "") + f"###Assistant: {turn['a']} "
    return text + "###"


def mistral(turns, tag, said):
    text = (turns[0]["i"] + " " if turns[0]["i"] else "") + f"[INST] <{tag}></{tag}> " + (said + " " if said else "") + "[/INST]"
    for turn in turns:
        text += (f" [INST] {turn['q']} [/INST]" if turn["q"] else "") + f" {turn['a']} </s>"
    return text


def phi(turns, tag, said):
    text = f"<|system|>\n{turns[0]['i']}<|end|>\n" if turns[0]["i"] else ""
    for number, turn in enumerate(turns):
        shown = f"<{tag}></{tag}>{' ' + said if said else ''}\n" if number == 0 else ""
        text += f"<|user|>\n{shown}{turn['q']}<|end|>\n<|assistant|>\n{turn['a']}<|end|>\n"
    return text.strip()


class Shown(steps.Case):
    recipe = "shown.vcs"
    make_data = staticmethod(make_data)
    tokens = test_conversations.Conversations.tokens
    words = test_conversations.Conversations.words

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pieces = sentencepiece.SentencePieceProcessor(model_file=str(cls.folder / "lm.model"))
        cls.made = {}

    def records(self, kind, what):
        name = {"image": "picture", "video": "clip"}[kind] + what
        return json.loads((self.folder / f"{name}.json").read_text())

    def shown(self, stage):
        """The step with pictures and the step with clips; an epoch has one of each."""
        made = self.steps(stage, 2)
        found = {"image" if step.inputs["clip.pixels"].shape[1] == 1 else "video": step for step in made}
        self.assertEqual(set(found), {"image", "video"})
        return found.items()

    def rows(self, step, field, visual=True):
        """Ids and labels of each row without its visual places, and where those begin."""
        inputs, found = step.inputs, []
        for row, length in enumerate(inputs[f"{field}.length"].tolist()):
            ids, labels = (inputs[f"{field}.{name}"][row][:length].tolist() for name in ("ids", "labels"))
            start = None
            if visual:
                at = inputs[f"{field}.at"][row].tolist()
                start = next(place for place, source in enumerate(at) if source >= 0)
                self.assertEqual(at[start:start + VISUAL], list(range(row * VISUAL, (row + 1) * VISUAL)))
                self.assertEqual(sum(source >= 0 for source in at), VISUAL)
                self.assertEqual(labels[start:start + VISUAL], [-100] * VISUAL)
                del ids[start:start + VISUAL], labels[start:start + VISUAL]
            found.append((tuple(ids), tuple(labels), start))
        return sorted(found)

    def expected(self, text, tag, trained, controls):
        before, after = text.split(f"</{tag}>")
        after = f"</{tag}>" + after
        ids = self.tokens(after, controls)
        labels = trained(after, ids, lambda part: len(self.tokens(part, controls)))
        first = [1] + self.tokens(before, controls)
        return tuple((first + ids)[:CAP]), tuple(([-100] * len(first) + labels)[:CAP]), len(first)

    def check(self, stage, render, trained, controls):
        for kind, step in self.shown(stage):
            tag, dialogues = {"image": "Image", "video": "Video"}[kind], [record["QA"] for record in self.records(kind, "s")]
            for field in ("plain", "timed"):
                texts = [render(turns, tag, message(number) if (kind, field) == ("video", "timed") else "") for number, turns in enumerate(dialogues)]
                expected = sorted(self.expected(text, tag, trained, controls) for text in texts)
                for mine, theirs in zip(self.rows(step, field), expected, strict=True):
                    self.assertEqual(mine, theirs, f"{kind}, {field}: {self.words(*mine[:2])}\n{self.words(*theirs[:2])} (seed {steps.SEED})")
                self.assertIn(CAP, [len(row[0]) for row in expected])
            if stage == "mistral":
                self.told(step, dialogues)

    def told(self, step, dialogues):
        vocabulary = (self.folder / "vocab.txt").read_text().split("\n")
        expected = [tuple(vocabulary.index(word) for word in ["[CLS]", *re.findall(r"\w+|[.?]", turns[0]["i"]), "[SEP]"]) for turns in dialogues]
        self.assertEqual([row[0] for row in self.rows(step, "told", visual=False)], sorted(expected))
        self.assertGreater(len(set(map(len, expected))), 1)

    def test_times_are_upstreams(self):
        self.assertEqual(message(0), "The video contains 4 frames sampled at 0.0, 0.8, 1.2, 2.0 seconds.")
        self.assertEqual(message(5), "The video contains 4 frames sampled at 0.0, 0.2, 0.5, 0.5 seconds.")

    def test_vicuna(self):
        self.check("vicuna", vicuna, test_conversations.Conversations.vicuna_mask, {"</s>": 2})

    def test_mistral(self):
        mask = test_conversations.Conversations.answers_mask
        self.check("mistral", mistral, lambda after, ids, length: mask("[INST] ", " [/INST] ", after, ids, length, str.rstrip), {"</s>": 2})

    def test_phi3(self):
        mask = test_conversations.Conversations.answers_mask
        self.check("phi", phi, lambda after, ids, length: mask("<|user|>\n", "<|end|>\n<|assistant|>\n", after, ids, length, lambda part: part),
                   {"</s>": 2, **PHI})

    def captions(self, stage, before, after, stop, controls, kept=True):
        """Each row says one of the prompts of what it shows, then its caption, tokenised apart and cut."""
        for kind, step in self.shown(stage):
            tag = {"image": "Image", "video": "Video"}[kind]
            begin = [1] + self.tokens(before.format(tag), controls)
            heads = {tuple(begin + self.tokens(after.format(tag, prompt), controls)) for prompt in PROMPTS[kind]}
            answers = sorted(tuple(self.tokens(record["caption"] + stop, controls)[:ANSWER]) for record in self.records(kind, "_captions"))
            seen = []
            for ids, labels, start in self.rows(step, "caption"):
                head = [head for head in heads if ids[:len(head)] == head]
                self.assertEqual(len(head), 1, f"{kind}: {self.words(ids, labels)} (seed {steps.SEED})")
                answer = ids[len(head[0]):]
                seen.append(answer)
                self.assertEqual(start, len(begin))
                self.assertEqual(labels, (-100,) * len(head[0]) + tuple(i if kept or i != 2 else -100 for i in answer))
            self.assertEqual(sorted(seen), answers, f"{kind} (seed {steps.SEED})")
            self.assertIn(ANSWER, map(len, answers))

    def test_captions_of_vicuna(self):
        self.captions("describe_vicuna", "###Human: <{}>", "</{}> {} ###Assistant: ", "###", {"</s>": 2})

    def test_captions_of_mistral(self):
        self.captions("describe_mistral", "[INST] <{}>", "</{}> {} [/INST]", "</s>", {"</s>": 2}, kept=False)

    def test_captions_of_phi3(self):
        self.captions("describe_phi", "<|user|>\n<{}>", "</{}> {}<|end|>\n<|assistant|>\n", "<|end|>", {"</s>": 2, **PHI})


if __name__ == "__main__":
    unittest.main()
