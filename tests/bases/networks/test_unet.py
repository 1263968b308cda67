"""The UNet against KerasCV's own."""

import keras
import numpy as np
import pytest

from keras_booth.bases.base import global_policy
from keras_booth.bases.networks.corrections import SpatialTransformer
from keras_booth.bases.networks.unet import TimestepFeatures, UNetConfig, build_unet
from tests.helpers.arrays import array, normal
from tests.helpers.kerascv import copy_weights


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


@pytest.fixture(scope="module", params=UNETS)
def config(request):
    return UNETS[request.param]


@pytest.fixture(scope="module")
def unet(config):
    return build_unet(config, (8, 12), max_length=5)


class TestUNet:
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
