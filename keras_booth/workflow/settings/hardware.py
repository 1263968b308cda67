"""Settings of a run that fit a graphics card: `--hardware t4` stands for them.

They are chosen by `keras_booth.workflow.memory.estimate`, with room to spare: for Stable Diffusion 1.x at 512 pixels
there is a row for each size of memory, and what needs more takes the first of the rows after it that fits. On the
cards themselves they were not tried.
"""

import difflib
import math
from collections.abc import Sequence

from keras_booth.tools.errors import InputError
from keras_booth.tools.wording import shown

# What fits so many GB: how much trains, and with which optimizer.
SETTINGS = {
    8: {"lora.rank": 8, "training.batch_size": 2, "sampling.batch_size": 1},
    12: {"lora.rank": 16, "training.batch_size": 4, "sampling.batch_size": 2},
    16: {"training.optimizer": "adafactor", "training.gradient_checkpointing": True, "sampling.batch_size": 2},
    24: {"training.gradient_checkpointing": True, "sampling.batch_size": 4},
    40: {"training.text_encoder": True, "training.batch_size": 4, "sampling.batch_size": 8},
    80: {"training.text_encoder": True, "training.batch_size": 8, "sampling.batch_size": 16},
}
# What takes still less, where no row of a smaller card fits a base or its pictures.
CHECKPOINTED = {"training.gradient_checkpointing": True, "sampling.batch_size": 1}
ECONOMICAL = (
    {"lora.rank": 16, "training.batch_size": 4} | CHECKPOINTED,
    {"lora.rank": 8, "training.batch_size": 2} | CHECKPOINTED,
    {"lora.rank": 4, "training.batch_size": 1} | CHECKPOINTED,
)
ROOM = 0.85  # the share of the memory that settings may need
# What another card's settings may have changed, and a LoRA's learning rate, which is larger.
COMMON = {
    "lora.rank": 0,
    "training.learning_rate": 5e-6,
    "training.optimizer": "adamw",
    "training.batch_size": 2,
    "training.text_encoder": False,
    "training.gradient_checkpointing": False,
}
LORA_RATE = 1e-4
# GB, and whether the card computes in bfloat16 (NVIDIA's do since Ampere).
CARDS = {
    **{f"{gigabytes}gb": (gigabytes, True) for gigabytes in SETTINGS},
    "rtx2080": (8, False),
    "rtx3060": (12, True),
    "rtx3090": (24, True),
    "rtx4060": (8, True),
    "rtx4070": (12, True),
    "rtx4080": (16, True),
    "rtx4090": (24, True),
    "rtx5090": (24, True),
    "t4": (16, False),
    "v100": (16, False),
    "a10g": (24, True),
    "l4": (24, True),
    "a100": (40, True),
    "a100-80gb": (80, True),
    "h100": (80, True),
    "h200": (80, True),
}


def settings_of(card: str) -> list[dict[str, int | float | bool | str]]:
    """The settings for a card.

    Args:
        card: a key of `CARDS`, in any case: "t4", "24gb".

    Returns:
        list of dicts from a field of `RunConfig` ("training.batch_size") to its value: the card's own row, and what to
        take, in this order, where that does not fit.

    Raises:
        InputError: for a card that is not known.
    """
    gigabytes, bfloat = known_card(card)
    half = "bfloat16" if bfloat else "float16"
    found = []
    for chosen in [SETTINGS[size] for size in sorted(SETTINGS, reverse=True) if size <= gigabytes] + [*ECONOMICAL]:
        # Beside weights that are trained there is no base to hold class images against.
        own = {"base.dtype": f"mixed_{half}", "prior.target": "images"}
        if "lora.rank" in chosen:
            own = {"base.dtype": half, "training.learning_rate": LORA_RATE}
        found.append(COMMON | own | chosen)
    return found


def known_card(card):
    """What `CARDS` has of a card, however it is written."""
    name = card.strip().lower().replace("_", "-").replace(" ", "")
    if name not in CARDS:
        close = difflib.get_close_matches(name, CARDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(CARDS)}."
        raise InputError(f"--hardware must be a graphics card or its memory: {hint} Received: --hardware={shown(card)}")
    return CARDS[name]


def with_hardware(flags: Sequence[str]) -> list[tuple[list[str], float]]:
    """Flags in which `--hardware CARD` is replaced, at its place, by the flags that it stands for.

    Returns:
        list of `(flags, bytes that the run may need with them)`, to take the first that fits. One pair, and any number
        of bytes, without that flag.
    """
    cards = [card for _, card in split_hardware(flags) if card is not None]
    if not cards:
        return [(list(flags), math.inf)]
    choices = {card: settings_of(card) for card in cards}
    room = ROOM * 1e9 * known_card(cards[-1])[0]
    found = []
    for place in range(len(choices[cards[-1]])):
        line = []
        for flag, card in split_hardware(flags):
            chosen = {} if card is None else choices[card][min(place, len(choices[card]) - 1)]
            line += [flag] if card is None else [f"--{field}={str(value).lower()}" for field, value in chosen.items()]
        found.append((line, room))
    return found


def split_hardware(flags):
    """list of `(flag, None)`, or `("--hardware", card)` for that one with what follows it."""
    found, rest = [], list(flags)
    while rest:
        flag = rest.pop(0)
        name, joined, value = flag.partition("=")
        if name == "--hardware" and not joined:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else ""
        found.append((name, value) if name == "--hardware" else (flag, None))
    return found
