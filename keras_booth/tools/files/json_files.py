"""JSON that somebody else wrote: an object, or one sentence that names its file."""

import json
import math
from typing import Any

from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.foreign import parsing
from keras_booth.tools.files.plain_files import read_bytes
from keras_booth.tools.wording import shown

LONGEST = 64_000_000  # bytes of a file; the largest in use are tokenizers and indices of shards, of some megabytes


def read_json(path: FilePath, error: type[InputError] = InputError) -> dict[str, Any]:
    """A JSON file as a dict.

    Args:
        path: str or `Path`.
        error: type of what is raised, a kind of `InputError`.

    Raises:
        InputError: if the file is missing, larger than `LONGEST`, or holds something else than a JSON object.
    """
    return parse_json(read_bytes(path, LONGEST, error=error), "The file", path, error)


def parse_json(text: str | bytes, what: str, path: FilePath, error: type[InputError] = InputError) -> dict[str, Any]:
    """A JSON object as a dict; neither NaN nor infinity, nor a member twice, is JSON.

    Args:
        text: str or UTF-8 bytes.
        what: str, how a sentence about it begins: `"The metadata field 'x'"`.
        path: of the file that it is from.
        error: type of what is raised, a kind of `InputError`.
    """
    with parsing(lambda reason: error(f"{what} is not valid JSON ({reason}). Received: {path}")):
        text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        content = json.loads(text, object_pairs_hook=_object, parse_float=_number, parse_constant=_number)
    if not isinstance(content, dict):
        raise error(f"{what} must hold a JSON object, not {shown(content)}. Received: {path}")
    return content


def _object(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the member {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _number(text):
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is no number")
    return number
