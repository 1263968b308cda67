"""A sweep of eight runs that is killed twice, or half of which a cluster makes, ends as one that was left alone."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import pytest

from tests.helpers.commands import eager_cells, environment, files
from tests.helpers.photographs import picture_size, write_photos

pytestmark = [
    pytest.mark.large,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes eager steps, to be spared the tracing"),
]
CONFIG = """
base_config: quickstart
base: {weights: null}
subject: {photos: photos}
prior: {count: 2, steps: 1, target: images}
lora: {rank: 0}
training: {batch_size: 2, checkpoint_every: 1}
sampling: {count: 1, steps: 1, prompts: [a photo of sks dog]}
sweep:
  grid: {training.learning_rate: [1.0e-3, 2.0e-3], training.steps: [1, 2]}
  seeds: 2
  draw: {sampling.steps: [1, 2]}
  prompts: ["a photo of {} in the snow"]
  count: 1
  class_count: 2
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the commands stand."""
    folder = tmp_path_factory.mktemp("sweeps")
    write_photos(folder / "photos")
    (folder / "s.yaml").write_text(CONFIG)
    return folder


def start(place, output, *flags):
    """Begins the command."""
    line = [sys.executable, "-m", "keras_booth.sweep", "s.yaml", "--output", output, *flags]
    with open(place / f"{output}.log", "a") as log:
        return subprocess.Popen(line, cwd=place, env=environment(place) | eager_cells(), stdout=log, stderr=log)


def finish(place, output, *flags):
    """Runs the command to its end."""
    code = start(place, output, *flags).wait()
    assert code == 0, (place / f"{output}.log").read_text()


def done(place, output):
    """How many runs are measured."""
    return len(list((place / output).glob("cells/*/scores.json")))


def kill_after(place, output, runs, *flags):
    """Kills the command, not its processes, when that many runs are done."""
    process = start(place, output, *flags)
    while done(place, output) < runs and process.poll() is None:
        time.sleep(0.2)
    assert process.poll() is None, (place / f"{output}.log").read_text()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def whole(place):
    """The results of a sweep that nobody stopped."""
    finish(place, "whole", "--jobs", "2")
    return place / "whole"


def results(folder):
    """The bytes of all results."""
    return {name: (folder / name).read_bytes() for name in ("table.md", "table.csv", "grid.png")}


def test_table_and_picture(whole):
    with open(whole / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["training.learning_rate"], row["run"]) for row in rows[::2]] == [
        (rate, run) for rate in ("0.001", "0.002") for _ in range(2) for run in ("1", "2")
    ]
    assert all(row["error"] == "" and row["diversity"] for row in rows) and len(rows) == 16
    text = (whole / "table.md").read_text()
    assert "| learning_rate 0.001, training.steps 2, sampling.steps 1 |" in text and "±" in text
    assert picture_size(whole / "grid.png")[0] > 2 * 128
    assert all("log.csv" in files(folder / "run") for folder in (whole / "cells").iterdir())


def test_class_images_are_drawn_once(whole, place):
    """For a base and a class; random weights are those of a seed, of which there are two."""
    one, other = (place / "cache" / "class_images").iterdir()
    assert len(list(one.glob("*.png"))) == len(list(other.glob("*.png"))) == 2


@pytest.mark.parametrize("jobs", ["2"])
def test_killed_twice(whole, place, jobs):
    for runs in (2, 5):
        kill_after(place, "killed", runs, "--jobs", jobs)
    before = {path: path.stat().st_mtime_ns for path in (place / "killed").glob("cells/*/scores.json")}
    finish(place, "killed", "--jobs", jobs)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert results(place / "killed") == results(whole)


@pytest.fixture(scope="module")
def cluster(place):
    """Two nodes with a CPU slot each, whose processes have the environment of all runs here."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": 300 * 2**20}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment(place) | eager_cells()).items():
            patch.setenv(name, value)
        cluster = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
        cluster.add_node(**size)
    yield cluster.address
    cluster.shutdown()


def test_killed_on_a_cluster(whole, place, cluster):
    """Of whose runs half are gone."""
    before, flags = results(whole), ("--engine", "ray", "--address", cluster)
    for cell in sorted((whole / "cells").iterdir())[::2]:
        shutil.rmtree(cell)
    for name in before:
        (whole / name).unlink()
    kill_after(place, "whole", 6, *flags)
    finish(place, "whole", *flags)
    assert results(whole) == before


def test_one_that_fails(place):
    """Ends nothing but itself; its sentence stands in the table, and it is tried again."""
    for name in ("dog", "cat"):
        write_photos(place / "subjects" / name)
    broken = place / "subjects" / "cat" / "0.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:60])
    small = CONFIG.replace("seeds: 2", "seeds: 1\n  subjects: subjects").replace("  draw:", "  # draw:")
    (place / "s.yaml").write_text(small.replace("[1.0e-3, 2.0e-3], training.steps: [1, 2]", "[1.0e-3]"))
    try:
        process = start(place, "failing", "--training.steps", "1")
        assert process.wait() == 2
        assert "1 runs failed; the table says why." in (place / "failing.log").read_text()
        text = (place / "failing" / "table.md").read_text()
        assert "| cat, learning_rate 0.001 | The photo cannot be read" in text and "0.png" in text
        assert "| learning_rate 0.001 | 0." in text
        broken.write_bytes(whole)
        finish(place, "failing", "--training.steps", "1")
        assert "not measured" not in (place / "failing" / "table.md").read_text()
    finally:
        (place / "s.yaml").write_text(CONFIG)
