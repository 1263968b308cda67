"""What a single file says of its noise schedule: which programs write it, and where they look for it."""

import functools
import logging

import numpy as np

from keras_booth.bases.formats.original.shapes import UNET
from keras_booth.diffusion import NoiseSchedule

STATED = {"v": "v_prediction", "v_prediction": "v_prediction", "epsilon": "epsilon", "eps": "epsilon"}
# sd-scripts' names of Stable Diffusion 2.x.
ARCHITECTURES = {"stable-diffusion-v2-768-v": "v_prediction", "stable-diffusion-v2-512": "epsilon"}
BASE_STEP = 875000  # of 512-base, from which AUTOMATIC1111 and diffusers know it
PROBED = f"{UNET}output_blocks.11.1.transformer_blocks.0.norm1.bias"
PROBED_LIMIT = 0.09  # ComfyUI's: in fine-tunes of 768-v it is above, in those of 512-base below


def find_schedule(checkpoint, second, prediction_type=None):
    """The noise schedule of a single file.

    What the file states counts most: the tensors `v_pred` and `ztsnr`, which trainers leave for ComfyUI and
    AUTOMATIC1111; then the metadata. Stable Diffusion 1.x is epsilon otherwise. Of 2.x the number of steps tells
    512-base, and else the weights: the deviation of one tensor, as in ComfyUI.

    Args:
        checkpoint: `Checkpoint` of all tensors by original names.
        second: bool. Whether it is Stable Diffusion 2.x.
        prediction_type: str that overrules the file, or `None`.

    Returns:
        `(schedule, sign)`: `NoiseSchedule`, and a text that says where a guess comes from; `None` where none was made.
    """
    found, sign = find_prediction(checkpoint, second)
    # Only trailing timesteps begin where there is noise alone.
    zero = {"zero_terminal_snr": True, "timestep_spacing": "trailing"} if "ztsnr" in checkpoint.shapes else {}
    if prediction_type:
        found, sign = prediction_type, None
    return NoiseSchedule(prediction_type=found, **(zero if found == "v_prediction" else {})), sign


def find_prediction(checkpoint, second):
    """`(prediction type, sign)`; see `find_schedule`."""
    names, metadata = checkpoint.shapes, checkpoint.metadata
    stated = STATED.get(metadata.get("modelspec.prediction_type", "").lower())
    architecture = ARCHITECTURES.get(metadata.get("modelspec.architecture", "").partition("/")[0])
    if "v_pred" in names:
        return "v_prediction", None
    if stated or architecture:
        return stated or architecture, None
    if not second:
        return "epsilon", None
    if "global_step" in names and int(np.ravel(checkpoint.read("global_step"))[0]) == BASE_STEP:
        return "epsilon", f"its global_step is {BASE_STEP}, that of 2-base"
    if PROBED in names:
        deviation = float(np.std(checkpoint.read(PROBED).astype("float64")))
        found = "v_prediction" if deviation > PROBED_LIMIT else "epsilon"
        side = "above" if found == "v_prediction" else "not above"
        return found, f"the deviation of {PROBED} is {deviation:.3f}, {side} {PROBED_LIMIT}"
    return "v_prediction", "Stable Diffusion 2.x mostly does, and nothing in the file says otherwise"


@functools.cache
def log_once(message):
    """Says what was found, once in a process: a run describes its base several times."""
    logging.getLogger("keras_booth").warning(message)
