"""Encoded before training or in every step: the same numbers."""

import io

import keras
import numpy as np
import pytest
from PIL import Image

from keras_booth.data import PhotoError, PhotoSet, photo_dataset
from keras_booth.data.encoded import EncodedPhotos
from keras_booth.data.prepared import PreparedPhotos
from keras_booth.dreambooth import LoraConfig
from tests.helpers.booths import small_booth
from tests.helpers.photographs import write_photos


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")
    return write_photos(folder / "photos"), write_photos(folder / "class", count=4)


def losses(folders, booth, steps=2, **options):
    data = photo_dataset(*folders, booth, batch_size=2, steps_per_epoch=1, **options)
    booth.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)  # tracing would take longer
    return booth.fit(data, epochs=steps, verbose=0).history["loss"]


@pytest.mark.parametrize(
    "kind", [{"lora": LoraConfig(rank=2)}, pytest.param({"dtype": "mixed_bfloat16"}, marks=pytest.mark.large)]
)
def test_training_is_the_same(folders, kind):
    plain = losses(folders, small_booth(**kind))
    cached = losses(folders, small_booth(**kind), cache_latents=True, cache_text=True)
    # Encoded one by one or in other batches, convolutions round differently.
    np.testing.assert_allclose(cached, plain, rtol=1e-5 if kind.get("dtype") is None else 1e-2)


def test_batches(folders):
    booth = small_booth()
    (batch, *_) = photo_dataset(*folders, booth, batch_size=2, cache_latents=True, cache_text=True).as_numpy_iterator()
    assert sorted(batch) == ["context", "is_prior", "moments", "sample_weight"]
    assert batch["moments"].shape == (2, 8, 8, 8) and batch["moments"].dtype == "float32"
    assert batch["context"].shape == (2, 12, 32) and batch["context"].dtype == "float32"


@pytest.mark.parametrize("crop, flip, variants", [("center", False, 1), ("center", True, 2), ("random", True, 8)])
def test_crops_and_flips_are_kept_as_variants(tmp_path, crop, flip, variants):
    booth = small_booth()
    path = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 64, 3), "uint8")).save(path)
    photos = PhotoSet((path,), "a photo")
    data = photo_dataset(
        photos, None, booth, batch_size=1, steps_per_epoch=100, crop=crop, flip=flip, cache_latents=True
    )
    seen = {batch["moments"].tobytes() for batch in data.as_numpy_iterator()}
    assert len(seen) == variants


def test_a_trained_text_encoder_cannot_be_cached(folders):
    booth = small_booth(train_text_encoder=True)
    with pytest.raises(ValueError, match="text encoder is trained"):
        photo_dataset(*folders, booth, cache_text=True)


class Colours:
    """Encodes a picture to its mean colour, and latents to themselves, twice."""

    def encode_moments(self, images):
        return np.full((len(images), 1, 1, 2), images.mean(axis=(1, 2, 3))[:, None, None, None], "float32")

    def moments_of(self, latents):
        return np.concatenate([latents, latents], axis=-1)


@pytest.mark.parametrize(
    "crop, flip, expected",
    [("center", False, [10, -1, 12]), ("center", True, [-1] * 6), ("random", False, [-1] * 12)],
)
def test_latents_are_taken_where_they_apply(tmp_path, crop, flip, expected):
    """For pictures of the training's size that are shown as they are."""
    paths, latents = [], []
    for index, width in enumerate((8, 12, 8)):
        paths.append(tmp_path / f"{index}.png")
        latents.append(tmp_path / f"{index}.npy")
        Image.new("RGB", (width, 8)).save(paths[-1])  # black, which is -1
        np.save(latents[-1], np.full((1, 1, 1), 10 + index, "float32"))
    photos = PreparedPhotos(paths, (8, 8), crop)
    assert photos.untouched == {0, 2}
    encoded = EncodedPhotos(photos, Colours(), (8, 8), crop, flip, 0, latents)
    np.testing.assert_array_equal(encoded.moments[..., 0].ravel(), expected)
    assert encoded.moments.shape == (3, encoded.variants, 1, 1, 2)


def npy(array, shape=None):
    """A file of NumPy's, by choice with another shape in its header than the array has."""
    with io.BytesIO() as file:
        np.save(file, array)
        content = file.getvalue()
    return content if shape is None else content.replace(b"(1, 1, 1)", shape)


@pytest.mark.parametrize(
    "content",
    [
        *(
            b"",
            b"no latents",
            npy(np.zeros((1, 1, 1)), b"(1,1,9**9)"),
            npy(np.zeros((1, 1, 1), "float32"), b"(1,99,10)"),
        ),
        *(npy(np.zeros((1, 1, 1))), npy(np.zeros(3, "float32")), npy(np.full((1, 1, 1), np.nan, "float32"))),
        *(npy(np.zeros((1, 1, 1), "float32"), b"((((((((("), npy(np.zeros((1, 1, 1), "float32"), b"print(),")),
        b"PK\x05\x06" + bytes(18),
    ],
)
def test_unreadable_latents(tmp_path, content):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    (tmp_path / "0.npy").write_bytes(content)
    photos = PreparedPhotos([tmp_path / "0.png"], (8, 8), "center")
    with pytest.raises(PhotoError, match="latents cannot be read.*Received: latents='.*0.npy'"):
        EncodedPhotos(photos, Colours(), (8, 8), "center", False, 0, [tmp_path / "0.npy"])


def test_a_photo_set_keeps_latents_beside_photos():
    photos = PhotoSet(("a.png", "b.png"), "a photo", latents=("a.npy", "b.npy"))
    assert photos.first(1) == PhotoSet(("a.png",), "a photo", latents=("a.npy",))
    with pytest.raises(PhotoError, match="Received: 1 files, 2 photos$"):
        PhotoSet(photos.paths, "a photo", latents=("a.npy",))


def test_latents_of_two_sizes(tmp_path):
    for index in range(2):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{index}.png")
        np.save(tmp_path / f"{index}.npy", np.zeros((1, 1 + index, 1), "float32"))
    photos = PreparedPhotos([tmp_path / "0.png", tmp_path / "1.png"], (8, 8), "center")
    with pytest.raises(PhotoError, match=r"The latents have the shape \(1, 2, 1\), and not \(1, 1, 1\) .*1.npy'"):
        EncodedPhotos(photos, Colours(), (8, 8), "center", False, 0, [tmp_path / "0.npy", tmp_path / "1.npy"])
