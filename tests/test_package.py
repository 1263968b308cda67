"""What `python -m keras_booth` says, what the package offers, and what a wheel holds."""

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

from keras_booth.__main__ import COMMANDS, main
from keras_booth.version import __version__
from tests.helpers.places import ROOT


class TestMain:
    @pytest.mark.parametrize("arguments", [[], ["--help"]])
    def test_lists_the_commands(self, capsys, arguments):
        assert main(arguments) == 0
        said = capsys.readouterr().out
        assert all(f"python -m keras_booth.{name}" in said for name in COMMANDS)
        assert all((ROOT / "keras_booth" / f"{name}.py").is_file() for name in COMMANDS)

    @pytest.mark.parametrize("name", [None, *COMMANDS])
    def test_version(self, capsys, name):
        assert main([*([name] if name else []), "--version"]) == 0
        assert capsys.readouterr().out == f"keras_booth {__version__}\n"

    def test_an_unknown_command(self, capsys):
        assert main(["trian"]) == 2
        assert capsys.readouterr().err.startswith("There is no command trian; there are train, ")

    def test_hands_over(self, capsys):
        assert main(["export", "none.keras", "--output", "a", "--dtype", "int8"]) == 2
        assert "--dtype" in capsys.readouterr().err


ROOMS = ("bases", "callbacks", "data", "diffusion", "dreambooth", "evaluation", "figures", "tiny_world")


def functions_of(offered):
    """A function; or the public methods and properties of a class, those of our own classes that it is made of too."""
    if inspect.isfunction(offered):
        return [offered]
    found = []
    for kind in offered.__mro__ if inspect.isclass(offered) else ():
        for name, member in vars(kind).items() if kind.__module__.startswith("keras_booth.") else ():
            if not name.startswith("_") or name in ("__init__", "__call__"):
                member = getattr(member, "fget", getattr(member, "__func__", member))
                # Not those that `dataclass` writes.
                found += [member] if inspect.isfunction(member) and member.__module__ == kind.__module__ else []
    return found


def unannotated(function):
    """The parameters of a function that have no annotation, and "return" if its result has none."""
    signature = inspect.signature(function)
    names = [name for name, parameter in signature.parameters.items() if parameter.annotation is parameter.empty]
    result = signature.return_annotation is signature.empty and function.__name__ != "__init__"
    return [name for name in names if name not in ("self", "cls")] + ["return"] * result


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_offers_is_annotated(room):
    module = importlib.import_module(f"keras_booth.{room}")
    offered = [getattr(module, name) for name in module.__all__]
    functions = {function for thing in offered for function in functions_of(thing)}
    assert functions
    assert {function.__qualname__: unannotated(function) for function in functions if unannotated(function)} == {}


def test_every_room_says_what_it_offers():
    folders = {path.parent.name for path in (ROOT / "keras_booth").glob("*/__init__.py")}
    assert folders - {"experiments", "tools", "workflow"} == set(ROOMS)


@pytest.mark.large
def test_a_wheel_is_enough(tmp_path):
    """Installed from it, in an empty folder, the script trains with the config and photographs that come along."""
    # Of a copy: setuptools leaves a folder `build` beside what it builds, with files that later wheels would hold.
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "runs", "*.egg-info", "tests"))
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    bin = tmp_path / "venv" / "bin"
    subprocess.run([bin / "python", "-m", "pip", "install", "-q", "--no-deps", wheel], check=True)
    # What the package needs comes from this environment, the package itself from the wheel.
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "needs.pth").write_text(sysconfig.get_path("purelib"))
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("share/keras_booth/photos/orange_dog/00.jpg") for name in names)
    # For editors and type checkers.
    assert {"keras_booth/py.typed", "keras_booth/__init__.pyi"} <= set(names)
    empty = tmp_path / "empty"
    empty.mkdir()
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    alone["KERAS_BOOTH_CACHE"] = str(tmp_path / "cache")
    place = {"cwd": empty, "env": alone, "capture_output": True, "text": True}
    listed = subprocess.run([bin / "keras-booth", "train", "--config", "list"], **place).stdout
    assert set(re.findall(r"^  (\S+)$", listed, re.M)) == {path.stem for path in (ROOT / "configs").glob("*.yaml")}
    few = ["--training.steps", "1", "--prior.count", "5", "--prior.steps", "1", "--sampling.count", "1"]
    line = [bin / "keras-booth", "train", "--config", "quickstart", *few, "--sampling.steps", "1"]
    done = subprocess.run(line, **place)
    assert done.returncode == 0, done.stderr
    assert (empty / "runs" / "quickstart" / "dog.keras").is_file()
    assert (empty / "runs" / "quickstart" / "report.html").is_file()
    assert "share/keras_booth/photos" in (empty / "runs" / "quickstart" / "config.yaml").read_text()


def test_what_lies_above_the_bases_names_no_family():
    """A new kind of base is a matter of `bases/`: nothing above it knows Stable Diffusion XL by name."""
    names = re.compile(r"sdxl|\bxl\b|_xl\b|stable diffusion xl", re.IGNORECASE)
    paths = [path for path in (ROOT / "keras_booth").rglob("*.py") if not {"bases", "tools"} & set(path.parts)]
    assert len(paths) > 100
    assert [str(path) for path in paths if names.search(path.read_text())] == []
