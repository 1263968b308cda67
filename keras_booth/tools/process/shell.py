"""Commands that are printed, so that they run as they stand where they are read."""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys

from keras_booth.tools.annotations import FilePath


def command_line(name: str, *arguments: FilePath) -> str:
    """`python -m keras_booth.NAME` with arguments, quoted for the shell.

    Args:
        name: str. Name of the command: `"generate"`.
        *arguments: what follows; texts and paths.
    """
    parts = [interpreter(), "-m", f"keras_booth.{name}", *map(str, arguments)]
    return subprocess.list2cmdline(parts) if os.name == "nt" else shlex.join(parts)


def interpreter() -> str:
    """What calls this Python from where the user stands: `python` where that is it, otherwise its path."""
    for name in ("python", "python3"):
        found = shutil.which(name)
        # A link is followed by nobody: it is what makes an environment's Python another one than the system's.
        if found and os.path.abspath(found) == os.path.abspath(sys.executable):
            return name
    path = pathlib.Path(sys.executable)
    return str(path.relative_to(pathlib.Path.cwd()) if path.is_relative_to(pathlib.Path.cwd()) else path)
