"""The subjects that a method is measured on: ten of the tiny world, or those of the DreamBooth dataset."""

import dataclasses
import pathlib

from keras_booth.data import DATASET_SUBJECTS, subject_folder
from keras_booth.evaluation import PROMPT_SETTINGS, SUBJECTS, PromptSet, render_photos
from keras_booth.tiny_world import Look
from keras_booth.tools.errors import InputError, require
from keras_booth.workflow.subjects import fill_prompts

# Settings that no photograph of them has.
PROMPTS = PromptSet(tuple(f"a photo of {{}} {setting}" for setting in PROMPT_SETTINGS), article="a ")


@dataclasses.dataclass(frozen=True)
class Case:
    """A subject to be learned.

    Args:
        name: str, of its own among all.
        class_noun: str.
        photos: `Path` of the folder of its photographs.
        prompts: `PromptSet` that it is drawn with.
        look: `Look` of a subject of the tiny world, whose photographs are not there yet.
    """

    name: str
    class_noun: str
    photos: pathlib.Path
    prompts: PromptSet
    look: Look | None = None

    def config(self, recipe):
        """`RunConfig` of a run that learns it."""
        return fill_prompts(recipe.replace("subject", photos=str(self.photos), class_noun=self.class_noun))

    def write_photos(self, recipe):
        """Has the photographs be there; with captions that name their setting, where the recipe wants captions."""
        if self.look is not None:
            prompt = self.config(recipe).subject.instance_prompt if recipe.subject.captions else None
            render_photos(self.look, self.photos, prompt=prompt)


def tiny_world_cases(count, folder):
    """Subjects of the tiny world, whose photographs are to lie in a folder.

    Args:
        count: int, or `None` for all.
        folder: `Path`.
    """
    looks = SUBJECTS[: checked(count, len(SUBJECTS))]
    return [Case(look.class_noun, look.class_noun, folder / look.class_noun, PROMPTS, look) for look in looks]


def dataset_cases(checkout, count):
    """Subjects of a checkout of the DreamBooth dataset, each with the 25 prompts of its kind.

    Args:
        checkout: path.
        count: int, or `None` for all.
    """
    found = []
    for subject in DATASET_SUBJECTS[: checked(count, len(DATASET_SUBJECTS))]:
        folder = subject_folder(pathlib.Path(checkout), subject.name)
        if not folder.is_dir():
            raise InputError(
                f"The folder must be a checkout of github.com/google/dreambooth, and lacks {subject.name}. "
                f"Received: --protocol dreambooth {checkout}"
            )
        found.append(Case(subject.name, subject.class_noun, folder, PromptSet(subject.prompts)))
    return found


def checked(count, most):
    """How many of them."""
    require(count is None or 1 <= count <= most, "subjects", f"in [1, {most}]", count)
    return most if count is None else count
