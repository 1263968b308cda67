"""What the frozen encoders make of photographs and prompts, computed once before training."""

import numpy as np

from keras_booth.data.errors import PhotoError
from keras_booth.data.geometry import View, random_corner
from keras_booth.tools.files.foreign import parsing
from keras_booth.tools.files.reading import open_ordinary
from keras_booth.tools.images import to_float

CROPS = 4  # kept of each photograph when crops are random
BATCH = 8
VARIANT = 3  # a stream of random numbers, beside those of `order`


def read_latents(path):
    """One picture's latents, as `numpy.save` wrote them: float32 `(h, w, channels)`."""
    what = "The latents cannot be read"
    with parsing(lambda reason: PhotoError(f"{what} ({reason}): leave them out. Received: latents='{path}'")):
        with open_ordinary(path):
            pass
        # Mapped, so that a header that claims more than the file has is refused before there is memory for it.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(mapped, np.ndarray) or mapped.dtype != np.float32 or mapped.ndim != 3:
            raise ValueError("they are no float32 array of three dimensions")
        latents = np.array(mapped)
        if not np.isfinite(latents).all():
            raise ValueError("they are not finite")
    return latents


def stack_latents(paths):
    """The latents of several pictures in one array; of one size, or a `PhotoError`."""
    latents = [read_latents(path) for path in paths]
    for path, found in zip(paths, latents, strict=True):
        if found.shape != latents[0].shape:
            raise PhotoError(
                f"The latents have the shape {found.shape}, and not {latents[0].shape} as those before: leave them out."
                f" Received: latents='{path}'"
            )
    return np.stack(latents)


def encode(pictures, booth):
    """list of uint8 pictures -> list of float32 moments `(h, w, 2 * channels)`."""
    batches = [pictures[first : first + BATCH] for first in range(0, len(pictures), BATCH)]
    return [moments for batch in batches for moments in booth.encode_moments(to_float(np.stack(batch)))]


class EncodedPhotos:
    """Posterior moments of photographs, each in the few variants in which training will see it.

    Args:
        photos: `PreparedPhotos`.
        booth: Any object with `encode_moments(float32 pictures)`, which returns float32 moments; and with
            `moments_of(float32 latents)`, which returns the same, where there are latents.
        size: Pair of ints `(height, width)`.
        crop: `"center"` or `"random"`; of the latter `CROPS` are kept of each photograph.
        flip: Boolean. Whether each variant is kept mirrored too.
        seed: Int, or a list of ints. Seed of the places of the crops.
        latents: Sequence of paths of the photographs' latents, or empty. Taken for photographs that are shown as they
            are: cut, mirrored or in another size they have other latents.

    Attributes:
        variants: Int, how many there are of each photograph.
        moments: float32 array `(photos, variants, h, w, 2 * channels)`.
        views: List of lists of `View`, those variants.
    """

    def __init__(self, photos, booth, size, crop, flip, seed, latents=()):
        self.size, self.crop, self.flip, self.seed = size, crop, flip, seed
        self.views = [self._views(index, photos) for index in range(len(photos))]
        self.variants = len(self.views[0])
        known = photos.untouched if latents and crop == "center" and not flip else ()
        known, unknown = sorted(known), [index for index in range(len(photos)) if index not in known]
        shown = [view.of(image) for index in unknown for image in [photos[index]] for view in self.views[index]]
        moments = encode(shown, booth)
        if known:
            moments += list(booth.moments_of(stack_latents([latents[index] for index in known])))
        moments = np.stack(moments).reshape(len(photos), self.variants, *moments[0].shape)
        self.moments = moments[np.argsort(unknown + known)]

    def _views(self, index, photos):
        """The variants of a photograph."""
        shape = photos.resized[index]
        if self.crop == "random":
            rngs = [np.random.default_rng([*np.atleast_1d(self.seed), VARIANT, index, n]) for n in range(CROPS)]
            corners = [random_corner(shape, self.size, rng) for rng in rngs]
        else:
            corners = [None]
        return [
            View(shape, self.size, corner, mirror)
            for corner in corners
            for mirror in ((False, True) if self.flip else (False,))
        ]

    def pick(self, index, rng):
        """A variant of a photograph, drawn from a `numpy.random.Generator`: its moments, and `View`."""
        variant = rng.integers(self.variants) if self.variants > 1 else 0
        return self.moments[index, variant], self.views[index][variant]
