"""What the process is told about memory."""

import ctypes
import os
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, os
from keras_booth.tools.process.machine import keep_freed_memory
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc = ctypes.CDLL("libc.so.6")
libc.mallinfo2.restype = Info
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def allocate():
    # Whether 100 MB were mapped apart, and are kept when they are freed.
    before = libc.mallinfo2()
    place = libc.malloc(100_000_000)
    apart = libc.mallinfo2().hblkhd - before.hblkhd
    libc.free(place)
    print(apart >= 100_000_000, libc.mallinfo2().fordblks - before.fordblks >= 90_000_000)

os.environ["MALLOC_ARENA_MAX"] = "2"
keep_freed_memory()
allocate()
del os.environ["MALLOC_ARENA_MAX"]
keep_freed_memory.cache_clear()
keep_freed_memory()
allocate()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_large_arrays_are_kept():
    """100 MB that were freed lie in the heap, and were not mapped apart; unless the user says how to allocate."""
    if not hasattr(ctypes.CDLL(None), "mallinfo2"):
        pytest.skip("not glibc")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    environment = clean | {"KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-2:] == ["True False", "False True"], done.stderr
