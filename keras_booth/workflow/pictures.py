"""Draw pictures with a model, and keep what they were drawn with."""

import dataclasses
import hashlib
import itertools
import logging
import pathlib

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from keras_booth.data import fit_to, read_photo
from keras_booth.dreambooth import DreamBooth, load
from keras_booth.figures import image_grid, image_matrix, rows_of
from keras_booth.tools.errors import require, require_guidance
from keras_booth.tools.files.writing import read_text, whole_file
from keras_booth.tools.progress import progress_bar
from keras_booth.tools.prompts import require_prompt
from keras_booth.tools.seeds import picture_keys
from keras_booth.version import __version__
from keras_booth.workflow.doctor.ineffective import drawn_without_effect
from keras_booth.workflow.doctor.subject_findings import unknown_to
from keras_booth.workflow.files import check_writable
from keras_booth.workflow.picture_files.infotext import infotext
from keras_booth.workflow.picture_files.names import free_path, picture_name, sheet_name
from keras_booth.workflow.settings.limits import SEED

MOST_COUNT = 10_000  # pictures of a prompt
SOFTWARE = f"keras_booth {__version__}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """What is drawn, and how.

    Args:
        count: int >= 1. Number of pictures of each prompt; `None` for one, or one a seed.
        seed: tuple of int >= 0. Several draw the first picture of each.
        steps: tuple of int. Sampling steps; empty for the model's own. Several draw a matrix.
        guidance_scale: tuple of float; empty for the model's own. Several draw a matrix.
        guidance_rescale: float in `[0, 1]`, against overexposed pictures.
        negative_prompt: str. What the guidance leads away from.
        sampler: str, or `None` for the model's own.
        spacing: str. Which timesteps are visited; `None` for the model's own.
        karras: bool. Whether to visit Karras's noise levels; `None` for the model's own.
        rho: float in `[1, 100]`, exponent of Karras's noise levels; `None` for the model's own.
        eta: float in `[0, 1]`. Share of the noise that is replaced in each step; `None` for the sampler's own.
        image: path of a picture to draw over, or `None`.
        strength: float in `(0, 1]`. How far the pictures may go from `image`.
        batch_size: int. Pictures drawn at once.
    """

    count: int | None = None
    seed: tuple[int, ...] = (0,)
    steps: tuple[int, ...] = ()
    guidance_scale: tuple[float, ...] = ()
    guidance_rescale: float = 0.0
    negative_prompt: str = ""
    sampler: str | None = None
    spacing: str | None = None
    karras: bool | None = None
    rho: float | None = None
    eta: float | None = None
    image: str | None = None
    strength: float = 0.8
    batch_size: int = 8

    def __post_init__(self):
        require(self.count is None or self.count >= 1, "count", ">= 1", self.count)
        require(self.count is None or self.count <= MOST_COUNT, "count", f"at most {MOST_COUNT}", self.count)
        for seed in self.seed:
            require(seed >= 0, "seed", ">= 0", seed)
            require(seed <= SEED, "seed", f"at most {SEED}", seed)
        several = len(self.seed) > 1
        require(not several or self.count in (None, len(self.seed)), "count", "the number of seeds", self.count)
        for steps in self.steps:
            require(steps >= 1, "steps", ">= 1", steps)
        for scale in self.guidance_scale:
            require_guidance("guidance_scale", scale)
        require(0 <= self.guidance_rescale <= 1, "guidance_rescale", "in [0, 1]", self.guidance_rescale)
        require(0 < self.strength <= 1, "strength", "in (0, 1]", self.strength)
        require(self.batch_size >= 1, "batch_size", ">= 1", self.batch_size)
        require_prompt(self.negative_prompt, "negative_prompt", empty=True)

    @property
    def matrix(self):
        """Whether there are several settings."""
        return len(self.steps) > 1 or len(self.guidance_scale) > 1


def draw_pictures(
    model, prompts, output, *, prompt_file=None, lora=None, lora_scale=1.0, merge_tokens=None, dtype=None, options=None
):
    """Draws pictures and writes each as a PNG, with what it was drawn with in the file; of several also a sheet.

    Args:
        model: str or `Path` of a `.keras` file; or whatever `DreamBooth.from_preset` takes.
        prompts: list of str.
        output: str or `Path` of the folder for the pictures; made when it is not there. Pictures of the same model,
            prompt, seed and settings are replaced, and no others.
        prompt_file: str or `Path` of a text file with more prompts, one a line.
        lora: str or `Path` of a LoRA file for the model.
        lora_scale: float. What the LoRA is weighed by.
        merge_tokens: float in `[0, 0.75)`, share of the tokens that are merged; `None` for the model's own.
        dtype: str, the precision in which the model computes; `None` for its own.
        options: `PictureOptions`.

    Returns:
        List of `Path`: the pictures, then the sheets.

    Raises:
        InputError: For a mistake in any of these.

    Example:

    >>> draw_pictures("dog.keras", ["a photo of sks dog"], "out", options=PictureOptions(count=4))
    """
    options = options or PictureOptions()
    prompts = gather_prompts(prompts, prompt_file)
    check_writable(output, "output")
    start = None if options.image is None else read_photo(options.image)
    booth = open_model(model, lora, lora_scale, dtype)
    if merge_tokens is not None:
        booth.base.merge_tokens(merge_tokens)
    all_settings = settings_of(booth, options)
    start = None if start is None else fit_to(start, booth.image_size)
    said = unknown_to(booth.base.config, prompts, booth.class_noun)
    for text in said + drawn_without_effect(options, all_settings, booth.base.schedule, lora, lora_scale):
        logging.getLogger("keras_booth").warning(text)
    drawn = draw_each(booth, prompts, all_settings, start, options)
    folder = pathlib.Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    notes = {"base": booth.base.config.name, "model": model, "lora": lora, "Software": SOFTWARE}
    if lora is not None:
        notes["lora_scale"] = lora_scale
    if any(booth.base.merged_tokens):
        notes["merged_tokens"] = booth.base.merged_tokens[0]
    if dtype is not None:
        notes["dtype"] = dtype
    others = {
        "image": None if start is None else hashlib.blake2b(start.tobytes(), digest_size=16).hexdigest(),
        "lora": lora and [str(lora), lora_scale],
        "merge_tokens": merge_tokens,
        "dtype": dtype,
    }
    naming = {"own": booth.draw_settings(), "others": others}
    paths = [picture.write(folder, notes, options, naming, booth.base.schedule) for picture in drawn]
    return paths + write_sheets(folder, prompts, drawn, options, naming, model)


def gather_prompts(prompts, path):
    """The prompts of the command line and of a file, each once."""
    prompts = list(prompts)
    if path is not None:
        lines = read_text(path, "prompt_file").splitlines()
        found = [line.strip() for line in lines if line.strip()]
        require(found, "prompt_file", "a file with a prompt on a line", str(path))
        prompts += found
    require(prompts, "prompt", "a text, on the command line or in prompt_file", None)
    for prompt in prompts:
        require_prompt(prompt, "prompt")
    return list(dict.fromkeys(prompts))


def open_model(model, lora=None, lora_scale=1.0, dtype=None):
    """Opens a saved model, or a base, with a LoRA by choice, in its own precision or another one."""
    archived = str(model).endswith(".keras")
    booth = load(model, dtype) if archived else DreamBooth.from_preset(model, dtype=dtype)
    if lora is not None:
        booth.load_lora(lora)
        booth.lora_scale = lora_scale
    return booth


def settings_of(booth, options):
    """The `DrawSettings` of each pair of steps and guidance scale, row by row of the matrix."""
    all_settings = []
    for steps, scale in itertools.product(options.steps or (None,), options.guidance_scale or (None,)):
        own = booth.draw_settings(steps, scale, options.sampler)
        changes = {name: getattr(options, name) for name in ("spacing", "karras", "rho", "eta")}
        sampling = dataclasses.replace(
            own.sampling, **{name: value for name, value in changes.items() if value is not None}
        )
        all_settings.append(
            dataclasses.replace(
                own,
                sampling=sampling,
                guidance_rescale=options.guidance_rescale,
                negative_prompt=options.negative_prompt,
                strength=1.0 if options.image is None else options.strength,
            )
        )
    return all_settings


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture, and what it was drawn with."""

    pixels: object
    prompt: str
    seed: int
    index: int
    settings: object

    def write(self, folder, notes, options, naming, schedule):
        """Writes it; returns the path."""
        sampling = dataclasses.asdict(self.settings.sampling)
        settings = {name: value for name, value in vars(self.settings).items() if name != "sampling"}
        if options.image is None:
            del settings["strength"]
        text = {"prompt": self.prompt, "seed": self.seed, "index": self.index, **sampling, **settings}
        text |= {"image": options.image, **notes}
        text["parameters"] = infotext(
            self.prompt,
            self.settings,
            self.pixels.shape[:2],
            schedule,
            seed=self.seed,
            index=self.index,
            model=notes["model"],
        )
        path = free_path(folder, picture_name(self, **naming, matrix=options.matrix), notes["model"])
        return write_picture(path, Image.fromarray(self.pixels), text)


def draw_each(booth, prompts, all_settings, start, options):
    """Draws every prompt with every setting: list of `Picture`."""
    keys = picture_keys(1, options.count, options.seed if len(options.seed) > 1 else options.seed[0])
    count = len(keys)
    # Says what is cut of the prompts, before there is a bar in the way.
    booth.tokenize([*prompts, options.negative_prompt])
    drawn = []
    with progress_bar(count * len(prompts) * len(all_settings), "pictures", "picture") as bar:
        for settings, prompt in itertools.product(all_settings, prompts):
            before = bar.n
            found, _ = booth.draw(
                [prompt] * count,
                keys,
                settings,
                image=start,
                batch_size=options.batch_size,
                on_batch=lambda done, before=before: bar.update(before + done - bar.n),
            )
            drawn += [Picture(pixels, prompt, *key, settings) for pixels, key in zip(found, keys, strict=True)]
    return drawn


def write_sheets(folder, prompts, pictures, options, naming, model):
    """Writes a sheet for each prompt of which there are several pictures. Returns the paths."""
    paths = []
    for prompt in prompts:
        mine = [picture for picture in pictures if picture.prompt == prompt]
        if len(mine) == 1:
            continue
        path = free_path(folder, sheet_name(mine, **naming, options=options), model)
        note = {"prompt": prompt, "seed": options.seed[0], "model": model, "Software": SOFTWARE}
        if options.matrix:
            sheet = matrix_of(mine, prompt)
            paths.append(write_picture(path, sheet, note))
        else:
            rows = rows_of([picture.pixels for picture in mine], columns=4 if len(mine) <= 16 else 8)
            sheet = image_grid(rows, [prompt] + [""] * (len(rows) - 1))
            paths.append(write_picture(path, sheet, note))
    return paths


def matrix_of(pictures, prompt):
    """The pictures of one prompt, steps downwards and guidance scales to the right; side by side those of a setting."""
    cells = {}
    for picture in pictures:
        place = (picture.settings.sampling.steps, picture.settings.guidance_scale)
        cells.setdefault(place, []).append(picture.pixels)
    steps, scales = (list(dict.fromkeys(values)) for values in zip(*cells, strict=True))
    return image_matrix(
        [[cells[number, scale] for scale in scales] for number in steps],
        [f"{number} steps" for number in steps],
        [f"guidance {scale:g}" for scale in scales],
        title=prompt,
    )


def write_picture(path, image, text):
    """Writes a PNG, whole or not at all, with a dict of notes in it. Returns its path."""
    notes = PngInfo()
    for key, value in text.items():
        if value not in (None, ""):
            # In plain chunks where the letters allow it, which more programs read.
            notes.add_text(key, str(value))
    with whole_file(path) as part:
        image.save(part, format="png", pnginfo=notes)
    return path
