import pytest

from keras_booth.data import PhotoError
from keras_booth.workflow.errors import InputError, command, sentence, user_input


class TestUserInput:
    @pytest.mark.parametrize("error", [ValueError("wrong.\n  Received: x=1"), PhotoError("wrong. Received: x=1")])
    def test_makes_a_sentence(self, error):
        with pytest.raises(InputError) as caught, user_input():
            raise error
        assert str(caught.value) == "wrong. Received: x=1"
        assert caught.value.__cause__ is error

    def test_names_the_file(self, tmp_path):
        with pytest.raises(InputError, match=f"No such file or directory. Received: {tmp_path}/none"), user_input():
            open(tmp_path / "none")

    def test_leaves_faults_alone(self):
        with pytest.raises(TypeError), user_input():
            raise TypeError("a fault of ours")


class TestCommand:
    @pytest.mark.parametrize(
        "error, code, text",
        [
            (InputError("x must be 1. Received: x=2"), 2, "x must be 1. Received: x=2"),
            (OSError(28, "No space left on device", "dog.keras"), 1, "The command stopped: No space left on device. "),
            (KeyboardInterrupt(), 130, "Stopped."),
            (KeyboardInterrupt("Stopped before the end."), 130, "Stopped before the end."),
        ],
    )
    def test_one_sentence_and_a_code(self, capsys, error, code, text):
        @command
        def main(argv):
            raise error

        assert main([]) == code
        assert capsys.readouterr().err.startswith(text)

    def test_success(self):
        assert command(lambda argv: None)([]) == 0

    def test_faults_keep_their_traceback(self):
        @command
        def main(argv):
            raise ValueError("a fault of ours")

        with pytest.raises(ValueError, match="a fault of ours"):
            main([])


def test_sentence_is_never_empty():
    assert sentence(ValueError()) == "ValueError"
    assert sentence(OSError(13, "Permission denied")) == "Permission denied."
