# SPDX-License-Identifier: Apache-2.0
"""The recipes of VideoChat2 at the size of tests: their options, a few pictures, clips, captions and dialogues, and files under the names
that published weights have."""
import json
import pathlib
import shutil

import sentencepiece
import torch
from safetensors.torch import save_file

import programs
import steps

FOLDER = programs.TOP / "examples" / "videochat2"
# Folder of the language model's files, and how many pieces its tokenizer has of the vocabulary of 100: Phi-3's has added tokens after them.
MODELS = {"vicuna": ("vicuna-7b-v0", 100), "mistral": ("Mistral-7B-Instruct-v0.2", 100), "phi3": ("Phi-3-mini-128k-instruct", 89)}
PICTURES, CLIPS = 12, 8
TOKENS_1, TOKENS_2, TOKENS_3 = 12, 64, 230
# Micro-batches of an epoch in each stage, of pictures and of clips.
EPOCH = {"align": (3, 2), "connect": (6, 4), "instruct": (6, 4)}
# `tiny`, but that the extra queries are drawn: zeros leave it to rounding which way each goes first.
SIZES = ("sizes=shared.Sizes(image: 32, table: 32, vision_width: 48, vision_depth: 5, vision_heads: 4, width: 32, depth: 4, heads: 4, hidden: 64, "
         "positions: 64, words: 100, embed: 24, queries: 8, extra: 16, extra_init: normal(0.0, 0.5))")
STILL = (SIZES.replace("extra_init", "rate: 0.0, drop: 0.0, extra_init"), "lora_dropout=0.0")
WORDS = "the a sky grass sun is are blue green yellow what look closely and at ? .".split()


def seeded_folder(case):
    """A folder of a test case with `data` and `weights`, removed after it; PyTorch draws by the tests' seed."""
    print(f"seed {steps.SEED} (VCC_TEST_SEED)", flush=True)
    torch.manual_seed(steps.SEED)
    torch.set_num_threads(1)
    scratch = programs.fresh_folder()
    case.addClassCleanup(scratch.cleanup)
    folder = pathlib.Path(scratch.name)
    for name in ("data", "weights"):
        (folder / name).mkdir()
    return folder


def options(variant, *more):
    """Of the compiler."""
    words = ["sizes=tiny", f"lm_config=llama.tiny_{variant}", "pictures_1=[sources.coco]", "clips_1=[sources.webvid_10m]",
             "pictures_2=[sources.coco]", "clips_2=[sources.webvid_10m]", "pictures_3=[sources.caption_coco]", "clips_3=[sources.caption_webvid]",
             "rows_1=4", "rows_2=2", "rows_3=2", "epochs_1=2", "epochs_3=1",
             f"tokens_1={TOKENS_1}", f"tokens_2={TOKENS_2}", f"tokens_3={TOKENS_3}", *more]
    return [part for word in words for part in ("-D", word)]


def compiled(variant, program, *more, recipes=FOLDER):
    programs.succeed(programs.VCC, "compile", recipes / f"videochat2_{variant}.vcs", "-o", program, *options(variant, *more), seconds=300)
    return json.loads(programs.succeed(program, "--manifest"))


def rewritten(folder, variant, *changes):
    """The recipes in a folder, one of them with other words: (old, new), .., or (file, old, new) of another file."""
    shutil.copytree(FOLDER, folder)
    for *name, old, new in changes:
        file = folder / (name[0] if name else f"videochat2_{variant}.vcs")
        text = file.read_text()
        assert old in text, old
        file.write_text(text.replace(old, new))
    return folder


def make_tokenizers(folder, variant):
    """A SentencePiece model trained on what the stages say, and a WordPiece vocabulary with [DEC] behind its last row."""
    name, pieces = MODELS[variant]
    (folder / name).mkdir(parents=True)
    templates = (programs.TOP / "stdlib" / "templates" / "templates.vcs").read_text().splitlines()
    corpus = [line.strip() for line in templates if line.strip() and not line.startswith("//")] + [" ".join(WORDS), "0 1 2 3 4 5 6 7 8 9 . ,"] * 40
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_prefix=str(folder / name / "tokenizer"), vocab_size=pieces, hard_vocab_limit=True, model_type="bpe",
        remove_extra_whitespaces=False, normalization_rule_name="identity", add_dummy_prefix=True, minloglevel=2)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    (folder / "bert-base-uncased").mkdir()
    (folder / "bert-base-uncased" / "vocab.txt").write_text("".join(f"{word}\n" for word in words + [f"[unused{i}]" for i in range(100 - len(words))]))


def make_data(folder, generator, variant):
    make_tokenizers(folder, variant)
    for name in ("anno_pretrain", "videos_images/coco", "videos_images/webvid_10m", "media/coco_caption", "media/WebVid2M",
                 "videochat2_it/image/caption/coco", "videochat2_it/video/caption/webvid"):
        (folder / name).mkdir(parents=True)
    for number in range(PICTURES):
        for place in ("videos_images/coco", "media/coco_caption"):
            steps.write_png(folder / place / f"{number}.png", generator.randbytes(40 * 40 * 3), 40)
    programs.clips_data(folder / "made", count=CLIPS)
    for number in range(CLIPS):
        for place in ("videos_images/webvid_10m", "media/WebVid2M"):
            (folder / place / f"{number}.mp4").write_bytes((folder / "made" / "clips" / f"{number}.mp4").read_bytes())
    records = {"image": [{"image": f"{number}.png"} for number in range(PICTURES)], "video": [{"video": f"{number}.mp4"} for number in range(CLIPS)]}

    def words(low, high):
        return " ".join(generator.choice(WORDS[:-2]) for _ in range(generator.randint(low, high)))
    for kind, name in (("image", "coco.json"), ("video", "webvid_10m_train.json")):
        captions = [words(2, 9) + " ." if number else words(90, 100) for number in range(len(records[kind]))]
        (folder / "anno_pretrain" / name).write_text(json.dumps([{**record, "caption": caption} for record, caption in zip(records[kind], captions)]))

    def dialogue(record, number):
        """Two turns, one, a caption without question, one without instruction, one that is too long."""
        turns = [{"i": words(1, 2) + " .", "q": words(2, 4) + " ?", "a": words(2, 4) + " ."} for _ in range(1 + number % 2)]
        if number == 1:
            turns = [{"i": words(1, 3) + " .", "q": "", "a": words(3, 5) + " ."}]
        if number == 2:
            turns[0]["i"] = ""
        if number == 3:
            turns = [{"i": "look .", "q": "what ?", "a": words(300, 320)}]
        return {**record, "QA": turns, **({"start": 0.0, "end": 0.5} if "video" in record and number == 2 else {})}
    for kind, name in (("image", "image/caption/coco"), ("video", "video/caption/webvid")):
        (folder / "videochat2_it" / name / "train.json").write_text(json.dumps([dialogue(record, n) for n, record in enumerate(records[kind])]))


def weight_shapes(stage):
    return {state["path"]: state["shape"] for state in stage["states"] if state["kind"] == "weight" and ":" not in state["path"]}


def draw(path, shape, scale):
    """A random weight: `scale` wide, norms around one."""
    return torch.randn(shape) * (0.1 if scale > 0.1 else 0.0) + 1.0 if "norm" in path.lower() and path.endswith("weight") else torch.randn(shape) * scale


def dotted(path):
    return path.replace("[", ".").replace("]", "")


def make_weights(folder, manifest, variant, scale=0.02, bert=False):
    """The encoder's and the language model's files, under the keys of those who published them, with what else they hold; where `bert`
    is asked for the Q-Former's too."""
    shapes = {path: shape for stage in manifest["stages"] for path, shape in weight_shapes(stage).items()}

    def drawn(prefix, rename):
        return {rename(path): draw(path, shape, scale) for path, shape in shapes.items() if path.startswith(prefix)}
    torch.save(drawn(("vision.blocks", "vision.patch_embed"), lambda path: "encoder." + dotted(path.removeprefix("vision."))), folder / "l16_25m.pth")
    model = drawn("lm.", lambda path: dotted(path.removeprefix("lm.")))
    if variant == "vicuna":
        model["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.randn(5)
    (folder / MODELS[variant][0]).mkdir()
    save_file(model, folder / MODELS[variant][0] / "model.safetensors")
    if bert:
        known = weight_shapes(manifest["stages"][0])
        save_file({path: value for path, value in drawn("bridge.", str).items() if path in known}, folder / "bert_qformer.safetensors")


def randomise(file, scale):
    """Other values in the file that a stage has left: what the next starts from."""
    tensors, metadata = programs.read_tensors(file)
    del metadata["vcc.hashes"]  # of the values that were there
    made = {path: draw(path, shape, scale) for path, (_, shape, _) in sorted(tensors.items())}
    pathlib.Path(file).unlink()
    programs.write_tensors(file, {path: ("F32", tuple(value.shape), value.contiguous().numpy().tobytes()) for path, value in made.items()}, metadata)


def published(path):
    """The key of a weight of stage 1 in the file that upstream publishes."""
    for ours, theirs in (("vision.slot_embed", "vision_temp_embed"), ("vision.norm.", "vision_layernorm."), ("vision.", "vision_encoder.encoder."),
                         ("bridge.query_tokens", "query_tokens"), ("bridge.cls.", "qformer.cls."), ("bridge.layers[", "qformer.bert.encoder.layer."),
                         ("bridge.", "qformer.bert."), ("heads.", "")):
        if path.startswith(ours):
            return (theirs + path.removeprefix(ours).replace("]", "")).replace("[", ".")
    raise AssertionError(path)
