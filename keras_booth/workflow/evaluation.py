"""DreamBooth measured on subjects of the tiny world: one table, one figure."""

import dataclasses
import json
import pathlib

import numpy as np
from PIL import Image

from keras_booth.callbacks import TrainingProgress
from keras_booth.data import read_photo
from keras_booth.evaluation import (
    PROMPT_SETTINGS,
    SUBJECTS,
    agreement,
    base_prompts,
    load_judge,
    render_photos,
    score_class,
    score_subject,
)
from keras_booth.figures import image_grid, rows_of
from keras_booth.tiny_world import Judge
from keras_booth.tools.errors import InputError, require
from keras_booth.tools.files.writing import whole_file, write_text
from keras_booth.workflow.build import build_booth, compile_booth, resolve
from keras_booth.workflow.files import check_writable, slug
from keras_booth.workflow.parsing import read_config
from keras_booth.workflow.subjects import Pictures, build_dataset, find_pictures, gather_prior, hold_out
from keras_booth.workflow.training.fitting import sampling_options

BEFORE, WITHOUT, WITH = "before training", "without prior loss", "with prior loss"
COLUMNS = ("fidelity", "setting", "drift, base", "after", "diversity, base", "after", "class, base", "after")
SHOWN = 4  # pictures of a row of the figure


def evaluate(
    recipe,
    output,
    *,
    subjects=10,
    seeds=1,
    prior_loss=("without", "with"),
    count=4,
    class_count=48,
    base_count=400,
    seed=1000,
):
    """Train on each subject with and without prior preservation, and let the judge read the pictures.

    Every finished measurement is kept in `results.json`, and a later call goes on from there.

    Args:
        recipe: path of a run config; its training, prior and sampling options are used for every subject.
        output: folder of `results.json`, `table.md`, `samples/` and `figure.png`.
        subjects: int. How many of `keras_booth.evaluation.SUBJECTS`.
        seeds: int. Runs of each, with the recipe's seed of training and those after it.
        prior_loss: sequence of `"without"` and `"with"`. Which runs.
        count: int. Pictures of each subject in each of the settings that its photographs do not have.
        class_count: int >= 2. Pictures of the class alone.
        base_count: int. Prompts with which the base itself is measured; 0 for none.
        seed: int >= 0. Seed of all pictures that are measured.

    Returns:
        str: the tables, in Markdown.
    """
    output = pathlib.Path(output)
    most = len(SUBJECTS)
    require(1 <= subjects <= most, "subjects", f"in [1, {most}]", subjects)
    require(seeds >= 1, "seeds", ">= 1", seeds)
    require(count >= 1, "count", ">= 1", count)
    require(class_count >= 2, "class_count", ">= 2", class_count)
    require(base_count >= 0, "base_count", ">= 0", base_count)
    variants = [variant for variant in (WITHOUT, WITH) if variant.split()[0] in prior_loss]
    config = read_config(recipe)
    check_writable(output, "output")
    judge = load_judge()
    results = Results(output / "results.json")
    results.belong_to(config.to_dict() | {"pictures": [count, class_count, seed]})
    output.mkdir(parents=True, exist_ok=True)
    protocol = Protocol(judge, output, count, class_count, seed)
    if base_count and "base" not in results:
        results["base"] = protocol.measure_base(config, base_count)
    for look in SUBJECTS[:subjects]:
        subject = config.replace(
            "subject", photos=str(render_photos(look, output / "photos" / look.class_noun)), class_noun=look.class_noun
        )
        if run_name(look, BEFORE) not in results:
            results[run_name(look, BEFORE)] = protocol.measure_class(subject, build_booth(subject), look, BEFORE)
        for variant in variants:
            for run in range(seeds):
                name = run_name(look, variant, run)
                if name not in results:
                    again = subject.replace("training", seed=config.training.seed + run)
                    results[name] = protocol.measure_subject(again, look, variant, run)
    text = tables(results.values, SUBJECTS[:subjects], variants, seeds)
    write_text(output / "table.md", text)
    with whole_file(output / "figure.png") as part:
        figure(output, SUBJECTS[0], variants).save(part, format="png")
    return text


class Results:
    """A dict of measurements that is on disk after each assignment."""

    def __init__(self, path):
        self.path = path
        self.values = json.loads(path.read_text()) if path.exists() else {}

    def belong_to(self, recipe):
        """Raise an `InputError` if what is here was measured with another recipe."""
        if self.values and self.values.get("recipe") != recipe:
            raise InputError(
                "The folder holds measurements of another recipe; give a fresh one. "
                f"Received: output={str(self.path.parent)!r}"
            )
        self.values["recipe"] = recipe

    def __contains__(self, name):
        return name in self.values

    def __setitem__(self, name, value):
        self.values[name] = value
        write_text(self.path, json.dumps(self.values, indent=1))


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is measured, the same for every run.

    Args:
        judge: `Judge`.
        output: `Path` under which some of the pictures are kept.
        count: int. Pictures of a subject in each setting.
        class_count: int. Pictures of the class alone.
        seed: int. Seed of all pictures.
    """

    judge: Judge
    output: pathlib.Path
    count: int
    class_count: int
    seed: int

    def measure_base(self, config, count):
        """What share of random prompts the base follows, by attribute; keeps a sheet of its first pictures."""
        prompts, wanted = base_prompts(count)
        pictures = build_booth(config).generate(prompts, **sampling_options(config.sampling))
        with whole_file(self.output / "base.png") as part:
            rows, texts = rows_of(pictures[:32], 8), rows_of(prompts[:32], 8)
            image_grid(rows, [""] * len(rows), beneath=texts).save(part, format="png")
        return agreement(self.judge, pictures, wanted)

    def measure_class(self, config, booth, look, state, run=0):
        """Score what a model draws of the class alone."""
        pictures = booth.generate(
            booth.class_prompt, self.class_count, seed=self.seed, **sampling_options(config.sampling)
        )
        self.keep(pictures[:SHOWN], look, state, "class", run)
        return dataclasses.asdict(score_class(self.judge, pictures, look))

    def measure_subject(self, config, look, variant, run):
        """Train on one subject; score it and its class."""
        if variant == WITHOUT:
            config = without_prior(config)
        booth = build_booth(config)
        train(resolve(config, booth), booth)
        prompts = [f"{booth.instance_prompt} {setting}" for setting in PROMPT_SETTINGS]
        settings = [setting for setting in PROMPT_SETTINGS for _ in range(self.count)]
        pictures = booth.generate(prompts, self.count, seed=self.seed, **sampling_options(config.sampling))
        self.keep(pictures[:: self.count], look, variant, "subject", run)
        return {
            "subject": dataclasses.asdict(score_subject(self.judge, pictures, look, settings)),
            "class": self.measure_class(config, booth, look, variant, run),
        }

    def keep(self, pictures, look, state, kind, run):
        """Write pictures as numbered PNG files."""
        folder = sample_folder(self.output, look, state, kind, run)
        folder.mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(pictures):
            with whole_file(folder / f"{index:02d}.png") as part:
                Image.fromarray(picture).save(part, format="png")


def without_prior(config):
    """The same run without class images: as many photographs a step as with them."""
    share = config.training.batch_size / (1 + config.prior.ratio)
    return config.replace("prior", loss_weight=0.0).replace("training", batch_size=max(1, round(share)))


def train(config, booth):
    """Train as `keras_booth.train` does, without its files."""
    photos, own = find_pictures(config)
    trained, _ = hold_out(config, photos)
    data = build_dataset(config, booth, Pictures(trained, gather_prior(config, booth, own)))
    compile_booth(config, booth)
    progress = TrainingProgress(config.training.steps)
    try:
        booth.fit(data, verbose=0, callbacks=[progress])
    finally:
        progress.close()


def run_name(look, state, run=0):
    """Name of a measurement: the class, the state of the model, and which of the runs."""
    return f"{look.class_noun}, {state}" + (f", run {run + 1}" if run else "")


def sample_folder(output, look, state, kind, run=0):
    """Folder of the pictures that are kept of a measurement."""
    return output / "samples" / slug(run_name(look, state, run)) / kind


def tables(results, subjects, variants, seeds):
    """Measurements as Markdown: of several runs the mean, and their standard deviation."""
    lines = []
    if "base" in results:
        lines += ["| base follows the prompt | right |", "|---|---|"]
        names = {name: name.replace("_noun", "").replace("_", " ") for name in results["base"]}
        lines += [f"| {names[name]} | {percent(share)} |" for name, share in results["base"].items()]
        lines.append("")
    lines += [f"| subject | prior loss | {' | '.join(COLUMNS)} |", "|---" * (2 + len(COLUMNS)) + "|"]
    # (subject, variant, run, column)
    found = np.array(
        [
            [
                [
                    numbers(results[run_name(look, variant, run)], results[run_name(look, BEFORE)])
                    for run in range(seeds)
                ]
                for variant in variants
            ]
            for look in subjects
        ]
    )
    for look, of_subject in zip(subjects, found, strict=True):
        for variant, runs in zip(variants, of_subject, strict=True):
            lines.append(table_row(look.class_noun, variant, runs))
    for variant, runs in zip(variants, found.mean(axis=0), strict=True):
        lines.append(table_row("**mean**", variant, runs))
    return "\n".join(lines) + "\n"


def numbers(result, before):
    """The numbers of one row of the table, as in `COLUMNS`."""
    subject, after = result["subject"], result["class"]
    return [
        *(subject[key] for key in ("fidelity", "setting")),
        *(score[key] for key in ("drift", "diversity", "class_noun") for score in (before, after)),
    ]


def table_row(name, variant, runs):
    """One line of the table, of an array (runs, columns)."""
    cells = [percent(mean) for mean in runs.mean(axis=0)]
    if len(runs) > 1:
        spreads = runs.std(axis=0, ddof=1)
        # What was measured once, before training, has none.
        cells = [
            cell if COLUMNS[column].endswith("base") else f"{cell.removesuffix(' %')} ± {percent(spreads[column])}"
            for column, cell in enumerate(cells)
        ]
    return f"| {name} | {variant.split()[0]} | {' | '.join(cells)} |"


def percent(value):
    """0.956 -> "96 %"."""
    return f"{100 * value:.0f} %"


def figure(output, look, variants):
    """The photographs; the subject in new settings; its class before and after training, as far as it was trained."""
    noun = look.class_noun
    rows = {f"{SHOWN} photographs of sks {noun}": output / "photos" / noun}
    learned = f"a photo of sks {noun} …"
    rows[learned] = sample_folder(output, look, variants[-1], "subject")
    rows[f"a photo of a {noun}, before"] = sample_folder(output, look, BEFORE, "class")
    for variant in variants:
        rows[f"a photo of a {noun}, after training {variant}"] = sample_folder(output, look, variant, "class")
    pictures = [[read_photo(path) for path in sorted(folder.iterdir())[:SHOWN]] for folder in rows.values()]
    beneath = [[f"… {setting}" for setting in PROMPT_SETTINGS[:SHOWN]] if name == learned else [] for name in rows]
    return image_grid(pictures, list(rows), beneath=beneath)
