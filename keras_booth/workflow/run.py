"""One run: prior, data, fit, save, report."""

import errno
import platform
import shutil
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import keras

from keras_booth.bases import Checkpoint
from keras_booth.callbacks import (
    Checkpoints,
    FiniteGuard,
    NotFinite,
    SampleGrid,
    StepLog,
    TensorBoardLog,
    TrainingProgress,
    ValidationLoss,
    latest_checkpoint,
    load_checkpoint,
    require_tensorboard,
)
from keras_booth.data import center_crop, read_photo, resize_short_side
from keras_booth.figures import image_grid, loss_curves
from keras_booth.tools.errors import InputError, sentence
from keras_booth.tools.files import whole_file, write_text
from keras_booth.tools.shell import command_line
from keras_booth.version import __version__
from keras_booth.workflow.build import build_booth, compile_booth, resolve, with_whole_paths
from keras_booth.workflow.doctor.photographs import inspect_subjects
from keras_booth.workflow.doctor.report import WARNING, diagnose
from keras_booth.workflow.files import check_writable, fresh_folder, slug, working_in
from keras_booth.workflow.parsing import read_config, to_yaml
from keras_booth.workflow.same_photos import check_digests, digest_pictures, write_digests
from keras_booth.workflow.subjects import Pictures, build_datasets, fill_prompts, find_pictures, gather_prior

CONFIG_FILE, CHECKPOINTS = "config.yaml", "checkpoints"
PACKAGES = ("keras", "keras-cv", "tensorflow", "tensorflow-cpu", "jax", "numpy")


def run(config):
    """Trains as the config says.

    Everything that can be wrong is found before the first file is written. The run folder then holds `config.yaml`
    (with everything that was left open filled in, and with whole paths, so that `--resume` works from any folder),
    `photos.json` (what tells whether the photographs changed), `log.csv`, `loss.png`, `samples.png`, `samples/` (when
    there are samples during training) and the model, named after the class: `dog.keras`. While it trains there are
    `checkpoints/` and `.lock` too.

    Args:
        config: `RunConfig`.

    Returns:
        `Path` of the run folder.

    Raises:
        InputError: For a mistake in the config, the photographs or the folders.
        KeyboardInterrupt: With a sentence on what is left of the run.
        OSError: If a file cannot be written (a full disk), with a sentence on how to go on.

    Example:

    >>> folder = run(read_config("configs/quickstart.yaml"))
    """
    check_writable(config.output.folder, "output.folder")
    config, booth, pictures, digests = prepare(config, warned=True)
    data = build_datasets(config, booth, pictures)
    folder = fresh_folder(config.output.folder)
    with working_in(folder, f"output.folder={config.output.folder}"):
        write_digests(folder, digests)
        # Last, because it is what makes the folder a run.
        write_text(folder / CONFIG_FILE, f"# {versions()}\n{to_yaml(with_whole_paths(config))}")
        return finish(config, booth, data, pictures, folder)


def resume(folder):
    """Goes on with a run that was cut off, from its last checkpoint; the end is the same as if it had not been.

    Args:
        folder: str or `Path` of the run folder.

    Returns:
        `Path` of the run folder.

    Raises:
        InputError: If the folder is no run, the run is finished, another process is at work on it, or the photographs
            are no longer the same.
    """
    folder = Path(folder)
    if not (folder / CONFIG_FILE).is_file():
        raise InputError(f"There is no run to go on with: {CONFIG_FILE} is missing. Received: --resume {folder}")
    with working_in(folder, f"--resume {folder}"):
        config = read_config(folder / CONFIG_FILE)
        if (folder / model_name(config)).exists() and not (folder / CHECKPOINTS).is_dir():
            raise InputError(f"The run is finished: {folder / model_name(config)}. Received: --resume {folder}")
        config, booth, pictures, _ = prepare(config, began=folder)
        checkpoint = latest_checkpoint(folder / CHECKPOINTS)
        start = load_checkpoint(booth, checkpoint) if checkpoint else 0
        data = build_datasets(config, booth, pictures, start)
        return finish(config, booth, data, pictures, folder, start)


def warn(findings):
    """Prints what is likely to go wrong."""
    for finding in findings:
        if finding.level == WARNING:
            print(f"{finding.topic}: {finding.text}", file=sys.stderr)


def prepare(config, warned=False, began=None):
    """Everything before the first step but the data: `(config, booth, pictures, digests)`, with the config filled in.

    Args:
        config: `RunConfig`.
        warned: bool. Whether to say what is likely to go wrong, when nothing is wrong and nothing heavy was done yet.
        began: `Path` of the folder of a run that goes on, whose photographs must be the same; `None` for a new one.
    """
    if config.training.tensorboard:
        require_tensorboard()
    as_given, config = config, fill_prompts(config)
    photographs = inspect_subjects(config)
    photos, own = find_pictures(config, photographs)
    digests = digest_pictures(photos, own)
    if began is not None:
        check_digests(began, digests)
    booth = build_booth(config)
    config = resolve(config, booth)
    if warned:
        warn(diagnose(as_given, photographs, quick=True))
    pictures = Pictures(photos, gather_prior(config, booth, own))
    compile_booth(config, booth)
    return config, booth, pictures, digests


def finish(config, booth, data, pictures, folder, start=0):
    """Everything from the first step on: train, save, report."""
    again = command_line("train", "--resume", folder)
    try:
        callbacks, samples = fit(config, booth, *data, folder, start)
        booth.save(folder / model_name(config), dtype=config.output.dtype)
        if config.lora.rank:
            booth.save_lora(
                folder / lora_name(config),
                layout=config.lora.layout,
                dtype=config.output.dtype,
                **lora_notes(config, pictures.photos),
            )
        for callback in callbacks:
            callback.finish()
        report(config, booth, samples, pictures.photos[0].paths, folder)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Stopped before the end. Go on with: {again}") from None
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = "make room, then go on" if full else "go on"
        raise OSError(f"{sentence(error).rstrip('.')}; {what} with: {again}") from error
    except NotFinite as error:
        raise InputError(f"{error} The last sound checkpoint is in {folder / CHECKPOINTS}.") from error
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return folder


def fit(config, booth, data, validation, folder, start):
    """Trains from step `start` to the end, also where the last step was done before.

    Returns:
        `(callbacks, samples)`: those that have something to do when the model is saved, and the run's `SampleGrid`.
    """
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
    progress = TrainingProgress(training.steps)
    if validation is not None:
        validation = ValidationLoss(validation, folder / "validation.csv", training.validate_every, training.seed)
    every = training.checkpoint_every
    guard = FiniteGuard(every or training.steps)
    # The guard comes before the checkpoints, which then are of a sound model. Without `sampling.every` the only
    # samples are those of the report, which come when the model is safely on disk.
    callbacks = [
        StepLog(folder / "log.csv"),
        progress,
        guard,
        *([Checkpoints(folder / CHECKPOINTS, every, training.keep_last)] if every else []),
        *([validation] if validation else []),
        *([samples] if sampling.every else []),
        *([TensorBoardLog(folder / "tensorboard", validation, samples)] if training.tensorboard else []),
    ]
    for callback in (*callbacks, samples):
        callback.start = callback.step = start
        callback.stop = training.steps
        # `fit` does it, too, where it runs.
        callback.set_model(booth)
    try:
        if data is not None:
            booth.fit(data, verbose=0, callbacks=callbacks)
    finally:
        progress.close()
    # What `fit` does at its end, and does not where nothing was left to train; a second time it changes nothing.
    booth.optimizer.finalize_variable_values(booth.trainable_variables)
    guard.check_weights()
    return callbacks, samples


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
    flags = ("--count", 4, "--seed", 0, "--output", folder / "pictures")
    # Where it begins like a flag it must stand behind the others.
    draw_more = (
        command_line("generate", *flags, "--", model, prompt)
        if prompt.startswith("-")
        else command_line("generate", model, prompt, *flags)
    )
    return "\n".join(
        [
            f"The run is in {folder}:",
            f"  {model.name:<12} the model",
            *([f"  {lora_name(config)}  {lora_use(folder, config)}"] if config.lora.rank else []),
            "  samples.png  the photographs and what the model draws now",
            "  loss.png     how the losses went; log.csv has the numbers",
            "  config.yaml  all settings, to run it again",
            "Draw more with:",
            f"  {draw_more}",
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
