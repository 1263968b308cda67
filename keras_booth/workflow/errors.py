"""How a command ends: its exit code, and what it says of a mistake, of a machine that gave out, of a fault of ours."""

import argparse
import functools
import sys
import traceback

from keras_booth.tools.errors import InputError, sentence
from keras_booth.version import __version__

MISTAKE = 2
FAILURE = 1
INTERRUPTED = 130
REPORT = "This is a fault of keras_booth {version}, not yours: please report it, with the command and the lines above."


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence, without the usage."""

    def error(self, message):
        raise InputError(f"{message}; see --help.")


def command(main):
    """Decorates the `main` of a command, which then returns an exit code.

    0 is success, 2 a mistake of the user, 1 a machine that gave out (a full disk), 130 Ctrl-C: the last three with one
    sentence on stderr. What is a fault of ours ends with 1 too, with its traceback and how to report it.
    """

    @functools.wraps(main)
    def run(argv=None):
        try:
            main(argv)
        except InputError as error:
            return _say(sentence(error), MISTAKE)
        except OSError as error:
            return _say(f"The command stopped: {sentence(error)}", FAILURE)
        except KeyboardInterrupt as error:
            return _say(sentence(error) if error.args else "Stopped.", INTERRUPTED)
        except Exception:
            traceback.print_exc()
            return _say(REPORT.format(version=__version__), FAILURE)
        return 0

    return run


def _say(text, code):
    print(text, file=sys.stderr)
    return code
