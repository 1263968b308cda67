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
