"""`evaluate` without a model: subjects are learned with and without prior loss, and measured as the paper does it.

The tables are those of arXiv:2208.12242, sections 4.1 (fidelity to subject and prompt) and 4.3 (PRES and DIV, with and
without prior loss), the figure is its figure 12.
"""

import dataclasses
import json
import pathlib

from keras_booth.bases import PRESETS
from keras_booth.data import DATASET_SUBJECTS, find_photos, fit_to, read_photo, subject_folder
from keras_booth.evaluation import SUBJECTS, SUFFIXES, agreement, base_prompts, load_judge
from keras_booth.experiments.cell_files import CELLS, DRAWN
from keras_booth.experiments.drawn import read_pictures
from keras_booth.experiments.plan import BASE_LABEL, draw_name, plan_of
from keras_booth.experiments.results import gather, scores_of, tables
from keras_booth.experiments.subjects import TINY_WORLD
from keras_booth.experiments.sweep import do_all
from keras_booth.figures import image_grid, rows_of
from keras_booth.tools.errors import InputError, require
from keras_booth.tools.files.writing import whole_file, write_text
from keras_booth.workflow.build import build_booth
from keras_booth.workflow.files import check_writable
from keras_booth.workflow.parsing import parse_sweep
from keras_booth.workflow.training.fitting import sampling_options

WITHOUT, WITH = "without prior loss", "with prior loss"
SHOWN = 4  # pictures of a row of the figure


def evaluate(
    recipe,
    output,
    engine,
    *,
    dataset=None,
    subjects=None,
    seeds=1,
    prior_loss=("without", "with"),
    count=4,
    class_count=48,
    base_count=400,
    seed=1000,
    format="markdown",
    encoders=None,
):
    """Trains on each subject with and without prior preservation, and measures what the models draw.

    All pictures are kept, and a later call goes on from there.

    Args:
        recipe: path of a run config; its training, prior and sampling options are used for every subject.
        output: folder of `cells/`, `scores.json`, `table.md` and `figure.png`.
        engine: `Local` or `Ray`.
        dataset: path of a checkout of the DreamBooth dataset; `None` for the subjects of the tiny world.
        subjects: int. How many of them; `None` for all.
        seeds: int. Runs of each, with the recipe's seed of training and those after it.
        prior_loss: sequence of `"without"` and `"with"`. Which runs.
        count: int. Pictures of each prompt.
        class_count: int >= 2. Pictures of the class alone.
        base_count: int. Prompts with which the tiny world's base itself is measured; 0 for none.
        seed: int >= 0. Seed of all pictures that are measured.
        format: `"markdown"`, `"latex"` or `"csv"`.
        encoders: dict, where the encoders' weights are, as `default_metrics` takes them; `None` for the hub's.

    Returns:
        `(text, failed)`: the tables, and how many runs failed.
    """
    output = pathlib.Path(output)
    for name, value, least in (("seeds", seeds, 1), ("count", count, 1), ("class_count", class_count, 2)):
        require(value >= least, name, f">= {least}", value)
    require(base_count >= 0, "base_count", ">= 0", base_count)
    check_writable(output, "output")
    flags = ["--config", str(recipe)]
    config, _ = parse_sweep(flags)
    require_world(config, dataset)
    content = {
        "base": True,
        "runs": [run for run in runs_of(config) if run["label"].split()[0] in prior_loss],
        "subjects": str(dataset) if dataset else TINY_WORLD,
        "only": names_of(dataset, subjects),
        "keep_models": False,
        **{"seeds": seeds, "count": count, "class_count": class_count, "seed": seed},
    }
    plan = plan_of(flags, content, output)
    do_all(plan, output, engine, encoders)
    results = gather(plan, output)
    shares = measure_base(plan.cells[0].config, output, base_count) if base_count and not dataset else None
    text = write_results(plan, results, shares, output, format)
    return text, sum(row.scores is None for row in results.rows)


def write_results(plan, results, shares, output, format):
    """Writes the table, all figures, and the picture of the first subject. Returns the table's text.

    Args:
        plan: `Plan`.
        results: `Results`.
        shares: what `measure_base` returns; `None` where it was not asked.
        output: `Path`.
        format: `"markdown"`, `"latex"` or `"csv"`.
    """
    text = tables(results, format)
    if shares is not None and format == "markdown":
        text = f"{base_table(shares)}\n{text}"
    write_text(output / f"table.{SUFFIXES[format]}", text)
    write_text(output / "scores.json", json.dumps(as_json(scores_of(results)), indent=1) + "\n")
    first = [row for row in results.rows if row.cell.subject == plan.cells[0].subject and not row.cell.run]
    cells = {row.cell.label: row.cell for row in first if row.scores}
    if len(cells) > 1:
        with whole_file(output / "figure.png") as part:
            figure(cells, plan, output).save(part, format="png")
    return text


def require_world(config, dataset):
    """Raises an `InputError` where a base would have to draw what it does not know."""
    if not dataset and config.base.preset in PRESETS and config.base.preset != TINY_WORLD:
        raise InputError(
            "The recipe's base does not know the tiny world's subjects: give --protocol dreambooth FOLDER. "
            f"Received: base {config.base.preset!r}"
        )


def runs_of(config):
    """The two runs: without class images there are as many photographs in a step as with them."""
    share = max(1, round(config.training.batch_size / (1 + config.prior.ratio)))
    return [
        {"label": WITHOUT, "prior.loss_weight": 0.0, "training.batch_size": share},
        {"label": WITH, "prior.loss_weight": config.prior.loss_weight or 1.0},
    ]


def names_of(dataset, count):
    """The names of the first subjects, list of str; `None` for all that are there."""
    names = [one.name for one in DATASET_SUBJECTS] if dataset else [look.class_noun for look in SUBJECTS]
    require(count is None or 1 <= count <= len(names), "subjects", f"in [1, {len(names)}]", count)
    wanted = names[:count]
    for name in wanted if dataset else ():
        if not subject_folder(pathlib.Path(dataset), name).is_dir():
            raise InputError(
                f"The folder must be a checkout of github.com/google/dreambooth, and lacks {name}. "
                f"Received: --protocol dreambooth {dataset}"
            )
    return wanted


def measure_base(config, output, count):
    """What share of random prompts the base follows, by attribute; keeps a sheet of its first pictures."""
    path = output / "base.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    if found.get("prompts") != count:
        prompts, wanted = base_prompts(count)
        pictures = build_booth(config).generate(prompts, **sampling_options(config.sampling))
        with whole_file(output / "base.png") as part:
            rows, texts = rows_of(pictures[:32], 8), rows_of(prompts[:32], 8)
            image_grid(rows, [""] * len(rows), beneath=texts).save(part, format="png")
        found = {"prompts": count, "shares": agreement(load_judge(), pictures, wanted)}
        write_text(path, json.dumps(found, indent=1) + "\n")
    return found["shares"]


def base_table(shares):
    """Markdown: what share of prompts the base follows, by attribute."""
    lines = ["| the base follows the prompt | right |", "|---|---|"]
    names = {name: name.replace("_noun", "").replace("_", " ") for name in shares}
    return "\n".join([*lines, *(f"| {names[name]} | {share:.3f} |" for name, share in shares.items())]) + "\n"


def as_json(scores):
    """All figures: by state, subject, run and name."""
    return {
        state: {
            name: [{key: dataclasses.asdict(one) for key, one in run.items()} for run in runs]
            for name, runs in of_subjects.items()
        }
        for state, of_subjects in scores.items()
    }


def figure(cells, plan, output):
    """The photographs; the subject in new settings; its class before and after training, as far as it was trained.

    Args:
        cells: dict of `Cell` by label, of one subject.
        plan: `Plan`.
        output: `Path`.
    """

    def drawn(cell, of):
        return read_pictures(output / CELLS / cell.name / DRAWN / draw_name({}, plan.options) / of)

    *_, last = cells.values()
    subject, config = last.subject, last.config
    paths = find_photos(config.subject.photos)[:SHOWN]
    learned = drawn(last, "subject")[:: plan.options.count][:SHOWN]
    photographs = [fit_to(read_photo(path), learned.shape[1:3]) for path in paths]
    name = f"{config.subject.identifier} {config.subject.class_noun}"
    prompts = [prompt.replace("{}", name) for prompt in subject.prompts[: len(learned)]]
    rows, captions = [photographs, learned], [f"{len(paths)} photographs", f"drawn after training {last.label}"]
    class_prompt = config.subject.class_prompt or f"a photo of a {config.subject.class_noun}"
    for label, cell in cells.items():
        rows.append(drawn(cell, "class")[:SHOWN])
        captions.append(f"{class_prompt}: " + (label if label == BASE_LABEL else f"after training {label}"))
    return image_grid(rows, captions, beneath=[[], prompts, *([] for _ in cells)])
