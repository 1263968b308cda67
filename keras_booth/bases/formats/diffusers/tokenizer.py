"""Tokenizers in transformers' format -> `Tokenizer`, and back."""

import gzip
import json

from keras_booth.bases.formats.tensors import read_json
from keras_booth.bases.tokenizer import END, LONGEST_VOCABULARY, START, AddedToken, Tokenizer
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files.plain_files import read_bytes
from keras_booth.tools.files.typed_fields import fits
from keras_booth.tools.wording import shown

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
    source, vocabulary, merges = read_merges(folder)
    padding, added = read_special_tokens(folder, vocabulary)
    try:
        tokenizer = Tokenizer(pack(merges), max_length, padding, added)
    except InputError as error:
        raise CheckpointError(f"{error} in {folder}") from error
    if tokenizer.ids != vocabulary:
        odd = sorted(tokenizer.ids.items() ^ vocabulary.items(), key=lambda item: (item[1], item[0]))
        raise CheckpointError(
            f"Only CLIP's tokenizer is supported, whose vocabulary follows from its merges; added tokens belong into "
            f"{ADDED}. Received: the token {shown(odd[0][0])} in {source}"
        )
    return tokenizer


def read_merges(folder):
    """`(path, dict of ids by token, list of merges)`; see `read_tokenizer`."""
    if (folder / "merges.txt").is_file():
        source = folder / "vocab.json"
        vocabulary, merges = read_json(source), read_lines(folder / "merges.txt")
    else:
        source = folder / "tokenizer.json"
        model = read_json(source).get("model")
        if not isinstance(model, dict):
            raise CheckpointError(f"The field 'model' must be an object. Received: model={shown(model)} in {source}")
        vocabulary, merges = model.get("vocab"), model.get("merges")
        if not fits(merges, tuple[str | tuple[str, str], ...]):
            raise CheckpointError(f"merges must be a list of pairs. Received: merges={shown(merges)} in {source}")
        # Newer files have pairs where older ones have a text with a space.
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    if not fits(vocabulary, dict[str, int]) or not vocabulary or not merges:
        raise CheckpointError(
            f"A vocabulary must have the numbers of its tokens, and merges. "
            f"Received: {shown(vocabulary)} with {len(merges)} merges in {source}"
        )
    return source, vocabulary, merges


def read_lines(path):
    """The merges of a text file."""
    content = read_bytes(path, LONGEST_VOCABULARY, "The file of merges", CheckpointError)
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"The file of merges must be text in UTF-8 ({error}). Received: {path}") from error
    return [line for line in lines if line.strip() and not line.startswith("#version")]


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
        names = names_in(config, source)
        for number, token in listed_in(config["added_tokens_decoder"], dict, source).items():
            found[content_of(token, source)] = number_of(number, source), is_normalized(token, source)
    else:
        names = names_in(config, source) | names_in(read_if_there(folder / NAMES), folder / NAMES)
        special = {content_of(token, folder / NAMES) for token in names.values()}
        source = folder / ADDED
        for content, number in read_if_there(source).items():
            found[content] = number_of(number, source), content not in special
        one = folder / "tokenizer.json"
        for token in listed_in(read_if_there(one).get("added_tokens", []), list, one):
            number = number_of(token.get("id") if isinstance(token, dict) else None, one)
            found[content_of(token, one)] = number, is_normalized(token, one)
    names = {name: names.get(name, default) for name, default in NAMED.items() if names.get(name, default)}
    for name in ("bos_token", "eos_token"):
        content = content_of(names[name], folder / NAMES)
        if content != NAMED[name]:
            raise CheckpointError(f"{name} must be {NAMED[name]!r}. Received: {name}={shown(content)} in {folder}")
    listed = dict(found)
    for token in names.values():
        content = content_of(token, folder / NAMES)
        number, normalized = listed.get(content, (vocabulary.get(content), is_normalized(token, folder / NAMES)))
        if number is None:
            raise CheckpointError(
                f"A token without an id cannot be used. Received: {shown(content)} in {folder / NAMES}"
            )
        found[content] = number, normalized
    for content, (number, _) in found.items():
        if vocabulary.get(content, number) != number:
            raise CheckpointError(
                f"An added token must have the id that the vocabulary gives it, {vocabulary[content]}. "
                f"Received: {shown(content)} with {number} in {source}"
            )
    padding = content_of(names["pad_token"], folder / NAMES)
    return padding, sorted((AddedToken(content, *rest) for content, rest in found.items()), key=lambda token: token.id)


def read_if_there(path):
    """A JSON object as a dict; empty where there is no file."""
    return read_json(path) if path.is_file() else {}


def names_in(config, path):
    """The tokens that a config names, as it has them: dict of str or dict by `NAMED`'s names, without empty ones."""
    found = {name: config[name] for name in NAMED if config.get(name)}
    for token in found.values():
        content_of(token, path)
    return found


def listed_in(tokens, kind, path):
    """The added tokens of a file, which must be a dict or a list."""
    if not isinstance(tokens, kind):
        raise CheckpointError(f"The added tokens must be a JSON {kind.__name__}. Received: {shown(tokens)} in {path}")
    return tokens


def number_of(number, path):
    """The id of a token, which a text may say, too."""
    if fits(number, int):
        return number
    if isinstance(number, str) and number.isdecimal() and len(number) < 10:
        return int(number)
    raise CheckpointError(f"The id of a token must be a number. Received: {shown(number)} in {path}")


def content_of(token, path):
    """The text of a token, which is a text or a dict."""
    content = token.get("content") if isinstance(token, dict) else token
    if not isinstance(content, str) or not content:
        raise CheckpointError(f"A token must be a text. Received: {shown(token)} in {path}")
    return content


def is_normalized(token, path):
    """Whether a token is looked for in the cleaned text: by default, unless it is special."""
    if not isinstance(token, dict):
        return False
    if token.get("single_word"):
        raise CheckpointError(
            f"Added tokens that only count as whole words (single_word) are not supported. "
            f"Received: {shown(token['content'])} in {path}"
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
