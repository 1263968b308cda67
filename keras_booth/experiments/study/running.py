"""`evaluate` without a model: subjects are learned with and without prior loss, and measured as the paper does it.

The tables are those of arXiv:2208.12242, sections 4.1 (fidelity to subject and prompt) and 4.3 (PRES and DIV, with and
without prior loss), the figure is its figure 12.
"""

import dataclasses
import json
import pathlib

from keras_booth.bases import known_classes
from keras_booth.data import fit_to
from keras_booth.evaluation import (
    PHOTOGRAPHS,
    SUFFIXES,
    agreement,
    base_prompts,
    default_metrics,
    load_judge,
    read_references,
    score,
    score_photographs,
)
from keras_booth.experiments.study.cases import dataset_cases, tiny_world_cases
from keras_booth.experiments.study.drawing import BEFORE, WITH, WITHOUT, Study
from keras_booth.experiments.study.tables import base_table, figure
from keras_booth.experiments.tables import as_text
from keras_booth.figures import image_grid, rows_of
from keras_booth.tools.errors import InputError, require
from keras_booth.tools.files.writing import whole_file, write_text
from keras_booth.tools.progress import progress_bar
from keras_booth.workflow.build import build_booth
from keras_booth.workflow.files import check_writable
from keras_booth.workflow.parsing import read_config
from keras_booth.workflow.training.fitting import sampling_options


def evaluate(
    recipe,
    output,
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
    lpips=None,
    dino=None,
    clip=None,
):
    """Train on each subject with and without prior preservation, and measure what the models draw.

    All pictures are kept, and a later call goes on from there.

    Args:
        recipe: path of a run config; its training, prior and sampling options are used for every subject.
        output: folder of `samples/`, `scores.json`, `table.md` and `figure.png`.
        dataset: path of a checkout of the DreamBooth dataset; `None` for the subjects of the tiny world.
        subjects: int. How many of them; `None` for all.
        seeds: int. Runs of each, with the recipe's seed of training and those after it.
        prior_loss: sequence of `"without"` and `"with"`. Which runs.
        count: int. Pictures of each prompt.
        class_count: int >= 2. Pictures of the class alone.
        base_count: int. Prompts with which the tiny world's base itself is measured; 0 for none.
        seed: int >= 0. Seed of all pictures that are measured.
        format: `"markdown"`, `"latex"` or `"csv"`.
        lpips, dino, clip: where the encoders' weights are; `None` for the hub's, and without DIV.

    Returns:
        str: the tables.
    """
    output = pathlib.Path(output)
    require(seeds >= 1, "seeds", ">= 1", seeds)
    require(count >= 1, "count", ">= 1", count)
    require(class_count >= 2, "class_count", ">= 2", class_count)
    require(base_count >= 0, "base_count", ">= 0", base_count)
    config = read_config(recipe)
    check_writable(output, "output")
    cases = dataset_cases(dataset, subjects) if dataset else tiny_world_cases(subjects, output / "photos")
    booth = build_booth(cases[0].config(config))
    size, tiny_world = booth.image_size, knows_tiny_world(booth, dataset)
    metrics = default_metrics(booth, lpips=lpips, dino=dino, clip=clip)
    for metric in metrics:
        metric.prepare()
    drawn = {"count": count, "class_count": class_count, "seed": seed, "of": "dataset" if dataset else "tiny_world"}
    remember_recipe(output / "recipe.json", config.to_dict() | {"drawn": drawn})
    for case in cases:
        case.write_photos(config)
    study = Study(config, output, count, class_count, seed)
    shares = measure_base(study, booth, base_count) if tiny_world and base_count else None
    del booth  # of a large one there would be two while others are trained
    states = [BEFORE, *(state for state in (WITHOUT, WITH) if state.split()[0] in prior_loss)]
    scores = measure(study, cases, states, seeds, metrics)
    text = as_text(scores, metrics, format)
    if shares is not None and format == "markdown":
        text = f"{base_table(shares)}\n{text}"
    write_text(output / f"table.{SUFFIXES[format]}", text)
    write_text(output / "scores.json", json.dumps(as_json(scores), indent=1) + "\n")
    photographs = [fit_to(photo, size) for photo in read_references(cases[0].photos)]
    with whole_file(output / "figure.png") as part:
        figure(study, cases[0], states, photographs).save(part, format="png")
    return text


def knows_tiny_world(booth, dataset):
    """Whether the base is the tiny world's; an `InputError` where it would have to be."""
    known = known_classes(booth.base.config) is not None
    if not (known or dataset):
        raise InputError(
            "The recipe's base does not know the tiny world's subjects: give --protocol dreambooth FOLDER. "
            f"Received: base {booth.base.config.name!r}"
        )
    return known


def remember_recipe(path, recipe):
    """Raises an `InputError` where what is in the folder was made with another recipe."""
    # As JSON gives it back, which knows no tuples.
    recipe = json.loads(json.dumps(recipe))
    if path.exists() and json.loads(path.read_text()) != recipe:
        raise InputError(
            f"The folder holds measurements of another recipe; give a fresh one. Received: output={str(path.parent)!r}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(recipe, indent=1) + "\n")


def measure(study, cases, states, seeds, metrics):
    """Scores as `tables` take them."""
    scores = {state: {} for state in (PHOTOGRAPHS, *states)}
    # What was not trained is drawn once.
    runs = {state: 1 if state == BEFORE else seeds for state in states}
    with progress_bar(len(cases) * sum(runs.values()), "models", "model") as bar:
        for case in cases:
            references = read_references(case.photos)
            scores[PHOTOGRAPHS][case.name] = [score_photographs(metrics, references)]
            for state in states:
                scores[state][case.name] = []
                for run in range(runs[state]):
                    drawn = study.drawn(case, state, run)
                    scores[state][case.name].append(score(metrics, drawn, references))
                    bar.update()
    if not any(found for (found,) in scores[PHOTOGRAPHS].values()):
        del scores[PHOTOGRAPHS]
    return scores


def measure_base(study, booth, count):
    """What share of random prompts the base follows, by attribute; keeps a sheet of its first pictures."""
    path = study.folder / "base.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    if found.get("prompts") != count:
        prompts, wanted = base_prompts(count)
        pictures = booth.generate(prompts, **sampling_options(study.recipe.sampling))
        with whole_file(study.folder / "base.png") as part:
            rows, texts = rows_of(pictures[:32], 8), rows_of(prompts[:32], 8)
            image_grid(rows, [""] * len(rows), beneath=texts).save(part, format="png")
        found = {"prompts": count, "shares": agreement(load_judge(), pictures, wanted)}
        write_text(path, json.dumps(found, indent=1) + "\n")
    return found["shares"]


def as_json(scores):
    """All figures: by state, subject, run and name."""
    return {
        state: {
            name: [{key: dataclasses.asdict(one) for key, one in run.items()} for run in runs]
            for name, runs in of_subjects.items()
        }
        for state, of_subjects in scores.items()
    }
