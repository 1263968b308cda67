import pytest

from keras_booth.tools.errors import InputError
from keras_booth.tools.process.command import take_devices
from keras_booth.tools.process.fellows import VARIABLES, of_flags


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Nothing in the environment says that there are others."""
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)


def found(*flags):
    """What is left for `on_devices`, what is for `join_processes`, and the flags of others."""
    devices, rest = take_devices(flags)
    fellows = of_flags(devices)
    return devices, fellows, rest


def test_a_process_alone():
    assert found("--training.steps", "3") == ({"devices": 1, "sharding": "data"}, None, ["--training.steps", "3"])
    assert found("--processes", "1", "--devices", "all")[:2] == ({"devices": "all", "sharding": "data"}, None)


def test_flags():
    line = ["--resume", "run", "--processes", "2", "--coordinator", "node1:1234", "--process_id", "1"]
    fellows = {"coordinator": "node1:1234", "processes": 2, "process_id": 1}
    assert found(*line) == ({"devices": "all", "sharding": "data"}, fellows, ["--resume", "run"])


def test_the_environment_says_what_the_flags_do_not(monkeypatch):
    for name, value in zip(VARIABLES.values(), ("node1:1234", "4", "3"), strict=True):
        monkeypatch.setenv(name, value)
    assert found()[1] == {"coordinator": "node1:1234", "processes": 4, "process_id": 3}
    assert found("--process-id", "0")[1]["process_id"] == 0
    assert found("--processes", "auto")[1]["processes"] is None
    monkeypatch.setenv("JAX_NUM_PROCESSES", "many")
    with pytest.raises(InputError, match="JAX_NUM_PROCESSES must be a whole number. Received: JAX_NUM_PROCESSES=many"):
        found()


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--processes", "0"], "must be auto or a number >= 1. Received: 0"),
        (["--devices", "some"], "must be all or a number >= 1. Received: some"),
        (["--sharding", "both"], "invalid choice: 'both'"),
        (["--processes", "2", "--process-id", "2"], "--process_id must be in [0, 2)"),
        (["--processes", "2", "--coordinator", "node1"], "must be an address and a port, like node1:1234"),
        (["--processes", "2", "--coordinator", "node1:99999"], "must be an address and a port"),
        (["--process-id", "1"], "--process_id is for several processes: say --processes"),
        (["--processes", "2", "--devices", "3"], "leave --devices out"),
        (["--processes", "2", "--sharding", "model"], "leave --sharding or --processes out"),
    ],
)
def test_mistakes(flags, said):
    with pytest.raises(InputError) as caught:
        found(*flags)
    assert said in str(caught.value)
