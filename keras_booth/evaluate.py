"""Measure a model, or the method: `python -m keras_booth.evaluate dog.keras --photos photos/orange_dog`."""

import sys

from keras_booth.tools.errors import require
from keras_booth.tools.process.command import Parser, add_device_flags, command, user_path
from keras_booth.tools.process.quiet import quiet_import


def make_parser():
    """The parser of this command."""
    parser = Parser(
        prog="python -m keras_booth.evaluate",
        description="Measures a trained model beside its photographs and its base. Without a model: trains many "
        "subjects with and without prior loss, and measures what became of them.",
    )
    one = parser.add_argument_group("a model")
    one.add_argument("model", type=user_path, nargs="?", help="the .keras file that training wrote")
    one.add_argument("--photos", type=user_path, help="folder of the subject's photographs")
    one.add_argument("--base", type=user_path, help="the model before training, where nobody else knows it")
    one.add_argument("--prompt-file", type=user_path, help="prompts, one a line, with {} where the subject goes")
    one.add_argument("--batch-size", type=int, default=8, help="pictures drawn at once (default: 8)")
    add_device_flags(one)
    many = parser.add_argument_group("the method")
    many.add_argument(
        "--protocol",
        type=user_path,
        nargs=2,
        metavar=("dreambooth", "FOLDER"),
        help="the subjects of a checkout of github.com/google/dreambooth, in place of the tiny world's",
    )
    many.add_argument(
        "--recipe", type=user_path, default="configs/quickstart.yaml", help="run config with the options of every run"
    )
    many.add_argument("--subjects", type=int, help="how many of the subjects (default: all)")
    many.add_argument("--seeds", type=int, default=1, help="runs of each, each with a seed of its own (default: 1)")
    many.add_argument(
        "--prior-loss",
        nargs="+",
        choices=("without", "with"),
        default=["without", "with"],
        help="which runs (default: both)",
    )
    many.add_argument("--jobs", type=int, default=1, help="runs at once (default: 1)")
    many.add_argument("--base-count", type=int, default=400, help="prompts to measure tiny_world with (default: 400)")
    add = parser.add_argument
    add("--output", type=user_path, default="runs/evaluation", help="folder; what is there is not done again")
    add("--count", type=int, default=4, help="pictures of each prompt (default: 4)")
    add("--class-count", type=int, default=48, help="pictures of the class (default: 48)")
    add("--seed", type=int, default=1000, help="of the pictures (default: 1000)")
    add("--format", choices=("markdown", "latex", "csv"), default="markdown", help="of the table")
    add("--lpips", type=user_path, help="file of LPIPS's weights, for DIV")
    add("--dino", type=user_path, help="folder of DINO (default: the hub's facebook/dino-vits16)")
    add("--clip", type=user_path, help="folder of CLIP (default: the hub's openai/clip-vit-base-patch32)")
    return parser


@command
def main(argv=None):
    """Parses the flags, measures, prints the tables. See `--help`."""
    flags = vars(make_parser().parse_args(argv))
    shared = ("output", "count", "class_count", "seed", "format", "lpips", "dino", "clip")
    if flags["model"] is None:
        require(flags["photos"] is None, "model", "given beside --photos", None)
        protocol, dataset = flags["protocol"] or ("dreambooth", None)
        require(flags["devices"] == 1, "--devices", "left out where the method is evaluated", flags["devices"])
        require(protocol == "dreambooth", "--protocol", "dreambooth and a folder", protocol)
        with quiet_import():
            from keras_booth.experiments.engines.local import Local
            from keras_booth.experiments.method import evaluate
            from keras_booth.experiments.sweep import check_all_done
        engine = Local(flags["jobs"])
        encoders = {name: flags[name] for name in ("lpips", "dino", "clip")}
        names = ("recipe", "output", "subjects", "seeds", "prior_loss", "count", "class_count", "base_count", "seed")
        options = {name: flags[name] for name in (*names, "format")}
        text, failed = evaluate(engine=engine, dataset=dataset, encoders=encoders, **options)
        print(text, end="")
        check_all_done(failed, flags["output"])
    else:
        require(flags["photos"] is not None, "--photos", "a folder of the subject's photographs", None)
        require(flags["protocol"] is None, "--protocol", "left out beside a model", flags["protocol"])
        with quiet_import():
            from keras_booth.tools.process.devices import on_devices
            from keras_booth.workflow.measuring import measure
        names = ("model", "photos", "base", "prompt_file", "batch_size")
        with on_devices(flags["devices"]):
            print(measure(**{name: flags[name] for name in (*shared, *names)}), end="")


if __name__ == "__main__":
    sys.exit(main())
