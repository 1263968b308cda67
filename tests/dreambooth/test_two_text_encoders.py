"""A base with two text encoders, a pooled embedding and sizes is trained, drawn with and saved as any other."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_booth.data import photo_dataset
from keras_booth.dreambooth import LoraConfig
from keras_booth.evaluation.prompts import PromptSet
from keras_booth.evaluation.protocol import Protocol, evaluate
from tests.helpers.booths import fixed_batch, small_booth, small_xl_config
from tests.helpers.color_metrics import color_metrics
from tests.helpers.photographs import write_photos


def xl_booth(**options):
    return small_booth(config=small_xl_config(), **options)


def values(variables):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def changed(variables, before):
    return [not np.array_equal(new, old) for new, old in zip(values(variables), before, strict=True)]


@pytest.fixture(scope="module")
def booth():
    return xl_booth()


class TestTokens:
    def test_each_has_its_own(self, booth):
        tokens = booth.tokenize(["a dog", "wow!"])
        assert tokens.shape == (2, 2, 12) == (2, *booth.base.config.token_shape)
        first, second = booth.base.tokenizers.values()
        np.testing.assert_array_equal(tokens[:, 0], first(["a dog", "wow!"]))
        np.testing.assert_array_equal(tokens[:, 1], second(["a dog", "wow!"]))
        assert (tokens[0, 0, 4:] == first.end).all() and (tokens[0, 1, 4:] == second.ids["!"]).all()

    def test_prompts_and_tokens_are_the_same(self, booth):
        texts, tokens = ["a dog", "a cat"], booth.tokenize(["a dog", "a cat"])
        for name, array in booth.base.condition(texts).items():
            np.testing.assert_array_equal(array, booth.base.condition(tokens)[name])

    def test_a_cut_is_said_once(self, caplog):
        xl_booth().tokenize(["one two three four five six seven eight nine ten eleven twelve"])
        assert caplog.text.count("A prompt is cut") == 1


def test_sizes_are_told(booth):
    """Another original size or corner is another picture; without sizes it is that of the base."""
    rng = np.random.default_rng(0)
    latents, timesteps = rng.standard_normal((2, *booth.base.latent_shape)).astype("float32"), np.array([5, 700])
    given = booth.base.condition(["a dog", "a cat"])
    plain = np.asarray(booth.base.denoise(latents, timesteps, given))
    own = np.array([booth.base.sizes_of()] * 2)
    np.testing.assert_array_equal(own[0], [16, 16, 0, 0, 16, 16])
    np.testing.assert_array_equal(booth.base.denoise(latents, timesteps, given | {"sizes": own}), plain)
    for place in range(6):
        other = own.copy()
        other[1, place] += 7
        found = np.asarray(booth.base.denoise(latents, timesteps, given | {"sizes": other}))
        np.testing.assert_allclose(found[0], plain[0], atol=1e-5)
        assert np.abs(found[1] - plain[1]).max() > 1e-4


class TestTraining:
    def test_whole(self):
        """All weights of both text encoders but those that no picture depends on."""
        booth = xl_booth(train_text_encoder=True)
        unused = {id(variable) for variable in booth.base.unused_variables}
        assert len(unused) == 18  # the last layer of the first one and its norm
        used = [v for e in booth.base.text_encoders.values() for v in e.weights if id(v) not in unused]
        before, still = values(used), values(booth.base.unused_variables)
        booth.compile(keras.optimizers.AdamW(1e-2, weight_decay=0.1), run_eagerly=True)
        history = booth.fit(fixed_batch(booth, [False, True]), verbose=0)
        assert np.isfinite(history.history["loss"]).all()
        # Keys have biases to which the softmax is blind.
        assert sum(changed(used, before)) >= len(used) - 4
        assert not any(changed(booth.base.unused_variables, still))

    def test_frozen(self):
        booth = xl_booth()
        frozen = [v for name, part in booth.base.components.items() if name != "unet" for v in part.weights]
        before, unet = values(frozen), values(booth.unet.weights)
        booth.compile(keras.optimizers.AdamW(1e-2), run_eagerly=True)
        booth.train_on_batch(fixed_batch(booth, [False, True]))
        assert not any(changed(frozen, before))
        assert sum(changed(booth.unet.weights, unet)) > 0.9 * len(unet)

    def test_each_its_rate(self):
        booth = xl_booth(train_text_encoder=True)
        parts = [encoder.trainable_variables for encoder in booth.base.text_encoders.values()]
        before = [values(part) for part in parts]
        booth.compile(keras.optimizers.SGD(0.1), run_eagerly=True, text_encoder_rate=0.0, text_encoder_2_rate=0.5)
        booth.train_on_batch(fixed_batch(booth, [False, True]))
        first, second = (changed(part, old) for part, old in zip(parts, before, strict=True))
        assert not any(first) and sum(second) > len(second) / 2
        with pytest.raises(ValueError, match="text_encoder_2_rate=-1"):
            booth.compile(text_encoder_2_rate=-1)

    @pytest.mark.parametrize(
        "dtype", ["float32", *(pytest.param(dtype, marks=pytest.mark.large) for dtype in ("mixed_bfloat16", "float16"))]
    )
    def test_lora(self, dtype):
        booth = xl_booth(dtype=dtype, train_text_encoder=True, lora=LoraConfig(2))
        names = {name.split(".")[0] for name in booth.adapters.layers}
        assert names == {"unet", "text_encoder", "text_encoder_2"}
        booth.compile(keras.optimizers.AdamW(1e-2), run_eagerly=True)
        for _ in range(2):
            booth.train_on_batch(fixed_batch(booth, [False, True]))
        assert booth.decoder.dtype_policy.name == "float32"
        assert np.isfinite(booth.generate("a photo of sks dog", steps=2)).all()
        unused = {id(variable) for variable in booth.base.unused_variables}
        for name, layer in booth.adapters.layers.items():
            trained = id(layer.lora_kernel_b) not in unused
            assert np.any(keras.ops.convert_to_numpy(layer.lora_kernel_b)) == trained, name

    @pytest.mark.large
    def test_checkpointed_gradients(self):
        losses = []
        for forgets in (False, True):
            booth = xl_booth(train_text_encoder=True)
            booth.compile(keras.optimizers.SGD(0.05), gradient_checkpointing=forgets)
            losses.append([booth.train_on_batch(fixed_batch(booth, [False, True]))[0] for _ in range(3)])
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)

    def test_encoded_before(self, booth):
        """The same loss, whether text and pictures were encoded before or are in the step."""
        batch = fixed_batch(booth, [False, True])
        batch["sizes"] = np.array([[30, 40, 0, 3, 16, 16], [16, 16, 0, 0, 16, 16]], "float32")
        booth.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
        plain = booth.test_on_batch(batch)
        cached = {name: array for name, array in batch.items() if name not in ("images", "tokens")}
        cached |= {"moments": booth.encode_moments(batch["images"])} | booth.encode_text(batch["tokens"])
        assert {"context", "pooled"} <= cached.keys()
        np.testing.assert_allclose(booth.test_on_batch(cached), plain, rtol=1e-4)
        del cached["pooled"]
        with pytest.raises(ValueError, match="lacks `tokens`"):
            booth.test_on_batch(cached)
        with pytest.raises(ValueError, match=r"`sizes` must be of shape \(batch, 6\)"):
            booth.test_on_batch(batch | {"sizes": np.zeros((2, 4), "float32")})
        with pytest.raises(ValueError, match=r"`tokens` must be of shape \(batch, 2, 12\)"):
            booth.test_on_batch(batch | {"tokens": batch["tokens"][:, 0]})


class TestPhotographs:
    @pytest.fixture
    def folder(self, tmp_path):
        """One photograph of 40 x 24 pixels (16 x 27 once it is resized), one of the model's size."""
        folder, rng = tmp_path / "photos", np.random.default_rng(0)
        folder.mkdir()
        for name, (height, width) in {"a": (24, 40), "b": (16, 16)}.items():
            pixels = rng.integers(0, 256, (height, width, 3), "uint8")
            Image.fromarray(pixels).save(folder / f"{name}.png")
        return folder

    def sizes(self, folder, booth, **options):
        data = photo_dataset(folder, None, booth, batch_size=2, shuffle=False, steps_per_epoch=12, **options)
        return np.concatenate([batch["sizes"] for batch in data.as_numpy_iterator()])

    def test_middle(self, folder, booth):
        found = self.sizes(folder, booth)
        np.testing.assert_array_equal(found[0], [24, 40, 0, 5, 16, 16])
        np.testing.assert_array_equal(found[1], [16, 16, 0, 0, 16, 16])

    @pytest.mark.parametrize("cached", [False, True])
    def test_crops_and_mirrors(self, folder, booth, cached):
        """Where a crop begins in the picture that is shown: of a mirrored one, in the mirror."""
        options = {"crop": "random", "flip": True, "cache_latents": cached, "cache_text": cached}
        found = self.sizes(folder, booth, **options)
        wide = found[::2]
        assert (wide[:, :2] == (24, 40)).all() and (wide[:, 2] == 0).all() and (wide[:, 4:] == 16).all()
        assert wide[:, 3].min() >= 0 and wide[:, 3].max() <= 27 - 16 and len(set(wide[:, 3])) > 2
        if cached:
            return
        whole = photo_dataset(folder, None, booth, batch_size=2, shuffle=False, steps_per_epoch=12, **options)
        resized = Image.open(folder / "a.png").resize((27, 16), Image.Resampling.LANCZOS, reducing_gap=3.0)
        resized = np.asarray(resized, "float32") / 127.5 - 1
        for batch in whole.as_numpy_iterator():
            left = int(batch["sizes"][0, 3])
            ways = [picture[:, left : left + 16] for picture in (resized, resized[:, ::-1])]
            assert min(np.abs(batch["images"][0] - way).max() for way in ways) < 1e-6

    def test_fit(self, folder):
        booth = xl_booth(lora=LoraConfig(2))
        booth.compile(keras.optimizers.AdamW(1e-3), run_eagerly=True)
        data = photo_dataset(folder, folder, booth, batch_size=2, cache_latents=True, cache_text=True)
        history = booth.fit(data, epochs=2, verbose=0)
        assert np.isfinite(history.history["loss"]).all()


def test_saved_model(tmp_path):
    """Bit-equal pictures, and everything of its config."""
    booth = xl_booth(lora=LoraConfig(2), train_text_encoder=True)
    booth.compile(keras.optimizers.AdamW(1e-2), text_encoder_2_rate=0.5, run_eagerly=True)
    booth.train_on_batch(fixed_batch(booth, [False, True]))
    booth.save(tmp_path / "dog.keras", include_optimizer=True)
    again = keras.saving.load_model(tmp_path / "dog.keras")
    assert again.base.config == booth.base.config and again.text_encoder_2_rate == 0.5
    pictures = [model.generate("a photo of sks dog!", count=2, steps=3, seed=1) for model in (booth, again)]
    np.testing.assert_array_equal(*pictures)


def test_an_empty_negative_prompt_is_zeros(booth):
    """And one that says something is not."""
    text_to_image = booth._parts.text_to_image
    assert not any(np.any(array) for array in text_to_image.encode_negative("").values())
    assert all(np.any(array) for array in text_to_image.encode_negative("blue").values())
    assert all(np.any(array) for array in text_to_image.encode([""]).values())


def test_evaluated(booth, tmp_path):
    """Beside its photographs and its base, as any other."""
    folder = write_photos(tmp_path / "dog", count=2)
    protocol = Protocol(PromptSet(("a {} in red",)), count=1, class_count=2, sampling={"steps": 1})
    rows = evaluate(booth, folder, color_metrics(), protocol=protocol)
    assert rows and all(np.isfinite(estimate.value) for row in rows for estimate in row.scores.values())
