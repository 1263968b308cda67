"""Prompts -> tokens, through KerasCV's CLIP tokenizer."""

import gzip
import io
import logging
import pathlib
import re
import tempfile
import typing
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
import regex
from keras_cv.src.models.stable_diffusion.clip_tokenizer import SimpleTokenizer

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.foreign import parsing
from keras_booth.tools.wording import shown

logger = logging.getLogger("keras_booth")

START, END = "<|startoftext|>", "<|endoftext|>"
LONGEST_VOCABULARY = 16_000_000  # bytes of a merge list, inflated; CLIP's has 3.2 million
MOST_MERGES = 49152 - 256 - 2  # that KerasCV's tokenizer reads of a list
# Of a longer word (a language without spaces) parts are merged alone: the time grows with the square of the length. No
# token is so long that a window's tokens would reach as far.
LONGEST_WORD = 4096
LONGEST_LOST = 300  # letters of what is cut off that a warning shows
# Texts that were said to be cut, with the window they did not fit into.
_complained = set()
WORDS = regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+")


class AddedToken(typing.NamedTuple):
    """A text that is one token wherever it stands, also within a word.

    Args:
        content: str.
        id: int.
        normalized: bool. Whether it is looked for in the cleaned text, in which case does not matter; or in the text
            as it was given.
    """

    content: str
    id: int
    normalized: bool


def check_merges(vocabulary):
    """Refuse what is no gzipped list of merges, before anybody inflates all of it.

    Args:
        vocabulary: bytes.

    Raises:
        InputError: for bytes that are not gzipped, or not in UTF-8, inflate to more than `LONGEST_VOCABULARY`, or have
            a line that is no pair.
    """
    what, received = "The vocabulary must be a gzipped list of merges, in UTF-8", f"{len(vocabulary)} bytes"
    with parsing(lambda reason: InputError(f"{what} ({reason}). Received: {received}")):
        with gzip.GzipFile(fileobj=io.BytesIO(vocabulary)) as file:
            content = file.read(LONGEST_VOCABULARY + 1)
        text = content.decode("utf-8")
    if len(content) > LONGEST_VOCABULARY:
        raise InputError(
            f"The vocabulary inflates to more than {LONGEST_VOCABULARY / 1e6:g} MB. Received: {len(vocabulary)} bytes"
        )
    merges = text.split("\n")[1 : MOST_MERGES + 1]
    merges = merges[:-1] if merges[-1:] == [""] else merges
    odd = next((merge for merge in merges if len(merge.split()) != 2), None)
    if odd is not None or not merges:
        raise InputError(
            f"The vocabulary must be a list of merges, each a pair, after one line of a header. "
            f"Received: {shown(odd)} of {len(merges)} lines"
        )


def clean(text):
    """Composed characters, single spaces, lower case."""
    text = re.sub(r"\s+", " ", unicodedata.normalize("NFC", text))
    # Character by character: Python's own `lower` minds the place of a letter in its word (Greek sigma).
    return "".join(character.lower() for character in text)


class Splitter:
    """Cuts texts at added tokens; where several begin, at the longest.

    Args:
        tokens: dict of ids by content.
    """

    def __init__(self, tokens):
        self.tokens = tokens
        longest_first = sorted(tokens, key=len, reverse=True)
        self._pattern = re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")

    def __call__(self, text):
        """list of `(part of the text, id of the added token that it is, or None)`."""
        return [(part, self.tokens.get(part)) for part in self._pattern.split(text) if part]


class Tokenizer:
    """CLIP's byte-pair tokenizer with the padding and truncation that Stable Diffusion expects.

    KerasCV's `SimpleTokenizer` downloads its vocabulary when constructed, and neither truncates nor pads.

    Args:
        vocabulary: bytes of a gzipped BPE merge list in CLIP's format, one pair a line after a header.
        max_length: int. Tokens of a prompt, start and end included.
        padding: str. Token that fills short prompts: the end token in Stable Diffusion 1.x, "!" in 2.x.
        added: sequence of `AddedToken`, or of tuples of its fields. Empty for the start and the end token, normalized.
        quiet: bool. Whether not to warn of prompts that are cut, because another tokenizer does.

    Raises:
        InputError: for a vocabulary that is none, or a padding token that is not in it.
    """

    def __init__(
        self,
        vocabulary: bytes,
        max_length: int = 77,
        padding: str = END,
        added: Iterable[tuple[str, int, bool]] = (),
        quiet: bool = False,
    ):
        self.quiet = quiet
        self.vocabulary = bytes(vocabulary)
        self.max_length = max_length
        self.padding = padding
        check_merges(self.vocabulary)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "vocabulary.txt.gz")
            path.write_bytes(self.vocabulary)
            self._bpe = SimpleTokenizer(bpe_path=str(path))
        # It would see start and end in any word that reads like them; here they are added tokens.
        self._bpe.cache.clear()
        self.added = tuple(AddedToken(*token) for token in added) or (
            AddedToken(START, self.ids[START], True),
            AddedToken(END, self.ids[END], True),
        )
        self._verbatim = Splitter({token.content: token.id for token in self.added if not token.normalized})
        self._normalized = Splitter({clean(token.content): token.id for token in self.added if token.normalized})
        known = self.ids | {token.content: token.id for token in self.added}
        if padding not in known:
            raise InputError(f"The padding token must be in the vocabulary. Received: padding={shown(padding)}")
        self.pad = known[padding]

    @property
    def ids(self) -> dict[str, int]:
        """dict of the tokens' ids."""
        return self._bpe.encoder

    @property
    def merges(self) -> list[str]:
        """list of str: the pairs that are merged, in order."""
        return [" ".join(pair) for pair in self._bpe.bpe_ranks]

    @property
    def vocabulary_size(self) -> int:
        """int: the number of tokens, without added ones."""
        return len(self._bpe.vocab)

    @property
    def start(self) -> int:
        """int: id of the token that begins a prompt."""
        return self.ids[START]

    @property
    def end(self) -> int:
        """int: id of the token that ends a prompt."""
        return self.ids[END]

    def pieces(self, text: str) -> list[int]:
        """The token ids of `text` alone: a list of int, without start, end and padding.

        Cuts and cleans the text as transformers' `CLIPTokenizer` does; KerasCV's tokenizer also resolves HTML entities.
        """
        pieces = []
        for part, token in self._verbatim(text):
            pieces += self._cleaned_pieces(part) if token is None else [token]
        return pieces

    def _cleaned_pieces(self, text):
        pieces = []
        for part, token in self._normalized(clean(text)):
            if token is not None:
                pieces.append(token)
                continue
            for word in WORDS.findall(part):
                symbols = "".join(self._bpe.byte_encoder[byte] for byte in word.encode())
                for first in range(0, len(symbols), LONGEST_WORD):
                    merged = self._bpe.bpe(symbols[first : first + LONGEST_WORD])
                    pieces += [self.ids[piece] for piece in merged.split(" ")]
        return pieces

    def cut_off(self, text: str) -> tuple[int, list[str]]:
        """What a text has beyond the window.

        Args:
            text: str.

        Returns:
            `(int, list of str)`: the number of its tokens, without start and end; and its words that are not read, or
            not to their end.
        """
        count, words = 0, []
        for word in text.split():
            count += len(self.pieces(word))
            if count > self.max_length - 2:
                words.append(word)
        return count, words

    def complaint(self, text: str) -> str | None:
        """One sentence about a text that is cut, which then is not said again; `None` for one that is not."""
        count, words = self.cut_off(text)
        if not words:
            return None
        _complained.add((text, self.max_length))
        lost = " ".join(words if len(words) <= 40 else [*words[:30], "...", *words[-9:]])
        lost = lost if len(lost) <= LONGEST_LOST else f"{lost[:LONGEST_LOST]}..."
        return f"A prompt is cut: it has {count} tokens, of which {self.max_length - 2} are read. Left out is: {lost}"

    def __call__(self, prompts: Sequence[str]) -> np.ndarray:
        """Tokenize. Prompts that are cut are named in a warning on the logger `"keras_booth"`, each once.

        Args:
            prompts: list of str.

        Returns:
            int32 array `(len(prompts), max_length)`; too long prompts are cut, short ones filled with the padding.
        """
        tokens = np.full((len(prompts), self.max_length), self.pad, "int32")
        for row, prompt in zip(tokens, prompts, strict=True):
            ids = [self.start, *self.pieces(prompt)]
            if not self.quiet and len(ids) > self.max_length - 1 and (prompt, self.max_length) not in _complained:
                logger.warning("%s", self.complaint(prompt))
            ids = ids[: self.max_length - 1] + [self.end]
            row[: len(ids)] = ids
        return tokens
