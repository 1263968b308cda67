"""Teach a base one subject: `python -m keras_booth.train --config configs/quickstart.yaml`.

`python -m keras_booth.train --resume runs/quickstart` goes on with a run that was cut off; with `--training.steps 1200`
for more steps than it was begun with, with `--other-versions` after an upgrade of Keras or TensorFlow. `--devices all`
beside either shares each batch among the machine's GPUs, `--processes` among machines.
"""

import sys

from keras_booth.tools.process.command import command, take_devices
from keras_booth.tools.process.fellows import of_flags
from keras_booth.tools.process.quiet import quiet_import
from keras_booth.tools.process.supervision import end_with_parent, is_supervised, leave, supervise
from keras_booth.workflow.parsing import parse_train
from keras_booth.workflow.settings.shipped import describe_configs


@command
def main(argv=None):
    """Parses the flags, runs, says where everything is. See `--help`."""
    flags = list(sys.argv[1:] if argv is None else argv)
    if flags in (["--config", "list"], ["--config=list"]):
        print(describe_configs())
        return
    devices, rest = take_devices(flags)
    folder, options = parse_train(rest)
    fellows = of_flags(devices)
    if fellows and not is_supervised():
        sys.exit(supervise("train", flags))
    with quiet_import():
        from keras_booth.tools.process.devices import on_devices
        from keras_booth.tools.process.processes import is_first, join_processes
        from keras_booth.workflow.run import resume, run, summary
    if fellows:
        end_with_parent()
        join_processes(**fellows)
    with on_devices(**devices):
        folder = run(options) if folder is None else resume(folder, **options)
        if is_first():
            print(summary(folder))


if __name__ == "__main__":
    leave(main())
