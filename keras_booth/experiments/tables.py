"""What was measured of many runs: a table of means over subjects, and one of each subject."""

import numpy as np

from keras_booth.evaluation import SHARE, Row, columns, estimate_mean, table


def mean_rows(scores):
    """`Row`s of means over subjects, whose intervals say how sure they are for another subject.

    Args:
        scores: dict by state of dicts by subject of lists with the scores of each run: dicts of `Estimate` by name.
    """
    rows = []
    for state, of_subjects in scores.items():
        names = dict.fromkeys(name for runs in of_subjects.values() for run in runs for name in run)
        found = {}
        for name in names:
            runs = [[run[name] for run in runs if name in run] for runs in of_subjects.values()]
            values = [np.mean([one.value for one in some]) for some in runs if some]
            # Of a single run all that is known is what the run's own pictures say.
            alone = len(runs) == 1 and len(runs[0]) == 1
            found[name] = runs[0][0] if alone else estimate_mean(values, bounds=SHARE if within(values) else None)
        rows.append(Row(state, found))
    return rows


def within(values):
    """Whether all lie in [0, 1], as shares, cosines of what is alike, and distances do."""
    return all(0 <= value <= 1 for value in values)


def run_rows(scores):
    """A `Row` for each run."""
    return [
        Row(f"{subject}, {state}" + (f", run {number}" if len(runs) > 1 else ""), run)
        for state, of_subjects in scores.items()
        for subject, runs in of_subjects.items()
        for number, run in enumerate(runs, start=1)
    ]


def subject_table(scores):
    """Markdown: a line for each subject and state, of several runs the mean and the standard deviation."""
    names = columns(mean_rows(scores))
    subjects = dict.fromkeys(subject for of_subjects in scores.values() for subject in of_subjects)
    lines = [f"| subject | | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for subject in subjects:
        for state, of_subjects in scores.items():
            if subject in of_subjects:
                cells = [spread([run[name].value for run in of_subjects[subject] if name in run]) for name in names]
                lines.append(f"| {subject} | {state} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def spread(values):
    """ "0.962 ± 0.013", "0.962", or "–" for none."""
    if not values:
        return "–"
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.3f}"


def as_text(scores, metrics, format, each=True):
    """All tables: of means in the format that is asked for; of single subjects, too, where there is room.

    Args:
        scores: as `mean_rows` takes them.
        metrics: sequence of `Metric`.
        format: `"markdown"`, `"latex"` or `"csv"`.
        each: bool. Whether single subjects are of interest.
    """
    if format == "csv":
        return table(mean_rows(scores) + run_rows(scores), metrics, format)
    text = table(mean_rows(scores), metrics, format)
    return text if format == "latex" or not each else f"{text}\n{subject_table(scores)}"
