"""Small encoders of the tiny world, in the roles of DINO and CLIP: one trunk that looks, three heads.

One vector tells single subjects apart wherever they stand (the identity), another lies near the caption's in a space of
pictures and texts. Both are trained with the contrastive loss of CLIP (arXiv:2103.00020, figure 3), which for the
identity is between two renders of the same look in different settings (arXiv:2002.05709, section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import ArrayLike
from safetensors.numpy import load_file, save_file

from keras_booth.bases import TINY_WORLD_IMAGE_SIZE as IMAGE_SIZE
from keras_booth.bases import TINY_WORLD_VOCABULARY as VOCABULARY
from keras_booth.bases import Tokenizer
from keras_booth.tiny_world.judge import augment
from keras_booth.tiny_world.scenes import Scene, random_caption, random_look, random_scene
from keras_booth.tiny_world.trunk import build_trunk
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.writing import whole_file
from keras_booth.tools.process.replicas import predicted
from keras_booth.tools.process.settings import channels_last

ENCODERS_PATH = Path(__file__).parent / "assets" / "encoders.safetensors"
WIDTHS = (24, 48, 72, 104, 144)  # each level halves the resolution, down to 4 x 4
WIDTH = 96  # of the vectors
LENGTH = 32  # tokens of a text
TEMPERATURE = 0.07


def build_vision(seed: int = 0) -> keras.Model:
    """Pictures in `[0, 255]`, `(batch, side, side, 3)`, -> dict of `identity` and `meaning`, `(batch, WIDTH)`."""
    seeds = iter(range(100 * seed, 100 * seed + 100))

    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3), dtype="float32", name="images")
    x = build_trunk(images, WIDTHS, seeds)
    mean = layers.GlobalAveragePooling2D(dtype="float32", name="mean")(x)
    most = layers.GlobalMaxPooling2D(dtype="float32", name="most")(x)
    features = layers.Concatenate(dtype="float32", name="features")([mean, most])
    initializers = (keras.initializers.GlorotUniform(seed=next(seeds)) for _ in range(2))
    heads = {
        name: layers.Dense(WIDTH, kernel_initializer=initializer, dtype="float32", name=name)(features)
        for name, initializer in zip(("identity", "meaning"), initializers, strict=True)
    }
    return keras.Model(images, heads, name="vision")


def build_text(vocabulary_size: int, seed: int = 0) -> keras.Model:
    """Tokens, int `(batch, LENGTH)`, -> `(batch, WIDTH)`."""
    seeds = iter(range(100 * seed + 50, 100 * seed + 100))

    def glorot():
        return keras.initializers.GlorotUniform(seed=next(seeds))

    tokens = keras.Input((LENGTH,), dtype="int32", name="tokens")
    table = keras.initializers.RandomNormal(stddev=0.05, seed=next(seeds))
    x = layers.Embedding(vocabulary_size, WIDTH, table, dtype="float32", name="words")(tokens)
    places = layers.Embedding(LENGTH, WIDTH, table, dtype="float32", name="places")
    x = x + places(np.arange(LENGTH)[None])
    for index in range(2):
        y = layers.LayerNormalization(dtype="float32", name=f"norm_{index}")(x)
        options = {"kernel_initializer": glorot(), "dtype": "float32", "name": f"attention_{index}"}
        x = x + layers.MultiHeadAttention(4, WIDTH // 4, **options)(y, y)
        y = layers.LayerNormalization(dtype="float32", name=f"norm_{index}_b")(x)
        y = layers.Dense(2 * WIDTH, "gelu", kernel_initializer=glorot(), dtype="float32", name=f"wide_{index}")(y)
        x = x + layers.Dense(WIDTH, kernel_initializer=glorot(), dtype="float32", name=f"narrow_{index}")(y)
    x = layers.GlobalAveragePooling1D(dtype="float32", name="pooled")(x)
    return keras.Model(
        tokens, layers.Dense(WIDTH, kernel_initializer=glorot(), dtype="float32", name="meaning")(x), name="text"
    )


def unit(x):
    """Rows of length 1."""
    return x * ops.rsqrt(ops.sum(ops.square(x), axis=-1, keepdims=True) + 1e-12)


def contrastive_loss(one, other):
    """How badly the rows of two arrays find their partners among all: symmetric cross-entropy, a scalar."""
    logits = unit(one) @ ops.transpose(unit(other)) / TEMPERATURE
    target = ops.arange(ops.shape(logits)[0])
    losses = [
        keras.losses.sparse_categorical_crossentropy(target, side, from_logits=True)
        for side in (logits, ops.transpose(logits))
    ]
    return ops.mean(losses[0] + losses[1]) / 2


class EncoderTraining(keras.Model):
    """Both encoders together. A batch has `pictures`, float `(2 n, side, side, 3)`, of which the second half are other
    renders of the looks of the first one, and `tokens`, int `(2 n, LENGTH)`, of their captions."""

    def __init__(self, vision, text):
        super().__init__(name="encoder_training", dtype="float32", autocast=False)
        self.vision, self.text = vision, text
        self.parts = {name: keras.metrics.Mean(name=name) for name in ("identity", "meaning")}

    def call(self, batch, training=False):
        return {**self.vision(batch["pictures"], training=training), "text": self.text(batch["tokens"])}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        found = {
            "identity": contrastive_loss(*ops.split(y_pred["identity"], 2)),
            "meaning": contrastive_loss(y_pred["meaning"], y_pred["text"]),
        }
        for name, loss in found.items():
            self.parts[name].update_state(loss)
        return found["identity"] + found["meaning"]


class TinyEncoders:
    """The trained encoders.

    Args:
        vision: model of `build_vision`.
        text: model of `build_text`.
        tokenizer: `Tokenizer`.
    """

    def __init__(self, vision: keras.Model, text: keras.Model, tokenizer: Tokenizer):
        self.vision, self.text, self.tokenizer = vision, text, tokenizer

    @classmethod
    def new(cls, seed: int = 0) -> TinyEncoders:
        """With random weights."""
        tokenizer = Tokenizer(VOCABULARY.read_bytes(), max_length=LENGTH)
        with channels_last():
            return cls(build_vision(seed), build_text(tokenizer.vocabulary_size, seed), tokenizer)

    @classmethod
    def load(cls, path: FilePath = ENCODERS_PATH) -> TinyEncoders:
        """Those saved at `path`: by default the ones that ship with the package."""
        found, weights = cls.new(), load_file(path)
        variables = found._named()
        if variables.keys() != weights.keys():
            raise InputError(f"{path} holds no encoders of this version. Received: {len(weights)} tensors")
        for name, variable in variables.items():
            variable.assign(weights[name].astype("float32"))
        return found

    def save(self, path: FilePath = ENCODERS_PATH) -> None:
        """Writes the weights in float16."""
        arrays = {name: ops.convert_to_numpy(v.value).astype("float16") for name, v in self._named().items()}
        with whole_file(Path(path)) as part:
            save_file(arrays, part)

    def _named(self):
        return {
            f"{name}/{variable.path}": variable
            for name, model in (("vision", self.vision), ("text", self.text))
            for variable in model.variables
        }

    def images(self, pictures: ArrayLike, batch_size: int = 64) -> dict[str, np.ndarray]:
        """`identity` and `meaning` of uint8 pictures `(count, side, side, 3)`: float32 `(count, WIDTH)` each."""
        pictures = np.asarray(pictures)
        parts = [
            predicted(self.vision, pictures[first : first + batch_size].astype("float32"))
            for first in range(0, len(pictures), batch_size)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 `(count, WIDTH)`."""
        return predicted(self.text, self.tokenizer(list(texts)))


# === Training ===


def make_pairs(count: int, seed: int) -> list[tuple[Scene, Scene]]:
    """Pairs of scenes with the same look in different settings."""
    rng = np.random.default_rng([seed, count])
    pairs = []
    while len(pairs) < count:
        look = random_look(rng)
        one, other = (random_scene(rng, look=look) for _ in range(2))
        if one.setting != other.setting:
            pairs.append((one, other))
    return pairs


class PairBatches(keras.utils.PyDataset):
    """Random augmented batches; batch `i` depends on the seed and on `i` only.

    Args:
        pictures: uint8 `(pairs, 2, side, side, 3)`.
        tokens: int `(pairs, 2, captions, LENGTH)`.
        steps: int. Number of batches.
        size: int. Pairs of a batch.
        seed: int.
    """

    def __init__(self, pictures, tokens, steps, size, seed):
        super().__init__()
        self.pictures, self.tokens = pictures, tokens
        self.steps, self.size, self.seed = steps, size, seed

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        rng = np.random.default_rng((self.seed, index))
        chosen = np.sort(rng.choice(len(self.pictures), self.size, replace=False))
        captions = rng.integers(self.tokens.shape[2], size=(self.size, 2))
        pictures = self.pictures[chosen].swapaxes(0, 1).reshape(-1, *self.pictures.shape[2:])
        tokens = self.tokens[chosen[:, None], np.arange(2), captions].swapaxes(0, 1)
        return ({"pictures": augment(pictures, rng), "tokens": tokens.reshape(-1, LENGTH)},)


def train_encoders(
    pictures: ArrayLike,
    captions: Sequence[Sequence[Sequence[str]]],
    *,
    steps: int = 3000,
    batch_size: int = 48,
    learning_rate: float = 2e-3,
    seed: int = 0,
    verbose: int = 0,
) -> TinyEncoders:
    """Trains both encoders from nothing.

    Args:
        pictures: uint8 `(pairs, 2, side, side, 3)`, each pair of one look.
        captions: of each pair, of each picture, some captions, equally many everywhere.
        steps: number of batches.
        batch_size: pairs in a batch.
        learning_rate: its peak, which warms up and then decays to zero.
        seed: fixes initial weights, batches and augmentation.
        verbose: as in `keras.Model.fit`.

    Returns:
        `TinyEncoders`, the weights rounded to float16.
    """
    found = TinyEncoders.new(seed)
    flat = [text for pair in captions for picture in pair for text in picture]
    tokens = np.asarray(found.tokenizer(flat)).reshape(len(captions), 2, -1, LENGTH)
    warmup = min(100, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        learning_rate / 20, max(1, steps - warmup), warmup_target=learning_rate, warmup_steps=warmup
    )
    model = EncoderTraining(found.vision, found.text)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-2, global_clipnorm=1.0))
    model.fit(PairBatches(pictures, tokens, steps, batch_size, seed), epochs=1, shuffle=False, verbose=verbose)
    for variable in found._named().values():
        variable.assign(ops.convert_to_numpy(variable.value).astype("float16").astype("float32"))
    return found


def captions_of_pairs(pairs: Iterable[tuple[Scene, Scene]], seed: int, count: int = 4) -> list[list[list[str]]]:
    """Some captions of each scene, with parts left out at random."""
    rng = np.random.default_rng([seed, 1])
    return [[[random_caption(scene, rng) for _ in range(count)] for scene in pair] for pair in pairs]
