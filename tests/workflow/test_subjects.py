"""Several subjects in one run: each its identifier, class, folder and prior."""

import numpy as np
import pytest
import yaml
from PIL import Image

from keras_booth.callbacks.validation import as_measured
from keras_booth.tools.process.command import InputError
from keras_booth.workflow.build import resolve
from keras_booth.workflow.parsing import parse_config, read_config, to_yaml
from keras_booth.workflow.run import prepare
from keras_booth.workflow.subjects import (
    Pictures,
    build_dataset,
    fill_prompts,
    find_pictures,
    gather_prior,
    hold_out,
)
from tests.helpers.booths import small_booth
from tests.helpers.commands import flags
from tests.helpers.photographs import write_photos

CAT = {"photos": "photos/cat", "identifier": "zwx", "class_noun": "cat"}
TOY = {"photos": "photos/toy", "class_noun": "toy", "class_images": "toys", "captions": True}


@pytest.fixture
def place(tmp_path, monkeypatch):
    for folder, count in (("photos/dog", 3), ("photos/cat", 2), ("photos/toy", 1), ("toys", 2)):
        write_photos(tmp_path / folder, count)
    (tmp_path / "photos" / "toy" / "0.txt").write_text("sks toy, upside down")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BOOTH_CACHE", str(tmp_path / "cache"))
    return tmp_path


def config_of(*more, **options):
    return parse_config(flags(subject__photos="photos/dog", more_subjects=yaml.safe_dump(list(more)), **options))


def test_yaml_round_trip(place):
    config = fill_prompts(config_of(CAT, TOY))
    (place / "config.yaml").write_text(to_yaml(config))
    assert read_config("config.yaml") == config
    assert [subject.class_prompt for subject in config.subjects] == [f"a photo of a {x}" for x in ("dog", "cat", "toy")]


def test_pictures(place):
    booth = small_booth()
    config = resolve(config_of(CAT, TOY, training__batch_size="6", training__cache_latents="false"), booth)
    photos, own = find_pictures(config)
    prior = gather_prior(config, booth, own)
    assert [len(group.paths) for group in photos] == [3, 2, 1]
    assert [group.prompts[0] for group in photos] == [
        "a photo of sks dog",
        "a photo of zwx cat",
        "sks toy, upside down",
    ]
    assert [group.prompt for group in prior] == ["a photo of a dog", "a photo of a cat", "a photo of a toy"]
    assert own[:2] == (None, None) and prior[2] == own[2]
    data = build_dataset(config, booth, Pictures(photos, prior))
    batch = next(data.as_numpy_iterator())
    texts = [*(group.prompts[0] for group in photos), *(group.prompt for group in prior)]
    # A batch of six, half of it class images: each subject and each class once.
    assert {row.tobytes() for row in batch["tokens"]} == {row.tobytes() for row in booth.tokenize(texts)}
    assert np.count_nonzero(batch["is_prior"]) == 3


def test_class_images_in_settings(place):
    """Every other one; those of each class apart; each is trained on with its own prompt."""
    booth = small_booth()
    options = {"prior__settings": "[in red, in blue]", "prior__count": "4", "training__cache_latents": "false"}
    config = resolve(config_of(CAT, training__batch_size="8", **options), booth)
    photos, own = find_pictures(config)
    prior = gather_prior(config, booth, own)
    turns = ("", " in red", "", " in blue")
    assert [group.prompts for group in prior] == [tuple(f"a photo of a {x}{s}" for s in turns) for x in ("dog", "cat")]
    batches = list(build_dataset(config, booth, Pictures(photos, prior)).take(2).as_numpy_iterator())
    seen = {row.tobytes() for batch in batches for row in batch["tokens"][batch["is_prior"]]}
    texts = {text for group in prior for text in group.prompts}
    assert seen == {row.tobytes() for row in booth.tokenize(sorted(texts))} and len(texts) == 6


def test_held_out_photographs(place):
    """The last ones of each subject; of one subject there is none left to train on."""
    config = config_of(CAT, training__hold_out="1", training__batch_size="2")
    photos, _ = find_pictures(fill_prompts(config))
    trained, held_out = hold_out(config, photos)
    assert [(len(some.paths), len(last.paths)) for some, last in zip(trained, held_out, strict=True)] == [
        (2, 1),
        (1, 1),
    ]
    assert [(*some.paths, *last.paths) for some, last in zip(trained, held_out, strict=True)] == [
        group.paths for group in photos
    ]
    assert hold_out(config_of(), photos) == (photos, ())
    with pytest.raises(InputError, match="below the number of photographs, 1 in photos/toy"):
        find_pictures(fill_prompts(config_of(CAT, TOY, training__hold_out="1")))


def test_each_subject_is_cut_and_mirrored_in_its_own_way(place):
    """So are its class images; what is measured is always the center."""
    booth = small_booth()
    more = [{**CAT, "crop": "random", "flip": True}, {**TOY, "flip": True}]
    config = resolve(config_of(*more, subject__crop="random", prior__steps="1"), booth)
    photos, own = find_pictures(config)
    pictures = Pictures(photos, gather_prior(config, booth, own))
    ways = [("random", False), ("random", True), ("center", True)]
    assert [(group.crop, group.flip) for group in pictures.photos] == ways
    assert [(group.crop, group.flip) for group in pictures.prior] == ways
    assert {(as_measured(group).crop, as_measured(group).flip) for group in pictures.photos} == {("center", False)}


def test_default_samples_show_all(place):
    config = resolve(config_of(CAT, sampling__prompts="null"), small_booth())
    prompts = config.sampling.prompts
    assert prompts[-2:] == ("a photo of a dog", "a photo of a cat")
    for name in ("sks dog", "zwx cat"):
        assert sum(name in prompt for prompt in prompts) >= 2


@pytest.mark.parametrize(
    "more, words",
    [
        ({**CAT, "identifier": "sks", "class_noun": "dog"}, "identifier of their own"),
        ({**CAT, "identifier": "cat"}, "must differ"),
        ({"identifier": "zwx"}, "must have photos and class_noun"),
        ({**CAT, "foto": "x"}, "no field foto in more_subjects"),
        ({**CAT, "crop": "x"}, "crop in more_subjects must be center or random. Received: crop=x"),
        ("cat", "must be a list of groups"),
    ],
)
def test_mistakes(place, more, words):
    with pytest.raises(InputError, match=words):
        config_of(more)


def test_a_folder_that_is_not_there(place):
    with pytest.raises(ValueError, match="photos/bird"):
        find_pictures(fill_prompts(config_of({**CAT, "photos": "photos/bird"})))


def test_said_before_training(place, capsys):
    """`train` says what `doctor` would, of all subjects, when no class image was drawn yet."""
    picture = Image.open("photos/cat/0.png")
    picture.save("photos/cat/again.jpg", quality=95)
    picture.resize((20, 20)).save("photos/cat/small.png")
    (place / "photos" / "cat" / "0.txt").write_text("an unused caption")
    long = "a photo of zwx cat in the snow with a hat and a scarf and " + "more " * 20
    more = {**CAT, "class_noun": "hedgehog", "instance_prompt": long}
    prepare(config_of(more, prior__loss_weight="0"), warned=True)
    said = capsys.readouterr().err.splitlines()
    for start in (
        "photos: zwx hedgehog: small.png is smaller than the 128 pixels",
        "photos: zwx hedgehog: 0.png and again.jpg show the same",
        "captions: zwx hedgehog: 0.txt is there, but not used",
        "identifier: zwx hedgehog: 'hedgehog' is nothing that tiny_world knows",
        "prompts: A prompt is cut: it has 55 tokens, of which 30 are read. Left out is: more",
    ):
        assert sum(line.startswith(start) for line in said) == 1, (start, said)
