"""What a base knows, as far as anybody can tell."""


def known_classes(config):
    """The class nouns of a base.

    Args:
        config: `BaseConfig`.

    Returns:
        Tuple of strings; `None` for a base that knows about everything there is.
    """
    if config.name != "tiny_world":
        return None
    from keras_booth.bases.tiny_world.scenes import ATTRIBUTES

    return ATTRIBUTES["class_noun"]
