"""Instance photographs and class images -> one `tf.data.Dataset` of batches.

Every element is one dict of arrays:

- `images`: float32 of shape `(batch_size, height, width, 3)`, in `[-1, 1]`; with `cache_latents` instead `moments`,
  float32 of shape `(batch_size, h, w, 2 * channels)`.
- `tokens`: int32 of shape `(batch_size, length)`, the prompt of each image; with `cache_text` instead what the model's
  `encode_text` made of them: `context`, float32 of shape `(batch_size, length, width)`, and what else it names.
- `sizes`, where the model takes them: float32 of shape `(batch_size, 6)`, of each image (height, width) of its file,
  (top, left) of what was cut out of it once it was resized, and (height, width) of that.
- `is_prior`: bool of shape `(batch_size,)`, `True` for class images.
- `sample_weight`: float32 of shape `(batch_size,)`. With a ratio r of class images it is `1 + r` for instance images
  and `(1 + r) / r` for class images, so that the mean of weight times loss over a batch of exactly that ratio is the
  mean instance loss plus the mean prior loss. Without class images it is 1.

Instance photographs and class images are merged in the ratio, as evenly as it goes; each stream shows all its images
before it repeats one. Iterating again continues with the next epoch, which has another order. What is at step k of a
run depends on `seed` and k alone. Only an epoch that was taken to its last batch counts: looking at a few batches does
not change the training that follows.
"""

import math
import operator
import os
from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
import tensorflow as tf

from keras_booth.data.encoded import EncodedPhotos
from keras_booth.data.errors import PhotoError
from keras_booth.data.geometry import View, as_pair, random_corner
from keras_booth.data.order import AUGMENT, INSTANCE, PRIOR, SampleOrder
from keras_booth.data.photo_set import PhotoSet, check_crop
from keras_booth.data.prepared import PreparedPhotos
from keras_booth.data.tfds_photos import Builder
from keras_booth.tools.images import to_float
from keras_booth.tools.process.processes import process_count, process_index
from keras_booth.tools.seeds import chosen_seed

STREAMS = INSTANCE, PRIOR
Source: TypeAlias = str | os.PathLike[str] | PhotoSet | Builder


class Trainee(Protocol):
    """What `photo_dataset` asks of the model that is to be trained; a `DreamBooth` is one."""

    @property
    def instance_prompt(self) -> str:
        """What photographs of the subject are called."""

    @property
    def class_prompt(self) -> str:
        """What class images are called."""

    @property
    def image_size(self) -> int | tuple[int, int]:
        """Side, or (height, width), of the pictures in pixels."""

    def tokenize(self, prompts: list[str]) -> np.ndarray:
        """Prompts -> int array `(len(prompts), length)`."""


def photo_dataset(
    instance: Source | Sequence[Source],
    prior: Source | Sequence[Source] | None,
    booth: Trainee,
    *,
    batch_size: int = 2,
    prior_ratio: float = 1.0,
    steps_per_epoch: int | None = None,
    crop: str = "center",
    flip: bool = False,
    seed: int | None = 0,
    shuffle: bool = True,
    start_step: int = 0,
    cache_latents: bool = False,
    cache_text: bool = False,
    share: tuple[int, int] | None = None,
) -> tf.data.Dataset:
    """Makes the dataset that `fit` trains on, of batches as `keras_booth.data.dataset` describes them.

    All photographs are opened once, here; nothing can turn out broken later.

    Args:
        instance: folder (str or `Path`) of photographs of the subject, which get `booth.instance_prompt`; or a
            `PhotoSet`, which brings its own prompt; or a builder of TensorFlow Datasets, see `PhotoSet.from_tfds`; or
            a list of these, one for each of several subjects.
        prior: the class images for prior preservation: a folder, which gets `booth.class_prompt`, or a `PhotoSet`; or
            a list of these; or `None`.
        booth: what is to be trained: any object with `instance_prompt`, `class_prompt`, `image_size` (int or
            `(height, width)`) and `tokenize(list of str)`, which returns an int array `(count, length)`. If it has
            `sizes_of`, a function of (height, width) of a file and (top, left) of what was cut out of it once it was
            resized, batches have what it makes of them as `sizes`.
        batch_size: int, samples of both kinds in a batch.
        prior_ratio: float >= 0, class images per instance image. 0 leaves `prior` out.
        steps_per_epoch: int, or `None` for as many steps as it takes to see every image of both streams.
        crop: `"center"` or `"random"` (along the long side). The short side always fits.
        flip: bool, whether to mirror each image with probability one half. Of both a `PhotoSet` may bring its own.
        seed: int >= 0 of order, crop and flip; `None` for any, which is logged.
        shuffle: bool, whether to shuffle each stream anew each time it begins again.
        start_step: int, steps to skip; the first element is that of this step of the run.
        cache_latents: bool, whether to send all images through the frozen image encoder now; see `EncodedPhotos`.
        cache_text: bool, whether to send all prompts through the text encoder now; for a frozen one only.
        share: tuple of two ints `(index, count)`, which of `count` equal parts of each batch are wanted; `None` for
            those of this process: all, or its own where several train together.

    Returns:
        A `tf.data.Dataset` of known cardinality: the steps of one epoch.

    Raises:
        PhotoError: if a photograph, a folder or an argument cannot be used.

    Example:

    >>> data = photo_dataset("photos/my_dog", "photos/dogs", booth, batch_size=4)
    """
    batch_size = _check_int("batch_size", batch_size, minimum=1)
    seed = _check_int("seed", chosen_seed(None) if seed is None else seed, minimum=0)
    start_step = _check_int("start_step", start_step, minimum=0)
    steps = None if steps_per_epoch is None else _check_int("steps_per_epoch", steps_per_epoch, minimum=1)
    ratio = _check_ratio(prior_ratio) * (prior is not None)
    check_crop(crop)
    sets = _photo_sets(instance, prior if ratio else None, booth, batch_size)
    order = SampleOrder(*([len(photos.paths) for photos in sets[stream]] for stream in STREAMS), ratio, seed, shuffle)
    shots = Shots(sets, booth, crop, flip, seed, cache_latents)
    rows = _share_of(batch_size, *(share or (process_index(), process_count())))
    batches = Batches(shots, Texts(sets, booth, cache_text), order, batch_size, ratio, rows)
    return _as_dataset(batches, steps or math.ceil(order.samples_to_see_all() / batch_size), start_step)


def _photo_sets(instance, prior, booth, batch_size):
    """The `PhotoSet`s of both streams, of which a batch can be filled."""
    sets = {
        INSTANCE: [_instance_set(source, booth) for source in _several(instance)],
        PRIOR: [] if prior is None else [_prior_set(source, booth) for source in _several(prior)],
    }
    instances, priors = (sum(len(photos.paths) for photos in sets[stream]) for stream in STREAMS)
    if batch_size > instances + priors:
        raise PhotoError(
            f"`batch_size` is larger than the data: lower it or add images. Received: batch_size={batch_size}, with "
            f"{instances} instance photos and {priors} class images"
        )
    return sets


class Shots:
    """The pictures of a run: `shots(n, stream, number, index)` is what sample `n` shows, cut and mirrored.

    Attributes:
        name: `"images"`, or `"moments"` when they went through the image encoder already.
    """

    def __init__(self, sets, booth, crop, flip, seed, cache_latents):
        self.size = as_pair(booth.image_size)
        self.sizes_of = getattr(booth, "sizes_of", None)
        self.seed = seed
        self.name = "moments" if cache_latents else "images"
        places = {(stream, number): photos for stream, group in sets.items() for number, photos in enumerate(group)}
        # How the photographs of each set are cut and mirrored: its own way, or that of all.
        self.ways = {
            place: (photos.crop or crop, flip if photos.flip is None else photos.flip)
            for place, photos in places.items()
        }
        self.photos = {
            place: PreparedPhotos(photos.paths, self.size, self.ways[place][0]) for place, photos in places.items()
        }
        self.originals = {place: photos.originals for place, photos in self.photos.items()}
        if cache_latents:
            self.photos = {
                place: EncodedPhotos(photos, booth, self.size, *self.ways[place], [seed, *place], places[place].latents)
                for place, photos in self.photos.items()
            }

    def __call__(self, n, stream, number, index):
        """`(picture or its moments, sizes or None)` of a sample."""
        photos = self.photos[stream, number]
        rng = np.random.default_rng([self.seed, AUGMENT, n])
        if self.name == "moments":
            shot, view = photos.pick(index, rng)
        else:
            view = self._view(photos, index, rng, *self.ways[stream, number])
            shot = view.of(photos[index])
        original = self.originals[stream, number][index]
        return shot, None if self.sizes_of is None else self.sizes_of(original, view.place)

    def _view(self, photos, index, rng, crop, flip):
        mirror = bool(flip and rng.random() < 0.5)
        shape = photos.resized[index]
        return View(shape, self.size, random_corner(shape, self.size, rng) if crop == "random" else None, mirror)

    def stack(self, shots):
        """Some of them as one float32 array."""
        return to_float(np.stack(shots)) if self.name == "images" else np.stack(shots)


class Texts:
    """The prompts of a run: `texts(stream, number, index)` is the tuple of arrays that a picture goes with.

    Attributes:
        names: tuple of str, what they are called: `"tokens"`, or the names of what text encoders made of these already.
    """

    def __init__(self, sets, booth, cache_text):
        prompts = {
            (stream, number, index): prompt
            for stream, group in sets.items()
            for number, photos in enumerate(group)
            for index, prompt in enumerate(photos.prompts)
        }
        different = list(dict.fromkeys(prompts.values()))
        tokens = _tokenize(booth, different)
        arrays = booth.encode_text(tokens) if cache_text else {"tokens": tokens}
        self.names = tuple(arrays)
        self.values = dict(zip(different, zip(*arrays.values(), strict=True), strict=True))
        self.prompts = prompts

    def __call__(self, stream, number, index):
        return self.values[self.prompts[stream, number, index]]


class Batches:
    """The batches of a run as a function of the step: `batches(step)` returns the arrays named in `batches.spec`.

    Args:
        batch_size: int, samples of a batch.
        rows: range, those of them that are wanted.
    """

    def __init__(self, shots, texts, order, batch_size, ratio, rows):
        self.shots = shots
        self.texts = texts
        self.order = order
        self.batch_size = batch_size
        self.rows = rows
        self.weights = {INSTANCE: 1 + ratio, PRIOR: (1 + ratio) / ratio if ratio else 0.0}
        self.with_sizes = shots.sizes_of is not None
        names = (shots.name, *texts.names, "is_prior", "sample_weight", *(["sizes"] if self.with_sizes else []))
        self.spec = {name: tf.TensorSpec(array.shape, array.dtype) for name, array in zip(names, self(0), strict=True)}

    def __call__(self, step):
        first = int(step) * self.batch_size
        samples = [(first + row, *self.order.sample(first + row)) for row in self.rows]
        streams = [stream for _, stream, _, _ in samples]
        shots, sizes = zip(*(self.shots(*sample) for sample in samples), strict=True)
        texts = zip(*(self.texts(*place) for _, *place in samples), strict=True)
        return (
            self.shots.stack(shots),
            *map(np.stack, texts),
            np.array([stream == PRIOR for stream in streams]),
            np.array([self.weights[stream] for stream in streams], "float32"),
            *([np.stack(sizes)] if self.with_sizes else []),
        )


class Position:
    """Where the next epoch begins: after the last epoch whose final batch was delivered.

    Begun epochs do not count, because Keras begins more of them than it trains: it looks at one batch to build a
    model, and opens an iterator at the end of each epoch that it may not use.
    """

    def __init__(self, start, steps):
        self.start = self.next = start
        self.steps = steps

    def begin(self):
        return np.int64(self.next)

    def delivered(self, step):
        if (step + 1 - self.start) % self.steps == 0:
            self.next = max(self.next, int(step) + 1)


def _as_dataset(batches, steps, start_step):
    position = Position(start_step, steps)
    names = list(batches.spec)
    dtypes = [spec.dtype for spec in batches.spec.values()]

    def make(step):
        arrays = tf.numpy_function(batches, [step], dtypes)
        arrays = [tf.ensure_shape(array, batches.spec[name].shape) for name, array in zip(names, arrays, strict=True)]
        return step, dict(zip(names, arrays, strict=True))

    def deliver(step, batch):
        tf.numpy_function(position.delivered, [step], [])
        return batch

    def epoch(_):
        begin = tf.ensure_shape(tf.numpy_function(position.begin, [], tf.int64), ())
        return tf.data.Dataset.range(begin, begin + steps)

    # No `from_generator`: TensorFlow calls Python once more when such an iterator goes, and where one is left when the
    # process ends it complains on stderr, behind our own last words.
    dataset = tf.data.Dataset.range(1).flat_map(epoch)
    dataset = dataset.map(make).prefetch(tf.data.AUTOTUNE).map(deliver)
    options = tf.data.Options()
    # tf.data would add a prefetch at the end, and batches that nobody took yet would count as delivered.
    options.experimental_optimization.inject_prefetch = False
    return dataset.apply(tf.data.experimental.assert_cardinality(steps)).with_options(options)


def _several(source):
    return list(source) if isinstance(source, (list, tuple)) else [source]


def _instance_set(instance, booth):
    photos = _photo_set("instance", instance, getattr(booth, "instance_prompt", None))
    if not photos.prompt:
        raise PhotoError(
            f"Instance photos need a prompt: give the booth an identifier and a class. "
            f"Received: instance={_show(instance)}, instance_prompt={photos.prompt!r}"
        )
    return photos


def _prior_set(prior, booth):
    prompt = prior.prompt if isinstance(prior, PhotoSet) else getattr(booth, "class_prompt", None)
    if not prompt:
        raise PhotoError(
            f"Class images were given without a class: give the booth a class, or pass prior=None. "
            f"Received: prior={_show(prior)}, class_prompt={prompt!r}"
        )
    return _photo_set("prior", prior, prompt)


def _photo_set(field, source, prompt):
    if isinstance(source, PhotoSet):
        return source
    if isinstance(source, Builder):
        return PhotoSet.from_tfds(source, prompt or "")
    if not isinstance(source, (str, os.PathLike)):
        raise PhotoError(
            f"`{field}` must be a folder, a PhotoSet or a builder of TensorFlow Datasets. "
            f"Received: {field}={_show(source)}"
        )
    return PhotoSet.from_folder(source, prompt or "")


def _show(source):
    if isinstance(source, PhotoSet):
        return f"PhotoSet of {len(source.paths)} photos"
    return f"'{os.fspath(source)}'" if isinstance(source, (str, os.PathLike)) else repr(source)


def _tokenize(booth, prompts):
    tokens = np.asarray(booth.tokenize(prompts)).astype("int32")
    if tokens.ndim < 2 or len(tokens) != len(prompts):
        raise PhotoError(
            f"`booth.tokenize` must return an array of shape ({len(prompts)}, length) for {len(prompts)} prompts. "
            f"Received: shape {tokens.shape}"
        )
    return tokens


def _share_of(batch_size, index, count):
    """Range of the rows of a batch that are one of several equal parts."""
    if batch_size % count:
        raise PhotoError(
            f"`batch_size` must be a multiple of {count}, as so many processes share it. "
            f"Received: batch_size={batch_size}"
        )
    part = batch_size // count
    return range(index * part, (index + 1) * part)


def _check_int(name, value, minimum):
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < minimum:
        raise PhotoError(f"`{name}` must be an integer >= {minimum}. Received: {name}={value!r}")
    return number


def _check_ratio(value):
    try:
        ratio = float(value)
    except (TypeError, ValueError):
        ratio = math.nan
    if isinstance(value, (bool, str)) or not 0 <= ratio < math.inf:
        raise PhotoError(f"`prior_ratio` must be a number >= 0. Received: prior_ratio={value!r}")
    return ratio
