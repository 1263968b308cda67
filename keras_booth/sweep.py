"""Make many runs and measure them: `python -m keras_booth.sweep sweep_lr_steps --base.preset tiny_world`."""

import sys
from pathlib import Path

from keras_booth.tools.errors import require
from keras_booth.tools.process.command import Parser, command, user_path
from keras_booth.tools.process.quiet import quiet_import


def make_parser():
    """The parser of this command; fields of the config, `--training.steps 100`, are left to another."""
    parser = Parser(
        prog="python -m keras_booth.sweep",
        description="Makes many runs of one config, each in a process of its own, and measures them: one table, one "
        "picture of all. What was cut off goes on, what failed is tried again. Fields of the config are flags, too.",
    )
    add = parser.add_argument
    add("config", type=user_path, help="YAML file with a group sweep, or the name of one that comes along")
    add("--output", type=user_path, help="folder of the results (default: runs/NAME of the config)")
    add("--jobs", type=int, default=1, help="runs at once, on this machine (default: 1)")
    add("--engine", choices=("local", "ray"), default="local", help="where the runs are made (default: local)")
    add("--address", default="auto", help="of the Ray cluster (default: the one that this machine is part of)")
    add("--cpus", type=int, default=1, help="CPU cores of a run on a Ray cluster without GPUs (default: 1)")
    add("--dry-run", action="store_true", help="say which runs there are, and make none")
    add("--lpips", type=user_path, help="file of LPIPS's weights, for DIV")
    add("--dino", type=user_path, help="folder of DINO (default: the hub's facebook/dino-vits16)")
    add("--clip", type=user_path, help="folder of CLIP (default: the hub's openai/clip-vit-base-patch32)")
    return parser


def make_engine(flags):
    """`Local` or `Ray`, as the flags say."""
    require(flags.jobs >= 1, "--jobs", ">= 1", flags.jobs)
    require(flags.cpus >= 1, "--cpus", ">= 1", flags.cpus)
    if flags.engine == "ray":
        from keras_booth.experiments.engines.on_ray import Ray

        return Ray(flags.address, flags.cpus)
    from keras_booth.experiments.engines.local import Local

    return Local(flags.jobs)


@command
def main(argv=None):
    """Parses the flags, makes the runs, prints the table. See `--help`."""
    flags, fields = make_parser().parse_known_args(argv)
    config = ["--config", flags.config, *fields]
    output = flags.output or str(Path("runs") / Path(flags.config).stem)
    encoders = {name: getattr(flags, name) for name in ("lpips", "dino", "clip")}
    with quiet_import():
        from keras_booth.experiments.sweep import check_all_done, list_runs, sweep
    if flags.dry_run:
        print(list_runs(config, output), end="")
        return
    text, failed = sweep(config, output, make_engine(flags), encoders)
    print(text, end="")
    check_all_done(failed, output)


if __name__ == "__main__":
    sys.exit(main())
