"""`prior_target="base"`: class images are held against what the base predicts, which LoRA leaves in place.

The oracle is the model itself before its LoRA learned anything, when B is zero.
"""

import keras
import numpy as np
import pytest

import keras_booth
from keras_booth.dreambooth import LoraConfig
from keras_booth.tools.errors import InputError
from tests.helpers.arrays import array
from tests.helpers.booths import fixed_batch, small_booth, small_xl_config
from tests.helpers.objective import MIXED, gradients, losses

ALL = LoraConfig(rank=2, alpha=3.0, targets=("attention", "feed_forward", "convolution"))


def made(dtype="float32", text_encoder=True, config=None):
    return small_booth(dtype=dtype, lora=ALL, train_text_encoder=text_encoder, config=config)


def learn(booth, seed=0):
    """Matrices B that are not zero."""
    rng = np.random.default_rng(seed)
    for layer in booth.adapters.layers.values():
        layer.lora_kernel_b.assign(0.1 * rng.standard_normal(layer.lora_kernel_b.shape))


def compiled(booth, **options):
    booth.compile(keras.optimizers.SGD(1.0), run_eagerly=True, **{"prior_target": "base"} | options)
    return booth


def predicted(booth, batch):
    return {name: array(value).astype("float64") for name, value in booth(batch).items()}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "bfloat16"])
def test_the_target_is_what_the_base_predicts(dtype, checkpointing):
    """Of class images; photographs keep theirs. Text encoders are the base's, too."""
    booth = made(dtype)
    batch = fixed_batch(booth, MIXED)
    before = predicted(booth, batch)
    learn(booth)
    compiled(booth, gradient_checkpointing=checkpointing)
    after, prior = predicted(booth, batch), np.array(MIXED)
    np.testing.assert_array_equal(after["target"][prior], before["prediction"][prior])
    np.testing.assert_array_equal(after["target"][~prior], before["target"][~prior])
    assert np.abs(after["prediction"] - before["prediction"]).max() > 0.05


def test_two_text_encoders():
    booth = made(config=small_xl_config())
    sizes = np.tile(np.array([16, 16, 0, 0, 16, 16], "float32"), (4, 1))
    batch = fixed_batch(booth, MIXED) | {"sizes": sizes}
    before = predicted(booth, batch)
    learn(booth)
    after = predicted(compiled(booth), batch)
    np.testing.assert_array_equal(after["target"][1], before["prediction"][1])


def test_the_objective():
    """Against the means in NumPy; of both terms, under both weights."""
    booth, prior = made(), np.array(MIXED)
    batch = fixed_batch(booth, MIXED)
    before = predicted(booth, batch)
    learn(booth)
    now = predicted(compiled(booth, prior_loss_weight=0.5), batch)["prediction"]
    instance = np.square(now - before["target"])[~prior].mean()
    kept = np.square(now - before["prediction"])[prior].mean()
    np.testing.assert_allclose(losses(booth, batch), [instance + 0.5 * kept, instance, kept], rtol=1e-5)


def test_the_gradient_equals_finite_differences():
    booth = made()
    learn(booth)
    compiled(booth)
    batch = fixed_batch(booth, MIXED)
    gradient = gradients(booth, batch)
    step = 1e-2 * gradient / np.linalg.norm(gradient)
    variables, values = booth.trainable_variables, []
    parts = np.split(step.astype("float32"), np.cumsum([int(np.prod(v.shape)) for v in variables])[:-1])
    for sign in (1, -1):
        for variable, part in zip(variables, parts, strict=True):
            variable.assign_add(sign * part.reshape(variable.shape))
        values.append(losses(booth, batch)[0])
        for variable, part in zip(variables, parts, strict=True):
            variable.assign_sub(sign * part.reshape(variable.shape))
    assert (values[0] - values[1]) / 2e-2 == pytest.approx(np.linalg.norm(gradient), rel=1e-2)


def test_class_images_change_nothing_at_first():
    """Where the model still is the base it is right about them; the paper's objective would train it on them."""
    booth = made()
    batch = fixed_batch(booth, [True, True])
    assert losses(compiled(booth), batch)[0] == 0 and not gradients(booth, batch).any()
    assert gradients(compiled(booth, prior_target="images"), batch).any()


def test_prompts_that_were_encoded_before():
    booth = made(text_encoder=False)
    batch = fixed_batch(booth, MIXED)
    tokens = batch["tokens"]
    encoded = {name: value for name, value in batch.items() if name != "tokens"} | booth.encode_text(tokens)
    learn(booth)
    compiled(booth)
    np.testing.assert_array_equal(predicted(booth, encoded)["target"], predicted(booth, batch)["target"])


def test_goes_on_after_loading_bit_for_bit(tmp_path):
    """In the compiled step. What is saved says the target, and the base is what is under the LoRA."""
    booth = made()
    booth.compile(keras.optimizers.AdamW(1e-2), prior_target="base")
    batch = fixed_batch(booth, MIXED)
    booth.train_on_batch(batch)
    booth.save(tmp_path / "dog.keras", include_optimizer=True)
    again = keras_booth.load(tmp_path / "dog.keras")
    assert again.prior_target == "base"
    for model in (booth, again):
        model.train_on_batch(batch)
    assert losses(booth, batch)[2] > 0
    for one, two in zip(booth.adapters.variables, again.adapters.variables, strict=True):
        np.testing.assert_array_equal(array(one), array(two))


class TestMistakes:
    def test_without_lora(self):
        with pytest.raises(InputError, match="is for LoRA.* prior_target='base' of a model without LoRA"):
            small_booth().compile(prior_target="base")

    def test_another_target(self):
        with pytest.raises(InputError, match=r"one of \('images', 'base'\)\. Received: prior_target='teacher'"):
            made().compile(prior_target="teacher")

    def test_set_after_compile(self):
        with pytest.raises(InputError, match="call `compile` again with it"):
            compiled(made()).prior_target = "images"

    @pytest.mark.parametrize("how", ["merged", "weighed by 0"])
    def test_lora_that_has_no_say(self, how):
        booth = compiled(made())
        if how == "merged":
            booth.merge_lora()
        else:
            booth.lora_scale = 0.0
        with pytest.raises(
            InputError, match="LoRA that is merged into the kernels, or weighed by 0, cannot be trained"
        ):
            booth.train_on_batch(fixed_batch(booth, MIXED))
