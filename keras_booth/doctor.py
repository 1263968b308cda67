"""Examine a run before it starts: `python -m keras_booth.doctor configs/quickstart.yaml`."""

import sys

from keras_booth.tools.errors import InputError
from keras_booth.tools.process.command import command, take_devices
from keras_booth.tools.process.quiet import quiet_import
from keras_booth.workflow.parsing import read_config

USAGE = "python -m keras_booth.doctor CONFIG [--any.field value]"


@command
def main(argv=None):
    """Reads the config and the flags, prints what it finds."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] in ([], ["-h"], ["--help"]):
        print(f"Usage: {USAGE}\nExamines photographs, identifier, settings and memory of a run; changes nothing.")
        return
    # What `train` takes, it takes, too.
    _, flags = take_devices(arguments[1:])
    config = read_config(arguments[0], *flags)
    with quiet_import():
        from keras_booth.workflow.doctor.report import report
    text, mistaken = report(config)
    print(text)
    if mistaken:
        raise InputError("The run would end with a mistake: see above.")


if __name__ == "__main__":
    sys.exit(main())
