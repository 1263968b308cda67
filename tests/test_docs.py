"""What the documents say of the code."""

import re

import pytest

from tests.helpers.places import ROOT

PACKAGE = ROOT / "keras_booth"


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
