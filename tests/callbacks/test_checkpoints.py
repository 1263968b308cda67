"""A checkpoint holds all that the next step depends on."""

import keras
import numpy as np
import pytest

from keras_booth.callbacks.checkpoint_files import read
from keras_booth.callbacks.checkpoints import Checkpoints, latest_checkpoint, load_checkpoint, save_checkpoint
from keras_booth.callbacks.guard import FiniteGuard, NotFinite
from keras_booth.data import photo_dataset
from keras_booth.dreambooth import LoraConfig
from tests.helpers.booths import small_booth
from tests.helpers.photographs import write_photos

KINDS = {
    "full": {},
    "text encoder": {"train_text_encoder": True},
    "lora": {"lora": LoraConfig(rank=2), "train_text_encoder": True},
    "float16": {"dtype": "mixed_float16"},
}
CHOSEN = ["lora", *(pytest.param(kind, marks=pytest.mark.large) for kind in ("full", "text encoder", "float16"))]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos") / "photos")


def ready(kind, run_eagerly=False, **options):
    # TensorFlow orders some sums by the names of the layers, which have to be those of a new process.
    keras.utils.clear_session(free_memory=False)
    booth = small_booth(**KINDS[kind])
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, 6)
    optimizer = keras.optimizers.AdamW(schedule, global_clipnorm=1.0, use_ema=True, **options)
    booth.compile(optimizer, noise_offset=0.1, run_eagerly=run_eagerly)
    return booth


def fit(booth, photos, start, stop, *callbacks):
    data = photo_dataset(
        photos, None, booth, batch_size=2, steps_per_epoch=stop - start, start_step=start, crop="random", flip=True
    )
    for callback in callbacks:
        callback.start = start
    booth.fit(data, verbose=0, callbacks=list(callbacks))


def state(booth):
    variables = [*booth.trainable_variables, *booth.optimizer.variables, booth.seed_generator.state]
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


@pytest.mark.parametrize("kind", CHOSEN)
def test_going_on_equals_never_having_stopped(kind, photos, tmp_path):
    # The short one eagerly: tracing would take longer.
    whole, first, second = (ready(kind, run_eagerly=kind == "lora") for _ in range(3))
    fit(whole, photos, 0, 6)
    fit(first, photos, 0, 3, Checkpoints(tmp_path, every=3))
    assert load_checkpoint(second, latest_checkpoint(tmp_path)) == 3
    fit(second, photos, 3, 6)
    for ours, theirs in zip(state(second), state(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.large
def test_gradient_accumulation_too(photos, tmp_path):
    """Cut between two changes of the weights."""
    whole, first, second = (ready("full", gradient_accumulation_steps=2) for _ in range(3))
    fit(whole, photos, 0, 6)
    fit(first, photos, 0, 3, Checkpoints(tmp_path, every=1))
    load_checkpoint(second, latest_checkpoint(tmp_path))
    fit(second, photos, 3, 6)
    for ours, theirs in zip(state(second), state(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_rotation(photos, tmp_path):
    fit(ready("lora", run_eagerly=True), photos, 0, 5, Checkpoints(tmp_path, every=1, keep_last=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-0000000{n}.safetensors" for n in (4, 5)]


def test_damaged_ones_are_not_counted(tmp_path):
    """A run that went on from step 2, because step 4 was damaged, keeps what it wrote itself."""
    keeper = Checkpoints(tmp_path, every=1, keep_last=1, notes={"a": 1})
    keeper.set_model(ready("lora"))
    (tmp_path / "step-00000004.safetensors").write_bytes(b"no")
    for keeper.step in (2, 3):
        keeper.save()
    (path,) = tmp_path.iterdir()
    assert (read(path).step, read(path).notes) == (3, {"a": 1})
    stamp = path.stat().st_mtime_ns
    keeper.save()
    assert path.stat().st_mtime_ns == stamp


def test_of_another_run(tmp_path):
    path = save_checkpoint(ready("lora"), tmp_path, 1)
    with pytest.raises(ValueError, match="of another run"):
        load_checkpoint(ready("full"), path)


def test_truncated(tmp_path):
    path = save_checkpoint(ready("lora"), tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match="damaged"):
        load_checkpoint(ready("lora"), path)


class TestGuard:
    def test_a_loss(self, photos, tmp_path):
        """A learning rate that is far too high ends the run, and the checkpoint from before stays sound."""
        booth = small_booth(lora=LoraConfig(rank=2))
        booth.compile(keras.optimizers.SGD(1e30), run_eagerly=True)
        with pytest.raises(NotFinite, match=r"step \d"):
            fit(booth, photos, 0, 6, FiniteGuard(every=1), Checkpoints(tmp_path, every=1))
        for path in tmp_path.iterdir():
            load_checkpoint(booth, path)
            assert all(np.all(np.isfinite(array)) for array in state(booth))

    def test_a_weight(self, photos):
        booth = ready("lora", run_eagerly=True)
        booth.adapters.variables[3].assign(np.full(booth.adapters.variables[3].shape, np.nan, "float32"))
        with pytest.raises(NotFinite, match="lora_kernel_b|loss"):
            fit(booth, photos, 0, 1, FiniteGuard(every=1))
