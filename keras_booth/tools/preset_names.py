"""The names of presets, for what has to know them before TensorFlow loads; `keras_booth.bases.PRESETS` makes them."""

TINY_WORLD = "tiny_world"
PRESET_NAMES = (TINY_WORLD, "stable_diffusion_1.4", "stable_diffusion_2.1", "stable_diffusion_xl")
