"""Measure a model, or the method: `python -m keras_booth.evaluate dog.keras --photos photos/orange_dog`."""

import sys

from keras_booth.tools.errors import require
from keras_booth.tools.process.command import Parser, command, user_path
from keras_booth.tools.process.quiet import quiet_import


def make_parser():
    """The parser of this command."""
    parser = Parser(
        prog="python -m keras_booth.evaluate",
        description="Measures a trained model beside its photographs and its base. Without a model: trains subjects of "
        "the tiny world with and without prior loss, and measures what became of them.",
    )
    one = parser.add_argument_group("a model")
    one.add_argument("model", type=user_path, nargs="?", help="the .keras file that training wrote")
    one.add_argument("--photos", type=user_path, help="folder of the subject's photographs")
    one.add_argument("--base", type=user_path, help="the model before training, where nobody else knows it")
    one.add_argument("--prompt-file", type=user_path, help="prompts, one a line, with {} where the subject goes")
    one.add_argument("--format", choices=("markdown", "latex", "csv"), default="markdown", help="of the table")
    one.add_argument("--seed", type=int, default=0, help="of the pictures (default: 0)")
    one.add_argument("--batch-size", type=int, default=8, help="pictures drawn at once (default: 8)")
    one.add_argument("--lpips", type=user_path, help="file of LPIPS's weights, for DIV")
    one.add_argument("--dino", type=user_path, help="folder of DINO (default: the hub's facebook/dino-vits16)")
    one.add_argument("--clip", type=user_path, help="folder of CLIP (default: the hub's openai/clip-vit-base-patch32)")
    parser.add_argument(
        "--recipe", type=user_path, default="configs/quickstart.yaml", help="run config with the options of every run"
    )
    parser.add_argument(
        "--output", type=user_path, default="runs/evaluation", help="folder; subjects that are there are not done again"
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
    parser.add_argument("--count", type=int, default=4, help="pictures of a subject of each prompt (default: 4)")
    parser.add_argument("--class-count", type=int, default=48, help="pictures of the class (default: 48)")
    parser.add_argument("--base-count", type=int, default=400, help="prompts to measure the base with (default: 400)")
    return parser


@command
def main(argv=None):
    """Parses the flags, measures, prints the tables. See `--help`."""
    flags = vars(make_parser().parse_args(argv))
    shared = {name: flags[name] for name in ("output", "count", "class_count")}
    if flags["model"] is None:
        require(flags["photos"] is None, "model", "given beside --photos", None)
        with quiet_import():
            from keras_booth.workflow.evaluation import evaluate
        names = ("recipe", "subjects", "seeds", "prior_loss", "base_count")
        text = evaluate(**shared, **{name: flags[name] for name in names})
    else:
        require(flags["photos"] is not None, "--photos", "a folder of the subject's photographs", None)
        with quiet_import():
            from keras_booth.workflow.measuring import measure
        names = ("model", "photos", "base", "prompt_file", "format", "seed", "batch_size", "lpips", "dino", "clip")
        text = measure(**shared, **{name: flags[name] for name in names})
    print(text, end="")


if __name__ == "__main__":
    sys.exit(main())
