"""The README's commands and code, with small numbers. `.ci/run` runs the first ones to the letter."""

import re
import shlex

import pytest

from keras_booth.__main__ import COMMANDS as commands
from tests.helpers.commands import call_eagerly
from tests.helpers.documents import PARSERS, commands_in, parse_command
from tests.helpers.places import ROOT

README = (ROOT / "README.md").read_text()
COMMANDS = commands_in(README)


def test_names_every_command():
    assert {module for module, _ in COMMANDS} == set(PARSERS) == {f"keras_booth.{name}" for name in commands}


@pytest.mark.parametrize("module, arguments", COMMANDS, ids=lambda text: text.strip()[:40])
def test_commands_parse(module, arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    parse_command(module, arguments)


def test_files_exist():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README) + re.findall(r"configs/[\w.]+yaml", README):
        assert (ROOT / path).exists(), path


@pytest.mark.large
def test_python_code(tmp_path, monkeypatch):
    """The code block, with four class images and one epoch."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for old, new in ((r"count=\d+", "count=4"), (r"epochs=\d+", "epochs=1"), ('"photos/', f'"{ROOT}/photos/')):
        code, replaced = re.subn(old, new, code)
        assert replaced, old
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BOOTH_CACHE", str(tmp_path / "cache"))
    scope = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert scope["booth"].generate("a photo of sks dog").shape == (1, 128, 128, 3)
    assert (tmp_path / "dog.keras").exists()


# As small as a run can be; what is trained is of no interest here.
SMALL = {
    "train": [
        *("--training.steps", "2", "--prior.count", "5", "--prior.steps", "1", "--sampling.count", "1"),
        *("--sampling.steps", "1", "--sampling.prompts", '["a photo of sks dog"]'),
    ],
    "generate": ["--count", "1", "--steps", "1"],
    "evaluate": ["--count", "1", "--class-count", "2"],
}
# Weights that a network brings, files of the reader's own, hours of work; what was cut off is in test_resume.py, and
# sweeps are in tests/experiments.
ELSEWHERE = re.compile(r"/dreambooth_prior|--resume|evaluate --|pretrain|sweep")


def small(name, arguments):
    """A command's arguments, with small numbers for those that it leaves open."""
    words, more = shlex.split(arguments), SMALL.get(name, [])
    if name == "generate":
        more = [
            part
            for flag, value in (more[:2], more[2:])
            if flag not in words + ["--count"] * ("--seed" in words)
            for part in (flag, value)
        ]
    return [*words, *more]


@pytest.mark.large
def test_commands_run(tmp_path):
    """Every command that needs no network, one after the other in one folder, as a reader would run them."""
    for name in ("configs", "photos"):
        (tmp_path / name).symlink_to(ROOT / name, target_is_directory=True)
    (tmp_path / "prompts.txt").write_text("a photo of sks dog in the snow\n")
    commands = [(module.rpartition(".")[2], text) for module, text in COMMANDS if not ELSEWHERE.search(module + text)]
    # A table of what can be done comes before the training that makes it possible.
    commands.sort(key=lambda command: (command[0] != "train", "--base.preset" in command[1]))
    for name, text in commands:
        # In a process of its own, as a reader calls it, and so that the memory of one is not that of all.
        done = call_eagerly(tmp_path, name, *small(name, text))
        assert done.code == 0, (name, text, done.err)
    assert len(commands) > 12
    for folder in ("quickstart", "mine"):
        for file in ("dog.keras", "samples.png", "loss.png", "log.csv", "config.yaml"):
            assert (tmp_path / "runs" / folder / file).stat().st_size > 0, (folder, file)
