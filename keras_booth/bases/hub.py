"""Checkpoints from the Hugging Face hub: `hf://owner/name[@revision]`."""

import pathlib
import re

from keras_booth.bases.checkpoints import refuse_pickle
from keras_booth.tools.errors import CheckpointError

PREFIX = "hf://"
# Only what `read_folder` reads: a repository often holds the same weights four times.
CONFIGS = ["model_index.json", "*/config.json", "scheduler/scheduler_config.json", "tokenizer/*"]
WEIGHTS = [
    "unet/diffusion_pytorch_model.safetensors",
    "unet/diffusion_pytorch_model.safetensors.index.json",
    "unet/diffusion_pytorch_model-?????-of-?????.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
]
HALVES = [name.replace(".safetensors", ".fp16.safetensors") for name in WEIGHTS if name.endswith("model.safetensors")]


def fetch(address):
    """Download the files of a checkpoint, or find them in the hub's cache.

    Args:
        address: str, `"hf://owner/name"` or `"hf://owner/name@revision"`.

    Returns:
        `Path` of a diffusers folder.

    Raises:
        CheckpointError: if the address is none, or the files cannot be had.
    """
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?/?", address)
    if match is None:
        raise CheckpointError(
            f"A hub address looks like hf://owner/name or hf://owner/name@revision. Received: {address}"
        )
    from huggingface_hub import HfApi, snapshot_download

    repository, revision = match.groups()
    try:
        # Not `list_repo_files`, which without a network tries again for 20 seconds before the cache gets its turn.
        files = [file.rfilename for file in HfApi().model_info(repository, revision=revision).siblings]
    # Without a network each version of huggingface_hub raises what its HTTP library does.
    except Exception:
        files = WEIGHTS
    patterns = CONFIGS + choose(files, address)
    try:
        return pathlib.Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except Exception as error:
        raise CheckpointError(
            f"The checkpoint could not be fetched: check the name, connect to the network, and log in with "
            f"`hf auth login` if it asks for that. Received: {address} ({first_line(error)})"
        ) from error


def choose(files, address):
    """The weight files to fetch of those in a repository."""
    wanted = [name for name in WEIGHTS if name in files or "?" in name or name.endswith("index.json")]
    if "unet/diffusion_pytorch_model.safetensors.index.json" in files or set(WEIGHTS[:1]) <= set(files):
        return wanted
    if set(HALVES) <= set(files):
        return HALVES
    for name in files:
        if name.startswith("unet/"):
            refuse_pickle(pathlib.PurePosixPath(address[len(PREFIX) :], name))
    raise CheckpointError(f"The repository holds no checkpoint in diffusers' format. Received: {address}")


def first_line(error):
    """The first line of an exception's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
