"""Draw pictures with a saved model."""

import pathlib

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from keras_booth.dreambooth import load
from keras_booth.version import __version__
from keras_booth.workflow.errors import require, require_guidance, user_input
from keras_booth.workflow.files import check_writable, slug, whole_file
from keras_booth.workflow.progress import progress_bar
from keras_booth.workflow.report import image_grid, rows_of

SOFTWARE = f"keras_booth {__version__}"


def draw_pictures(
    model,
    prompt,
    output,
    *,
    count=1,
    seed=0,
    steps=None,
    guidance_scale=None,
    negative_prompt="",
    batch_size=8,
):
    """Draws pictures and writes each as a PNG, with its prompt and seed in the file; of several also a sheet.

    Args:
        model: str or `Path` of a `.keras` file.
        prompt: str.
        output: str or `Path` of the folder for the pictures; made when it is not there. Pictures of the same prompt
            and seed are replaced.
        count: int >= 1. Number of pictures.
        seed: int >= 0.
        steps: int. Sampling steps; `None` for the model's own.
        guidance_scale: float. `None` for the model's own.
        negative_prompt: str. What the guidance leads away from.
        batch_size: int. Pictures drawn at once.

    Returns:
        List of `Path`: the pictures, then the sheet.

    Raises:
        InputError: For a mistake in any of these.

    Example:

    >>> draw_pictures("runs/quickstart/dog.keras", "a photo of sks dog in the snow", "out", count=4)
    """
    sampling = {"steps": steps, "guidance_scale": guidance_scale, "negative_prompt": negative_prompt}
    with user_input():
        check_drawing(prompt, count, seed, steps, guidance_scale, batch_size)
        check_writable(output, "output")
        booth = load(model)
        with progress_bar(count, "pictures", "picture") as bar:
            pictures = booth.generate(
                prompt,
                count,
                seed=seed,
                batch_size=batch_size,
                on_batch=lambda finished: bar.update(finished - bar.n),
                **sampling,
            )
        folder = pathlib.Path(output)
        folder.mkdir(parents=True, exist_ok=True)
    name = f"{slug(prompt)}-seed{seed}"
    paths = []
    for index, picture in enumerate(pictures):
        text = {"prompt": prompt, "seed": seed, "index": index, **sampling, "model": model, "Software": SOFTWARE}
        paths.append(write_picture(folder / f"{name}-{index:02d}.png", Image.fromarray(picture), text))
    if count > 1:
        rows = rows_of(pictures, columns=4 if count <= 16 else 8)
        sheet = image_grid(rows, [prompt] + [""] * (len(rows) - 1))
        paths.append(write_picture(folder / f"{name}-grid.png", sheet, {"prompt": prompt, "seed": seed}))
    return paths


def check_drawing(prompt, count, seed, steps, guidance_scale, batch_size):
    """Raises a `ValueError` for a number or a prompt that cannot be drawn with."""
    require(prompt.strip(), "prompt", "a text", prompt)
    require(count >= 1, "count", ">= 1", count)
    require(seed >= 0, "seed", ">= 0", seed)
    require(steps is None or steps >= 1, "steps", ">= 1", steps)
    require_guidance("guidance_scale", guidance_scale)
    require(batch_size >= 1, "batch_size", ">= 1", batch_size)


def write_picture(path, image, text):
    """Writes a PNG, whole or not at all, with a dict of notes in it. Returns its path."""
    notes = PngInfo()
    for key, value in text.items():
        if value not in (None, ""):
            notes.add_itxt(key, str(value))
    with whole_file(path) as part:
        image.save(part, format="png", pnginfo=notes)
    return path
