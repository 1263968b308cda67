"""Configs of diffusers' schedulers -> `NoiseSchedule`, and back."""

from keras_booth.bases.formats.diffusers.config_fields import check_fixed, have
from keras_booth.diffusion import NoiseSchedule
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.wording import shown

# Fields that say what a model was trained on; the rest of a scheduler's say how pictures are drawn, which is ours.
SCHEDULER_FIXED = {"trained_betas": None, "use_flow_sigmas": False}
# Schedulers whose models learned from DDPM's noise. Others (FlowMatch…, EDM…, VQDiffusion…) are of other models.
SCHEDULERS = (
    "DDIMInverseScheduler",
    "DDIMParallelScheduler",
    "DDIMScheduler",
    "DDPMParallelScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSDEScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
)


def parse_schedule(config, prediction_type=None):
    """`NoiseSchedule` of any of diffusers' schedulers for Stable Diffusion; where fields lack, diffusers' defaults."""
    kind = config.get("_class_name", "DDIMScheduler")
    if kind not in SCHEDULERS:
        raise CheckpointError(
            f"_class_name must be a scheduler of models that learned from DDPM's noise, such as DDIMScheduler. "
            f"Received: _class_name={shown(kind)}"
        )
    check_fixed(config, SCHEDULER_FIXED)
    return NoiseSchedule(
        steps=have(config, "num_train_timesteps", int, 1000),
        beta_start=have(config, "beta_start", float, 0.0001),
        beta_end=have(config, "beta_end", float, 0.02),
        beta_schedule=have(config, "beta_schedule", str, "linear"),
        prediction_type=prediction_type or have(config, "prediction_type", str, "epsilon"),
        timestep_spacing=have(config, "timestep_spacing", str, "leading"),
        steps_offset=have(config, "steps_offset", int, 0),
        ends_clean=have(config, "set_alpha_to_one", bool, True),
        zero_terminal_snr=have(config, "rescale_betas_zero_snr", bool, False),
    )


def write_schedule(base):
    """The inverse of `parse_schedule`, as a dict: a `DDIMScheduler`."""
    schedule = base.config.schedule
    return SCHEDULER_FIXED | {
        "_class_name": "DDIMScheduler",
        "beta_end": schedule.beta_end,
        "beta_schedule": schedule.beta_schedule,
        "beta_start": schedule.beta_start,
        "clip_sample": False,
        "num_train_timesteps": schedule.steps,
        "prediction_type": schedule.prediction_type,
        "rescale_betas_zero_snr": schedule.zero_terminal_snr,
        "set_alpha_to_one": schedule.ends_clean,
        "steps_offset": schedule.steps_offset,
        "timestep_spacing": schedule.timestep_spacing,
    }
