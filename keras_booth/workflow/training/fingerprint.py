"""What a run says of itself in each checkpoint, and whether a run that goes on is still the same."""

import hashlib
import json
import platform
from importlib import metadata

import keras

from keras_booth.bases import vocabulary_digest
from keras_booth.dreambooth import weights_digest
from keras_booth.tools.errors import InputError
from keras_booth.version import __version__
from keras_booth.workflow.training.same_photos import refuse_other_pictures

PACKAGES = ("keras", "keras-cv", "tensorflow", "tensorflow-cpu", "jax", "numpy")
# What may change between two parts of a run, because what is trained does not depend on it, or because something else
# says whether it is the same: digests of the pictures and of the base for the paths.
FREE_GROUPS = ("output", "sampling")
FREE = (
    *("subject.photos", "subject.class_images", "prior.folder", "base.preset", "base.vae", "base.vocabulary"),
    *("training.checkpoint_every", "training.keep_last", "training.validate_every", "training.tensorboard"),
    *("training.steps", "lora.layout"),
)
SHOWN = 3  # differences in a sentence


def found_versions():
    """dict of str, the versions that a run depends on."""
    found = {"keras_booth": __version__, "Python": platform.python_version(), "backend": keras.backend.backend()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def fingerprint(config, booth, digests):
    """What a run is, for its checkpoints.

    Args:
        config: `RunConfig` with everything filled in.
        booth: `DreamBooth` as it was built: of what is not trained a digest is taken.
        digests: what `digest_pictures` found.

    Returns:
        dict that JSON can hold.
    """
    return {
        "config": settings(config),
        "steps": config.training.steps,
        "versions": found_versions(),
        "pictures": digests,
        "base": digest_of_base(booth),
    }


def settings(config):
    """dict of the settings that must stay the same, by the names that a user writes."""
    groups = config.to_dict()
    more = groups.pop("more_subjects", [])
    groups |= {f"more_subjects[{number}]": fields for number, fields in enumerate(more)}
    return {
        f"{group}.{name}": value
        for group, fields in groups.items()
        for name, value in fields.items()
        if group not in FREE_GROUPS
        and f"{group.partition('[')[0]}.{name}".replace("more_subjects", "subject") not in FREE
    }


def digest_of_base(booth):
    """Digest of all of a base that is not trained: what it is, vocabulary, weights."""
    base = booth.base
    trained = {id(variable) for variable in booth.trainable_variables}
    with base.present():
        models = base.components.values()
        frozen = [variable for model in models for variable in model.weights if id(variable) not in trained]
        parts = [base.config.to_dict(), vocabulary_digest(base.tokenizer), weights_digest(frozen)]
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).hexdigest()


def refuse_other_settings(notes, config, folder, other_versions=False):
    """Refuses to go on with another config than that of the checkpoint, before anything heavy is done.

    Args:
        notes: dict, the checkpoint's fingerprint.
        config: `RunConfig` of the run folder.
        folder: `Path` of the run folder.
        other_versions: bool. Whether other versions of the packages are fine.

    Raises:
        InputError: naming the fields that differ, or the packages.
    """
    try:
        before, steps, versions = dict(notes["config"]), int(notes["steps"]), dict(notes["versions"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The checkpoint does not say of which run it is. Received: --resume {folder}") from error
    now = json.loads(json.dumps(settings(config)))
    changed = [
        f"{name} was {_show(before.get(name))} and is {_show(now.get(name))}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if changed:
        others = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise InputError(
            f"The config is not that of the checkpoint: {', '.join(changed[:SHOWN])}{others}; put it back in "
            f"config.yaml, or start a new run. Received: --resume {folder}"
        )
    if config.training.steps < steps:
        raise InputError(
            f"training.steps may grow, with --training.steps, but not shrink: it was {steps}. "
            f"Received: training.steps={config.training.steps}"
        )
    refuse_more_steps(config, steps)
    other = [
        f"{name} was {versions.get(name)} and is {version}"
        for name, version in found_versions().items()
        if versions.get(name) != version and name != "Python"
    ]
    if other and not other_versions:
        raise InputError(
            f"The checkpoint is of other versions: {', '.join(other)}; the rest of the run may come out a little "
            f"different: add --other-versions to go on all the same. Received: --resume {folder}"
        )


def refuse_more_steps(config, steps):
    """More steps than a run began with are fine where its learning rate does not depend on their number."""
    more = config.training.steps > steps
    if more and config.training.learning_rate_schedule == "cosine":
        raise InputError(
            f"training.steps cannot grow under the learning rate schedule cosine, which ends at step {steps}: let the "
            "run end, and train on from its model with base.preset. "
            f"Received: training.steps={config.training.steps}"
        )


def refuse_other_base(notes, now, folder):
    """Refuses to go on with pictures or a base that are not those of the checkpoint.

    Args:
        notes: dict, the checkpoint's fingerprint.
        now: dict, that of the run that goes on.
        folder: `Path` of the run folder.
    """
    refuse_other_pictures(notes.get("pictures") or {}, now["pictures"], folder)
    if notes.get("base") != now["base"]:
        raise InputError(
            "The base is not the one that the run began with (base.preset, base.vae, base.vocabulary: other weights or "
            f"another vocabulary); put it back, or start a new run. Received: --resume {folder}"
        )


def _show(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
