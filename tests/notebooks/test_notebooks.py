"""The notebooks run from top to bottom, with settings so small that nothing is learned."""

import importlib.machinery
import shutil
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.places import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Pictures of a cell: the base, the photographs, the class images, a sheet an epoch, new settings, the loaded model.
SHOWN = [1, 1, 1, 3, 1, 1]


def pictures(cell):
    """Number of pictures that a cell displays."""
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))


def test_quickstart_is_there():
    assert ROOT / "notebooks" / "quickstart.ipynb" in NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_stored_with_its_pictures(path):
    """Of a run from top to bottom (`make_outputs.py`), so that a reader sees what will come."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert all(output.output_type != "error" for output in outputs)
    assert sum(map(pictures, code)) == sum(SHOWN)
    # Nothing of the machine that it ran on.
    assert "/root" not in str(outputs) and "/work" not in str(outputs) and "/home" not in str(outputs)


def first_cell():
    """The code that finds the project."""
    notebook = nbformat.read(ROOT / "notebooks" / "quickstart.ipynb", as_version=4)
    return next(cell.source for cell in notebook.cells if cell.cell_type == "code")


class TestFindsTheProject:
    """The first cell, in a folder that is no clone; keras_booth itself is installed here."""

    @pytest.fixture
    def project(self, tmp_path):
        """A folder with the photographs, as a clone has them."""
        folder = tmp_path / "elsewhere" / "keras_booth-main"
        shutil.copytree(ROOT / "photos", folder / "photos")
        return folder

    @pytest.fixture(autouse=True)
    def outside(self, tmp_path, monkeypatch):
        """Stands in an empty folder."""
        (tmp_path / "content").mkdir()
        monkeypatch.chdir(tmp_path / "content")

    def test_by_its_address(self, project):
        for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "a"]):
            subprocess.run(["git", *words], cwd=project, check=True)
        scope = {}
        exec(first_cell().replace('REPOSITORY = ""', f'REPOSITORY = "{project}"'), scope)
        assert (scope["ROOT"] / "photos" / "orange_dog" / "00.jpg").is_file()

    def test_uploaded_to_colab(self, project, monkeypatch):
        def upload():  # as Colab's: writes the file into the folder at hand, returns its content by name
            path = shutil.make_archive("keras_booth-main", "zip", project.parent)
            return {Path(path).name: Path(path).read_bytes()}

        for name in ("google", "google.colab", "google.colab.files"):
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            monkeypatch.setitem(sys.modules, name, module)
        sys.modules["google.colab"].files = sys.modules["google.colab.files"]
        sys.modules["google.colab.files"].upload = upload
        scope = {}
        exec(first_cell(), scope)
        assert (scope["ROOT"] / "photos" / "orange_dog" / "00.jpg").is_file()

    def test_says_what_to_do(self):
        with pytest.raises(SystemExit, match="Set REPOSITORY to the address of the project"):
            exec(first_cell(), {})


@pytest.mark.large
def test_quickstart(tmp_path, monkeypatch):
    # As in a clone: the notebook finds the photographs beside its own folder.
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "photos").symlink_to(ROOT / "photos", target_is_directory=True)
    settings = {"STEPS": "3", "COUNT": "6", "KERAS_BOOTH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(ROOT / "notebooks" / "quickstart.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()

    assert (folder / "dog.keras").is_file()
    assert len(list((tmp_path / "cache").rglob("*.png"))) == 6
    shown = [pictures(cell) for cell in notebook.cells if pictures(cell)]
    assert shown == SHOWN
