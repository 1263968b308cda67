"""The page of one run."""

import csv

from keras_booth.data import read_photo
from keras_booth.figures import Section, html_page, picture, sheet
from keras_booth.tools.process.shell import command_line
from keras_booth.version import __version__

MOST = 12  # pictures of a kind


def run_page(config, folder, pictures):
    """HTML of a finished run.

    Args:
        config: `RunConfig`, filled in.
        folder: `Path` of the run folder, with its curves and sheets.
        pictures: `Pictures` that it was trained on.
    """
    subject = f"{config.subject.identifier} {config.subject.class_noun}"
    training = config.training
    lead = f"{training.steps} steps on {config.base.preset}, by keras_booth {__version__}."
    prior = "with prior preservation" if config.prior.wanted else "without prior preservation"
    way = f"LoRA of rank {config.lora.rank}" if config.lora.rank else "UNet"
    way += " and text encoder" if training.text_encoder else ""
    sections = [
        Section("What it draws", pictures=[sheet(folder / "samples.png")], wide=True),
        Section(
            "Photographs",
            f"{sum(len(group.paths) for group in pictures.photos)} photographs, learned as “{subject}”.",
            pictures=few(pictures.photos),
        ),
        Section("Class images", class_text(config), pictures=few(pictures.prior or ())),
        Section("Losses", pictures=[sheet(folder / "loss.png")], wide=True),
        *best_section(folder),
        Section("While it trained", pictures=[sheet(path, path.stem) for path in drawn(folder)], wide=True),
        Section("To repeat it", code=command_line("train", "--config", folder / "config.yaml")),
        Section("Settings", f"{way}, {prior}.", heads=["field", "value"], rows=settings_rows(config)),
    ]
    return html_page(f"{subject}: {config.base.preset}", sections, lead)


def few(groups):
    """The first pictures of some `PhotoSet`s."""
    paths = [path for group in groups for path in group.paths]
    return [picture(read_photo(path), path.name) for path in paths[:MOST]]


def class_text(config):
    """What the class images are for."""
    if not config.prior.wanted:
        return ""
    return f"What “{config.subject.class_prompt}” is to stay: the first of those that were trained on beside them."


def best_section(folder):
    """How good the model was while it trained, where that was measured."""
    if not (folder / "best.png").exists():
        return []
    with open(folder / "best.csv", newline="", encoding="utf-8") as file:
        heads, *rows = csv.reader(file)
    return [Section("Scores", pictures=[sheet(folder / "best.png")], wide=True, heads=heads, rows=rows)]


def drawn(folder):
    """The sheets of samples during training."""
    return sorted((folder / "samples").glob("*.png"))[:MOST]


def settings_rows(config):
    """Each field that is not left to itself, and its value."""
    groups = config.to_dict()
    rows = [
        (f"{group}.{name}", in_words(value))
        for group, fields in groups.items()
        if isinstance(fields, dict)
        for name, value in fields.items()
        if value is not None
    ]
    return rows + [("more_subjects", in_words(subject)) for subject in groups.get("more_subjects", ())]


def in_words(value):
    """A value as YAML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
