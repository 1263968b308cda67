"""One look for all progress bars."""

import sys

import tqdm


def progress_bar(total: int, title: str, unit: str, leave: bool = True) -> tqdm.tqdm:
    """A `tqdm` bar on stderr.

    Args:
        total: int. Number of things to do.
        title: str.
        unit: str. What a thing is called.
        leave: bool. Whether the full bar stays to be seen. One that goes is not shown at all in a log file.
    """
    terminal = sys.stderr.isatty()
    return tqdm.tqdm(
        total=total,
        desc=title,
        unit=unit,
        leave=leave,
        disable=not (leave or terminal),
        # In a log file, where a bar is redrawn on a line of its own, one line in ten seconds is enough.
        mininterval=0.1 if terminal else 10.0,
        dynamic_ncols=True,
    )
