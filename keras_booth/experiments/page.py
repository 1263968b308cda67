"""The page of a sweep."""

from keras_booth.experiments.cell_files import CELLS
from keras_booth.experiments.results import first_photo, full_name, tables
from keras_booth.figures import Section, html_page, picture, sheet
from keras_booth.tools.process.shell import command_line
from keras_booth.version import __version__
from keras_booth.workflow.reporting.page import settings_rows

INTERVALS = "In brackets: 95 % intervals. Where there are several subjects they say how sure a mean is for another one."


def sweep_page(results, output, flags):
    """HTML of what came of a sweep.

    Args:
        results: `Results`.
        output: `Path` of its folder, with the picture of all.
        flags: list of str that it was called with.
    """
    plan, done = results.plan, [row for row in results.rows if row.scores is not None]
    subjects = {cell.subject.name: cell for cell in plan.cells}
    config = plan.cells[0].config
    lead = f"{len(plan.cells)} runs on {config.base.preset}, by keras_booth {__version__}."
    of_all = [sheet(output / "grid.png")] if (output / "grid.png").exists() else []
    firsts = {name: first_photo(cell.config) for name, cell in subjects.items()}
    photographs = [picture(photo, name) for name, photo in firsts.items() if photo is not None]
    tabulated = [as_table(text) for text in tables(results).split("\n\n") if text.strip()] if done else []
    sections = [
        Section(f"“{plan.options.prompt.replace('{}', 'the subject')}”", pictures=of_all, wide=True),
        *(
            Section("Scores" if not number else "Each by itself", "" if number else INTERVALS, heads=heads, rows=rows)
            for number, (heads, rows) in enumerate(tabulated)
        ),
        Section("Subjects", pictures=photographs),
        Section(
            "Runs",
            f"Each has a page of its own in {CELLS}/NAME/run/report.html.",
            heads=["run", "folder"],
            rows=[(full_name(results, row), row.cell.name) for row in results.rows],
        ),
        Section("To repeat it", code=command_line("sweep", *flags, "--output", output)),
        Section("Settings that all have", heads=["field", "value"], rows=common_rows(plan)),
    ]
    return html_page(f"Sweep: {output.name}", sections, lead)


def as_table(markdown):
    """`(heads, rows)` of a table in Markdown."""
    heads, _, *rows = ([cell.strip() for cell in line.strip("| \n").split(" | ")] for line in markdown.splitlines())
    width = max(len(row) for row in rows) if rows else 0
    return [""] * (width - len(heads)) + heads, rows


def common_rows(plan):
    """The settings in which no two runs differ."""
    first, *others = [dict(settings_rows(cell.config)) for cell in plan.cells]
    return [(name, value) for name, value in first.items() if all(one.get(name) == value for one in others)]
