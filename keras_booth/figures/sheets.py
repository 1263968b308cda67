"""Sheets of pictures and loss curves."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import matplotlib
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

TILE = (192, 384)  # smallest and largest height of a picture on a sheet, in pixels
GAP = 6
MARGIN = 16
TEXT_SIZE = 17
BENEATH_SIZE = 13
TITLE_SIZE = 22
INK = (40, 40, 40)
Pictures = TypeVar("Pictures", np.ndarray, list[Any])


def image_grid(
    rows: Sequence[Sequence[ArrayLike] | np.ndarray],
    captions: Sequence[str],
    title: str | None = None,
    beneath: Sequence[Sequence[str]] | None = None,
) -> Image.Image:
    """Lays pictures out as a sheet: one row for each caption.

    Small pictures are enlarged by a whole number, large ones reduced, so that the sheet is pleasant to look at.

    Args:
        rows: List of sequences of uint8 arrays `(H, W, 3)`.
        captions: List of str, one for each row; written above it. An empty one takes no room.
        title: str. Written above all.
        beneath: List of lists of str, written beneath each picture; an empty list for a row without.

    Returns:
        `PIL.Image.Image`.

    Example:

    >>> image_grid([booth.generate(prompt, count=4)], [prompt]).save("samples.png")
    """
    beneath = [[]] * len(rows) if beneath is None else beneath
    tiles = [_with_texts([_tile(picture) for picture in row], texts) for row, texts in zip(rows, beneath, strict=True)]
    width = max(sum(tile.width + GAP for tile in row) - GAP for row in tiles)
    blocks = [_text_lines(title, TITLE_SIZE, width)] if title else []
    for row, caption in zip(tiles, captions, strict=True):
        blocks += [_text_lines(caption, TEXT_SIZE, width)] if caption else []
        blocks.append(_side_by_side(row, width))
    return _stack(blocks, width)


def image_matrix(
    cells: Sequence[Sequence[Sequence[ArrayLike] | np.ndarray]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    title: str | None = None,
) -> Image.Image:
    """Lays pictures out as a table with a label for each row and each column.

    Args:
        cells: List of rows; each a list of cells; each a list of uint8 arrays `(H, W, 3)`, shown side by side.
        row_labels: List of str.
        column_labels: List of str.
        title: str. Written above all.

    Returns:
        `PIL.Image.Image`.
    """
    tiles = [[_cell([_tile(picture) for picture in cell]) for cell in row] for row in cells]
    width = tiles[0][0].width
    aside = 11 * max(map(len, row_labels)) + GAP
    whole = aside + len(column_labels) * (width + GAP)
    blocks = [_text_lines(title, TITLE_SIZE, whole)] if title else []
    heads = [_text_lines(text, TEXT_SIZE, width) for text in column_labels]
    blocks.append(_side_by_side([_blank(aside - GAP, 1), *heads], whole))
    for label, row in zip(row_labels, tiles, strict=True):
        blocks.append(_side_by_side([_text_lines(label, TEXT_SIZE, aside - GAP), *row], whole))
    return _stack(blocks, whole)


def _with_texts(tiles, texts):
    """Pictures of a row, each with its text beneath if there are texts."""
    if not texts:
        return tiles
    found = []
    for tile, text in zip(tiles, texts, strict=True):
        lines = _text_lines(text, BENEATH_SIZE, tile.width)
        both = _blank(tile.width, tile.height + GAP + lines.height)
        both.paste(tile, (0, 0))
        both.paste(lines, (0, tile.height + GAP))
        found.append(both)
    return found


def _blank(width, height):
    return Image.new("RGB", (width, height), "white")


def _cell(tiles):
    return _side_by_side(tiles, sum(tile.width + GAP for tile in tiles) - GAP)


def _stack(blocks, width):
    sheet = _blank(width + 2 * MARGIN, sum(block.height for block in blocks) + 2 * MARGIN)
    top = MARGIN
    for block in blocks:
        sheet.paste(block, (MARGIN, top))
        top += block.height
    return sheet


def rows_of(pictures: Pictures, columns: int) -> list[Pictures]:
    """Cuts a sequence of pictures into rows of at most `columns`."""
    return [pictures[first : first + columns] for first in range(0, len(pictures), columns)]


def _tile(picture):
    image = Image.fromarray(np.asarray(picture))
    # By a whole number: by another one, some of a small picture's pixels would be wider than others.
    height = min(image.height * math.ceil(TILE[0] / image.height), TILE[1])
    if height == image.height:
        return image
    return image.resize((round(image.width * height / image.height), height), Image.Resampling.LANCZOS)


def _side_by_side(tiles, width):
    row = _blank(width, max(tile.height for tile in tiles) + 2 * GAP)
    left = 0
    for tile in tiles:
        row.paste(tile, (left, 0))
        left += tile.width + GAP
    return row


def _text_lines(text, size, width):
    # The font that matplotlib brings has more of the world's letters than Pillow's own.
    font = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
    lines = _wrap(text, font, width)
    line_height = round(size * 1.35)
    image = Image.new("RGB", (width, line_height * len(lines) + GAP), "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(image).text((0, number * line_height), line, fill=INK, font=font)
    return image


def _wrap(text, font, width):
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
