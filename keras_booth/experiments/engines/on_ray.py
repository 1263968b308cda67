"""Runs on the machines of a Ray cluster, one to a GPU or, where there are none, to a CPU slot."""

import contextlib
import dataclasses
import io
import os
import pathlib
import platform
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Callable, Sequence

from keras_booth.experiments.cell_files import CELL, CONFIG, LOG
from keras_booth.experiments.engines.local import begin, end, failure
from keras_booth.tools.errors import InputError
from keras_booth.workflow.parsing import read_config, to_yaml

PICTURES = "pictures"  # a folder of what a run reads
SECONDS = 15  # that a cluster has to answer


class Ray:
    """A Ray cluster. What a run needs travels there, and what it leaves comes back into this machine's folder.

    The machines of the cluster have keras_booth installed, and a base that is a file or a folder under the same path.

    Args:
        address: str. Of the cluster: `"auto"` for the one that this machine is part of, or `"ray://host:10001"`.
        cpus: int. CPU cores of a run, where there is no GPU.
    """

    def __init__(self, address: str = "auto", cpus: int = 1):
        self.ray = import_ray()
        self.cpus = cpus
        connect(self.ray, address)

    def run(self, folders: Sequence[pathlib.Path], on_end: Callable[[pathlib.Path, str | None], object]) -> None:
        """Does the cells in some folders; see `Local.run`."""
        ray = self.ray
        share = {"num_gpus": 1} if ray.cluster_resources().get("GPU") else {"num_cpus": self.cpus}
        remote = ray.remote(max_retries=2, **share)(do)
        pending = {remote.remote(pack_cell(folder)): folder for folder in folders}
        try:
            while pending:
                (done,), _ = ray.wait(list(pending), num_returns=1)
                folder = pending.pop(done)
                try:
                    archive, said = ray.get(done)
                except ray.exceptions.RayError as error:
                    on_end(folder, f"The cluster lost the run: {' '.join(str(error).split())[:200]}")
                    continue
                unpack(archive, folder)
                on_end(folder, said)
        finally:
            for reference in pending:
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.cancel(reference)


def import_ray():
    """The module `ray`; an `InputError` where it is not installed, or where archives cannot be unpacked safely."""
    if not hasattr(tarfile, "data_filter"):
        raise InputError(
            "--engine ray needs Python 3.10.12, 3.11.4 or later, which unpacks archives safely. Received: Python "
            f"{platform.python_version()}"
        )
    try:
        import ray
    except ImportError as error:
        raise InputError("--engine ray needs Ray: pip install 'keras_booth[ray]'. Received: --engine ray") from error
    return ray


def connect(ray, address):
    """Joins a cluster that is there."""
    if ray.is_initialized():
        return
    try:
        check_answers(address)
        ray.init(address=address, log_to_driver=False, logging_level="error", configure_logging=False)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"No Ray cluster answers; begin one with: ray start --head ({reason}). Received: --address={address!r}"
        ) from error


def check_answers(address):
    """Raises an error where nobody listens, for which Ray itself would wait for minutes."""
    if address == "auto":
        # Where Ray itself looks: a file that a cluster leaves behind when it is killed.
        place = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
        note = pathlib.Path(place, "ray", "ray_current_cluster")
        address = os.environ.get("RAY_ADDRESS") or (note.read_text().strip() if note.is_file() else "")
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=SECONDS).close()


def pack_cell(folder: pathlib.Path) -> bytes:
    """All that a run needs: what is to be done, and its pictures, from which it will read them there."""
    config, folders = with_own_folders(read_config(folder / CONFIG))
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
            archive.add(folder / CELL, CELL)
            add_text(archive, CONFIG, to_yaml(config))
            for name, path in folders.items():
                archive.add(path, name)
        return stream.getvalue()


def with_own_folders(config):
    """The config with its pictures in folders beside it, and a dict of where they are now by the names of those."""
    folders, subjects = {}, []
    for number, subject in enumerate(config.subjects, start=1):
        own = {"photos": subject.photos, "class_images": subject.class_images or config.prior.folder}
        names = {field: f"{PICTURES}/{field}_{number}" for field, path in own.items() if path}
        folders |= {name: own[field] for field, name in names.items()}
        subjects.append(dataclasses.replace(subject, **names))
    first, *more = subjects
    return dataclasses.replace(config, subject=first, more_subjects=tuple(more)), folders


def add_text(archive, name, text):
    """A file of an archive."""
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def do(archive: bytes) -> tuple[bytes, str | None]:
    """On a machine of the cluster: does a run. Returns what it left, packed, and what went wrong."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="keras_booth-"))
    process = None
    try:
        unpack(archive, folder)
        process = begin(folder, dict(os.environ))
        code = process.wait()
        said = failure(code, (folder / LOG).read_text(errors="replace"))
        for name in (CELL, CONFIG, PICTURES):
            path = folder / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        with io.BytesIO() as stream:
            with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as packed:
                for path in sorted(folder.iterdir()):
                    packed.add(path, path.name)
            return stream.getvalue(), said
    finally:
        if process is not None:
            end([process])
        shutil.rmtree(folder, ignore_errors=True)


def unpack(archive: bytes, folder: pathlib.Path) -> None:
    """Files of an archive into a folder, nothing outside of it."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        files.extractall(folder, filter="data")
