"""Photographs that are read, resized and kept."""

import numpy as np

from keras_booth.data.geometry import center_crop, resize_short_side
from keras_booth.data.reading.photographs import read_photo

KEEP_BYTES = 2 * 2**30


class PreparedPhotos:
    """A sequence of resized photographs.

    All of them are opened when it is made, so that a broken one is found before training and not in the middle of it.
    They stay in memory as long as they fit into `keep_bytes`; those beyond are read again each time.

    Args:
        paths: Sequence of paths, each readable by `read_photo`.
        size: Pair of ints `(height, width)` to cover.
        crop: `"center"` cuts each photograph to `size`; otherwise it stays whole, for a crop of one's own.
        keep_bytes: Int, memory to use at most.

    Items are uint8 arrays of shape `(height, width, 3)`.

    Attributes:
        untouched: Set of the indices of photographs that had exactly `size`.
        originals: List of pairs of ints, `(height, width)` of each photograph before it was resized.
        resized: List of the same behind it.
    """

    def __init__(self, paths, size, crop, keep_bytes=KEEP_BYTES):
        self.paths = tuple(paths)
        self.size = size
        self.crop = crop
        self.untouched = set()
        self.originals = [None] * len(self.paths)
        self.resized = [None] * len(self.paths)
        self._kept = {}
        for index in range(len(self.paths)):
            image = self._read(index)
            if image.nbytes <= keep_bytes:
                self._kept[index] = image
                keep_bytes -= image.nbytes

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self._kept[index] if index in self._kept else self._read(index)

    def _read(self, index):
        image = read_photo(self.paths[index])
        self.originals[index] = image.shape[:2]
        if image.shape[:2] == self.size:
            self.untouched.add(index)
        image = resize_short_side(image, self.size)
        self.resized[index] = image.shape[:2]
        if self.crop == "center":
            image = np.ascontiguousarray(center_crop(image, self.size))
        return image
