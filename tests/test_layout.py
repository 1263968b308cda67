"""The tests lie as the package does, and share what lies in `tests/helpers`."""

import ast
import pathlib

import pytest

from tests.helpers.places import ROOT

TESTS, PACKAGE = ROOT / "tests", ROOT / "keras_booth"
FILES = [path.relative_to(TESTS) for path in sorted(TESTS.rglob("*.py"))]
# What belongs to no folder of the package: its top floor, whose modules are the commands, the notebooks, and what an
# editor sees of it all.
APART = {pathlib.Path("commands"), pathlib.Path("notebooks"), pathlib.Path("typing")}


def parsed(path):
    return ast.parse((TESTS / path).read_text())


def imported(tree):
    """The last two parts of all names that a file imports, of which one may be the module's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name for alias in node.names for name in alias.name.split(".")[-2:])
        elif isinstance(node, ast.ImportFrom):
            yield from (name for alias in node.names for name in ((node.module or "").split(".")[-1], alias.name))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_nothing_comes_from_a_test_or_a_conftest(path):
    found = [name for name in imported(parsed(path)) if name == "conftest" or name.startswith("test_")]
    assert not found, f"helpers lie in tests/helpers. Received: {', '.join(found)} in {path}"


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "conftest.py"], ids=str)
def test_a_conftest_holds_fixtures_only(path):
    for node in parsed(path).body:
        assert not isinstance(node, ast.ClassDef), node.name
        if isinstance(node, ast.FunctionDef):
            made = [ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list]
            assert made == ["pytest.fixture"], node.name


def test_folders_are_those_of_the_package():
    folders = {path.parent for path in FILES if path.name.startswith("test_")} - APART
    assert not [str(folder) for folder in folders if not (PACKAGE / folder / "__init__.py").is_file()]


def test_a_file_with_a_modules_name_lies_where_the_module_does():
    modules = {path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py")}
    names = {module.name for module in modules}
    for path in FILES:
        name = path.stem.removeprefix("test_")
        if path.name.startswith("test_") and name in names and path.parent not in APART:
            assert path.parent / name in modules, path
