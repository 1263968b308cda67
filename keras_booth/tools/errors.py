"""The one way to fail at a user's mistake: an `InputError`, one sentence that says what is wrong and what to do."""

import math
from typing import Any

MOST_SENTENCE = 480  # characters


class InputError(ValueError):
    """A mistake in what the user gave.

    The message is one sentence that ends in what was received. Commands print it and exit with 2; any other error,
    plain `ValueError` included, is a fault of ours and keeps its traceback.
    """


class CheckpointError(InputError):
    """A file or folder of weights that cannot be read, or that is of another kind than what it is asked for."""


class OutOfMemory(OSError):
    """The memory of the machine or the GPU was not enough: the machine's fault, like a disk that is full."""


def require(condition: bool, field: str, rule: str, value: Any) -> None:
    """Raises an `InputError` in Keras's manner unless `condition` holds.

    Args:
        condition: bool.
        field: str. Name of the field, as the user writes it.
        rule: str. What the field must be: `">= 0"`.
        value: What was received.
    """
    if not condition:
        raise InputError(f"{field} must be {rule}. Received: {field}={value!r}")


def require_guidance(field: str, value: float | None) -> None:
    """Raises an `InputError` unless `value` is a guidance scale, or `None` for the base's own."""
    require(value is None or 0 <= value < math.inf, field, ">= 0", value)


def require_different(identifier_field: str, identifier: str, noun_field: str, class_noun: str) -> None:
    """Raises an `InputError` if the identifier of a subject is the word for what it is."""
    if identifier.strip().lower() == class_noun.strip().lower():
        raise InputError(
            f"{identifier_field} must differ from {noun_field}: it has to be a rare word that stands for the subject "
            f"alone. Received: {identifier_field}={identifier!r}, {noun_field}={class_noun!r}"
        )


def sentence(error: BaseException) -> str:
    """An exception's message on one line, as a terminal shows it: what is very long is left out in the middle."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}. Received: {error.filename}" if error.filename else f"{error.strerror}."
    else:
        text = " ".join(str(error).split()) or type(error).__name__
    if len(text) > MOST_SENTENCE:
        text = f"{text[: MOST_SENTENCE * 3 // 4]} … {text[-MOST_SENTENCE // 4 :]}"
    # File names hold what a terminal would obey.
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
