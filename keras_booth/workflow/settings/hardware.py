"""Settings of a run that fit a graphics card: `--hardware t4` stands for them.

They are chosen by `keras_booth.workflow.memory.estimate` for Stable Diffusion 1.x at 512 pixels, with room to spare; on
the cards themselves they were not tried.
"""

import difflib
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


def settings_of(card: str) -> dict[str, int | float | bool | str]:
    """The settings for a card.

    Args:
        card: a key of `CARDS`, in any case: "t4", "24gb".

    Returns:
        dict from a field of `RunConfig` ("training.batch_size") to its value.

    Raises:
        InputError: for a card that is not known.
    """
    name = card.strip().lower().replace("_", "-").replace(" ", "")
    if name not in CARDS:
        close = difflib.get_close_matches(name, CARDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(CARDS)}."
        raise InputError(f"--hardware must be a graphics card or its memory: {hint} Received: --hardware={shown(card)}")
    gigabytes, bfloat = CARDS[name]
    half, chosen = "bfloat16" if bfloat else "float16", SETTINGS[gigabytes]
    if "lora.rank" in chosen:
        return COMMON | {"base.dtype": half, "training.learning_rate": LORA_RATE} | chosen
    return COMMON | {"base.dtype": f"mixed_{half}"} | chosen


def with_hardware(flags: Sequence[str]) -> list[str]:
    """Flags in which `--hardware CARD` is replaced, at its place, by the flags that it stands for."""
    found, rest = [], list(flags)
    while rest:
        flag = rest.pop(0)
        name, joined, value = flag.partition("=")
        if name != "--hardware":
            found.append(flag)
            continue
        if not joined:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else ""
        found += [f"--{field}={str(chosen).lower()}" for field, chosen in settings_of(value).items()]
    return found
