"""What the documents say of the code."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest
import yaml

from keras_booth.experiments.options import SweepOptions, sweep_options
from keras_booth.workflow.parsing import FIELDS, parse_sweep
from tests.helpers.documents import blocks_in, commands_in, parse_command, spans_in
from tests.helpers.places import ROOT

PACKAGE, DOCS = ROOT / "keras_booth", ROOT / "docs"
PAGES = {path.name: path.read_text() for path in sorted(DOCS.glob("*.md"))}
COMMANDS = [(page, *command) for page, text in PAGES.items() for command in commands_in(text)]
CONFIGS = [(page, block) for page, text in PAGES.items() for block in blocks_in(text, "yaml")]
# A field of a config, as `training.steps` or `--training.steps`; not a module, nor a file of that name.
GROUPS = "base|subject|prior|training|lora|sampling|output|sweep"
FIELD = re.compile(rf"(?<![\w./])((?:{GROUPS})\.(?!(?:py|md|safetensors)\b)[a-z_0-9]+)")


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, in which MkDocs has tags of its own."""


Loader.add_multi_constructor("!", lambda loader, suffix, node: node.value)


@pytest.mark.parametrize("name", ["docs/ARCHITECTURE.md", "docs/SECURITY.md", "docs/PERFORMANCE.md", "CONTRIBUTING.md"])
def test_files_exist(name):
    found = re.findall(r"(?<![\w/$])[\w/.]*\w\.(?:py|md|toml)\b", (ROOT / name).read_text())
    modules = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert found
    for path in found:
        known = (ROOT / path).exists() or (ROOT / "docs" / path).exists()
        assert known or any(f"/{module}".endswith(f"/{path}") for module in modules), path


def test_every_room_is_on_the_map():
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    rooms = [path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    assert rooms
    for room in rooms:
        assert re.search(rf"\b{room.name}/", text), room


def test_limits_are_where_the_page_says():
    rows = re.findall(r"\| `(\w+\.py): ([A-Z_, ]+)` \|", (ROOT / "docs" / "SECURITY.md").read_text())
    assert len(rows) > 10
    for file, names in rows:
        sources = [path.read_text() for path in PACKAGE.rglob(file)]
        for name in names.split(", "):
            assert any(re.search(rf"^(\w+, )*{name}\b.* = ", source, re.M) for source in sources), (file, name)


def pages_of(nav):
    """The files that a part of the navigation names: list of str."""
    if isinstance(nav, str):
        return [nav]
    return [page for part in (nav.values() if isinstance(nav, dict) else nav) for page in pages_of(part)]


def test_every_page_is_in_the_navigation():
    nav = pages_of(yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"])
    assert sorted(nav) == sorted(PAGES)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder in which a reader has written down the configs of a page, beside those of the project."""
    for name in ("configs", "photos"):
        (tmp_path / name).symlink_to(ROOT / name, target_is_directory=True)
    monkeypatch.chdir(tmp_path)

    def write(page):
        for block in blocks_in(PAGES[page], "yaml"):
            name = re.match(r"# (\S+\.yaml)\n", block)
            if name:
                (tmp_path / name[1]).write_text(block)
        return tmp_path

    return write


@pytest.mark.parametrize("page, module, arguments", COMMANDS, ids=lambda text: text.strip()[:40])
def test_commands_parse(page, module, arguments, desk):
    desk(page)
    parse_command(module, arguments)


def test_commands_are_found():
    assert len(COMMANDS) > 50
    named = {module.rpartition(".")[2] for _, module, _ in COMMANDS}
    assert named >= {"train", "doctor", "generate", "evaluate", "export", "sweep"}


@pytest.mark.parametrize("page, block", CONFIGS, ids=lambda text: text.strip()[:40])
def test_configs_parse(page, block, desk):
    path = desk(page) / "block.yaml"
    path.write_text(block)
    _, content = parse_sweep(["--config", str(path)])
    sweep_options(content)


@pytest.mark.parametrize("page", PAGES)
def test_named_fields_exist(page):
    known = {*FIELDS, *(f"sweep.{name}" for name in SweepOptions.__dataclass_fields__)}
    named = {field for span in spans_in(PAGES[page]) for field in FIELD.findall(span)}
    assert named <= known, named - known


@pytest.mark.parametrize("page", PAGES)
def test_python_code_is_python(page):
    for block in blocks_in(PAGES[page], "python"):
        compile(block, page, "exec")


def needs(*modules):
    """Skips a test where one of some modules is not installed, without loading any."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.mark.large
@needs("mkdocs", "material", "mkdocstrings")
def test_site_builds(tmp_path):
    """With warnings as errors, a link that leads nowhere among them; and no page needs a network."""
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.html")}
    assert '<img alt="Four photographs' in pages["index.html"] and (tmp_path / "figure.png").exists()
    for name in ("DreamBooth.generate", "data.photo_dataset", "callbacks.KeepBest", "evaluation.evaluate", "load"):
        assert f'id="keras_booth.{name}"' in pages["api/index.html"], name
    for name in ("min_snr_gamma", "class_noun", "keep_models"):
        assert name in pages["settings/index.html"], name
    for name, text in pages.items():
        assert not re.findall(r"""<(?:script|link|img)[^>]*(?:src|href)=["'](?:https?:)?//[^>]*""", text), name
