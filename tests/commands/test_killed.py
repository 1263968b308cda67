"""Killed and stopped at any moment: nothing is lost, nothing stays, and the end is the same bit for bit."""

import random
import signal
import subprocess
import sys
import time

import keras
import pytest
from safetensors import safe_open

from tests.helpers.commands import environment, files, flags
from tests.helpers.photographs import write_photos
from tests.helpers.processes import eager

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes eager steps, to be spared the tracing"),
    pytest.mark.large,
]
RUN = {
    **{"lora__rank": "2", "prior__count": "4", "prior__steps": "1", "training__steps": "5"},
    **{"training__checkpoint_every": "1", "sampling__every": "2", "sampling__count": "1", "sampling__steps": "1"},
}


@pytest.fixture(scope="module", params=[signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def number(request):
    return request.param


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the commands stand: a run that nobody stopped lies there."""
    folder = tmp_path_factory.mktemp("whole")
    write_photos(folder / "photos")
    length = finish(folder, "train", *flags(**RUN))
    return folder, length


def start(folder, *arguments):
    """Begins a command; its temporary files lie in `tmp`."""
    (folder / "tmp").mkdir(exist_ok=True)
    line = [sys.executable, eager.__file__, *map(str, arguments)]
    with open(folder / "stderr.txt", "w") as stderr:
        # A date in the metadata would be another one each time.
        kept = environment(folder) | {"TMPDIR": str(folder / "tmp"), "SOURCE_DATE_EPOCH": "0"}
        return subprocess.Popen(line, cwd=folder, env=kept, stdout=subprocess.DEVNULL, stderr=stderr)


def finish(folder, *arguments):
    """Runs a command to its end; returns the seconds that it took, of which moments are a share."""
    began = time.monotonic()
    code = start(folder, *arguments).wait()
    assert code == 0, (folder / "stderr.txt").read_text()
    return time.monotonic() - began


def stopped(folder, number, after, *arguments):
    """Stops a command after some seconds; whether it was still at work."""
    process = start(folder, *arguments)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    code = process.wait()
    said = (folder / "stderr.txt").read_text()
    # Before Python has come to our code nothing is promised but the end.
    assert code in (0, -signal.SIGKILL, -signal.SIGTERM, 143), said
    if code == 143:
        assert said.splitlines()[-1].startswith("Stopped") and "Traceback" not in said, said
    return code != 0


def content(path):
    """What a file holds; safetensors writes metadata in any order."""
    if path.suffix != ".safetensors":
        return path.read_bytes()
    with safe_open(path, "numpy") as file:
        tensors = {name: file.get_tensor(name).tobytes() for name in file.keys()}
        return tensors, file.metadata()


def contents(folder):
    """The bytes of a run but for its logs, whose times and running means differ, and the pictures of the curves."""
    names = [name for name in files(folder) if (folder / name).is_file()]
    skipped = ("log.csv", "loss.png", "config.yaml", "report.html", "dog.keras")
    return {name: content(folder / name) for name in names if not name.endswith(skipped)}


def weights(folder):
    model = keras.saving.load_model(folder / "dog.keras")
    return [variable.numpy().tobytes() for part in model.base.components.values() for variable in part.weights]


def left(folder):
    """What nobody asked for."""
    return [name for name in files(folder) if ".part" in name or "/tmp" in name or name.startswith("tmp/")]


def test_training(place, number, tmp_path):
    """And drawing class images, saving, the report: all that the command does."""
    whole, length = place
    write_photos(tmp_path / "photos")
    chance, arguments = random.Random(int(number)), flags(**RUN)
    for _ in range(10):
        stopped(tmp_path, number, chance.uniform(0.2, 1.0) * length, "train", *arguments)
        if (tmp_path / "run" / "config.yaml").exists():
            arguments = ["--resume", "run"]
        if (tmp_path / "run" / "dog.keras").exists() and not (tmp_path / "run" / "checkpoints").exists():
            break
    else:
        finish(tmp_path, "train", *arguments)
    assert files(tmp_path / "run") == files(whole / "run")
    assert contents(tmp_path / "run") == contents(whole / "run")
    assert weights(tmp_path / "run") == weights(whole / "run")
    (ours,), (theirs,) = ((folder / "cache" / "class_images").iterdir() for folder in (tmp_path, whole))
    assert contents(ours) == contents(theirs)
    # The last of them may have been killed when all was done: the next command, whichever, clears up after it.
    finish(tmp_path, "export", "run/dog.keras", "--output", "dog")
    assert left(tmp_path) == []


@pytest.mark.parametrize("output, kind", [("dog", "diffusers"), ("dog.safetensors", "lora")])
def test_exporting(place, number, output, kind):
    """Each into a file of the same name, which a LoRA's metadata has."""
    whole, _ = place
    out, command = whole / f"out-{int(number)}-{output}", ["export", whole / "run" / "dog.keras", "--format", kind]
    length = finish(whole, *command, "--output", out / "whole" / output)
    chance = random.Random(int(number))
    for _ in range(5):
        stopped(whole, number, chance.uniform(0.6, 1.0) * length, *command, "--output", out / output)
        made = out / output
        if made.exists():
            break
    else:
        finish(whole, *command, "--output", made)
    if made.is_dir():
        assert contents(made) == contents(out / "whole" / output)
    else:
        assert content(made) == content(out / "whole" / output)
    finish(whole, *command, "--output", out / "once more" / output)
    assert left(whole) == []
