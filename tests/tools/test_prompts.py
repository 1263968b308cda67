"""What can be a prompt."""

import numpy as np
import pytest

from keras_booth.tools.errors import InputError
from keras_booth.tools.prompts import MOST_PROMPT, prompt_list, require_prompt


@pytest.mark.parametrize("prompts", [["a"], ("a",), np.array(["a"]), (text for text in "a"), "a"])
def test_a_text_or_several(prompts):
    assert prompt_list(prompts) == ["a"]


@pytest.mark.parametrize("prompts", ["   ", "", ["a", "\t"], [], {}, {"a"}, b"a", 5, None, [5], [None], [["a"]]])
def test_anything_else_is_refused(prompts):
    with pytest.raises(InputError, match="`prompt` must be a text, or a list of texts. Received: prompt="):
        prompt_list(prompts)
    assert prompt_list("", empty=True) == [""]


@pytest.mark.parametrize(
    "text, words",
    [
        ("x" * (MOST_PROMPT + 1), "field must have 100000 characters at most, and has 100001. Received: field='x"),
        ("a\0b", "field must be text without NUL characters. Received: field='a\\x00b'"),
        ("\udcff", "field must be text in UTF-8. Received: field='\\udcff'"),
        (" ", "field must be a text. Received: field=' '"),
        (5, "field must be a text. Received: field=5"),
    ],
)
def test_what_no_prompt_can_be(text, words):
    with pytest.raises(InputError) as caught:
        require_prompt(text, "field")
    assert str(caught.value).startswith(words) and len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["x" * MOST_PROMPT, "犬", "{0} %s", "a\nb", "<|endoftext|>", "$x^{$"])
def test_odd_prompts_are_prompts(text):
    require_prompt(text, "field")
