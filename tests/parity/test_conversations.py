# SPDX-License-Identifier: Apache-2.0
"""Dialogues token by token as VideoChat2 makes them: the strings are built, split at the end of the visual part and tokenised whole; what is
trained on is found by tokenising parts of the string, as upstream does. The SentencePiece model is trained here, with LLaMA's settings."""
import json
import re
import unittest

import sentencepiece

import steps

ADDED = ["<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>", "<|placeholder3|>", "<|placeholder4|>", "<|system|>",
         "<|end|>", "<|placeholder5|>", "<|placeholder6|>", "<|user|>"]
CAP = 90


def dialogues(generator):
    def words(low, high):
        return " ".join(generator.choice(steps.WORDS) for _ in range(generator.randint(low, high)))
    made = []
    for number in range(12):
        turns = [{"i": words(2, 4) + "." if number % 3 else "", "q": words(2, 4) + "?", "a": words(1, 4) + "."} for _ in range(1 + number % 3)]
        made.append(turns)
    made[4][0]["q"] = ""
    made[6] = [{"i": "", "q": "", "a": words(3, 5)}]
    made[7][0]["a"] = words(60, 70)
    made[8][-1]["a"] = words(40, 50)
    made[9][0]["i"] = words(10, 12)
    return made


def make_data(folder, generator):
    texts = dialogues(generator)
    (folder / "dialogues.json").write_text(json.dumps([{"QA": turns} for turns in texts]))
    captions = [f"{' '.join(generator.choice(steps.WORDS) for _ in range(2 + number))}." for number in range(12)]
    (folder / "captions.json").write_text(json.dumps([{"caption": caption} for caption in captions]))
    corpus = [" ".join(turn[key] for turn in turns for key in "iqa") for turns in texts] * 4
    corpus += ["###Human: <Video></Video> the cat ###Assistant: a dog ###", "[INST] <Image></Image> [/INST] what"] * 20
    (folder / "corpus.txt").write_text("\n".join(corpus))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"), model_prefix=str(folder / "lm"), vocab_size=400, model_type="bpe", byte_fallback=True,
        remove_extra_whitespaces=False, normalization_rule_name="identity", minloglevel=2)
    letters = sorted(set("".join(steps.WORDS)))
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[DEC]", ".", "?", *steps.WORDS, *[f"##{letter}" for letter in letters]]
    vocabulary += [f"[unused{number}]" for number in range(60 - len(vocabulary))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")


def vicuna(turns):
    """The conversation, and the strings of what follows the video that are trained (True) or not, in order."""
    told = turns[0]["i"] + " " if turns[0]["i"] else ""
    text = f"{told}###Human: <Video></Video> "
    for turn in turns:
        text += (f"###Human: {turn['q']} " if turn["q"] else "") + f"###Assistant: {turn['a']} "
    return text + "###"


def mistral(turns):
    told = turns[0]["i"] + " " if turns[0]["i"] else ""
    text = f"{told}[INST] <Video></Video> [/INST]"
    for turn in turns:
        text += (f" [INST] {turn['q']} [/INST]" if turn["q"] else "") + f" {turn['a']} </s>"
    return text.strip()


def phi(turns):
    text = f"<|system|>\n{turns[0]['i']}<|end|>\n" if turns[0]["i"] else ""
    for number, turn in enumerate(turns):
        text += "<|user|>\n" + ("<Video></Video>\n" if number == 0 else "") + f"{turn['q']}<|end|>\n<|assistant|>\n{turn['a']}<|end|>\n"
    return text.strip()


class Conversations(steps.Case):
    recipe = "conversations.vcs"
    make_data = staticmethod(make_data)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pieces = sentencepiece.SentencePieceProcessor(model_file=str(cls.folder / "lm.model"))
        cls.texts = [record["QA"] for record in json.loads((cls.folder / "dialogues.json").read_text())]
        assert cls.pieces.get_piece_size() == 400

    def tokens(self, text, controls):
        """As a tokenizer of Transformers: control tokens first, what is between them by SentencePiece."""
        made, takes_space = [], len(controls) > 1
        for part in re.split("(" + "|".join(re.escape(control) for control in controls) + ")", text):
            if part in controls:
                made.append(controls[part])
            elif made and takes_space:
                made += self.pieces.encode(part.lstrip()) if part.lstrip() else []
            elif part:
                made += self.pieces.encode(part)
        return made

    def expected(self, text, trained, controls):
        """Ids and labels of a row: begin token, the part up to the video, what follows it."""
        before, after = text.split("</Video>")
        after = "</Video>" + after
        ids = self.tokens(after, controls)
        labels = trained(after, ids, lambda part: len(self.tokens(part, controls)))
        first = [1] + self.tokens(before, controls)
        return (first + ids)[:CAP], ([-100] * len(first) + labels)[:CAP]

    @staticmethod
    def vicuna_mask(after, ids, length):
        human, assistant = "###Human: ", "###Assistant: "
        parts = after.split(assistant)
        parts[1:] = [assistant + part for part in parts[1:]]
        labels, at = list(ids), length(parts[0].rstrip())
        system = length(parts[0].split(human)[0].rstrip())
        marker = length(human.rstrip())
        labels[:system] = [-100] * system
        if system + marker < at:
            labels[system + marker:at] = [-100] * (at - system - marker)
        for part in parts[1:-1]:
            answered, whole = length((part.split(human)[0] + human).rstrip()), length(part.rstrip())
            if human in part:
                labels[at + answered:at + whole] = [-100] * (whole - answered)
            at += whole
        assert at + length(parts[-1].rstrip()) == len(ids)
        return labels

    @staticmethod
    def answers_mask(human, assistant, after, ids, length, strip):
        parts = after.split(assistant)
        parts[:-1] = [part + assistant for part in parts[:-1]]
        labels, at = list(ids), length(strip(parts[0]))
        labels[:at] = [-100] * at
        for part in parts[1:-1]:
            answered, whole = length(strip(part.split(human)[0])), length(strip(part))
            labels[at + answered:at + whole] = [-100] * (whole - answered)
            at += whole
        return labels

    def rows(self, stage):
        step, = self.steps(stage)
        length = step.inputs["text.length"].tolist()
        ids, labels = step.inputs["text.ids"].tolist(), step.inputs["text.labels"].tolist()
        return sorted((tuple(ids[row][:length[row]]), tuple(labels[row][:length[row]])) for row in range(len(length)))

    def check(self, stage, render, trained, controls):
        expected = sorted(tuple(map(tuple, self.expected(render(turns), trained, controls))) for turns in self.texts)
        ours = self.rows(stage)
        for mine, theirs in zip(ours, expected):
            self.assertEqual(mine, theirs, f"{self.words(*mine)}\n{self.words(*theirs)} (seed {steps.SEED})")
        # One is cut at the cap.
        self.assertIn(CAP, [len(row[0]) for row in ours])

    def words(self, ids, labels):
        return " ".join(("[%s]" if label >= 0 else "%s") % (self.pieces.id_to_piece(i) if i < 400 else ADDED[i - 400]) for i, label in zip(ids, labels))

    def test_vicuna_trains_role_markers_and_answers(self):
        self.check("vicuna", vicuna, self.vicuna_mask, {"</s>": 2})

    def test_mistral_trains_answers_and_their_stop(self):
        self.check("mistral", mistral,
                   lambda after, ids, length: self.answers_mask("[INST] ", " [/INST] ", after, ids, length, str.rstrip), {"</s>": 2})

    def test_phi3_trains_answers_and_their_stop(self):
        controls = {token: 400 + number for number, token in enumerate(ADDED)}
        self.check("phi", phi, lambda after, ids, length: self.answers_mask(
            "<|user|>\n", "<|end|>\n<|assistant|>\n", after, ids, length, lambda part: part), {"</s>": 2, **controls})

    def test_golden_string_of_two_turns(self):
        turns = [{"i": "Look closely.", "q": "what is it?", "a": "a cat."}, {"i": "", "q": "color?", "a": "blue."}]
        self.assertEqual(mistral(turns), "Look closely. [INST] <Video></Video> [/INST] [INST] what is it? [/INST] a cat. </s> "
                                         "[INST] color? [/INST] blue. </s>")
        self.assertEqual(vicuna(turns), "Look closely. ###Human: <Video></Video> ###Human: what is it? ###Assistant: a cat. "
                                        "###Human: color? ###Assistant: blue. ###")

    def test_the_q_former_is_told_instruction_and_question_or_nothing(self):
        vocabulary = (self.folder / "vocab.txt").read_text().split("\n")
        expected = []
        for turns in self.texts:
            text = f"{turns[0]['i']} {turns[0]['q']}" if turns[0]["i"] else ""
            words = re.findall(r"\w+|[.?]", text)[-6:]
            expected.append(tuple(vocabulary.index(word) for word in ["[CLS]", *words, "[SEP]"]))
        self.assertEqual([row[0] for row in self.rows("told")], sorted(expected))
        self.assertIn(2, [len(row) for row in expected])

    def captions(self, stage, before, after, stop, kept):
        """Every row has the prompt, then the caption tokenised apart and cut; a prompt for every row, or one for all."""
        captions = [record["caption"] for record in json.loads((self.folder / "captions.json").read_text())]
        prompts = re.findall(r'"([^"]+)"', re.search(r"prompts \[(.*?)\]", (steps.HERE.parents[1] / "stdlib/templates/templates.vcs").read_text(), re.S)[1])
        self.assertEqual(len(prompts), 11)
        first = {tuple([1] + self.pieces.encode(before) + self.pieces.encode(after.format(prompt))): prompt for prompt in prompts}
        answers = {tuple(self.tokens(caption + stop, {"</s>": 2})[:14]) for caption in captions}
        seen, drawn = set(), set()
        for ids, labels in self.rows(stage):
            head = next(head for head in first if ids[:len(head)] == head)
            drawn.add(first[head])
            answer = ids[len(head):]
            seen.add(answer)
            self.assertIn(answer, answers)
            self.assertEqual(labels, (-100,) * len(head) + tuple(i if kept or i != 2 else -100 for i in answer))
        self.assertEqual(seen, answers)
        return drawn

    def test_captions_of_vicuna_share_a_prompt_and_train_the_stop(self):
        drawn = self.captions("describe", "###Human: <Video>", "</Video> {} ###Assistant: ", "###", True)
        self.assertEqual(len(drawn), 1)

    def test_captions_of_mistral_do_not_train_the_stop(self):
        drawn = self.captions("describe_mistral", "[INST] <Video>", "</Video> {} [/INST]", "</s>", False)
        self.assertGreater(len(drawn), 1)


if __name__ == "__main__":
    unittest.main()
