"""Write a trained model for other programs: `python -m keras_booth.export dog.keras --output dog-diffusers`."""

import sys

from keras_booth.tools.dtypes import STORED
from keras_booth.tools.process.command import Parser, command, user_path
from keras_booth.tools.process.quiet import quiet_import


def make_parser():
    """The parser of this command."""
    parser = Parser(
        prog="python -m keras_booth.export",
        description="Writes a trained model for diffusers, or as one file for ComfyUI and AUTOMATIC1111; or its LoRA "
        "alone, for all of these.",
    )
    parser.add_argument("model", type=user_path, help="the .keras file that training wrote")
    parser.add_argument("--output", type=user_path, required=True, help="folder, or file that ends in .safetensors")
    parser.add_argument(
        "--format",
        choices=("diffusers", "safetensors", "lora"),
        help="diffusers: a folder; safetensors: one file in the original layout; lora: the LoRA alone, a file of a few "
        "MB (default: what the output's name says, a folder or one file)",
    )
    parser.add_argument(
        "--layout",
        choices=("kohya", "diffusers"),
        help="of a LoRA: kohya, which ComfyUI, AUTOMATIC1111 and diffusers read; or diffusers (default: kohya)",
    )
    parser.add_argument("--dtype", choices=STORED, default="float32", help="(default: float32)")
    return parser


@command
def main(argv=None):
    """Parses the flags, exports, says where it is. See `--help`."""
    flags = make_parser().parse_args(argv)
    with quiet_import():
        from keras_booth.workflow.exporting import export_model
    print(export_model(**vars(flags)))


if __name__ == "__main__":
    sys.exit(main())
