"""The pictures of a run: photographs and class images of one subject or several."""

import dataclasses
import logging

from keras_booth.callbacks import validation_datasets
from keras_booth.data import PhotoError, PhotoSet, caption_files, find_photos, photo_dataset
from keras_booth.dreambooth import default_prompts
from keras_booth.evaluation import Metric, default_metrics
from keras_booth.tools.errors import InputError
from keras_booth.tools.wording import names
from keras_booth.workflow.doctor.photographs import inspect_subjects

logger = logging.getLogger("keras_booth")


@dataclasses.dataclass(frozen=True)
class Pictures:
    """What a run is trained on.

    Args:
        photos: tuple of `PhotoSet`, one a subject.
        prior: tuple of `PhotoSet`, one a subject; or `None` for a run without class images.
        held_out: tuple of `PhotoSet`, one a subject, that are measured and not trained on; or empty.
        metrics: tuple of `Metric` that choose the best weights, ready; or empty.
        digests: dict of dicts, what tells those of the user from all others: see `digest_pictures`.
    """

    photos: tuple[PhotoSet, ...]
    prior: tuple[PhotoSet, ...] | None
    held_out: tuple[PhotoSet, ...] = ()
    metrics: tuple[Metric, ...] = ()
    digests: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)


def fill_prompts(config):
    """A config that says all prompts."""

    def fill(subject):
        instance_prompt, class_prompt = default_prompts(subject.identifier.strip(), subject.class_noun.strip())
        return dataclasses.replace(
            subject,
            instance_prompt=subject.instance_prompt or instance_prompt,
            class_prompt=subject.class_prompt or class_prompt,
        )

    return dataclasses.replace(
        config, subject=fill(config.subject), more_subjects=tuple(map(fill, config.more_subjects))
    )


def find_pictures(config, photographs=None):
    """Opens every photograph, and finds the user's own class images.

    Args:
        config: `RunConfig` with all prompts.
        photographs: what `inspect_subjects` found; `None` to have them opened here.

    Returns:
        `(photos, own)`: tuples with a `PhotoSet` for each subject; in `own` it is `None` where the base is to draw the
        class images, or where they are not wanted.

    Raises:
        PhotoError: for the first photograph or caption that cannot be used.
    """
    photographs = photographs or inspect_subjects(config)
    for mistake in (mistake for found in photographs for mistake in found.mistakes):
        raise PhotoError(mistake)
    photos = tuple(photo_set(found) for found in photographs)
    own = tuple(own_class_images(config, subject) for subject in config.subjects)
    check_batch_size(config, photos, own)
    return photos, own


def photo_set(found):
    """The `PhotoSet` of one subject."""
    subject = found.subject
    captions = tuple(found.texts) if subject.captions else ()
    return PhotoSet(found.paths, subject.instance_prompt, captions, crop=subject.crop, flip=subject.flip)


def own_class_images(config, subject):
    """The user's class images of a subject, or `None`."""
    folder = subject.class_images or config.prior.folder
    if not config.prior.wanted or folder is None:
        return None
    paths = tuple(find_photos(folder))
    unused = caption_files(paths)
    if unused:
        logger.warning("Captions of class images are not used, but %r: %s", subject.class_prompt, names(unused))
    return PhotoSet(paths, subject.class_prompt, crop=subject.crop, flip=subject.flip)


def hold_out(config, photos):
    """`(trained, held_out)`: tuples with a `PhotoSet` for each subject; the second may be empty."""
    count = config.training.hold_out
    if not count:
        return photos, ()
    trained = tuple(group.first(len(group.paths) - count) for group in photos)
    return trained, tuple(group.without_first(len(group.paths) - count) for group in photos)


def ready_metrics(config, booth):
    """What chooses the best weights, with all its encoders; empty where the last ones are kept."""
    metrics = default_metrics(booth) if config.training.keep_best else ()
    for metric in metrics:
        metric.prepare()
    return metrics


def check_batch_size(config, photos, own):
    """Finds a batch larger than the data, and subjects without a photograph to train on, before the long work."""
    held_out = config.training.hold_out
    for subject, group in zip(config.subjects, photos, strict=True):
        if held_out >= len(group.paths):
            raise InputError(
                f"training.hold_out must be below the number of photographs, {len(group.paths)} in {subject.photos}. "
                f"Received: training.hold_out={held_out}"
            )
    shown = sum(len(group.paths) - held_out for group in photos)
    drawn = config.prior.count if config.prior.wanted else 0
    class_images = sum(len(group.paths) if group else drawn for group in own)
    if config.training.batch_size > shown + class_images:
        raise InputError(
            f"training.batch_size must be at most the number of pictures: {shown} photos and {class_images} class "
            f"images. Received: training.batch_size={config.training.batch_size}"
        )


def gather_prior(config, booth, own):
    """The class images of all subjects: the user's own, or drawn by the base; `None` for a run without.

    They are cut and mirrored as the photographs of their subject are.
    """
    if not config.prior.wanted:
        return None
    pairs = zip(config.subjects, own, strict=True)
    return tuple(mine or drawn_class_images(config, booth, subject) for subject, mine in pairs)


def drawn_class_images(config, booth, subject):
    """The class images of a subject, drawn by the base."""
    prior = config.prior
    drawn = booth.class_images(
        prior.count,
        prompt=prior.prompts(subject.class_prompt),
        seed=prior.seed,
        steps=prior.steps,
        guidance_scale=prior.guidance_scale,
        sampler=prior.sampler,
        batch_size=config.sampling.batch_size,
    )
    return dataclasses.replace(drawn, crop=subject.crop, flip=subject.flip)


def build_datasets(config, booth, pictures, start=0):
    """`(data, validation)`: what is trained on from a step on, and what is measured; `None` where there is nothing."""
    validation = None
    if config.training.validate_every:
        validation = validation_datasets(booth, pictures.photos, pictures.prior, pictures.held_out)
    data = build_dataset(config, booth, pictures, start) if config.training.steps > start else None
    if config.training.cache_latents:
        booth.park_encoders()
    return data, validation


def build_dataset(config, booth, pictures, start=0):
    """The batches of the run from a step on, all in one epoch."""
    training = config.training
    return photo_dataset(
        pictures.photos,
        pictures.prior,
        booth,
        batch_size=training.batch_size,
        prior_ratio=config.prior.ratio,
        steps_per_epoch=training.steps - start,
        start_step=start,
        seed=training.seed,
        cache_latents=training.cache_latents,
        cache_text=training.cache_latents and not training.text_encoder,
    )
