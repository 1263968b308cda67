"""Prompts -> tokens, through KerasCV's CLIP tokenizer."""

import pathlib
import tempfile

import numpy as np
from keras_cv.src.models.stable_diffusion.clip_tokenizer import SimpleTokenizer


class Tokenizer:
    """CLIP's byte-pair tokenizer with the padding and truncation that Stable Diffusion expects.

    KerasCV's `SimpleTokenizer` downloads its vocabulary when constructed, and neither truncates nor pads.

    Args:
        vocabulary: bytes of a gzipped BPE merge list in CLIP's format, one pair a line after a header.
        max_length: int. Tokens of a prompt, start and end included.
    """

    def __init__(self, vocabulary, max_length=77):
        self.vocabulary = bytes(vocabulary)
        self.max_length = max_length
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "vocabulary.txt.gz")
            path.write_bytes(self.vocabulary)
            self._bpe = SimpleTokenizer(bpe_path=str(path))

    @property
    def vocabulary_size(self):
        """int: the number of tokens."""
        return len(self._bpe.vocab)

    def pieces(self, text):
        """The token ids of `text` alone: a list of int, without start, end and padding."""
        return self._bpe.encode(text)[1:-1]

    def __call__(self, prompts):
        """Tokenize.

        Args:
            prompts: list of str.

        Returns:
            int32 array `(len(prompts), max_length)`; too long prompts are cut, short ones padded with the end token.
        """
        end = self._bpe.end_of_text
        tokens = np.full((len(prompts), self.max_length), end, "int32")
        for row, prompt in zip(tokens, prompts, strict=True):
            ids = [self._bpe.start_of_text, *self.pieces(prompt)][: self.max_length - 1]
            row[: len(ids)] = ids
        return tokens
