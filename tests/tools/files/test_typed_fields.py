"""Fields that somebody else wrote, against the annotations of a dataclass."""

import dataclasses

import numpy as np
import pytest

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.typed_fields import check_types, fits, in_words, make

LATER = ("scale", "name", "widths", "pair")


@dataclasses.dataclass(frozen=True)
class Sizes:
    layers: int
    scale: float = 1.0
    name: str | None = None
    widths: tuple[int, ...] = ()
    pair: tuple[str, bool] = ("a", True)

    def __post_init__(self):
        check_types(self)


@pytest.mark.parametrize(
    "fields",
    [
        {"layers": 3},
        {"layers": np.int64(3), "scale": 2, "name": "x", "widths": [1, 2], "pair": ["b", False]},
        {"layers": -1, "scale": np.float32(0.5), "name": None, "widths": ()},
    ],
)
def test_what_fits(fields):
    assert make(Sizes, fields, "sizes", LATER).layers == fields["layers"]


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"layers": "3"}, "layers must be an integer. Received: layers='3'"),
        ({"layers": True}, "layers must be an integer. Received: layers=True"),
        ({"layers": 3.0}, "layers must be an integer"),
        ({"layers": 10**400}, "layers must be an integer. Received: layers=1000"),
        ({"layers": 1, "scale": float("nan")}, "scale must be a finite number. Received: scale=nan"),
        ({"layers": 1, "scale": -np.inf}, "scale must be a finite number"),
        ({"layers": 1, "scale": None}, "scale must be a finite number"),
        ({"layers": 1, "name": 5}, "name must be a text or nothing. Received: name=5"),
        ({"layers": 1, "widths": "12"}, "widths must be a list, each of it an integer"),
        ({"layers": 1, "widths": [1, "2"]}, "widths must be a list"),
        ({"layers": 1, "pair": ["a"]}, "pair must be a list of a text, true or false"),
        ({}, "sizes lacks the field 'layers'"),
        ({"layers": 1, "depth": 2}, "sizes has the field 'depth', which this version does not know"),
        ([1], "sizes must be an object with fields. Received: sizes=[1]"),
        (None, "sizes must be an object with fields"),
    ],
)
def test_what_does_not(fields, words):
    with pytest.raises(InputError) as error:
        make(Sizes, fields, "sizes", LATER)
    assert words in str(error.value) and len(str(error.value)) < 300


def test_fields_that_came_later_may_be_missing():
    assert make(Sizes, {"layers": 1}, "sizes", LATER).scale == 1.0
    with pytest.raises(InputError, match="lacks the field 'scale'"):
        make(Sizes, {"layers": 1}, "sizes", LATER[1:])


def test_objects():
    kind = dict[str, tuple[int, float]]
    assert fits({"a": [1, 2.0]}, kind) and fits({}, kind)
    assert not fits({"a": [1]}, kind) and not fits({1: [1, 2.0]}, kind) and not fits([], kind)
    assert in_words(dict[str, float]) == "an object whose values are a finite number"
