import pytest

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.paths import expand_home


@pytest.mark.parametrize(
    "path, expected",
    [("~", "/home/me"), ("~/a b", "/home/me/a b"), ("a/~", "a/~"), ("./~", "./~"), ("", ""), (None, None)],
)
def test_home(monkeypatch, path, expected):
    monkeypatch.setenv("HOME", "/home/me")
    assert expand_home(path) == expected


def test_nobodys_home():
    with pytest.raises(InputError, match=r"write \./~nobody-here/x .*Received: output=~nobody-here/x"):
        expand_home("~nobody-here/x", "output")


@pytest.mark.parametrize(
    "path, words",
    [
        ("a\0b", "without NUL characters. Received: output='a\\x00b'"),
        ("é" * 128, "names of 255 at most. Received: output='é"),
        ("a/" * 2100, "4096 bytes at most"),
        ("\ud800", "in UTF-8. Received: output='\\ud800'"),
    ],
)
def test_what_no_path_can_be(path, words):
    with pytest.raises(InputError) as caught:
        expand_home(path, "output")
    assert str(caught.value).startswith("output must be a path") and words in str(caught.value)


@pytest.mark.parametrize("path", ["é" * 127, "a" * 255, "a\udcff", "a\nb", "-x"])
def test_odd_paths_are_paths(path):
    assert expand_home(path) == path
