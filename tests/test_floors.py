"""The lowest versions that `pyproject.toml` allows are those that `.ci/lowest` tests with."""

import pathlib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = pathlib.Path(__file__).parents[1]
OF_EXTRAS = {"jax", "pillow-heif"}  # which `.ci/lowest` installs beside the dependencies


def pins(name):
    """The versions of a file in `.ci/`, by package."""
    lines = (ROOT / ".ci" / name).read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(package): version for package, version in pairs}


@pytest.fixture(scope="module")
def project():
    """The table `[project]` of `pyproject.toml`."""
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def floors(project):
    """`(package, lowest version)` of what `.ci/lowest` installs; `None` where nothing is said."""
    wanted = [Requirement(text) for text in project["dependencies"]]
    extras = [Requirement(text) for text in sum(project["optional-dependencies"].values(), [])]
    found = set()
    for requirement in wanted + [extra for extra in extras if extra.name in OF_EXTRAS]:
        lowest = [part.version for part in requirement.specifier if part.operator in (">=", "==")]
        found.add((canonicalize_name(requirement.name), *(lowest or [None])))
    return sorted(found)


def test_they_are_what_is_tested(floors):
    lowest = pins("lowest.txt")
    assert {"keras", *OF_EXTRAS} < {name for name, _ in floors}
    assert [(name, lowest.get(name, "not in lowest.txt")) for name, _ in floors] == floors


def test_usual_versions_are_not_below(floors):
    usual = pins("constraints.txt")
    assert [name for name, floor in floors if Version(usual[name]) < Version(floor)] == []
