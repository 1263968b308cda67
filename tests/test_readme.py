"""The README's commands and code, with small numbers. `.ci/run` runs the two opening commands to the letter."""

import pathlib
import re
import shlex

import pytest

from keras_booth import evaluate, export, generate
from keras_booth.bases.tiny_world import pretrain
from keras_booth.workflow.parsing import parse_train, read_config

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"python -m (keras_booth[\w.]*)([^\n`&]*)", README)
PARSERS = {
    "keras_booth.train": parse_train,
    "keras_booth.doctor": lambda arguments: read_config(*arguments),
    "keras_booth.generate": lambda arguments: generate.make_parser().parse_args(arguments),
    "keras_booth.evaluate": lambda arguments: evaluate.make_parser().parse_args(arguments),
    "keras_booth.export": lambda arguments: export.make_parser().parse_args(arguments),
    "keras_booth.bases.tiny_world.pretrain": lambda arguments: pretrain.make_parser().parse_args(arguments),
}


def test_names_every_command():
    assert {module for module, _ in COMMANDS} == set(PARSERS)


@pytest.mark.parametrize("module, arguments", COMMANDS, ids=lambda text: text.strip()[:40])
def test_commands_parse(module, arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    PARSERS[module](shlex.split(arguments))


def test_files_exist():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README) + re.findall(r"configs/[\w.]+yaml", README):
        assert (ROOT / path).exists(), path


def test_python_code(tmp_path, monkeypatch):
    """The code block, with four class images and one epoch."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for old, new in (("count=96", "count=4"), ("epochs=12", "epochs=1"), ('"photos/', f'"{ROOT}/photos/')):
        assert old in code
        code = code.replace(old, new)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BOOTH_CACHE", str(tmp_path / "cache"))
    scope = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert scope["booth"].generate("a photo of sks dog").shape == (1, 64, 64, 3)
    assert (tmp_path / "dog.keras").exists()
