"""What a DreamBooth model owns beside its layers, and which of its mixins reads and writes what of it."""

import dataclasses
import typing

from keras_booth.bases import StableDiffusionBase, TextToImage
from keras_booth.dreambooth.history import Past


@dataclasses.dataclass(eq=False)
class Parts:
    """Held as one plain object, so that Keras neither saves these nor counts them as layers of the model.

    Args:
        base: the base whose components are the model's layers.
        text_to_image: what draws with it. `Draws` uses it, `Adapted` clears it.
        names: `[identifier, class_noun]`, of `Subject`.
        prompts: `[instance_prompt, class_prompt]`, of `Subject`.
        fixed: what the `Fixed` attributes are by name.
        adapters: `Adapters` or `None`, of `Adapted`.
        past: how long the weights were trained, of `History`; `Adapted` notes there what was trained beneath a LoRA.
        compiled_for: ids of the variables that `compile` found trainable, for `Batches` to compare.
    """

    base: StableDiffusionBase
    text_to_image: TextToImage
    names: list[str] = dataclasses.field(default_factory=list)
    prompts: list[str] = dataclasses.field(default_factory=list)
    fixed: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    adapters: typing.Any = None
    past: Past = dataclasses.field(default_factory=Past)
    compiled_for: set[int] = dataclasses.field(default_factory=set)
