"""Classifier-free guidance."""

from collections.abc import Callable, Mapping

from keras import ops

from keras_booth.tools.annotations import Tensor


def guided(
    predict: Callable[[Tensor, Tensor, Mapping[str, Tensor]], Tensor],
    conditioning: Mapping[str, Tensor],
    unconditional: Mapping[str, Tensor] | None,
    guidance_scale: Tensor,
    rescale: Tensor | None = None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """Classifier-free guidance (arXiv:2207.12598, equation 6) with both branches in one call.

    Args:
        predict: callable `(latents, timesteps, conditioning) -> prediction`.
        conditioning: dict of float arrays `(batch, …)`, such as text embeddings.
        unconditional: dict of arrays of the same shapes, those of the negative or empty prompt; `None` for no guidance,
            which takes half the time.
        guidance_scale: float array that broadcasts over the latents. 1 is no guidance.
        rescale: float array that broadcasts over the latents, in `[0, 1]`: how far the guided prediction is brought
            back to the standard deviation of the one with text (arXiv:2305.08891, equations 15 and 16), against
            overexposed pictures; `None` for not at all.

    Returns:
        A callable `(latents, timesteps) -> prediction` for a sampler.
    """
    if unconditional is None:
        return lambda latents, timesteps: predict(latents, timesteps, conditioning)
    both = {name: ops.concatenate([unconditional[name], conditioning[name]], axis=0) for name in conditioning}

    def predict_guided(latents, timesteps):
        doubled = ops.concatenate([latents, latents], axis=0)
        output = predict(doubled, ops.concatenate([timesteps, timesteps], axis=0), both)
        without, with_text = ops.split(output, 2, axis=0)
        led = without + guidance_scale * (with_text - without)
        return led if rescale is None else led * (rescale * deviation(with_text) / deviation(led) + (1.0 - rescale))

    return predict_guided


def deviation(arrays: Tensor) -> Tensor:
    """Standard deviation of each array of a batch."""
    return ops.std(arrays, axis=tuple(range(1, len(arrays.shape))), keepdims=True)
