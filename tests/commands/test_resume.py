"""`python -m keras_booth.train --resume`: killed at any moment, the end is the same."""

import csv
import random
import time

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file

from keras_booth import train
from keras_booth.dreambooth import load
from keras_booth.tools.process.shell import command_line
from keras_booth.workflow import run
from keras_booth.workflow.files import working_in
from keras_booth.workflow.parsing import parse_config, to_yaml
from tests.helpers.commands import call, files, flags, kill_at, start
from tests.helpers.full_disk import files_of_at_most
from tests.helpers.photographs import write_photos

LORA = {"lora__rank": "2", "training__text_encoder": "true"}
FULL = {"prior__loss_weight": "1"}


def options(**more):
    fast = {"training__steps": "12", "training__checkpoint_every": "2", "sampling__every": "0", "sampling__count": "1"}
    return flags(**(fast | more))


def steps_done(folder):
    log = folder / "run" / "log.csv"
    return log.read_text().count("\n") - 1 if log.exists() else -1


def weights(folder):
    model = keras.saving.load_model(folder / "run" / "dog.keras")
    return [variable.numpy() for part in model.base.components.values() for variable in part.weights]


def lines(folder):
    with open(folder / "run" / "log.csv", newline="") as file:
        return list(csv.reader(file))


def assert_same_end(one, two):
    for ours, theirs in zip(weights(one), weights(two), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # A logged loss is a difference of Keras's running sums, which begin anew with each part of a run.
    for ours, theirs in zip(lines(one), lines(two), strict=True):
        if ours != theirs:
            np.testing.assert_allclose(np.array(ours, "float"), np.array(theirs, "float"), rtol=1e-4)
    # The sampler is compiled for other batches where class images were drawn before, and may round differently.
    sheets = [np.asarray(Image.open(folder / "run" / "samples.png")).astype("int") for folder in (one, two)]
    assert np.abs(sheets[0] - sheets[1]).max() <= 1
    for folder in (one, two):
        assert not (folder / "run" / "checkpoints").exists()


def places(tmp_path):
    for name in ("whole", "cut"):
        write_photos(tmp_path / name / "photos")
        yield tmp_path / name


@pytest.mark.large  # two minutes; part of CI
def test_killed_twice(tmp_path):
    whole, cut = places(tmp_path)
    done = call(whole, "train", *options(**LORA))
    assert done.code == 0, done.err
    assert kill_at(start(cut, *options(**LORA)), lambda: steps_done(cut) >= 3)
    assert kill_at(start(cut, "--resume", "run"), lambda: steps_done(cut) >= 7)
    done = call(cut, "train", "--resume", "run")
    assert done.code == 0, done.err
    assert_same_end(whole, cut)
    done = call(cut, "train", "--resume", "run")
    assert done.code == 2
    assert "is finished" in done.err


@pytest.mark.huge
@pytest.mark.parametrize("what", [FULL, LORA], ids=["full", "lora"])
def test_killed_at_ten_random_moments(tmp_path, what):
    whole, cut = places(tmp_path)
    chance = random.Random(0)
    began = time.monotonic()
    assert call(whole, "train", *options(**what)).code == 0
    length = time.monotonic() - began
    arguments = options(**what)
    for _ in range(10):
        moment = time.monotonic() + chance.uniform(0, 1.2 * length)
        process = start(cut, *arguments)
        kill_at(process, lambda moment=moment: time.monotonic() > moment)
        if (cut / "run" / "config.yaml").exists():
            arguments = ["--resume", "run"]
    if not (cut / "run" / "dog.keras").exists() or (cut / "run" / "checkpoints").exists():
        done = call(cut, "train", *arguments)
        assert done.code == 0, done.err
    assert_same_end(whole, cut)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes eager steps, to be spared the tracing")
@pytest.mark.large
class TestEnd:
    """A disk that is full, then Ctrl-C after the last step: the model that is left at last is the one of the end.

    Three steps by twos leave a gradient over, and what is saved are averages.
    """

    OPTIONS = {
        "prior__loss_weight": "0",
        "training__steps": "3",
        "training__batch_size": "1",
        "training__cache_latents": "false",
        "training__accumulation": "2",
        "training__ema_momentum": "0.5",
        "training__learning_rate": "1e-2",
        "training__checkpoint_every": "3",
        "training__validate_every": "2",
        "training__hold_out": "1",
        "sampling__every": "3",
        "sampling__count": "1",
        "sampling__steps": "1",
        "lora__rank": "2",
        "output__folder": "my run",
    }

    @pytest.fixture
    def eagerly(self):
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
        yield
        tf.config.run_functions_eagerly(False)

    def test_the_model_is_the_one_that_was_shown(self, workplace, capsys, monkeypatch, eagerly):
        folder = workplace / "my run"
        again = command_line("train", "--resume", "my run")

        with files_of_at_most(64 * 1024):
            assert train.main(flags(**self.OPTIONS)) == 1
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith("The command stopped: ") and said.endswith(f"; go on with: {again}")
        assert "Received: my run/checkpoints/step-00000003.safetensors" in said
        assert files(folder) == ["checkpoints", "config.yaml", "log.csv", "photos.json", "validation.csv"]

        def interrupt(*args):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(run, "report", interrupt)
            assert train.main(["--resume", "my run"]) == 130
        assert capsys.readouterr().err.endswith(f"Stopped before the end. Go on with: {again}\n")
        lora, validation = load_file(folder / "dog-lora.safetensors"), (folder / "validation.csv").read_text()
        heads, *lines = (line.split(",") for line in validation.split())
        assert heads == ["step", "instance_loss", "prior_loss", "held_out_loss"]
        assert [line[0] for line in lines] == ["0", "2", "3"]
        assert all(line[2] == "" and float(line[3]) > 0 for line in lines)
        assert (folder / "samples" / "step-0003.png").exists()

        photo = workplace / "photos" / "1.png"
        kept = photo.read_bytes()
        photo.write_bytes((workplace / "photos" / "0.png").read_bytes())
        assert train.main(["--resume", "my run"]) == 2
        assert "Changed, gone or new: 1.png of photos of subject 1. Received" in capsys.readouterr().err
        photo.write_bytes(kept)
        with working_in(folder, "test"):
            assert train.main(["--resume", "my run"]) == 2
            assert capsys.readouterr().err.startswith("Another process is at work on this run")

        (workplace / "elsewhere").mkdir()
        monkeypatch.chdir(workplace / "elsewhere")
        assert train.main(["--resume", str(folder)]) == 0
        again = load_file(folder / "dog-lora.safetensors")
        assert again.keys() == lora.keys() and all(np.array_equal(again[name], lora[name]) for name in lora)
        assert (folder / "validation.csv").read_text() == validation
        assert (folder / "samples.png").exists() and not (folder / "checkpoints").exists()
        assert not (folder / ".lock").exists()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes eager steps, to be spared the tracing")
@pytest.mark.large
class TestBest:
    """`training.keep_best`: the best weights are those that are saved, also of a run that was stopped."""

    OPTIONS = TestEnd.OPTIONS | {
        "training__ema_momentum": "null",
        "training__accumulation": "1",
        "training__checkpoint_every": "1",
        "training__validate_every": "0",
        "training__hold_out": "0",
        "training__keep_best": "1",
        "sampling__every": "0",
        "output__folder": "kept",
    }

    def test_what_is_kept(self, workplace, monkeypatch, capsys):
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
        try:

            def interrupt(*args):
                raise KeyboardInterrupt

            with monkeypatch.context() as patch:
                patch.setattr(run, "report", interrupt)
                assert train.main(flags(**self.OPTIONS)) == 130
            folder = workplace / "kept"
            table = (folder / "best.csv").read_text()
            with safe_open(folder / "best.safetensors", framework="numpy") as file:
                best = {name: file.get_tensor(name) for name in file.keys()}
            assert train.main(["--resume", "kept"]) == 0
        finally:
            tf.config.run_functions_eagerly(False)
        assert [line.partition(",")[0] for line in table.split()] == ["step", "0", "1", "2", "3"]
        assert (folder / "best.csv").read_text() == table
        assert (folder / "best.png").exists() and not (folder / "best.safetensors").exists()
        assert "best.png" in capsys.readouterr().out
        saved = load(folder / "dog.keras")
        for name, variable in zip(sorted(best), saved.trainable_variables, strict=True):
            np.testing.assert_array_equal(best[name], keras.ops.convert_to_numpy(variable))


class TestMistakes:
    def test_no_run(self, refuses):
        assert "config.yaml is missing" in refuses(train.main, ["--resume", "nowhere"])

    def test_other_settings(self, refuses):
        sentence = refuses(train.main, ["--resume", "run", "--training.steps", "5"])
        assert "--training.steps" in sentence

    def test_a_damaged_checkpoint(self, workplace, capsys):
        """Of a run that was set up by hand: its config, and a file that is no checkpoint."""
        (workplace / "run" / "checkpoints").mkdir(parents=True)
        config = parse_config(options(prior__loss_weight="0"))
        (workplace / "run" / "config.yaml").write_text(to_yaml(config))
        (workplace / "run" / "checkpoints" / "step-00000002.safetensors").write_bytes(b"no")
        assert train.main(["--resume", "run"]) == 2
        assert "damaged" in capsys.readouterr().err
