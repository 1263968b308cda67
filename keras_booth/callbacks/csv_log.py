"""A CSV file with a line for a step, on disk as soon as it is written."""

import csv
import errno
import io
import os
import pathlib
from collections.abc import Mapping, Sequence

from keras_booth.tools.annotations import FilePath
from keras_booth.tools.files.writing import whole_file, writing
from keras_booth.tools.process.processes import first_says, is_first


class CsvLog:
    """A log that a resumed run goes on with. Of several processes that train together the first one keeps it.

    Args:
        path: str or `Path`.
        columns: sequence of str, the names after `step`.
    """

    def __init__(self, path: FilePath, columns: Sequence[str]):
        self.path = pathlib.Path(path)
        self.columns = tuple(columns)

    def begin(self, step: int) -> int:
        """Starts the file; keeps the lines up to `step` of a run that was cut off, which repeats those after it.

        Returns:
            int: the number of lines that were kept.
        """
        return first_says(lambda: self._begin(step))

    def _begin(self, step):
        kept = [line for line in self._lines() if int(line[0]) <= step] if step else []
        with whole_file(self.path) as part:
            part.write_text(_csv(["step", *self.columns], *kept), encoding="utf-8")
        return len(kept)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a line.

        Args:
            step: int.
            values: dict of floats by column; what is missing stays empty.

        Raises:
            OSError: if the disk is full, with the path; the file is as it was.
        """
        if not is_first():
            return
        line = _csv([step, *(f"{values[name]:.6g}" if name in values else "" for name in self.columns)])
        with writing(self.path), open(self.path, "ab", buffering=0) as file:
            whole = file.tell()
            try:
                if file.write(line.encode()) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                file.truncate(whole)
                raise

    def steps(self) -> list[int]:
        """list of int: the steps that have a line."""
        return first_says(lambda: [int(line[0]) for line in self._lines()])

    def _lines(self):
        """The whole lines; a kill may have left a part of one."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [line for line in csv.reader(whole) if len(line) == 1 + len(self.columns) and line[0].isdigit()]


def _csv(*rows):
    with io.StringIO(newline="") as text:
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()
