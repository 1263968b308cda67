"""LoRA and every precision learn a subject of the tiny world, by the README's measure; minutes each."""

import pytest

from keras_booth.evaluation import SUBJECTS, load_judge, render_photos
from keras_booth.workflow.evaluation import WITH, Protocol
from keras_booth.workflow.parsing import read_config
from tests.helpers.places import ROOT

LORA = [
    "--training.steps",
    "400",
    "--lora.rank",
    "16",
    "--training.learning_rate",
    "2e-3",
    "--lora.targets",
    "[attention,feed_forward,convolution]",
]
KINDS = {
    "float32": [],
    "bfloat16": ["--base.dtype", "mixed_bfloat16"],
    "float16": ["--base.dtype", "mixed_float16"],
    "LoRA float32": LORA,
    "LoRA bfloat16": [*LORA, "--base.dtype", "mixed_bfloat16"],
    "LoRA float16": [*LORA, "--base.dtype", "mixed_float16"],
}


@pytest.mark.huge
@pytest.mark.parametrize("kind", KINDS)
def test_learns_the_subject(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    look = SUBJECTS[0]
    photos = render_photos(look, tmp_path / "photos")
    flags = ["--subject.photos", str(photos), "--subject.class_noun", look.class_noun, *KINDS[kind]]
    config = read_config("configs/quickstart.yaml", *flags)
    found = Protocol(load_judge(), tmp_path, count=2, class_count=24, seed=1000).measure_subject(config, look, WITH, 0)
    print(kind, found)
    assert found["subject"]["fidelity"] >= 0.7
    assert found["class"]["drift"] <= 0.25
