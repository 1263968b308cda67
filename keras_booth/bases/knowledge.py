"""What a base knows, as far as anybody can tell."""

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.tiny_world import CLASSES


def known_classes(config: BaseConfig) -> tuple[str, ...] | None:
    """The class nouns of a base.

    Args:
        config: `BaseConfig`.

    Returns:
        Tuple of strings; `None` for a base that knows about everything there is.
    """
    return CLASSES if config.name == "tiny_world" else None
