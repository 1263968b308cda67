"""Draw with a trained model: `python -m keras_booth.generate dog.keras "a photo of sks dog in the snow"`."""

import sys
from argparse import BooleanOptionalAction

from keras_booth.tools.dtypes import POLICIES
from keras_booth.tools.process.command import Parser, add_device_flags, command, user_path
from keras_booth.tools.process.quiet import quiet_import


def make_parser():
    """The parser of this command."""
    parser = Parser(prog="python -m keras_booth.generate", description="Draws pictures with a trained model.")
    add = parser.add_argument
    add(
        "model",
        type=user_path,
        help="the .keras file that training wrote; or a preset, a folder in diffusers' format, a .safetensors",
    )
    add("prompts", nargs="*", metavar="prompt", help='what to draw, e.g. "a photo of sks dog in the snow"')
    add("--prompt-file", type=user_path, help="text file with more prompts, one a line")
    add("--count", type=int, help="number of pictures of each prompt (default: 1, or one a seed)")
    add("--seed", type=int, nargs="+", default=[0], help="same seed, same pictures; of several the first of each")
    add("--output", type=user_path, default="pictures", help="folder for the pictures (default: pictures)")
    add("--steps", type=int, nargs="+", default=[], help="sampling steps; several draw a matrix (default: the model's)")
    add(
        "--guidance-scale",
        type=float,
        nargs="+",
        default=[],
        help="how closely to follow the prompt; several draw a matrix (default: the model's)",
    )
    add("--guidance-rescale", type=float, default=0.0, help="0 to 1, against overexposed pictures (default: 0)")
    add("--negative-prompt", default="", help="what not to draw")
    add("--sampler", help="ddim, euler, euler_ancestral or dpmpp_2m (default: the model's)")
    add("--spacing", help="which timesteps are visited: leading, trailing or linspace (default: the model's)")
    add("--karras", action=BooleanOptionalAction, help="visit Karras's noise levels (default: the sampler's)")
    add("--rho", type=float, help="exponent of Karras's noise levels, 1 to 100 (default: the model's)")
    add("--eta", type=float, help="share of the noise that is replaced in each step, 0 to 1 (default: the sampler's)")
    add("--image", type=user_path, help="picture to draw over")
    add("--strength", type=float, default=0.8, help="how far to go from --image, up to 1 (default: 0.8)")
    add("--lora", type=user_path, help="LoRA file for the model, in diffusers' or kohya's layout")
    add("--lora-scale", type=float, default=1.0, help="what the LoRA is weighed by (default: 1)")
    add("--merge-tokens", type=float, help="share of tokens to merge, for speed at a large size (default: the model's)")
    add(
        "--dtype",
        choices=POLICIES,
        help="precision to compute in; bfloat16 takes half the memory (default: the model's)",
    )
    add("--batch-size", type=int, default=8, help="pictures drawn at once (default: 8)")
    add_device_flags(parser)
    return parser


@command
def main(argv=None):
    """Parses the flags, draws, says where the pictures are. See `--help`."""
    flags = vars(make_parser().parse_args(argv))
    devices = flags.pop("devices")
    with quiet_import():
        from keras_booth.tools.process.devices import on_devices
        from keras_booth.workflow.pictures import PictureOptions, draw_pictures
    own = ("model", "prompts", "output", "prompt_file", "lora", "lora_scale", "merge_tokens", "dtype")
    rest = {name: tuple(value) if isinstance(value, list) else value for name, value in flags.items()}
    options = PictureOptions(**{name: value for name, value in rest.items() if name not in own})
    with on_devices(devices):
        for path in draw_pictures(**{name: flags[name] for name in own}, options=options):
            print(path)


if __name__ == "__main__":
    sys.exit(main())
