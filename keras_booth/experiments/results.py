"""What came of a sweep: one table, in three forms, and one picture of all."""

import csv
import dataclasses
import io
import json
import types

import numpy as np

from keras_booth.data import PhotoError, find_photos, fit_to, read_photo
from keras_booth.evaluation import PHOTOGRAPHS, Estimate
from keras_booth.experiments.cell_files import CELLS, DRAWN, FAILED, PICTURE, SCORES
from keras_booth.experiments.plan import draw_name, label_of
from keras_booth.experiments.tables import as_text
from keras_booth.figures import image_matrix


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of one run and one way of drawing.

    Args:
        cell: `Cell`.
        draw: dict of values by field, the way of drawing.
        label: str. What its settings are, in words.
        scores: dict of `Estimate` by name; `None` where the run failed.
        picture: uint8 `(H, W, 3)`; `None` where the run failed.
        failure: str, what went wrong, or "".
    """

    cell: object
    draw: dict
    label: str
    scores: dict | None = None
    picture: np.ndarray | None = None
    failure: str = ""


@dataclasses.dataclass(frozen=True)
class Results:
    """What came of a sweep.

    Args:
        plan: `Plan`.
        rows: list of `Result`, in the plan's order.
        higher_is_better: dict of bool by score.
        photographs: dict by subject of dicts of `Estimate` by score: what is measured of the photographs themselves.
    """

    plan: object
    rows: list
    higher_is_better: dict
    photographs: dict


def gather(plan, output):
    """`Results` of a folder."""
    rows, higher, photographs = [], {}, {}
    for cell in plan.cells:
        place = output / CELLS / cell.name
        path = place / SCORES
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        if found:
            higher |= found["higher_is_better"]
            photographs[cell.subject.name] = as_estimates(found["photographs"])
        said = (place / FAILED).read_text(encoding="utf-8").strip() if (place / FAILED).exists() else ""
        for number, draw in enumerate(plan.draws):
            label = ", ".join(part for part in (cell.label, label_of(draw, plan.options)) if part) or "the run"
            if found is None:
                rows.append(Result(cell, draw, label, failure=said or "not done yet"))
            else:
                picture = read_photo(place / DRAWN / draw_name(draw, plan.options) / PICTURE)
                rows.append(Result(cell, draw, label, as_estimates(found["draws"][number]), picture))
    return Results(plan, rows, higher, {name: scores for name, scores in photographs.items() if scores})


def as_estimates(scores):
    """`Estimate`s of dicts."""
    return {name: Estimate(**found) for name, found in scores.items()}


def scores_of(results):
    """Scores as `mean_rows` takes them: dict by label of dicts by subject of lists with the scores of each run."""
    scores = {}
    if results.photographs:
        scores[PHOTOGRAPHS] = {name: [found] for name, found in results.photographs.items()}
    for row in results.rows:
        if row.scores:
            scores.setdefault(row.label, {}).setdefault(row.cell.subject.name, []).append(row.scores)
    return scores


def tables(results, format="markdown"):
    """Means over subjects and seeds; of each subject, where there are several; what failed."""
    scores = scores_of(results)
    text, several = "", any(len(runs) > 1 for by in scores.values() for runs in by.values())
    if scores:
        metrics = [types.SimpleNamespace(name="", higher_is_better=results.higher_is_better)]
        subjects = {name for by in scores.values() for name in by}
        text = as_text(scores, metrics, format, each=len(subjects) > 1 or several)
    if format != "markdown":
        return text
    failed = [f"| {full_name(results, row)} | {row.failure} |" for row in results.rows if row.scores is None]
    if failed:
        text += "\n".join(["" if text else "", "| not measured | |", "|---|---|", *failed, ""])
    return text


def full_name(results, row):
    """A run's settings, and where there are several its subject and number."""
    cell, cells = row.cell, results.plan.cells
    subject = cell.subject.name if len({one.subject.name for one in cells}) > 1 else ""
    run = f"run {cell.run + 1}" if any(one.run for one in cells) else ""
    return ", ".join(part for part in (subject, row.label, run) if part)


def comma_separated(results):
    """CSV: a line for each run and way of drawing, a column for each field that differs, and for each score and the
    ends of its interval."""
    fields = list(dict.fromkeys(name for row in results.rows for name in (*row.cell.settings, *row.draw)))
    names = list(dict.fromkeys(name for row in results.rows for name in row.scores or ()))
    heads = [part for name in names for part in (name, f"{name} low", f"{name} high")]
    with io.StringIO(newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["subject", "label", "run", *fields, *heads, "error"])
        for row in results.rows:
            settings = {**row.cell.settings, **row.draw}
            values = [settings.get(name, "") for name in fields]
            found = [as_cells((row.scores or {}).get(name)) for name in names]
            writer.writerow(
                [row.cell.subject.name, row.cell.label, row.cell.run + 1, *values, *sum(found, []), row.failure]
            )
        return text.getvalue()


def as_cells(estimate):
    """Value and ends of an interval, as text."""
    parts = (estimate.value, estimate.low, estimate.high) if estimate else (None, None, None)
    return ["" if part is None else f"{part:.6g}" for part in parts]


def picture_of_all(results):
    """The same prompt and seed in each cell: a labelled matrix, `PIL.Image.Image`."""
    shown = [row for row in results.rows if row.cell.run == 0]
    places = [places_of(results.plan, row) for row in shown]
    rows, columns = (list(dict.fromkeys(place[axis] for place in places)) for axis in (0, 1))
    pictures = [row.picture for row in shown if row.picture is not None]
    if not pictures:
        return None
    blank = np.full_like(pictures[0], 235)
    cells = {place: blank if row.picture is None else row.picture for place, row in zip(places, shown, strict=True)}
    matrix = [[[cells.get((row, column), blank)] for column in columns] for row in rows]
    subjects = {row.cell.subject.name: row.cell for row in shown}
    if len(subjects) > 1 and list(subjects) == columns:
        size = pictures[0].shape[:2]
        firsts = [first_photo(cell.config) for cell in subjects.values()]
        matrix.insert(0, [[blank if photo is None else fit_to(photo, size)] for photo in firsts])
        rows.insert(0, "a photograph")
    return image_matrix(matrix, rows, columns, title=results.plan.options.prompt.replace("{}", "the subject"))


def first_photo(config):
    """A photograph of a run's subject, uint8 `(H, W, 3)`; `None` where it is what the run failed for."""
    try:
        return read_photo(find_photos(config.subject.photos)[0])
    except PhotoError:
        return None


def places_of(plan, result):
    """`(row, column)` of a picture: labels."""
    cell = result.cell
    subjects = len({one.subject.name for one in plan.cells})
    if len(plan.draws) > 1:
        row = ", ".join(part for part in (cell.subject.name if subjects > 1 else "", cell.label) if part)
        return row or "the run", label_of(result.draw, plan.options)
    if subjects > 1:
        return cell.label or "the model", cell.subject.name
    if len(cell.settings) > 1 and len(plan.options.grid) > 1 and not plan.options.runs:
        *others, last = cell.settings
        parts = ({name: cell.settings[name] for name in others}, {last: cell.settings[last]})
        return tuple(label_of(part, plan.options) for part in parts)
    return "", result.label
