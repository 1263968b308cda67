"""Configs of a checkpoint's parts in diffusers' format -> ours, and back.

They are read, not assumed, and what the base cannot do is refused by the name of the field.
"""

from keras_booth.bases.formats.diffusers.config_fields import check_fixed, have, need
from keras_booth.bases.formats.original.modelspec import LATENT_SCALE
from keras_booth.bases.networks.autoencoder import AutoencoderConfig
from keras_booth.bases.networks.text_encoder import ACTIVATIONS, TextEncoderConfig
from keras_booth.bases.networks.unet import SIZE_NUMBERS, UNetConfig
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.wording import shown

# Fields with the only values that the base can do, which are also what a config means that lacks them.
UNET_FIXED = {
    "act_fn": "silu",
    "center_input_sample": False,
    "class_embed_type": None,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_norm": None,
    "downsample_padding": 1,
    "dual_cross_attention": False,
    "encoder_hid_dim": None,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "norm_eps": 1e-5,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "resnet_time_scale_shift": "default",
    "reverse_transformer_layers_per_block": None,
    "time_cond_proj_dim": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
}
AUTOENCODER_FIXED = {
    "act_fn": "silu",
    "in_channels": 3,
    "latents_mean": None,
    "mid_block_add_attention": True,
    "out_channels": 3,
    "shift_factor": None,
    "use_post_quant_conv": True,
    "use_quant_conv": True,
}
TEXT_ENCODER_FIXED = {"layer_norm_eps": 1e-5}
Numbers, Texts = tuple[int, ...], tuple[str, ...]  # types of fields


def parse_unet(config):
    """`(UNetConfig, size)` of a `UNet2DConditionModel`; the size is that of the latents."""
    check_fixed(config, UNET_FIXED)
    pooled, features = parse_addition(config)
    depth = have(config, "transformer_layers_per_block", int | Numbers, 1)
    widths = need(config, "block_out_channels", Numbers)
    down, up = (need(config, field, Texts) for field in ("down_block_types", "up_block_types"))
    attends = [{"CrossAttnDownBlock2D": True, "DownBlock2D": False}.get(kind) for kind in down]
    mirrored = ["CrossAttnUpBlock2D" if level else "UpBlock2D" for level in reversed(attends)]
    if None in attends or up != mirrored:
        raise CheckpointError(
            "Blocks must be CrossAttnDownBlock2D or DownBlock2D, and the same on the way up. Received: "
            f"down_block_types={shown(down)}, up_block_types={shown(up)}"
        )
    # For Stable Diffusion 1.x diffusers' `attention_head_dim` means the number of heads.
    field = "num_attention_heads" if config.get("num_attention_heads") else "attention_head_dim"
    heads = need(config, field, int | Numbers)
    heads = [heads] * len(widths) if isinstance(heads, int) else heads
    if not len(widths) == len(heads) == len(attends):
        raise CheckpointError(
            f"block_out_channels, down_block_types and {field} must have one item a level. "
            f"Received: {len(widths)}, {len(attends)} and {len(heads)} of them"
        )
    if need(config, "out_channels", int) != config.get("in_channels"):
        raise CheckpointError(
            f"in_channels must equal out_channels: inpainting and depth checkpoints are not supported. Received: "
            f"in_channels={shown(config.get('in_channels'))}, out_channels={config['out_channels']}"
        )
    unet = UNetConfig(
        latent_channels=config["in_channels"],
        widths=widths,
        heads=[count if attending else 0 for count, attending in zip(heads, attends, strict=True)],
        middle_heads=heads[-1] if heads else None,
        context_width=need(config, "cross_attention_dim", int),
        blocks_per_level=need(config, "layers_per_block", int),
        groups=have(config, "norm_num_groups", int, 32),
        time_features=widths[0] if widths else 2,
        linear_projection=bool(have(config, "use_linear_projection", bool | None, False)),
        depths=[depth] * len(widths) if isinstance(depth, int) else depth,
        pooled_width=pooled,
        size_features=features,
    )
    return unet, need(config, "sample_size", int | tuple[int, int])


def parse_addition(config):
    """`(pooled_width, size_features)` of a UNet: what is added to the embedding of its timesteps."""
    kind = config.get("addition_embed_type")
    if kind is None:
        return 0, UNetConfig.size_features
    if kind != "text_time":
        raise CheckpointError(
            f"addition_embed_type must be 'text_time' or null. Received: addition_embed_type={shown(kind)}"
        )
    features = need(config, "addition_time_embed_dim", int)
    width = need(config, "projection_class_embeddings_input_dim", int)
    pooled = width - SIZE_NUMBERS * features
    if pooled < 1:
        raise CheckpointError(
            f"projection_class_embeddings_input_dim must be more than the {SIZE_NUMBERS} * {features} of the sizes. "
            f"Received: projection_class_embeddings_input_dim={width}"
        )
    return pooled, features


def write_addition(config):
    """The inverse of `parse_addition`, as a dict."""
    if not config.pooled_width:
        return {"addition_embed_type": None}
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": config.size_features,
        "projection_class_embeddings_input_dim": config.pooled_width + SIZE_NUMBERS * config.size_features,
    }


def write_unet(base):
    """The inverse of `parse_unet`, as a dict."""
    config = base.config.unet
    down = ["CrossAttnDownBlock2D" if heads else "DownBlock2D" for heads in config.heads]
    up = ["CrossAttnUpBlock2D" if heads else "UpBlock2D" for heads in reversed(config.heads)]
    # Of a level without attention as if its heads were as wide as the middle's.
    wide = config.widths[-1] // config.middle_heads
    heads = [
        heads or (width // wide if width % wide == 0 else config.middle_heads)
        for heads, width in zip(config.heads, config.widths, strict=True)
    ]
    if base.config.image_size[0] != base.config.image_size[1]:
        size = list(base.config.latent_size)
    else:
        size = base.config.latent_size[0]
    return (
        UNET_FIXED
        | write_addition(config)
        | {
            "_class_name": "UNet2DConditionModel",
            "attention_head_dim": heads[0] if len(set(heads)) == 1 else heads,
            "block_out_channels": list(config.widths),
            "cross_attention_dim": config.context_width,
            "down_block_types": down,
            "in_channels": config.latent_channels,
            "layers_per_block": config.blocks_per_level,
            "norm_num_groups": config.groups,
            "out_channels": config.latent_channels,
            "sample_size": size,
            "transformer_layers_per_block": list(config.depths) or 1,
            "up_block_types": up,
            "use_linear_projection": config.linear_projection,
        }
    )


def parse_autoencoder(config):
    """`(AutoencoderConfig, latent scale)` of an `AutoencoderKL`."""
    check_fixed(config, AUTOENCODER_FIXED | {"_class_name": "AutoencoderKL"})
    blocks = need(config, "layers_per_block", int)
    autoencoder = AutoencoderConfig(
        latent_channels=need(config, "latent_channels", int),
        widths=need(config, "block_out_channels", Numbers),
        encoder_blocks=blocks,
        decoder_blocks=blocks + 1,
        groups=have(config, "norm_num_groups", int, 32),
    )
    return autoencoder, have(config, "scaling_factor", float, LATENT_SCALE)


def write_autoencoder(base):
    """The inverse of `parse_autoencoder`, as a dict."""
    config = base.config.autoencoder
    levels = len(config.widths)
    return AUTOENCODER_FIXED | {
        "_class_name": "AutoencoderKL",
        "block_out_channels": list(config.widths),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "latent_channels": config.latent_channels,
        "layers_per_block": config.encoder_blocks,
        "norm_num_groups": config.groups,
        "sample_size": max(base.config.image_size),
        "scaling_factor": base.config.latent_scale,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
    }


def parse_text_encoder(config):
    """`TextEncoderConfig` of transformers' `CLIPTextModel`, which does not say what its tokenizer does."""
    check_fixed(config, TEXT_ENCODER_FIXED)
    width = need(config, "hidden_size", int)
    if config.get("intermediate_size", 4 * width) != 4 * width:
        raise CheckpointError(
            f"intermediate_size must be 4 * hidden_size. "
            f"Received: intermediate_size={shown(config['intermediate_size'])}, hidden_size={width}"
        )
    activation = have(config, "hidden_act", str, "quick_gelu")
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"hidden_act must be one of {tuple(ACTIVATIONS)}. Received: hidden_act={shown(activation)}"
        )
    return TextEncoderConfig(
        vocabulary_size=have(config, "vocab_size", int, 49408),
        max_length=have(config, "max_position_embeddings", int, 77),
        width=width,
        layers=need(config, "num_hidden_layers", int),
        heads=need(config, "num_attention_heads", int),
        activation=activation,
    )


def parse_projection(config):
    """Width of the pooled embedding of transformers' `CLIPTextModelWithProjection`."""
    return need(config, "projection_dim", int)


def write_text_encoder(base, name="text_encoder"):
    """The inverse of `parse_text_encoder`, as a dict."""
    config, tokenizer = base.config.text_encoders[name], base.tokenizers[name]
    projected = {"projection_dim": config.pooled_width} if config.pooled_width else {}
    return (
        TEXT_ENCODER_FIXED
        | projected
        | {
            "architectures": ["CLIPTextModelWithProjection" if projected else "CLIPTextModel"],
            "bos_token_id": tokenizer.start,
            # Without these, transformers 5 computes in the precision of the file, while diffusers computes in float32.
            "dtype": "float32",
            "torch_dtype": "float32",
            "eos_token_id": tokenizer.end,
            "hidden_act": config.activation,
            "hidden_size": config.width,
            "intermediate_size": 4 * config.width,
            "max_position_embeddings": config.max_length,
            "model_type": "clip_text_model",
            "num_attention_heads": config.heads,
            "num_hidden_layers": config.layers,
            "pad_token_id": tokenizer.pad,
            "vocab_size": config.vocabulary_size,
        }
    )
