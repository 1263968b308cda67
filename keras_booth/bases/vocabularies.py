"""Tokenizers by the digest of their vocabulary: a model's config holds the digest, and not the vocabulary."""

import hashlib

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.tiny_world import VOCABULARY
from keras_booth.bases.tokenizer import Tokenizer

_SEEN = {}


def vocabulary_digest(tokenizer: Tokenizer) -> str:
    """Hexadecimal digest of all that a tokenizer's output depends on."""
    hasher = hashlib.blake2b(tokenizer.vocabulary, digest_size=16)
    hasher.update(repr((tokenizer.max_length, tokenizer.padding, *map(tuple, tokenizer.added))).encode())
    return hasher.hexdigest()


def remember(tokenizer: Tokenizer) -> str:
    """Keep a tokenizer for `recall`. Returns its digest."""
    digest = vocabulary_digest(tokenizer)
    return _SEEN.setdefault(digest, tokenizer) and digest


def recall(digest: str | None, config: BaseConfig) -> Tokenizer | None:
    """The tokenizer of a digest.

    Args:
        digest: str, or `None`.
        config: `BaseConfig` of the base that it is for.

    Returns:
        `Tokenizer`; or `None` if no model of this process had it, and the package does not bring it.
    """
    if digest not in _SEEN and config.name == "tiny_world":
        remember(Tokenizer(VOCABULARY.read_bytes(), config.text_encoder.max_length, config.text_encoder.padding))
    return _SEEN.get(digest)
