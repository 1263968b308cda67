"""Teach a base one subject: `python -m keras_booth.train --config configs/quickstart.yaml`."""

import sys

from keras_booth.workflow.errors import command
from keras_booth.workflow.parsing import parse_config
from keras_booth.workflow.quiet import quiet_import


@command
def main(argv=None):
    """Parses the flags, runs, says where everything is. See `--help`."""
    config = parse_config(sys.argv[1:] if argv is None else argv)
    with quiet_import():
        from keras_booth.workflow.run import run, summary
    print(summary(run(config)))


if __name__ == "__main__":
    sys.exit(main())
