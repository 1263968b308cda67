"""What can be known to fail before the first step, and before class images are drawn."""

import dataclasses
import math

from keras_booth.bases import activation_floats, describe_base
from keras_booth.callbacks import in_order
from keras_booth.dreambooth import check_cache, set_bytes
from keras_booth.tools.errors import InputError, require
from keras_booth.tools.files.writing import require_room
from keras_booth.tools.process.machine import machine_memory
from keras_booth.tools.process.processes import process_count
from keras_booth.tools.process.replicas import device_count
from keras_booth.workflow.build import make_optimizer
from keras_booth.workflow.memory import MOMENTS

# A sheet of samples is one picture, which must fit into memory twice: 200 of 1024 pixels.
SHEET_PIXELS = 200 * 1024**2
# How often the machine's memory an estimate may exceed before it is no estimate's error: then nothing is begun.
FAR_TOO_MUCH = 8


def check_before(config):
    """Refuses settings that the base cannot do, or that no machine can.

    Args:
        config: `RunConfig` with all prompts.

    Returns:
        `BaseConfig`.

    Raises:
        InputError: naming the field.
    """
    make_optimizer(config.training)
    size, devices = config.training.batch_size, device_count() * process_count()
    require(
        size % devices == 0,
        "training.batch_size",
        f"a multiple of {devices}, which share it (--devices, --processes)",
        size,
    )
    base_config, _ = describe_base(**dataclasses.asdict(config.base))
    check_sizes(config, base_config)
    check_drawing(config, base_config)
    return base_config


def check_drawing(config, base_config):
    """Refuses samples and class images that could not be drawn."""
    most = base_config.schedule.steps
    drawn = config.prior.wanted and not all(subject.class_images or config.prior.folder for subject in config.subjects)
    for group in ("sampling", "prior") if drawn else ("sampling",):
        steps = getattr(config, group).steps
        require(steps is None or steps <= most, f"{group}.steps", f"in [1, {most}], the timesteps of the base", steps)
    sampling, (height, width) = config.sampling, base_config.image_size
    rows = len(sampling.prompts) if sampling.prompts else 1
    pixels = rows * sampling.count * height * width
    if pixels > SHEET_PIXELS:
        raise InputError(
            f"sampling.count must be at most {max(SHEET_PIXELS // (rows * height * width), 1)} for {rows} prompts of "
            f"{height} x {width} pixels, which all come on one sheet. Received: sampling.count={sampling.count}"
        )


def check_sizes(config, base_config):
    """Refuses what would need many times the memory that there is."""
    widths = [text_encoder.width for text_encoder in base_config.text_encoders.values()]
    training, widest = config.training, 8 * max(*base_config.unet.widths, *widths)
    require(config.lora.rank <= widest, "lora.rank", f"at most {widest}; 4 to 32 is usual", config.lora.rank)
    floats = training.batch_size * activation_floats(base_config, training.gradient_checkpointing)
    needed, (there, whose) = 2.0 * floats, machine_memory()
    if needed > FAR_TOO_MUCH * there:
        height, width = base_config.image_size
        raise InputError(
            f"A step would need about {needed / 1e9:,.0f} GB of memory, and {whose} has {there / 1e9:,.0f}: take "
            "a smaller base.image_size or training.batch_size. "
            f"Received: base.image_size={[height, width]}, training.batch_size={training.batch_size}"
        )


def check_room(config, booth, own, folder):
    """Refuses to begin where the disk has clearly not the room for checkpoints, model and class images.

    Args:
        config: `RunConfig`.
        booth: `DreamBooth`, as it was built.
        own: the user's own class images, as `find_pictures` found them.
        folder: `Path` of the run folder.

    Raises:
        OSError: with the numbers.
    """
    training = config.training
    there = sum(path.stat().st_size for path in in_order(folder / "checkpoints"))
    # While one is written those that stay are there, too.
    most = min(training.keep_last + 1, training.steps // training.checkpoint_every) if training.checkpoint_every else 0
    parts = {"checkpoints": max(most * checkpoint_bytes(config, booth) - there, 0)}
    weights = sum(math.prod(variable.shape) for model in booth.base.components.values() for variable in model.weights)
    parts["the model"] = 4 * weights + (2 * weights if config.output.dtype == "float16" else 0)
    require_room(folder, parts, "make room, keep fewer (training.keep_last), or set another output.folder")
    if config.prior.wanted and not all(own):
        check_cache(own.count(None) * set_bytes(booth, config.prior.count))


def checkpoint_bytes(config, booth):
    """Bytes of one checkpoint."""
    training = config.training
    trained = sum(math.prod(variable.shape) for variable in booth.trainable_variables)
    kept = 1 + MOMENTS[training.optimizer] + (training.ema_momentum is not None) + (training.accumulation > 1)
    return 4 * trained * kept
