"""Padding and added tokens of a folder are read as transformers reads them (`make_special_tokens.py`)."""

import json
import pathlib

import pytest

from keras_booth.bases import load_base
from keras_booth.bases.formats.diffusers.tokenizer import read_tokenizer, write_tokenizer
from tests.helpers.checkpoints.families import write_checkpoint
from tests.helpers.tokenizer_files import LENGTH, PROMPTS, SIZE, cases, token, write_files

GOLDEN = json.loads(pathlib.Path(__file__).with_name("special_tokens.json").read_text())


@pytest.mark.parametrize("name", GOLDEN)
def test_every_combination_of_the_files(tmp_path, name):
    tokenizer = read_tokenizer(write_files(tmp_path / "one", cases(SIZE)[name]), LENGTH)
    assert tokenizer(PROMPTS).tolist() == GOLDEN[name]
    write_tokenizer(tokenizer, tmp_path / "two")
    again = read_tokenizer(tmp_path / "two", LENGTH)
    assert again(PROMPTS).tolist() == GOLDEN[name]
    assert again.added == tokenizer.added


@pytest.mark.parametrize(
    "files, words",
    [
        ({"special_tokens_map.json": {"bos_token": "<s>"}}, ["bos_token='<s>'"]),
        ({"special_tokens_map.json": {"pad_token": "[PAD]"}}, ["without an id", "'[PAD]'", "special_tokens_map.json"]),
        ({"added_tokens.json": {"dog</w>": 7}}, ["'dog</w>' with 7", "added_tokens.json"]),
        (
            {"tokenizer_config.json": {"added_tokens_decoder": {str(SIZE): token("cat", single_word=True)}}},
            ["single_word", "'cat'", "tokenizer_config.json"],
        ),
    ],
)
def test_what_cannot_be_read(tmp_path, files, words):
    folder = write_files(tmp_path / "tokenizer", files)
    with pytest.raises(ValueError) as error:
        read_tokenizer(folder, LENGTH)
    assert all(word in str(error.value) for word in words), error.value


def test_a_token_without_an_embedding(tmp_path):
    """Somebody added it to the tokenizer and did not resize the text encoder."""
    folder = write_checkpoint("1.x", tmp_path / "checkpoint")
    (folder / "tokenizer" / "tokenizer_config.json").unlink()
    (folder / "tokenizer" / "added_tokens.json").write_text(json.dumps({"<cat-toy>": SIZE}))
    with pytest.raises(ValueError, match=f"vocab_size is {SIZE}.*'<cat-toy>' with the id {SIZE}"):
        load_base(folder)
