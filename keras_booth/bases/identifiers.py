"""Which words make good identifiers: one token, and a rare one (arXiv:2208.12242, section 3.1)."""

import re

from keras_booth.bases.tokenizer import Tokenizer

# Merges come in the order of their frequency, so late tokens are rare ones.
RARE_SHARE = 0.6
SHAPE = re.compile(r"[a-z]{3}</w>")
# Three letters without a vowel are hardly ever a word or a syllable; "y" counts as one.
UNPRONOUNCEABLE = re.compile(r"[^aeiouy]{3}</w>")


def rarity(tokenizer: Tokenizer, word: str) -> float | None:
    """How rare a word's token is.

    Args:
        tokenizer: `Tokenizer`.
        word: str.

    Returns:
        float in [0, 1], 1 for the last token of the vocabulary; `None` for a word of several tokens.
    """
    pieces = tokenizer.pieces(word)
    return pieces[0] / tokenizer.vocabulary_size if len(pieces) == 1 else None


def rare_identifiers(tokenizer: Tokenizer, count: int = 5) -> list[str]:
    """Words of one rare token that mean nothing, the rarest first.

    Args:
        tokenizer: `Tokenizer`.
        count: int.

    Returns:
        list of str, at most `count`.
    """
    fitting = [
        (token, word.removesuffix("</w>"))
        for word, token in tokenizer.ids.items()
        if SHAPE.fullmatch(word) and UNPRONOUNCEABLE.fullmatch(word) and token >= RARE_SHARE * tokenizer.vocabulary_size
    ]
    return [word for _, word in sorted(fitting, reverse=True)[:count] if len(tokenizer.pieces(word)) == 1]
