"""The subjects of the DreamBooth dataset and what they are drawn as: github.com/google/dreambooth, CC BY 4.0."""

from __future__ import annotations

import dataclasses
import pathlib

PLACES = (
    *("a {} in the jungle", "a {} in the snow", "a {} on the beach", "a {} on a cobblestone street"),
    *("a {} on top of pink fabric", "a {} on top of a wooden floor", "a {} with a city in the background"),
    *("a {} with a mountain in the background", "a {} with a blue house in the background"),
    "a {} on top of a purple rug in a forest",
)
LOOKS = ("a red {}", "a purple {}", "a shiny {}", "a wet {}", "a cube shaped {}")
OBJECT_PROMPTS = (
    *PLACES,
    *("a {} with a wheat field in the background", "a {} with a tree and autumn leaves in the background"),
    *("a {} with the Eiffel Tower in the background", "a {} floating on top of water"),
    *("a {} floating in an ocean of milk", "a {} on top of green grass with sunflowers around it"),
    *("a {} on top of a mirror", "a {} on top of the sidewalk in a crowded street", "a {} on top of a dirt road"),
    "a {} on top of a white rug",
    *LOOKS,
)
LIVE_PROMPTS = (
    *PLACES,
    *("a {} wearing a red hat", "a {} wearing a santa hat", "a {} wearing a rainbow scarf"),
    *("a {} wearing a black top hat and a monocle", "a {} in a chef outfit", "a {} in a firefighter outfit"),
    *("a {} in a police outfit", "a {} wearing pink glasses", "a {} wearing a yellow shirt"),
    "a {} in a purple wizard outfit",
    *LOOKS,
)


@dataclasses.dataclass(frozen=True)
class DatasetSubject:
    """One of the thirty.

    Args:
        name: str, its folder.
        class_noun: str.
        count: int, its photographs: `00.jpg`, `01.jpg` and so on.
        live: bool. Whether it is an animal, and is drawn with other prompts than a thing.
    """

    name: str
    class_noun: str
    count: int
    live: bool = False

    @property
    def prompts(self) -> tuple[str, ...]:
        """The 25 prompts of its kind, with `{}` where the subject goes."""
        return LIVE_PROMPTS if self.live else OBJECT_PROMPTS

    @property
    def files(self) -> tuple[str, ...]:
        """The names of its photographs."""
        return tuple(f"{number:02d}.jpg" for number in range(self.count))


SUBJECTS = (
    DatasetSubject("backpack", "backpack", 6),
    DatasetSubject("backpack_dog", "backpack", 5),
    DatasetSubject("bear_plushie", "stuffed animal", 5),
    DatasetSubject("berry_bowl", "bowl", 6),
    DatasetSubject("can", "can", 6),
    DatasetSubject("candle", "candle", 5),
    DatasetSubject("cat", "cat", 5, live=True),
    DatasetSubject("cat2", "cat", 5, live=True),
    DatasetSubject("clock", "clock", 6),
    DatasetSubject("colorful_sneaker", "sneaker", 5),
    DatasetSubject("dog", "dog", 5, live=True),
    DatasetSubject("dog2", "dog", 6, live=True),
    DatasetSubject("dog3", "dog", 6, live=True),
    DatasetSubject("dog5", "dog", 5, live=True),
    DatasetSubject("dog6", "dog", 5, live=True),
    DatasetSubject("dog7", "dog", 5, live=True),
    DatasetSubject("dog8", "dog", 5, live=True),
    DatasetSubject("duck_toy", "toy", 4),
    DatasetSubject("fancy_boot", "boot", 6),
    DatasetSubject("grey_sloth_plushie", "stuffed animal", 5),
    DatasetSubject("monster_toy", "toy", 5),
    DatasetSubject("pink_sunglasses", "glasses", 6),
    DatasetSubject("poop_emoji", "toy", 5),
    DatasetSubject("rc_car", "toy", 5),
    DatasetSubject("red_cartoon", "cartoon", 4),
    DatasetSubject("robot_toy", "toy", 5),
    DatasetSubject("shiny_sneaker", "sneaker", 6),
    DatasetSubject("teapot", "teapot", 5),
    DatasetSubject("vase", "vase", 6),
    DatasetSubject("wolf_plushie", "stuffed animal", 5),
)


def subject_folder(checkout: pathlib.Path, name: str) -> pathlib.Path:
    """Folder of a subject in a checkout, or in the `dataset` of one."""
    inner = checkout / "dataset"
    return (inner if inner.is_dir() else checkout) / name
