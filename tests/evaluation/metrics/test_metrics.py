"""The paper's metrics on cases that can be reckoned by hand."""

import numpy as np
import pytest

from keras_booth.evaluation.metrics import CLASS, SUBJECT, metrics_of, paper_metrics
from keras_booth.tools.errors import InputError
from tests.helpers.color_metrics import BLUE, GREEN, MIXED, RED, Distance, color_metrics, colors, words
from tests.helpers.encoders.models import random_pictures, write_lpips, write_model


@pytest.fixture(scope="module")
def metrics():
    return {metric.name: metric for metric in color_metrics()}


def value(metric, pictures, references=(), prompts=()):
    (found,) = metric.score(pictures, references, prompts).values()
    return found.value


def test_names_and_directions(metrics):
    assert list(metrics) == ["DINO", "CLIP-I", "CLIP-T", "PRES", "DIV"]
    assert [metric.of for metric in metrics.values()] == [SUBJECT] * 3 + [CLASS] * 2
    assert [name for name, metric in metrics.items() if not metric.higher_is_better] == ["PRES"]
    assert all(metric.source.startswith("arXiv:2208.12242, section 4") for metric in metrics.values())


@pytest.mark.parametrize("name", ["DINO", "CLIP-I", "PRES"])
def test_mean_cosine_of_all_pairs(metrics, name):
    """Red is red, half of the mixed color, nothing of blue."""
    found = value(metrics[name], [RED, MIXED], [RED, BLUE])
    assert found == pytest.approx((1 + 0 + np.sqrt(0.5) + 0) / 4)


def test_order_does_not_matter(metrics):
    forwards = value(metrics["DINO"], [RED, MIXED, BLUE], [RED, GREEN])
    assert value(metrics["DINO"], [BLUE, RED, MIXED], [GREEN, RED]) == pytest.approx(forwards)


def test_the_photographs_themselves(metrics):
    """No photograph is compared with itself, which would be 1 for nothing."""
    photographs = [RED, RED, BLUE]
    assert value(metrics["DINO"], photographs, photographs) == pytest.approx(1 / 3)
    assert value(metrics["DINO"], photographs, list(photographs)) == pytest.approx(5 / 9)
    with pytest.raises(InputError, match="DINO compares pictures with one another. Received: 1 picture"):
        alone = [RED]
        metrics["DINO"].score(alone, alone, ["red"])


def test_prompts(metrics):
    found = value(metrics["CLIP-T"], [RED, RED, MIXED], [], ["a red dog", "a green dog", "red or green"])
    assert found == pytest.approx((1 + 0 + 1) / 3)
    with pytest.raises(InputError, match="CLIP-T needs a prompt for each picture. Received: 2 pictures, 1 prompts"):
        metrics["CLIP-T"].score([RED, BLUE], [], ["red"])


def test_diversity_is_of_pictures_of_one_prompt(metrics):
    prompts = ["a dog", "a cat", "a dog", "a cat"]
    assert value(metrics["DIV"], [RED, BLUE, RED, RED], [], prompts) == pytest.approx((0 + 400 / 255 / 3) / 2)
    assert value(metrics["DIV"], [RED] * 4, [], prompts) == 0
    with pytest.raises(InputError, match="DIV compares pictures with one another. Received: 1 picture"):
        metrics["DIV"].score([RED, BLUE], [], ["a dog", "a cat"])


@pytest.mark.parametrize("name", ["CLIP-T", "DIV"])
def test_a_prompt_for_each_picture(metrics, name):
    with pytest.raises(InputError, match=f"{name} needs a prompt for each picture. Received: 2 pictures, 3 prompts"):
        metrics[name].score([RED, BLUE], [], ["red"] * 3)


def test_intervals(metrics):
    (found,) = metrics["DINO"].score([RED] * 5 + [BLUE] * 5, [RED], ["red"] * 10).values()
    assert found.value == 0.5 and found.count == 10
    assert 0 <= found.low < 0.5 < found.high <= 1


def test_encoders_are_loaded_once_and_late():
    loaded = []

    def load():
        loaded.append(1)
        return colors

    by_name = {metric.name: metric for metric in metrics_of(load, lambda: (colors, words), Distance)}
    assert not loaded
    for _ in range(2):
        by_name["DINO"].prepare()
        by_name["PRES"].score([RED], [RED], ["red"])
    assert loaded == [1]


def test_with_the_original_encoders(tmp_path):
    """All five, on encoders in their own formats."""
    pytest.importorskip("keras_hub")
    folders = {name: write_model(tmp_path / name, name) for name in ("dino", "clip")}
    pictures, prompts = list(random_pictures(4)), ["a photo of a dog"] * 4
    for metric in paper_metrics(write_lpips(tmp_path / "lpips.safetensors"), **folders):
        metric.prepare()
        (found,) = metric.score(pictures, pictures[:2], prompts).values()
        assert -1 <= found.low <= found.value <= found.high <= 1


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(InputError, match="There is no file with LPIPS's weights"):
        paper_metrics(tmp_path / "none.safetensors")[-1].prepare()
