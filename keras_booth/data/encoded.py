"""What the frozen encoders make of photographs and prompts, computed once before training."""

import numpy as np

from keras_booth.data.geometry import flip_left_right, random_crop

CROPS = 4  # kept of each photograph when crops are random
BATCH = 8
VARIANT = 3  # a stream of random numbers, beside those of `order`


def to_model(images):
    """uint8 pictures -> float32 in `[-1, 1]`."""
    return np.asarray(images).astype("float32") / np.float32(127.5) - np.float32(1)


class EncodedPhotos:
    """Posterior moments of photographs, each in the few variants in which training will see it.

    Args:
        photos: `PreparedPhotos`.
        booth: Any object with `encode_moments(float32 pictures)`, which returns float32 moments.
        size: Pair of ints `(height, width)`.
        crop: `"center"` or `"random"`; of the latter `CROPS` are kept of each photograph.
        flip: Boolean. Whether each variant is kept mirrored too.
        seed: Int, or a list of ints. Seed of the places of the crops.

    Attributes:
        variants: Int, how many there are of each photograph.
        moments: float32 array `(photos, variants, h, w, 2 * channels)`.
    """

    def __init__(self, photos, booth, size, crop, flip, seed):
        crops = CROPS if crop == "random" else 1
        self.variants = crops * (2 if flip else 1)
        pictures = []
        for index in range(len(photos)):
            image = photos[index]
            for number in range(crops):
                rng = np.random.default_rng([*np.atleast_1d(seed), VARIANT, index, number])
                cut = random_crop(image, size, rng) if crop == "random" else image
                pictures += [cut, flip_left_right(cut)] if flip else [cut]
        batches = [pictures[first : first + BATCH] for first in range(0, len(pictures), BATCH)]
        moments = np.concatenate([booth.encode_moments(to_model(np.stack(batch))) for batch in batches])
        self.moments = moments.reshape(len(photos), self.variants, *moments.shape[1:])

    def pick(self, index, rng):
        """A variant of a photograph, drawn from a `numpy.random.Generator`."""
        return self.moments[index, rng.integers(self.variants) if self.variants > 1 else 0]
