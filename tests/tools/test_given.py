"""Prompts and seeds as a user gives them."""

import numpy as np
import pytest

from keras_booth.tools.errors import InputError
from keras_booth.tools.prompts import prompt_list
from keras_booth.tools.seeds import chosen_seed


@pytest.mark.parametrize(
    "prompt", ["a dog", ["a dog"], ("a dog",), np.str_("a dog"), np.array(["a dog"]), (text for text in ["a dog"])]
)
def test_prompts(prompt):
    assert prompt_list(prompt) == ["a dog"]


@pytest.mark.parametrize(
    "prompt", [None, 3, b"a dog", {"a dog": 1}, {"a dog"}, [], "", [" "], ["a dog", None], [b"a dog"]]
)
def test_no_prompts(prompt):
    with pytest.raises(InputError) as raised:
        prompt_list(prompt, "prompts")
    assert str(raised.value) == f"`prompts` must be a text, or a list of texts. Received: prompts={prompt!r}"


def test_none_is_another_seed_each_time_and_says_which(caplog):
    seeds = [chosen_seed(None) for _ in range(3)]
    assert len(set(seeds)) == 3
    assert [f"seed={seed}; pass it" in record.message for seed, record in zip(seeds, caplog.records, strict=True)]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), np.uint8(7), 2**40])
def test_seeds(seed):
    assert chosen_seed(seed) == seed and type(chosen_seed(seed)) is int


@pytest.mark.parametrize("seed", [-1, 1.0, "7", True, [1], 8])
def test_no_seeds(seed):
    with pytest.raises(InputError, match="`seed` must be an integer in .0, 8., or None for any. Received: seed="):
        chosen_seed(seed, below=8)
