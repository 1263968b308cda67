"""One page of HTML that holds all it shows: pictures, tables, commands."""

from __future__ import annotations

import base64
import dataclasses
import io
import pathlib
from collections.abc import Sequence

import jinja2
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from keras_booth.tools.annotations import FilePath

TEMPLATES = pathlib.Path(__file__).parent / "templates"
SIDE = 512  # pixels; larger pictures are reduced
WHOLE = 2400  # the same of sheets and curves, whose texts are to be read


@dataclasses.dataclass(frozen=True)
class Shown:
    """A picture of a page.

    Args:
        address: str. The picture itself, as `data:`.
        width, height: int, pixels.
        caption: str.
    """

    address: str
    width: int
    height: int
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page, of which any may be left out.

    Args:
        title: str.
        text: str. A paragraph.
        pictures: sequence of `Shown`.
        wide: bool. Whether each picture takes the whole width: sheets, curves.
        heads, rows: a table: list of str, and list of lists of str.
        code: str. Lines to be copied.
    """

    title: str
    text: str = ""
    pictures: Sequence[Shown] = ()
    wide: bool = False
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    code: str = ""


def picture(array: ArrayLike, caption: str = "") -> Shown:
    """A photograph or a drawn picture, uint8 `(H, W, 3)`, at most 512 pixels wide and high."""
    image = Image.fromarray(np.asarray(array))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return as_shown(image, caption, "jpeg", quality=88)


def sheet(path: FilePath, caption: str = "") -> Shown:
    """A sheet or curves, from a PNG file."""
    with Image.open(path) as image:
        image.load()
        image.thumbnail((WHOLE, WHOLE), Image.Resampling.LANCZOS)
        return as_shown(image.convert("RGB"), caption, "png")


def as_shown(image, caption, kind, **options):
    """A `PIL.Image.Image` as a picture of a page."""
    with io.BytesIO() as stream:
        image.save(stream, format=kind, **options)
        content = base64.b64encode(stream.getvalue()).decode("ascii")
    return Shown(f"data:image/{kind};base64,{content}", image.width, image.height, caption)


def html_page(title: str, sections: Sequence[Section], lead: str = "") -> str:
    """A page that needs no other file and no network, for phones and desktops, light and dark.

    Args:
        title: str.
        sections: sequence of `Section`; those that hold nothing are left out.
        lead: str. What stands under the title.

    Returns:
        str, HTML.
    """
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    filled = [one for one in sections if one.text or one.pictures or one.rows or one.code]
    return environment.get_template("page.html").render(title=title, lead=lead, sections=filled)
