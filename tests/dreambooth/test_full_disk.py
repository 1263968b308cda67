"""A disk that is full leaves nothing torn, and says which file found no room."""

import pytest

from keras_booth.dreambooth.prior.cache import write_whole
from tests.helpers.booths import small_booth
from tests.helpers.full_disk import files_of_at_most


def test_class_images(tmp_path):
    write_whole(tmp_path / "a.png", b"whole")
    with files_of_at_most(1000), pytest.raises(OSError) as error:
        write_whole(tmp_path / "a.png", bytes(2000))
    assert error.value.filename == str(tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"whole"


@pytest.mark.parametrize("room", [1000, 2_000_000])
def test_the_model(tmp_path, room):
    booth = small_booth()
    (tmp_path / "dog.keras").write_bytes(b"the one before")
    for dtype in ("float32", "float16"):
        with files_of_at_most(room), pytest.raises(OSError) as error:
            booth.save(tmp_path / "dog.keras", dtype=dtype)
        assert error.value.filename == str(tmp_path / "dog.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["dog.keras"]
    assert (tmp_path / "dog.keras").read_bytes() == b"the one before"
