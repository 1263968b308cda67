"""What the process of one run does: trains, draws, measures."""

import dataclasses
import json
import shutil
import time

import filelock
from PIL import Image

from keras_booth.bases import known_classes
from keras_booth.evaluation import (
    PromptSet,
    Protocol,
    default_metrics,
    default_prompts_of,
    read_references,
    score,
    score_photographs,
)
from keras_booth.experiments.cell_files import CELL, CONFIG, DRAWN, LOCK, PICTURE, RUN, SCORES
from keras_booth.experiments.drawn import read_drawn, write_drawn
from keras_booth.tools.files.writing import whole_file, write_text
from keras_booth.workflow.build import build_booth
from keras_booth.workflow.parsing import read_config
from keras_booth.workflow.pictures import open_model
from keras_booth.workflow.run import CONFIG_FILE, REPORT, model_name, resume, run
from keras_booth.workflow.training.fitting import CHECKPOINTS, sampling_options

WAIT = 600  # seconds for a process that is about to end


def work(folder):
    """Does all that the cell in a folder lacks: a run, pictures of each way of drawing, scores.

    Args:
        folder: `Path`.
    """
    began, cell = time.monotonic(), json.loads((folder / CELL).read_text(encoding="utf-8"))
    config = read_config(folder / CONFIG)
    # Of a sweep that was killed and begun again the old process may still be ending.
    with filelock.FileLock(folder / LOCK, timeout=WAIT):
        if not (folder / SCORES).exists():
            place = train(config, folder / RUN) if cell["trained"] else None
            trained = time.monotonic() - began
            scores = measure(cell, config, place, folder / DRAWN)
            seconds = {"training": round(trained, 1), "drawing": round(time.monotonic() - began - trained, 1)}
            write_text(folder / SCORES, json.dumps({"seconds": seconds, **scores}, indent=1) + "\n")
        if not cell["measured"]["keep_models"]:
            for path in (*(folder / RUN).glob("*.keras"), *(folder / RUN).glob("*.safetensors")):
                path.unlink()
        (folder / LOCK).unlink(missing_ok=True)


def train(config, place):
    """Trains, or goes on with what was begun. Returns the `Path` of the run folder."""
    if (place / model_name(config)).exists() and not (place / CHECKPOINTS).exists():
        return place
    # Of a run whose model was not kept nothing is left to go on with.
    if (place / CONFIG_FILE).exists() and ((place / CHECKPOINTS).exists() or not (place / REPORT).exists()):
        return resume(place)
    shutil.rmtree(place, ignore_errors=True)
    return run(config.replace("output", folder=str(place)))


def measure(cell, config, place, folder):
    """Draws and scores.

    Args:
        cell: dict of `cell.json`.
        config: `RunConfig`.
        place: `Path` of the run folder, or `None` for the base.
        folder: `Path` of the pictures.

    Returns:
        dict: `higher_is_better` by score, scores of the `photographs`, and of each of `draws`.
    """
    booth = build_booth(config) if place is None else open_model(place / model_name(config))
    metrics = default_metrics(booth, **cell["encoders"]) if cell["measured"]["count"] else ()
    for metric in metrics:
        metric.prepare()
    references, higher = read_references(config.subject.photos), {}
    for metric in metrics:
        own = metric.higher_is_better
        higher |= {metric.name: own} if isinstance(own, bool) else own
    return {
        "higher_is_better": higher,
        "photographs": as_json(score_photographs(metrics, references)),
        "draws": [
            as_json(score(metrics, drawn, references)) if drawn else {}
            for drawn in (draw_all(booth, config, cell, draw, folder / draw["name"]) for draw in cell["draws"])
        ],
    }


def as_json(scores):
    """`Estimate`s as dicts."""
    return {name: dataclasses.asdict(found) for name, found in scores.items()}


def draw_all(booth, config, cell, draw, place):
    """`Drawn` of one way of drawing, of pictures that are kept; `None` where nothing is measured.

    Beside them lies one from the prompt of the picture of all.
    """
    measured, sampling = cell["measured"], config.replace("sampling", **draw_fields(draw)).sampling
    options = sampling_options(sampling)
    article = "a " if known_classes(booth.base.config) is not None else ""
    prompts = PromptSet(tuple(cell["prompts"]), article) if cell["prompts"] else default_prompts_of(booth)
    protocol = Protocol(prompts, max(1, measured["count"]), measured["class_count"], measured["seed"], options)
    if not place.is_dir():
        prompt = measured["prompt"].replace("{}", f"{booth.identifier} {booth.class_noun}")
        (picture,) = booth.generate(prompt, 1, seed=measured["seed"], **options)
        drawn = protocol.draw(booth) if measured["count"] else None
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(place) as part:
            part.mkdir()
            Image.fromarray(picture).save(part / PICTURE, format="png")
            if drawn is not None:
                write_drawn(part, drawn)
    names = (booth.identifier, booth.class_noun, booth.class_prompt)
    return read_drawn(place, protocol, *names) if measured["count"] else None


def draw_fields(draw):
    """What a way of drawing says of `sampling`, as a config has it."""
    return {name.removeprefix("sampling."): value for name, value in draw["settings"].items()}
