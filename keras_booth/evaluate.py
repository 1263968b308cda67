"""Measure DreamBooth on subjects of the tiny world: `python -m keras_booth.evaluate --output runs/evaluation`."""

import sys

from keras_booth.tools.process.command import Parser, command, user_path
from keras_booth.tools.process.quiet import quiet_import


def make_parser():
    """The parser of this command."""
    parser = Parser(
        prog="python -m keras_booth.evaluate",
        description="Trains subjects of the tiny world with and without prior loss, and measures what became of them.",
    )
    parser.add_argument(
        "--recipe", type=user_path, default="configs/quickstart.yaml", help="run config with the options of every run"
    )
    parser.add_argument(
        "--output", type=user_path, default="runs/evaluation", help="folder; what is in it already is not done again"
    )
    parser.add_argument("--subjects", type=int, default=10, help="number of subjects, 1 to 10 (default: 10)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each, each with a seed of its own (default: 1)")
    parser.add_argument(
        "--prior-loss",
        nargs="+",
        choices=("without", "with"),
        default=["without", "with"],
        help="which runs (default: both)",
    )
    parser.add_argument("--count", type=int, default=4, help="pictures of a subject in each setting (default: 4)")
    parser.add_argument("--class-count", type=int, default=48, help="pictures of the class (default: 48)")
    parser.add_argument("--base-count", type=int, default=400, help="prompts to measure the base with (default: 400)")
    return parser


@command
def main(argv=None):
    """Parses the flags, measures, prints the tables. See `--help`."""
    flags = make_parser().parse_args(argv)
    with quiet_import():
        from keras_booth.workflow.evaluation import evaluate
    print(evaluate(**vars(flags)), end="")


if __name__ == "__main__":
    sys.exit(main())
