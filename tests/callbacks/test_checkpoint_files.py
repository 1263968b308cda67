"""A checkpoint says by itself whether it is whole."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_booth.callbacks.checkpoint_files import DamagedCheckpoint, in_order, newest_whole, read, write

TENSORS = {
    "weights/0000": np.arange(6, dtype="float32").reshape(2, 3),
    "optimizer/0000": np.array(7, "int64"),
    "optimizer/0001": np.zeros((0, 2), "float16"),
    "seed/0000": np.array([1, 2], "uint32"),
}


def written(folder, step, notes=None):
    path = folder / f"step-{step:08d}.safetensors"
    write(path, TENSORS, step, notes)
    return path


def older(folder, step, said=None, tensors=TENSORS):
    """As versions wrote it that knew of no digest."""
    path = folder / f"step-{step:08d}.safetensors"
    save_file(tensors, path, {"step": json.dumps(step if said is None else said)})
    return path


def test_whole(tmp_path):
    stored = read(written(tmp_path, 3, {"a": [1, None, "x"]}))
    assert (stored.step, stored.notes) == (3, {"a": [1, None, "x"]})
    stored = read(older(tmp_path, 4))
    assert (stored.step, stored.notes) == (4, None)


def test_a_bit_of_every_byte(tmp_path):
    """Is found when it is another one, or changes nothing of what is read."""
    path = written(tmp_path, 3, {"a": 1})
    content, harmless = path.read_bytes(), 0
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            stored = read(path)
        except DamagedCheckpoint as error:
            assert str(error).startswith("The checkpoint is damaged (") and str(path) in str(error)
            assert len(str(error)) < 500
        else:
            harmless += 1
            assert (stored.step, stored.notes) == (3, {"a": 1})
    # White space of the header, as safetensors pads it.
    assert harmless < 10


def test_every_length(tmp_path):
    path = written(tmp_path, 3)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedCheckpoint):
            read(path)


@pytest.mark.parametrize("said", [1_000_000_000, -2, 0, 2.0, True, "2", None, [2], 3])
def test_steps_that_are_none(tmp_path, said):
    with pytest.raises(DamagedCheckpoint, match="its step must be|damaged"):
        read(older(tmp_path, 2, json.loads(json.dumps(said)) if said is not None else [None]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none(tmp_path, value):
    tensors = TENSORS | {"weights/0000": np.array([1, value], "float32")}
    with pytest.raises(DamagedCheckpoint, match="'weights/0000' holds numbers that are not finite"):
        read(older(tmp_path, 2, tensors=tensors))


class TestNewest:
    def test_order(self, tmp_path):
        for step in (9, 10, 123456789):
            written(tmp_path, step)
        (tmp_path / "step-abc.safetensors").write_text("")
        (tmp_path / "step-00000011.safetensors").mkdir()
        os.mkfifo(tmp_path / "step-00000012.safetensors")
        assert [read(path).step for path in in_order(tmp_path)] == [9, 10, 123456789]
        assert in_order(tmp_path / "nowhere") == []

    def test_an_older_one_with_a_word(self, tmp_path, caplog):
        for step in (1, 2, 3):
            written(tmp_path, step)
        for step in (2, 3):
            (tmp_path / f"step-0000000{step}.safetensors").write_bytes(b"no")
        assert newest_whole(in_order(tmp_path)).step == 1
        (record,) = caplog.records
        said = record.getMessage()
        assert "step-00000003.safetensors; the run goes on from step-00000001.safetensors." in said

    def test_none(self, tmp_path, caplog):
        assert newest_whole([]) is None
        (tmp_path / "step-00000001.safetensors").write_bytes(b"no")
        with pytest.raises(
            DamagedCheckpoint, match="^No checkpoint of the run is whole; delete .* begins the run anew"
        ):
            newest_whole(in_order(tmp_path))
        assert not caplog.records
