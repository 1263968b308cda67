"""Every way to get the data wrong is one sentence that says what to do and ends in what was received."""

import numpy as np
import pytest

from keras_booth.data import PhotoError, PhotoSet, photo_dataset


@pytest.fixture
def make(write_values, make_booth):
    """Calls `photo_dataset` with good arguments, save the given ones, and returns the error's message."""
    good = {"instance": write_values("instance", [1, 2]), "prior": write_values("prior", [3, 4, 5])}

    def message(booth=None, **arguments):
        arguments = {**good, **arguments}
        with pytest.raises(PhotoError) as caught:
            photo_dataset(arguments.pop("instance"), arguments.pop("prior"), booth or make_booth(), **arguments)
        text = str(caught.value)
        assert isinstance(caught.value, ValueError)
        assert "\n" not in text and text.count(". ") == 1 and ". Received: " in text
        return text

    return message


@pytest.mark.parametrize("field", ["instance", "prior"])
def test_folder(make, tmp_path, field):
    assert f"does not exist: give the path of an existing one. Received: folder='{tmp_path / 'no'}'" in make(
        **{field: tmp_path / "no"}
    )
    (tmp_path / "file.jpg").write_bytes(b"")
    assert f"is a file: give the folder that holds the photos. Received: folder='{tmp_path / 'file.jpg'}'" in make(
        **{field: str(tmp_path / "file.jpg")}
    )
    (tmp_path / "captions").mkdir()
    assert "There is no photo in the folder" in make(**{field: tmp_path / "captions"})
    for name in ("a.txt", "b.txt"):
        (tmp_path / "captions" / name).write_text("a dog")
    assert make(**{field: tmp_path / "captions"}).endswith("which holds only a.txt, b.txt")
    known = "a folder, a PhotoSet or a builder of TensorFlow Datasets"
    assert make(**{field: 3}) == f"`{field}` must be {known}. Received: {field}=3"


@pytest.mark.parametrize("field", ["instance", "prior"])
def test_unreadable_photo_is_found_at_once(make, write_values, field):
    folder = write_values("broken", [7, 8, 9], size=(64, 64))
    photo = folder / "008.png"
    photo.write_bytes(photo.read_bytes()[:60])
    message = make(**{field: folder})
    assert message.startswith("The photo cannot be read (")
    assert message.endswith(f"): replace it or take it out. Received: path='{photo}'")


def test_missing_photo_of_a_set(make, tmp_path):
    photos = PhotoSet((tmp_path / "gone.jpg",), "a photo of sks dog")
    assert make(instance=photos).endswith(f"replace it or take it out. Received: path='{tmp_path / 'gone.jpg'}'")


@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True])
def test_batch_size(make, value):
    assert make(batch_size=value) == f"`batch_size` must be an integer >= 1. Received: batch_size={value!r}"


def test_batch_size_larger_than_the_data(make):
    assert make(batch_size=6) == (
        "`batch_size` is larger than the data: lower it or add images. "
        "Received: batch_size=6, with 2 instance photos and 3 class images"
    )
    assert make(batch_size=3, prior=None).endswith("batch_size=3, with 2 instance photos and 0 class images")
    assert make(batch_size=3, prior_ratio=0).endswith("batch_size=3, with 2 instance photos and 0 class images")


def test_batch_size_as_large_as_the_data(write_values, make_booth):
    dataset = photo_dataset(write_values("i", [1, 2]), write_values("p", [3]), make_booth(), batch_size=np.int64(3))
    assert dataset.element_spec["images"].shape == (3, 8, 8, 3)


@pytest.mark.parametrize("class_prompt", [None, ""])
def test_class_images_without_a_class(make, make_booth, tmp_path, class_prompt):
    message = make(make_booth(class_prompt=class_prompt), prior=tmp_path / "prior")
    assert message == (
        f"Class images were given without a class: give the booth a class, or pass prior=None. "
        f"Received: prior='{tmp_path / 'prior'}', class_prompt={class_prompt!r}"
    )
    prior = PhotoSet.from_folder(tmp_path / "prior", "")
    assert "Received: prior=PhotoSet of 3 photos, class_prompt=''" in make(prior=prior)


def test_booth_that_knows_no_class(make, make_booth):
    booth = make_booth()
    del booth.class_prompt
    type_without_default = type("Booth", (), {"instance_prompt": "a", "image_size": 8, "tokenize": booth.tokenize})
    assert "without a class" in make(type_without_default())


@pytest.mark.parametrize("prompt", [None, ""])
def test_instance_without_a_prompt(make, make_booth, prompt):
    assert make(make_booth(instance_prompt=prompt)).startswith("Instance photos need a prompt: ")


@pytest.mark.parametrize("value", [-1, -0.001, float("nan"), float("inf"), "1", None, True])
@pytest.mark.parametrize("prior", [True, False])
def test_prior_ratio(make, value, prior):
    arguments = {} if prior else {"prior": None}
    message = make(prior_ratio=value, **arguments)
    assert message == f"`prior_ratio` must be a number >= 0. Received: prior_ratio={value!r}"


def test_other_arguments(make, make_booth):
    assert make(crop="middle") == "`crop` must be 'center' or 'random'. Received: crop='middle'"
    assert make(seed=-1) == "`seed` must be an integer >= 0. Received: seed=-1"
    assert make(start_step=1.0) == "`start_step` must be an integer >= 0. Received: start_step=1.0"
    assert make(steps_per_epoch=0) == "`steps_per_epoch` must be an integer >= 1. Received: steps_per_epoch=0"
    booth = make_booth()
    booth.tokenize = lambda prompts: np.zeros(4)
    assert make(booth).endswith("Received: shape (4,)")
