"""Checkpoints from the Hugging Face hub: `hf://owner/name[@revision]`, and `hf://owner/name/file[@revision]`."""

import contextlib
import functools
import pathlib
import re
from fnmatch import fnmatch

from keras_booth.bases.formats.diffusers.folder import FOLDERS
from keras_booth.bases.formats.hub_guard import (
    ANSWER_SECONDS,
    MOST_ANSWER,
    MOST_FILES,
    most_of,
    plain_names,
    require_cached,
    watched,
)
from keras_booth.bases.formats.tensors import refuse_pickle, shards, weight_files
from keras_booth.tools.errors import CheckpointError

PREFIX = "hf://"
REPOSITORY = r"[\w.-]+/[\w.-]+"
ADDRESS = re.compile(
    rf"hf://({REPOSITORY})(?:@(refs/\w+/[\w.-]+|[\w.-]+))?"
    r"(?:/([^@]+\.(?:safetensors|ckpt|bin|pth?)))?(?:@([\w./-]+))?/?"
)
# Only what `read_folder` reads: a repository often holds the same weights four times.
CONFIGS = ("model_index.json", "*/config.json", "scheduler/scheduler_config.json", "tokenizer/*", "tokenizer_2/*")
PARTS = dict(FOLDERS.values())
INDEX = re.compile(r".*\.safetensors\.index(\.fp16)?\.json")


def looks_like_a_repository(text):
    """Whether somebody may have left out `hf://`."""
    return re.fullmatch(rf"{REPOSITORY}(@[\w./-]+)?", text) is not None


def fetch(address):
    """Download the files of a checkpoint, or find them in the hub's cache.

    Args:
        address: str, `"hf://owner/name"` for a folder in diffusers' format; or `"hf://owner/name/file.safetensors"`
            for one file. `"@revision"` may follow the name or the end.

    Returns:
        `Path` of a folder, or of a file.

    Raises:
        CheckpointError: if the address is none, or the files cannot be had.
    """
    repository, file, revision = parse(address)
    if file:
        return fetch_file(address, repository, file, revision)
    names = listing(repository, revision)
    if names is not None and not any(name.startswith("unet/") for name in names):
        single = next((name for name in sorted(names) if name.endswith(".safetensors")), None)
        hint = f"; for one of its files write hf://{repository}/{single}" if single else ""
        raise CheckpointError(f"The repository holds no checkpoint in diffusers' format{hint}. Received: {address}")
    return fetch_parts(address, names, CONFIGS, PARTS)


def fetch_vae(address):
    """Download an autoencoder: a repository of one, the `vae` of a whole checkpoint, or one file; see `fetch`."""
    repository, file, revision = parse(address)
    if file:
        return fetch_file(address, repository, file, revision)
    names = listing(repository, revision)
    part = "vae" if names is None or any(name.startswith("vae/") for name in names) else ""
    folder = fetch_parts(address, names, ("config.json", "vae/config.json"), {part: PARTS["vae"]})
    return folder / part


def parse(address):
    """`(repository, file or None, revision or None)` of an address."""
    match = ADDRESS.fullmatch(address)
    if match is None or (match[2] and match[4]):
        raise CheckpointError(
            f"A hub address looks like hf://owner/name, hf://owner/name@revision, or "
            f"hf://owner/name/file.safetensors. Received: {address}"
        )
    return match[1], match[3], match[2] or match[4]


def listing(repository, revision):
    """set of the files in a repository; `None` where the hub does not say."""
    from huggingface_hub import HfApi

    ask = functools.partial(HfApi().model_info, repository, revision=revision, timeout=ANSWER_SECONDS)
    with naming(f"hf://{repository}"):
        try:
            # Not `list_repo_files`, which without a network tries again for 20 seconds before the cache gets its turn.
            found = watched(ask, MOST_ANSWER, ANSWER_SECONDS)
        except CheckpointError:
            raise
        # Without a network each version of huggingface_hub raises what its HTTP library does.
        except Exception:
            return None
        return None if found.siblings is None else plain_names(file.rfilename for file in found.siblings)


def fetch_file(address, repository, file, revision):
    """Download one file."""
    refuse_pickle(pathlib.PurePosixPath(repository, file))
    return had(address, functools.partial(download, repository, file, revision))


def download(repository, file, revision):
    """What huggingface_hub says of one file, once it is in its cache."""
    from huggingface_hub import hf_hub_download

    return watched(functools.partial(hf_hub_download, repository, file, revision=revision), most_of(file))


def fetch_parts(address, names, configs, parts):
    """Download configs, and of each part the weights that a folder would be read from.

    Args:
        address: str.
        names: set of the files in the repository; `None` where it is not known: then the cache must have all.
        configs: patterns of the files that are always wanted.
        parts: dict of the weights' stem by folder.

    Returns:
        `Path` of a folder.
    """
    from huggingface_hub import snapshot_download

    repository, _, revision = parse(address)
    if names is None:
        kept = functools.partial(snapshot_download, repository, revision=revision, local_files_only=True)
        return had(address, kept)
    small = [name for name in sorted(names) if INDEX.fullmatch(name) or any(fnmatch(name, one) for one in configs)]
    folder = fetch_all(address, small, revision)
    wanted = []
    for part, stem in parts.items():
        prefix = f"{part}/" if part else ""
        inside = {name[len(prefix) :] for name in names if name.startswith(prefix)}
        files = weight_files(inside, stem, lambda index, part=part: shards(folder / part / index))
        if not inside.intersection(files):
            for name in sorted(inside):
                refuse_pickle(pathlib.PurePosixPath(repository, part, name))
        wanted += [f"{prefix}{name}" for name in files if f"{prefix}{name}" in names]
    return fetch_all(address, wanted, folder.name) if wanted else folder


def fetch_all(address, names, revision):
    """Download some files of a repository, all of the commit of the first. Returns the `Path` of their folder."""
    repository = parse(address)[0]
    if not names or len(names) > MOST_FILES:
        raise CheckpointError(
            f"A checkpoint has from 1 to {MOST_FILES} files. Received: {address}, which has {len(names)}"
        )
    folder = None
    for name in names:
        path = had(address, functools.partial(download, repository, name, folder.name if folder else revision))
        folder = folder or path.parents[name.count("/")]
    return folder


def had(address, get):
    """The `Path` of what a call of huggingface_hub has put into its cache, or one sentence."""
    try:
        with naming(address):
            found = get()
    except CheckpointError:
        raise
    # Of a name that is wrong, a network that is none, a token that is missing: each version has its own.
    except Exception as error:
        raise CheckpointError(
            f"The checkpoint could not be fetched: check the name, connect to the network, and log in with "
            f"`hf auth login` if it asks for that. Received: {address} ({first_line(error)})"
        ) from error
    with naming(address):
        return pathlib.Path(require_cached(found))


@contextlib.contextmanager
def naming(address):
    """Adds the address to what is said of an answer."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{first_line(error)} Received: {address}") from error


def first_line(error):
    """The first line of an exception's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
