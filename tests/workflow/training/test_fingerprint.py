"""A run that goes on is the one that began: what differs is named."""

import copy
import json

import pytest

from keras_booth.dreambooth import LoraConfig
from keras_booth.tools.errors import InputError
from keras_booth.workflow.parsing import parse_config
from keras_booth.workflow.training.fingerprint import fingerprint, refuse_other_base, refuse_other_settings
from tests.helpers.booths import small_booth

CONFIG = parse_config(
    [
        *("--subject.photos", "photos", "--subject.class_noun", "dog", "--lora.rank", "2", "--lora.alpha", "4"),
        *("--more_subjects", "[{photos: cats, class_noun: cat}]", "--training.optimizer_arguments", "{beta_2: 0.99}"),
    ]
)
DIGESTS = {"photos of subject 1": {"0.png": "aa", "1.png": "bb"}}


@pytest.fixture(scope="module")
def booth():
    return small_booth(lora=LoraConfig(rank=2))


@pytest.fixture(scope="module")
def stored(booth):
    """As it comes back from a file."""
    return json.loads(json.dumps(fingerprint(CONFIG, booth, DIGESTS)))


def refused(notes, config, **options):
    with pytest.raises(InputError) as caught:
        refuse_other_settings(notes, config, "run", **options)
    return str(caught.value)


def test_the_same(stored, booth):
    refuse_other_settings(stored, CONFIG, "run")
    refuse_other_base(stored, fingerprint(CONFIG, booth, DIGESTS), "run")


@pytest.mark.parametrize(
    "group, fields, said",
    [
        ("training", {"learning_rate": 1e-3}, "training.learning_rate was 5e-06 and is 0.001"),
        ("training", {"optimizer": "lion"}, 'training.optimizer was "adamw" and is "lion"'),
        ("training", {"optimizer_arguments": {}}, 'training.optimizer_arguments was {"beta_2": 0.99} and is {}'),
        ("training", {"seed": 7}, "training.seed was 0 and is 7"),
        ("lora", {"alpha": 2.0}, "lora.alpha was 4.0 and is 2.0"),
        ("subject", {"class_noun": "wolf"}, 'subject.class_noun was "dog" and is "wolf"'),
        ("prior", {"loss_weight": 0.5}, "prior.loss_weight was 1.0 and is 0.5"),
        ("base", {"dtype": "mixed_bfloat16"}, 'base.dtype was null and is "mixed_bfloat16"'),
    ],
)
def test_another_setting_is_named(stored, group, fields, said):
    assert refused(stored, CONFIG.replace(group, **fields)) == (
        f"The config is not that of the checkpoint: {said}; put it back in config.yaml, or start a new run. "
        "Received: --resume run"
    )


def test_of_further_subjects_too(stored):
    without = parse_config(["--subject.photos", "photos", "--subject.class_noun", "dog", "--lora.rank", "2"])
    said = refused(stored, without)
    assert "lora.alpha was 4.0 and is null, more_subjects[0].captions was false and is null" in said
    assert said.count(" was ") == 3 and " more; put it back" in said


@pytest.mark.parametrize(
    "group, fields",
    [
        ("output", {"folder": "elsewhere", "dtype": "float16"}),
        ("sampling", {"steps": 7, "count": 1}),
        ("training", {"checkpoint_every": 3, "keep_last": 9, "validate_every": 2}),
        ("lora", {"layout": "diffusers"}),
        ("subject", {"photos": "moved"}),
        ("base", {"preset": "moved"}),
        ("training", {"steps": 1000}),
    ],
)
def test_what_changes_nothing_may_change(stored, group, fields):
    refuse_other_settings(stored, CONFIG.replace(group, **fields), "run")


def test_steps(stored, booth):
    said = refused(stored, CONFIG.replace("training", steps=700))
    assert said == (
        "training.steps may grow, with --training.steps, but not shrink: it was 800. Received: training.steps=700"
    )
    cosine = CONFIG.replace("training", learning_rate_schedule="cosine")
    notes = fingerprint(cosine, booth, DIGESTS)
    refuse_other_settings(notes, cosine, "run")
    assert "cannot grow under the learning rate schedule cosine, which ends at step 800" in refused(
        notes, cosine.replace("training", steps=900)
    )


def test_versions(stored):
    older = copy.deepcopy(stored)
    older["versions"] |= {"keras": "3.0.0", "Python": "3.0"}
    said = refused(older, CONFIG)
    assert said.startswith("The checkpoint is of other versions: keras was 3.0.0 and is 3.")
    assert "add --other-versions" in said and "Python" not in said
    refuse_other_settings(older, CONFIG, "run", other_versions=True)


@pytest.mark.parametrize("notes", [{}, {"config": 5, "steps": 1, "versions": {}}, {"config": {}, "steps": "x"}])
def test_notes_that_are_none(notes):
    assert refused(notes, CONFIG).startswith("The checkpoint does not say of which run it is.")


class TestBase:
    def test_another_weight(self, stored, booth):
        weight = booth.unet.weights[0]
        before = weight.numpy()
        weight.assign(before + 1e-6)
        with pytest.raises(InputError, match="The base is not the one that the run began with .*other weights"):
            refuse_other_base(stored, fingerprint(CONFIG, booth, DIGESTS), "run")
        weight.assign(before)
        refuse_other_base(stored, fingerprint(CONFIG, booth, DIGESTS), "run")

    def test_what_is_trained_does_not_count(self, stored, booth):
        layer = next(iter(booth.adapters.layers.values()))
        layer.lora_kernel_b.assign(layer.lora_kernel_b + 1)
        refuse_other_base(stored, fingerprint(CONFIG, booth, DIGESTS), "run")

    def test_another_photograph(self, stored, booth):
        for digests in (
            {"photos of subject 1": {"0.png": "aa"}},
            {"photos of subject 1": {"0.png": "a", "1.png": "bb"}},
        ):
            with pytest.raises(InputError, match=r"Changed, gone or new: \d.png of photos of subject 1. Received"):
                refuse_other_base(stored, fingerprint(CONFIG, booth, digests), "run")
