import gzip
import json
import pathlib

import numpy as np
import pytest

from keras_booth.bases import Tokenizer
from tests.helpers.places import CLIP, VOCABULARY


@pytest.fixture(scope="module")
def tiny():
    return Tokenizer(VOCABULARY.read_bytes(), max_length=8)


@pytest.fixture(scope="module")
def clip():
    if not CLIP.is_file():
        pytest.skip("../shared/data/clip is not there")
    return Tokenizer(CLIP.read_bytes())


class TestTinyWorld:
    def test_pads_with_the_end_token(self, tiny):
        tokens = tiny(["a dog"])
        start, end = tiny.vocabulary_size - 2, tiny.vocabulary_size - 1
        assert tokens.shape == (1, 8) and tokens.dtype == np.int32
        assert tokens[0].tolist() == [start, *tiny.pieces("a dog"), end, end, end, end, end]

    def test_truncates_and_still_ends(self, tiny):
        words = "a dog in the snow and a cat on the beach"
        row = tiny([words])[0]
        assert len(tiny.pieces(words)) == 11
        assert row[1:-1].tolist() == tiny.pieces(words)[:6]
        assert row[-1] == tiny.vocabulary_size - 1

    @pytest.mark.parametrize("count", [5, 6, 7])
    def test_around_the_limit(self, tiny, count):
        row = tiny([" ".join(["dog"] * count)])[0].tolist()
        (dog,) = tiny.pieces("dog")
        assert row.count(dog) == min(count, 6)
        assert row[-1] == tiny.vocabulary_size - 1

    def test_a_word_without_end(self, tiny):
        """As a text in Chinese may be one; what is read of it is what was always read."""
        row = tiny(["x" * 50_000])[0].tolist()
        assert row[1:-1] == tiny.pieces("x" * 4000)[:6]
        assert len(tiny.complaint("x" * 50_000)) < 400

    def test_the_empty_prompt(self, tiny):
        end = tiny.vocabulary_size - 1
        assert tiny([""])[0].tolist() == [end - 1] + [end] * 7

    def test_a_row_does_not_depend_on_the_others(self, tiny):
        prompts = ["a dog", "", "a photo of sks dog in the snow"]
        np.testing.assert_array_equal(tiny(prompts), np.concatenate([tiny([prompt]) for prompt in prompts]))

    def test_case_and_spaces_do_not_matter(self, tiny):
        np.testing.assert_array_equal(tiny(["  A  Photo of\na DOG "]), tiny(["a photo of a dog"]))

    def test_unknown_words_fall_into_pieces(self, tiny):
        assert len(tiny.pieces("zebra")) > 1
        assert max(tiny.pieces("Zürich’s zebra 🦓")) < tiny.vocabulary_size

    def test_keeps_the_bytes_it_was_made_of(self, tiny):
        other = Tokenizer(tiny.vocabulary, max_length=8)
        np.testing.assert_array_equal(other(["a photo of sks dog"]), tiny(["a photo of sks dog"]))
        assert tiny.vocabulary == VOCABULARY.read_bytes()


class TestCLIP:
    def test_is_stable_diffusions(self, clip):
        assert clip.vocabulary_size == 49408
        row = clip(["a photo of sks dog"])[0]
        assert row.shape == (77,)
        assert row[:6].tolist() == [49406, 320, 1125, 539, 48136, 1929]
        assert set(row[6:].tolist()) == {49407}

    def test_truncates_to_77(self, clip):
        row = clip(["dog " * 100])[0].tolist()
        assert row == [49406] + [1929] * 75 + [49407]


def test_a_vocabulary_of_ones_own():
    """Byte pairs merge in the order of the list: 'd o', then 'do g</w>'."""
    merges = gzip.compress(b"#version: test\nd o\ndo g</w>", mtime=0)
    tokenizer = Tokenizer(merges, max_length=5)
    assert tokenizer.vocabulary_size == 2 * 256 + 2 + 2
    assert tokenizer(["dog"]).tolist() == [[514, 513, 515, 515, 515]]
    assert len(tokenizer.pieces("dot")) == 2


@pytest.mark.floor
class TestReference:
    """200 prompts as transformers' `CLIPTokenizer` reads them (`make_tokens.py`)."""

    GOLDEN = json.loads(pathlib.Path(__file__).with_name("tokens.json").read_text())

    def compare(self, name, path):
        tokenizer = Tokenizer(path.read_bytes())
        for prompt, ids in zip(self.GOLDEN["prompts"], self.GOLDEN[name], strict=True):
            assert tokenizer([prompt])[0].tolist() == ids + [tokenizer.pad] * (77 - len(ids)), prompt

    def test_tiny_world(self):
        self.compare("tiny_world", VOCABULARY)

    def test_clip(self, clip):
        self.compare("clip", CLIP)


class TestPadding:
    def test_another_token(self):
        """Stable Diffusion 2.x fills up with "!"."""
        row = Tokenizer(VOCABULARY.read_bytes(), max_length=6, padding="!")(["a dog"])[0].tolist()
        assert row[-2:] == [0, 0]

    def test_unknown(self):
        with pytest.raises(ValueError, match="padding='<pad>'"):
            Tokenizer(VOCABULARY.read_bytes(), padding="<pad>")


class TestCutPrompts:
    def test_what_falls_off(self):
        tokenizer = Tokenizer(VOCABULARY.read_bytes(), max_length=8)  # six words between start and end
        assert tokenizer.cut_off("a photo of a dog in") == (6, [])
        assert tokenizer.complaint("a photo of a dog in") is None
        count, words = tokenizer.cut_off("a photo of a dog in\n the  snow, on the beach")
        assert (count, words) == (
            len(tokenizer.pieces("a photo of a dog in the snow, on the beach")),
            "the snow, on the beach".split(),
        )
        # A word that is cut in two is left out.
        assert tokenizer.cut_off("a photo of a dog qqqqqqqq")[1] == ["qqqqqqqq"]

    def test_said_once(self, caplog):
        tokenizer = Tokenizer(VOCABULARY.read_bytes(), max_length=8)
        long, short = "a photo of a cat in the snow", "a photo of a cat"
        for _ in range(2):
            tokenizer([short, long, long])
        assert caplog.messages == ["A prompt is cut: it has 8 tokens, of which 6 are read. Left out is: the snow"]
        # Another window is another thing to say.
        Tokenizer(VOCABULARY.read_bytes(), max_length=7)([long])
        assert len(caplog.messages) == 2
