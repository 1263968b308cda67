"""`python -m keras_booth`: which commands there are. `python -m keras_booth train` is `python -m keras_booth.train`."""

import importlib
import sys

from keras_booth.tools.errors import InputError
from keras_booth.tools.process.command import command
from keras_booth.version import __version__

COMMANDS = {
    "train": "teach a base one subject from a few photographs",
    "generate": "draw with what training left, or with a base",
    "doctor": "examine a run before it starts",
    "export": "write a model for diffusers, ComfyUI, AUTOMATIC1111",
    "evaluate": "measure a model, or the method over many subjects",
    "sweep": "make many runs, and measure them",
    "pretrain": "make the base in the package from nothing",
}
USAGE = "\n".join(
    [
        f"keras_booth {__version__}: DreamBooth for Keras. Commands, each with --help (also: keras-booth NAME):",
        *(f"  python -m keras_booth.{name:<9} {text}" for name, text in COMMANDS.items()),
        "Begin with:",
        "  python -m keras_booth.train --config configs/quickstart.yaml",
    ]
)


@command
def choose(argv=None):
    """Says what there is, or refuses what there is not."""
    name = (argv or ["--help"])[0]
    if name in ("-h", "--help"):
        print(USAGE)
    else:
        raise InputError(f"There is no command {name}; there are {', '.join(COMMANDS)}. Received: {name}")


def main(argv=None):
    """Hands over to a command. Returns its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] and arguments[0] in COMMANDS:
        return importlib.import_module(f"keras_booth.{arguments[0]}").main(arguments[1:])
    return choose(arguments)


if __name__ == "__main__":
    sys.exit(main())
