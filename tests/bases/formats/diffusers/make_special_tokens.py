"""Ask transformers' `CLIPTokenizer` what the files of a folder mean: `python -m …diffusers.make_special_tokens`."""

import json
import pathlib
import tempfile

import transformers

from keras_booth.bases.tokenizer import Tokenizer
from tests.helpers.places import VOCABULARY
from tests.helpers.tokenizer_files import PROMPTS, cases, write_files


def main():
    found = {}
    for name, files in cases(Tokenizer(VOCABULARY.read_bytes()).vocabulary_size).items():
        with tempfile.TemporaryDirectory() as folder:
            folder = write_files(pathlib.Path(folder, "tokenizer"), files)
            tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
        options = {"padding": "max_length", "truncation": True, "max_length": 16}
        found[name] = tokenizer(list(PROMPTS), **options)["input_ids"]
    text = json.dumps(found).replace("]], ", "]],\n")
    pathlib.Path(__file__).with_name("special_tokens.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
