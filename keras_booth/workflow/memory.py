"""What a run will need, and what the machine has."""

import contextlib
import dataclasses
import errno
import functools
import os

import keras

from keras_booth.bases import activation_floats, lora_parameters, named_layers, shape_of
from keras_booth.dreambooth import LoraConfig
from keras_booth.tools.dtypes import HALF
from keras_booth.tools.errors import OutOfMemory

# Numbers an optimizer keeps for each trained one. Adafactor's rows and columns hardly count.
MOMENTS = {"adamw": 2, "adam": 2, "lamb": 2, "lion": 1, "adafactor": 0, "sgd": 0}
# TensorFlow or JAX itself, and what it keeps of a compiled step, for each of the UNet's weights: measured with
# Stable Diffusion's two UNets, of 686 and 1,680 weights, and few channels.
RUNTIME, STEP = 0.48e9, 0.76e6
# Between the arrays lies what is free and fits nothing; measured with Stable Diffusion 1.x from 256 to 768 pixels
# (`benchmarks/memory.py`).
GAPS = 1.15


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of a run, estimated.

    Args:
        weights: of the components that stay.
        gradients: of what is trained, with what accumulates them.
        optimizer: moments and averages.
        activations: what the forward pass keeps for the backward pass.
        start: the weights when the model is made, before those of which training has no use leave memory. What is freed
            then is used again, and not handed back.
        runtime: TensorFlow or JAX.
    """

    weights: float
    gradients: float
    optimizer: float
    activations: float
    start: float
    runtime: float

    @property
    def total(self):
        """float: the larger of training and start, what lies between, and the runtime."""
        training = self.weights + self.gradients + self.optimizer + self.activations
        return GAPS * max(training, self.start) + self.runtime


def estimate(config, base_config):
    """Estimate the memory of a run.

    Args:
        config: `RunConfig`.
        base_config: `BaseConfig`.

    Returns:
        `Memory`.
    """
    base, training = base_shape(base_config), config.training
    trained = trained_parameters(config, base)
    components = dict(base.components)
    if training.cache_latents and keras.backend.backend() == "tensorflow":
        # They wait in a file; see `DreamBooth.park_encoders`.
        parked = ("image_encoder", "decoder", *(() if training.text_encoder else base.text_encoders))
        components = {name: model for name, model in components.items() if name not in parked}
    held, there = (sum(model.count_params() for model in parts.values()) for parts in (components, base.components))
    accumulated = 1 if training.accumulation > 1 else 0
    averaged = 1 if training.ema_momentum is not None else 0
    mixed = config.base.dtype in ("mixed_bfloat16", "mixed_float16")
    half = config.base.dtype in HALF
    floats = activation_floats(base_config, training.gradient_checkpointing)
    activations = training.batch_size * floats * (2 if mixed or half else 4)
    size = 2.0 if half else 4.0
    return Memory(
        weights=size * held + (2.0 * base.unet.count_params() if mixed else 0.0),
        gradients=4.0 * trained * (1 + accumulated),
        optimizer=4.0 * trained * (MOMENTS[training.optimizer] + averaged),
        activations=float(activations),
        start=size * there,
        runtime=RUNTIME + STEP * len(base.unet.weights),
    )


@functools.lru_cache(2)
def base_shape(base_config):
    """`shape_of`, which takes seconds, of a base that is asked about several times."""
    return shape_of(base_config)


def trained_parameters(config, base):
    """Number of parameters that a run trains."""
    text_encoder = config.training.text_encoder
    if not config.lora.rank:
        encoders = base.text_encoders.values() if text_encoder else ()
        return sum(model.count_params() for model in (base.unet, *encoders))
    names = [name for name in named_layers(base) if text_encoder or name.startswith("unet.")]
    lora = LoraConfig(config.lora.rank, config.lora.alpha, config.lora.targets)
    return lora_parameters(base, lora.select(names), lora.rank)


def cures(config):
    """list of str, what of a run's settings would take less memory than they do, the best first."""
    training, side = config.training, config.base.image_size
    return [
        *(["training.batch_size 1"] if training.batch_size > 1 else []),
        *([] if config.lora.rank else ["lora.rank 4"]),
        *([] if training.gradient_checkpointing else ["training.gradient_checkpointing true"]),
        *([] if training.optimizer == "adafactor" or config.lora.rank else ["training.optimizer adafactor"]),
        *([] if training.cache_latents else ["training.cache_latents true"]),
        *([] if config.base.dtype else ["base.dtype mixed_bfloat16"]),
        *(["sampling.batch_size 1"] if config.sampling.batch_size > 1 else []),
        f"a base.image_size below {side}" if side else "a smaller base.image_size",
    ]


@contextlib.contextmanager
def enough_memory(config):
    """Says in one sentence that the machine's memory, or the GPU's, was not enough, and what would take less.

    Args:
        config: `RunConfig`.

    Raises:
        OutOfMemory: in place of what Python, TensorFlow and JAX raise. All other errors stay what they are.
    """
    try:
        yield
    except Exception as error:
        if not is_exhausted(error):
            raise
        raise OutOfMemory(f"The memory was not enough. What takes less: {', '.join(cures(config)[:4])}") from error


def is_exhausted(error):
    """Whether an error says that memory ran out."""
    if isinstance(error, MemoryError):
        return True
    # By their names: TensorFlow or JAX may not be there. TensorFlow says of a full disk, too, that a resource is
    # exhausted.
    kind, text = type(error).__name__, str(error)
    if kind == "ResourceExhaustedError":
        return os.strerror(errno.ENOSPC) not in text
    runtime = kind in ("XlaRuntimeError", "JaxRuntimeError", "InternalError", "UnknownError")
    return runtime and any(word in text for word in ("RESOURCE_EXHAUSTED", "CUDA_ERROR_OUT_OF_MEMORY"))
