"""What kind of value a field takes: checked, and in words."""

import dataclasses
import math
import types
import typing

from keras_booth.tools.errors import InputError
from keras_booth.tools.wording import shown

WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}


def check_kinds(options, group, most):
    """Raises an `InputError` for the first field of a group whose value is of another kind, or beyond any use.

    Args:
        options: a dataclass's instance, with annotations that are types.
        group: str. Its name, which stands before that of the field.
        most: dict of numbers by `"group.name"`, the largest that a field may be.
    """
    for field in dataclasses.fields(options):
        name, value = f"{group}.{field.name}", getattr(options, field.name)
        if not is_of_kind(value, field.type):
            raise InputError(f"{name} must be {describe(field.type)}. Received: {name}={shown(value)}")
        numbers = [number for number in _several(value) if isinstance(number, (int, float))]
        if not all(map(_finite, numbers)):
            raise InputError(f"{name} must be a finite number. Received: {name}={value!r}")
        if name in most and any(number > most[name] for number in numbers):
            raise InputError(f"{name} must be at most {most[name]}. Received: {name}={shown(value)}")


def is_of_kind(value, kind):
    """Whether a value is what an annotation says. A whole number is a number; true and false are none."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(is_of_kind(value, part) for part in parts)
    if origin is typing.Literal:
        return isinstance(value, str) and value in parts
    if origin is dict:
        return isinstance(value, dict) and all(
            isinstance(name, str) and is_of_kind(one, parts[1]) for name, one in value.items()
        )
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return False
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(kinds) == len(value) and all(map(is_of_kind, value, kinds))
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, kind)


def describe(kind):
    """A field's type in words."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        choices = [choice for part in typing.get_args(kind) for choice in _choices(part)]
        return ", ".join(choices[:-1]) + f" or {choices[-1]}"
    return " or ".join(_choices(kind))


def _choices(kind):
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return [str(part) for part in parts]
    if origin is dict:
        return ["a group of names and values"]
    if origin is tuple:
        if typing.get_origin(parts[0]) is typing.Literal:
            return [f"a list of any of {describe(parts[0])}"]
        return ["a list of texts" if parts[0] is str else f"a list of {len(parts)} whole numbers"]
    return [WORDS[kind]]


def _several(value):
    return value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else (value,)


def _finite(number):
    return isinstance(number, int) or math.isfinite(number)
