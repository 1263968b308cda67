"""One run: prior, data, fit, save, report."""

import dataclasses
import platform
import shutil
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import keras

from keras_booth.bases import Checkpoint
from keras_booth.data import read_photo
from keras_booth.data.geometry import center_crop, resize_short_side
from keras_booth.dreambooth import DreamBooth, LoraConfig
from keras_booth.tools.errors import InputError
from keras_booth.tools.files import whole_file, write_text
from keras_booth.version import __version__
from keras_booth.workflow.callbacks import SampleGrid, StepLog, TrainingProgress
from keras_booth.workflow.checkpoints import Checkpoints, latest_checkpoint, load_checkpoint
from keras_booth.workflow.config import default_prompts
from keras_booth.workflow.doctor import WARNING, diagnose
from keras_booth.workflow.files import check_writable, fresh_folder, slug
from keras_booth.workflow.guard import FiniteGuard, NotFinite
from keras_booth.workflow.parsing import read_config, to_yaml
from keras_booth.workflow.report import image_grid, loss_curves
from keras_booth.workflow.subjects import Pictures, build_datasets, fill_prompts, find_pictures, gather_prior
from keras_booth.workflow.tensorboard import TensorBoardLog, require_tensorboard
from keras_booth.workflow.validation import ValidationLoss

CONFIG_FILE, CHECKPOINTS = "config.yaml", "checkpoints"
PACKAGES = ("keras", "keras-cv", "tensorflow", "tensorflow-cpu", "jax", "numpy")


def run(config):
    """Trains as the config says.

    Everything that can be wrong is found before the first file is written. The run folder then holds `config.yaml`
    (with everything that was left open filled in), `log.csv`, `loss.png`, `samples.png`, `samples/` (when there are
    samples during training) and the model, named after the class: `dog.keras`. While it trains there are
    `checkpoints/` too.

    Args:
        config: `RunConfig`.

    Returns:
        `Path` of the run folder.

    Raises:
        InputError: For a mistake in the config, the photographs or the folders.
        KeyboardInterrupt: With a sentence on what is left of the run.

    Example:

    >>> folder = run(read_config("configs/quickstart.yaml"))
    """
    check_writable(config.output.folder, "output.folder")
    config, booth, pictures = prepare(config, warned=True)
    data = build_datasets(config, booth, pictures)
    folder = fresh_folder(config.output.folder)
    write_text(folder / CONFIG_FILE, f"# {versions()}\n{to_yaml(config)}")
    return finish(config, booth, data, pictures, folder)


def resume(folder):
    """Goes on with a run that was cut off, from its last checkpoint; the end is the same as if it had not been.

    Args:
        folder: str or `Path` of the run folder.

    Returns:
        `Path` of the run folder.

    Raises:
        InputError: If the folder is no run, or the run is finished.
    """
    folder = Path(folder)
    if not (folder / CONFIG_FILE).is_file():
        raise InputError(f"There is no run to go on with: {CONFIG_FILE} is missing. Received: --resume {folder}")
    config = read_config(folder / CONFIG_FILE)
    if (folder / model_name(config)).exists() and not (folder / CHECKPOINTS).is_dir():
        raise InputError(f"The run is finished: {folder / model_name(config)}. Received: --resume {folder}")
    config, booth, pictures = prepare(config)
    checkpoint = latest_checkpoint(folder / CHECKPOINTS)
    start = load_checkpoint(booth, checkpoint) if checkpoint else 0
    data = build_datasets(config, booth, pictures, start)
    return finish(config, booth, data, pictures, folder, start)


def warn(findings):
    """Prints what is likely to go wrong."""
    for finding in findings:
        if finding.level == WARNING:
            print(f"{finding.topic}: {finding.text}", file=sys.stderr)


def prepare(config, warned=False):
    """Everything before the first step but the data: `(config, booth, pictures)`, with the config filled in.

    Args:
        config: `RunConfig`.
        warned: bool. Whether to say what is likely to go wrong, when nothing is wrong and nothing heavy was done yet.
    """
    if config.training.tensorboard:
        require_tensorboard()
    config = fill_prompts(config)
    photos, own = find_pictures(config)
    booth = build_booth(config)
    config = resolve(config, booth)
    if warned:
        warn(diagnose(config, quick=True))
    pictures = Pictures(photos, gather_prior(config, booth, own))
    compile_booth(config, booth)
    return config, booth, pictures


def finish(config, booth, data, pictures, folder, start=0):
    """Everything from the first step on: train, save, report."""
    try:
        samples = fit(config, booth, *data, folder, start)
        booth.save(folder / model_name(config), dtype=config.output.dtype)
        if config.lora.rank:
            booth.save_lora(
                folder / lora_name(config),
                layout=config.lora.layout,
                dtype=config.output.dtype,
                **lora_notes(config, pictures.photos),
            )
        report(config, booth, samples, pictures.photos[0].paths, folder)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"Stopped before the end. Go on with: python -m keras_booth.train --resume {folder}"
        ) from None
    except NotFinite as error:
        raise InputError(f"{error} The last sound checkpoint is in {folder / CHECKPOINTS}.") from error
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return folder


def build_booth(config):
    """Makes the model of a run."""
    base, subject, training = config.base, config.subject, config.training
    return DreamBooth.from_preset(
        **dataclasses.asdict(base),
        identifier=subject.identifier,
        class_noun=subject.class_noun,
        instance_prompt=subject.instance_prompt,
        class_prompt=subject.class_prompt,
        train_text_encoder=training.text_encoder,
        lora=LoraConfig(config.lora.rank, config.lora.alpha, config.lora.targets) if config.lora.rank else None,
        seed=training.seed,
    )


def resolve(config, booth):
    """Fills in what the config leaves open, so that it says all that the run depends on."""
    config = fill_prompts(config)
    pairs = [(subject.instance_prompt, subject.class_prompt) for subject in config.subjects]
    prompts = config.sampling.prompts or default_prompts(pairs)
    config = config.replace("base", image_size=tuple(booth.image_size), dtype=booth.dtype_policy.name)
    config = config.replace("sampling", prompts=tuple(prompts))
    for group in ("prior", "sampling"):
        options, base = getattr(config, group), booth.base.config
        steps = base.sampling_steps if options.steps is None else options.steps
        guidance_scale = base.guidance_scale if options.guidance_scale is None else options.guidance_scale
        sampler = options.sampler or base.sampler
        config = config.replace(group, steps=steps, guidance_scale=guidance_scale, sampler=sampler)
    return config


def compile_booth(config, booth):
    """Gives the model its optimizer."""
    training = config.training
    own_rate = training.text_encoder_learning_rate
    booth.compile(
        optimizer=make_optimizer(training),
        prior_loss_weight=config.prior.loss_weight,
        min_snr_gamma=training.min_snr_gamma,
        noise_offset=training.noise_offset,
        text_encoder_rate=1.0 if own_rate is None else own_rate / training.learning_rate,
        text_encoder_until=training.text_encoder_until,
        gradient_checkpointing=training.gradient_checkpointing,
    )


def make_optimizer(training):
    """The Keras optimizer of a run."""
    options = {
        "learning_rate": learning_rate(training),
        "weight_decay": training.weight_decay,
        "global_clipnorm": training.global_clipnorm,
    }
    if training.accumulation > 1:
        options["gradient_accumulation_steps"] = training.accumulation
    if training.ema_momentum is not None:
        options |= {"use_ema": True, "ema_momentum": training.ema_momentum}
    options |= training.optimizer_arguments
    try:
        return keras.optimizers.get({"class_name": training.optimizer, "config": options})
    except (TypeError, ValueError) as error:
        raise InputError(
            f"training.optimizer_arguments must be arguments of {training.optimizer}: {error}. "
            f"Received: training.optimizer_arguments={training.optimizer_arguments}"
        ) from error


def learning_rate(training):
    """The learning rate of a run: a float, or a Keras schedule over its steps."""
    rate, warmup = training.learning_rate, training.warmup_steps
    # From one step's share, not from 0, so that the first step is not lost.
    first = rate / (warmup + 1)
    if training.learning_rate_schedule == "cosine":
        rest = max(training.steps - warmup, 1)
        warm = {"warmup_target": rate, "warmup_steps": warmup} if warmup else {}
        return keras.optimizers.schedules.CosineDecay(first, rest, **warm)
    if warmup:
        return keras.optimizers.schedules.PolynomialDecay(first, warmup, end_learning_rate=rate)
    return rate


def fit(config, booth, data, validation, folder, start):
    """Trains from step `start` on. Returns the `SampleGrid` of the run."""
    training, sampling = config.training, config.sampling
    samples = SampleGrid(
        sampling.prompts,
        count=sampling.count,
        every=sampling.every,
        folder=folder / "samples",
        seed=sampling.seed,
        steps=sampling.steps,
        guidance_scale=sampling.guidance_scale,
        sampler=sampling.sampler,
        batch_size=sampling.batch_size,
    )
    samples.set_model(booth)
    progress = TrainingProgress(training.steps)
    if validation is not None:
        validation = ValidationLoss(validation, folder / "validation.csv", training.validate_every, training.seed)
    every = training.checkpoint_every
    # The guard comes before the checkpoints, which then are of a sound model. Without `sampling.every` the only
    # samples are those of the report, which come when the model is safely on disk.
    callbacks = [
        StepLog(folder / "log.csv"),
        progress,
        FiniteGuard(every or training.steps),
        *([Checkpoints(folder / CHECKPOINTS, every, training.keep_last)] if every else []),
        *([validation] if validation else []),
        *([samples] if sampling.every else []),
        *([TensorBoardLog(folder / "tensorboard", validation, samples)] if training.tensorboard else []),
    ]
    for callback in (*callbacks, samples):
        callback.start = callback.step = start
    try:
        if data is not None:
            booth.fit(data, verbose=0, callbacks=callbacks)
    finally:
        progress.close()
    return samples


def report(config, booth, samples, photos, folder):
    """Writes the loss curves, and the sheet of photographs and final samples."""
    with whole_file(folder / "loss.png") as part:
        loss_curves(folder / "log.csv").savefig(part)
    drawn = samples.pictures if samples.drawn_at == config.training.steps else samples.draw()
    shown = [as_trained(photo, booth.image_size) for photo in photos[: max(config.sampling.count, 4)]]
    sheet = image_grid([shown, *drawn], ["the photographs", *config.sampling.prompts])
    with whole_file(folder / "samples.png") as part:
        sheet.save(part, format="png")


def as_trained(photo, size):
    """A photograph in the shape in which the model saw it."""
    return center_crop(resize_short_side(read_photo(photo), size), size)


def lora_name(config):
    """Name of the LoRA's file in the run folder."""
    return f"{slug(config.subject.class_noun)}-lora.safetensors"


def lora_notes(config, photos):
    """What the LoRA's file says of the run: subjects, and the prompts of their photographs.

    Args:
        config: `RunConfig`.
        photos: sequence of `PhotoSet`, one a subject.
    """
    prompts = {}
    for subject, group in zip(config.subjects, photos, strict=True):
        prompts.setdefault(Path(subject.photos).absolute().name, Counter()).update(group.prompts)
    subjects = [f"{subject.identifier.strip()} {subject.class_noun.strip()}" for subject in config.subjects]
    return {"subjects": subjects, "prompts": prompts}


def lora_use(folder, config):
    """What the LoRA's file is for, which depends on the base and the layout."""
    known = "modelspec.architecture" in Checkpoint([folder / lora_name(config)]).metadata
    others = "AUTOMATIC1111, ComfyUI, Forge, and " if known and config.lora.layout == "kohya" else ""
    return f"what was trained alone, for {others}diffusers"


def model_name(config):
    """Name of the model's file in the run folder."""
    return f"{slug(config.subject.class_noun)}.keras"


def summary(folder):
    """What a run left in its folder, and what to do with it, as text."""
    config = read_config(folder / CONFIG_FILE)
    model, prompt = folder / model_name(config), config.sampling.prompts[0]
    return "\n".join(
        [
            f"The run is in {folder}:",
            f"  {model.name:<12} the model",
            *([f"  {lora_name(config)}  {lora_use(folder, config)}"] if config.lora.rank else []),
            "  samples.png  the photographs and what the model draws now",
            "  loss.png     how the losses went; log.csv has the numbers",
            "  config.yaml  all settings, to run it again",
            "Draw more with:",
            f'  python -m keras_booth.generate {model} "{prompt}" --count 4 --seed 0 --output {folder / "pictures"}',
        ]
    )


def versions():
    """The versions that a run depends on, on one line."""
    found = [f"keras_booth {__version__}", f"Python {platform.python_version()}", f"backend {keras.backend.backend()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
