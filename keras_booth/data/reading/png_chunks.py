"""What editors put into PNG files beside the pixels, where Pillow gives up on it.

Pillow holds texts and colour profiles against limits (`MAX_TEXT_CHUNK`, `MAX_TEXT_MEMORY`) that are settings of the
whole process, and refuses the picture for their sake. Here the file is handed to it without them.
"""

import io
import struct
import zlib

from PIL.PngImagePlugin import MAX_TEXT_CHUNK

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
MOST_TEXT = 16 * MAX_TEXT_CHUNK  # of all texts that are kept, a quarter of what Pillow takes
MOST_PROFILE = 64 * 2**20


def without_large_chunks(file):
    """A PNG file without the texts and the profile that are too large for Pillow.

    Args:
        file: Open binary file, at its beginning; where it is left does not matter.

    Returns:
        `(file, profile)`: the same file, or a copy in memory; and the profile that was taken out, bytes or `None`.
    """
    left_out, profile, kept = [], None, 0
    for place, name, length in _chunks(file):
        if name in (*TEXTS, b"iCCP") and length > MOST_PROFILE:  # not even read
            left_out.append((place, length + 12))
        elif name in TEXTS:
            size = _text_size(name, file.read(length))
            kept += size
            if size > MAX_TEXT_CHUNK or kept > MOST_TEXT:
                kept -= size
                left_out.append((place, length + 12))
        elif name == b"iCCP":
            compressed = file.read(length).partition(b"\0")[2][1:]
            if _inflated(compressed, MAX_TEXT_CHUNK) is None:
                profile = _inflated(compressed, MOST_PROFILE)
                left_out.append((place, length + 12))
    file.seek(0)
    if not left_out:
        return file, None
    content, place = io.BytesIO(), 0
    for start, length in left_out:
        file.seek(place)
        content.write(file.read(start - place))
        place = start + length
    file.seek(place)
    content.write(file.read())
    content.seek(0)
    return content, profile


def _chunks(file):
    """`(place in the file, name, length)` of each chunk, with the file where its content begins."""
    place = len(SIGNATURE)
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:  # the end, or a file that was cut off, which is for Pillow to say
            return
        length, name = struct.unpack(">I4s", head)
        yield place, name, length
        place += length + 12


def _text_size(name, content):
    """Bytes of a text as Pillow would hold it; more than it takes of one that is larger."""
    text = content.partition(b"\0")[2]
    if name == b"iTXt":
        compressed, text = text[:1] != b"\0", text[2:].split(b"\0", 2)[-1]
    else:
        compressed, text = name == b"zTXt", text[1:] if name == b"zTXt" else text
    if not compressed:
        return len(text)
    inflated = _inflated(text, MAX_TEXT_CHUNK)
    return MAX_TEXT_CHUNK + 1 if inflated is None else len(inflated)


def _inflated(content, most):
    """What zlib makes of some bytes; `None` for more than `most`, and nothing for what is damaged, as Pillow has it."""
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(content, most)
    except zlib.error:
        return b""
    return None if inflater.unconsumed_tail else inflated
