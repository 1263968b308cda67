"""A log survives a kill in the middle of a line, and a disk that is full."""

import pytest

from keras_booth.callbacks.csv_log import CsvLog
from tests.helpers.full_disk import files_of_at_most

HEAD = "step,loss\n"


@pytest.fixture
def log(tmp_path):
    log = CsvLog(tmp_path / "log.csv", ["loss"])
    log.begin(0)
    return log


def test_lines(log):
    log.add(1, {"loss": 0.5})
    log.add(2, {})
    assert log.path.read_text() == f"{HEAD}1,0.5\n2,\n"
    assert log.steps() == [1, 2]


@pytest.mark.parametrize("torn", ["2", "2,", "2,0.1", "20,0.1", "2,0.1,", ""])
def test_a_torn_line_is_dropped(log, torn):
    log.add(1, {"loss": 0.5})
    with open(log.path, "a") as file:
        file.write(torn)
    assert log.begin(3) == 1
    assert log.path.read_text() == f"{HEAD}1,0.5\n"


def test_a_resumed_run_repeats_what_came_after(log):
    for step in range(1, 5):
        log.add(step, {"loss": step})
    assert log.begin(2) == 2
    assert log.steps() == [1, 2]


def test_no_room(log):
    log.add(1, {"loss": 0.5})
    with files_of_at_most(len(HEAD) + 8), pytest.raises(OSError) as error:
        log.add(2, {"loss": 0.25})
    assert error.value.filename == str(log.path)
    assert log.path.read_text() == f"{HEAD}1,0.5\n"
