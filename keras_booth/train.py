"""Teach a base one subject: `python -m keras_booth.train --config configs/quickstart.yaml`.

`python -m keras_booth.train --resume runs/quickstart` goes on with a run that was cut off.
"""

import sys

from keras_booth.tools.command import command
from keras_booth.tools.quiet import quiet_import
from keras_booth.workflow.parsing import parse_train


@command
def main(argv=None):
    """Parses the flags, runs, says where everything is. See `--help`."""
    folder, config = parse_train(sys.argv[1:] if argv is None else argv)
    with quiet_import():
        from keras_booth.workflow.run import resume, run, summary
    print(summary(resume(folder) if folder else run(config)))


if __name__ == "__main__":
    sys.exit(main())
