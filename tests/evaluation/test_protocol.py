"""A model measured beside its photographs and its base, and the tables of it."""

import csv
import io

import numpy as np
import pytest

from keras_booth.data import LIVE_PROMPTS, OBJECT_PROMPTS
from keras_booth.dreambooth import DreamBooth
from keras_booth.evaluation.intervals import Estimate
from keras_booth.evaluation.metrics.judge import ClassRead, SubjectRead
from keras_booth.evaluation.prompts import TINY_WORLD_PROMPTS, PromptSet, default_prompts_of
from keras_booth.evaluation.protocol import Protocol, Row, evaluate
from keras_booth.evaluation.tables import table
from keras_booth.tools.errors import InputError
from tests.helpers.booths import changed_weights, small_booth
from tests.helpers.color_metrics import Distance, color_metrics, colors, words
from tests.helpers.photographs import write_photos

TEMPLATES = ("a {} in red", "a green {}")
METRICS = color_metrics()


@pytest.fixture(scope="module")
def booth():
    return small_booth()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos") / "dog", count=3)


@pytest.fixture
def protocol():
    return Protocol(PromptSet(TEMPLATES), count=2, class_count=3, sampling={"steps": 1})


class TestPrompts:
    def test_with_the_subject_and_without(self):
        with_subject, alone = PromptSet(TEMPLATES).of("sks", "dog")
        assert with_subject == ["a sks dog in red", "a green sks dog"]
        assert alone == ["a dog in red", "a green dog"]

    @pytest.mark.parametrize("prompts", [LIVE_PROMPTS, OBJECT_PROMPTS, TINY_WORLD_PROMPTS])
    def test_are_25(self, prompts):
        assert len(set(prompts)) == 25
        PromptSet(prompts)

    @pytest.mark.parametrize(
        "noun, prompts", [("dog", LIVE_PROMPTS), ("Corgi dog", LIVE_PROMPTS), ("backpack", OBJECT_PROMPTS)]
    )
    def test_by_the_class(self, booth, noun, prompts):
        assert default_prompts_of(DreamBooth(booth.base, class_noun=noun)).templates == prompts

    def test_of_the_tiny_world(self):
        booth = DreamBooth.from_preset("tiny_world", weights=None)
        prompts = default_prompts_of(booth)
        assert prompts.templates == TINY_WORLD_PROMPTS
        (first, *_), (of_class, *_) = prompts.of("sks", "dog")
        assert first == "a photo of sks dog in the jungle"
        assert of_class == "a photo of a dog in the jungle"

    def test_mistakes(self):
        with pytest.raises(InputError, match="There must be at least one prompt"):
            PromptSet(())
        with pytest.raises(InputError, match="A prompt must have one {}, where the subject goes. Received: 'a dog'"):
            PromptSet(("a dog",))


class TestEvaluate:
    def test_rows(self, booth, folder, protocol):
        with changed_weights(booth):
            rows = evaluate(booth, folder, METRICS, protocol=protocol)
        assert [row.name for row in rows] == ["real photographs", "the model"]
        photographs, model = (row.scores for row in rows)
        assert list(photographs) == ["DINO", "CLIP-I"]
        assert list(model) == ["DINO", "CLIP-I", "CLIP-T", "PRES", "DIV"]
        assert [found.count for found in model.values()] == [4, 4, 4, 3, 3]

    def test_the_base_beside_it(self, booth, folder, protocol):
        (_, alone, _) = evaluate(booth, folder, METRICS, base=booth, protocol=protocol)
        assert alone.name == "the base, untouched"
        _, base, model = evaluate(booth, folder, METRICS, base=booth, protocol=protocol)
        assert base.scores == model.scores == alone.scores

    def test_by_hand(self, booth, folder, protocol):
        """What the model draws of each prompt, beside the photographs."""
        *_, model = evaluate(booth, folder, METRICS, protocol=protocol)
        drawn = booth.generate(["a sks dog in red", "a green sks dog"], 2, seed=0, steps=1)
        of_class = booth.generate(booth.class_prompt, 3, seed=0, steps=1)
        from keras_booth.evaluation.protocol import read_references

        photographs = colors(read_references(folder))
        assert model.scores["DINO"].value == pytest.approx((colors(drawn) @ photographs.T).mean(), rel=1e-4)
        assert model.scores["PRES"].value == pytest.approx((colors(of_class) @ photographs.T).mean(), rel=1e-4)
        wanted = words(["red"] * 2 + ["green"] * 2)
        assert model.scores["CLIP-T"].value == pytest.approx((colors(drawn) * wanted).sum(-1).mean(), rel=1e-4)
        pairs = Distance().pairwise(of_class)[np.triu_indices(3, 1)]
        assert model.scores["DIV"].value == pytest.approx(pairs.mean(), rel=1e-4)

    def test_one_photograph_is_compared_with_none(self, booth, protocol, tmp_path):
        rows = evaluate(booth, write_photos(tmp_path / "one", count=1), METRICS, protocol=protocol)
        assert [row.name for row in rows] == ["the model"]

    def test_no_photographs(self, booth, protocol, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match="There is no photo in the folder"):
            evaluate(booth, tmp_path / "empty", METRICS, protocol=protocol)

    def test_two_of_one_name(self, booth, folder, protocol):
        with pytest.raises(InputError, match="Each metric needs a name of its own. Received: 'DINO' twice"):
            evaluate(booth, folder, [METRICS[0], METRICS[0]], protocol=protocol)

    @pytest.mark.parametrize("change", [{"count": 0}, {"class_count": 1}, {"seed": -1}])
    def test_numbers_out_of_range(self, change):
        (name,) = change
        with pytest.raises(InputError, match=f"{name} must be >= "):
            Protocol(PromptSet(TEMPLATES), **change)


class TestTables:
    ROWS = (
        Row("real photographs", {"DINO": Estimate(0.774, 0.7, 0.8, 5)}),
        Row("50 % & more", {"DINO": Estimate(0.668, 0.651, 0.684, 100), "PRES": Estimate(0.5, None, None, 1)}),
    )

    def test_markdown(self):
        assert table(self.ROWS, METRICS).splitlines() == [
            "| | DINO ↑ | PRES ↓ |",
            "|---|---|---|",
            "| real photographs | 0.774 (0.700 to 0.800) | – |",
            "| 50 % & more | 0.668 (0.651 to 0.684) | 0.500 |",
        ]

    def test_directions_of_parts(self):
        rows = [Row("the model", {name: Estimate(0.5, None, None, 1) for name in ("fidelity", "drift", "DINO")})]
        metrics = [*METRICS, SubjectRead(), ClassRead()]
        assert table(rows, metrics).splitlines()[0] == "| | fidelity ↑ | drift ↓ | DINO ↑ |"

    def test_latex(self):
        lines = table(self.ROWS, METRICS, "latex").splitlines()
        assert lines[0] == r"\begin{tabular}{lcc}"
        assert lines[2] == r" & DINO $\uparrow$ & PRES $\downarrow$ \\"
        assert lines[5] == r"50 \% \& more & 0.668 (0.651 to 0.684) & 0.500 \\"
        assert lines[-1] == r"\end{tabular}"

    def test_csv(self):
        rows = list(csv.DictReader(io.StringIO(table(self.ROWS, METRICS, "csv"))))
        assert [row["metric"] for row in rows] == ["DINO", "DINO", "PRES"]
        assert rows[1] == {
            **{"row": "50 % & more", "metric": "DINO", "value": "0.668"},
            **{"low": "0.651", "high": "0.684", "pictures": "100"},
        }
        assert rows[2]["low"] == ""

    def test_another_format(self):
        with pytest.raises(InputError, match="format must be one of markdown, latex, csv. Received: format='html'"):
            table(self.ROWS, METRICS, "html")
