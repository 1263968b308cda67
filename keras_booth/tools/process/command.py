"""How a command ends: its exit code, and what it says of a mistake, of a machine that gave out, of a fault of ours."""

import argparse
import functools
import io
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from keras_booth.tools.errors import InputError, sentence
from keras_booth.tools.files.leftovers import own_temporary_folder
from keras_booth.tools.files.paths import expand_home
from keras_booth.tools.files.writing import FULL
from keras_booth.tools.process.stopping import Terminated, heeding_sigterm
from keras_booth.version import __version__

MISTAKE = 2
FAILURE = 1
INTERRUPTED = 130
TERMINATED = 143
REPORT = "This is a fault of keras_booth {version}, not yours: please report it, with the command and the lines above."


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence, without the usage. Flags may be written with underscores, too."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        return super().parse_known_args(option_names(sys.argv[1:] if args is None else args, "_", "-"), namespace)

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help.")


def user_path(text: str) -> str:
    """The `type` of a flag that takes a path: `~` is the home folder."""
    try:
        return expand_home(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def number_or(word: str) -> Callable[[str], int | str]:
    """The `type` of a flag that is a number >= 1, or a word."""

    def parse(text):
        if text == word or (text.isdecimal() and int(text) > 0):
            return text if text == word else int(text)
        raise argparse.ArgumentTypeError(f"must be {word} or a number >= 1. Received: {text}")

    return parse


def add_device_flags(parser: argparse.ArgumentParser, default: int | None = 1) -> None:
    """Adds the devices of `on_devices` to the flags of a command."""
    parser.add_argument(
        "--devices",
        type=number_or("all"),
        default=default,
        metavar="N",
        help="Devices of this machine that share each batch, or all (default: 1).",
    )


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """Adds what says how the devices of one machine or several train together."""
    add_device_flags(parser, default=None)  # all of them where there are several processes
    add = parser.add_argument
    add(
        "--sharding",
        choices=["data", "model"],
        default="data",
        help="What the devices share: each batch, or the weights, gradients and moments, too (on JAX; default: data).",
    )
    add(
        "--processes",
        type=number_or("auto"),
        metavar="N",
        help="Processes that train together, mostly on several machines, or auto where Slurm, Cloud TPU, Kubernetes or "
        "Open MPI say it (on JAX; default: JAX_NUM_PROCESSES, or 1).",
    )
    add("--coordinator", metavar="HOST:PORT", help="Where the first of them is (default: JAX_COORDINATOR_ADDRESS).")
    add("--process-id", type=int, metavar="K", help="Which of them this is, from 0 (default: JAX_PROCESS_ID).")


def take_devices(flags: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """What the flags say that `add_training_flags` adds, and the other flags."""
    parser = Parser(add_help=False, allow_abbrev=False)
    add_training_flags(parser)
    found, rest = parser.parse_known_args(flags)
    return vars(found), rest


def option_names(flags: Sequence[str], old: str, new: str) -> list[str]:
    """Flags with another sign between their words: `--batch_size=3` and `--batch-size=3` are the same.

    Args:
        flags: sequence of str. What is no flag, and what follows `--`, stays as it is.
        old: str, the sign that is replaced.
        new: str, the sign that takes its place.
    """
    flags = list(flags)
    stop = flags.index("--") if "--" in flags else len(flags)
    pattern = re.compile(rf"(?<=\S){re.escape(old)}(?=\S)")
    parts = [re.match(r"(--[^\s=]+)?(.*)", flag, re.DOTALL).groups() for flag in flags[:stop]]
    return [(pattern.sub(new, name[2:]).join(["--", rest]) if name else rest) for name, rest in parts] + flags[stop:]


def command(main: Callable[[Sequence[str] | None], None]) -> Callable[..., int]:
    """Decorates the `main` of a command, which then returns an exit code.

    0 is success, 2 a mistake of the user, 1 a machine that gave out (a full disk, too little memory), 130 Ctrl-C, 143
    SIGTERM: all but the first with one sentence on stderr. What is a fault of ours ends with 1 too, with its traceback
    and how to report it. A letter that the terminal or pipe does not have is written as `\\xfc`. Each command knows
    `--version`. Temporary files lie in a folder of the command's own, which goes with it.
    """

    @functools.wraps(main)
    def run(argv=None):
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            with heeding_sigterm(), own_temporary_folder():
                if (sys.argv[1:] if argv is None else list(argv))[:1] == ["--version"]:
                    print(f"keras_booth {__version__}")
                    return 0
                main(argv)
        except InputError as error:
            return _say(sentence(error), MISTAKE)
        except OSError as error:
            again = "; make room, then do the same again" if error.errno in FULL else ""
            said = sentence(error).rstrip(".") + again if again else sentence(error)
            return _say(f"The command stopped: {said}", FAILURE)
        except MemoryError:
            return _say("The command stopped: The memory of this machine was not enough.", FAILURE)
        except KeyboardInterrupt as error:
            code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
            return _say(sentence(error) if error.args else "Stopped.", code)
        except Exception:
            traceback.print_exc()
            return _say(REPORT.format(version=__version__), FAILURE)
        return 0

    return run


def _say(text, code):
    print(text, file=sys.stderr)
    return code
