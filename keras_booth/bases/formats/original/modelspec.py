"""What a single file says of itself: the fields of ModelSpec, as ComfyUI, AUTOMATIC1111 and Forge show them.

The names of architectures are those of sd-scripts, whose files these programs know.
"""

import dataclasses
import datetime
import logging
import os
import time
from collections.abc import Sequence

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.networks.autoencoder import AutoencoderConfig
from keras_booth.bases.networks.text_encoder import TextEncoderConfig
from keras_booth.bases.networks.unet import UNetConfig

LATENT_SCALE = 0.18215
# Stable Diffusion's sizes by its major version: UNet and text encoder.
SIZES = {
    1: (UNetConfig(), TextEncoderConfig()),
    2: (
        UNetConfig(heads=(5, 10, 20, 0), context_width=1024, linear_projection=True),
        TextEncoderConfig(width=1024, layers=23, heads=16, activation="gelu"),
    ),
}

# Stable Diffusion XL's, as fields of `BaseConfig`. The guidance scale is diffusers' default.
XL = "XL"
XL_SIZES = {
    "unet": UNetConfig(
        widths=(320, 640, 1280),
        heads=(0, 10, 20),
        context_width=2048,
        linear_projection=True,
        depths=(1, 2, 10),
        pooled_width=1280,
    ),
    "text_encoder": TextEncoderConfig(penultimate=True),
    "text_encoder_2": TextEncoderConfig(
        **{"width": 1280, "layers": 32, "heads": 20, "activation": "gelu", "padding": "!"},
        **{"penultimate": True, "pooled_width": 1280},
    ),
    "latent_scale": 0.13025,
    "guidance_scale": 5.0,
    "zeros_for_empty": True,
}


def stable_diffusion_version(config: BaseConfig) -> int | str | None:
    """Which Stable Diffusion a base is, by its sizes and not by its name.

    Args:
        config: `BaseConfig`.

    Returns:
        1, 2 or `"XL"`; or `None` for a base of other sizes, which no program opens that knows Stable Diffusion alone.
    """
    if config.autoencoder != AutoencoderConfig():
        return None
    if config.text_encoder_2 is not None:
        parts = [config.unet, *map(sizes_alone, config.text_encoders.values())]
        wanted = [XL_SIZES["unet"], *(sizes_alone(XL_SIZES[name]) for name in config.text_encoders)]
        return XL if parts == wanted and config.latent_scale == XL_SIZES["latent_scale"] else None
    for version, (unet, text_encoder) in SIZES.items():
        if config.unet == unet and sizes_alone(config.text_encoder) == sizes_alone(text_encoder):
            return version if config.latent_scale == LATENT_SCALE else None
    return None


def sizes_alone(text_encoder):
    """A `TextEncoderConfig` without what fills short prompts, which is no size."""
    return dataclasses.replace(text_encoder, padding="")


def predicts_v(config: BaseConfig) -> bool:
    """Whether a base predicts v, and not the noise."""
    return config.schedule.prediction_type == "v_prediction"


def architecture(config):
    """sd-scripts' name: `"stable-diffusion-v1"`, `"stable-diffusion-v2-512"`, `"stable-diffusion-v2-768-v"`,
    `"stable-diffusion-xl-v1-base"`; or `None` for a base that is no Stable Diffusion."""
    version = stable_diffusion_version(config)
    if version == XL:
        return "stable-diffusion-xl-v1-base"
    if version == 2:
        return "stable-diffusion-v2-768-v" if predicts_v(config) else "stable-diffusion-v2-512"
    return version and "stable-diffusion-v1"


def model_spec(config: BaseConfig, subjects: Sequence[str] = (), adapter: str | None = None) -> dict[str, str]:
    """The metadata of a file.

    Args:
        config: `BaseConfig`.
        subjects: sequence of str, what the model was taught: `"sks dog"`. None for a base as it is.
        adapter: `"lora"`, or `None` for a whole model.

    Returns:
        dict of str. Of a base that is no Stable Diffusion it names no architecture.
    """
    height, width = config.image_size
    found = {
        "modelspec.title": ", ".join(subjects) or config.name,
        "modelspec.date": date(),
        "modelspec.resolution": f"{width}x{height}",
        "modelspec.prediction_type": "v" if predicts_v(config) else "epsilon",
    }
    if subjects:
        found["modelspec.trigger_phrase"] = ", ".join(subjects)
    kind = architecture(config)
    if kind:
        found |= {
            "modelspec.sai_model_spec": "1.0.1",
            "modelspec.architecture": f"{kind}/{adapter}" if adapter else kind,
            "modelspec.implementation": "diffusers" if adapter else "https://github.com/Stability-AI/generative-models",
        }
    return found


def kohya_model(config: BaseConfig) -> dict[str, str]:
    """What sd-scripts writes of the model that a LoRA is for; nothing of one that is no Stable Diffusion."""
    version, v = stable_diffusion_version(config), "_v" if predicts_v(config) else ""
    if version is None:
        return {}
    names = {1: "sd_v1", 2: "sd_v2", XL: "sdxl_base_v1-0"}
    return {"ss_v2": str(version == 2), "ss_base_model_version": names[version] + (v if version != XL else "")}


def date():
    """Now, in ISO 8601; or the seconds of the environment variable `SOURCE_DATE_EPOCH`, for files that are to say the
    same each time (reproducible-builds.org)."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(fixed) if fixed.isdecimal() else int(time.time())
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat()


def warn_of_strangers(config: BaseConfig, whole: bool = False) -> None:
    """Say which programs will not open what is written of a base, or will open it as something else.

    Args:
        config: `BaseConfig`.
        whole: bool. Whether it is one file with all weights.
    """
    logger, version = logging.getLogger("keras_booth"), stable_diffusion_version(config)
    if version is None:
        logger.warning(
            "ComfyUI and AUTOMATIC1111 cannot open what is written: the base %r does not have the sizes of Stable "
            "Diffusion 1.x, 2.x or XL. diffusers can (a folder, or a LoRA on that folder), and keras_booth.",
            config.name,
        )
    elif whole and version == 1 and predicts_v(config):
        logger.warning(
            "ComfyUI and AUTOMATIC1111 take any Stable Diffusion 1.x for one that predicts the noise, and the base %r "
            "predicts v: in ComfyUI put the node ModelSamplingDiscrete (v_prediction) behind the checkpoint, for "
            "AUTOMATIC1111 a .yaml with `parameterization: v` beside the file.",
            config.name,
        )
