"""The names of presets and what they come from, for what has to know them before TensorFlow loads.

`keras_booth.bases.PRESETS` makes the bases.
"""

TINY_WORLD = "tiny_world"
# name -> (licence, which is also that of what is made of the base; repository on the hub, or `None`)
LICENCES = {
    TINY_WORLD: ("apache-2.0", None),
    "stable_diffusion_1.4": ("creativeml-openrail-m", "CompVis/stable-diffusion-v1-4"),
    "stable_diffusion_2.1": ("openrail++", "stabilityai/stable-diffusion-2-1-base"),
    "stable_diffusion_xl": ("openrail++", "stabilityai/stable-diffusion-xl-base-1.0"),
}
PRESET_NAMES = tuple(LICENCES)
