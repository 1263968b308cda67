"""Make the weights of the base in the package from nothing: `python -m keras_booth.pretrain`."""

import sys
from pathlib import Path

from keras_booth.tools.process.command import Parser, command, user_path
from keras_booth.tools.process.quiet import quiet_import

# In this order. On demand alone: the vocabulary file, which is there already, and a refined decoder, before the judge.
STAGES = ("corpus", "autoencoder", "denoiser", "judge", "encoders", "export")


def make_parser():
    """The parser of this command."""
    parser = Parser(
        prog="python -m keras_booth.pretrain",
        description="Trains tiny_world from nothing, stage by stage; minutes on a GPU. Goes on where it was.",
    )
    add = parser.add_argument
    add("--work", type=work_folder, default=Path("build/tiny_world"), help="folder of corpus, checkpoints and figures")
    add(
        "--stages",
        nargs="+",
        choices=(*STAGES, "decoder", "vocabulary"),
        default=list(STAGES),
        help="stages to run, in order",
    )
    add("--scenes", type=int, default=60000, help="renders to train on")
    add("--autoencoder-steps", type=int, default=9000)
    add("--autoencoder-rate", type=float, default=1e-3, help="learning rate of the autoencoder")
    add("--denoiser-steps", type=int, default=30000)
    add("--decoder-steps", type=int, default=2000)
    add("--adversarial-weight", type=float, default=0.005, help="weight of the patch discriminator; 0 for none")
    add("--judge-steps", type=int, default=6000)
    add("--encoder-steps", type=int, default=4000)
    add("--learning-rate", type=float, default=1e-3, help="learning rate of the denoiser")
    add("--batch-size", type=int, default=128, help="batch size of the denoiser")
    add("--initial", type=work_folder, help="parts.safetensors that the denoiser stage starts from")
    add("--dtype", default="mixed_bfloat16")
    add("--seed", type=int, default=0)
    add("--output", type=work_folder, help="folder of the exported files; `assets` in --work if left out")
    return parser


def work_folder(text):
    """A flag as a `Path`."""
    return Path(user_path(text))


@command
def main(argv=None):
    """Parses the flags and runs the stages. See `--help`."""
    flags = make_parser().parse_args(argv)
    with quiet_import():
        from keras_booth.tiny_world import run_stages
    run_stages(flags)


if __name__ == "__main__":
    sys.exit(main())
