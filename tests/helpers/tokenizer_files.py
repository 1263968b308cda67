"""Folders of a small tokenizer, with every combination of the files that say which tokens are special."""

import json

from keras_booth.bases.formats.diffusers.tokenizer import write_tokenizer
from keras_booth.bases.tokenizer import Tokenizer
from tests.helpers.places import VOCABULARY

LENGTH = 16
SIZE = Tokenizer(VOCABULARY.read_bytes()).vocabulary_size
START, END = "<|startoftext|>", "<|endoftext|>"
PROMPTS = (
    "a dog!",
    "!!!",
    "wow!dog ! x",
    "<|endoftext|> dog",
    "a <|ENDOFTEXT|> dog",
    "a<cat-toy>dog",
    "A <CAT-TOY> DOG",
    "hotdogs",
    "",
)


def token(content, **fields):
    """A token as transformers writes it."""
    return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False} | fields


def typed(content):
    """A token as transformers before 4.34 wrote it into `tokenizer_config.json`."""
    return {"__type": "AddedToken"} | token(content)


def cases(size):
    """dict of dicts of the files' contents, by name; `size` is the number of tokens of the vocabulary."""
    base = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH}
    old = base | {"bos_token": typed(START), "eos_token": typed(END), "unk_token": typed(END), "pad_token": END}
    names = {"bos_token": token(START), "eos_token": token(END), "unk_token": token(END)}
    plain = {"bos_token": START, "eos_token": END, "unk_token": END}
    listed = {
        "0": token("!", normalized=False, special=True),
        str(size - 2): token(START, special=True),
        str(size - 1): token(END, special=True),
    }
    toy = {str(size): token("<cat-toy>", special=False)}
    config, mapped, added = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
    return {
        # Stable Diffusion 1.x, and 2, 2-base, 2.1 and 2.1-base: the files contradict each other.
        "1.x": {config: old, mapped: names | {"pad_token": END}},
        "2.x": {config: old, mapped: names | {"pad_token": "!"}},
        "config alone": {config: old | {"pad_token": "!"}},
        "names alone": {mapped: names | {"pad_token": "!"}},
        "none": {config: base},
        "typed padding": {config: old, mapped: names | {"pad_token": token("!")}},
        "listed": {config: base | plain | {"pad_token": "!", "added_tokens_decoder": listed}, mapped: names},
        "listed, not the padding": {
            config: base | plain | {"pad_token": END, "added_tokens_decoder": listed},
            mapped: names | {"pad_token": "!"},
        },
        "listed, one more": {config: base | plain | {"pad_token": END, "added_tokens_decoder": listed | toy}},
        "added": {config: old, mapped: names, added: {"<cat-toy>": size, "dog": size + 1}},
        "added padding": {config: old | {"pad_token": "[PAD]"}, added: {"[PAD]": size}},
        "one file": {
            config: old | {"pad_token": "!"},
            "tokenizer.json": {
                "added_tokens": [
                    {"id": int(number)} | fields for number, fields in (listed | {str(size): toy[str(size)]}).items()
                ]
            },
        },
    }


def write_files(folder, files):
    """Write the folder of a case."""
    tokenizer = Tokenizer(VOCABULARY.read_bytes(), LENGTH)
    write_tokenizer(tokenizer, folder)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()
    for name, content in files.items():
        if name == "tokenizer.json":
            model = {"type": "BPE", "vocab": tokenizer.ids, "merges": tokenizer.merges}
            content = {"version": "1.0", "model": model} | content
            (folder / "vocab.json").unlink()
            (folder / "merges.txt").unlink()
        (folder / name).write_text(json.dumps(content))
    return folder
