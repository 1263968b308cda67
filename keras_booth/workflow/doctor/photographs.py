"""The photographs of a run as they lie on disk, each opened once."""

import dataclasses
from pathlib import Path

from keras_booth.data import Captions, Inspection, PhotoError, caption_files, find_captions, find_photos, inspect_photos
from keras_booth.workflow.config import SubjectOptions


@dataclasses.dataclass(frozen=True)
class SubjectPhotos:
    """The photographs of one subject, and what was found out about them.

    Args:
        subject: `SubjectOptions`, with all prompts.
        paths: tuple of `Path`.
        inspection: `Inspection` of them.
        captions: `Captions`, or `None` for a subject without.
        unused: list of `Path` of captions that are there, but not wanted.
        mistakes: list of str: why some of this cannot be used.
    """

    subject: SubjectOptions
    paths: tuple[Path, ...]
    inspection: Inspection
    captions: Captions | None
    unused: list[Path]
    mistakes: list[str]

    @property
    def name(self):
        """str: "sks dog"."""
        return f"{self.subject.identifier.strip()} {self.subject.class_noun.strip()}"

    @property
    def texts(self):
        """list of str, the text that each photograph is trained with."""
        known = self.captions.texts if self.captions else {}
        return [known.get(path, self.subject.instance_prompt) for path in self.paths]


def inspect_subjects(config):
    """Opens all photographs of a run and their captions.

    Args:
        config: `RunConfig` with all prompts.

    Returns:
        tuple of `SubjectPhotos`, one a subject.

    Raises:
        PhotoError: for a folder that cannot be used at all.
    """
    return tuple(inspect_subject(subject) for subject in config.subjects)


def inspect_subject(subject):
    """`SubjectPhotos` of one subject."""
    paths = find_photos(subject.photos)
    inspection = inspect_photos(paths)
    mistakes = list(inspection.unreadable.values())
    captions = None
    if subject.captions:
        try:
            captions = find_captions(paths)
        except PhotoError as error:
            mistakes.append(str(error))
    unused = [] if subject.captions else caption_files(paths)
    return SubjectPhotos(subject, tuple(paths), inspection, captions, unused, mistakes)
