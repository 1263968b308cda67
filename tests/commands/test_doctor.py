"""`python -m keras_booth.doctor`."""

import numpy as np
import pytest
from PIL import Image

from keras_booth import doctor
from keras_booth.bases import BaseConfig, describe_base, load_base, rare_identifiers, rarity
from keras_booth.tools.process import machine
from keras_booth.workflow.doctor.report import examine_memory
from keras_booth.workflow.memory import estimate, trained_parameters
from keras_booth.workflow.parsing import parse_config, to_yaml
from tests.helpers.commands import call, flags
from tests.helpers.photographs import write_photos
from tests.helpers.places import ROOT, SHARED


@pytest.fixture
def diagnose(workplace, capsys):
    """The report on a tiny run with some fields changed: `(code, lines)`."""

    def run(**options):
        fast = {"training__steps": "300", "prior__count": "200"} | options
        (workplace / "config.yaml").write_text(to_yaml(parse_config(flags(**fast))))
        code = doctor.main(["config.yaml"])
        captured = capsys.readouterr()
        return code, [line.split(maxsplit=2) for line in captured.out.splitlines()]

    return run


def of(lines, topic):
    return [(level, text) for level, found, text in lines if found == topic]


class TestReport:
    def test_a_sound_run(self, diagnose):
        code, lines = diagnose()
        assert code == 0
        assert {level for level, _, _ in lines} == {"ok"}, lines
        assert {topic for _, topic, _ in lines} == {"photos", "identifier", "memory", "settings"}

    def test_photos(self, diagnose, workplace):
        rng = np.random.default_rng(0)
        picture = Image.fromarray(rng.integers(0, 256, (6, 8, 3), "uint8")).resize((400, 300), Image.Resampling.BICUBIC)
        picture.save(workplace / "photos" / "a.png")
        picture.resize((200, 150)).save(workplace / "photos" / "b.jpg", quality=60)
        picture.resize((40, 30)).save(workplace / "photos" / "c.png")
        (workplace / "photos" / "d.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
        code, lines = diagnose()
        texts = of(lines, "photos")
        assert code == 2
        assert any(level == "mistake" and "d.png" in text for level, text in texts)
        assert any(level == "warning" and "c.png is smaller than the 128 pixels" in text for level, text in texts)
        assert [text for level, text in texts if level == "warning" and "show the same" in text] == [
            "a.png, b.jpg, c.png show the same: it would be learned by heart."
        ]

    def test_captions_and_names(self, diagnose, workplace):
        _, lines = diagnose(subject__instance_prompt="a photo of my dog")
        assert of(lines, "identifier")[1] == (
            "warning",
            "'sks' is in no prompt of its photographs ('a photo of my dog'): the subject would get no name.",
        )
        for name, text in (("0.txt", "a photo of a dog"), ("1.txt", "SKS dog in the snow"), ("2.caption", "sks dog")):
            (workplace / "photos" / name).write_text(text)
        _, lines = diagnose()
        assert of(lines, "captions") == [
            (
                "warning",
                "0.txt, 1.txt are there, but not used: captions is false, and all photographs get "
                "'a photo of sks dog'.",
            )
        ]
        _, lines = diagnose(subject__captions="true", subject__class_prompt="a photo of sks")
        assert of(lines, "captions")[:2] == [
            ("ok", "2 of 3 photographs have one."),
            ("warning", "2.png has no caption, and gets 'a photo of sks dog'."),
        ]
        assert "2.caption is not read" in of(lines, "captions")[2][1]
        texts = [text for level, text in of(lines, "identifier") if level == "warning"]
        assert texts[0].startswith("'sks' is not in the captions of 0.png: ")
        assert texts[1].startswith("'sks' is in the class prompt 'a photo of sks', ")
        (workplace / "photos" / "0.txt").write_bytes(b"\xff\xfea\0")
        code, lines = diagnose(subject__captions="true")
        assert code == 2 and any(level == "mistake" and "0.txt" in text for level, text in of(lines, "photos"))

    def test_what_the_base_does_not_know(self, diagnose):
        _, lines = diagnose(subject__class_noun="hedgehog")
        assert any(
            text == "'hedgehog' is nothing that tiny_world knows: it draws dog, cat, rabbit, duck, turtle, teapot, "
            "backpack, vase, car, boot."
            for _, text in of(lines, "identifier")
        )
        _, lines = diagnose(subject__class_noun="old car")
        assert not any("knows" in text for _, text in of(lines, "identifier"))

    def test_cut_prompts(self, diagnose, workplace):
        words = "a photo of sks dog in the snow " * 5
        (workplace / "photos" / "1.txt").write_text(words)
        _, lines = diagnose(subject__captions="true", sampling__prompts=f'["{words} with a hat"]')
        texts = [text for level, text in of(lines, "prompts") if level == "warning"]
        assert texts[0] == (
            "A prompt is cut: it has 40 tokens, of which 30 are read. "
            "Left out is: the snow a photo of sks dog in the snow"
        )
        assert texts[1].endswith("with a hat")

    def test_all_subjects(self, diagnose, workplace):
        write_photos(workplace / "cats", 5)
        Image.new("RGB", (20, 20)).save(workplace / "cats" / "small.png")
        (workplace / "cats" / "0.txt").write_text("a cat")
        cat = '[{"photos": "cats", "identifier": "zwx", "class_noun": "cat", "instance_prompt": "a photo of my cat"}]'
        _, lines = diagnose(more_subjects=cat, training__steps="600")
        warnings = [text for level, _, text in lines if level == "warning"]
        assert not any(text.startswith("sks dog: ") for text in warnings)
        mine = [text.removeprefix("zwx cat: ") for text in warnings if text.startswith("zwx cat: ")]
        assert mine[0].startswith("small.png is smaller than the 128 pixels")
        assert mine[1].startswith("0.txt is there, but not used")
        assert mine[2].startswith("'zwx' is in no prompt")
        # `write_photos` writes the same pictures everywhere.
        assert (
            "sks dog and zwx cat have photographs that show the same (0.png, 1.png, 2.png): the two would be mixed up."
            in warnings
        )
        assert [text for level, text in of(lines, "settings") if "shown" in text] == [
            "sks dog: each photo is shown 100 times.",
            "zwx cat: each photo is shown 50 times, which is seldom: raise training.steps.",
        ]

    def test_few_photos(self, diagnose, workplace):
        for name in ("1.png", "2.png"):
            (workplace / "photos" / name).unlink()
        _, lines = diagnose()
        assert any("1 are few" in text for _, text in of(lines, "photos"))

    @pytest.mark.parametrize("word, phrase", [("dogs", "Better: "), ("photo", "frequent word"), ("sksq", "tokens")])
    def test_identifier(self, diagnose, word, phrase):
        _, lines = diagnose(subject__identifier=word, subject__class_noun="cat")
        assert any(level == "warning" and phrase in text for level, text in of(lines, "identifier"))

    @pytest.mark.parametrize(
        "options, phrase",
        [
            ({"training__steps": "10"}, "seldom"),
            ({"training__steps": "5000"}, "often"),
            ({"prior__loss_weight": "0"}, "without class images"),
            ({"prior__count": "5"}, "learned by heart"),
        ],
    )
    def test_settings(self, diagnose, options, phrase):
        _, lines = diagnose(**options)
        assert any(level != "ok" and phrase in text for level, text in of(lines, "settings"))

    def test_memory(self, diagnose):
        _, lines = diagnose(training__batch_size="3000", prior__count="3000")
        ((level, text),) = of(lines, "memory")
        assert level == "warning" and "training.batch_size" in text

    def test_no_photos(self, refuses, workplace):
        """The quickstart, called from a folder that does not hold its photographs."""
        assert "photos/orange_dog" in refuses(doctor.main, [ROOT / "configs" / "quickstart.yaml"])


def test_as_a_user_calls_it():
    done = call(ROOT, "doctor", "configs/quickstart.yaml")
    assert done.code == 0, done.err
    assert "warning" not in done.out and "'sks' is one rare token" in done.out


@pytest.mark.parametrize("gigabytes, level", [(6, "warning"), (80, "ok")])
def test_memory_is_a_gpus_where_one_computes(monkeypatch, gigabytes, level):
    """The 24 GB beside a card help nothing. What takes less is named as the configuration has it."""
    monkeypatch.setattr(machine, "accelerator_memory", lambda: gigabytes * 10**9)
    config = parse_config(flags(training__batch_size="2", training__text_encoder="false"))
    (finding,) = examine_memory(config, BaseConfig(name="stable_diffusion_1.4", image_size=512))
    assert finding.level == level and f"; the GPU has {gigabytes}.0 GB." in finding.text
    assert ("What takes less: training.batch_size 1, lora.rank 4, " in finding.text) == (level == "warning")


@pytest.mark.large
def test_memory_counts_what_trains():
    """Parameters of LoRA as `add_lora` makes them; the whole UNet otherwise."""
    from keras_booth.bases import shape_of
    from keras_booth.dreambooth import DreamBooth, LoraConfig

    config, _ = describe_base("tiny_world")
    base = shape_of(config)
    options = {"lora__rank": "3", "lora__targets": '["attention", "convolution"]', "training__text_encoder": "true"}
    counted = trained_parameters(parse_config(flags(**options)), base)
    lora = LoraConfig(3, targets=("attention", "convolution"))
    booth = DreamBooth(load_base("tiny_world", weights=None), lora=lora, train_text_encoder=True)
    assert counted == sum(int(np.prod(variable.shape)) for variable in booth.trainable_variables)
    full = parse_config(flags(training__text_encoder="false"))
    assert trained_parameters(full, base) == base.unet.count_params()
    # Weights, gradient and two moments of each, four bytes a number.
    assert estimate(full, config).total > 16 * base.unet.count_params()


def test_identifiers_of_clip():
    """With CLIP's own vocabulary: the classic is one rare token; those that are proposed are too."""
    path = SHARED / "data" / "clip" / "bpe_simple_vocab_16e6.txt.gz"
    if not path.is_file():
        pytest.skip("../shared/data/clip is not there")
    _, tokenizer = describe_base("stable_diffusion_1.4", vocabulary=path)
    assert rarity(tokenizer, "sks") > 0.9
    assert rarity(tokenizer, "dog") < 0.1
    assert rarity(tokenizer, "qqqqq") is None
    found = rare_identifiers(tokenizer, 10)
    assert len(found) == 10
    assert all(rarity(tokenizer, word) > 0.6 and not set(word) & set("aeiouy") for word in found)
