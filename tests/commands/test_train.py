"""`python -m keras_booth.train`."""

import os
import signal
import threading
import time

import keras
import numpy as np
import pytest

from keras_booth import train
from keras_booth.dreambooth import DreamBooth
from keras_booth.figures.curves import read_log
from keras_booth.tools.process.shell import command_line
from keras_booth.workflow.parsing import read_config
from tests.helpers.commands import call, files, flags
from tests.helpers.photographs import picture_size, write_photos


class TestRun:
    @pytest.mark.floor
    def test_leaves_the_run_folder(self, trained):
        assert trained.code == 0, trained.err
        expected = ["config.yaml", "dog.keras", "log.csv", "loss.png", "photos.json", "samples", "samples.png"]
        expected += ["README.md", "report.html", "samples/step-0002.png"]
        assert files(trained.folder / "run") == sorted(expected)

    def test_says_where_everything_is_and_what_comes_next(self, trained):
        assert "The run is in run:" in trained.out
        flags = ("--count", 4, "--seed", 0, "--output", "run/pictures")
        assert command_line("generate", "run/dog.keras", "a photo of sks dog in the snow", *flags) in trained.out

    def test_shows_progress_and_nothing_else(self, trained):
        lines = [line.strip() for line in trained.err.replace("\r", "\n").splitlines() if line.strip()]
        # So short a run is warned about, once.
        assert [line.partition(",")[0] for line in lines[:2] if line.startswith("settings")] == [
            "settings: each photo is shown 1 times"
        ]
        assert {line.partition(":")[0] for line in lines} == {"settings", "class images", "training"}
        assert any("2/2" in line and "subject loss" in line and "class loss" in line for line in lines)

    def test_config_is_resolved_and_can_be_run_again(self, trained):
        config = read_config(trained.folder / "run" / "config.yaml")
        assert config.subject.instance_prompt == "a photo of sks dog"
        assert config.subject.class_prompt == "a photo of a dog"
        assert config.base.image_size == (128, 128)
        assert config.sampling.guidance_scale is not None
        assert config.training.steps == 2
        assert config.subject.photos == str(trained.folder / "photos")

    @pytest.mark.floor
    def test_log_has_the_losses_of_each_step(self, trained):
        steps, losses = read_log(trained.folder / "run" / "log.csv")
        assert list(steps) == [1, 2]
        np.testing.assert_allclose(losses["loss"], losses["instance_loss"] + losses["prior_loss"], rtol=1e-4)
        assert (losses["prior_loss"] > 0).all()

    @pytest.mark.floor
    def test_pictures_can_be_looked_at(self, trained):
        run = trained.folder / "run"
        assert picture_size(run / "samples.png")[1] > 2 * 192  # the photographs and a row of samples
        assert picture_size(run / "loss.png")[0] > 600
        assert picture_size(run / "samples" / "step-0002.png")[1] > 192

    def test_page_and_card_say_it_all(self, trained):
        page = (trained.folder / "run" / "report.html").read_text()
        # The sheet, the photographs, two class images, the losses, the sheet of step 2.
        assert page.count("<img ") == 1 + len(files(trained.folder / "photos")) + 2 + 1 + 1
        assert command_line("train", "--config", "run/config.yaml") in page
        assert "<h1>sks dog: tiny_world</h1>" in page and "subject.class_noun" in page
        card = (trained.folder / "run" / "README.md").read_text()
        assert card.startswith("---\nlicense: apache-2.0\n") and "a photo of sks dog in the snow" in card

    def test_class_images_are_kept(self, trained):
        pictures = [name for name in files(trained.folder / "cache") if name.endswith(".png")]
        assert len(pictures) == 2


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes eager steps, to be spared the tracing")
# TensorFlow says that it traces what reads the data nevertheless.
@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`:UserWarning")
class TestStopped:
    @pytest.mark.parametrize("number, ends", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_log_and_checkpoint_stay(self, workplace, capsys, number, ends):
        """Of whole steps, as many as were done."""
        import tensorflow as tf

        def stop():
            log = workplace / "run" / "log.csv"
            # The header and two steps: nobody waits for the end of the first one.
            while not (log.exists() and log.read_text().count("\n") >= 3):
                time.sleep(0.05)
            os.kill(os.getpid(), number)

        # A shell that runs the tests in the background has them ignore Ctrl-C.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=stop, daemon=True).start()
        tf.config.run_functions_eagerly(True)
        try:
            options = {"prior__loss_weight": "0", "training__steps": "1000", "training__batch_size": "1"}
            options |= {"lora__rank": "2"}
            code = train.main(flags(sampling__every="0", **options))
        finally:
            tf.config.run_functions_eagerly(False)
            signal.signal(signal.SIGINT, before)
        assert code == ends
        again = command_line("train", "--resume", "run")
        assert capsys.readouterr().err.endswith(f"Stopped before the end. Go on with: {again}\n")
        steps, losses = read_log(workplace / "run" / "log.csv")
        assert steps[0] == 1
        assert (losses["prior_loss"] == 0).all()
        checkpoint = f"checkpoints/step-{len(steps):08d}.safetensors"
        assert files(workplace / "run") == ["checkpoints", checkpoint, "config.yaml", "log.csv", "photos.json"]
        assert not (workplace / "cache").exists()


class TestBadInput:
    @pytest.mark.parametrize(
        "options, sentence",
        [
            ({"subject.photos": "nowhere"}, "The photo folder does not exist"),
            ({"subject.photos": "photos/0.png"}, "The photo folder is a file"),
            ({"subject.photos": ""}, "subject.photos must be a folder"),
            ({"subject.class_noun": ""}, "subject.class_noun must be the word for what the subject is"),
            ({"subject.identifier": "dog"}, "subject.identifier must differ from subject.class_noun"),
            ({"prior.loss_weight": "-1"}, "prior.loss_weight must be >= 0. Received: prior.loss_weight=-1"),
            ({"prior.count": "0"}, "prior.count must be >= 1"),
            ({"prior.folder": "nowhere"}, "The photo folder does not exist"),
            ({"training.batch_size": "6"}, "training.batch_size must be at most the number of pictures"),
            ({"training.batch_size": "4", "prior.loss_weight": "0"}, "training.batch_size must be at most the number"),
            ({"training.batch_size": "7", "prior.folder": "photos"}, "training.batch_size must be at most the number"),
            ({"training.keep_best": "-1"}, "training.keep_best must be >= 0"),
            ({"training.patience": "0"}, "training.patience must be >= 1"),
            ({"training.hold_out": "-1"}, "training.hold_out must be >= 0"),
            ({"training.hold_out": "3"}, "training.hold_out must be below the number of photographs, 3 in photos. Rec"),
            (
                {"training.batch_size": "3", "training.hold_out": "1", "prior.loss_weight": "0"},
                "training.batch_size must be at most the number of pictures: 2 photos and 0 class images",
            ),
            ({"training.steps": "0"}, "training.steps must be >= 1"),
            ({"base.image_size": "100"}, "Pictures of the base 'tiny_world' need a height and a width that are"),
            ({"base.image_size": "0"}, "base.image_size must be >= 1"),
            ({"base.preset": "tiny"}, "`preset` must be one of"),
            ({"base.weights": "mine"}, "`weights` must be 'pretrained' or None"),
            ({"output.folder": "photos/0.png"}, "output.folder must be a folder, but photos/0.png is a file"),
            ({"output.folder": "photos/0.png/run"}, "output.folder must be a folder, but"),
            ({"config": "nowhere.yaml"}, "config cannot be read (No such file or directory). Received: config=nowhere"),
            ({"training.colour": "red"}, "There is no field training.colour"),
        ],
    )
    def test_one_sentence_and_nothing_written(self, refuses, options, sentence):
        assert refuses(train.main, flags(**options)).startswith(sentence)

    def test_no_photos(self, refuses, workplace):
        (workplace / "empty").mkdir()
        assert refuses(train.main, flags(subject__photos="empty")).startswith("There is no photo in the folder")

    @pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n cut"])
    def test_unreadable_photo(self, refuses, workplace, content):
        (workplace / "photos" / "9.png").write_bytes(content)
        sentence = refuses(train.main, flags())
        assert sentence.startswith("The photo cannot be read")
        assert "9.png" in sentence

    def test_unreadable_class_image(self, refuses, workplace):
        (write_photos(workplace / "dogs") / "1.png").write_bytes(b"cut")
        # Nothing may be said but the one sentence: settings of drawn class images would have no effect.
        options = {"training__steps": "400", "prior__count": "200", "prior__steps": "null"}
        assert refuses(train.main, flags(prior__folder="dogs", **options)).startswith("The photo cannot be read")

    def test_as_a_user_calls_it(self, workplace):
        before = files(workplace)
        done = call(workplace, "train", *flags(prior__loss_weight="-1"))
        assert done.code == 2
        assert done.err == "prior.loss_weight must be >= 0. Received: prior.loss_weight=-1.0\n"
        assert files(workplace) == before

    def test_nothing_given(self, refuses):
        assert refuses(train.main, []).startswith("Say where the photographs are and what they show")

    @pytest.mark.parametrize("where", ["from_preset", "compute_loss"])
    def test_a_fault_of_ours_is_not_the_users(self, workplace, capsys, monkeypatch, where):
        """While the model is built, and while a step is traced."""

        def fail(*args, **kwargs):
            raise ValueError("a fault of ours")

        monkeypatch.setattr(DreamBooth, where, fail)
        assert train.main(flags(prior__loss_weight="0")) == 1
        said = capsys.readouterr().err
        assert "Traceback" in said and "ValueError: a fault of ours" in said
        assert said.splitlines()[-1].startswith("This is a fault of keras_booth")

    def test_help(self, capsys):
        with pytest.raises(SystemExit) as exit:
            train.main(["--help"])
        assert exit.value.code == 0
        assert "--training.learning_rate" in capsys.readouterr().out
