"""Rows of scores as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence

from keras_booth.evaluation.intervals import Estimate
from keras_booth.evaluation.metrics import Metric
from keras_booth.evaluation.protocol import Row
from keras_booth.tools.errors import InputError

ARROWS = {True: "↑", False: "↓"}
ESCAPED = str.maketrans({"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#"})


def shown(estimate: Estimate | None) -> str:
    """ "0.668 (0.651 to 0.684)"."""
    if estimate is None:
        return "–"
    if estimate.low is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def markdown(rows: Sequence[Row], metrics: Sequence[Metric]) -> str:
    """A table in Markdown."""
    names = columns(rows)
    heads = [f"{name} {ARROWS[direction]}" for name, direction in zip(names, directions(names, metrics), strict=True)]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (1 + len(names)) + "|"]
    lines += [f"| {row.name} | {' | '.join(shown(row.scores.get(name)) for name in names)} |" for row in rows]
    return "\n".join(lines) + "\n"


def latex(rows: Sequence[Row], metrics: Sequence[Metric]) -> str:
    """A `tabular` for LaTeX, with the package booktabs."""
    names = columns(rows)
    signs = {True: r"$\uparrow$", False: r"$\downarrow$"}
    heads = [f"{name} {signs[direction]}" for name, direction in zip(names, directions(names, metrics), strict=True)]
    lines = [rf"\begin{{tabular}}{{l{'c' * len(names)}}}", r"\toprule", f" & {' & '.join(heads)} \\\\", r"\midrule"]
    for row in rows:
        cells = [shown(row.scores.get(name)).replace("–", "--") for name in names]
        lines.append(f"{row.name.translate(ESCAPED)} & {' & '.join(cells)} \\\\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def comma_separated(rows: Sequence[Row], metrics: Sequence[Metric]) -> str:
    """A line for each row and metric: value, ends of the interval, number of pictures."""
    with io.StringIO(newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["row", "metric", "value", "low", "high", "pictures"])
        for row in rows:
            for name, found in row.scores.items():
                ends = ["" if end is None else f"{end:.6g}" for end in (found.low, found.high)]
                writer.writerow([row.name, name, f"{found.value:.6g}", *ends, found.count])
        return text.getvalue()


FORMATS: dict[str, Callable[[Sequence[Row], Sequence[Metric]], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": comma_separated,
}


SUFFIXES = {"markdown": "md", "latex": "tex", "csv": "csv"}


def table(rows: Sequence[Row], metrics: Sequence[Metric], format: str = "markdown") -> str:
    """Rows as text in one of `FORMATS`.

    Raises:
        InputError: for an unknown format.
    """
    if format not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}. Received: format={format!r}")
    return FORMATS[format](rows, metrics)


def columns(rows: Sequence[Row]) -> list[str]:
    """The names of all scores, in the order of a row that has most of them: photographs have but a few."""
    longest = sorted(rows, key=lambda row: -len(row.scores))
    return list(dict.fromkeys(name for row in longest for name in row.scores))


def directions(names, metrics):
    """Of each name whether higher is better; where nobody says it, it is."""
    known = {}
    for metric in metrics:
        known |= higher if isinstance(higher := metric.higher_is_better, Mapping) else {metric.name: higher}
    return [known.get(name, True) for name in names]
