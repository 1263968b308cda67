"""One run: prior, data, fit, save, report."""

import contextlib
import logging
import shutil
import sys
from collections import Counter
from pathlib import Path

from keras_booth.bases import Checkpoint
from keras_booth.callbacks import BEST_WEIGHTS, NotFinite, in_order, newest_whole, require_tensorboard, restore
from keras_booth.data import fit_to, read_photo
from keras_booth.figures import image_grid, loss_curves, score_curves
from keras_booth.tools.errors import InputError, sentence
from keras_booth.tools.files.writing import FULL, whole_file, write_text
from keras_booth.tools.process.processes import first_says, is_first, is_gone, wait_for_first
from keras_booth.tools.process.shell import command_line
from keras_booth.workflow.build import build_booth, compile_booth, resolve, with_whole_paths
from keras_booth.workflow.doctor.photographs import inspect_subjects
from keras_booth.workflow.doctor.report import WARNING, diagnose
from keras_booth.workflow.files import check_writable, slug, working_in, working_in_fresh
from keras_booth.workflow.memory import enough_memory
from keras_booth.workflow.parsing import read_config, to_yaml
from keras_booth.workflow.reporting.card import model_card
from keras_booth.workflow.reporting.page import run_page
from keras_booth.workflow.subjects import (
    Pictures,
    build_datasets,
    fill_prompts,
    find_pictures,
    gather_prior,
    hold_out,
    ready_metrics,
)
from keras_booth.workflow.training.beforehand import check_before, check_room
from keras_booth.workflow.training.fingerprint import (
    fingerprint,
    found_versions,
    refuse_more_steps,
    refuse_other_base,
    refuse_other_settings,
)
from keras_booth.workflow.training.fitting import CHECKPOINTS, fit
from keras_booth.workflow.training.same_photos import check_digests, digest_pictures, write_digests

CONFIG_FILE, REPORT = "config.yaml", "report.html"
logger = logging.getLogger("keras_booth")


def run(config):
    """Trains as the config says.

    Everything that can be wrong is found before the first file is written. The run folder then holds `config.yaml`
    (with everything that was left open filled in, and with whole paths, so that `--resume` works from any folder),
    `photos.json` (what tells whether the photographs changed), `log.csv`, `loss.png`, `samples.png`, `samples/` (when
    there are samples during training), `report.html` with all of it, `README.md` (the model's card) and the model,
    named after the class: `dog.keras`. While it trains there are `checkpoints/` and `.lock` too.

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
    with going_on_with("the same command again, which keeps the class images that were drawn"):
        config, booth, pictures = prepare(config, warned=True)
        data = build_datasets(config, booth, pictures)
    with one_for_all(lambda: working_in_fresh(config.output.folder)) as folder:
        with going_on_with("the same command again"):
            if is_first():
                begin(config, folder, pictures)
        return finish(config, booth, data, pictures, folder)


def begin(config, folder, pictures):
    """Writes what makes a folder a run."""
    write_digests(folder, pictures.digests)
    # Last, because it is what makes it one.
    versions = ", ".join(f"{name} {version}" for name, version in found_versions().items())
    write_text(folder / CONFIG_FILE, f"# {versions}\n{to_yaml(with_whole_paths(config))}")


@contextlib.contextmanager
def one_for_all(working):
    """What `working` yields, a folder, which of several processes the first one alone has the right to write."""
    if not is_first():
        yield Path(first_says(lambda: None))
        return
    with working() as folder:
        yield Path(first_says(lambda: str(folder)))


def resume(folder, steps=None, other_versions=False):
    """Goes on with a run that was cut off, from its last checkpoint; the end is the same as if it had not been.

    Args:
        folder: str or `Path` of the run folder.
        steps: int. As many steps as the run shall have, not fewer than it began with; `None` for those.
        other_versions: bool. Whether to go on with other versions of the packages than those of the checkpoint.

    Returns:
        `Path` of the run folder.

    Raises:
        InputError: If the folder is no run, the run is finished, another process is at work on it, its checkpoints are
            damaged, or the photographs, the config or the base are no longer the same.
    """
    folder = Path(folder)
    check_run_folder(folder, steps)
    with one_for_all(lambda: working_in(folder, f"--resume {folder}")):
        config = with_more_steps(read_config(folder / CONFIG_FILE), steps)
        if (folder / model_name(config)).exists() and not (folder / CHECKPOINTS).is_dir():
            raise InputError(
                f"The run is finished: {folder / model_name(config)}; to train on from it, start a run with it as "
                f"base.preset. Received: --resume {folder}"
            )
        stored = newest_whole(in_order(folder / CHECKPOINTS))
        if stored:
            check_stored_run(stored, config, folder, other_versions)
        with going_on_with(resume_line(folder)):
            config, booth, pictures = prepare(config, began=folder)
        if stored and stored.notes:
            refuse_other_base(stored.notes, fingerprint(config, booth, pictures.digests), folder)
        if steps is not None and is_first():
            text = (folder / CONFIG_FILE).read_text(encoding="utf-8").partition("\n")[0]
            head = f"{text}\n" if text.startswith("#") else ""
            write_text(folder / CONFIG_FILE, f"{head}{to_yaml(with_whole_paths(config))}")
        start = restore(booth, stored) if stored else 0
        with going_on_with(resume_line(folder)):
            data = build_datasets(config, booth, pictures, start)
        return finish(config, booth, data, pictures, folder, start)


def check_run_folder(folder, steps):
    """Refuses a folder that is no run."""
    received = f"--resume {folder}{'' if steps is None else f' --training.steps {steps}'}"
    try:
        found = str(folder) and (folder / CONFIG_FILE).is_file()
    except (OSError, ValueError):  # a name that is too long, or no name
        found = False
    if not found:
        raise InputError(f"There is no run to go on with: {CONFIG_FILE} is missing. Received: {received}")


def with_more_steps(config, steps):
    """The config of a run with the number of steps that was asked for."""
    if steps is None:
        return config
    if steps < config.training.steps:
        raise InputError(
            f"training.steps may grow, but not shrink: the run has {config.training.steps}. "
            f"Received: --training.steps {steps}"
        )
    refuse_more_steps(config.replace("training", steps=steps), config.training.steps)
    return config.replace("training", steps=steps)


def check_stored_run(stored, config, folder, other_versions):
    """Refuses a checkpoint that is not of the run that the config describes."""
    if stored.notes is None:
        logger.warning(
            "The checkpoint is of an earlier version, which did not say of which run it is: neither the config nor the "
            "base can be compared with it, and not every damage can be seen. Received: %s",
            stored.path,
        )
    else:
        refuse_other_settings(stored.notes, config, folder, other_versions)
    if stored.step > config.training.steps:
        raise InputError(
            f"The checkpoint is of step {stored.step}, behind the end of the run: training.steps must be at least "
            f"{stored.step}. Received: training.steps={config.training.steps}"
        )


def warn(findings):
    """Prints what is likely to go wrong."""
    for finding in findings:
        if finding.level == WARNING and is_first():
            print(f"{finding.topic}: {finding.text}", file=sys.stderr)


def prepare(config, warned=False, began=None):
    """Everything before the first step but the data: `(config, booth, pictures)`, with the config filled in.

    Args:
        config: `RunConfig`.
        warned: bool. Whether to say what is likely to go wrong, when nothing is wrong and nothing heavy was done yet.
        began: `Path` of the folder of a run that goes on, whose photographs must be the same; `None` for a new one.
    """
    if config.training.tensorboard:
        require_tensorboard()
    as_given, config = config, fill_prompts(config)
    check_before(config)
    photographs = inspect_subjects(config)
    photos, own = find_pictures(config, photographs)
    digests = digest_pictures(photos, own)
    if began is not None:
        check_digests(began, digests)
    with enough_memory(config):
        booth = build_booth(config)
        check_room(config, booth, own, began or Path(config.output.folder))
        config = resolve(config, booth)
        if warned:
            warn(diagnose(as_given, photographs, quick=True))
        trained, held_out = hold_out(config, photos)
        metrics = ready_metrics(config, booth)
        pictures = Pictures(trained, gather_prior(config, booth, own), held_out, metrics, digests)
        compile_booth(config, booth)
    return config, booth, pictures


def finish(config, booth, data, pictures, folder, start=0):
    """Everything from the first step on: train, save, report."""
    try:
        with going_on_with(resume_line(folder), "Stopped before the end. Go on with: "), enough_memory(config):
            notes = fingerprint(config, booth, pictures.digests)
            callbacks, samples = fit(config, booth, *data, pictures, folder, start, notes)
            if is_first():
                save(config, booth, pictures, folder)
            for callback in callbacks:
                callback.finish()
            report(config, booth, samples, pictures, folder)
    except NotFinite as error:
        raise InputError(f"{error} The last sound checkpoint is in {folder / CHECKPOINTS}.") from error
    if is_first():
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        (folder / BEST_WEIGHTS).unlink(missing_ok=True)
    wait_for_first()  # before the others end
    return folder


def save(config, booth, pictures, folder):
    """Writes the model, and the LoRA by itself."""
    booth.save(folder / model_name(config), dtype=config.output.dtype)
    if config.lora.rank:
        booth.save_lora(
            folder / lora_name(config),
            layout=config.lora.layout,
            dtype=config.output.dtype,
            **lora_notes(config, pictures.photos),
        )


def resume_line(folder):
    """The command that goes on with a run."""
    return command_line("train", "--resume", folder)


@contextlib.contextmanager
def going_on_with(again, stopped="Stopped before the first step. Go on with: "):
    """Has what stops a run, the machine or the user, say how to go on.

    Args:
        again: str. What to do.
        stopped: str. What a run says that was stopped by Ctrl-C or SIGTERM.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise type(error)(f"{stopped}{again}") from None
    except OSError as error:
        what = "make room, then go on" if error.errno in FULL else "go on"
        raise OSError(f"{sentence(error).rstrip('.')}; {what} with: {again}") from error
    except (RuntimeError, ValueError) as error:  # JAX raises either where a connection breaks
        if not is_gone(error):
            raise
        raise OSError(
            f"Another process of the run is gone, or cannot be reached any more; go on, in all processes, with: {again}"
        ) from error


def report(config, booth, samples, pictures, folder):
    """Writes the loss curves, the sheet of photographs and final samples, the page of it all, and the model's card."""
    drawn = samples.pictures if samples.drawn_at == config.training.steps else samples.draw()
    if not is_first():
        return
    with whole_file(folder / "loss.png") as part:
        loss_curves(folder / "log.csv").savefig(part)
    if config.training.keep_best:
        with whole_file(folder / "best.png") as part:
            score_curves(folder / "best.csv").savefig(part)
    photos = pictures.photos[0].paths[: max(config.sampling.count, 4)]
    shown = [as_trained(photo, booth.image_size) for photo in photos]
    sheet = image_grid([shown, *drawn], ["the photographs", *config.sampling.prompts])
    with whole_file(folder / "samples.png") as part:
        sheet.save(part, format="png")
    write_text(folder / REPORT, run_page(config, folder, pictures))
    names = [model_name(config), *([lora_name(config)] if config.lora.rank else [])]
    write_text(folder / "README.md", model_card(config, names))


def as_trained(photo, size):
    """A photograph in the shape in which the model saw it."""
    return fit_to(read_photo(photo), size)


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
    kept = config.training.keep_best > 0
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
            *(["  best.png     how good the model was, and which weights were kept; best.csv has the numbers"] * kept),
            "  report.html  all of it on one page; README.md is the card to publish it with",
            "  config.yaml  all settings, to run it again",
            "Draw more with:",
            f"  {draw_more}",
        ]
    )
