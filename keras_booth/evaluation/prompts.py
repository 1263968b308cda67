"""What a subject is drawn as when it is measured: the prompts of the DreamBooth dataset, and the tiny world's own."""

from __future__ import annotations

import dataclasses

from keras_booth.bases import known_classes
from keras_booth.data import LIVE_PROMPTS, OBJECT_PROMPTS
from keras_booth.dreambooth import DreamBooth
from keras_booth.tiny_world import ATTRIBUTES
from keras_booth.tools.errors import InputError

# As the dataset has them, and those that are near.
LIVE_CLASSES = (
    *("dog", "cat", "puppy", "kitten", "bird", "horse", "rabbit", "person", "man", "woman", "boy", "girl", "child"),
    *("baby", "hamster", "parrot", "cow", "pig", "sheep", "goat", "duck", "turtle", "lizard"),
)
# What the tiny world knows: its settings, alone and with something to wear. It knows a subject as "a photo of sks dog",
# without an article, as instance prompts are.
SETTINGS = ATTRIBUTES["setting"]
TINY_WORLD_PROMPTS = (
    *(f"a photo of {{}} {setting}" for setting in SETTINGS),
    "a photo of {}",
    *(
        f"a photo of {{}} wearing {wear} {setting}"
        for wear, settings in (("a hat", SETTINGS[:4]), ("a scarf", SETTINGS[4:8]), ("glasses", SETTINGS[8:]))
        for setting in settings
    ),
)


@dataclasses.dataclass(frozen=True)
class PromptSet:
    """Prompts with a gap, written twice: with the subject in it, and with its class alone.

    Args:
        templates: tuple of str, each with one `{}`.
        article: str. What goes before the class where it stands alone: `"a "` for "a photo of {}".

    Raises:
        InputError: for none, or one without a gap.
    """

    templates: tuple[str, ...]
    article: str = ""

    def __post_init__(self):
        if not self.templates:
            raise InputError("There must be at least one prompt. Received: 0 prompts")
        for template in self.templates:
            if template.count("{}") != 1:
                raise InputError(f"A prompt must have one {{}}, where the subject goes. Received: {template!r}")

    def of(self, identifier: str, class_noun: str) -> tuple[list[str], list[str]]:
        """`(with the subject, with its class alone)`: lists of str; "a sks dog in the snow", "a dog in the snow"."""
        return (
            [template.replace("{}", f"{identifier} {class_noun}") for template in self.templates],
            [template.replace("{}", self.article + class_noun) for template in self.templates],
        )


def default_prompts_of(booth: DreamBooth, live: bool | None = None) -> PromptSet:
    """The 25 prompts that a model is measured with.

    Args:
        booth: `DreamBooth`.
        live: bool. Whether the subject is an animal, which can wear things; `None` to tell by its class.
    """
    if known_classes(booth.base.config) is not None:
        return PromptSet(TINY_WORLD_PROMPTS, article="a ")
    if live is None:
        live = booth.class_noun.lower().split()[-1] in LIVE_CLASSES
    return PromptSet(LIVE_PROMPTS if live else OBJECT_PROMPTS)
