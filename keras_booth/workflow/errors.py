"""Mistakes of the user: one sentence, no traceback."""

import argparse
import contextlib
import functools
import math
import sys

MISTAKE = 2
FAILURE = 1
INTERRUPTED = 130


class InputError(ValueError):
    """A mistake in what the user gave. The message is one sentence that ends in what was received."""


def require(condition, field, rule, value):
    """Raises a `ValueError` in Keras's manner unless `condition` holds.

    Args:
        condition: bool.
        field: str. Name of the field, as the user writes it.
        rule: str. What the field must be: `">= 0"`.
        value: What was received.
    """
    if not condition:
        raise ValueError(f"{field} must be {rule}. Received: {field}={value!r}")


def require_guidance(field, value):
    """Raises a `ValueError` unless `value` is a guidance scale, or `None` for the base's own."""
    require(value is None or 0 <= value < math.inf, field, ">= 0", value)


def sentence(error):
    """An exception's message on one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}. Received: {error.filename}" if error.filename else f"{error.strerror}."
    return " ".join(str(error).split()) or type(error).__name__


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence, without the usage."""

    def error(self, message):
        raise InputError(f"{message}; see --help.")


@contextlib.contextmanager
def user_input():
    """Marks the code in which a `ValueError` or an `OSError` means that the user gave something unfit.

    Anywhere else they are faults of ours, and keep their traceback.
    """
    try:
        yield
    except InputError:
        raise
    except (ValueError, OSError) as error:
        raise InputError(sentence(error)) from error


def command(main):
    """Decorates the `main` of a command, which then returns an exit code.

    0 is success, 2 a mistake of the user, 1 a machine that gave out (a full disk), 130 Ctrl-C: the last three with one
    sentence on stderr.
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
        return 0

    return run


def _say(text, code):
    print(text, file=sys.stderr)
    return code
