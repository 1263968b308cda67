"""`evaluate MODEL --photos FOLDER`: one model beside its photographs and its base."""

import dataclasses
import json
import logging
import pathlib

import numpy as np

from keras_booth.data import fit_to
from keras_booth.dreambooth import DreamBooth
from keras_booth.evaluation import (
    SUFFIXES,
    PromptSet,
    Protocol,
    default_metrics,
    default_prompts_of,
    evaluate,
    read_references,
    table,
)
from keras_booth.figures import image_grid
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.writing import read_text, whole_file, write_text
from keras_booth.tools.progress import progress_bar
from keras_booth.workflow.files import check_writable
from keras_booth.workflow.pictures import open_model

logger = logging.getLogger("keras_booth")
ANY = PromptSet(("{}",))  # until the model is open, by which the prompts are chosen
SHOWN = 6  # pictures of a row of the sheet


def measure(
    model,
    photos,
    output,
    *,
    base=None,
    prompt_file=None,
    count=4,
    class_count=32,
    seed=0,
    format="markdown",
    lpips=None,
    dino=None,
    clip=None,
    batch_size=8,
):
    """Measure a model, and write `metrics.json`, a table and `sheet.png`.

    Args:
        model: path of a `.keras` file.
        photos: folder of the subject's photographs.
        output: folder.
        base: the model before training: whatever `DreamBooth.from_preset` takes; `None` for what is known of it.
        prompt_file: text file with prompts, one a line, each with `{}` where the subject goes; `None` for 25.
        count: int >= 1. Pictures of each prompt.
        class_count: int >= 2. Pictures of the class.
        seed: int >= 0.
        format: `"markdown"`, `"latex"` or `"csv"`.
        lpips, dino, clip: where the encoders' weights are; `None` for the hub's, and without DIV.
        batch_size: int. Pictures drawn at once.

    Returns:
        str: the table.
    """
    check_writable(output, "output")
    own = None if prompt_file is None else read_prompts(prompt_file)
    protocol = Protocol(own or ANY, count, class_count, seed, {"batch_size": batch_size})
    references = read_references(photos)
    booth = open_model(model)
    if own is None:
        protocol = dataclasses.replace(protocol, prompts=default_prompts_of(booth))
    before = model_before(booth, model, base)
    if before is None:
        logger.warning("What the model was before training is not known: give it with --base to have it measured too.")
    metrics = default_metrics(booth, lpips=lpips, dino=dino, clip=clip)
    drawn = {}
    with progress_bar(protocol.pictures * (1 + (before is not None)), "pictures", "picture") as bar:
        rows = evaluate(
            booth,
            photos,
            metrics,
            base=before,
            protocol=protocol,
            on_batch=lambda done: bar.update(done - bar.n),
            on_drawn=drawn.__setitem__,
        )
    folder = pathlib.Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "metrics.json", json.dumps(as_json(rows, model, photos, protocol, metrics), indent=1) + "\n")
    text = table(rows, metrics, format)
    write_text(folder / f"table.{SUFFIXES[format]}", text)
    with whole_file(folder / "sheet.png") as part:
        sheet(booth, references, drawn, protocol).save(part, format="png")
    return text


def model_before(booth, model, base):
    """The model before training as a `DreamBooth`; `None` where nobody knows it."""
    names = {"identifier": booth.identifier, "class_noun": booth.class_noun}
    if base is not None:
        return DreamBooth.from_preset(base, **names)
    if booth.adapters is not None:
        # Without its adapters it is what it was.
        before = open_model(model)
        before.lora_scale = 0.0
        return before
    if booth.base.config.name == "tiny_world":
        return DreamBooth.from_preset("tiny_world", **names)
    return None


def read_prompts(path):
    """`PromptSet` of a text file."""
    lines = [line.strip() for line in read_text(path, "prompt_file").splitlines()]
    try:
        return PromptSet(tuple(line for line in lines if line))
    except InputError as error:
        raise InputError(f"{error}, in prompt_file={path}") from error


def as_json(rows, model, photos, protocol, metrics):
    """All figures, and what they are of."""
    return {
        "model": str(model),
        "photos": str(photos),
        "prompts": list(protocol.prompts.templates),
        "pictures of a prompt": protocol.count,
        "pictures of the class": protocol.class_count,
        "seed": protocol.seed,
        "metrics": {metric.name: metric.source for metric in metrics},
        "rows": {row.name: {name: dataclasses.asdict(found) for name, found in row.scores.items()} for row in rows},
    }


def sheet(booth, references, drawn, protocol):
    """The photographs; of each model the subject by different prompts, and the class."""
    size = booth.image_size
    rows = [[fit_to(photo, size) for photo in references[:SHOWN]]]
    captions, beneath = ["the photographs"], [[]]
    with_subject, _ = protocol.prompts.of(booth.identifier, booth.class_noun)
    step = max(1, len(with_subject) // SHOWN)
    for name, found in drawn.items():
        chosen = np.arange(0, len(with_subject), step)[:SHOWN]
        rows += [list(found.subject[chosen * protocol.count]), list(found.of_class[:SHOWN])]
        captions += [f"{name}: the subject", f"{name}: {booth.class_prompt}"]
        beneath += [[with_subject[index] for index in chosen], []]
    return image_grid(rows, captions, beneath=beneath)
