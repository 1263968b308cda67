"""The notebooks run from top to bottom, with settings so small that nothing is learned."""

import pathlib

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def pictures(cell):
    """Number of pictures that a cell displays."""
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))


def test_quickstart_is_there():
    assert ROOT / "notebooks" / "quickstart.ipynb" in NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(cell.outputs == [] and cell.execution_count is None for cell in code)


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
    # The base, the photographs, the class images, a sheet for each epoch, new settings, the loaded model.
    assert shown == [1, 1, 1, 3, 1, 1]
