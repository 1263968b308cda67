"""What a batch is, and what else a Keras user may give to `fit`, which is refused with a sentence."""

import inspect
import logging
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_booth.dreambooth.loss import balance
from keras_booth.dreambooth.measured_noise import with_measured_noise
from keras_booth.tools.annotations import Tensor
from keras_booth.tools.errors import InputError
from keras_booth.tools.process.gradients import let_go_with
from keras_booth.tools.process.replicas import device_count, shared

# Beside the conditioning, whose names are the base's.
NAMES = ("images", "moments", "tokens", "is_prior", "sample_weight", "posterior_noise", "noise", "timesteps")
WHOLE = ("tokens", "timesteps")  # numbers that are not fractions
SLACK = 0.01  # by which a picture that was resized may be out of [-1, 1]


class Batches:
    """Methods of `DreamBooth` that take batches; kept here because they are one concept. Of `_parts` they read
    `compiled_for`."""

    def fit(
        self, x: Any = None, y: None = None, *args: Any, shuffle: bool | None = None, **kwargs: Any
    ) -> keras.callbacks.History:
        """`keras.Model.fit` on batches as `keras_booth.data.photo_dataset` makes them; see `call` for one made by hand.

        Args:
            x: `tf.data.Dataset`, `keras.utils.PyDataset` or generator of batches; or a dict of arrays, of which
                `batch_size` rows are a batch.
            shuffle: bool. `None` to shuffle a dict of arrays, as Keras does. A dataset is shuffled by `photo_dataset`.
            *args, **kwargs: further arguments of `keras.Model.fit`.

        Raises:
            InputError: for other data, or a model that is not compiled, or was frozen since.
        """
        self._require_compiled("fit")
        self._require_same_parts()
        check_arguments(kwargs)
        self._check_data(x, y)
        self._check_shares(x, *args[:1], **kwargs)
        if kwargs.get("validation_data") is not None:
            self._check_data(kwargs["validation_data"])
        if shuffle is None:
            shuffle = isinstance(x, (Mapping, keras.utils.PyDataset))
        return super().fit(in_tuples(x), None, *args, shuffle=shuffle, **kwargs)

    def evaluate(self, x: Any = None, y: None = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`: the objective, on data as `fit` takes it.

        The same data give the same figures: noise and timesteps follow from the model's seed and the place of a batch,
        timesteps are spread evenly over photographs and over class images. `noise_offset` is for training alone.
        Training goes on as if nothing had been measured.
        """
        self._require_compiled("evaluate")
        if not kwargs.get("_use_cached_eval_dataset"):
            check_arguments(kwargs)
            self._check_data(x, y)
            self._check_shares(x, *args[:1], **kwargs)
        return super().evaluate(in_tuples(x), None, *args, **kwargs)

    def train_on_batch(self, x: Mapping[str, Tensor], y: None = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.train_on_batch` on a dict of arrays."""
        self._require_compiled("train_on_batch")
        self._require_same_parts()
        check_arguments(kwargs)
        self._check_data(x, y)
        self._check_shares(x, at_once=True)
        return super().train_on_batch(shared(self, x), None, *args, **kwargs)

    def test_on_batch(self, x: Mapping[str, Tensor], y: None = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.test_on_batch` on a dict of arrays."""
        self._require_compiled("test_on_batch")
        check_arguments(kwargs)
        self._check_data(x, y)
        self._check_shares(x, at_once=True)
        return super().test_on_batch(shared(self, x), None, *args, **kwargs)

    # On TensorFlow the arguments are `(data,)`, on JAX `(state, data)`: the last one is the batch everywhere. What
    # TensorFlow notes while it compiles these goes with the model.

    def train_step(self, *args: Any) -> Any:
        """One optimizer step on a batch dict, on any backend."""
        with let_go_with(self):
            return super().train_step(*args[:-1], self._prepare(args[-1]))

    def test_step(self, *args: Any) -> Any:
        """The objective on a batch dict, on any backend, with the noise and the timesteps of `measured_noise`."""
        *state, data = args
        with let_go_with(self):
            batch, *nothing = self._prepare(data)
            batch = with_measured_noise(batch, self.seed, self._batches_before(*state), self.base)
            return super().test_step(*state, (batch, *nothing))

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing is left to build. Keras would average a batch over devices to see, which flags do not allow."""

    def _batches_before(self, state=None):
        """How many batches of this evaluation were measured: what the tracker of a loss has counted.

        On JAX, where variables have their values only further inside, it is looked up in the step's state.
        """
        counter = self.instance_tracker.count
        if state is None:
            return counter.value
        *_, values = state
        return next(
            value for variable, value in zip(self.metrics_variables, values, strict=True) if variable is counter
        )

    def _prepare(self, data):
        """Fill in what a hand-made batch may lack: all instance photographs, and balanced weights."""
        batch = dict(self._check_data(data))
        if "is_prior" not in batch:
            pictures = batch["moments" if "moments" in batch else "images"]
            batch["is_prior"] = ops.zeros(ops.shape(pictures)[:1], dtype="bool")
        if "sample_weight" not in batch:
            batch["sample_weight"] = balance(batch["is_prior"])
        return (batch, None, None)

    def _check_data(self, x, y=None):
        """Refuse what is no batch, as far as it can be seen. Returns the batch.

        Datasets of TensorFlow say what they hold; others are looked at when the first batch comes.
        """
        given = getattr(x, "element_spec", x)
        if y is None and isinstance(given, tuple) and 0 < len(given) <= 3:
            given, y, weight = keras.utils.unpack_x_y_sample_weight(given)
            y = weight if y is None else y
        if y is not None:
            raise InputError(self._batch_sentence("Batches have no labels", f"y={show(y)}"))
        if isinstance(given, Mapping):
            self._check_batch(given)
        elif given is None or isinstance(given, (str, bytes, list, tuple)) or hasattr(given, "shape"):
            raise InputError(self._batch_sentence("This is no batch", show(given)))
        return given

    def _check_batch(self, batch):
        height, width, channels = self.base.latent_shape
        text = self.base.config.text_encoder
        latents = (height, width, channels)
        shapes = {
            "images": (*self.image_size, 3),
            "moments": (height, width, 2 * channels),
            "tokens": self.base.config.token_shape,
            **self.base.config.conditioning,
            "posterior_noise": latents,
            "noise": latents,
        }
        for name in batch:
            if name not in NAMES and name not in shapes:
                raise InputError(self._batch_sentence(f"A batch has no {name!r}", f"{name}={show(batch[name])}"))
        encoded_text = [name for name in self.base.config.conditioning if name != "sizes"]
        ways = [("images", "moments", "image_encoder"), *(("tokens", name, "text_encoder") for name in encoded_text)]
        for given, encoded, encoder in ways:
            if given not in batch and encoded not in batch:
                raise InputError(self._batch_sentence(f"The batch lacks `{given}`", f"a dict of {', '.join(batch)}"))
            if encoded not in batch and encoder in self.base.away:
                raise InputError(
                    f"The {encoder} waits in a file: give batches `{encoded}`, as photo_dataset does with "
                    "cache_latents and cache_text, or have it come back with `booth.base.park()`. "
                    f"Received: a batch of {', '.join(batch)}"
                )
        sizes = set()
        for name, array in batch.items():
            if not hasattr(array, "shape") or not hasattr(array, "dtype"):
                raise InputError(self._batch_sentence(f"`{name}` must be an array", f"{name}={show(array)}"))
            shape = shape_of(array)
            if shape is None:
                continue
            wanted = (None, *shapes.get(name, ()))
            if not fits(shape, wanted):
                rule = f"`{name}` must be of shape {show_shape(wanted)}"
                raise InputError(self._batch_sentence(rule, f"{name} of shape {show_shape(shape)}"))
            sizes |= {shape[0]} - {None}
            check_values(name, array, self._batch_sentence, text.vocabulary_size)
        if len(sizes) > 1:
            raise InputError(
                self._batch_sentence("The parts of a batch must be of the same length", f"lengths {sorted(sizes)}")
            )

    def _check_shares(self, x, batch_size=None, at_once=False, **others):
        """Refuse batches that the devices cannot share evenly, as far as it can be seen.

        Args:
            x: data as `fit` takes it.
            batch_size: int. Rows of a dict of arrays that make a batch; `None` for Keras's default.
            at_once: bool. Whether all of its rows do.
        """
        count = device_count(self)
        given = getattr(x, "element_spec", x)
        if count == 1 or not isinstance(given, Mapping):
            return
        rows = next(iter(shape[0] for shape in map(shape_of, given.values()) if shape))
        batches = [rows]
        if given is x and rows is not None and not at_once:
            size = batch_size or 32
            batches = [size] * (rows >= size) + [rows % size]
        uneven = [size for size in batches if size is not None and size % count]
        if uneven:
            raise InputError(
                f"{count} devices cannot share a batch of {uneven[0]} evenly: take a multiple of {count} for its size. "
                f"Received: a batch of {uneven[0]}"
            )

    def _batch_sentence(self, wrong, received):
        size = show_shape((None, *self.image_size, 3))
        tokens = show_shape((None, *self.base.config.token_shape))
        return (
            f"{wrong}. A batch is a dict of `images`, float {size} in [-1, 1], and `tokens`, int {tokens} as "
            "`tokenize` makes them; by choice of `is_prior`, bool (batch,), and `sample_weight`, float (batch,); "
            f"photo_dataset makes such batches of photographs. Received: {received}"
        )

    def _require_compiled(self, what):
        if not self.compiled:
            raise InputError(
                "Call `compile` first; a model that was loaded has its optimizer if it was saved with "
                f"include_optimizer=True. Received: {what} of a model that is not compiled"
            )

    def _require_same_parts(self):
        """Refuse to train other variables than those that `compile` found trainable, or such as have no say."""
        now = {id(variable) for variable in self.trainable_variables}
        if now != self._parts.compiled_for:
            raise InputError(
                "Parts of the model were frozen or set free after `compile`, which then does not hold for them: call "
                f"`compile` again. Received: {len(now)} trainable variables, not {len(self._parts.compiled_for)}"
            )
        if self.adapters is not None and (self.adapters.merged or self.adapters.scale == 0):
            raise InputError(
                "LoRA that is merged into the kernels, or weighed by 0, cannot be trained: call `unmerge_lora`, or set "
                f"`lora_scale = 1.0`. Received: merged={self.adapters.merged}, lora_scale={self.adapters.scale:g}"
            )


def in_tuples(data):
    """A generator of batches as Keras wants it; any other data as they are."""
    if not inspect.isgenerator(data):
        return data
    return (batch if isinstance(batch, tuple) else (batch,) for batch in data)


def check_arguments(arguments):
    """Refuse arguments of `fit` and the like that would be left aside without a word."""
    for name, instead in (("sample_weight", "put it into the batch"), ("class_weight", "see `prior_loss_weight`")):
        if arguments.get(name) is not None:
            raise InputError(f"`{name}` cannot be given beside the batches: {instead}. Received: {name}")


def check_values(name, array, sentence, vocabulary_size):
    """Refuse arrays of another kind, and pictures of another range as far as they can be looked at."""
    kind = keras.backend.standardize_dtype(array.dtype)
    if name in WHOLE and "int" not in kind:
        raise InputError(sentence(f"`{name}` must be whole numbers", f"{name} of dtype {kind}"))
    if name not in (*WHOLE, "is_prior") and "float" not in kind:
        hint = ", made of uint8 by images / 127.5 - 1" if name == "images" else ""
        raise InputError(sentence(f"`{name}` must be floats{hint}", f"{name} of dtype {kind}"))
    if not isinstance(array, np.ndarray) or not array.size or name not in ("images", "tokens"):
        return
    least, most = array.min(), array.max()
    received = f"{name} in [{least:g}, {most:g}]"
    if name == "tokens" and (least < 0 or most >= vocabulary_size):
        raise InputError(sentence(f"`tokens` must be below {vocabulary_size}", received))
    if name == "images" and not (least >= -1 - SLACK and most <= 1 + SLACK):
        raise InputError(sentence("`images` must be in [-1, 1]", received))
    if name == "images" and least >= 0 and most > 0.5:
        logging.getLogger("keras_booth").warning(
            "No picture has a spot that is darker than mid-grey: `images` must be in [-1, 1], not [0, 1]. Received: %s",
            received,
        )


def fits(shape, wanted):
    """Whether a shape is the wanted one, as far as both are known."""
    if len(shape) != len(wanted):
        return False
    return all(None in pair or pair[0] == pair[1] for pair in zip(shape, wanted, strict=True))


def shape_of(array):
    """The shape of whatever has one, `None` for what is not known."""
    try:
        return tuple(None if side is None else int(side) for side in array.shape)
    except ValueError:  # TensorFlow's of unknown rank
        return None


def show_shape(shape):
    """ "(batch, 64, 64, 3)"."""
    sides = ["batch" if side is None else str(side) for side in shape]
    return f"({', '.join(sides)}{',' * (len(sides) == 1)})"


def show(value):
    """What it is, in few words."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of shape {show_shape(shape_of(value) or ())}"
    text = repr(value)
    return text if len(text) < 80 else f"a {type(value).__name__}"
