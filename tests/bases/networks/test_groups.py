"""Group norms of other than 32 groups: built, said to diffusers, and refused where a format cannot say it."""

import dataclasses
import types

import keras
import numpy as np
import pytest

from keras_booth.bases import BaseConfig, export_base
from keras_booth.bases.formats.diffusers.components import parse_autoencoder, parse_unet, write_autoencoder, write_unet
from keras_booth.bases.networks.autoencoder import AutoencoderConfig, build_decoder
from keras_booth.bases.networks.corrections import (
    AttentionBlock,
    GroupNormalization,
    ResBlock,
    ResnetBlock,
    SpatialTransformer,
)
from keras_booth.bases.networks.unet import UNetConfig, build_unet
from keras_booth.tools.errors import InputError
from tests.helpers.booths import small_config


def config_of(groups):
    config = small_config()
    autoencoder = dataclasses.replace(config.autoencoder, groups=groups, decoder_blocks=2)
    return dataclasses.replace(config, unet=dataclasses.replace(config.unet, groups=groups), autoencoder=autoencoder)


def norms(layers):
    for layer in layers:
        if isinstance(layer, ResnetBlock):
            yield from (layer.norm1, layer.norm2)
        elif isinstance(layer, ResBlock):
            yield from (layer.entry_flow[0], layer.exit_flow[0])
        elif isinstance(layer, AttentionBlock | SpatialTransformer):
            yield layer.norm
        elif isinstance(layer, GroupNormalization):
            yield layer


def test_every_norm_has_the_groups_of_the_config():
    config = config_of(8)
    unet, decoder = build_unet(config.unet, (8, 8), 12), build_decoder(config.autoencoder)
    # UNet: 2 + 2 + 4 blocks of two norms, 1 + 1 + 2 transformers, one at the end.
    assert [norm.groups for norm in norms(unet.layers)] == [8] * (8 * 2 + 4 + 1)
    assert [norm.groups for norm in norms(decoder.layers)] == [8] * (6 * 2 + 1 + 1)


def test_groups_of_more_than_one_channel_let_a_color_through():
    """In groups of one channel the mean of each is lost; in a group of four what differs between them is kept."""
    flat = np.broadcast_to(np.arange(32, dtype="float32"), (1, 4, 4, 32))
    one, four = (keras.ops.convert_to_numpy(GroupNormalization(groups)(flat)) for groups in (32, 8))
    np.testing.assert_allclose(one, 0.0, atol=1e-5)
    np.testing.assert_allclose(four[0, 0, 0, :4], np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(1.25), atol=1e-3)


def test_diffusers_folders_say_it():
    base = types.SimpleNamespace(config=config_of(8))
    assert write_unet(base)["norm_num_groups"] == write_autoencoder(base)["norm_num_groups"] == 8
    assert parse_unet(write_unet(base))[0].groups == 8
    assert parse_autoencoder(write_autoencoder(base))[0] == base.config.autoencoder


def test_configs_saved_before_mean_32():
    saved = config_of(8).to_dict()
    del saved["unet"]["groups"], saved["autoencoder"]["groups"]
    assert BaseConfig.from_dict(saved) == config_of(32)


def test_the_original_layout_cannot_say_it(tmp_path):
    base = types.SimpleNamespace(config=config_of(8))
    with pytest.raises(InputError, match=r"write format='diffusers'.*Received: groups=\(8, 8\)"):
        export_base(base, tmp_path / "one.safetensors", format="safetensors")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("make", [AutoencoderConfig, lambda groups: UNetConfig(groups=groups)])
def test_groups_must_divide_the_widths(make):
    with pytest.raises(InputError, match="must divide all widths.*Received: groups=7"):
        make(groups=7)
