"""The subjects of the tiny world that a method is measured on."""

import dataclasses
import pathlib

from keras_booth.evaluation import PROMPT_SETTINGS, SUBJECTS, PromptSet, render_photos
from keras_booth.tiny_world import Look
from keras_booth.workflow.subjects import fill_prompts

# Settings that no photograph of them has.
PROMPTS = PromptSet(tuple(f"a photo of {{}} {setting}" for setting in PROMPT_SETTINGS), article="a ")


@dataclasses.dataclass(frozen=True)
class Case:
    """A subject to be learned.

    Args:
        look: `Look`.
        photos: `Path` of the folder where its photographs will lie.
    """

    look: Look
    photos: pathlib.Path

    @property
    def name(self):
        """Its class, of which there is no other among them."""
        return self.look.class_noun

    def config(self, recipe):
        """`RunConfig` of a run that learns it."""
        return fill_prompts(recipe.replace("subject", photos=str(self.photos), class_noun=self.name))

    def write_photos(self, recipe):
        """Has the photographs be there; with captions that name their setting, where the recipe wants captions."""
        prompt = self.config(recipe).subject.instance_prompt if recipe.subject.captions else None
        render_photos(self.look, self.photos, prompt=prompt)


def tiny_world_cases(folder):
    """All ten: list of `Case`.

    Args:
        folder: `Path` where their photographs will lie.
    """
    return [Case(look, folder / look.class_noun) for look in SUBJECTS]
