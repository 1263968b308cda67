"""Tokenizers in transformers' format -> `Tokenizer`, and back."""

import gzip
import json

from keras_booth.bases.checkpoints import read_json
from keras_booth.bases.tokenizer import END, START, Tokenizer
from keras_booth.tools.errors import CheckpointError

HEADER = "#version: 0.2"


def read_tokenizer(folder, max_length):
    """Read CLIP's tokenizer from a folder that transformers wrote.

    Args:
        folder: `Path` with `vocab.json` and `merges.txt`, or, as transformers 5 writes it, `tokenizer.json` alone.
        max_length: int. Tokens of a prompt, start and end included.

    Returns:
        `Tokenizer`.

    Raises:
        CheckpointError: if files are missing or damaged, or it is another kind of tokenizer.
    """
    if (folder / "merges.txt").is_file():
        source, vocabulary = folder / "vocab.json", read_json(folder / "vocab.json")
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        merges = [line for line in lines if line.strip() and not line.startswith("#version")]
    else:
        source = folder / "tokenizer.json"
        model = read_json(source).get("model") or {}
        vocabulary = model.get("vocab") or {}
        # Newer files have pairs where older ones have a text with a space.
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model.get("merges") or []]
    tokenizer = Tokenizer(pack(merges), max_length, padding_token(folder))
    if tokenizer.ids != vocabulary:
        raise CheckpointError(f"Only CLIP's tokenizer without added tokens is supported. Received: {source}")
    return tokenizer


def pack(merges):
    """A list of merges as a gzipped merge list, the same bytes each time."""
    return gzip.compress("\n".join([HEADER, *merges]).encode(), mtime=0)


def padding_token(folder):
    """The token that fills short prompts."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).is_file():
            token = read_json(folder / name).get("pad_token")
            if token:
                return token["content"] if isinstance(token, dict) else token
    return END


def write_tokenizer(tokenizer, folder):
    """The inverse of `read_tokenizer`."""
    special = {"bos_token": START, "eos_token": END, "pad_token": tokenizer.padding, "unk_token": END}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": tokenizer.max_length} | special
    files = {
        "vocab.json": json.dumps(tokenizer.ids, ensure_ascii=False),
        "merges.txt": "\n".join([HEADER, *tokenizer.merges, ""]),
        "tokenizer_config.json": json.dumps(config, indent=2),
        "special_tokens_map.json": json.dumps(special, indent=2),
    }
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
