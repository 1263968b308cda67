"""Runs the notebook and stores what it shows: `python tests/notebooks/make_outputs.py`, some minutes on two cores."""

import base64
import io
import os
import pathlib
import tempfile

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = pathlib.Path(__file__).parents[2] / "notebooks" / "quickstart.ipynb"


def is_chatter(output):
    """Whether an output is what TensorFlow and progress bars say of this machine."""
    return output.get("name") == "stderr" or output.get("text", "").startswith("WARNING:")


def make_small(data):
    """Keeps one picture of an output, with 256 colours."""
    data.pop("image/jpeg", None)
    if "image/png" in data:
        with io.BytesIO(base64.b64decode(data["image/png"])) as file, io.BytesIO() as small:
            Image.open(file).convert("RGB").quantize(256).save(small, format="png", optimize=True)
            data["image/png"] = base64.b64encode(small.getvalue()).decode()


def main():
    """Runs it where it stands; what it writes beside itself goes again."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["KERAS_BOOTH_CACHE"] = cache
        client = NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": NOTEBOOK.parent}})
        client.execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_chatter(output)]
            for output in cell.outputs:
                make_small(output.get("data", {}))
    nbformat.write(notebook, NOTEBOOK)
    (NOTEBOOK.parent / "dog.keras").unlink()


if __name__ == "__main__":
    main()
