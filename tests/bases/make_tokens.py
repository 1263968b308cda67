"""Tokenize 200 prompts with transformers' `CLIPTokenizer`: `python -m tests.bases.make_tokens`."""

import gzip
import json
import pathlib
import random

import transformers

from keras_booth.bases.formats.diffusers.tokenizer import pack
from keras_booth.bases.tokenizer import Tokenizer
from tests.helpers.places import SHARED, VOCABULARY

WORDS = (
    "a photo of sks dog in the snow, oil painting; highly-detailed (8k) masterpiece!! it's Dogs' can't we've I'M "
    "you'll naïve café Zürich ÅNGSTRÖM façade São İstanbul ΣΊΣΥΦΟΣ ὈΔΥΣΣΕΎΣ straße ﬁnal ½ ² 🐶 🐕‍🦺 👩🏽‍🎨 ❤️ 日本語 "
    "北京 한국어 עברית العربية 1234567890 3.14 -1e5 50% $9.99 #tag @user C++ <b>bold</b> &amp; &lt;3 "
    "http://x.org/a?b=c tab\there new\nline nbsp\u00a0x zero\u200bwidth e\u0301 ... --- !!! ??? ~`^_|\\ "
    "\"quoted\" 'single' “curly” ‘s — – … xyzzy antidisestablishmentarianism ohwx zwx"
).split(" ")


def prompts():
    """200 prompts; every tenth is longer than 77 tokens, and some are empty or blank."""
    rng = random.Random(0)
    found = ["", " ", "  two  spaces  ", "a photo of sks dog", "!", "'s", "<|endoftext|>ish"]
    while len(found) < 200:
        count = rng.randint(80, 120) if len(found) % 10 == 0 else rng.randint(1, 14)
        words = [rng.choice(WORDS) for _ in range(count)]
        found.append(rng.choice([" ", " ", "  ", ", "]).join(words))
    return found


def reference(merges):
    """transformers' tokenizer for a list of merges."""
    tokenizer = Tokenizer(pack(merges))
    pairs = [tuple(merge.split()) for merge in merges]
    return transformers.CLIPTokenizer(vocab=tokenizer.ids, merges=pairs, model_max_length=77)


def main():
    vocabularies = {"tiny_world": VOCABULARY, "clip": SHARED / "data" / "clip" / "bpe_simple_vocab_16e6.txt.gz"}
    texts, found = prompts(), {}
    for name, path in vocabularies.items():
        merges = gzip.decompress(path.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
        encode = reference([merge for merge in merges if merge])
        found[name] = [encode(text, truncation=True, max_length=77)["input_ids"] for text in texts]
    text = json.dumps({"prompts": texts} | found, ensure_ascii=True)
    pathlib.Path(__file__).with_name("tokens.json").write_text(text.replace("], [", "],\n[") + "\n")


if __name__ == "__main__":
    main()
