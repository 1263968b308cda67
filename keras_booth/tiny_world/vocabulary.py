"""The byte-pair vocabulary of the tiny world, in the format of `keras_cv`'s `SimpleTokenizer`.

Every word of `WORDS` and every rare identifier is one token; any other word falls into pieces. The order of the words
fixes the token ids and with them the meaning of pretrained weights: append, and never reorder.

`python -m keras_booth.tiny_world.vocabulary` writes the file again.
"""

import gzip
import io
from pathlib import Path

from keras_booth.bases import TINY_WORLD_VOCABULARY as VOCABULARY
from keras_booth.tiny_world.scenes import ATTRIBUTES

HEADER = "#version: keras_booth tiny_world"

# Short words that mean nothing and never occur in a caption of the tiny world.
RARE_IDENTIFIERS = (
    *("sks", "zwx", "qvx", "ohw", "vqj", "xwk", "jzq", "kvb"),
    *("wqz", "pgx", "ytv", "mzr", "fjq", "bvx", "gqw", "rtj"),
    *("dkq", "hzv", "cwj", "nxp", "lqf", "tgz", "zbk", "qhm", "jvw", "xrd"),
    *("vfn", "kqs", "wmx", "pzj", "bqt", "ghx", "fzw", "yqd", "mvk", "rxz"),
)

GRAMMAR = "a an photo of and with stripes spots wearing"
ORDINARY = """
the my your his her our this that these one two three four five some many very is are was to for from by at as or not no
picture image drawing painting sketch illustration photograph portrait view style cartoon toy figure render closeup
small big large little tiny huge tall short fat slim old new young cute happy sad funny nice beautiful good best bright
dark light soft shiny wet clean dirty colorful plain striped spotted pink brown grey gray golden silver color colored
animal thing object subject puppy kitten bunny bird pet pot bag cup car house boat train ball box table chair bed
sitting standing running walking sleeping swimming flying playing jumping eating looking lying
forest garden park room kitchen street road river lake sea ocean sky sun moon star cloud rain night day water sand rock
winter summer spring autumn morning evening floor wall window door rug carpet bowl basket flower flowers fruit apple
coat dress shirt crown bow tie ribbon mask shoes stripe spot pattern scarves hats
under over near behind front inside outside between left right up down high low into
""".split()


def _ordered(words):
    return tuple(dict.fromkeys(words))


WORDS = _ordered(
    GRAMMAR.split() + [word for names in ATTRIBUTES.values() for name in names for word in name.split()] + ORDINARY
)


def split_word(word, ranks):
    """Returns the pieces into which byte-pair encoding splits an ASCII word.

    Args:
        word: The word.
        ranks: Dict from a pair of neighbouring pieces to its rank; the lowest rank merges first.
    """
    pieces = (*word[:-1], word[-1] + "</w>")
    while len(pieces) > 1:
        best = min(zip(pieces, pieces[1:], strict=False), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        merged, i = [], 0
        while i < len(pieces):
            step = 2 if pieces[i : i + 2] == best else 1
            merged.append("".join(pieces[i : i + step]))
            i += step
        pieces = tuple(merged)
    return pieces


def make_merges(words):
    """Returns the list of merges that makes each of `words` one token.

    A merge that is added later never wins over an earlier one, so words that are whole stay whole.
    """
    ranks = {}
    for word in words:
        while len(pieces := split_word(word, ranks)) > 1:
            ranks[pieces[:2]] = len(ranks)
    return list(ranks)


def vocabulary_text():
    """Returns the vocabulary file's text: a header and one merge a line."""
    return "\n".join([HEADER] + [" ".join(merge) for merge in make_merges(WORDS + RARE_IDENTIFIERS)])


def vocabulary_bytes():
    """Returns the vocabulary file's bytes; the same words always give the same."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=0) as stream:
        stream.write(vocabulary_text().encode("utf-8"))
    return buffer.getvalue()


def write_vocabulary(path=VOCABULARY):
    """Writes the vocabulary file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(vocabulary_bytes())
