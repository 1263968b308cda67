"""`import keras_booth` loads no Keras; `load_model` knows its classes all the same, whatever was imported first."""

import gzip
import os
import pathlib
import subprocess
import sys

import pytest

import keras_booth
from keras_booth.__main__ import COMMANDS
from keras_booth.registration import CLASSES

SAVED = pathlib.Path(__file__).parent / "dreambooth" / "old" / "saved_by_566c654.keras.gz"
HEAVY = "print(sorted({'keras', 'tensorflow', 'jax'} & set(sys.modules)))"


def python(code, **changes):
    """What a new process says on stdout and stderr, and its exit code."""
    return subprocess.run([sys.executable, "-c", code], env=os.environ | changes, capture_output=True, text=True)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "cat.keras"
    path.write_bytes(gzip.decompress(SAVED.read_bytes()))
    return path


@pytest.mark.parametrize(
    "imports",
    [
        # The hook runs inside of the import of a room.
        "from keras_booth.data import photo_dataset; import keras",
        pytest.param("import keras, keras_booth", marks=pytest.mark.large),
        pytest.param("import keras_booth; import keras_cv, tensorflow, keras", marks=pytest.mark.large),
        pytest.param("import keras; from keras_booth import DreamBooth", marks=pytest.mark.large),
    ],
)
def test_a_saved_model_opens_whatever_was_imported_first(saved, imports):
    done = python(
        f"{imports}\n"
        f"booth = keras.saving.load_model({str(saved)!r}, custom_objects={{'Other': keras.layers.Dense}})\n"
        f"again = keras.saving.load_model({str(saved)!r})\n"  # by the class itself, which is known by now
        "from keras_booth.dreambooth import DreamBooth\n"
        "name = keras.saving.get_registered_name(DreamBooth)\n"
        "assert type(booth) is type(again) is DreamBooth is keras.saving.get_registered_object(name)\n"
        "print(booth.identifier, name)"
    )
    assert done.stdout == "zwx keras_booth>DreamBooth\n", done.stderr


def test_nothing_heavy_is_loaded():
    """Neither by the package nor by the commands, which say `--help` and refuse flags without."""
    commands = ", ".join(f"keras_booth.{name}" for name in COMMANDS)
    assert python(f"import sys, keras_booth\n{HEAVY}\nimport {commands}\n{HEAVY}").stdout == "[]\n[]\n"


def test_a_room_refuses_a_backend_before_keras_is_loaded():
    rooms = ("bases", "callbacks", "data", "diffusion", "dreambooth", "evaluation", "tiny_world")
    code = "\n".join(
        [
            "import sys, keras_booth",
            *(
                f"try: import keras_booth.{room}\nexcept ValueError as error: print(type(error).__name__, error)"
                for room in rooms
            ),
            HEAVY,
            "keras_booth.DreamBooth",
        ]
    )
    done = python(code, KERAS_BACKEND="torch")
    *refused, heavy = done.stdout.splitlines()
    assert len(refused) == len(rooms) and heavy == "[]"
    assert all(line.startswith("InputError keras_booth runs on Keras's backends") for line in refused)
    assert done.returncode == 1 and "InputError: keras_booth runs on Keras's backends" in done.stderr


def test_what_is_offered():
    assert {"DreamBooth", "LoraConfig", "load", "bases", "callbacks", "data", "__version__"} <= set(keras_booth.__all__)
    for name in keras_booth.__all__:
        assert getattr(keras_booth, name) is not None
    for registered, room in CLASSES.items():
        package, _, name = registered.partition(">")
        assert (package, room.partition(".")[0]) == ("keras_booth", "keras_booth")
        assert getattr(sys.modules[room], name)
