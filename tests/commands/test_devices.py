"""The commands with `--devices`, on a machine that seems to have two."""

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from tests.helpers.commands import call, flags, several_devices
from tests.helpers.photographs import write_photos

pytestmark = pytest.mark.large
RUN = {
    **{"lora__rank": "2", "prior__count": "4", "prior__steps": "1", "training__steps": "4"},
    **{"training__batch_size": "4", "training__validate_every": "2", "sampling__count": "1", "sampling__steps": "1"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the commands stand: runs on one device and on two lie there."""
    folder = tmp_path_factory.mktemp("devices")
    write_photos(folder / "photos")
    for devices in ("1", "2"):
        done = called(folder, "train", *flags(**RUN, output__folder=f"run-{devices}"), "--devices", devices)
        assert done.code == 0, done.err
    return folder


def called(folder, *line):
    return call(folder, *line, **several_devices(2))


def require_equal_pictures(one, other, enlarged=1):
    # An enlarged picture as large as it was drawn: of two levels beside each other the enlarging makes more.
    one, other = (np.asarray(Image.open(path).reduce(enlarged)).astype(int) for path in (one, other))
    assert np.abs(one - other).max() <= 1


def test_train(place):
    one, two = (load_file(place / f"run-{devices}" / "dog-lora.safetensors") for devices in "12")
    for name, weights in one.items():
        np.testing.assert_allclose(two[name], weights, rtol=1e-5, atol=1e-7)
    require_equal_pictures(place / "run-1" / "samples.png", place / "run-2" / "samples.png", enlarged=2)


def test_generate(place):
    for devices in "12":
        line = ["run-1/dog.keras", "a photo of sks dog", "--count", 3, "--steps", 2, "--output", f"drawn-{devices}"]
        done = called(place, "generate", *line, "--devices", devices)
        assert done.code == 0, done.err
    drawn = sorted((place / "drawn-1").glob("*.png"))
    assert len(drawn) == 4  # and the sheet
    for path in drawn:
        require_equal_pictures(path, place / "drawn-2" / path.name)


def test_train_with_shared_weights(place):
    """On JAX, from class images to samples: each device has a part of the weights."""
    line = flags(**RUN | {"training__steps": "1"}, output__folder="shared")
    done = call(place, "train", *line, "--devices", 2, "--sharding", "model", **several_devices(2, "jax"))
    assert done.code == 0, done.err
    up = [array for name, array in load_file(place / "shared" / "dog-lora.safetensors").items() if "lora_up" in name]
    assert all(np.isfinite(array).all() for array in up) and any(array.any() for array in up)
    assert np.asarray(Image.open(place / "shared" / "samples.png")).std() > 0


@pytest.mark.parametrize(
    "line, said",
    [
        (["--devices", "3"], "`devices` must be 'all' or a number in [1, 2], as there are devices here."),
        (["--devices", "all", "--training.batch_size", "3"], "training.batch_size must be a multiple of 2"),
        (["--devices", "all", "--sharding", "model"], "set KERAS_BACKEND=jax"),
    ],
)
def test_mistakes(place, line, said):
    done = called(place, "train", *flags(**RUN, output__folder="none"), *line)
    assert done.code == 2
    assert said in done.err.splitlines()[-1]
    assert not (place / "none").exists()
