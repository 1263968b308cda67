"""A CSV file with a line for a step, on disk as soon as it is written."""

import csv
import pathlib


class CsvLog:
    """A log that a resumed run goes on with.

    Args:
        path: str or `Path`.
        columns: sequence of str, the names after `step`.
    """

    def __init__(self, path, columns):
        self.path = pathlib.Path(path)
        self.columns = tuple(columns)

    def begin(self, step):
        """Starts the file; keeps the lines up to `step` of a run that was cut off, which repeats those after it.

        Returns:
            int: the number of lines that were kept.
        """
        kept = self._lines_until(step) if step and self.path.exists() else []
        self._write("w", ["step", *self.columns], *kept)
        return len(kept)

    def add(self, step, values):
        """Adds a line.

        Args:
            step: int.
            values: dict of floats by column; what is missing stays empty.
        """
        self._write("a", [step, *(f"{values[name]:.6g}" if name in values else "" for name in self.columns)])

    def _lines_until(self, step):
        with open(self.path, newline="", encoding="utf-8") as file:
            return [line for line in csv.reader(file) if line and line[0].isdigit() and int(line[0]) <= step]

    def _write(self, mode, *rows):
        with open(self.path, mode, newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
