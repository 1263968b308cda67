"""Which base is wanted, in one value."""

from __future__ import annotations

import dataclasses

from keras_booth.tools.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaseRequest:
    """What `load_base` makes a base of.

    Args:
        preset: str. A key of `PRESETS`; or the path of a folder in diffusers' format; or of a `.safetensors` file in
            the original layout; or of a `.keras` file that `DreamBooth.save` wrote, whose LoRA is merged into the
            weights; or `"hf://owner/name"` or `"hf://owner/name/file.safetensors"`, with `"@revision"` by choice.
        weights: `"pretrained"`, or `None` for random ones.
        image_size: int or (height, width) in pixels; `None` for the base's own.
        dtype: dtype policy of text encoder and UNet; `None` for `default_policy`.
        vocabulary: path of a gzipped BPE merge list; `None` for the base's own.
        prediction_type: `"epsilon"` or `"v_prediction"`, where a file does not say it; `None` for the base's own.
        zero_terminal_snr: bool. Whether to rescale the noise schedule so that its last timestep is noise alone, and to
            sample from there (arXiv:2305.08891, algorithm 1); `False` for the base's own. For bases that predict v.
        merge_tokens: float in `[0, 0.75)`; see `StableDiffusionBase.merge_tokens`.
        vae: path or hub address of another autoencoder, which takes the place of the base's; see `read_vae`.
        seed: int. Seed of random weights; `None` leaves the global state alone.

    Raises:
        InputError: for other `weights`.
    """

    preset: str
    weights: str | None = "pretrained"
    image_size: int | tuple[int, int] | None = None
    dtype: str | None = None
    vocabulary: str | None = None
    prediction_type: str | None = None
    zero_terminal_snr: bool = False
    merge_tokens: float = 0.0
    vae: str | None = None
    seed: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "preset", str(self.preset))
        if self.weights not in ("pretrained", None):
            raise InputError(f"`weights` must be 'pretrained' or None. Received: weights={self.weights!r}")
