"""ICC profiles with a linear tone curve: half of the light is 128 there and 188 in sRGB."""

import struct

WHITE_D50 = (63190, 65536, 54061)  # in 1/65536
SRGB_PRIMARIES = ((28578, 14581, 912), (25241, 46981, 6362), (9376, 3974, 46799))  # red, green, blue, adapted to D50
LINEAR_CURVE = b"curv" + struct.pack(">IIH", 0, 1, 256)


def _icc_profile(space, tags):
    """A minimal ICC v2 display profile."""
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"none", 0x02400000, b"mntr", space, b"XYZ ", b"\0" * 12, b"acsp")
    header = header.ljust(68, b"\0") + struct.pack(">iii", *WHITE_D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(values):
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *values)


def linear_rgb():
    """sRGB's primaries."""
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, SRGB_PRIMARIES), strict=True))
    tags |= {b"rTRC": LINEAR_CURVE, b"gTRC": LINEAR_CURVE, b"bTRC": LINEAR_CURVE, b"wtpt": _xyz(WHITE_D50)}
    return _icc_profile(b"RGB ", tags)


def linear_gray():
    """Grey."""
    return _icc_profile(b"GRAY", {b"kTRC": LINEAR_CURVE, b"wtpt": _xyz(WHITE_D50)})
