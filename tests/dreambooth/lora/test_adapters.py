"""LoRA trains A and B alone, starts from the base, and survives saving."""

import keras
import numpy as np
import pytest

from keras_booth.bases import load_base, named_layers
from keras_booth.dreambooth import DreamBooth, LoraConfig, load
from tests.helpers.booths import fixed_batch, small_booth
from tests.helpers.checkpoints.families import write_checkpoint

ALL = LoraConfig(rank=2, alpha=3.0, targets=("attention", "feed_forward", "convolution"))


class Same(keras.utils.PyDataset):
    """One batch, again and again."""

    def __init__(self, batch, steps):
        super().__init__()
        self.batch, self.steps = batch, steps

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        return (self.batch,)


def train(booth, steps=3, rate=1e-2):
    # Eagerly: tracing would take longer than everything else here. Resume's tests train LoRA compiled.
    booth.compile(keras.optimizers.Adam(rate), run_eagerly=True)
    history = booth.fit(Same(fixed_batch(booth, [False, True]), 1), epochs=steps, verbose=0)
    return history.history["loss"]


def snapshot(variables):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


@pytest.mark.parametrize("text_encoder", [False, True])
def test_starts_as_the_base(text_encoder):
    plain = small_booth(train_text_encoder=text_encoder)
    adapted = small_booth(train_text_encoder=text_encoder, lora=ALL)
    batch = fixed_batch(plain, [False, True])
    one, two = plain(batch)["prediction"], adapted(batch)["prediction"]
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(two))


@pytest.mark.parametrize(
    "text_encoder",
    [pytest.param(False, marks=pytest.mark.floor), pytest.param(True, marks=pytest.mark.large)],
)
def test_only_a_and_b_change(text_encoder):
    booth = small_booth(train_text_encoder=text_encoder, lora=ALL)
    ours = {id(variable) for variable in booth.adapters.variables}
    frozen = [v for model in booth.base.components.values() for v in model.weights if id(v) not in ours]
    before, matrices = snapshot(frozen), snapshot(booth.adapters.variables)
    assert {id(variable) for variable in booth.trainable_variables} == ours
    losses = train(booth)
    assert losses[-1] < losses[0]
    for variable, array in zip(frozen, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), array)
    for variable, array in zip(booth.adapters.variables, matrices, strict=True):
        assert np.any(keras.ops.convert_to_numpy(variable) != array), variable.path


def test_targets():
    def layers(*targets):
        return set(small_booth(lora=LoraConfig(targets=targets)).adapters.layers)

    attention, dense, convolutions = (layers(name) for name in ("attention", "feed_forward", "convolution"))
    assert all(".attn" in name for name in attention) and len(attention) % 8 == 0
    assert not (attention & dense or dense & convolutions or attention & convolutions)
    # What is left are the first and the last convolution, and what carries the timestep.
    rest = {name for name in named_layers(small_booth().base) if name.startswith("unet.")}
    rest -= attention | dense | convolutions
    assert {name.split(".")[1] for name in rest if "time_emb_proj" not in name} == {
        "conv_in",
        "conv_out",
        "time_embedding",
    }


def test_merged_and_unmerged_predict_the_same():
    """The factored product is the product in the kernel, for dense layers and convolutions."""
    booth = small_booth(train_text_encoder=True, lora=ALL)
    train(booth)
    batch = fixed_batch(booth, [False, True])
    apart = keras.ops.convert_to_numpy(booth(batch)["prediction"])
    kernels = snapshot(layer.kernel for layer in booth.adapters.layers.values())
    booth.merge_lora()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(booth(batch)["prediction"]), apart, atol=2e-5)
    booth.unmerge_lora()
    for layer, kernel in zip(booth.adapters.layers.values(), kernels, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(layer.kernel), kernel, atol=1e-6)


@pytest.mark.large
def test_scale():
    booth, plain = small_booth(lora=ALL), small_booth()
    train(booth)
    pictures = booth.generate("a photo of sks dog", 2)
    booth.lora_scale = 0
    np.testing.assert_array_equal(booth.generate("a photo of sks dog", 2), plain.generate("a photo of sks dog", 2))
    booth.lora_scale = 1
    np.testing.assert_array_equal(booth.generate("a photo of sks dog", 2), pictures)
    booth.merge_lora()
    booth.lora_scale = 0
    drawn = booth.generate("a photo of sks dog", 2).astype("int")
    assert np.abs(drawn - plain.generate("a photo of sks dog", 2)).max() <= 1


@pytest.mark.large
def test_keras_file(tmp_path):
    booth = small_booth(train_text_encoder=True, lora=ALL)
    train(booth)
    booth.save(tmp_path / "dog.keras")
    again = load(tmp_path / "dog.keras")
    assert again.adapters.sizes == booth.adapters.sizes
    for one, two in zip(booth.adapters.variables, again.adapters.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    np.testing.assert_array_equal(booth.generate("sks dog", 2), again.generate("sks dog", 2))
    assert len(again.trainable_variables) == len(again.adapters.variables)


@pytest.mark.large
def test_training_goes_on_from_a_lora_file(tmp_path):
    booth = small_booth(lora=ALL)
    train(booth, steps=5)
    booth.save_lora(tmp_path / "lora.safetensors")
    again = small_booth(lora=ALL)
    again.load_lora(tmp_path / "lora.safetensors")
    batch = fixed_batch(booth, [False, True])
    losses = []
    for model in (booth, again):
        model.compile("adam", run_eagerly=True)
        losses.append(model.evaluate(Same(batch, 1), verbose=0, return_dict=True)["loss"])
    assert losses[0] == losses[1]
    assert train(again, steps=5)[-1] < losses[0]


@pytest.mark.large
def test_export_holds_the_product(tmp_path):
    """diffusers gets a model that needs no LoRA file; ours stays as it was."""
    base = load_base(write_checkpoint("1.x", tmp_path / "checkpoint"))
    booth = DreamBooth(base, lora=ALL)
    train(booth)
    kernels = snapshot(layer.kernel for layer in booth.adapters.layers.values())
    again = DreamBooth.from_preset(booth.export_weights(tmp_path / "out"))
    batch = fixed_batch(booth, [False, True])
    ours, theirs = (keras.ops.convert_to_numpy(model(batch)["prediction"]) for model in (booth, again))
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    for layer, kernel in zip(booth.adapters.layers.values(), kernels, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.kernel), kernel)


@pytest.mark.parametrize("policy", [pytest.param("mixed_bfloat16", marks=pytest.mark.large), "mixed_float16"])
def test_matrices_stay_in_single_precision(policy):
    booth = small_booth(dtype=policy, lora=ALL)
    assert {variable.dtype for variable in booth.adapters.variables} == {"float32"}
    losses = train(booth, steps=3)
    assert np.all(np.isfinite(losses))


@pytest.mark.parametrize("field", [{"rank": 0}, {"rank": 2.5}, {"alpha": 0}, {"targets": ()}, {"targets": ("all",)}])
def test_mistakes(field):
    with pytest.raises(ValueError, match="Received"):
        LoraConfig(**field)


def test_lora_comes_once_and_before_compile():
    booth = small_booth(lora=ALL)
    with pytest.raises(ValueError, match="has LoRA already"):
        booth.add_lora()
    plain = small_booth()
    with pytest.raises(ValueError, match="has no LoRA"):
        plain.merge_lora()
    plain.compile()
    with pytest.raises(ValueError, match="before `compile`"):
        plain.add_lora()
