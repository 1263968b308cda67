"""`sweep`: all runs of a plan, and one folder of results."""

import dataclasses
import json
import pathlib

from keras_booth.bases import describe_base
from keras_booth.evaluation import default_metrics_of
from keras_booth.experiments.cell_files import CELL, CELLS, CONFIG, FAILED, SCORES
from keras_booth.experiments.page import sweep_page
from keras_booth.experiments.plan import description, make_plan
from keras_booth.experiments.results import comma_separated, gather, picture_of_all, tables
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files.writing import whole_file, write_text
from keras_booth.tools.progress import progress_bar
from keras_booth.workflow.files import check_writable, working_in
from keras_booth.workflow.parsing import to_yaml

# What may change between two calls: what is drawn again is measured again.
OPEN = ("draws", "version")


def sweep(flags, output, engine, encoders=None):
    """Does what is missing of a sweep.

    Args:
        flags: list of str, the first of them `--config`, with fields that override those of the file.
        output: path of a folder: `cells/` with a run each, `table.md`, `table.csv`, `grid.png`, `report.html`.
        engine: `Local` or `Ray`.
        encoders: dict, where the encoders' weights are, as `default_metrics` takes them; `None` for the hub's.

    Returns:
        `(text, failed)`: the tables, and how many runs failed.

    Raises:
        InputError: for a mistake in any of the runs, before the first.
    """
    output = pathlib.Path(output)
    check_writable(output, "output")
    plan = make_plan(flags, output)
    do_all(plan, output, engine, encoders)
    return write_results(plan, output, flags)


def do_all(plan, output, engine, encoders=None):
    """Does what is missing of a plan; `plan` may have more runs than the last time, but no other ones."""
    descriptions = {cell.name: description(plan, cell, encoders or {}) for cell in plan.cells}
    for cell in plan.cells:
        refuse_other(output / CELLS / cell.name, descriptions[cell.name])
    output.mkdir(parents=True, exist_ok=True)
    with working_in(output, f"--output {output}"):
        for subject in {cell.subject.name: cell.subject for cell in plan.cells}.values():
            if subject.make is not None:
                subject.make()
        for cell in plan.cells:
            prepare(output / CELLS / cell.name, cell, descriptions[cell.name])
        check_encoders(plan, output, descriptions)
        do(plan, output, engine)


def list_runs(flags, output):
    """What runs there are, and which are done, as text; makes none."""
    plan = make_plan(flags, pathlib.Path(output))
    done = [(pathlib.Path(output) / CELLS / cell.name / SCORES).exists() for cell in plan.cells]
    lines = [f"{'done' if ready else 'to do':<6} {cell.name}" for ready, cell in zip(done, plan.cells, strict=True)]
    draws = f", each drawn in {len(plan.draws)} ways" if len(plan.draws) > 1 else ""
    return "\n".join([*lines, f"{len(lines)} runs{draws}; {sum(done)} done.", ""])


def check_all_done(failed, output):
    """Raises an `InputError` where runs failed, so that the command says so, too."""
    if failed:
        raise InputError(f"{failed} runs failed; the table says why. The same command tries them again: {output}")


def refuse_other(folder, wanted):
    """Raises an `InputError` where a folder has a run that is another one."""
    path = folder / CELL
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name in wanted if name not in OPEN and found.get(name) != wanted[name]]
        if differing:
            raise InputError(
                f"The folder has a run of that name with another {differing[0]}; give a fresh --output. "
                f"Received: {folder}"
            )


def prepare(folder, cell, wanted):
    """Says in a folder what is to be done there; what was measured otherwise is to be measured again."""
    path = folder / CELL
    if not path.exists() or json.loads(path.read_text(encoding="utf-8")) != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SCORES).unlink(missing_ok=True)
        write_text(folder / CONFIG, to_yaml(cell.config))
        write_text(path, json.dumps(wanted, indent=1) + "\n")


def check_encoders(plan, output, descriptions):
    """Loads what the runs that are missing will be measured with, and lets go of it again.

    Raises:
        CheckpointError: if it cannot be had: runs of hours would end in that.
        InputError: without KerasHub.
    """
    wanted = {}
    for cell in plan.cells if plan.options.count else ():
        if not (output / CELLS / cell.name / SCORES).exists():
            base = dataclasses.asdict(cell.config.base)
            wanted[repr(base)] = base, descriptions[cell.name]["encoders"]
    for base, encoders in wanted.values():
        config, _ = describe_base(**base)
        for metric in default_metrics_of(config, **encoders):
            try:
                metric.prepare()
            except CheckpointError as error:
                advice = "All runs will be measured with it, so none was begun: --dino and --clip take folders"
                raise CheckpointError(f"{error}. {advice}") from error


def do(plan, output, engine):
    """Has the engine do the runs that are missing, failed ones once more."""
    folders = [output / CELLS / cell.name for cell in plan.cells]
    missing = [folder for folder in folders if not (folder / SCORES).exists()]
    with progress_bar(len(folders), "runs", "run") as bar:
        bar.update(len(folders) - len(missing))

        def ended(folder, failure):
            if failure is not None:
                write_text(folder / FAILED, f"{failure}\n")
                bar.write(f"{folder.name}: {failure}", file=bar.fp)
            bar.update()

        for folder in missing:
            (folder / FAILED).unlink(missing_ok=True)
        engine.run(missing, ended)


def write_results(plan, output, flags):
    """Writes tables, picture and page. Returns the tables as text, and the number of runs that failed."""
    results = gather(plan, output)
    text = tables(results)
    write_text(output / "table.md", text)
    write_text(output / "table.csv", comma_separated(results))
    picture = picture_of_all(results)
    if picture is not None:
        with whole_file(output / "grid.png") as part:
            picture.save(part, format="png")
    write_text(output / "report.html", sweep_page(results, output, flags[1:]))
    return text, len({row.cell.name for row in results.rows if row.scores is None})
