"""Commands that are printed run as they stand."""

import pathlib
import shlex
import subprocess
import sys

import pytest

from keras_booth.tools.process.shell import command_line, interpreter


@pytest.mark.parametrize("text", ["my runs/dog", '"happy" dog for $5', "it's", "a;b", "`ls`", "ü 🐶", "*", "a\nb", ""])
def test_the_shell_gives_back_what_went_in(text):
    line = command_line("generate", text, "--count", 4)
    assert shlex.split(line)[1:] == ["-m", "keras_booth.generate", text, "--count", "4"]
    said = subprocess.run(["sh", "-c", f"printf '%s|' {line}"], capture_output=True, text=True, check=True).stdout
    assert said.split("|")[3] == text


def environment(folder):
    """An environment's Python, which is a link to another one."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(pathlib.Path(sys.executable).resolve())
    return str(folder / "bin" / "python")


class TestInterpreter:
    def test_the_one_that_the_shell_finds(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "executable", environment(tmp_path / "env"))
        monkeypatch.setenv("PATH", str(tmp_path / "env" / "bin"))
        assert interpreter() == "python"

    def test_another_one_than_the_shell_finds(self, tmp_path, monkeypatch):
        """`python` is the same program there, but not in the environment."""
        monkeypatch.setenv("PATH", str(pathlib.Path(environment(tmp_path / "other")).parent))
        monkeypatch.setattr(sys, "executable", environment(tmp_path / "here" / ".venv"))
        monkeypatch.chdir(tmp_path / "here")
        assert interpreter() == ".venv/bin/python"
        monkeypatch.chdir(tmp_path / "other")
        assert interpreter() == sys.executable
