"""Samplers: pure functions from noise to latents."""

import numpy as np
from keras import ops


def ddim(predict, latents, schedule, steps, spacing=None):
    """Deterministic DDIM sampling (arXiv:2010.02502, equation 12 with eta = 0).

    The loop is `keras.ops.fori_loop`, so that a compiled caller has no host round trip between steps.

    Args:
        predict: callable `(latents, timesteps) -> prediction`, with `timesteps` an int32 array `(batch,)`.
        latents: float array `(batch, …)`, standard normal.
        schedule: `NoiseSchedule`, which also says how a prediction is read.
        steps: int. Number of calls of `predict`.
        spacing: see `NoiseSchedule.sampling_timesteps`.

    Returns:
        float array of the shape of `latents`: the estimate of z_0.
    """
    visited = schedule.sampling_timesteps(steps, spacing)
    cumulative = schedule.alphas_cumprod
    following = np.append(cumulative[visited[1:]], 1.0 if schedule.ends_clean else cumulative[0])
    timesteps = ops.convert_to_tensor(visited, dtype="int32")
    signal = ops.convert_to_tensor(np.sqrt(following).astype("float32"))
    sigma = ops.convert_to_tensor(np.sqrt(1.0 - following).astype("float32"))

    def step(index, latents):
        timestep = ops.broadcast_to(timesteps[index], (ops.shape(latents)[0],))
        clean, noise = schedule.split(latents, predict(latents, timestep), timestep)
        return signal[index] * clean + sigma[index] * noise

    return ops.fori_loop(0, steps, step, latents)


def guided(predict, contexts, unconditional, guidance_scale):
    """Classifier-free guidance (arXiv:2207.12598, equation 6) with both branches in one call.

    Args:
        predict: callable `(latents, timesteps, context) -> prediction`.
        contexts: float array `(batch, length, width)`, the text embeddings.
        unconditional: float array of the same shape, the embeddings of the negative or empty prompt.
        guidance_scale: scalar array. 1 is no guidance.

    Returns:
        A callable `(latents, timesteps) -> prediction` for a sampler.
    """
    both = ops.concatenate([unconditional, contexts], axis=0)

    def predict_guided(latents, timesteps):
        doubled = ops.concatenate([latents, latents], axis=0)
        output = predict(doubled, ops.concatenate([timesteps, timesteps], axis=0), both)
        without, with_text = ops.split(output, 2, axis=0)
        return without + guidance_scale * (with_text - without)

    return predict_guided
