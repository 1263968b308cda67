"""DreamBooth measured on subjects of the tiny world: one table, one figure."""

import dataclasses
import json
import pathlib

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
from keras_booth.figures import image_grid
from keras_booth.tiny_world import Judge
from keras_booth.tools.errors import InputError, require
from keras_booth.tools.files.writing import whole_file, write_text
from keras_booth.workflow.build import build_booth, compile_booth, resolve
from keras_booth.workflow.files import check_writable, slug
from keras_booth.workflow.parsing import read_config
from keras_booth.workflow.subjects import Pictures, build_dataset, find_pictures, gather_prior, hold_out

BEFORE, VARIANTS = "before training", ("without prior loss", "with prior loss")
SHOWN = 4  # pictures of a row of the figure


def evaluate(recipe, output, *, subjects=6, count=4, class_count=48, base_count=400, seed=1000):
    """Train on each subject with and without prior preservation, and let the judge read the pictures.

    Every finished measurement is kept in `results.json`, and a later call goes on from there.

    Args:
        recipe: path of a run config; its training, prior and sampling options are used for every subject.
        output: folder of `results.json`, `table.md`, `samples/` and `figure.png`.
        subjects: int. How many of `keras_booth.evaluation.SUBJECTS`.
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
    require(count >= 1, "count", ">= 1", count)
    require(class_count >= 2, "class_count", ">= 2", class_count)
    require(base_count >= 0, "base_count", ">= 0", base_count)
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
        for variant in VARIANTS:
            if run_name(look, variant) not in results:
                results[run_name(look, variant)] = protocol.measure_subject(subject, look, variant)
    text = tables(results.values, SUBJECTS[:subjects])
    write_text(output / "table.md", text)
    with whole_file(output / "figure.png") as part:
        figure(output, SUBJECTS[0]).save(part, format="png")
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


def sampling_options(config):
    """What the recipe says of drawing, for `DreamBooth.generate`."""
    sampling = config.sampling
    return {name: getattr(sampling, name) for name in ("steps", "guidance_scale", "sampler", "batch_size")}


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
        pictures = build_booth(config).generate(prompts, **sampling_options(config))
        with whole_file(self.output / "base.png") as part:
            rows = [list(pictures[first : first + 8]) for first in range(0, min(count, 32), 8)]
            image_grid(rows, [""] * len(rows)).save(part, format="png")
        return agreement(self.judge, pictures, wanted)

    def measure_class(self, config, booth, look, state):
        """Score what a model draws of the class alone."""
        pictures = booth.generate(booth.class_prompt, self.class_count, seed=self.seed, **sampling_options(config))
        self.keep(pictures[:SHOWN], look, state, "class")
        return dataclasses.asdict(score_class(self.judge, pictures, look))

    def measure_subject(self, config, look, variant):
        """Train on one subject; score it and its class."""
        if variant == VARIANTS[0]:
            config = without_prior(config)
        booth = build_booth(config)
        train(resolve(config, booth), booth)
        prompts = [f"{booth.instance_prompt} {setting}" for setting in PROMPT_SETTINGS]
        settings = [setting for setting in PROMPT_SETTINGS for _ in range(self.count)]
        pictures = booth.generate(prompts, self.count, seed=self.seed, **sampling_options(config))
        self.keep(pictures[:: self.count], look, variant, "subject")
        return {
            "subject": dataclasses.asdict(score_subject(self.judge, pictures, look, settings)),
            "class": self.measure_class(config, booth, look, variant),
        }

    def keep(self, pictures, look, state, kind):
        """Write pictures as numbered PNG files."""
        folder = sample_folder(self.output, look, state, kind)
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


def run_name(look, state):
    """Name of a measurement: the class, and the state of the model."""
    return f"{look.class_noun}, {state}"


def sample_folder(output, look, state, kind):
    """Folder of the pictures that are kept of a measurement."""
    return output / "samples" / slug(run_name(look, state)) / kind


def tables(results, subjects):
    """Measurements as Markdown."""
    lines = []
    if "base" in results:
        lines += ["| base follows the prompt | right |", "|---|---|"]
        names = {name: name.replace("_noun", "").replace("_", " ") for name in results["base"]}
        lines += [f"| {names[name]} | {percent(share)} |" for name, share in results["base"].items()]
        lines.append("")
    lines += [
        "| subject | prior loss | fidelity | setting | drift, base | drift, after | diversity, base | after |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows = {variant: [] for variant in VARIANTS}
    for look in subjects:
        for variant in VARIANTS:
            row = numbers(results[run_name(look, variant)], results[run_name(look, BEFORE)])
            rows[variant].append(row)
            lines.append(table_row(look.class_noun, variant, row))
    for variant in VARIANTS:
        mean = [sum(column) / len(column) for column in zip(*rows[variant], strict=True)]
        lines.append(table_row("**mean**", variant, mean))
    return "\n".join(lines) + "\n"


def numbers(result, before):
    """The numbers of one row of the table."""
    subject, after = result["subject"], result["class"]
    return [
        *(subject[key] for key in ("fidelity", "setting")),
        *(score[key] for key in ("drift", "diversity") for score in (before, after)),
    ]


def table_row(name, variant, row):
    """One line of the table."""
    return f"| {name} | {variant.split()[0]} | " + " | ".join(percent(value) for value in row) + " |"


def percent(value):
    """0.956 -> "96 %"."""
    return f"{100 * value:.0f} %"


def figure(output, look):
    """The photographs; the subject in new settings; its class before, after without, and after with prior loss."""
    noun, (without, with_prior) = look.class_noun, VARIANTS
    rows = {
        f"4 photographs of sks {noun}": output / "photos" / noun,
        f"a photo of sks {noun}, in settings that the photographs do not have": sample_folder(
            output, look, with_prior, "subject"
        ),
        f"a photo of a {noun}, before": sample_folder(output, look, BEFORE, "class"),
        f"a photo of a {noun}, after training without prior loss": sample_folder(output, look, without, "class"),
        f"a photo of a {noun}, after training with prior loss": sample_folder(output, look, with_prior, "class"),
    }
    pictures = [[read_photo(path) for path in sorted(folder.iterdir())[:SHOWN]] for folder in rows.values()]
    return image_grid(pictures, list(rows))
