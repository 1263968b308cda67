"""Dataclasses whose fields come from a file that somebody else wrote: checked against their annotations."""

import dataclasses
import functools
import math
import numbers
import types
import typing
from collections.abc import Collection
from typing import Any, TypeVar

from keras_booth.tools.errors import InputError
from keras_booth.tools.wording import shown

Made = TypeVar("Made")
WORDS = {int: "an integer", float: "a finite number", str: "a text", bool: "true or false", types.NoneType: "nothing"}


def check_types(instance: Any) -> None:
    """Raises an `InputError` that names the field unless each field of a dataclass is of its annotated type.

    A float may be an integer, a tuple a list; neither NaN nor infinity is a number, and `True` is no integer.
    """
    kinds = kinds_of(type(instance))
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if not fits(value, kinds[field.name]):
            raise InputError(
                f"{field.name} must be {in_words(kinds[field.name])}. Received: {field.name}={shown(value)}"
            )


def make(cls: type[Made], fields: Any, name: str, later: Collection[str] = ()) -> Made:
    """A dataclass of the fields that a file has.

    Args:
        cls: type, a dataclass.
        fields: dict of str.
        name: str, what the fields are of, as the file calls it.
        later: names of fields that earlier versions did not write.

    Raises:
        InputError: for fields that are missing, unknown, or of another type.
    """
    if not isinstance(fields, dict):
        raise InputError(f"{name} must be an object with fields. Received: {name}={shown(fields)}")
    known = {field.name for field in dataclasses.fields(cls)}
    unknown, missing = sorted(map(str, fields.keys() - known)), sorted(known - fields.keys() - set(later))
    if unknown:
        raise InputError(
            f"{name} has the field {shown(unknown[0])}, which this version does not know: a newer one may have written "
            f"it. Received: {unknown[0][:40]}={shown(fields[unknown[0]])}"
        )
    if missing:
        raise InputError(f"{name} lacks the field {missing[0]!r}. Received: {name}={shown(fields)}")
    return cls(**fields)


@functools.cache
def kinds_of(cls):
    """dict of a dataclass's annotations by field."""
    return typing.get_type_hints(cls)


def fits(value, kind):
    """Whether a value is of an annotated type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return any(fits(value, option) for option in inner)
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return False
        inner = inner[:1] * len(value) if inner[1:] == (...,) else inner
        return len(value) == len(inner) and all(map(fits, value, inner))
    if origin is dict:
        return isinstance(value, dict) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if kind in (int, float):
        number = isinstance(value, numbers.Integral if kind is int else numbers.Real) and not isinstance(value, bool)
        return number and is_finite(value)
    return isinstance(value, kind)


def is_finite(number: Any) -> bool:
    """Whether a real number is neither NaN nor infinity, nor an integer beyond all floats."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def in_words(kind):
    """A type, as a sentence names it."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(map(in_words, inner))
    if origin is tuple:
        inner = [in_words(part) for part in inner if part is not ...]
        return f"a list of {', '.join(inner)}" if len(inner) > 1 else f"a list, each of it {inner[0]}"
    if origin is dict:
        return f"an object whose values are {in_words(inner[1])}"
    return WORDS.get(kind, f"a {kind.__name__}")
