"""Prompts as a user gives them: a text, or several."""

from collections.abc import Mapping, Set

from keras_booth.tools.annotations import Prompts
from keras_booth.tools.errors import InputError


def prompt_list(prompt: Prompts, field: str = "prompt", *, empty: bool = False) -> list[str]:
    """A list of texts.

    Args:
        prompt: str; or an iterable of str that has an order: list, tuple, generator, array.
        field: str. What the user calls it.
        empty: bool. Whether a text may be empty.

    Returns:
        list of str, at least one.

    Raises:
        InputError: for anything else: a dict or a set, bytes, numbers, `None`, an empty list.
    """
    if isinstance(prompt, str):
        found = [prompt]
    elif hasattr(prompt, "__iter__") and not isinstance(prompt, (bytes, bytearray, Mapping, Set)):
        found = list(prompt)
    else:
        found = []
    if not found or not all(isinstance(text, str) and (empty or text.strip()) for text in found):
        raise InputError(f"`{field}` must be a text, or a list of texts. Received: {field}={prompt!r}")
    return [str(text) for text in found]
