"""Draw with a trained model: `python -m keras_booth.generate dog.keras "a photo of sks dog in the snow"`."""

import sys

from keras_booth.workflow.errors import Parser, command
from keras_booth.workflow.quiet import quiet_import


def make_parser():
    """The parser of this command."""
    parser = Parser(prog="python -m keras_booth.generate", description="Draws pictures with a trained model.")
    parser.add_argument("model", help="the .keras file that training wrote")
    parser.add_argument("prompt", help='what to draw, e.g. "a photo of sks dog in the snow"')
    parser.add_argument("--count", type=int, default=1, help="number of pictures (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same pictures (default: 0)")
    parser.add_argument("--output", default="pictures", help="folder for the pictures (default: pictures)")
    parser.add_argument("--steps", type=int, help="sampling steps (default: the model's)")
    parser.add_argument("--guidance-scale", type=float, help="how closely to follow the prompt (default: the model's)")
    parser.add_argument("--negative-prompt", default="", help="what not to draw")
    parser.add_argument("--batch-size", type=int, default=8, help="pictures drawn at once (default: 8)")
    return parser


@command
def main(argv=None):
    """Parses the flags, draws, says where the pictures are. See `--help`."""
    flags = make_parser().parse_args(argv)
    with quiet_import():
        from keras_booth.workflow.pictures import draw_pictures
    for path in draw_pictures(**vars(flags)):
        print(path)


if __name__ == "__main__":
    sys.exit(main())
