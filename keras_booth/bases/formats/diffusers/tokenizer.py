"""Tokenizers in transformers' format -> `Tokenizer`, and back."""

import gzip
import json

from keras_booth.bases.formats.tensors import read_json
from keras_booth.bases.tokenizer import END, START, AddedToken, Tokenizer
from keras_booth.tools.errors import CheckpointError

HEADER = "#version: 0.2"
# The tokens that transformers knows by name, in its order, with CLIP's defaults.
NAMED = {
    "bos_token": START,
    "eos_token": END,
    "unk_token": END,
    "sep_token": None,
    "pad_token": END,
    "cls_token": None,
    "mask_token": None,
}
CONFIG, NAMES, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"


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
    padding, added = read_special_tokens(folder, vocabulary)
    tokenizer = Tokenizer(pack(merges), max_length, padding, added)
    if tokenizer.ids != vocabulary:
        odd = sorted(tokenizer.ids.items() ^ vocabulary.items(), key=lambda item: (item[1], item[0]))
        raise CheckpointError(
            f"Only CLIP's tokenizer is supported, whose vocabulary follows from its merges; added tokens belong into "
            f"{ADDED}. Received: the token {odd[0][0]!r} in {source}"
        )
    return tokenizer


def pack(merges):
    """A list of merges as a gzipped merge list, the same bytes each time."""
    return gzip.compress("\n".join([HEADER, *merges]).encode(), mtime=0)


def read_special_tokens(folder, vocabulary):
    """Which token fills short prompts, and which texts are one token wherever they stand, as transformers finds them.

    Where `tokenizer_config.json` has `added_tokens_decoder` (transformers 4.34 and later write it), it is all that
    counts. Otherwise `special_tokens_map.json` overrules it, and `added_tokens.json` and `tokenizer.json` say what was
    added. The named tokens themselves, the padding among them, are added tokens, too.

    Args:
        folder: `Path` of the tokenizer.
        vocabulary: dict of ids by token.

    Returns:
        `(padding, added)`: str, and a list of `AddedToken`.

    Raises:
        CheckpointError: for a token that cannot be read as transformers would.
    """
    config = read_if_there(folder / CONFIG)
    found, source = {}, folder / CONFIG  # found: dict of (id, whether it is normalized) by content
    if "added_tokens_decoder" in config:
        names = {name: config[name] for name in NAMED if config.get(name)}
        for number, token in config["added_tokens_decoder"].items():
            found[token["content"]] = int(number), is_normalized(token, folder / CONFIG)
    else:
        names = {
            name: token for name, token in (config | read_if_there(folder / NAMES)).items() if name in NAMED and token
        }
        special = {content_of(token) for token in names.values()}
        source = folder / ADDED
        for content, number in read_if_there(source).items():
            found[content] = number, content not in special
        for token in read_if_there(folder / "tokenizer.json").get("added_tokens", []):
            found[token["content"]] = token["id"], is_normalized(token, folder / "tokenizer.json")
    names = {name: names.get(name, default) for name, default in NAMED.items() if names.get(name, default)}
    for name in ("bos_token", "eos_token"):
        if content_of(names[name]) != NAMED[name]:
            raise CheckpointError(
                f"{name} must be {NAMED[name]!r}. Received: {name}={content_of(names[name])!r} in {folder}"
            )
    listed = dict(found)
    for token in names.values():
        content = content_of(token)
        number, normalized = listed.get(content, (vocabulary.get(content), is_normalized(token, folder / NAMES)))
        if number is None:
            raise CheckpointError(f"A token without an id cannot be used. Received: {content!r} in {folder / NAMES}")
        found[content] = number, normalized
    for content, (number, _) in found.items():
        if vocabulary.get(content, number) != number:
            raise CheckpointError(
                f"An added token must have the id that the vocabulary gives it, {vocabulary[content]}. "
                f"Received: {content!r} with {number} in {source}"
            )
    padding = content_of(names["pad_token"])
    return padding, sorted((AddedToken(content, *rest) for content, rest in found.items()), key=lambda token: token.id)


def read_if_there(path):
    """A JSON object as a dict; empty where there is no file."""
    return read_json(path) if path.is_file() else {}


def content_of(token):
    """The text of a token, which is a text or a dict."""
    return token["content"] if isinstance(token, dict) else token


def is_normalized(token, path):
    """Whether a token is looked for in the cleaned text: by default, unless it is special."""
    if not isinstance(token, dict):
        return False
    if token.get("single_word"):
        raise CheckpointError(
            f"Added tokens that only count as whole words (single_word) are not supported. "
            f"Received: {token['content']!r} in {path}"
        )
    special = token.get("special", token.get("__type") is None)
    return bool(token.get("normalized", not special))


def write_tokenizer(tokenizer, folder):
    """The inverse of `read_tokenizer`."""
    special = {"bos_token": START, "eos_token": END, "pad_token": tokenizer.padding, "unk_token": END}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": tokenizer.max_length} | special
    config["added_tokens_decoder"] = {
        str(token.id): {
            "content": token.content,
            "lstrip": False,
            "normalized": token.normalized,
            "rstrip": False,
            "single_word": False,
            "special": token.content in special.values(),
        }
        for token in tokenizer.added
    }
    files = {
        "vocab.json": json.dumps(tokenizer.ids, ensure_ascii=False),
        "merges.txt": "\n".join([HEADER, *tokenizer.merges, ""]),
        CONFIG: json.dumps(config, indent=2),
        NAMES: json.dumps(special, indent=2),
    }
    new = {token.content: token.id for token in tokenizer.added if token.content not in tokenizer.ids}
    if new:
        # For transformers before 4.34, which knows no other place.
        files[ADDED] = json.dumps(new, indent=2)
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
