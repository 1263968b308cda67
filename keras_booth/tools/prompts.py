"""Prompts as a user gives them: a text, or several."""

from collections.abc import Mapping, Set
from typing import Any

from keras_booth.tools.annotations import Prompts
from keras_booth.tools.errors import InputError
from keras_booth.tools.wording import shown

# Characters. Of a prompt a model reads 77 tokens; to cut one that is longer takes time.
MOST_PROMPT = 100_000


def prompt_list(prompt: Prompts, field: str = "prompt", *, empty: bool = False) -> list[str]:
    """A list of texts.

    Args:
        prompt: str; or an iterable of str that has an order: list, tuple, generator, array.
        field: str. What the user calls it.
        empty: bool. Whether a text may be empty.

    Returns:
        list of str, at least one.

    Raises:
        InputError: for anything else: a dict or a set, bytes, numbers, `None`, an empty list; and for a text that is
            none that can be drawn, see `unfit`.
    """
    if isinstance(prompt, str):
        found = [prompt]
    elif hasattr(prompt, "__iter__") and not isinstance(prompt, (bytes, bytearray, Mapping, Set)):
        found = list(prompt)
    else:
        found = []
    if not found or not all(isinstance(text, str) and (empty or text.strip()) for text in found):
        raise InputError(f"`{field}` must be a text, or a list of texts. Received: {field}={shown(prompt)}")
    for text in found:
        require_prompt(text, f"`{field}`", empty=empty)
    return [str(text) for text in found]


def require_prompt(text: Any, field: str, *, empty: bool = False) -> None:
    """Raises an `InputError` that names the field, unless a text can be a prompt.

    Args:
        text: str.
        field: str. What the user calls it.
        empty: bool. Whether it may be empty.
    """
    reason = "must be a text" if not isinstance(text, str) or not (empty or text.strip()) else unfit(text)
    if reason:
        raise InputError(f"{field} {reason}. Received: {field.strip('`')}={shown(text)}")


def unfit(text: str) -> str:
    """Why a text can be no prompt, as what follows its name in a sentence; empty for one that can."""
    if len(text) > MOST_PROMPT:
        return f"must have {MOST_PROMPT} characters at most, and has {len(text)}"
    if "\0" in text:
        return "must be text without NUL characters"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "must be text in UTF-8"
    return ""
