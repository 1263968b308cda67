"""DreamBooth measured on subjects of the tiny world: one table, one figure."""

import dataclasses
import json
import pathlib

from PIL import Image

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
from keras_booth.workflow.callbacks import TrainingProgress
from keras_booth.workflow.errors import user_input
from keras_booth.workflow.files import check_writable, slug, whole_file
from keras_booth.workflow.parsing import read_config
from keras_booth.workflow.report import image_grid
from keras_booth.workflow.run import build_booth, build_dataset, compile_booth, gather_prior, resolve, write_text

VARIANTS = ("without prior loss", "with prior loss")
SHOWN = 4  # pictures of a row of the figure


def evaluate(recipe, output, *, subjects=6, count=4, class_count=48, base_count=400, seed=1000):
    """Train on each subject with and without prior preservation, and let the judge read the pictures.

    Every finished measurement is kept in `results.json`, and a later call goes on from there.

    Args:
        recipe: path of a run config; its training, prior and sampling options are used for every subject.
        output: folder of `results.json`, `table.md`, `samples/` and `figure.png`.
        subjects: int. How many of `keras_booth.evaluation.SUBJECTS`.
        count: int. Pictures of each subject in each of the settings that its photographs do not have.
        class_count: int. Pictures of the class alone.
        base_count: int. Prompts with which the base itself is measured; 0 for none.
        seed: int >= 0. Seed of all pictures that are measured.

    Returns:
        str: the tables, in Markdown.
    """
    output = pathlib.Path(output)
    with user_input():
        config = read_config(recipe)
        check_writable(output, "output")
        judge = load_judge()
    results = Results(output / "results.json")
    if base_count and "base" not in results:
        results["base"] = measure_base(config, judge, base_count, output)
    for look in SUBJECTS[:subjects]:
        photos = render_photos(look, output / "photos" / look.class_noun)
        for variant in VARIANTS:
            name = f"{look.class_noun}, {variant}"
            if name not in results:
                tailored = tailor(config, look, photos, variant)
                results[name] = measure_subject(tailored, look, judge, count, class_count, seed, output, name)
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

    def __contains__(self, name):
        return name in self.values

    def __setitem__(self, name, value):
        self.values[name] = value
        write_text(self.path, json.dumps(self.values, indent=1))


def tailor(config, look, photos, variant):
    """The run config for one subject and variant."""
    config = config.replace("subject", photos=str(photos), class_noun=look.class_noun)
    return config if variant == VARIANTS[1] else config.replace("prior", loss_weight=0.0)


def measure_base(config, judge, count, output):
    """What share of random prompts the base follows, by attribute; keeps a sheet of its first pictures."""
    prompts, wanted = base_prompts(count)
    pictures = build_booth(config).generate(prompts)
    with whole_file(output / "base.png") as part:
        rows = [[pictures[i] for i in range(first, first + 8)] for first in range(0, min(count, 32), 8)]
        image_grid(rows, [""] * len(rows)).save(part, format="png")
    return agreement(judge, pictures, wanted)


def measure_subject(config, look, judge, count, class_count, seed, output, name):
    """Train on one subject; score it and its class before and after. Keeps some of the pictures."""
    booth = build_booth(config)
    config = resolve(config, booth)
    before = booth.generate(booth.class_prompt, class_count, seed=seed)
    prior = gather_prior(config, booth)
    data = build_dataset(config, booth, prior)
    compile_booth(config, booth)
    progress = TrainingProgress(config.training.steps)
    booth.fit(data, verbose=0, callbacks=[progress])
    progress.close()
    prompts = [f"{booth.instance_prompt} {setting}" for setting in PROMPT_SETTINGS]
    subject = booth.generate(prompts, count, seed=seed)
    after = booth.generate(booth.class_prompt, class_count, seed=seed)
    settings = [setting for setting in PROMPT_SETTINGS for _ in range(count)]
    folder = output / "samples" / slug(name)
    keep(subject[::count], folder / "subject")
    keep(before[:SHOWN], folder / "class-before")
    keep(after[:SHOWN], folder / "class-after")
    return {
        "subject": dataclasses.asdict(score_subject(judge, subject, look, settings)),
        "class before": dataclasses.asdict(score_class(judge, before, look)),
        "class after": dataclasses.asdict(score_class(judge, after, look)),
    }


def keep(pictures, folder):
    """Write pictures as numbered PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(pictures):
        with whole_file(folder / f"{index:02d}.png") as part:
            Image.fromarray(picture).save(part, format="png")


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
            row = numbers(results[f"{look.class_noun}, {variant}"])
            rows[variant].append(row)
            lines.append(table_row(look.class_noun, variant, row))
    for variant in VARIANTS:
        mean = [sum(column) / len(column) for column in zip(*rows[variant], strict=True)]
        lines.append(table_row("**mean**", variant, mean))
    return "\n".join(lines) + "\n"


def numbers(result):
    """The numbers of one row of the table."""
    subject, before, after = (result[key] for key in ("subject", "class before", "class after"))
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
    samples = {variant: output / "samples" / slug(f"{look.class_noun}, {variant}") for variant in VARIANTS}
    class_noun = look.class_noun
    rows = {
        f"4 photographs of sks {class_noun}": output / "photos" / class_noun,
        f"a photo of sks {class_noun}, in settings that the photographs do not have": samples[VARIANTS[1]] / "subject",
        f"a photo of a {class_noun}, before": samples[VARIANTS[1]] / "class-before",
        f"a photo of a {class_noun}, after training without prior loss": samples[VARIANTS[0]] / "class-after",
        f"a photo of a {class_noun}, after training with prior loss": samples[VARIANTS[1]] / "class-after",
    }
    pictures = [[read_photo(path) for path in sorted(folder.iterdir())[:SHOWN]] for folder in rows.values()]
    return image_grid(pictures, list(rows))
