"""Runs notebooks and stores what they show; or writes the repository's address into them.

`python tests/notebooks/make_outputs.py [--only NAME ...]` runs those, or all: some minutes each on two cores.
`python tests/notebooks/make_outputs.py --repository https://github.com/OWNER/NAME` runs none.
"""

import argparse
import base64
import io
import os
import pathlib
import re
import tempfile

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]
# `inference` draws with what `quickstart` leaves.
NAMES = ["quickstart", "inference", "your_photos", "prior_preservation", "lora_and_export"]
COLAB = "https://colab.research.google.com"


def badge(repository, name):
    """The first line of a notebook; without an address Colab asks for it."""
    place = repository.removesuffix("/").removesuffix(".git").removeprefix("https://github.com/")
    link = f"{COLAB}/github/{place}/blob/main/notebooks/{name}.ipynb" if repository else f"{COLAB}/github/"
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({link})"


def set_repository(notebook, name, repository):
    """Exchanges the address in the badge and in the cell that installs."""
    first, install = notebook.cells[:2]
    first.source = "\n".join([badge(repository, name), *first.source.splitlines()[1:]])
    install.source = re.sub(r'^REPOSITORY = ".*?"', f'REPOSITORY = "{repository}"', install.source, flags=re.M)


# A line of TensorFlow's about this machine, or of a progress bar.
CHATTER = re.compile(r"[IWE]\d{4} |WARNING:|.*\d+%\|")


def quieter(outputs):
    """Outputs without what TensorFlow and progress bars say of this machine."""
    kept = []
    for output in outputs:
        if output.output_type == "stream":
            lines = output.text.splitlines(keepends=True)
            output.text = "".join(line for line in lines if line.strip() and not CHATTER.match(line))
            if output.name == "stderr" or not output.text:
                continue
        kept.append(output)
    return kept


def make_small(data):
    """Keeps one picture of an output, with 256 colours."""
    data.pop("image/jpeg", None)
    if "image/png" in data:
        with io.BytesIO(base64.b64decode(data["image/png"])) as file, io.BytesIO() as small:
            Image.open(file).convert("RGB").quantize(256).save(small, format="png", optimize=True)
            data["image/png"] = base64.b64encode(small.getvalue()).decode()


def run(notebook, folder):
    """Runs it from top to bottom, and keeps what a reader wants to see."""
    NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = quieter(cell.outputs)
            for output in cell.outputs:
                make_small(output.get("data", {}))


def main():
    """Runs them beside the photographs, as in a clone; what they write goes again."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--repository")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ.setdefault("KERAS_BOOTH_CACHE", f"{place}/cache")
        os.environ["PYTHONPATH"] = str(ROOT)
        pathlib.Path(place, "photos").symlink_to(ROOT / "photos", target_is_directory=True)
        folder = pathlib.Path(place, "notebooks")
        folder.mkdir()
        for name in flags.only:
            path = ROOT / "notebooks" / f"{name}.ipynb"
            notebook = nbformat.read(path, as_version=4)
            if flags.repository is None:
                run(notebook, folder)
            else:
                set_repository(notebook, name, flags.repository)
            nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
