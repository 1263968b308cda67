"""An autoencoder of one's own choice in place of the base's, in every shape in which they are passed around."""

import dataclasses
import pathlib

from keras_booth.bases.formats import hub
from keras_booth.bases.formats.diffusers.components import parse_autoencoder
from keras_booth.bases.formats.diffusers.config_fields import read
from keras_booth.bases.formats.diffusers.folder import IGNORED, vae_renaming
from keras_booth.bases.formats.names import DIFFUSERS, ORIGINAL, component_tensors
from keras_booth.bases.formats.original.shapes import AUTOENCODER, TEXT_ENCODER, UNET, original_name
from keras_booth.bases.formats.original.single_file import read_autoencoder
from keras_booth.bases.formats.tensors import Checkpoint, check, find_weights, load, refuse_pickle
from keras_booth.bases.networks.autoencoder import AutoencoderConfig
from keras_booth.tools.errors import CheckpointError, InputError


@dataclasses.dataclass(frozen=True)
class ExternalVAE:
    """An autoencoder that has been described, but not loaded.

    Args:
        config: `AutoencoderConfig`.
        latent_scale: float, or `None` where the file does not say it: then the base's counts.
        checkpoint: `Checkpoint`.
        layout: `DIFFUSERS` or `ORIGINAL`, the names in it.
        path: `Path`.
    """

    config: AutoencoderConfig
    latent_scale: float | None
    checkpoint: Checkpoint
    layout: str
    path: pathlib.Path

    def put_into(self, config):
        """A `BaseConfig` with this autoencoder.

        Raises:
            InputError: for latents that the base's UNet does not know.
        """
        if self.config.latent_channels != config.unet.latent_channels:
            raise InputError(
                f"The autoencoder must have the {config.unet.latent_channels} latent channels of the base's UNet. "
                f"Received: latent_channels={self.config.latent_channels} in vae={self.path}"
            )
        scale = config.latent_scale if self.latent_scale is None else self.latent_scale
        return dataclasses.replace(config, autoencoder=self.config, latent_scale=scale)

    def load(self, base):
        """Load the weights into a base with this autoencoder's config: checked before anything is loaded."""
        prefix = AUTOENCODER if self.layout == ORIGINAL else ""
        rename = vae_renaming(self.checkpoint) if self.layout == DIFFUSERS else lambda name: name.removeprefix(prefix)
        tensors = component_tensors(base, self.layout)["vae"]
        check(self.checkpoint, tensors, (*IGNORED, r"(loss|model_ema)\."), rename)
        load(self.checkpoint, tensors, rename)


def read_vae(place):
    """Describe an autoencoder.

    Args:
        place: str or path: a folder of diffusers' `AutoencoderKL`; a folder of a whole checkpoint; a `.safetensors`
            file of an autoencoder or of a whole checkpoint, in original or in diffusers' names; or the hub's address
            of any of these.

    Returns:
        `ExternalVAE`.

    Raises:
        InputError: if nothing is there, or what is there is no autoencoder that the base can do.
    """
    path = hub.fetch_vae(place) if str(place).startswith(hub.PREFIX) else pathlib.Path(place)
    if path.is_dir():
        return read_vae_folder(path)
    refuse_pickle(path)
    if path.is_file():
        return read_vae_file(path)
    hint = f"; for the hub write hf://{place}" if hub.looks_like_a_repository(str(place)) else ""
    raise InputError(f"The autoencoder must be a folder or a `.safetensors` file{hint}. Received: vae={place}")


def read_vae_folder(folder):
    """`ExternalVAE` of a folder in diffusers' format, or of the `vae` in it."""
    inner = folder / "vae"
    folder = inner if inner.is_dir() else folder
    config, scale = read(folder / "config.json", parse_autoencoder)
    return ExternalVAE(config, scale, Checkpoint(find_weights(folder, "diffusion_pytorch_model")), DIFFUSERS, folder)


def read_vae_file(path):
    """`ExternalVAE` of a single file, whose sizes are read off the shapes."""
    checkpoint = Checkpoint([path], bare_name)
    layout = DIFFUSERS if any(name.startswith("encoder.down_blocks.") for name in checkpoint.shapes) else ORIGINAL
    if not any(name.startswith("encoder.down") for name in checkpoint.shapes):
        raise CheckpointError(f"The file holds no autoencoder of Stable Diffusion. Received: vae={path}")
    return ExternalVAE(read_autoencoder(checkpoint.shapes, path, layout, ""), None, checkpoint, layout, path)


def bare_name(name):
    """The name of a tensor within the autoencoder, or `None` for one of another part of a checkpoint."""
    name = original_name(name)
    if name is None or name.startswith((UNET, TEXT_ENCODER, "model_ema.")):
        return None
    inner = name.removeprefix(AUTOENCODER)
    return inner if inner.startswith(("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")) else None
