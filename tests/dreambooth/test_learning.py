"""Each way to fine-tune learns the quickstart's subject in each precision, by the README's measure; minutes each."""

import pytest

from keras_booth.evaluation import default_metrics, read_references, score
from keras_booth.experiments.study.cases import tiny_world_cases
from keras_booth.experiments.study.drawing import WITH, WITHOUT, Study
from keras_booth.workflow.build import build_booth
from keras_booth.workflow.parsing import read_config
from tests.helpers.places import ROOT

LORA = [
    *("--lora.rank", "16", "--lora.targets", "[attention,feed_forward,convolution]"),
    *("--training.learning_rate", "1e-3"),
]
WAYS = {
    "unet": (WITHOUT, ["--training.text_encoder", "false"]),
    "text encoder, too": (WITHOUT, []),
    "with prior": (WITH, []),
    "LoRA": (WITHOUT, LORA),
    "LoRA with prior": (WITH, LORA),
}


@pytest.mark.huge
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("way", WAYS)
def test_learns_the_subject(way, dtype, seed, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    state, flags = WAYS[way]
    recipe = read_config("configs/quickstart.yaml", *flags, "--base.dtype", dtype)
    (case,) = tiny_world_cases(1, tmp_path / "photos")
    case.write_photos(recipe)
    drawn = Study(recipe, tmp_path, count=2, class_count=24, seed=1000).drawn(case, state, seed)
    judge = default_metrics(build_booth(recipe))[:2]
    found = {name: one.value for name, one in score(judge, drawn, read_references(case.photos)).items()}
    print(way, dtype, seed, found)
    assert found["fidelity"] >= 0.9
    # Without prior loss every dog becomes that dog; what is drawn of the subject is what counts.
    assert state == WITHOUT or found["drift"] <= 0.15
