"""What a DreamBooth model can draw."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_booth.bases import DrawSettings
from keras_booth.data import PhotoSet
from keras_booth.diffusion import Sampling
from keras_booth.dreambooth.prior.drawing import draw_class_images
from keras_booth.tools.annotations import FilePath, Prompts
from keras_booth.tools.errors import InputError
from keras_booth.tools.images import to_float
from keras_booth.tools.process.replicas import placed
from keras_booth.tools.prompts import prompt_list
from keras_booth.tools.seeds import is_natural, picture_keys


class Draws:
    """Methods of `DreamBooth`; kept here because they are one concept. They draw with `text_to_image` of `_parts`."""

    def class_images(
        self,
        count: int = 200,
        *,
        prompt: Prompts | None = None,
        folder: FilePath | None = None,
        seed: int = 0,
        batch_size: int = 8,
        steps: int | None = None,
        guidance_scale: float | None = None,
        sampler: str | Sampling | None = None,
        progress: bool = True,
    ) -> PhotoSet:
        """Class images of the base, drawn once and found again by later runs (arXiv:2208.12242, section 3.2).

        Drawing that was interrupted, even killed, goes on where it was, and ends with the same files. Images that were
        damaged since are drawn again. A second process that wants the same set waits for the first one.

        Args:
            count: int >= 1.
            prompt: str. Class prompt of a further subject; or a list of several of one class, which take turns, such
                as the class in some settings; `None` for the model's own.
            folder: path under which the set is kept; `None` for `$KERAS_BOOTH_CACHE/class_images`, or
                `~/.cache/keras_booth/class_images`. Sets of other bases, weights, prompts, sizes or sampling settings
                lie beside each other and are never mixed.
            seed: int >= 0. What was drawn with it is found again, so that there must be one.
            batch_size: int >= 1. Pictures drawn at once.
            steps: int. Sampling steps; `None` for the base's default.
            guidance_scale: float; `None` for the base's default.
            sampler: str or `Sampling`; `None` for the base's default.
            progress: bool. Whether to show a progress bar.

        Returns:
            `keras_booth.data.PhotoSet` of PNG files, and of their latents, which spare `photo_dataset` with
            `cache_latents` the encoding.

        Raises:
            InputError: if the model draws as it was trained, in this process or before it was saved: class images
                come from the frozen base.
        """
        for name, value in (("count", count), ("batch_size", batch_size)):
            if not is_natural(value) or value < 1:
                raise InputError(f"`{name}` must be >= 1. Received: {name}={value}")
        if not is_natural(seed):
            raise InputError(f"`seed` must be an integer >= 0: the set is found again by it. Received: seed={seed!r}")
        prompts = prompt_list(self.class_prompt if prompt is None else prompt)
        self.require_base()
        settings = self.draw_settings(steps, guidance_scale, sampler)
        of_all = prompts[0] if len(prompts) == 1 else prompts
        return draw_class_images(self, of_all, count, folder, int(seed), batch_size, settings, progress)

    def generate(
        self,
        prompt: Prompts,
        count: int | None = None,
        *,
        seed: int | Sequence[int] | np.ndarray | None = 0,
        steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float = 0.0,
        negative_prompt: str = "",
        sampler: str | Sampling | None = None,
        image: ArrayLike | None = None,
        strength: float = 0.8,
        batch_size: int = 8,
        on_batch: Callable[[int], object] | None = None,
    ) -> np.ndarray:
        """Draw pictures.

        Args:
            prompt: str, or list of str.
            count: int >= 1. Pictures of each prompt; `None` for one, or as many as there are seeds.
            seed: int >= 0: picture i of a call is a function of the seed, i, and its prompt. Or a list of int: picture
                i of each prompt is the first one of seed i. `None` for any, which is logged.
            steps: int. Sampling steps; `None` for the base's default.
            guidance_scale: float. 1 is no guidance; `None` for the base's default.
            guidance_rescale: float in `[0, 1]`, against overexposed pictures at a high guidance scale; 0.7 is usual
                (arXiv:2305.08891, section 3.4).
            negative_prompt: str. What the guidance leads away from.
            sampler: str, `"ddim"`, `"euler"`, `"euler_ancestral"` or `"dpmpp_2m"`; or a `Sampling`, which says the
                steps, too; `None` for the base's default.
            image: uint8 array `(H, W, 3)` of the model's size, to draw over (arXiv:2108.01073); `None` for none.
            strength: float in `(0, 1]`. How far the pictures may go from `image`: see
                `keras_booth.diffusion.Sampling.left_out`.
            batch_size: int. Pictures drawn at once.
            on_batch: callable given the number of pictures finished, after each batch.

        Returns:
            uint8 array `(prompts * count, H, W, 3)`, all pictures of the first prompt first.
        """
        prompts = prompt_list(prompt)
        keys = picture_keys(len(prompts), count, seed)
        settings = self.draw_settings(
            steps,
            guidance_scale,
            sampler,
            guidance_rescale=guidance_rescale,
            negative_prompt=negative_prompt,
            strength=1.0 if image is None else strength,
        )
        rows = [text for text in prompts for _ in range(len(keys) // len(prompts))]
        return self.draw(rows, keys, settings, image=image, batch_size=batch_size, on_batch=on_batch)[0]

    def draw(
        self,
        prompts: Sequence[str],
        keys: Sequence[tuple[int, int]],
        settings: DrawSettings,
        *,
        image: ArrayLike | None = None,
        **options: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw one picture for each prompt, with all details given.

        Args:
            prompts: list of str.
            keys: list of `(seed, index)`, one a picture.
            settings: `keras_booth.bases.DrawSettings`; see `draw_settings`.
            image: see `generate`.
            **options: `batch_size` and `on_batch` of `keras_booth.bases.TextToImage.draw`.

        Returns:
            `(pictures, latents)`: uint8 `(len(prompts), H, W, 3)`, float32 `(len(prompts), *latent_shape)`.
        """
        with self.base.present():
            clean = None if image is None else np.repeat(self._encode_picture(image), len(prompts), axis=0)
            return self._parts.text_to_image.draw(prompts, keys, settings, clean=clean, **options)

    def draw_settings(
        self,
        steps: int | None = None,
        guidance_scale: float | None = None,
        sampler: str | Sampling | None = None,
        **options: Any,
    ) -> DrawSettings:
        """A `DrawSettings`, with what is left open taken from the base."""
        config = self.base.config
        if isinstance(sampler, Sampling):
            if steps not in (None, sampler.steps):
                raise InputError(f"`steps` is said by the Sampling already. Received: steps={steps}, sampler={sampler}")
            sampling = sampler
        else:
            steps = config.sampling_steps if steps is None else steps
            sampling = Sampling(sampler or config.sampler, steps, rho=config.rho)
        most = self.base.schedule.steps
        if sampling.steps > most:
            raise InputError(f"`steps` must be in [1, {most}]. Received: steps={sampling.steps}")
        guidance_scale = config.guidance_scale if guidance_scale is None else guidance_scale
        return DrawSettings(sampling, guidance_scale, **options)

    def _encode_picture(self, image):
        image = np.asarray(image)
        if image.shape != (*self.image_size, 3) or image.dtype != "uint8":
            raise InputError(
                f"`image` must be a uint8 array of shape {(*self.image_size, 3)}. Received: image of shape "
                f"{image.shape} and dtype {image.dtype}"
            )
        moments = self.encode_moments(to_float(image[None]))
        return ops.convert_to_numpy(self.base.sample_posterior(placed(moments)))
