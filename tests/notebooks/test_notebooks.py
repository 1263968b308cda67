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

import keras_booth
from tests.helpers.places import ROOT
from tests.notebooks import make_outputs

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Pictures that their cells display, of those that display any.
SHOWN = {
    "quickstart": [1, 1, 1, 3, 1, 1],
    "your_photos": [1, 4, 1, 1],
    "prior_preservation": [1, 1, 1, 1],
    "lora_and_export": [1, 1, 1],
    "inference": [1, 1, 1, 1, 1],
}
# What they leave.
WRITTEN = {
    "quickstart": ["dog.keras"],
    "your_photos": ["subject.keras"],
    "prior_preservation": [],
    "lora_and_export": ["dog-lora.safetensors", "dog-diffusers/unet/diffusion_pytorch_model.safetensors"],
    "inference": ["drawn/a-photo-of-sks-dog-in-the-snow-seed7-00.png"],
}
# In place of those of the cell of settings.
SMALL = {
    "quickstart": {"STEPS": 3, "COUNT": 6},
    "your_photos": {"STEPS": 4, "COUNT": 6},
    "prior_preservation": {"STEPS": 1, "COUNT": 6, "MEASURED": 2},
    "lora_and_export": {"STEPS": 1, "COUNT": 6},
    "inference": {},
}


def read(name):
    """A notebook."""
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def pictures(cell):
    """Number of pictures that a cell displays."""
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))


def shown(notebook):
    """Numbers of pictures of the cells that display any."""
    return [pictures(cell) for cell in notebook.cells if pictures(cell)]


def test_all_are_known():
    assert sorted(SHOWN) == [path.stem for path in NOTEBOOKS]
    assert sorted(make_outputs.NAMES) == sorted(SHOWN)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_stored_with_its_pictures(path):
    """Of a run from top to bottom (`make_outputs.py`), so that a reader sees what will come."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert all(output.output_type != "error" for output in outputs)
    assert shown(notebook) == SHOWN[path.stem]
    # Nothing of the machine that it ran on.
    assert "/root" not in str(outputs) and "/work" not in str(outputs) and "/home" not in str(outputs)
    assert path.stat().st_size < 2.5e6


@pytest.mark.parametrize("name", SHOWN)
def test_begins_as_all_do(name):
    """Colab's badge, which leads to the repository that the notebook names; the same cell installs; then the base."""
    first, install, settings = read(name).cells[:3]
    found = {}
    exec(next(line for line in install.source.splitlines() if line.startswith("REPOSITORY = ")), found)
    assert first.source.splitlines()[0] == make_outputs.badge(found["REPOSITORY"], name)
    assert install.source == first_cell()
    assert settings.metadata.tags == ["parameters"]
    assert 'BASE = "tiny_world"  # @param ["tiny_world", "stable_diffusion_1.4"]' in settings.source


def test_writes_the_address_of_the_repository():
    notebook = read("quickstart")
    make_outputs.set_repository(notebook, "quickstart", "https://github.com/someone/booth.git")
    link = "https://colab.research.google.com/github/someone/booth/blob/main/notebooks/quickstart.ipynb"
    assert notebook.cells[0].source.splitlines()[0].endswith(f"({link})")
    assert notebook.cells[0].source.splitlines()[1:] == read("quickstart").cells[0].source.splitlines()[1:]
    assert 'REPOSITORY = "https://github.com/someone/booth.git"  # @param' in notebook.cells[1].source


@pytest.mark.parametrize("name", SHOWN)
def test_cells_are_short(name):
    """But for the first, which installs and is folded away on Colab."""
    for cell in read(name).cells[2:]:
        assert len(cell.source.splitlines()) <= 20


def first_cell():
    """The code that finds the project."""
    return next(cell.source for cell in read("quickstart").cells if cell.cell_type == "code")


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
@pytest.mark.parametrize("name", SHOWN)
def test_runs(name, tmp_path, monkeypatch):
    # As in a clone: the notebook finds the photographs beside its own folder.
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "photos").symlink_to(ROOT / "photos", target_is_directory=True)
    for variable, value in {"KERAS_BOOTH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(variable, value)
    if name == "inference":
        keras_booth.DreamBooth.from_preset("tiny_world").save(folder / "dog.keras")
    notebook = read(name)
    settings = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    source = "\n".join(f"{constant} = {value}" for constant, value in SMALL[name].items())
    notebook.cells.insert(settings + 1, nbformat.v4.new_code_cell(source))
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()

    assert shown(notebook) == SHOWN[name]
    for written in WRITTEN[name]:
        assert (folder / written).is_file()
    assert len(list((tmp_path / "cache").rglob("*.png"))) == SMALL[name].get("COUNT", 0)
