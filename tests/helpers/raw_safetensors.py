"""Safetensors files whose header is written by hand."""

import json
import struct


def write_raw(path, header, data=b"", size=None):
    """Write a file.

    Args:
        path: `Path`.
        header: dict, or bytes that need not be JSON.
        data: bytes.
        size: int, what the file says of the header's size; `None` for the truth.

    Returns:
        the path.
    """
    header = json.dumps(header).encode() if isinstance(header, dict) else header
    path.write_bytes(struct.pack("<Q", len(header) if size is None else size) + header + data)
    return path


def tensor(shape=(2, 2), first=0, last=16, dtype="F32"):
    """The entry of a tensor in a header."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [first, last]}


DATA = bytes(16)
# Each with arguments of `write_raw`; none is a safetensors file.
BROKEN = {
    "empty": (b"", b"", 0),
    "text": (b"hello, this is text", b"", 0x6F6C6C6568),
    "a header beyond the file": ({"x": tensor()}, DATA, 2**62),
    "a huge header": (b" " * 1000, b"", 10**9),
    "deep": (b'{"a":' * 20000 + b"1" + b"}" * 20000, b"", None),
    "no JSON": (b"{nope", b"", None),
    "a list": (b"[]", b"", None),
    "no tensor": ({"x": 5}, DATA, None),
    "an unknown dtype": ({"x": tensor(dtype="F13")}, DATA, None),
    "a dtype of another size": ({"x": tensor(dtype="F64")}, DATA, None),
    "negative shape": ({"x": tensor((-2, -2))}, DATA, None),
    "a huge shape": ({"x": tensor((2**40, 2**40))}, DATA, None),
    "negative offsets": ({"x": tensor(first=-16, last=0)}, DATA, None),
    "offsets the other way": ({"x": tensor(first=16, last=0)}, DATA, None),
    "offsets beyond the end": ({"x": tensor((8, 8), last=256)}, DATA, None),
    "overlapping": ({"x": tensor(), "y": tensor()}, DATA, None),
    "a gap": ({"x": tensor(first=16, last=32)}, DATA * 2, None),
    "something behind": ({"x": tensor()}, DATA * 2, None),
    "metadata of numbers": ({"__metadata__": {"a": 1}, "x": tensor()}, DATA, None),
    "metadata that are a list": ({"__metadata__": [1], "x": tensor()}, DATA, None),
}
