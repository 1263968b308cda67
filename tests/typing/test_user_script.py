"""An editor sees the public API: pyright finds the mistakes of a user's script, and nothing else.

It is basedpyright, which is pyright with all that it needs in its wheels, with the rules that pyright has by itself.
"""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT

SCRIPT = pathlib.Path(__file__).with_name("user_script.py")


@pytest.mark.large
def test_pyright_finds_the_two_mistakes():
    lines = SCRIPT.read_text().splitlines()
    planted = [number for number, line in enumerate(lines) if "# MISTAKE" in line]
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, SCRIPT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 1
    found = {item["range"]["start"]["line"]: item["message"] for item in report["generalDiagnostics"]}
    assert sorted(found) == planted and len(report["generalDiagnostics"]) == 2, report["generalDiagnostics"]
    messages = [found[line] for line in planted]
    assert '"path" for class "PhotoSet"' in messages[0] and "\"Literal['4']\"" in messages[1]
