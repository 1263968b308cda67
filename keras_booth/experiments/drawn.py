"""What a model drew to be measured, kept as files."""

import numpy as np
from PIL import Image

from keras_booth.data import read_photo
from keras_booth.evaluation import Drawn


def write_drawn(folder, drawn):
    """Two folders of numbered PNG files: `subject` and `class`."""
    for name, pictures in (("subject", drawn.subject), ("class", drawn.of_class)):
        (folder / name).mkdir(parents=True)
        for index, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / name / f"{index:03d}.png", format="png")


def read_pictures(folder):
    """uint8 `(count, H, W, 3)` of numbered PNG files."""
    return np.stack([read_photo(path) for path in sorted(folder.glob("*.png"))])


def read_drawn(folder, protocol, identifier, class_noun, class_prompt):
    """`Drawn` of the files of `write_drawn`.

    Args:
        folder: `Path`.
        protocol: `Protocol` that they were drawn by.
        identifier, class_noun, class_prompt: str.
    """
    _, alone = protocol.prompts.of(identifier, class_noun)
    prompts = [prompt for prompt in alone for _ in range(protocol.count)]
    return Drawn(read_pictures(folder / "subject"), prompts, read_pictures(folder / "class"), class_prompt)
