"""What the UNet is told beside latents and timesteps: a dict of arrays, made by the base of prompts and of sizes."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from keras_booth.bases.networks.text_encoder import TextEncoderConfig, unused_layers
from keras_booth.bases.networks.unet import UNetConfig
from keras_booth.tools.annotations import Prompts, Tensor
from keras_booth.tools.errors import InputError
from keras_booth.tools.prompts import prompt_list


def check_text_encoders(configs: Mapping[str, TextEncoderConfig], unet: UNetConfig) -> None:
    """Raise an `InputError` unless the text encoders of a base make what its UNet takes, of the same tokens."""
    widths = [config.width for config in configs.values()]
    if unet.context_width != sum(widths):
        raise InputError(
            f"The context width of the UNet and the width of the text encoder, or of both together, must be the same. "
            f"Received: {unet.context_width} and {' + '.join(map(str, widths))}"
        )
    pooled = [config.pooled_width for config in configs.values()]
    if sum(pooled) != unet.pooled_width:
        raise InputError(
            f"The UNet must take the pooled embedding that the text encoders make, and one of them alone makes it. "
            f"Received: a pooled_width of {unet.pooled_width}, and {' and '.join(map(str, pooled))}"
        )
    lengths = {config.max_length for config in configs.values()}
    if len(lengths) > 1:
        raise InputError(f"The max_length of both text encoders must be the same. Received: {sorted(lengths)}")


class Conditions:
    """Methods of `StableDiffusionBase`; kept here because they are one concept."""

    def condition(self, prompts: Prompts | Tensor, training: bool = False) -> dict[str, Tensor]:
        """Prompts -> what `denoise` is told of them.

        Args:
            prompts: a text or list of texts; or int array `(batch, *config.token_shape)`, as `tokenize` makes it.
            training: bool.

        Returns:
            dict of `context`, float `(batch, length, width)`, the text encoders' embeddings beside each other; and,
            for a base whose `config.conditioning` has it, of `pooled`, float `(batch, width)`.
        """
        tokens = prompts if hasattr(prompts, "shape") else self.tokenize(prompts)
        embeddings, pooled = [], {}
        for index, (name, encoder) in enumerate(self.text_encoders.items()):
            made = encoder(tokens[:, index] if len(tokens.shape) == 3 else tokens, training=training)
            if isinstance(made, list):
                made, last = made
                pooled |= {"pooled": last} if self.config.text_encoders[name].pooled_width else {}
            embeddings.append(made)
        return {"context": embeddings[0] if len(embeddings) == 1 else ops.concatenate(embeddings, axis=-1)} | pooled

    def tokenize(self, prompts: Prompts) -> np.ndarray:
        """A text or list of texts -> int32 `(len(prompts), *config.token_shape)`."""
        prompts = prompt_list(prompts, "prompts", empty=True)
        found = [tokenizer(prompts) for tokenizer in self.tokenizers.values()]
        return found[0] if len(found) == 1 else np.stack(found, axis=1)

    def denoise(
        self, latents: Tensor, timesteps: Tensor, conditioning: Mapping[str, Tensor], training: bool = False
    ) -> Tensor:
        """The UNet's prediction.

        Args:
            latents: float `(batch, *latent_shape)`.
            timesteps: int or float `(batch,)`.
            conditioning: dict of what `condition` made, and by choice of `sizes`, float `(batch, 6)`: see `sizes_of`.
                Without them they are those of a picture that was made in this size.
            training: bool.

        Returns:
            float32 array of the latents' shape.
        """
        inputs = [latents, timesteps]
        for name in self.config.conditioning:
            if name == "sizes" and name not in conditioning:
                inputs.append(ops.tile(self.sizes_of()[None], (ops.shape(latents)[0], 1)))
            else:
                inputs.append(conditioning[name])
        # Keras takes arrays of NumPy or of its backend, and not both.
        inputs = [ops.convert_to_tensor(array) for array in inputs]
        return ops.cast(self.unet(inputs, training=training), "float32")

    def sizes_of(self, original: tuple[int, int] | None = None, corner: tuple[int, int] = (0, 0)) -> np.ndarray:
        """The sizes of a picture, as the UNet is told of them (SDXL, arXiv:2307.01952, section 2.2).

        Args:
            original: (height, width) of a photograph in pixels, before it was resized; `None` for that of the base.
            corner: (top, left) of what was cut out of it once it was resized.

        Returns:
            float32 array `(6,)`: original, corner, and (height, width) of what was cut out.
        """
        size = self.config.image_size
        return np.array([*(original or size), *corner, *size], "float32")

    def train_text_encoders(self, wanted: bool) -> None:
        """Set the text encoders free or freeze them; what cannot be trained (`unused_variables`) stays frozen."""
        for encoder in self.text_encoders.values():
            encoder.trainable = wanted
        for variable in self.unused_variables:
            variable.trainable = False

    @property
    def unused_variables(self) -> list[keras.Variable]:
        """Variables of the text encoders that no picture depends on; checkpoints have them nevertheless."""
        return [
            variable
            for name, encoder in self.text_encoders.items()
            for layer in unused_layers(encoder, self.config.text_encoders[name])
            for variable in layer.weights
        ]
