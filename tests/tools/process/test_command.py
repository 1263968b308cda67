import io
import sys

import pytest

from keras_booth.data import PhotoError
from keras_booth.tools.errors import InputError, OutOfMemory, sentence
from keras_booth.tools.process.command import Parser, command, option_names, user_path
from keras_booth.tools.process.stopping import Terminated


class TestCommand:
    @pytest.mark.parametrize(
        "error, code, text",
        [
            (InputError("x must be 1. Received: x=2"), 2, "x must be 1. Received: x=2"),
            (PhotoError("wrong.\n  Received: x=1"), 2, "wrong. Received: x=1\n"),
            (OSError(28, "No space left on device", "dog.keras"), 1, "The command stopped: No space left on device. "),
            (
                OSError(28, "No space left on device"),
                1,
                "The command stopped: No space left on device; make room, then ",
            ),
            (OutOfMemory("The memory was not enough."), 1, "The command stopped: The memory was not enough.\n"),
            (KeyboardInterrupt(), 130, "Stopped."),
            (Terminated("Stopped before the end."), 143, "Stopped before the end.\n"),
            (KeyboardInterrupt("Stopped before the end."), 130, "Stopped before the end."),
        ],
    )
    def test_one_sentence_and_a_code(self, capsys, error, code, text):
        @command
        def main(argv):
            raise error

        assert main([]) == code
        assert capsys.readouterr().err.startswith(text)

    def test_letters_that_the_pipe_does_not_have(self, monkeypatch):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", stream)
        assert command(lambda argv: print("läufe/🐶"))([]) == 0
        stream.flush()
        assert stream.buffer.getvalue() == b"l\\xe4ufe/\\U0001f436\n"

    def test_success(self):
        assert command(lambda argv: None)([]) == 0

    @pytest.mark.parametrize("error", [ValueError("a fault of ours"), RuntimeError("another"), TypeError("a third")])
    def test_faults_keep_their_traceback(self, capsys, error):
        @command
        def main(argv):
            raise error

        assert main([]) == 1
        said = capsys.readouterr().err
        assert said.startswith("Traceback") and str(error) in said
        assert said.splitlines()[-1].startswith("This is a fault of keras_booth") and "report it" in said


class TestFlags:
    def test_either_sign_between_words(self):
        given = ["--batch_size=a_b", "--batch-size", "a_b", "-x_y", "--a b_c", "--", "--c_d"]
        assert option_names(given, "_", "-") == ["--batch-size=a_b", *given[1:]]

    def test_home(self, monkeypatch):
        monkeypatch.setenv("HOME", "/home/me")
        parser = Parser()
        parser.add_argument("--the-folder", type=user_path)
        assert parser.parse_args(["--the_folder", "~/x"]).the_folder == "/home/me/x"
        with pytest.raises(InputError, match="argument --the-folder: path must begin with a home folder"):
            parser.parse_args(["--the-folder=~nobody-here/x"])


def test_sentence_is_never_empty():
    assert sentence(ValueError()) == "ValueError"
    assert sentence(OSError(13, "Permission denied")) == "Permission denied."
