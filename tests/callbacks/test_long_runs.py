"""What `KeepBest` is for: of a run that is twice too long, it keeps what draws the subject where the prompt says."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_booth.callbacks import KeepBest, few_pictures
from keras_booth.evaluation import Protocol, default_metrics, default_prompts_of, read_references, score
from keras_booth.experiments.cases import tiny_world_cases
from keras_booth.workflow.build import build_booth, compile_booth, resolve
from keras_booth.workflow.parsing import read_config
from keras_booth.workflow.subjects import Pictures, build_dataset, find_pictures, gather_prior
from tests.helpers.places import ROOT

SUBJECTS = 5
# The paper's plain recipe: all weights, no captions, class images as they are and in no settings. On this base it is at
# its best before 150 steps, and then ties the subject to its photographs' settings (docs/TINY_WORLD.md); here it goes
# on to twice as many.
FLAGS = [
    *("--lora.rank", "0", "--training.learning_rate", "4e-4", "--prior.target", "images"),
    *("--subject.captions", "false", "--prior.guidance_scale", "3", "--prior.settings", "null"),
    *("--training.steps", "300", "--training.learning_rate_schedule", "constant"),
]
EVERY = 25


class Last(keras.callbacks.Callback):
    """The weights at the end of training, before others are put in their place."""

    def on_train_end(self, logs=None):
        self.weights = [variable.numpy() for variable in self.model.trainable_variables]


def asked_for(booth, protocol, references):
    """Fidelity times setting."""
    found = score(default_metrics(booth)[:1], protocol.draw(booth), references)
    return found["fidelity"].value * found["setting"].value


@pytest.mark.huge
def test_the_kept_weights_beat_the_last(tmp_path, monkeypatch):
    """On prompts that were not asked while they trained, over five subjects."""
    monkeypatch.chdir(ROOT)
    recipe, products = read_config("configs/quickstart.yaml", *FLAGS), []
    for case in tiny_world_cases(tmp_path / "photos")[:SUBJECTS]:
        case.write_photos(recipe)
        booth = build_booth(case.config(recipe))
        config = resolve(case.config(recipe), booth)
        photos, own = find_pictures(config)
        data = build_dataset(config, booth, Pictures(photos, gather_prior(config, booth, own)))
        compile_booth(config, booth)
        last = Last()
        booth.fit(data, verbose=0, callbacks=[last, KeepBest(photos[0], tmp_path / case.name, every=EVERY)])
        prompts = default_prompts_of(booth)
        seen = few_pictures(booth).prompts.templates
        others = tuple(template for template in prompts.templates if template not in seen)
        protocol = Protocol(dataclasses.replace(prompts, templates=others), count=2, class_count=2, seed=7)
        references = read_references(case.photos)
        kept = asked_for(booth, protocol, references)
        for variable, value in zip(booth.trainable_variables, last.weights, strict=True):
            variable.assign(value)
        products.append((kept, asked_for(booth, protocol, references)))
        print(case.name, "kept and last:", products[-1], flush=True)
    kept, last = np.mean(products, axis=0)
    assert kept > last
