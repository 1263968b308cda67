"""Text to pictures with a base."""

import keras
import numpy as np
from keras import ops

from keras_booth.bases.machine import prefers_jit
from keras_booth.diffusion import ddim, guided


class TextToImage(keras.Model):
    """The whole sampling loop as one `keras.Model`, so that `predict_on_batch` compiles it on every backend.

    Args:
        base: `StableDiffusionBase`. Its live weights are used; nothing is copied.
        steps: int. Number of sampling steps.
    """

    def __init__(self, base, steps):
        super().__init__(name="text_to_image", dtype="float32")
        self.base = base
        self.steps = steps
        # Tracked as layers, so that their variables reach JAX's compiled function as arguments.
        self.parts = [base.text_encoder, base.unet, base.decoder]
        # Keras's own default is XLA, also where it is slower.
        self.jit_compile = prefers_jit()

    def call(self, inputs):
        """Draw.

        Args:
            inputs: dict of `latents` float `(batch, *latent_shape)`, standard normal; `tokens` and `negative_tokens`
                int32 `(batch, max_length)`; `guidance_scale` float `(batch,)`.

        Returns:
            `(pictures, latents)`: float32 `(batch, H, W, 3)` in `[-1, 1]`, and the scaled latents they were decoded
            from, float32 `(batch, *latent_shape)`.
        """
        base = self.base
        context, negative = (base.text_encoder(inputs[key], training=False) for key in ("tokens", "negative_tokens"))

        def predict(latents, timesteps, context):
            return ops.cast(base.unet([latents, timesteps, context], training=False), "float32")

        scale = ops.reshape(inputs["guidance_scale"], (-1, 1, 1, 1))
        latents = ddim(guided(predict, context, negative, scale), inputs["latents"], base.schedule, self.steps)
        return base.decode(latents), latents


def initial_latents(base, indices, seed):
    """Standard normal latents of the pictures with these indices in the series of a seed.

    Each picture has a random stream of its own, so that it does not depend on the batch it is drawn in.

    Returns:
        float32 array `(len(indices), *latent_shape)`.
    """
    shape = base.latent_shape
    return np.stack([np.random.default_rng([seed, index]).standard_normal(shape, "float32") for index in indices])


def to_uint8(pictures):
    """Float pictures in `[-1, 1]` -> uint8 in `[0, 255]`, rounded."""
    return np.clip(np.round((np.asarray(pictures) + 1.0) * 127.5), 0, 255).astype("uint8")


def draw(sampler, prompts, indices, seed, guidance_scale, negative_prompt="", batch_size=8, on_batch=None):
    """Draw one picture for each prompt.

    Args:
        sampler: `TextToImage`.
        prompts: list of str.
        indices: sequence of int, the index of each picture in the seed's series.
        seed: int >= 0.
        guidance_scale: float. 1 is no guidance.
        negative_prompt: str. What the guidance leads away from.
        batch_size: int. Pictures drawn at once.
        on_batch: callable given the number of pictures finished, after each batch.

    Returns:
        `(pictures, latents)`: uint8 array `(len(prompts), H, W, 3)`, and the scaled latents they were decoded from,
        float32 `(len(prompts), *latent_shape)`.
    """
    base = sampler.base
    batch_size = min(batch_size, len(prompts))
    tokens = base.tokenizer(prompts)
    start = initial_latents(base, indices, seed)
    negative = np.repeat(base.tokenizer([negative_prompt]), batch_size, axis=0)
    pictures, latents = [], []
    for first in range(0, len(prompts), batch_size):
        wanted = len(prompts[first : first + batch_size])
        # The last batch is filled up, so that one compiled program serves all.
        rows = np.minimum(np.arange(first, first + batch_size), len(prompts) - 1)
        drawn, ended = sampler.predict_on_batch(
            {
                "latents": start[rows],
                "tokens": tokens[rows],
                "negative_tokens": negative,
                "guidance_scale": np.full(batch_size, guidance_scale, "float32"),
            }
        )
        pictures.append(to_uint8(drawn)[:wanted])
        latents.append(np.asarray(ended)[:wanted])
        if on_batch is not None:
            on_batch(first + wanted)
    return np.concatenate(pictures), np.concatenate(latents)
