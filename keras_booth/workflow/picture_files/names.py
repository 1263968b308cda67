"""File names of pictures: each prompt, seed and setting has its own, and what has the same name is drawn the same."""

import dataclasses
import json

from PIL import Image, UnidentifiedImageError

from keras_booth.workflow.files import digest, stem

# What a name says in words, if it says it.
SPELLED = ("steps", "guidance_scale")


def picture_name(picture, own, others, matrix=False):
    """Name of a picture without its ending.

    It begins with the prompt, the seed and the picture's index. What differs from the model's own settings follows:
    steps and guidance in words, all else as a digest.

    Args:
        picture: `Picture`.
        own: `DrawSettings` of the model's own settings.
        others: dict of further settings that the picture depends on; those that are `None` are not given.
        matrix: bool. Whether to spell out steps and guidance in any case.
    """
    suffix = settings_suffix(picture.settings, own, others, matrix)
    return f"{stem(picture.prompt)}-seed{picture.seed}-{picture.index:02d}{suffix}"


def sheet_name(pictures, own, others, options):
    """Name of the sheet of some pictures of one prompt, without its ending; see `picture_name`."""
    first = pictures[0]
    name = f"{stem(first.prompt)}-seed{first.seed}"
    if len(options.seed) > 1:
        others = others | {"seeds": options.seed}
    if options.matrix:
        others = others | {"steps": options.steps, "guidance_scale": options.guidance_scale}
        return f"{name}{settings_suffix(dataclasses.replace(own, **_unspelled(first.settings)), own, others)}-matrix"
    return f"{name}{settings_suffix(first.settings, own, others)}-grid"


def settings_suffix(settings, own, others, matrix=False):
    """What a name says of the settings: `"-steps20-scale5-1c0ffee5"`, or `""` for the model's own."""
    found, default = flat(settings), flat(own)
    differing = {name: value for name, value in found.items() if value != default[name]}
    spelled = {name: found[name] for name in SPELLED if matrix or name in differing}
    rest = {name: value for name, value in differing.items() if name not in SPELLED}
    rest |= {name: value for name, value in others.items() if value is not None}
    parts = [f"steps{spelled['steps']}"] if "steps" in spelled else []
    parts += [f"scale{number(spelled['guidance_scale'])}"] if "guidance_scale" in spelled else []
    parts += [digest(json.dumps(rest, sort_keys=True, default=str))] if rest else []
    return "".join(f"-{part}" for part in parts)


def flat(settings):
    """All settings of a `DrawSettings` in one dict."""
    values = dataclasses.asdict(settings)
    return values.pop("sampling") | values


def _unspelled(settings):
    names = {field.name for field in dataclasses.fields(settings)} - {*SPELLED, "sampling"}
    return {name: getattr(settings, name) for name in names}


def number(value):
    """A float as short as it can be said exactly."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def free_path(folder, name, model):
    """Where a picture may be written: its own file, or that of the same picture by the same model.

    Args:
        folder: `Path`.
        name: str.
        model: what the picture is drawn with, as its notes say it.
    """
    path = folder / f"{name}.png"
    if not path.exists() or _model_of(path) == str(model):
        return path
    return folder / f"{name}-{digest(str(model))}.png"


def _model_of(path):
    try:
        with Image.open(path) as picture:
            return picture.info.get("model")
    except (OSError, UnidentifiedImageError):
        return None
