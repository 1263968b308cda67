"""A small classifier that reads the attributes of the tiny world from pictures, used to measure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import ArrayLike
from safetensors.numpy import load_file, save_file

from keras_booth.bases import TINY_WORLD_IMAGE_SIZE as IMAGE_SIZE
from keras_booth.tiny_world.scenes import ATTRIBUTES
from keras_booth.tiny_world.trunk import build_trunk, convolve
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.writing import whole_file
from keras_booth.tools.process.replicas import predicted
from keras_booth.tools.process.settings import channels_last

JUDGE_PATH = Path(__file__).parent / "assets" / "judge.safetensors"
# Of the trunk; each level halves the resolution, down to 4 x 4.
WIDTHS = (16, 32, 48, 80, 112)


def build_judge_model(seed: int = 0) -> keras.Model:
    """Builds the classifier: a shared trunk and one softmax head for each attribute.

    Args:
        seed: Integer that fixes the initial weights.

    Returns:
        A `keras.Model` from pictures in [0, 255], of shape `(batch, side, side, 3)`, to a dict of
        probabilities.
    """
    seeds = iter(range(100 * seed, 100 * seed + 100))

    # === Functional Model ===
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3), dtype="float32", name="images")
    x = build_trunk(images, WIDTHS, seeds)
    where = layers.Flatten(dtype="float32", name="where")(convolve(x, 16, "where", seeds, size=1))
    what = layers.GlobalAveragePooling2D(dtype="float32", name="what")(x)
    features = layers.Concatenate(dtype="float32", name="features")([what, where])
    outputs = {}
    for name, values in ATTRIBUTES.items():
        hidden = layers.Dense(
            48,
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)),
            dtype="float32",
            name=f"{name}_hidden",
        )(features)
        outputs[name] = layers.Dense(
            len(values),
            activation="softmax",
            kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
            dtype="float32",
            name=name,
        )(hidden)
    return keras.Model(images, outputs, name="judge")


class Judge:
    """Reads class, colors, pattern, accessory and setting from pictures of the tiny world.

    Args:
        model: A model of `build_judge_model`.

    Example:

    ```python
    judge = Judge.load()
    judge.predict(pictures)["class_noun"]  # ["dog", "cat", ...]
    ```
    """

    def __init__(self, model: keras.Model):
        self.model = model

    @classmethod
    def load(cls, path: FilePath = JUDGE_PATH) -> Judge:
        """Returns the judge saved at `path`: by default the one that ships with the package."""
        with channels_last():
            model = build_judge_model()
        weights = load_file(path)
        missing = {variable.path for variable in model.variables} ^ set(weights)
        if missing:
            raise InputError(f"{path} holds no judge of this version. Received: differing weights {sorted(missing)}")
        for variable in model.variables:
            variable.assign(weights[variable.path].astype("float32"))
        return cls(model)

    def save(self, path: FilePath = JUDGE_PATH) -> None:
        """Writes the weights in float16."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {v.path: keras.ops.convert_to_numpy(v.value).astype("float16") for v in self.model.variables}
        with whole_file(path) as part:
            save_file(arrays, part)

    def probabilities(self, images: ArrayLike, batch_size: int = 128) -> dict[str, np.ndarray]:
        """Returns for each attribute an array of shape `(batch, values)`.

        Args:
            images: Array of shape `(batch, side, side, 3)` with values in [0, 255], of the side it was built for.
            batch_size: Pictures at a time.
        """
        images = np.asarray(images)
        expected = self.model.input_shape[1:]
        if images.ndim != 4 or images.shape[1:] != expected:
            raise InputError(f"images must have shape (batch, *{expected}). Received: images.shape={images.shape}")
        batches = [images[i : i + batch_size] for i in range(0, len(images), batch_size)]
        answers = [predicted(self.model, batch.astype("float32")) for batch in batches]
        return {
            name: np.concatenate([np.zeros((0, len(values)), "float32")] + [answer[name] for answer in answers])
            for name, values in ATTRIBUTES.items()
        }

    def predict(self, images: ArrayLike) -> dict[str, list[str]]:
        """Returns for each attribute the list of the most likely values, one a picture."""
        probabilities = self.probabilities(images)
        return {name: [ATTRIBUTES[name][i] for i in probabilities[name].argmax(-1)] for name in ATTRIBUTES}

    def accuracy(self, images: ArrayLike, labels: Mapping[str, ArrayLike]) -> dict[str, float]:
        """Returns for each attribute the share of pictures that are read right.

        Args:
            images: Array of shape `(batch, side, side, 3)` with values in [0, 255].
            labels: Dict from attribute to an integer array of shape `(batch,)`.
        """
        probabilities = self.probabilities(images)
        return {name: float(np.mean(probabilities[name].argmax(-1) == np.asarray(labels[name]))) for name in ATTRIBUTES}


def train_judge(images, labels, steps=3000, batch_size=64, learning_rate=2e-3, seed=0, verbose=0):
    """Trains a judge.

    Args:
        images: uint8 array of shape `(count, side, side, 3)`: renders, best after they went through the VAE.
        labels: Dict from attribute to an integer array of shape `(count,)`, see `scenes.labels`.
        steps: Number of batches.
        batch_size: Pictures in a batch.
        learning_rate: Peak of the learning rate, which warms up and then decays to zero.
        seed: Integer that fixes the initial weights, the batches and the augmentation.
        verbose: As in `keras.Model.fit`.

    Returns:
        A `Judge`, its weights rounded to float16.
    """
    model = build_judge_model(seed)
    warmup = min(100, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        learning_rate / 20, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-2),
        loss={name: "sparse_categorical_crossentropy" for name in ATTRIBUTES},
        metrics={name: "accuracy" for name in ATTRIBUTES},
    )
    model.fit(_Batches(images, labels, steps, batch_size, seed), epochs=1, shuffle=False, verbose=verbose)
    for variable in model.variables:
        variable.assign(keras.ops.convert_to_numpy(variable.value).astype("float16").astype("float32"))
    return Judge(model)


def augment(images, rng):
    """Imitates what a VAE and a diffusion model do to pictures, and moves them a little.

    Args:
        images: uint8 array of shape `(batch, height, width, 3)`.
        rng: NumPy `Generator`.

    Returns:
        A float32 array of the same shape with values in [0, 255].
    """
    flip = rng.random(len(images)) < 0.5
    x = np.where(flip[:, None, None, None], images[:, :, ::-1], images).astype("float32")
    x = _shift(x, rng)
    x = _blur(x, rng)
    each = (len(x), 1, 1, 1)
    contrast = rng.uniform(0.9, 1.1, each)
    brightness = rng.uniform(-12, 12, each) + rng.uniform(-6, 6, (len(x), 1, 1, 3))
    x = x * contrast.astype("float32") + (128 * (1 - contrast) + brightness).astype("float32")
    noise = rng.random(x.shape, dtype="float32") - 0.5
    noise *= rng.uniform(0, 35, each).astype("float32")
    return np.clip(x + noise, 0, 255, out=x)


def _shift(images, rng, reach=4):
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    height, width = images.shape[1:3]
    places = rng.integers(0, 2 * reach + 1, (len(images), 2))
    return np.stack([image[y : y + height, x : x + width] for image, (y, x) in zip(padded, places, strict=True)])


def _blur(images, rng):
    coarse = rng.random(len(images)) < 0.3
    sharp = images[coarse]
    halved = sharp[:, ::2, ::2] + sharp[:, 1::2, ::2] + sharp[:, ::2, 1::2] + sharp[:, 1::2, 1::2]
    images[coarse] = (halved / 4).repeat(2, axis=1).repeat(2, axis=2)
    for axis in (1, 2):
        weight = rng.uniform(0, 0.33, (len(images), 1, 1, 1)).astype("float32")
        around = np.roll(images, 1, axis) + np.roll(images, -1, axis)
        images = (1 - 2 * weight) * images + weight * around
    return images


class _Batches(keras.utils.PyDataset):
    """Random augmented batches; batch `i` depends on the seed and on `i` only."""

    def __init__(self, images, labels, steps, batch_size, seed):
        super().__init__()
        self.images, self.labels = images, {name: np.asarray(labels[name]) for name in ATTRIBUTES}
        self.steps, self.batch_size, self.seed = steps, batch_size, seed

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        rng = np.random.default_rng((self.seed, index))
        chosen = rng.integers(len(self.images), size=self.batch_size)
        return augment(self.images[chosen], rng), {name: self.labels[name][chosen] for name in ATTRIBUTES}
