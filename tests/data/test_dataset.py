import hashlib
import os
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_booth.data import PhotoError, PhotoSet, photo_dataset
from keras_booth.data.prepared import PreparedPhotos
from tests.helpers.places import ROOT

INSTANCE = [10, 20, 30, 40]
PRIOR = [101, 102, 103, 104, 105, 106]


def values(batch):
    """The value of each photo of a batch that `write_values` wrote."""
    return [int(value) for value in np.round((batch["images"][:, 0, 0, 0] + 1) * 127.5)]


def collect(dataset):
    return [{name: np.array(array) for name, array in batch.items()} for batch in dataset]


@pytest.fixture
def folders(write_values):
    return write_values("instance", INSTANCE), write_values("prior", PRIOR)


@pytest.mark.floor
def test_batch_format(folders, make_booth):
    booth = make_booth()
    dataset = photo_dataset(*folders, booth, batch_size=4)
    assert dataset.element_spec == {
        "images": tf.TensorSpec((4, 8, 8, 3), tf.float32),
        "tokens": tf.TensorSpec((4, 4), tf.int32),
        "is_prior": tf.TensorSpec((4,), tf.bool),
        "sample_weight": tf.TensorSpec((4,), tf.float32),
    }
    assert booth.tokenized == [["a photo of sks dog", "a photo of a dog"]]
    tokens = booth.tokenize([booth.instance_prompt, booth.class_prompt])
    for batch in collect(dataset):
        np.testing.assert_array_equal(batch["is_prior"], np.array(values(batch)) > 100)
        np.testing.assert_array_equal(batch["tokens"], tokens[batch["is_prior"].astype(int)])


def test_pixels_are_scaled_exactly(tmp_path, make_booth):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)[..., None].repeat(3, -1)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    (batch,) = collect(photo_dataset(tmp_path, None, make_booth(image_size=16), batch_size=1))
    np.testing.assert_array_equal(batch["images"][0], ramp.astype("float32") / np.float32(127.5) - 1)
    assert batch["images"].min() == -1 and batch["images"].max() == 1


@pytest.mark.parametrize("ratio", [0.5, 1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5])
def test_ratio_weights_and_laps(folders, make_booth, ratio, batch_size):
    dataset = photo_dataset(
        *folders, make_booth(), batch_size=batch_size, prior_ratio=ratio, steps_per_epoch=60 // batch_size
    )
    batches = collect(dataset)
    assert all(len(batch["is_prior"]) == batch_size for batch in batches)
    is_prior = np.concatenate([batch["is_prior"] for batch in batches])
    assert is_prior.sum() == round(60 * ratio / (1 + ratio))
    for batch in batches:
        assert abs(batch["is_prior"].sum() - batch_size * ratio / (1 + ratio)) < 1

    shown = np.array([value for batch in batches for value in values(batch)])
    for stream, photos in ((shown[~is_prior], INSTANCE), (shown[is_prior], PRIOR)):
        for k in range(0, len(stream) - len(photos) + 1, len(photos)):
            assert sorted(stream[k : k + len(photos)]) == photos

    # Over the whole, mean(weight * loss) is the mean instance loss plus the mean prior loss, whatever the losses are.
    weight = np.concatenate([batch["sample_weight"] for batch in batches])
    loss = np.random.default_rng(0).random(60)
    np.testing.assert_allclose((weight * loss).mean(), loss[~is_prior].mean() + loss[is_prior].mean(), rtol=1e-6)


@pytest.mark.parametrize("prior", [False, True])
def test_without_prior_every_weight_is_one(folders, make_booth, prior):
    # A ratio of 0 leaves the class images out, and then the class prompt is not needed either.
    booth = make_booth(class_prompt=None)
    dataset = photo_dataset(folders[0], folders[1] if prior else None, booth, prior_ratio=0 if prior else 2)
    for batch in collect(dataset):
        assert not batch["is_prior"].any()
        np.testing.assert_array_equal(batch["sample_weight"], [1, 1])
        assert set(values(batch)) <= set(INSTANCE)


@pytest.mark.parametrize(
    "batch_size, ratio, steps",
    [(2, 1, 6), (2, 2, 5), (3, 2, 4), (2, 0.5, 9), (5, 1, 3), (2, 3, 7)],
)
def test_an_epoch_shows_the_longer_stream_once(folders, make_booth, batch_size, ratio, steps):
    dataset = photo_dataset(*folders, make_booth(), batch_size=batch_size, prior_ratio=ratio)
    assert dataset.cardinality() == steps == len(collect(dataset))


def test_steps_per_epoch_is_the_cardinality(folders, make_booth):
    dataset = photo_dataset(*folders, make_booth(), steps_per_epoch=17)
    assert len(dataset) == 17 == len(collect(dataset))


def epochs(dataset, count):
    return [[values(batch) for batch in collect(dataset)] for _ in range(count)]


def test_epochs_differ_and_continue(folders, make_booth):
    dataset = photo_dataset(*folders, make_booth(), steps_per_epoch=3)
    short = epochs(dataset, 8)
    assert len({str(epoch) for epoch in short}) == 8
    (long,) = epochs(photo_dataset(*folders, make_booth(), steps_per_epoch=24), 1)
    assert sum(short, []) == long


@pytest.mark.parametrize("start_step", [1, 3, 6, 7])
def test_start_step_equals_skipping(folders, make_booth, start_step):
    options = dict(steps_per_epoch=3, crop="random", flip=True, seed=3)
    first = photo_dataset(*folders, make_booth(), **options)
    whole = [batch for _ in range(4) for batch in collect(first)]
    resumed = photo_dataset(*folders, make_booth(), **options, start_step=start_step)
    rest = [batch for _ in range(2) for batch in collect(resumed)]
    for old, new in zip(whole[start_step:], rest, strict=False):
        for name in old:
            np.testing.assert_array_equal(old[name], new[name])


@pytest.mark.parametrize("steps", [2, 4])
def test_a_look_does_not_change_what_follows(folders, make_booth, steps):
    options = dict(steps_per_epoch=steps, seed=1)
    expected = epochs(photo_dataset(*folders, make_booth(), **options), 3)
    dataset = photo_dataset(*folders, make_booth(), **options)
    for count in range(1, steps):
        collect(dataset.take(count))
    iter(dataset)
    seen = epochs(dataset, 1)
    look = iter(dataset)
    next(look)
    time.sleep(0.2)  # time for a prefetch to run ahead of what was taken
    seen += epochs(dataset, 2)
    assert seen == expected


@pytest.mark.parametrize("count", [2, 3])
def test_shares_are_parts_of_the_whole(folders, make_booth, count):
    """Processes that train together: what they have of a batch is the batch, in order."""
    options = {"batch_size": 6, "crop": "random", "flip": True}
    whole = collect(photo_dataset(*folders, make_booth(), **options))
    shares = [collect(photo_dataset(*folders, make_booth(), **options, share=(n, count))) for n in range(count)]
    for batch, *parts in zip(whole, *shares, strict=True):
        for name, array in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), array)


def test_a_share_must_be_even(folders, make_booth):
    with pytest.raises(
        PhotoError, match="must be a multiple of 4, as so many processes share it. Received: batch_size=6"
    ):
        photo_dataset(*folders, make_booth(), batch_size=6, share=(0, 4))


def test_seed_and_shuffle(folders, make_booth):
    runs = [epochs(photo_dataset(*folders, make_booth(), seed=seed), 1) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]
    (epoch,) = epochs(photo_dataset(*folders, make_booth(), shuffle=False), 1)
    assert epoch == [[10, 101], [20, 102], [30, 103], [40, 104], [10, 105], [20, 106]]


PRINT_DIGEST = """
import hashlib, sys
from keras_booth.data import photo_dataset
from tests.helpers.data_booth import Booth
data = photo_dataset(sys.argv[1], sys.argv[2], Booth(), batch_size=3, crop="random", flip=True, seed=7)
digest = hashlib.sha256()
for _ in range(3):
    for batch in data.as_numpy_iterator():
        for name in sorted(batch):
            digest.update(batch[name].tobytes())
print(digest.hexdigest())
"""


def test_two_processes_see_the_same_bytes(tmp_path, make_booth, noise):
    for number in range(4):
        Image.fromarray(np.roll(noise, number, 1)).save(tmp_path / f"{number}.jpg")
    data = photo_dataset(tmp_path, tmp_path, make_booth(), batch_size=3, crop="random", flip=True, seed=7)
    digest = hashlib.sha256()
    for batch in [batch for _ in range(3) for batch in collect(data)]:
        for name in sorted(batch):
            digest.update(batch[name].tobytes())
    command = [sys.executable, "-c", PRINT_DIGEST, str(tmp_path), str(tmp_path)]
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    output = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert output.split()[-1] == digest.hexdigest()


LEAVE_OPEN = """
import builtins, sys
from keras_booth.data import photo_dataset
from tests.helpers.data_booth import Booth
iterator = iter(photo_dataset(sys.argv[1], sys.argv[2], Booth(), batch_size=2))
next(iterator)
# In a cycle, as an exception's frames hold it, so that it is there when the interpreter goes.
builtins.left = left = [iterator]
left.append(left)
print("last words", file=sys.stderr)
"""


def test_an_epoch_left_open_says_nothing_at_the_end(folders):
    """As where Ctrl-C or SIGTERM ended a run: our sentence is the last one."""
    command = [sys.executable, "-c", LEAVE_OPEN, *map(str, folders)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "last words"


def test_random_crop_moves_along_the_long_side(tmp_path, make_booth):
    columns = np.broadcast_to(np.arange(16, dtype=np.uint8)[None, :, None] * 10, (8, 16, 3))
    Image.fromarray(np.ascontiguousarray(columns)).save(tmp_path / "wide.png")
    options = dict(batch_size=1, steps_per_epoch=80)
    crops = collect(photo_dataset(tmp_path, None, make_booth(), crop="random", **options))
    lefts = [values(batch)[0] for batch in crops]
    assert set(lefts) == {10 * left for left in range(9)}
    centers = collect(photo_dataset(tmp_path, None, make_booth(), crop="center", **options))
    assert {values(batch)[0] for batch in centers} == {40}


def test_flip_mirrors_about_half(tmp_path, make_booth):
    columns = np.broadcast_to(np.arange(8, dtype=np.uint8)[None, :, None] * 10, (8, 8, 3))
    Image.fromarray(np.ascontiguousarray(columns)).save(tmp_path / "photo.png")
    batches = collect(photo_dataset(tmp_path, None, make_booth(), batch_size=1, steps_per_epoch=100, flip=True))
    first = [values(batch)[0] for batch in batches]
    assert set(first) == {0, 70}
    assert 30 <= first.count(70) <= 70


def test_height_and_width(tmp_path, make_booth, noise):
    Image.fromarray(noise).save(tmp_path / "photo.png")
    dataset = photo_dataset(tmp_path, None, make_booth(image_size=(16, 24)), batch_size=1)
    assert collect(dataset)[0]["images"].shape == (1, 16, 24, 3)


def test_photo_sets_bring_their_own_prompts(folders, make_booth):
    booth = make_booth(instance_prompt=None, class_prompt=None)
    instance = PhotoSet.from_folder(folders[0], "my own words")
    prior = PhotoSet(sorted(folders[1].iterdir())[:2], "some dogs")
    batches = collect(photo_dataset(instance, prior, booth))
    assert booth.tokenized == [["my own words", "some dogs"]]
    assert {value for batch in batches for value in values(batch)} == {*INSTANCE, 101, 102}


def test_photo_set_is_a_frozen_value(folders):
    photos = PhotoSet.from_folder(folders[0], "a prompt")
    assert photos == PhotoSet(list(photos.paths), "a prompt")
    assert hash(photos) == hash(PhotoSet(tuple(map(str, photos.paths)), "a prompt"))
    assert [path.name for path in photos.paths] == ["010.png", "020.png", "030.png", "040.png"]
    with pytest.raises(PhotoError, match=r"must list single photos: .* Received: paths='"):
        PhotoSet(folders[0], "a prompt")
    with pytest.raises(PhotoError, match=r"at least one photo: .* Received: paths=\(\)"):
        PhotoSet((), "a prompt")
    with pytest.raises(PhotoError, match=r"Received: prompt=None"):
        PhotoSet(photos.paths, None)


def test_photos_beyond_the_memory_limit_are_read_again(folders):
    paths = sorted(folders[1].iterdir())
    photos = PreparedPhotos(paths, (8, 8), "center", keep_bytes=2 * 8 * 8 * 3)
    kept = [photos[index] is photos[index] for index in range(len(photos))]
    assert kept == [True, True, False, False, False, False]
    assert [int(photos[index][0, 0, 0]) for index in range(len(photos))] == PRIOR


class Recorder(keras.Model):
    """A model that `fit` trains, and that notes which photos it was trained on."""

    def __init__(self):
        super().__init__()
        self.scale = keras.layers.Dense(1)
        self.seen = []

    def call(self, batch, training=False):
        return self.scale(keras.ops.mean(batch["images"], axis=(1, 2)))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if not isinstance(x["images"], keras.KerasTensor):
            self.seen.append(values({"images": np.array(x["images"])}))
        return keras.ops.mean(x["sample_weight"] * y_pred[:, 0])


@pytest.mark.floor
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="runs eagerly to see the photos")
def test_fit_sees_each_epoch_once_and_in_order(folders, make_booth):
    dataset = photo_dataset(*folders, make_booth(), steps_per_epoch=3)
    model = Recorder()  # not built yet, so that fit looks at a batch beforehand
    model.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
    model.fit(dataset, epochs=3, shuffle=False, verbose=0)
    model.fit(dataset, epochs=4, initial_epoch=3, shuffle=False, verbose=0)
    expected = sum(epochs(photo_dataset(*folders, make_booth(), steps_per_epoch=3), 4), [])
    seen = model.seen[-12:]
    assert seen == expected
    assert len(model.seen) <= 13  # at most the one look

    resumed = Recorder()
    resumed.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
    resumed.fit(
        photo_dataset(*folders, make_booth(), steps_per_epoch=3, start_step=6),
        epochs=4,
        initial_epoch=2,
        shuffle=False,
        verbose=0,
    )
    assert resumed.seen[-6:] == expected[6:]


def test_real_photographs(photographs, make_booth):
    booth = make_booth(image_size=64)
    dataset = photo_dataset(photographs / "dog", photographs / "cat", booth, batch_size=2)
    batches = collect(dataset)
    assert len(batches) == 5
    for batch in batches:
        assert sorted(batch["is_prior"]) == [False, True]
        assert -1 <= batch["images"].min() < -0.3 and 0.3 < batch["images"].max() <= 1
        assert batch["images"].std() > 0.2
    instance = {batch["images"][~batch["is_prior"]].tobytes() for batch in batches}
    assert len(instance) == 5


@pytest.mark.parametrize("cache", [False, True])
def test_each_set_is_cut_and_mirrored_in_its_own_way(tmp_path, cache):
    """Columns of growing brightness: the ends of a picture tell where it was cut, and how it was turned."""

    class Columns:
        image_size, class_prompt = 8, "a dog"

        def tokenize(self, prompts):
            return np.zeros((len(prompts), 2))

        def encode_moments(self, images):
            return images[:, :1, :, :1]

    columns = np.broadcast_to(np.arange(16, dtype=np.uint8)[None, :, None] * 10, (8, 16, 3))
    Image.fromarray(np.ascontiguousarray(columns)).save(tmp_path / "wide.png")
    paths = [tmp_path / "wide.png"]
    instances = [PhotoSet(paths, "a"), PhotoSet(paths, "b", crop="random"), PhotoSet(paths, "c", flip=True)]
    priors = [PhotoSet(paths, "d", crop="random", flip=True), PhotoSet(paths, "e")]
    data = photo_dataset(instances, priors, Columns(), steps_per_epoch=150, cache_latents=cache)
    seen = {"instance": [set(), set(), set()], "prior": [set(), set()]}
    for step, batch in enumerate(data.as_numpy_iterator()):
        shown = batch["moments" if cache else "images"][:, 0, :, 0]
        firsts = np.round((shown + 1) * 127.5).astype(int)[:, [0, -1]]
        for stream, chosen in (("instance", ~batch["is_prior"]), ("prior", batch["is_prior"])):
            (ends,) = firsts[chosen]
            seen[stream][step % len(seen[stream])].add(tuple(int(end) for end in ends))
    center, mirrored = (40, 110), (110, 40)
    assert seen["instance"][0] == seen["prior"][1] == {center}
    assert len(seen["instance"][1]) > 2 and all(left < right for left, right in seen["instance"][1])
    assert seen["instance"][2] == {center, mirrored}
    assert len({min(ends) for ends in seen["prior"][0]}) > 2 and len({a < b for a, b in seen["prior"][0]}) == 2
    with pytest.raises(PhotoError, match="`crop` must be 'center' or 'random'. Received: crop='middle'"):
        PhotoSet(paths, "a", crop="middle")
