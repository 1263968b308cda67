"""Text encoder, UNet and autoencoder against KerasCV's own."""

import json
import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras_cv.models import stable_diffusion as kerascv

from keras_booth.bases import BaseConfig, StableDiffusionBase
from keras_booth.bases.base import global_policy
from keras_booth.bases.networks.autoencoder import AutoencoderConfig, build_decoder, build_image_encoder
from keras_booth.bases.networks.corrections import SpatialTransformer
from keras_booth.bases.networks.text_encoder import TextEncoderConfig, build_text_encoder
from keras_booth.bases.networks.unet import TimestepFeatures, UNetConfig, build_unet
from keras_booth.bases.tiny_world import tiny_world_config
from tests.helpers.booths import small_config
from tests.helpers.places import ROOT

PARAMETERS = {"text_encoder": 123_060_480, "unet": 859_520_964, "image_encoder": 34_163_664, "decoder": 49_490_199}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))


def copy_weights(source, target):
    for mine, theirs in zip(target.weights, source.weights, strict=True):
        mine.assign(theirs)


def train_epsilon(model):
    """Give KerasCV's autoencoder the group-norm epsilon that Stable Diffusion's was trained with."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.GroupNormalization):
            layer.epsilon = 1e-6


# === Full size ===


@pytest.fixture(scope="module")
def full_size_shapes():
    """dict of (KerasCV's, ours) by component: the name and shape of every weight."""
    line = [sys.executable, "-m", "tests.helpers.processes.full_size_shapes"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.large
@pytest.mark.parametrize("component", PARAMETERS)
def test_full_size_has_the_weights_of_kerascv(full_size_shapes, component):
    theirs, mine = full_size_shapes[component]
    assert mine == theirs
    assert sum(int(np.prod(shape)) for _, shape in mine) == PARAMETERS[component]


@pytest.mark.huge
class TestFullSize:
    """KerasCV's own classes, one at a time: at most two copies of the UNet, about 8 GB."""

    def write_and_release(self, model, inputs, path):
        """Write the legacy `.h5` format of the files that KerasCV publishes; return what the model answers."""
        for seed, variable in enumerate(model.weights):
            if variable.name in ("bias", "beta", "gamma"):
                variable.assign(variable + 0.1 * normal(*variable.shape, seed=seed))
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
        return array(model(inputs))

    def check(self, mine, inputs, path, expected, tolerance):
        mine.load_weights(path)
        error = np.abs(array(mine(inputs))[..., : expected.shape[-1]] - expected)
        assert error.max() < tolerance * np.abs(expected).max()

    def test_unet(self, tmp_path):
        latents, context = normal(1, 8, 8, 4), normal(1, 77, 768)
        features = array(TimestepFeatures(320)(np.array([437])))
        path = tmp_path / "unet.h5"
        original = kerascv.DiffusionModel(64, 64, 77, download_weights=False)
        expected = self.write_and_release(original, [latents, features, context], path)
        del original
        mine = build_unet(UNetConfig(), (8, 8), 77)
        # What is left is the correction: exact GELU and the epsilon of the spatial transformers.
        self.check(mine, [latents, np.array([437], "int32"), context], path, expected, tolerance=5e-3)

    def test_text_encoder(self, tmp_path):
        tokens, path = np.random.default_rng(0).integers(0, 49408, (2, 77), "int32"), tmp_path / "text_encoder.h5"
        original = kerascv.TextEncoder(77, download_weights=False)
        expected = self.write_and_release(original, [tokens, np.arange(77)[None].repeat(2, 0)], path)
        del original
        self.check(build_text_encoder(TextEncoderConfig()), tokens, path, expected, tolerance=1e-4)

    def test_image_encoder(self, tmp_path):
        pictures, path = np.tanh(normal(1, 64, 64, 3)), tmp_path / "image_encoder.h5"
        original = kerascv.ImageEncoder(download_weights=False)
        train_epsilon(original)
        expected = self.write_and_release(original, pictures, path) / 0.18215
        del original
        self.check(build_image_encoder(AutoencoderConfig()), pictures, path, expected, tolerance=1e-3)

    def test_decoder(self, tmp_path):
        latents, path = normal(1, 8, 8, 4), tmp_path / "decoder.h5"
        original = kerascv.Decoder(64, 64, download_weights=False)
        train_epsilon(original)
        expected = self.write_and_release(original, latents * 0.18215, path)
        del original
        self.check(build_decoder(AutoencoderConfig()), latents, path, expected, tolerance=1e-3)


# === UNet ===


class TestTimestepFeatures:
    def test_closed_form_cosines_first(self):
        timesteps = np.array([0, 1, 437, 999])
        angles = timesteps[:, None] * 10000.0 ** (-np.arange(160) / 160)
        expected = np.concatenate([np.cos(angles), np.sin(angles)], axis=-1)
        np.testing.assert_allclose(array(TimestepFeatures(320)(timesteps)), expected, atol=2e-4)

    def test_equals_kerascv(self):
        original = kerascv_timestep_embedding(437)
        np.testing.assert_allclose(array(TimestepFeatures(320)(np.array([437])))[0], original, atol=2e-4)

    def test_tells_late_timesteps_apart_in_bfloat16(self):
        with global_policy("mixed_bfloat16"):
            features = TimestepFeatures(64)(np.array([997, 998, 999], "int32"))
        assert keras.backend.standardize_dtype(features.dtype) == "bfloat16"
        one, two, three = array(features)
        assert np.abs(one - two).max() > 0.3 and np.abs(two - three).max() > 0.3


def kerascv_timestep_embedding(timestep):
    """As `keras_cv.models.StableDiffusion` embeds a timestep."""
    from keras_cv.src.models.stable_diffusion.stable_diffusion import StableDiffusionBase as KerasCVBase

    return array(KerasCVBase._get_timestep_embedding(None, np.float32(timestep), 1))[0]


UNETS = {
    "two levels": UNetConfig(widths=(32, 64), heads=(2, 0), context_width=24, blocks_per_level=1, time_features=32),
    "three levels": UNetConfig(widths=(32, 32, 64), heads=(0, 2, 0), context_width=24, time_features=16),
}


class TestUNet:
    @pytest.fixture(scope="class", params=UNETS)
    def config(self, request):
        return UNETS[request.param]

    @pytest.fixture(scope="class")
    def unet(self, config):
        return build_unet(config, (8, 12), max_length=5)

    @pytest.fixture
    def inputs(self):
        return [normal(2, 8, 12, 4), np.array([3, 900], "int32"), normal(2, 5, 24)]

    def test_shapes(self, config, unet, inputs):
        assert unet(inputs).shape == (2, 8, 12, 4)
        assert config.latent_multiple == 2 ** (len(config.widths) - 1)

    def test_skip_connections(self, config, unet):
        joins = [layer for layer in unet.layers if isinstance(layer, keras.layers.Concatenate)]
        levels, blocks = len(config.widths), config.blocks_per_level
        assert len(joins) == levels * (blocks + 1)
        # What went down comes back in reverse: the last skip is the very first convolution's output.
        down = [(8, 12, config.widths[0])]
        for level, width in enumerate(config.widths):
            down += [(8 // 2**level, 12 // 2**level, width)] * blocks
            if level < levels - 1:
                down.append((4 // 2**level, 6 // 2**level, width))
        assert [join.input[1].shape[1:] for join in joins] == down[::-1]

    def test_attention_is_where_the_config_says(self, config, unet):
        widths = [layer.output.shape[-1] for layer in unet.layers if isinstance(layer, SpatialTransformer)]
        levels = [width for width, heads in zip(config.widths, config.heads, strict=True) if heads]
        blocks = config.blocks_per_level
        # Down, once in the middle, up.
        assert widths == levels[:1] * blocks + [config.widths[-1]] + levels[:1] * (blocks + 1)

    def test_every_input_matters(self, unet, inputs):
        other = [normal(2, 8, 12, 4, seed=1), np.array([4, 800], "int32"), normal(2, 5, 24, seed=1)]
        output = array(unet(inputs))
        for index in range(3):
            changed = [other[i] if i == index else inputs[i] for i in range(3)]
            assert np.abs(array(unet(changed)) - output).max(axis=(1, 2, 3)).min() > 1e-5

    def test_samples_of_a_batch_are_independent(self, unet, inputs):
        alone = array(unet([value[1:] for value in inputs]))
        np.testing.assert_allclose(alone, array(unet(inputs))[1:], atol=1e-5)


def test_precision_of_the_unet_is_that_of_construction():
    with global_policy("mixed_bfloat16"):
        unet = build_unet(UNETS["two levels"], (4, 4), max_length=5)
    inputs = [normal(1, 4, 4, 4), np.array([500], "int32"), normal(1, 5, 24)]
    output = array(unet(inputs))
    assert {variable.dtype for variable in unet.weights} == {"float32"}
    with global_policy("mixed_bfloat16"):
        np.testing.assert_array_equal(array(unet(inputs)), output)
    exact = build_unet(UNETS["two levels"], (4, 4), max_length=5)
    copy_weights(unet, exact)
    error = np.abs(array(exact(inputs)) - output).max() / np.abs(output).max()
    assert 0 < error < 0.05


def test_unet_2_x_projects_by_dense_layers():
    config = UNetConfig(
        widths=(32,), heads=(2,), context_width=24, blocks_per_level=1, time_features=16, linear_projection=True
    )
    unet = build_unet(config, (4, 4), max_length=5)
    transformer = next(layer for layer in unet.layers if layer.name.startswith("spatial_transformer"))
    assert isinstance(transformer.proj1, keras.layers.Dense) and isinstance(transformer.proj2, keras.layers.Dense)
    assert unet([normal(1, 4, 4, 4), np.array([3], "int32"), normal(1, 5, 24)]).shape == (1, 4, 4, 4)


# === Text encoder ===


class TestTextEncoder:
    def test_equals_kerascv(self):
        """Against KerasCV's own class, whose width and depth are fixed, on a small vocabulary."""
        original = kerascv.TextEncoder(8, vocab_size=50, download_weights=False)
        mine = build_text_encoder(TextEncoderConfig(vocabulary_size=50, max_length=8))
        copy_weights(original, mine)
        tokens = np.random.default_rng(0).integers(0, 50, (2, 8), "int32")
        expected = array(original([tokens, np.arange(8)[None].repeat(2, 0)]))
        np.testing.assert_allclose(array(mine(tokens)), expected, atol=1e-4)

    @pytest.fixture(scope="class")
    def encoder(self):
        return build_text_encoder(TextEncoderConfig(vocabulary_size=50, max_length=6, width=32, layers=2, heads=2))

    def test_is_causal(self, encoder):
        tokens = np.array([[1, 2, 3, 4, 5, 6]], "int32")
        changed = np.array([[1, 2, 3, 9, 5, 6]], "int32")
        difference = np.abs(array(encoder(tokens)) - array(encoder(changed)))[0].max(axis=-1)
        assert (difference[:3] == 0).all() and (difference[3:] > 1e-4).all()

    def test_order_of_tokens_matters(self, encoder):
        one, other = (
            array(encoder(np.array([tokens], "int32")))[0, -1] for tokens in ([1, 2, 3, 4, 5, 6], [2, 1, 3, 4, 5, 6])
        )
        assert np.abs(one - other).max() > 1e-4

    def test_activation(self, encoder):
        config = TextEncoderConfig(vocabulary_size=50, max_length=6, width=32, layers=2, heads=2, activation="gelu")
        other = build_text_encoder(config)
        copy_weights(encoder, other)
        tokens = np.array([[1, 2, 3, 4, 5, 6]], "int32")
        assert 1e-4 < np.abs(array(other(tokens)) - array(encoder(tokens))).max() < 1


# === Autoencoder ===


class TestAutoencoder:
    def test_moments_are_unscaled(self):
        """KerasCV's encoder ends in the mean, scaled; the layer before it holds the moments."""
        original = kerascv.ImageEncoder(download_weights=False)
        train_epsilon(original)
        mine = build_image_encoder(AutoencoderConfig())
        copy_weights(original, mine)
        pictures = np.tanh(normal(1, 16, 24, 3))
        moments = array(mine(pictures))
        assert moments.shape == (1, 2, 3, 8)
        before = keras.Model(original.inputs, original.layers[-2].output)
        np.testing.assert_allclose(moments, array(before(pictures)), atol=1e-4)
        np.testing.assert_allclose(moments[..., :4] * 0.18215, array(original(pictures)), atol=1e-4)

    def test_decoder_equals_kerascv(self):
        """KerasCV's decoder takes scaled latents and divides them itself."""
        original = kerascv.Decoder(16, 16, download_weights=False)
        train_epsilon(original)
        mine = build_decoder(AutoencoderConfig())
        copy_weights(original, mine)
        latents = normal(1, 2, 2, 4)
        np.testing.assert_allclose(array(mine(latents)), array(original(latents * 0.18215)), atol=1e-3)

    @pytest.mark.parametrize("widths, factor", [((32,), 1), ((32, 32), 2), ((32, 64, 32), 4)])
    def test_factor(self, widths, factor):
        config = AutoencoderConfig(latent_channels=3, widths=widths, encoder_blocks=1, decoder_blocks=1)
        assert config.factor == factor
        assert build_image_encoder(config)(normal(2, 16, 8, 3)).shape == (2, 16 // factor, 8 // factor, 6)
        assert build_decoder(config)(normal(2, 4, 3, 3)).shape == (2, 4 * factor, 3 * factor, 3)


# === Base ===


@pytest.fixture(scope="module")
def base():
    return StableDiffusionBase(small_config())


class TestBase:
    def test_encode(self, base):
        pictures, noise = np.tanh(normal(2, 16, 16, 3)), normal(2, 8, 8, 4, seed=1)
        mean, log_variance = np.split(array(base.image_encoder(pictures)), 2, axis=-1)
        np.testing.assert_allclose(array(base.encode(pictures)), 0.18215 * mean, rtol=1e-5)
        sampled = 0.18215 * (mean + np.exp(log_variance / 2) * noise)
        np.testing.assert_allclose(array(base.encode(pictures, noise)), sampled, rtol=1e-4, atol=1e-6)

    def test_decoded_pictures_stay_in_range(self, base):
        pictures = array(base.decode(100.0 * normal(2, 8, 8, 4)))
        assert pictures.shape == (2, 16, 16, 3)
        assert pictures.min() == -1.0 and pictures.max() == 1.0

    def test_decode_divides_by_the_scale(self, base):
        latents = normal(1, 8, 8, 4)
        np.testing.assert_allclose(
            array(base.decode(latents * 0.18215)), np.clip(array(base.decoder(latents)), -1, 1), atol=1e-5
        )

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_only_the_autoencoder_is_always_float32(self, policy):
        mixed = StableDiffusionBase(small_config(), dtype=policy)
        half = policy.removeprefix("mixed_")
        tokens, pictures = np.zeros((1, 12), "int32"), np.zeros((1, 16, 16, 3), "float32")
        context = mixed.text_encoder(tokens)
        noise = mixed.unet([normal(1, 8, 8, 4), np.array([5], "int32"), array(context)])
        outputs = [context, noise, mixed.image_encoder(pictures), mixed.decode(mixed.encode(pictures))]
        dtypes = [keras.backend.standardize_dtype(output.dtype) for output in outputs]
        assert dtypes == [half, half, "float32", "float32"]
        assert keras.config.dtype_policy().name == "float32"  # the global policy is as it was

    def test_config_round_trip(self):
        config = tiny_world_config(vocabulary_size=1211).with_image_size((64, 96))
        assert BaseConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
